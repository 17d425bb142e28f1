"""Honesty pays: misreports through the settled integers, textbook identities, what is refused."""

import dataclasses
import functools
from fractions import Fraction

import numpy as np
import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save
from tests.golden.cases import EXAMPLES
from tests.support import heterogeneous_game

import tradefl
from tradefl.consortium import load
from tradefl.game import deviation_gain
from tradefl.game.welfare import payoffs_without_redistribution
from tradefl.incentives.optima import Optima, Reports
from tradefl.incentives.promise import agreed_menus, consistent, recomputed, section, written
from tradefl.incentives.truthful import (
    Mechanism,
    NeedsMoneyError,
    menus_around,
    proven,
    truthful,
)
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.stand_ins import addresses_or_stand_ins
from tradefl.solvers import solve

FAST = {"random_starts": 0}


def with_figure(consortium, i, field, value):
    """The consortium in which i reports a value; what the others report stays."""
    column = np.array(getattr(consortium.organizations, field), dtype=float)
    column[i] = value
    who = dataclasses.replace(consortium.organizations, **{field: column})
    return dataclasses.replace(consortium, organizations=who)


def settled(consortium, claimant, menus_of):
    """What everybody is paid, wei, and the profile, if the file's figures are reported."""
    menus = agreed_menus(consortium, claimant)
    assert menus is not None
    assert menus_of is None or [list(point) for point in menus.points] == menus_of
    designed, proof = truthful(consortium.game, claimant, menus=menus, tried=4, **FAST)
    file = written(consortium, designed, proof)
    agreement = Agreement.of(file, addresses_or_stand_ins(file.organizations.addresses))
    paid = agreement.redistribution(agreement.reports(designed.agreed.profile))
    return designed, [Fraction(wei, agreement.wei_per_payoff) for wei in paid]


def most_gained(consortium, claimant):
    """The most that anybody gains by any report from its agreed menu, as a share of W.

    Re-solved, re-designed, quantized, paid: nothing of the mechanism is used but what the file
    says. Returns it without and with a deviation in data afterwards.
    """
    menus = agreed_menus(consortium, claimant)
    welfare = solve(consortium.game.with_incentive_intensity(0.0), "planner").social_welfare
    worst = worst_twice = -np.inf
    for i in menus.asked:
        field = menus.fields[i]
        outcomes = [
            settled(with_figure(consortium, i, field, point), claimant, None)
            for point in menus.points[i].tolist()
        ]
        for true in menus.points[i].tolist():
            truth = with_figure(consortium, i, field, true).game.with_incentive_intensity(0.0)
            earned, moved = [], []
            for designed, paid in outcomes:
                profile = designed.agreed.profile
                own = payoffs_without_redistribution(truth, profile)[i] + float(paid[i])
                earned.append(own)
                game = truth.with_compensation(designed.rule)
                best = 0.0
                for level, high in enumerate(truth.max_data_fraction(truth.cpu_levels_hz)[i]):
                    if high >= truth.min_data_fraction:
                        d = np.linspace(truth.min_data_fraction, high, 200)
                        f = np.full(d.size, truth.cpu_levels_hz[i, level])
                        gain = deviation_gain(game, profile, np.full(d.size, i), d, f)
                        best = max(best, float(gain.max()))
                moved.append(own + best)
            honest = earned[menus.points[i].tolist().index(true)]
            worst = max(worst, (max(earned) - honest) / welfare)
            worst_twice = max(worst_twice, (max(moved) - honest) / welfare)
    return worst, worst_twice


def with_menus(consortium, claimant, width, points=3, fields=None):
    menus = menus_around(consortium.game, claimant, width, fields, points)
    lists = {}
    for i in menus.asked:
        column = lists.setdefault(f"{menus.fields[i]}_menu", [None] * len(consortium))
        column[i] = tuple(menus.points[i].tolist())
    who = dataclasses.replace(
        consortium.organizations, menus={key: tuple(value) for key, value in lists.items()}
    )
    return dataclasses.replace(consortium, organizations=who)


@functools.cache
def example(name):
    return tradefl.load(EXAMPLES / f"{name}.toml")


def three(tmp_path, changes=None):
    return load(save(tmp_path, document(changes or {})))


# --- nobody gains by misreporting ----------------------------------------------------------------


def test_no_report_gains_through_the_settled_integers(tmp_path):
    consortium = with_menus(three(tmp_path), 0, 0.1)
    worst, twice = most_gained(consortium, 0)
    assert worst <= 1e-9
    assert twice <= 1e-4  # a misreported p moves the others: section 2.2


def test_no_cost_gains_even_with_less_data_afterwards(tmp_path):
    costs = {f"organization.{k}.data_cost": 60.0 for k in range(3)}
    consortium = with_menus(three(tmp_path, costs), 0, 0.5, fields={1: "data_cost", 2: "data_cost"})
    worst, twice = most_gained(consortium, 0)
    assert worst <= 1e-9
    assert twice <= 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_no_report_gains_in_a_random_consortium(seed):
    base = example(("hospitals", "drug_discovery", "banks_fraud")[seed % 3])
    rng = np.random.default_rng(seed)
    keep = np.sort(rng.choice(len(base), 4, replace=False))
    who = base.organizations
    columns = {
        name: getattr(who, name)[keep]
        for name in (
            *("profitability", "data_bits", "samples", "cycles_per_bit", "cpu_levels_hz"),
            *("download_seconds", "upload_seconds", "data_cost", "joining_cost", "capacitance"),
            "quality",
        )
    }
    columns["profitability"] = columns["profitability"] * rng.lognormal(0.0, 0.3, 4)
    picked = dataclasses.replace(
        who,
        names=tuple(who.names[k] for k in keep),
        sectors=tuple(who.sectors[k] for k in keep),
        addresses=(None,) * 4,
        **columns,
    )
    dense = np.array([base.game.competition.dot(row) for row in np.eye(len(base))])
    rho = tradefl.game.as_competition(dense[np.ix_(keep, keep)])
    consortium = dataclasses.replace(base, organizations=picked, rho=rho, compensation=None)
    claimant = int(rng.integers(4))
    worst, twice = most_gained(with_menus(consortium, claimant, 0.1), claimant)
    assert worst <= 1e-9
    assert twice <= 1e-4


# --- identities ----------------------------------------------------------------------------------


def test_without_rivalry_the_rents_are_the_groves_differences():
    game = dataclasses.replace(heterogeneous_game(5, 4), competition=np.zeros((4, 4)))
    menus = menus_around(game, 3, 0.3)
    found = proven(game, menus, tried=5)
    for i in menus.asked:
        for m, point in enumerate(menus.points[i]):
            p = game.profitability.copy()
            p[i] = point
            best = solve(dataclasses.replace(game, profitability=p), "planner").social_welfare
            p[i] = menus.points[i][0]
            least = solve(dataclasses.replace(game, profitability=p), "planner").social_welfare
            rent = found.axes[i].utility[m] - found.axes[i].utility[0]
            assert rent == pytest.approx(best - least, abs=1e-8 * best)


def test_the_optima_of_reports_are_those_of_the_planner():
    """Proven by one bound for many reports: against the planner, one after the other."""
    game = heterogeneous_game(7, 5)
    menus = menus_around(game, 0, 0.3)
    optima = Optima(Reports(game, menus.fields))
    rng = np.random.default_rng(1)
    rows = np.array(
        [
            [np.nan if not point.size else rng.choice(point) for point in menus.points]
            for _ in range(40)
        ]
    )
    found = optima(rows)
    assert len(optima.pool) < 40
    for k, row in enumerate(rows):
        one = Reports(game, menus.fields).of(row)
        best = solve(one, "planner")
        assert found.welfare[k] == pytest.approx(best.social_welfare, rel=1e-9)
        assert found.performance[k] == pytest.approx(best.terms.performance, rel=1e-7)
        np.testing.assert_allclose(
            found.outside[k], solve(one, "dbr").payoffs, rtol=1e-9, atol=1e-9
        )


def test_the_budget_balances_and_nobody_is_worse_off_at_every_profile_tried():
    game = example("hospitals").game
    menus = menus_around(game, 0, 0.1)
    found = proven(game, menus, tried=200)
    assert found.profiles_tried >= 200
    assert found.least_surplus >= 0.0
    assert found.least_gain >= -1e-9
    assert abs(found.redistribution.sum()) <= 1e-9
    mechanism = Mechanism(game, menus)
    low = np.array([point.min() if point.size else np.nan for point in menus.points])
    paid, rebates = mechanism.redistribution(low)
    earned = mechanism.optima(low[None, :]).payoffs[0] + paid
    assert np.all(earned >= mechanism.optima(low[None, :]).outside[0] - 1e-9)
    assert np.all(rebates >= 0.0)
    assert abs(paid.sum()) <= 1e-9


def test_a_rebate_does_not_depend_on_the_own_report():
    game = example("hospitals").game
    menus = menus_around(game, 0, 0.1, points=3)
    mechanism = Mechanism(game, menus)
    for i in menus.asked[:2]:
        rows = [menus.reports.copy() for _ in menus.points[i]]
        for row, point in zip(rows, menus.points[i], strict=True):
            row[i] = point
        rebates = [mechanism.rebate(row, i) for row in rows]
        assert max(rebates) == min(rebates)


def test_menus_that_are_not_monotone_are_ironed(monkeypatch):
    """Where P falls in a report, a point is dropped, never the report itself."""
    game = example("hospitals").game
    menus = menus_around(game, 0, 0.1, points=5)
    real = Mechanism.falls
    dropped = []

    def falls(self, reports):
        if self.menus.points[2].size == 5:
            dropped.append(float(self.menus.points[2][1]))
            return 2, dropped[-1]
        return real(self, reports)

    monkeypatch.setattr(Mechanism, "falls", falls)
    found = proven(game, menus, tried=4)
    assert found.ironed == ((2, dropped[0]),)
    assert found.menus.points[2].size == 4
    assert found.menus.reports[2] in found.menus.points[2]


# --- the promise in the file ---------------------------------------------------------------------


def test_what_is_written_is_consistent_and_recomputes(tmp_path):
    consortium = three(tmp_path)
    designed, proof = truthful(consortium.game, 0, width=0.1, tried=8, **FAST)
    file = written(consortium, designed, proof)
    tradefl.consortium.write(file, tmp_path / "t.toml")
    again = load(tmp_path / "t.toml")
    assert again == file
    promise = again.compensation.truthful
    assert promise == section(proof, consortium.game)
    assert promise.claimant == "Alpha"
    for check in [*consistent(promise), *recomputed(again)]:
        assert check.agrees, check
    # A figure that has changed since shows.
    other = with_figure(again, 0, "profitability", 1_490.0)
    assert any(not check.agrees for check in recomputed(other))
    one = promise.organizations["Beta"]
    bent = promise.model_copy(
        update={
            "organizations": {
                **promise.organizations,
                "Beta": one.model_copy(
                    update={"utility": [x + k for k, x in enumerate(one.utility)]}
                ),
            }
        }
    )
    assert any(not check.agrees for check in consistent(bent))


def test_settle_and_audit_carry_it_to_the_wei(tmp_path):
    path = save(tmp_path, document())
    out = tmp_path / "t.toml"
    ran = run(*("design", path, "--truthful", 0.1, "--residual", "Alpha", "-o", out, "--starts", 0))
    assert ran.code == 0
    assert "Honesty pays: Alpha is not asked" in ran.out
    assert "only once these menus are agreed" in ran.err
    ran = run("agreement", out)
    assert "No report from the menus gains" in ran.out
    assert "Alpha is not asked" in ran.out
    page = tmp_path / "page.html"
    assert run("report", out, "-o", page, "--no-tune", "--no-compare").code == 0
    assert "Alpha is not asked" in page.read_text()
    ran = run("settle", out, "--json")
    assert ran.code == 0
    ran = run("audit", out, "--json")
    assert ran.code == 0
    assert ran.json["agrees"]
    assert any("menus were written around the reports" in note for note in ran.json["notes"])


def test_json_has_the_promise_and_menus_of_the_file_count(tmp_path):
    menus = {"organization.1.profitability_menu": [1550.0, 1600.0, 1650.0]}
    menus |= {"organization.2.profitability_menu": [1600.0, 1700.0]}
    path = save(tmp_path, document(menus))
    ran = run("design", path, "--truthful", 0.1, "--residual", "Alpha", "--json", "--starts", 0)
    assert ran.code == 0
    promise = ran.json["truthful"]
    assert promise["menus"] == "agreed"
    assert "range" not in promise
    assert promise["organizations"]["Beta"]["menu"] == [1550.0, 1600.0, 1650.0]
    assert ran.json["target"] == "truthful"
    # Alpha has no menu, so nobody else can be the claimant.
    ran = run("design", path, "--truthful", 0.1, "--residual", "Beta", "--starts", 0)
    assert (ran.code, "organization 'Alpha': has no menu" in ran.err) == (2, True)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--truthful", 0.1), "--truthful: needs --residual NAME"),
        (("--residual", "Alpha"), "--residual: needs --truthful"),
        (("--figure", "Beta=data_cost"), "--figure: needs --truthful"),
        (("--truthful", 0.1, "--residual", "Alpah"), "--residual: no organization 'Alpah'"),
        (("--truthful", 0, "--residual", "Alpha"), "--truthful: expected a number in (0, 1)"),
        (("--truthful", 1.0, "--residual", "Alpha"), "--truthful: expected a number in (0, 1)"),
        (("--truthful", -0.1, "--residual", "Alpha"), "--truthful: expected a number in (0, 1)"),
        (("--truthful", "nan", "--residual", "Alpha"), "--truthful: expected a number in (0, 1)"),
        (
            ("--truthful", 0.1, "--residual", "Alpha", "--figure", "Beta=cycles_per_bit"),
            "--figure: cycles_per_bit cannot be asked: effort also moves the deadline",
        ),
        (
            ("--truthful", 0.1, "--residual", "Alpha", "--figure", "Beta=competition"),
            "--figure: competition cannot be asked: two organizations know each rho",
        ),
        (
            ("--truthful", 0.1, "--residual", "Alpha", "--figure", "Beta=samples"),
            "--figure: expected one of profitability, data_cost, capacitance, joining_cost",
        ),
        (
            ("--truthful", 0.1, "--residual", "Alpha", "--figure", "Beta"),
            "--figure: expected NAME=FIELD, got 'Beta'",
        ),
        (
            ("--truthful", 0.1, "--residual", "Alpha", "--figure", "Alpha=data_cost"),
            "--figure: Alpha is the residual claimant",
        ),
        (
            ("--truthful", 0.1, "--residual", "Alpha", "--figure", "Beta=data_cost"),
            "--figure: data_cost of Beta is 0, and every share of 0 is 0; give it a data_cost_menu",
        ),
        (
            ("--truthful", 0.1, "--residual", "Alpha", "--target", "least-cash"),
            "--target: cannot be combined with --truthful",
        ),
    ],
)
def test_bad_options_are_named(tmp_path, options, message):
    out = tmp_path / "out.toml"
    ran = run("design", save(tmp_path, document()), *options, "-o", out, "--starts", 0)
    assert ran.code == 2
    assert message in ran.err
    assert not out.exists()


def test_a_range_that_needs_money_is_refused_with_the_widest_that_does_not(tmp_path):
    path = save(tmp_path, document())
    game = load(path).game
    with pytest.raises(NeedsMoneyError) as caught:
        truthful(game, 0, width=0.8, tried=6, **FAST)
    assert caught.value.least < 0.0
    widest = caught.value.widest
    if widest is not None:
        assert 0.0 < widest < 0.8
        menus = menus_around(game, 0, widest)
        assert proven(game, menus, tried=6).least_surplus >= 0.0
    out = tmp_path / "out.toml"
    ran = run("design", path, "--truthful", 0.8, "--residual", "Alpha", "-o", out, "--starts", 0)
    assert ran.code == 1
    assert "outside money" in ran.err
    assert not out.exists()
    refused = ("design", path, "--truthful", 0.8, "--residual", "Alpha", "--quiet", "--starts", 0)
    quiet = run(*refused)
    assert quiet.code == 1
    assert "outside money" in quiet.err  # the answer, not a remark
    assert "menus were written" not in quiet.err


def test_a_menu_box_in_which_somebody_has_no_game_is_refused():
    game = example("paper").game
    with pytest.raises(ValueError, match=r"^truthful: .*z must be > 0 for all reports"):
        truthful(game, 0, width=0.5, **FAST)


def test_a_menu_of_one_figure_is_none():
    menus = menus_around(example("paper").game, 0, 0.1, points=2)
    with pytest.raises(ValueError, match=r"^figure: P falls along the whole menu of profitability"):
        menus.without(1, menus.points[1][0])


@pytest.mark.parametrize("menu", [[], [900.0]])
def test_a_menu_in_the_file_has_two_figures_at_least(tmp_path, menu):
    ran = run("check", save(tmp_path, document({"organization.0.profitability_menu": menu})))
    assert ran.code == 2
    assert "profitability_menu: expected at least 2 ascending numbers" in ran.err


def test_two_organizations_are_too_few():
    with pytest.raises(ValueError, match=r"^residual: expected at least three"):
        truthful(heterogeneous_game(1, 2), 0, width=0.1, **FAST)
