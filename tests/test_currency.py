"""Amounts in money: a file's currency and unit, wherever amounts are shown."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save
from tests.support import Eq11, costly, efficient_game, random_game, random_profile

import tradefl
from tradefl.game import in_currency, own_term
from tradefl.incentives.truthful import truthful
from tradefl.report import report
from tradefl.settlement import Agreement
from tradefl.settlement.locking import locking
from tradefl.solvers import solve
from tradefl.solvers.cautions import buys_little, cautions
from tradefl.statement import calculated, rounded_to
from tradefl.tuning import tune

MONEY = {"currency": "EUR", "payoff_unit": 1000.0}
COSTS = {"organization.0.data_cost": 4.15028, "organization.1.joining_cost": 0.1}


def file(folder: Path, **keys: object) -> Path:
    return save(folder, document(MONEY | COSTS | keys))


@pytest.mark.parametrize("seed", range(6))
def test_every_payoff_is_multiplied_and_nobody_does_otherwise(seed: int) -> None:
    game = efficient_game(seed, 3) if seed % 2 else random_game(seed, 3)
    game = dataclasses.replace(costly(game, seed), currency="EUR", payoff_unit=250.0)
    shown, profile = in_currency(game), random_profile(game, seed)
    judge, money = Eq11(game), Eq11(shown)
    for i in range(3):
        scale = 250.0 * judge.scale(profile, i)
        expected = 250.0 * float(judge.payoff(profile, i))
        assert float(money.payoff(profile, i)) == pytest.approx(expected, abs=1e-12 * scale)
    ours, theirs = own_term(game), own_term(shown)
    np.testing.assert_allclose(theirs.value(profile), ours.value(profile), rtol=1e-9, atol=1e-12)
    assert in_currency(shown) is shown
    plain = dataclasses.replace(game, currency=None)
    assert in_currency(plain) is plain


def test_decimals_stay_as_a_person_would_write_them(tmp_path: Path) -> None:
    game = in_currency(tradefl.load(file(tmp_path)).game)
    assert game.data_cost.tolist() == [4150.28, 0.0, 0.0]
    assert game.joining_cost.tolist() == [0.0, 100.0, 0.0]


def test_a_solution_in_money_keeps_its_contributions_and_proof(tmp_path: Path) -> None:
    solution = tradefl.solve(tradefl.load(file(tmp_path)))
    shown = solution.in_currency()
    np.testing.assert_array_equal(shown.profile.data_fraction, solution.profile.data_fraction)
    assert shown.payoffs == pytest.approx(1000.0 * solution.payoffs)
    assert shown.social_welfare == pytest.approx(1000.0 * solution.social_welfare)
    assert shown.status == solution.status
    assert shown.potential == pytest.approx(solution.potential)
    assert shown.certificate.payoff_scale == pytest.approx(
        1000.0 * solution.certificate.payoff_scale
    )
    statement = shown.statement(0)
    for line in statement.lines:  # a calculator gives every amount to its last digit
        value = calculated(line.calculation)
        assert value is not None
        assert rounded_to(value, statement.decimals) == statement.printed(line)
    assert statement.printed_totals["payoff"] == pytest.approx(
        Decimal(1000.0 * float(solution.payoffs[0])), abs=Decimal("1e-4")
    )


def test_tables_are_in_money_and_documents_in_payoff(tmp_path: Path) -> None:
    path = file(tmp_path)
    solution = tradefl.solve(tradefl.load(path))
    amount = f"{1000.0 * solution.payoffs[0]:,.2f}"
    plain = run("solve", path)
    assert "amounts in EUR" in plain.out
    assert amount in plain.out
    found = run("solve", path, "--json").json
    assert (found["currency"], found["payoff_unit"]) == ("EUR", 1000.0)
    assert found["organizations"][0]["payoff"] == pytest.approx(solution.payoffs[0])
    explained = run("explain", path, "--organization", "Alpha")
    assert amount[:-1] in explained.out  # more decimals, rounded elsewhere
    assert "A unit of payoff in the file is 1,000 EUR" in explained.out
    assert "amount, EUR" in explained.out
    assert "wei, about" in explained.out
    assert run("explain", path, "--json").json["currency"] == "EUR"
    markdown = run("explain", path, "--markdown").out
    assert "| from | to | amount, EUR | wei, about |" in markdown
    without = run("solve", save(tmp_path, document()), "--json").json
    assert not {"currency", "payoff_unit"} & without.keys()


def test_the_wei_next_to_an_amount_are_those_of_the_exchange_rate(tmp_path: Path) -> None:
    path = file(tmp_path, **{"settlement.wei_per_payoff": 10**6})
    payer, receiver, amount = tradefl.solve(tradefl.load(path)).transfers()[0]
    names = tradefl.load(path).names
    out = run("explain", path).out
    row = next(
        line.split()
        for line in out.splitlines()[::-1]
        if line.split()[:2] == [names[payer], names[receiver]]
    )
    assert int(row[-1].replace(",", "")) == round(amount * 10**6)
    assert float(row[-2].replace(",", "")) == pytest.approx(1000.0 * amount, rel=1e-5)


@pytest.mark.parametrize("command", ["tune", "design", "compare"])
def test_commands_about_rules_show_money_and_gamma_as_in_the_file(
    tmp_path: Path, command: str
) -> None:
    path = file(tmp_path)
    ran = run(command, path)
    assert ran.code == 0, ran.err
    assert "amounts in EUR" in ran.out
    found = run(command, path, "--json").json
    assert found["currency"] == "EUR"
    welfare = found.get("social_welfare") or found["social_welfare_optimum"]
    assert f"{1000.0 * welfare:,.0f}".rsplit(",", 1)[0] in ran.out
    if command == "tune":
        assert f"{found['incentive_intensity']:.6g}" in ran.out


def test_every_amount_of_a_comparison_is_in_money(tmp_path: Path) -> None:
    """The splits, too: they are not the payoffs of any solution."""
    names = ["shapley", "leave-one-out", "by-data", "equal", "vcg"]
    found = tradefl.compare(tradefl.load(file(tmp_path)), mechanisms=names)
    shown = found.in_currency()
    assert [outcome.rule for outcome in shown.outcomes[-5:]] == names
    for outcome, money in zip(found.outcomes, shown.outcomes, strict=True):
        for amount in ("payoffs", "gain", "gain_over_alone", "payments", "deficit"):
            expected = 1000.0 * np.asarray(getattr(outcome, amount))
            size = 1000.0 * abs(outcome.solution.social_welfare)
            assert getattr(money, amount) == pytest.approx(expected, abs=1e-9 * size)
        for count in ("gainers", "losers", "below_alone", "stable"):
            assert getattr(money, count) == getattr(outcome, count)


def test_every_result_with_amounts_can_be_shown_in_money(tmp_path: Path) -> None:
    """No command, page or console works out what a unit of payoff is by itself."""
    price = {"low": 1400.0, "mid": 1500.0, "high": 1600.0}
    consortium = tradefl.load(file(tmp_path, **{"organization.0.profitability": price}))
    found = tradefl.incentives(consortium, figures=["competition"], all_rules=False)
    shown = found.in_currency()
    for before, after in zip(found.ranked, shown.ranked, strict=True):
        assert after.gain == pytest.approx(1000.0 * before.gain)
        assert after.gain_fraction == before.gain_fraction
    claims = [row.gain for row in found.over_reporting]
    assert max(claims) > 0.0
    assert [row.gain for row in shown.over_reporting] == pytest.approx([1000.0 * g for g in claims])
    drawn = tradefl.sensitivity(consortium, 10)
    in_money = drawn.in_currency()
    for name in ("payment", "payoff", "alone", "welfare"):
        np.testing.assert_allclose(getattr(in_money, name), 1000.0 * getattr(drawn, name))
    for name in ("equilibrium", "better", "deliverable", "data_fraction"):
        np.testing.assert_array_equal(getattr(in_money, name), getattr(drawn, name))
    assert in_money.tornado[0].size == pytest.approx(1000.0 * drawn.tornado[0].size)
    change = tradefl.replan(consortium, consortium)
    assert change.in_currency().changes[0].after == pytest.approx(1000.0 * change.changes[0].after)
    for result in (shown, in_money, change.in_currency()):
        assert result.in_currency() is result
    assert tradefl.negotiate(consortium).game.currency == "EUR"


def test_the_ranges_of_a_report_are_in_money(tmp_path: Path) -> None:
    price = {"low": 1400.0, "mid": 1500.0, "high": 1600.0}
    consortium = tradefl.load(file(tmp_path, **{"organization.0.profitability": price}))
    drawn = tradefl.sensitivity(consortium, 20)
    page = report(consortium, sensitivity=drawn).replace("<wbr>", "")
    part = page.partition('id="ranges"')[2].partition("</section>")[0]
    assert "Payoffs over all draws, EUR" in part
    assert f"{1000.0 * float(np.median(drawn.payoff[:, 0])):,.1f}</td>" in part
    assert "payoff units" not in part


def test_what_honesty_earns_is_in_money(tmp_path: Path) -> None:
    ran = run("design", file(tmp_path), "--truthful", 0.1, "--residual", "Alpha", "--starts", 0)
    assert ran.code == 0, ran.err
    _, proof = truthful(tradefl.load(file(tmp_path)).game, 0, width=0.1, random_starts=0)
    assert f"surplus         {1000.0 * proof.surplus:,.2f}, " in ran.out
    assert f"{1000.0 * proof.rents[1]:,.2f}" in ran.out


def test_a_design_shows_its_margin_in_money(tmp_path: Path) -> None:
    path = file(tmp_path)
    core = tradefl.design(tradefl.load(path), "stable").core
    assert core is not None
    assert f"{1000.0 * core.margin:,.2f} (" in run("design", path, "--target", "stable").out


@pytest.mark.parametrize("command", ["stability", "negotiate", "incentives --figure competition"])
def test_other_tables_are_in_money(tmp_path: Path, command: str) -> None:
    plain = run(*command.split(), file(tmp_path, payoff_unit=1.0)).out
    shown = run(*command.split(), file(tmp_path)).out
    assert "; amounts in EUR\n" in shown.partition("\n\n")[0] + "\n"

    def amounts(text: str) -> list[float]:
        (row,) = [line for line in text.splitlines() if line.split()[:1] == ["Beta"]][:1]
        found = [cell.replace(",", "") for cell in row.split()]
        return [float(cell) for cell in found if cell.count(".") == 1 and cell[-1].isdigit()]

    before, after = amounts(plain), amounts(shown)
    assert len(before) == len(after) > 0
    ratios = [now / then for then, now in zip(before, after, strict=True) if abs(then) > 0.1]
    assert any(ratio == pytest.approx(1000.0, rel=0.05) for ratio in ratios)


def test_sensitivity_and_replan_are_in_money(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    price = {"low": 1400.0, "mid": 1500.0, "high": 1600.0}
    old = file(tmp_path, **{"organization.0.profitability": price})
    new = file(tmp_path / "new", **{"organization.0.profitability": 1550.0})
    ran = run("sensitivity", old, "--draws", 20)
    assert "; amounts in EUR" in ran.out
    found = tradefl.sensitivity(tradefl.load(old), 20)
    low, high = (1000.0 * amount for amount in (found.tornado[0].low, found.tornado[0].high))
    assert f"{low:,.2f}" in ran.out
    assert f"{high:,.2f}" in ran.out
    ran = run("replan", old, new)
    change = tradefl.replan(tradefl.load(old), tradefl.load(new)).changes[0]
    assert f"{1000.0 * change.after:,.2f}" in ran.out
    other = file(tmp_path / "new", payoff_unit=1.0)
    ran = run("replan", old, other)
    assert ran.code == 2
    assert "payoffs are in 1 EUR, those of the old consortium in 1000 EUR" in ran.err


def test_settlements_show_money_next_to_wei(tmp_path: Path) -> None:
    path = file(tmp_path)
    ran = run("settle", path)
    assert ran.code == 0, ran.err
    assert "redistribution (EUR)" in ran.out
    found = run("settle", path, "--json").json
    assert (found["currency"], found["payoff_unit"]) == ("EUR", 1000.0)
    for organization in found["organizations"]:
        money = int(organization["redistribution_wei"]) / 10**15 * 1000.0
        assert f"{money:,.2f}" in ran.out
        assert f"{int(organization['redistribution_wei']):,}" in ran.out


def test_what_a_bond_locks_and_costs(tmp_path: Path) -> None:
    path = file(
        tmp_path, **{"settlement.report_seconds": 6 * 86_400, "settlement.join_seconds": 86_400}
    )
    found = run("agreement", path, "--interest-rate", "0.1", "--json").json
    assert found["locked_seconds"] == 7 * 86_400
    for organization in found["organizations"]:
        bond = int(organization["bond_wei"]) / 10**15
        assert found["bond_costs"][organization["name"]] == pytest.approx(bond * 0.1 * 7.0 / 365.0)
    printed = run("agreement", path, "--interest-rate", "0.1").out
    assert "for 7 days at most, and what that costs at 10 % a year" in printed
    assert "bond (EUR)" in printed
    for rate in ("-0.1", "nan", "inf"):
        refused = run("agreement", path, "--interest-rate", rate)
        assert refused.code == 2
        assert "--interest-rate: expected a number >= 0" in refused.err
    consortium = tradefl.load(path)
    arbiter = {"arbiter": "0x" + "1" * 40}
    ruled = dataclasses.replace(
        consortium, settlement=consortium.settlement.model_copy(update=arbiter)
    )
    addresses = [f"0x{k:040x}" for k in range(1, 4)]
    days = locking(Agreement.of(ruled, addresses), 0.0).seconds / 86_400
    assert days == 9.0  # and a day each for disputes and rulings


def test_a_report_is_in_money(tmp_path: Path) -> None:
    consortium = tradefl.load(file(tmp_path))
    solution = tradefl.solve(consortium)
    page = report(consortium, solution, tuning=tune(consortium.game))
    assert "All amounts are in EUR. A unit of payoff in the consortium file is 1,000 EUR." in page
    assert f"{1000.0 * solution.payoffs[0]:,.0f}"[:7] in page
    assert "what binds" in page


# --- what to be warned of -----------------------------------------------------------------------


def test_money_that_buys_no_data_is_said(tmp_path: Path) -> None:
    """Nothing costs anything, so everybody gives all it can; compensation only moves money."""
    path = file(tmp_path, **{"mechanism.overhead_weight": 0.0, "organization.0.data_cost": 0.0})
    consortium = tradefl.load(path)
    solution = tradefl.solve(consortium)
    received = solution.terms.redistribution
    moved = 1000.0 * float(received[received > 0.0].sum())
    told = cautions(solution)
    assert f"compensation moves {moved:,.0f} EUR and buys no data" in told[0]
    assert told[1].startswith("everybody is at a limit (")
    assert "buys no data" in run("solve", path).err
    assert "buys no data" in run("explain", path).err
    assert "buys no data" in report(consortium, solution)


def test_compensation_that_buys_data_is_not_complained_of() -> None:
    found = [
        cautions(solve(dataclasses.replace(random_game(seed, 4, gamma=1.0), names=None)))
        for seed in range(12)
    ]
    assert any(not any("buys no data" in entry for entry in told) for told in found)
    assert any(any("everybody is at a limit" in entry for entry in told) for told in found)


def test_a_gamma_that_buys_next_to_nothing_is_said(tmp_path: Path) -> None:
    consortium = tradefl.load(file(tmp_path))
    tuning = tune(consortium.game)
    assert tuning.best is not None
    said = buys_little(tuning.best, tuning.without)
    gained = tuning.best.social_welfare - tuning.without.social_welfare
    little = gained < 1e-3 * abs(tuning.without.social_welfare)
    assert (said is not None) == (little and tuning.best.game.incentive_intensity > 0.0)
    assert ("buys next to nothing" in run("tune", tmp_path / "consortium.toml").err) == bool(said)


def test_documents_read_again(tmp_path: Path) -> None:
    path = file(tmp_path)
    out = tmp_path / "solution.json"
    assert run("solve", path, "-o", out).code == 0
    assert json.loads(out.read_text())["currency"] == "EUR"
    assert run("explain", path, "--profile", out).code == 0
