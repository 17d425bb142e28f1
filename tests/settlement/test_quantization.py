"""The integers against the real numbers that they stand for, and the statement in wei."""

import json
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from tests.settlement.consortia import (
    EXAMPLES,
    accounts,
    consortium,
    cut,
    example,
    judged,
    judged_bonds,
    linear,
    organization,
)
from tests.support import dense_rho, examples, random_profile, seeds

import tradefl
from tradefl.game import SectorCompetition, StrategyProfile, payoffs
from tradefl.settlement import Agreement, Report, quantization_bounds, wei_statement

SILENT = Report(data_ppb=0, cpu_hz=0)


def awkward_consortium(seed, size=None, **changes):
    """Figures of many digits: nothing is a whole number of ppb, bits, hertz or wei."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 7)) if size is None else size
    rho = np.triu(rng.uniform(0.0, 0.9 / n, (n, n)) * (rng.random((n, n)) < 0.8), 1)
    rho = np.round(rho, int(rng.integers(8, 17)))  # 0.0333333333 and worse
    members = [
        organization(
            f"o{i}",
            data_bits=float(np.exp(rng.uniform(np.log(1e3), np.log(1e12)))),
            cpu_levels_hz=sorted(rng.uniform(1e3, 5e9, int(rng.integers(1, 4))).tolist()),
        )
        for i in range(n)
    ]
    terms = {
        "incentive_intensity": float(np.exp(rng.uniform(np.log(1e-12), np.log(1e-6)))),
        "compute_weight": float(np.exp(rng.uniform(np.log(1e-9), np.log(10.0)))),
        "min_data_fraction": float(rng.uniform(1e-8, 0.1)),
        "settlement": {"wei_per_payoff": int(10 ** rng.uniform(0.0, 18.0))},
    }
    return consortium(members, rho + rho.T, **(terms | changes))


def exact_redistribution(built, profile, silent=()):
    """Return Eq. (10) times the exchange rate, in fractions of the doubles of the file."""
    mechanism, who, n = built.mechanism, built.organizations, len(built)
    rho = dense_rho(built.game.competition).tolist()
    weight = Fraction(mechanism.compute_weight)
    x = [
        Fraction(0) if i in silent else Fraction(d) * Fraction(s) + weight * Fraction(f)
        for i, (d, s, f) in enumerate(
            zip(
                profile.data_fraction.tolist(),
                who.data_bits.tolist(),
                profile.cpu_hz.tolist(),
                strict=True,
            )
        )
    ]
    wei = built.settlement.wei_per_payoff if built.settlement else 10**15
    gamma = Fraction(mechanism.incentive_intensity) * wei
    return [
        gamma * sum(Fraction(rho[i][j]) * (x[i] - x[j]) for j in range(n) if rho[i][j])
        for i in range(n)
    ]


def assert_bounded(built, profile):
    """Hold the integers to the fractions and to the library; return the difference by the bound."""
    agreed = Agreement.of(built, accounts(len(built)))
    bounds = quantization_bounds(built, agreed)
    received = agreed.redistribution(agreed.reports(profile))
    exact = exact_redistribution(built, profile)
    library = payoffs(built.game, profile).redistribution.tolist()
    for wei, real, shown, bound in zip(received, exact, library, bounds, strict=True):
        assert abs(wei - real) <= bound
        assert abs(wei - Fraction(shown) * agreed.wei_per_payoff) <= bound
    return max(
        float(abs(wei - real)) / bound if bound else 0.0
        for wei, real, bound in zip(received, exact, bounds, strict=True)
    )


@examples(300)
@given(seeds(), seeds())
def test_the_integers_stay_within_the_bound(seed, profile_seed):
    built = awkward_consortium(seed)
    assert_bounded(built, random_profile(built.game, profile_seed))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_integers_of_the_examples_stay_within_the_bound(path):
    built = tradefl.load(path)
    shares = [assert_bounded(built, random_profile(built.game, seed)) for seed in range(60)]
    assert max(shares) > 1e-3


def test_the_bound_is_of_the_size_of_the_worst_difference():
    shares = []
    for seed in range(40):
        built = awkward_consortium(seed)
        if not any(Agreement.of(built, accounts(len(built))).rule.rho_ppb):
            continue
        found = [assert_bounded(built, random_profile(built.game, k)) for k in range(20)]
        shares.append(max(found))
    assert min(shares) > 1e-3
    assert max(shares) > 0.1


def test_the_bound_holds_for_many_organizations():
    built = awkward_consortium(5, size=80)
    assert max(assert_bounded(built, random_profile(built.game, k)) for k in range(3)) > 1e-3


@examples(60)
@given(seeds(), seeds())
def test_the_bound_holds_for_sectors(seed, profile_seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 9))
    sectors = rng.integers(0, 3, n)
    rho = SectorCompetition(sectors, float(rng.uniform(0, 0.9 / n)), float(rng.uniform(0, 0.1 / n)))
    built = awkward_consortium(seed, size=n, competition=rho)
    assert_bounded(built, random_profile(built.game, profile_seed))


@examples(60)
@given(seeds(), seeds())
def test_the_bound_holds_for_exceptions_to_sectors(seed, profile_seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 9))
    pairs = np.argwhere(np.triu(rng.random((n, n)) < 0.7, 1))
    intensity = rng.choice([0.01 / n, 0.5 / n, 0.9 / n], len(pairs))
    exceptions = (pairs[:, 0], pairs[:, 1], intensity) if len(pairs) else None
    rho = SectorCompetition(np.zeros(n, dtype=int), 0.9 / n, 0.0, exceptions)
    built = awkward_consortium(seed, size=n, competition=rho)
    assert_bounded(built, random_profile(built.game, profile_seed))


def test_the_bound_holds_for_an_exception_of_zero_to_a_sector():
    # c competes with neither. The sum of a solution holds what 0.3 - 0.3 leaves; the lines
    # of the statement, which explain compares with, hold nothing.
    rho = SectorCompetition([0, 0, 0], 0.3, 0.0, ([0, 1], [2, 2], [0.0, 0.0]))
    sizes = {"a": 1.1e10, "b": 7.7e10, "c": 3.3e10}
    members = [organization(name, data_bits=s) for name, s in sizes.items()]
    built = consortium(members, competition=rho, settlement={"wei_per_payoff": 10**18})
    game = built.game
    for seed in range(20):
        profile = random_profile(game, seed)
        lines = [float(game.rule.received(game, profile, i)[1].sum()) for i in range(3)]
        agreement = Agreement.of(built, accounts(3))
        bounds = quantization_bounds(built, agreement)
        for real, wei, bound in zip(
            lines, agreement.redistribution(agreement.reports(profile)), bounds, strict=True
        ):
            assert abs(real * 1e18 - wei) <= bound


@examples(60)
@given(seeds(), seeds())
def test_the_bound_holds_when_some_are_silent(seed, profile_seed):
    built = awkward_consortium(seed)
    profile = random_profile(built.game, profile_seed)
    agreed = Agreement.of(built, accounts(len(built)))
    silent = set(np.flatnonzero(np.random.default_rng(seed).random(len(built)) < 0.5).tolist())
    reports = [
        SILENT if i in silent else report for i, report in enumerate(agreed.reports(profile))
    ]
    exact = exact_redistribution(built, profile, silent)
    for wei, real, bound in zip(
        agreed.redistribution(reports), exact, quantization_bounds(built, agreed), strict=True
    ):
        assert abs(wei - real) <= bound


def test_the_bound_by_hand():
    # Everything is a whole number but d: half a ppb of 2e10 bit is 10 bit for either side, so
    # 20 bit at 5.12e6 wei and rho 0.05 are 5.12e6 wei, one wei for the cut, and the doubles'.
    built = consortium([organization("a"), organization("b")])
    agreed = Agreement.of(built, accounts(2))
    bounds = quantization_bounds(built, agreed)
    gross = 512e4 * 0.05 * 2 * 2.32e10
    assert bounds[0] == bounds[1]
    assert 5_120_001 <= bounds[0] <= 5_120_003 + 2.0**-49 * gross + 1e-8 * 5.12e6


def test_whoever_has_no_rivals_has_nothing_to_bound():
    rho = np.zeros((3, 3))
    rho[0, 1] = rho[1, 0] = 0.05
    built = consortium([organization(name) for name in "abc"], rho)
    bounds = quantization_bounds(built, Agreement.of(built, accounts(3)))
    assert bounds[2] == 0
    assert bounds[0] == bounds[1] > 0


def test_a_rho_below_half_a_ppb_is_in_the_bound():
    built = consortium(
        [organization("a", data_bits=1e12), organization("b", data_bits=1e9)],
        4e-10,
        incentive_intensity=1e-6,
    )
    agreed = Agreement.of(built, accounts(2))
    assert agreed.rule.rho_ppb == (0,)
    share = assert_bounded(built, StrategyProfile([1.0, 0.02], [2e9, 1e9]))
    assert 0.5 < share <= 1.0


def test_a_gamma_of_few_digits_is_in_the_bound():
    # 2.5e-18 payoff a bit at a wei each is 2.5, and 2 in the agreement: 8 wei of 40 are lost.
    built = consortium(
        [organization("a", data_bits=1.8e19), organization("b", data_bits=1e9)],
        0.9,
        incentive_intensity=2.5e-18,
        settlement={"wei_per_payoff": 1},
    )
    assert Agreement.of(built, accounts(2)).rule.gamma == 2
    share = assert_bounded(built, StrategyProfile([1.0, 0.01], [1e9, 1e9]))
    assert 0.5 < share <= 1.0


# --- the statement in wei ------------------------------------------------------------------------


def statements(built, profile, silent=()):
    agreed = Agreement.of(built, accounts(len(built)))
    bounds = quantization_bounds(built, agreed)
    reports = [
        SILENT if i in silent else report for i, report in enumerate(agreed.reports(profile))
    ]
    real = [float(wei / agreed.wei_per_payoff) for wei in exact_redistribution(built, profile)]
    made = [wei_statement(agreed, reports, i, real[i], bounds[i]) for i in range(len(agreed))]
    return agreed, reports, made


def calculated(text):
    """Return what a calculation says, the last quotient cut toward zero."""
    found = re.fullmatch(r"(\d+) \* (\d+) \* \((\d+) - (\d+)\) / 10\^36", text)
    gamma, rho, x_i, x_j = map(int, found.groups())
    return cut(gamma * rho * (x_i - x_j), 10**36)


@examples(60)
@given(seeds(), seeds())
def test_the_lines_of_the_statement_sum_to_the_redistribution(seed, profile_seed):
    built = awkward_consortium(seed)
    profile = random_profile(built.game, profile_seed)
    agreed, reports, made = statements(built, profile, silent={seed % len(built)})
    assert [answer.redistribution_wei for answer in made] == judged(agreed, reports)
    assert [answer.bond_wei for answer in made] == judged_bonds(agreed)
    for i, entry in enumerate(made):
        assert entry.organization == agreed.names[i]
        assert sum(line.wei for line in entry.lines) == entry.redistribution_wei
        assert [line.counterparty for line in entry.lines] == [
            agreed.names[j] for j in range(len(agreed)) if linear(agreed).rho(len(agreed), i, j) > 0
        ]
        for line in entry.lines:
            assert calculated(line.calculation) == line.wei
            j = agreed.names.index(line.counterparty)
            assert line.inputs["rho_ppb"] == linear(agreed).rho(len(agreed), i, j)
            assert line.inputs["x_i"] == entry.score
        d, s, weight, f = map(int, re.findall(r"\d+", entry.contribution))
        assert (d * s + weight * f, weight) == (entry.score, agreed.rule.lambda_ppb)
        assert (Report(data_ppb=d, cpu_hz=f), s) == (reports[i], agreed.data_bits[i])


@examples(20)
@given(seeds(), seeds())
def test_what_one_pays_the_other_receives(seed, profile_seed):
    built = awkward_consortium(seed)
    _, _, made = statements(built, random_profile(built.game, profile_seed))
    paid = {
        (answer.organization, line.counterparty): line.wei
        for answer in made
        for line in answer.lines
    }
    assert all(paid[b, a] == -wei for (a, b), wei in paid.items())


def paper_statement():
    built = example("paper")
    _, _, made = statements(built, random_profile(built.game, 1))
    return made[0]


def test_the_json_of_a_statement_in_wei():
    one = paper_statement()
    document = json.loads(json.dumps(one.to_dict()))
    assert document["organization"] == "o1"
    assert document["contribution_ppb_bits"] == str(one.score)
    assert document["gamma"] == "5120000000000000000000000"
    assert document["redistribution_wei"] == str(one.redistribution_wei)
    assert document["bond_wei"] == str(one.bond_wei)
    assert document["quantization_bound_wei"] == str(one.bound_wei)
    assert document["quantization_wei"] == one.difference_wei
    assert abs(one.difference_wei) <= one.bound_wei
    assert len(document["lines"]) == 9
    for line, shown in zip(one.lines, document["lines"], strict=True):
        assert shown == {
            "counterparty": line.counterparty,
            "rho_ppb": line.inputs["rho_ppb"],
            "x_i": str(line.inputs["x_i"]),
            "x_j": str(line.inputs["x_j"]),
            "calculation": line.calculation,
            "wei": str(line.wei),
        }


def test_the_text_of_a_statement_in_wei():
    one = paper_statement()
    text = str(one)
    rows = [line for line in text.splitlines() if line.startswith("Eq. (9)")]
    assert len(rows) == 9
    for line, row in zip(one.lines, rows, strict=True):
        assert line.calculation in row
        assert row.endswith(f" {line.wei:,}")
        assert f" {'from' if line.wei > 0 else 'to'} {line.counterparty} " in row
    assert f"{one.redistribution_wei:,}" in text
    assert f"bond {one.bond_wei:,} wei" in text
    assert f"= {one.score} ppb of a bit" in text
    assert f"at most {one.bound_wei:,}" in text


def test_the_markdown_of_a_statement_in_wei_escapes_names():
    names = ["A|B", "*C*"]
    built = consortium([organization(name) for name in names])
    _, _, made = statements(built, StrategyProfile([0.5, 0.25], [1e9, 2e9]))
    first, second = (answer.to_markdown() for answer in made)
    assert first.startswith("## Redistribution of A\\|B in wei\n")
    assert r"| to \*C\* |" in first or r"| from \*C\* |" in first
    rows = [line for line in second.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
