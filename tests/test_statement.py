"""The statement: every line recomputed from what it prints, and their sums."""

import dataclasses
import json
import math
import re
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import (
    Eq11,
    efficient_games,
    examples,
    games,
    random_game,
    random_profile,
    seeds,
)

import tradefl
from tradefl.game import EfficientRule, Schedule, SectorCompetition
from tradefl.statement import SIGNS, Figures, statement

MODELS = ["sqrt-loss", "power-law", "empirical"]


def evaluate(text):
    """What a calculator makes of a printed calculation."""
    assert re.fullmatch(r"(?:[-+*/^(). \de]|sqrt)+", text), text
    return eval(text.replace("^", "**"), {"__builtins__": {}}, {"sqrt": math.sqrt})  # noqa: S307


def scale_of(line):
    """The size of the terms whose difference the line is."""
    values = line.inputs
    if line.section == "damage":
        return values["rho_ij"] * values["p_j"] * values["P(Omega)"]
    if line.section == "redistribution":
        return values["gamma"] * values["rho_ij"] * max(values["x_i"], values["x_j"])
    return abs(line.amount)


def efficient_scale(line):
    values = line.inputs
    return max(abs(values["phi_i"]), abs(values["phi_j"]), abs(values["k_ij"]), 1e-300)


def statements(game, profile):
    return [statement(game, profile, i) for i in range(game.size)]


@pytest.mark.parametrize("accuracy", MODELS)
@pytest.mark.parametrize("kind", ["any", "low"])
def test_the_printed_calculations_give_the_amounts(accuracy, kind):
    @examples(25)
    @given(games(accuracy=accuracy, start="flat" if kind == "low" else "concave"), seeds())
    def check(game, seed):
        for entry in statements(game, random_profile(game, seed, kind)):
            for line in entry.lines:
                amount = evaluate(line.calculation)
                assert amount == pytest.approx(line.amount, abs=1e-9 * scale_of(line)), line

    check()


@examples(50)
@given(efficient_games(accuracy="sqrt-loss"), seeds())
def test_under_the_efficient_rule_the_lines_are_recomputed_and_sum_to_what_is_received(game, seed):
    profile, judge = random_profile(game, seed), Eq11(game)
    for i, entry in enumerate(statements(game, profile)):
        lines = entry.section("redistribution")
        assert [line.counterparty for line in lines] == [
            game.name_of(j) for j in range(game.size) if j != i
        ]
        d, f = profile.data_fraction[i], profile.cpu_hz[i]
        received = judge.received(profile, i, d, f)
        expected = [float(received[j]) for j in range(game.size) if j != i]
        for line, amount in zip(lines, expected, strict=True):
            assert line.equation == "Eq. (9e)"
            rounding = 1e-9 * efficient_scale(line)
            assert evaluate(line.calculation) == pytest.approx(line.amount, rel=0.0, abs=rounding)
            assert line.amount == pytest.approx(amount, rel=0.0, abs=rounding)
        total = math.fsum(line.amount for line in lines)
        size = sum(efficient_scale(line) for line in lines)
        assert entry.totals["redistribution"] == pytest.approx(total, rel=0.0, abs=1e-12 * size)
        payoff = math.fsum(line.amount for line in entry.lines)
        assert entry.payoff == pytest.approx(payoff, rel=0.0, abs=1e-12 * judge.scale(profile, i))
        (phi,) = [row for row in entry.quantities if row[0] == "phi(d)"]
        assert phi[2] == pytest.approx(float(judge.phi(i, d)), rel=0.0, abs=1e-12 * size)
        numbers = phi[1].removeprefix("v + (v' - v) * (d - b) / (b' - b) = ").split(" = ")[0]
        largest = float(abs(game.rule.schedules[i].values).max())
        assert evaluate(numbers) == pytest.approx(phi[2], rel=0.0, abs=1e-8 * max(largest, 1e-300))
        assert "Eq. (9e)" in str(entry)
        assert "Eq. (9e)" in entry.to_markdown()


@examples(40)
@given(games(), seeds())
def test_calculations_are_the_formulas_with_the_inputs_put_in(game, seed):
    assert_formulas(game, seed)


@examples(20)
@given(efficient_games(), seeds())
def test_calculations_are_the_formulas_of_the_efficient_rule_too(game, seed):
    assert_formulas(game, seed)


def assert_formulas(game, seed):
    for entry in statements(game, random_profile(game, seed)):
        for line in entry.lines:
            symbols = sorted(line.inputs, key=len, reverse=True)
            pattern = "|".join(rf"(?<!\w){re.escape(symbol)}(?!\w)" for symbol in symbols)

            def number(found, inputs=line.inputs):
                text = repr(inputs[found[0]]).removesuffix(".0")
                text = f"({text})" if text.startswith("-") else text
                return f"{text}^2" if found[0].endswith("^2") else text

            assert re.sub(pattern, number, line.formula) == line.calculation


def within_sectors(game, profile):
    """What all would settle if no pair were an exception to its sector: it is taken away again."""
    if not isinstance(game.competition, SectorCompetition):
        return 0.0
    x = game.resource(profile)
    rho = max(game.competition.within, game.competition.across)
    return rho * float(game.incentive_intensity * x.sum() + game.profitability.sum())


@pytest.mark.parametrize("accuracy", MODELS)
@pytest.mark.parametrize("kind", ["any", "low"])
def test_the_lines_sum_to_the_payoff(accuracy, kind):
    @examples(25)
    @given(games(accuracy=accuracy, start="flat" if kind == "low" else "concave"), seeds())
    def check(game, seed):
        profile = random_profile(game, seed, kind)
        eq11 = Eq11(game)
        for i, entry in enumerate(statements(game, profile)):
            rounding = 1e-12 * sum(max(scale_of(line), abs(line.amount)) for line in entry.lines)
            rounding += 1e-15 * within_sectors(game, profile)
            assert math.fsum(line.amount for line in entry.lines) == pytest.approx(
                entry.payoff, abs=rounding
            )
            signs = {"revenue": 1, "overhead": -1, "damage": -1, "redistribution": 1}
            for section, sign in signs.items():
                amount = math.fsum(line.amount for line in entry.section(section))
                assert sign * amount == pytest.approx(entry.totals[section], abs=rounding)
            # The amounts against a second implementation of Eq. (6)-(11).
            d, f = profile.data_fraction[i], profile.cpu_hz[i]
            revenue, overhead, damage, received = eq11.terms(profile, i, d, f)
            expected = {
                "revenue": revenue,
                "overhead": overhead,
                "damage": damage,
                "redistribution": math.fsum(received),
                "payoff": eq11.payoff(profile, i),
            }
            assert entry.totals == pytest.approx(expected, abs=100 * rounding, rel=0.0)
            for line in entry.section("redistribution"):
                j = [game.name_of(k) for k in range(game.size)].index(line.counterparty)
                assert line.amount == pytest.approx(received[j], abs=1e-12 * scale_of(line))

    check()


def model_size(model):
    """The size of the terms whose difference P is."""
    return float(model.values[-1]) if hasattr(model, "values") else model.untrained_loss


@pytest.mark.parametrize("accuracy", MODELS)
@pytest.mark.parametrize("kind", ["any", "low"])
def test_the_quantities_can_be_recalculated(accuracy, kind):
    @examples(25)
    @given(games(accuracy=accuracy, start="flat" if kind == "low" else "concave"), seeds())
    def check(game, seed):
        profile = random_profile(game, seed, kind)
        for entry in statements(game, profile):
            values = {symbol: value for symbol, _, value in entry.quantities}
            assert list(values) == [
                "d",
                "f",
                "d u",
                "Omega",
                "Omega without d u",
                "P(Omega)",
                "P(Omega without d u)",
                "x",
                "training time",
            ]
            for symbol, calculation, value in entry.quantities:
                size = value
                if symbol.startswith("P("):
                    size = max(value, model_size(game.accuracy))
                elif symbol.startswith("Omega"):
                    size = values["Omega"]
                # "how = number = number"; words and symbols explain, numbers are recalculated.
                for part in calculation.split(" = "):
                    formula = part.partition(", ")[0]
                    if not re.search(r"[a-zA-Z]{2}|[a-zA-Z] ", formula.replace("sqrt(", "(")):
                        assert evaluate(formula) == pytest.approx(value, abs=1e-9 * size), part
            if kind == "low" and game.accuracy.onset > values["Omega"]:
                assert values["P(Omega)"] == 0.0
                assert entry.totals["revenue"] == entry.totals["damage"] == 0.0

    check()


@pytest.mark.parametrize("accuracy", MODELS)
def test_p_is_written_out_as_a_formula_that_can_be_recalculated(accuracy):
    """Not only its value: a statement that printed the number alone would fail here."""
    for seed in range(20):
        game = random_game(seed, accuracy=accuracy, start="concave")
        one = statement(game, random_profile(game, seed), 0)
        (calculation,) = [how for symbol, how, _ in one.quantities if symbol == "P(Omega)"]
        formula = calculation.partition(" = ")[0].partition(", ")[0]
        omega = game.omega(random_profile(game, seed))
        if accuracy == "empirical" and omega >= game.accuracy.knots[-1]:
            assert "last point" in calculation
        else:
            numbers = re.findall(r"\d+\.?\d*(?:e[+-]?\d+)?", formula)
            assert any(float(found) == pytest.approx(omega, rel=1e-14) for found in numbers)
        value = float(game.accuracy.value(omega))
        assert evaluate(formula) == pytest.approx(value, abs=1e-9 * model_size(game.accuracy))


@pytest.mark.parametrize("accuracy", ["sqrt-loss", "power-law"])
def test_below_the_onset_the_statement_says_why_p_is_zero(accuracy):
    found = 0
    for seed in range(20):
        game = random_game(seed, accuracy=accuracy, start="flat")
        profile = random_profile(game, seed, "low")
        if game.omega(profile) > game.accuracy.onset:
            continue
        found += 1
        one = statement(game, profile, 0)
        (calculation,) = [how for symbol, how, _ in one.quantities if symbol == "P(Omega)"]
        reason = f"0, because no more than {game.accuracy.onset:.12g} units of data"
        assert calculation.startswith(reason)
        assert [line.amount for line in one.section("revenue")] == [0.0]
        assert [line.amount for line in one.section("damage") if line.amount != 0.0] == []
    assert found >= 10


# --- what is printed recomputes -----------------------------------------------------------------


def as_an_accountant(calculation):
    """The printed calculation in decimal arithmetic, by a reading of its own."""
    with localcontext(prec=60):
        text = calculation.replace("^", "**")
        text = re.sub(r"(?<![\w.])(\d+\.?\d*(?:e[+-]?\d+)?)", r"D('\1')", text)
        return eval(text, {"__builtins__": {}}, {"D": Decimal, "sqrt": Decimal.sqrt})  # noqa: S307


def half_a_unit(printed):
    """Half of a unit in the last printed digit."""
    return Decimal("0.5000001").scaleb(Decimal(printed).as_tuple().exponent)


def assert_recomputes(one):
    """Every printed line of a statement, in text, Markdown and JSON, and every sum."""
    rows = [
        [cell.strip(" `*") for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
        for row in one.to_markdown().splitlines()
        if row.startswith("|")
    ][2:]
    sums, section = [], None
    for equation, _, calculation, amount in rows:
        printed = Decimal(amount.replace(",", ""))
        if calculation == "sum of the four":
            assert printed == sum(total for total, _ in sums)
        elif equation:
            assert abs(as_an_accountant(calculation) - printed) <= half_a_unit(printed), calculation
            section.append(printed)
        else:
            section = []
            sums.append((printed, section))
    for total, lines in sums:
        assert total == sum(lines)
    found = one.to_dict()
    amounts = {name: Decimal(0) for name in SIGNS}
    for line, row in zip(
        found["lines"], (row for row in rows if row[2][:1] and row[0]), strict=False
    ):
        shown = repr(line["amount"])
        value = as_an_accountant(line["calculation"])
        assert abs(value - Decimal(shown)) <= half_a_unit(row[3].replace(",", ""))
        assert Decimal(shown) == Decimal(row[3].replace(",", ""))
        amounts[line["section"]] += Decimal(shown)
    for name, sign in SIGNS.items():
        assert Decimal(repr(found[name])) == sign * amounts[name]
    assert Decimal(repr(found["payoff"])) == sum(amounts.values())
    words = str(one)
    for _, _, calculation, amount in rows:
        assert f" {amount}\n" in f"{words}\n"
        assert calculation in words
    for symbol, calculation, value in one.quantities:
        formula, equals, printed = calculation.rpartition(" = ")
        numbers = formula.rpartition(" = ")[2].partition(", ")[0]
        assert repr(value) == repr(found_quantity(found, symbol))
        if equals and not re.search(r"[a-z]{2}", numbers.replace("sqrt", "")):
            printed = printed.strip("()")
            unit = Decimal(printed.partition("e")[0]) and half_a_unit(printed)
            assert abs(as_an_accountant(numbers) - Decimal(printed)) <= unit, (symbol, calculation)


def found_quantity(found, symbol):
    (value,) = [
        quantity["value"] for quantity in found["quantities"] if quantity["symbol"] == symbol
    ]
    return value


def scaled(game, scale):
    """The same game with payoffs in a currency whose unit is worth less."""
    rule = game.compensation
    return dataclasses.replace(
        game,
        profitability=game.profitability * scale,
        incentive_intensity=game.incentive_intensity * scale,
        overhead_weight=game.overhead_weight * scale,
        compensation=None
        if rule is None
        else EfficientRule(
            tuple(
                Schedule(schedule.shares, schedule.values * scale) for schedule in rule.schedules
            ),
            rule.constants * scale,
            tuple((i, j, amount * scale) for i, j, amount in rule.extra),
        ),
    )


def recompute_many(count):
    for seed in range(count):
        accuracy = MODELS[seed % 3]
        game = random_game(seed, accuracy=accuracy, start="concave")
        for scale in (1.0, 1e3, 1e6):
            larger = scaled(game, scale)
            profile = random_profile(larger, seed)
            figures = Figures(larger, profile)
            for i in range(min(game.size, 4)):
                assert_recomputes(statement(larger, profile, i, figures=figures))


def test_every_printed_line_recomputes_to_its_last_digit_at_every_scale():
    recompute_many(20)


@pytest.mark.slow
def test_every_printed_line_of_200_random_games_recomputes():
    recompute_many(200)


@examples(15)
@given(efficient_games(), seeds(), st.sampled_from([1.0, 1e3, 1e6]))
def test_the_efficient_rule_recomputes_too(game, seed, scale):
    larger = scaled(game, scale)
    for entry in statements(larger, random_profile(larger, seed)):
        assert_recomputes(entry)


def test_a_statement_that_is_one_unit_off_is_found():
    one = statement(
        random_game(3, organizations=4), random_profile(random_game(3, organizations=4), 3), 0
    )
    unit = Decimal(1).scaleb(-one.decimals)
    lines = tuple(dataclasses.replace(line, exact=line.exact + unit) for line in one.lines)
    with pytest.raises(AssertionError):
        assert_recomputes(dataclasses.replace(one, lines=lines))


@examples(60)
@given(games(min_organizations=2), seeds())
def test_what_one_receives_the_other_pays_to_the_last_bit(game, seed):
    profile = random_profile(game, seed)
    lines = {
        (entry.organization, line.counterparty): line
        for entry in statements(game, profile)
        for line in entry.section("redistribution")
    }
    for (i, j), line in lines.items():
        assert line.amount == -lines[j, i].amount
        if line.amount != 0.0:
            assert line.item == f"{'from' if line.amount > 0.0 else 'to'} {j}"
    # Nobody who competes is left out.
    competing = {
        (game.name_of(i), game.name_of(int(j)))
        for i in range(game.size)
        for j in game.competition.row(i)[0]
    }
    assert set(lines) == competing


@pytest.mark.parametrize("method", ["dbr", "wpr"])
@pytest.mark.parametrize("seed", range(5))
def test_a_solutions_statement_is_that_of_its_profile(method, seed):
    solution = tradefl.solve(random_game(seed, competition="dense"), method)
    paid = {(payer, receiver): amount for payer, receiver, amount in solution.transfers()}
    for i in range(solution.game.size):
        one = solution.statement(i)
        assert one == solution.statement(solution.game.name_of(i))
        assert one.payoff == solution.payoffs[i]
        for section in ("revenue", "overhead", "damage", "redistribution"):
            assert one.totals[section] == getattr(solution.terms, section)[i]
        for line in one.section("redistribution"):
            j = solution.game.index_of(line.counterparty)
            if line.amount > 0.0 and (j, i) in paid:
                assert paid.pop((j, i)) == line.amount
    assert paid == {}
    if method == "wpr":
        assert solution.transfers() == []


def test_the_statement_of_nobody():
    solution = tradefl.solve(random_game(0, organizations=3))
    with pytest.raises(KeyError, match="Nobody"):
        solution.statement("Nobody")
    for i in (3, -1):
        with pytest.raises(IndexError, match=r"expected an index 0\.\.2"):
            solution.statement(i)


def test_the_dictionary_is_json_with_every_line():
    solution = tradefl.solve(random_game(3, organizations=4, competition="dense"))
    one = solution.statement(1)
    found = json.loads(json.dumps(one.to_dict(), allow_nan=False))
    assert found["organization"] == "2"
    assert {key: found[key] for key in one.totals} == pytest.approx(one.totals, abs=1e-5)
    assert found["unrounded"] == one.totals
    for line, shown in zip(one.lines, found["lines"], strict=True):
        assert shown.pop("amount") == pytest.approx(line.amount, abs=1e-6)
        assert shown == {
            key: value
            for key, value in dataclasses.asdict(line).items()
            if key not in ("amount", "exact")
        }
    assert [tuple(row.values()) for row in found["quantities"]] == list(one.quantities)


# --- text and Markdown --------------------------------------------------------------------------

AWKWARD = ["a|b", "*Bold* & _Co_", "<b>`x`</b>\\[y](z)"]


def awkward_statement(i):
    game = random_game(5, organizations=3, competition="dense")
    game = dataclasses.replace(game, names=AWKWARD, title="t|t")
    return statement(game, random_profile(game, 5), i)


def test_the_text_aligns_its_columns_and_ends_with_the_payoff():
    one = awkward_statement(0)
    lines = str(one).splitlines()
    assert lines[0] == "Payoff statement of a|b in t|t"
    rows = lines[lines.index("", 2) + 1 :]
    assert len({len(row) for row in rows}) == 1
    assert len(rows) == len(one.lines) + 4 + 1
    assert rows[-1].startswith("Eq. (11)")
    shown = float(rows[-1].split()[-1].replace(",", ""))
    assert shown == pytest.approx(one.payoff, abs=1e-6 * max(1.0, abs(one.payoff)))


@pytest.mark.parametrize("i", range(3))
def test_markdown_escapes_every_name(i):
    one = awkward_statement(i)
    text = one.to_markdown()
    escaped = [
        r"a\|b",
        r"\*Bold\* & \_Co\_",
        r"\<b\>\`x\`\</b\>\\\[y\](z)",
    ]
    assert text.startswith(f"## Payoff statement of {escaped[i]}\n")
    others = [name for k, name in enumerate(escaped) if k != i]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for line in one.section("redistribution"):
        assert line.counterparty in AWKWARD
    for name in others:
        assert sum(name in row for row in rows) == 2  # damage and redistribution
    # A pipe that separates cells has no backslash before it: always five, for four cells.
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}
    assert not any(name in text for name in AWKWARD)


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [([1500.0, -3.0], 6), ([0.0], 6), ([], 6), ([3e-5], 11), ([2e-300], 30)],
)
def test_small_payoffs_are_shown_with_enough_decimals(amounts, expected):
    from tradefl.statement import decimals

    assert decimals(amounts) == expected
