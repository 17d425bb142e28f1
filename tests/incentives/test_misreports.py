"""What misreports gain: against designs one by one, and the command."""

import dataclasses

import numpy as np
import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save
from tests.golden.cases import EXAMPLES

import tradefl
from tradefl.consortium import load
from tradefl.design import design, in_decimals
from tradefl.errors import InputError
from tradefl.game.welfare import payoffs_without_redistribution
from tradefl.incentives.misreports import CHECKED_BY
from tradefl.incentives.promise import agreed_menus
from tradefl.incentives.truthful import Mechanism
from tradefl.solvers import solve


def test_under_equal_gain_it_is_what_designs_one_by_one_give(tmp_path):
    consortium = load(save(tmp_path, document()))
    found = tradefl.incentives(consortium, 0.2, figures=["profitability"], points=4)
    rows = {entry.organization: entry for entry in found.rules["efficient: equal-gain"]}
    game = consortium.game
    bare = game.with_incentive_intensity(0.0)
    honest = design(game, random_starts=0, without=solve(bare, "dbr")).agreed.payoffs
    for i in range(game.size):
        best = 0.0
        for factor in (0.8, 0.9, 1.1, 1.2):
            p = game.profitability.copy()
            p[i] *= factor
            told = dataclasses.replace(game, profitability=p)
            without = solve(told.with_incentive_intensity(0.0), "dbr")
            made = design(told, random_starts=0, without=without)
            own = payoffs_without_redistribution(bare, made.agreed.profile)[i]
            best = max(best, own + made.rule.net_constants[i] - honest[i])
        assert rows[i].gain == pytest.approx(best, abs=1e-7)
        assert not rows[i].certified


def test_the_file_s_own_target_is_what_a_report_is_paid_by(tmp_path):
    """By profitability, payoff + gain is W(r) r_i / sum r + (p_i - r_i) P at the told optimum."""
    game = load(save(tmp_path, document())).game
    made = design(game, "by-profitability", random_starts=0)
    consortium = load(tmp_path / "consortium.toml").designed(made.rule, "by-profitability")
    found = tradefl.incentives(consortium, 0.2, figures=["profitability"], points=4)
    assert next(iter(found.rules)) == "efficient: by-profitability"
    names = {"efficient: stable", "efficient: equal-gain", "efficient: proportional-gain"}
    assert names | {"efficient: least-cash"} < set(found.rules)
    rows = {entry.organization: entry for entry in found.rules["efficient: by-profitability"]}
    bare = game.with_incentive_intensity(0.0)
    honest = solve(bare, "planner").social_welfare * game.profitability / game.profitability.sum()
    for i in range(game.size):
        best = 0.0
        for factor in (0.8, 0.9, 1.1, 1.2):
            p = game.profitability.copy()
            p[i] *= factor
            told = dataclasses.replace(bare, profitability=p)
            optimum = solve(told, "planner")
            share = optimum.social_welfare * p[i] / p.sum()
            more = (game.profitability[i] - p[i]) * float(optimum.terms.performance)
            best = max(best, share + more - honest[i])
        assert rows[i].gain == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("target", ["stable", "by-profitability"])
def test_no_target_is_taken_for_equal_gain(target):
    consortium = tradefl.load(EXAMPLES / "hospitals.toml")
    made = design(consortium.game, target, random_starts=0)
    designed = consortium.designed(made.rule, target)
    found = tradefl.incentives(designed, 0.1, figures=["profitability"])
    own = [row.gain for row in found.rules[f"efficient: {target}"]]
    equal = [row.gain for row in found.rules["efficient: equal-gain"]]
    assert max(own) < 0.5 * max(equal)


def test_the_paper_s_rule_never_asks_for_profitability(tmp_path):
    consortium = load(save(tmp_path, document()))
    found = tradefl.incentives(consortium, 0.1, all_rules=False)
    assert list(found.rules) == ["linear"]
    for misreport in found.ranked:
        if misreport.figure in ("data_bits", "cpu_levels_hz", "competition"):
            assert not misreport.certified
            assert misreport.gain >= 0.0
        else:
            assert (misreport.gain, misreport.certified) == (0.0, True)
    gains = [misreport.gain for misreport in found.ranked]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] > 0.0


def test_rho_is_paid_for_directly():
    """STABILITY 2.3: under the paper's rule a share of rho moves that share of R_i."""
    consortium = tradefl.load(EXAMPLES / "hospitals.toml")
    found = tradefl.incentives(consortium, 0.1, figures=["competition"], all_rules=False)
    paid = solve(consortium.game, "dbr").terms.redistribution
    for misreport in found.ranked:
        assert misreport.gain == pytest.approx(0.1 * abs(paid[misreport.organization]), rel=0.02)


def test_over_reporting_is_the_payment_alone(tmp_path):
    consortium = load(save(tmp_path, document()))
    found = tradefl.incentives(consortium, figures=["profitability"], all_rules=False)
    game, agreed = consortium.game, solve(consortium.game)
    for report in found.over_reporting:
        i = report.organization
        top = float(np.nanmax(game.cpu_levels_hz[i]))
        claimed = agreed.profile.replaced(i, 1.0, top)
        silent = agreed.profile.replaced(i, 0.0, 0.0)
        gain = game.rule.redistribution(game, claimed)[i] - agreed.terms.redistribution[i]
        assert report.gain == pytest.approx(gain, abs=1e-9)
        lost = agreed.terms.redistribution[i] - game.rule.redistribution(game, silent)[i]
        assert report.audit_probability == pytest.approx(gain / (gain + lost), rel=1e-9)
        # At that probability claiming and honesty are worth the same.
        q = report.audit_probability
        assert (1 - q) * gain - q * lost == pytest.approx(0.0, abs=1e-9 * (gain + lost))


def test_a_promise_makes_its_figure_certified(tmp_path):
    path, out = save(tmp_path, document()), tmp_path / "t.toml"
    assert (
        run(
            *("design", path, "--truthful", 0.1, "--residual", "Alpha", "-o", out, "--starts", 0)
        ).code
        == 0
    )
    found = tradefl.incentives(load(out), all_rules=False, figures=["profitability", "data_bits"])
    sure = {
        (misreport.organization, misreport.figure): misreport.certified
        for misreport in found.ranked
    }
    assert sure[1, "profitability"]
    assert sure[2, "profitability"]
    assert not sure[1, "data_bits"]


def test_under_menus_every_figure_is_tried_without_being_named(tmp_path):
    """Against the menus' payments worked out one report at a time, by the planner alone."""
    path, out = save(tmp_path, document()), tmp_path / "t.toml"
    options = ("--truthful", 0.1, "--residual", "Alpha", "-o", out, "--starts", 0)
    assert run("design", path, *options).code == 0
    consortium = load(out)
    found = tradefl.incentives(consortium, 0.1, all_rules=False)
    rows = {(row.organization, row.figure): row for row in found.ranked}
    stated = {"profitability", "cycles_per_bit", "cpu_levels_hz", "data_bits", "competition"}
    assert all((i, figure) in rows for i in range(3) for figure in stated)
    gains = [row.gain for row in found.ranked]
    assert gains == sorted(gains, reverse=True)
    menus, game = agreed_menus(consortium, 0), consortium.game.with_incentive_intensity(0.0)

    def paid(told):
        agreed = in_decimals(told, solve(told, "planner").profile)
        received = Mechanism(told, menus).redistribution(menus.reports)[0]
        return payoffs_without_redistribution(game, agreed) + received

    honest = paid(game)
    for i, figure in ((0, "profitability"), (1, "cycles_per_bit"), (2, "download_seconds")):
        earned = []
        for factor in (0.9, 1.1):
            column = np.array(getattr(game, figure))
            column[i] *= factor
            told = dataclasses.replace(game, **{figure: column})
            agreed = in_decimals(told, solve(told, "planner").profile)
            if game.is_feasible(agreed).all():
                earned.append(paid(told))
        best = max(earned, key=lambda row: row[i])
        row = rows[i, figure]
        assert row.reports_tried == 2
        assert row.gain == pytest.approx(max(best[i] - honest[i], 0.0), abs=2e-6)
        if row.paid_by is not None:
            assert row.paid_by == int(np.argmax(np.delete(honest - best, i))) + (
                np.argmax(np.delete(honest - best, i)) >= i
            )
    ran = run("incentives", out, "--figure", "data_bits")
    assert "the best of the 2 ends of the range" in ran.err
    assert run("incentives", out, "--json").json["organizations"][0]["reports_tried"] == 2


def test_json_has_one_row_for_each_organization_and_figure(tmp_path):
    path = save(tmp_path, document())
    ran = run("incentives", path, "--range", 0.1, "--points", 4, "--json")
    assert ran.code == 0
    found = ran.json
    assert found["schema"] == "tradefl/incentives/1"
    assert found["range"] == 0.1
    keys = {"name", "figure", "report", "gain", "gain_fraction", "certified", "then_deviates"}
    rows = [
        (organization["name"], organization["figure"]) for organization in found["organizations"]
    ]
    assert len(rows) == len(set(rows))
    for organization in found["organizations"]:
        assert keys | {"checked_by"} <= set(organization)
        assert organization["checked_by"] == CHECKED_BY[organization["figure"]]
    assert {entry["name"] for entry in found["over_reporting"]} == {"Alpha", "Beta", "Gamma"}
    assert {rule["rule"] for rule in found["rules"]} >= {"tuned", "efficient: equal-gain"}


def test_the_table_says_what_is_a_search(tmp_path):
    ran = run("incentives", save(tmp_path, document()), "--figure", "profitability")
    assert ran.code == 0
    assert "certified" in ran.out
    assert "a search" in ran.err or "'search'" in ran.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--range", 0), "--range: expected a number in (0, 1)"),
        (("--range", 1), "--range: expected a number in (0, 1)"),
        (("--range", "nan"), "--range: expected a number in (0, 1)"),
        (("--figure", "colour"), "--figure: expected one of profitability"),
        (("--points", 1), "--points"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, options, message):
    ran = run("incentives", save(tmp_path, document()), *options)
    assert ran.code == 2
    assert message in ran.err


def test_the_library_names_parameters(tmp_path):
    consortium = load(save(tmp_path, document()))
    with pytest.raises(InputError, match=r"^range: expected a number in \(0, 1\)"):
        tradefl.incentives(consortium, -0.1)
    with pytest.raises(InputError, match=r"^points: expected an integer >= 2"):
        tradefl.incentives(consortium, points=1)
