"""Who could leave: in words, in the report, as a chart; and a blocked agreement that is cured."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from tests.cli.command import run
from tests.stability.oracles import restricted
from tests.test_verbs import three

import tradefl
from tradefl.report import frames
from tradefl.report.plots import stability as plotted
from tradefl.stability.verdict import stability_of
from tradefl.stability.words import reasons, sentence

BANKS = "examples/banks_fraud.toml"


@pytest.fixture(scope="module")
def blocked():
    return tradefl.stability(tradefl.load(BANKS))


@pytest.fixture(scope="module")
def cured():
    return tradefl.design(tradefl.load(BANKS), "stable", random_starts=0)


def test_the_words_name_who_could_leave_and_who_is_unwanted(blocked, cured):
    said = " ".join(reasons(blocked, 2))
    assert "all but Summit Corporate" in sentence(blocked, 2)
    assert "29 coalitions" in sentence(blocked, 2)
    assert "The others would do better without Summit Corporate" in said
    assert "Nobody would leave alone" in said
    now = stability_of(cured.agreed)
    said = " ".join(reasons(now, 2))
    assert sentence(now, 2).startswith("Stable.")
    assert "Nobody would be expelled" in said
    assert "comes nearest to leaving" in said


def test_the_words_agree_with_the_figures(blocked):
    """The others' loss is what they have now, less what they would have without it."""
    others = blocked.payoff.sum() - blocked.payoff
    without = blocked.grand_value - blocked.marginal
    k = int(np.argmin(others - without))
    assert blocked.game.name_of(k) == "Summit Corporate"
    [amount] = re.findall(r"([0-9.]+) better without Summit", " ".join(reasons(blocked, 2)))
    assert float(amount) == pytest.approx(without[k] - others[k], abs=0.01)


def test_somebody_below_alone_is_named_alone():
    game = three()
    total = tradefl.stability(game, "efficient").grand_value
    found = tradefl.stability(game, [total, 0.0, 0.0])
    said = " ".join(reasons(found, 2))
    assert "Beta, Gamma have less than by training alone" in said
    assert "No split of this consortium is stable." not in said


def test_the_report_says_it_on_the_first_page_and_shows_the_corridor(blocked):
    consortium = tradefl.load(BANKS)
    page = tradefl.report(consortium, stability=blocked)
    first, rest = page.split('id="stability"', 1)
    assert "Would they stay? Not stable. Together, all but Summit Corporate" in first
    assert "Who could leave, and why they do not" in rest
    assert "corridor" in rest
    assert "12 payoffs are within their bars" in rest
    assert 'id="stability"' not in tradefl.report(consortium)
    board = tradefl.report(consortium, stability=blocked, audience="board")
    assert "Would they stay?" in board
    assert "Who could leave, and why they do not" in board


def test_amounts_of_the_report_are_in_the_currency(blocked):
    game = dataclasses.replace(blocked.game, currency="EUR", payoff_unit=1000.0)
    found = dataclasses.replace(blocked, game=game)
    shown = found.in_currency()
    assert shown.verdict == found.verdict
    assert shown.margin == pytest.approx(1000.0 * found.margin)
    assert shown.split.payoff == pytest.approx(1000.0 * found.payoff)
    assert shown.game.payoff_unit == 1.0
    assert blocked.in_currency() is blocked


def test_the_chart_has_every_mark_of_every_organization(blocked):
    chart = plotted(blocked).to_dict()
    assert len(chart["layer"]) == 2
    points = chart["datasets"][chart["layer"][1]["data"]["name"]]
    assert len(points) == 4 * blocked.game.size
    assert {point["what"] for point in points} == {
        "alone", "what it brings", "least core", "payoff"
    }  # fmt: skip
    rows = frames.corridor(blocked, [2, 5])
    assert rows["organization"].tolist() == ["Citizens Retail", "Granite Commercial"]
    assert rows["marginal"].tolist() == blocked.marginal[[2, 5]].tolist()


def test_the_agreement_that_is_blocked_is_cured_and_settles_to_the_wei(tmp_path):
    """Issue: stability names who blocks, design cures it, settle and audit carry it to the wei."""
    ran = run("stability", BANKS)
    assert ran.code == 1
    assert "all but Summit Corporate" in ran.out
    assert "29 coalitions could do better" in ran.out
    designed, settled = tmp_path / "stable.toml", tmp_path / "settlement.json"
    assert run("design", BANKS, "--target", "stable", "-o", designed, "--starts", 0).code == 0
    ran = run("stability", designed)
    assert ran.code == 0
    assert "proven for all" in ran.out
    ran = run("settle", designed, "-o", settled)
    assert ran.code == 0
    assert "everything agrees to the wei" in ran.out
    # The settled payments are those of the split that was proven stable.
    found = tradefl.stability(tradefl.load(designed))
    assert found.payoff == pytest.approx(found.least_core, abs=1e-6 * found.grand_value)


def test_a_stable_design_does_not_depend_on_the_order_of_the_file():
    """Heterogeneous, and its least core is not M - ebar: a corner would depend on the order."""
    from tradefl.experiments.draws import draw_heterogeneous

    game = draw_heterogeneous(0, spread=1.1, rivalry=0.5, organizations=6)
    order = np.array([4, 2, 0, 5, 1, 3])
    other = restricted(game, order)
    one, two = (tradefl.design(each, "stable", random_starts=0) for each in (game, other))
    scale = abs(one.agreed.social_welfare)
    assert two.agreed.payoffs == pytest.approx(one.agreed.payoffs[order], abs=1e-6 * scale)
