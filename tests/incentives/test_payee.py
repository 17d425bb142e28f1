"""A payee: an account that contributes nothing and receives what a truthful rule leaves."""

import dataclasses
import json
from fractions import Fraction

import numpy as np
import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save
from tests.golden.cases import EXAMPLES
from tests.incentives.test_truthful import with_figure, with_menus
from tests.support import heterogeneous_game

import tradefl
from tradefl.consortium import load
from tradefl.consortium.schema import Payee, Settlement, Truthful, TruthfulOrganization
from tradefl.errors import InputError
from tradefl.game import EfficientRule, Schedule, StrategyProfile, regret
from tradefl.game.welfare import payoffs_without_redistribution, social_welfare
from tradefl.incentives.promise import agreed_menus, consistent, recomputed, words, written
from tradefl.incentives.truthful import truthful
from tradefl.negotiation.knowledge import known_game, private_figures
from tradefl.settlement import quantization_bounds
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.annex import promise_of, read_annex
from tradefl.settlement.stand_ins import addresses_or_stand_ins
from tradefl.solvers import solve

FAST = {"random_starts": 0}
PAYEE = "0x00000000000000000000000000000000000000AA"  # capitals as EIP-55 wants them


def three(tmp_path, changes=None):
    return load(save(tmp_path, document(changes or {})))


def with_payee(consortium, width=0.1, **options):
    designed, proof = truthful(
        consortium.game, None, payee="payee", width=width, tried=8, **FAST, **options
    )
    return designed, proof, written(consortium, designed, proof, Payee(address=PAYEE))


def agreed(file):
    return Agreement.of(file, addresses_or_stand_ins(file.accounts))


# --- the rule ------------------------------------------------------------------------------------


def test_the_rule_counts_the_payee_as_one_more_with_a_flat_schedule():
    """Against the same rule for one organization more, which contributes and gains nothing."""
    rng = np.random.default_rng(3)
    schedules = tuple(
        Schedule([0.0, 0.4, 1.0], np.array([-3.0, -1.0, 0.0]) * scale)
        for scale in rng.uniform(0.5, 2.0, 3)
    )
    constants = np.array([1.0, -2.5, 0.3])
    own = EfficientRule(schedules, constants, ((0, 2, 0.25), (1, 3, -0.5)), payee="payee")
    four = EfficientRule(
        (*schedules, Schedule([0.0, 1.0], [0.0, 0.0])),
        np.append(constants, -constants.sum()),
        own.extra,
    )
    game = tradefl.load(EXAMPLES / "hospitals.toml").game
    d, f = np.array([0.2, 0.9, 0.6]), np.ones(3)
    mine, theirs = StrategyProfile(d, f), StrategyProfile(np.append(d, 1.0), np.ones(4))
    paid, all_paid = own.redistribution(game, mine), four.redistribution(game, theirs)
    np.testing.assert_allclose(paid, all_paid[:3], atol=1e-12)
    assert own.paid_out(game, mine) == pytest.approx(all_paid[3], abs=1e-12)
    assert paid.sum() + own.paid_out(game, mine) == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(own.bonds, four.bonds[:3], atol=1e-12)
    np.testing.assert_allclose(own.net_constants, four.net_constants[:3], atol=1e-12)
    for i in range(3):
        others, amounts = own.received(game, mine, i)
        assert others.tolist() == [j for j in range(4) if j != i]
        np.testing.assert_allclose(amounts, four.received(game, theirs, i)[1], atol=1e-12)
        assert amounts.sum() == pytest.approx(paid[i], abs=1e-12)
    some = np.array([1.0, 0.0, 1.0])
    np.testing.assert_allclose(
        own.received_from(game, mine, some),
        four.received_from(game, theirs, np.append(some, 0.0))[:3],
        atol=1e-12,
    )
    assert own.scaled(2.0).payee == "payee"


def test_the_game_does_not_count_it(tmp_path):
    consortium = three(tmp_path)
    designed, _, file = with_payee(consortium)
    assert file.game.size == 3
    assert file.names == consortium.names
    assert file.settling == (*consortium.names, "payee")
    solution = solve(file)
    terms, profile = solution.terms, solution.profile
    assert terms.paid_out > 0.0
    assert solution.social_welfare == pytest.approx(social_welfare(file.game, profile), rel=1e-12)
    assert solution.social_welfare == pytest.approx(designed.optimum.social_welfare, rel=1e-9)
    assert solution.certificate.budget_imbalance <= 1e-12 * solution.social_welfare
    assert np.all(regret(file.game, profile) <= 1e-9 * solution.certificate.payoff_scale)
    np.testing.assert_allclose(solution.alone, solve(consortium).alone)
    many = tradefl.solve_many([file.game])
    assert many.social_welfare[0] == pytest.approx(solution.social_welfare, rel=1e-9)


# --- honesty -------------------------------------------------------------------------------------


def test_no_report_gains_through_the_settled_integers(tmp_path):
    """Re-solved, re-designed, quantized, paid: every report of everybody, against every truth."""
    consortium = with_payee_menus(three(tmp_path))
    menus = agreed_menus(consortium, None)
    welfare = solve(consortium.game.with_incentive_intensity(0.0), "planner").social_welfare
    assert menus.asked == [0, 1, 2]
    for i in menus.asked:
        points = menus.points[i].tolist()
        outcomes = []
        for point in points:
            reported = with_figure(consortium, i, "profitability", point)
            designed, proof = truthful(
                reported.game,
                None,
                payee="payee",
                menus=agreed_menus(reported, None),
                tried=4,
                **FAST,
            )
            agreement = agreed(written(reported, designed, proof, Payee(address=PAYEE)))
            reports = agreement.reports(designed.agreed.profile)
            paid = agreement.redistribution(reports)
            assert sum(paid) == 0
            assert paid[-1] >= 0
            assert agreement.bonds[-1] == 0
            outcomes.append(
                (designed.agreed.profile, float(Fraction(paid[i], agreement.wei_per_payoff)))
            )
        for true in points:
            truth = with_figure(consortium, i, "profitability", true).game
            earned = [
                payoffs_without_redistribution(truth, profile)[i] + paid
                for profile, paid in outcomes
            ]
            assert (max(earned) - earned[points.index(true)]) / welfare <= 1e-9


def with_payee_menus(consortium):
    return with_menus(consortium, None, 0.1)


def test_rebates_share_the_least_surplus_among_all_and_nobody_loses(tmp_path):
    game = three(tmp_path).game
    _, proof = truthful(game, None, payee="payee", width=0.1, tried=20, **FAST)
    assert proof.menus.asked == list(range(game.size))
    for i, surplus in proof.surplus_on_axes.items():
        assert proof.rebates[i] == pytest.approx(surplus.min() / game.size, rel=1e-12)
    assert proof.redistribution.sum() <= 1e-9
    assert proof.least_gain >= -1e-9
    assert proof.least_surplus >= 0.0


def test_two_organizations_and_a_payee_are_enough():
    _, proof = truthful(heterogeneous_game(1, 2), None, payee="payee", width=0.1, tried=8, **FAST)
    assert proof.menus.asked == [0, 1]


# --- the file, the agreement, the chain ----------------------------------------------------------


def test_the_file_carries_the_payee_and_recomputes(tmp_path):
    _, _, file = with_payee(three(tmp_path))
    tradefl.consortium.write(file, tmp_path / "t.toml")
    again = load(tmp_path / "t.toml")
    assert again == file
    assert again.payee == Payee(name="payee", address=PAYEE)
    promise = again.compensation.truthful
    assert promise.claimant == "payee"
    assert set(promise.organizations) == set(file.names)
    for check in [*consistent(promise), *recomputed(again)]:
        assert check.agrees, check
    assert "payee receives what is left; it contributes nothing" in words(promise, "payee")[1]
    assert again.in_currency().payee == again.payee


def test_the_agreement_lists_one_bit_one_level_a_flat_schedule_and_no_bond(tmp_path):
    designed, _, file = with_payee(three(tmp_path))
    agreement = agreed(file)
    assert (agreement.payee, agreement.players, len(agreement)) == ("payee", 3, 4)
    assert (agreement.data_bits[-1], agreement.cpu_levels_hz[-1]) == (1, (1,))
    assert agreement.rule.schedules[-1] == ((0, 0), (10**9, 0))
    assert (agreement.bonds[-1], agreement.deposits[-1]) == (0, 0)
    reports = agreement.reports(designed.agreed.profile)
    paid = agreement.redistribution(reports)
    terms = designed.agreed.terms
    bounds = quantization_bounds(file, agreement)
    exact = [*terms.redistribution.tolist(), terms.paid_out]
    for wei, payoff, bound in zip(paid, exact, bounds, strict=True):
        assert abs(wei - payoff * agreement.wei_per_payoff) <= bound
    assert Agreement.from_document(agreement.to_dict()).hash == agreement.hash


@pytest.mark.parametrize("silent", [None, "Alpha"])
def test_settle_and_audit_pay_it_to_the_wei(tmp_path, silent):
    out = tmp_path / "t.toml"
    tradefl.consortium.write(with_payee(three(tmp_path))[2], out)
    options = []
    if silent is not None:
        ran = run("solve", out, "--json")
        for organization in ran.json["organizations"]:
            organization["data_fraction"] = (
                0.0 if organization["name"] == silent else organization["data_fraction"]
            )
        profile = tmp_path / "profile.json"
        profile.write_text(json.dumps(ran.json))
        options = ["--profile", profile]
    ran = run("settle", out, *options, "--json", "-o", tmp_path / "s.json")
    rows = {organization["name"]: organization for organization in ran.json["organizations"]}
    assert ran.json["audit"]["agrees"]
    assert list(rows) == ["Alpha", "Beta", "Gamma", "payee"]
    assert (rows["payee"]["deposit_wei"], rows["payee"]["bond_wei"]) == ("0", "0")
    assert int(rows["payee"]["redistribution_wei"]) > 0
    assert rows["payee"]["withdrawn_wei"] == rows["payee"]["redistribution_wei"]
    assert sum(int(row["redistribution_wei"]) for row in rows.values()) == 0
    if silent is None:
        assert run("audit", out).code == 0
        page = tmp_path / "page.html"
        shown = ("report", out, "--settlement", tmp_path / "s.json", "-o", page)
        assert run(*shown, "--no-tune", "--no-compare").code == 0
        assert "payee is the payee: an account that contributes nothing" in page.read_text()
        assert "to payee" in run("explain", out, "--wei").out
        assert "payee: contributes nothing" in run("agreement", out).out


def test_design_names_the_payee_and_what_it_receives(tmp_path):
    path, out = save(tmp_path, document()), tmp_path / "t.toml"
    design = ("design", path, "--truthful", 0.1, "--payee", PAYEE.lower(), "--starts", 0)
    ran = run(*design, "-o", out, "--json")
    assert load(out).payee == Payee(name="payee", address=PAYEE)
    assert "all are asked; payee receives what is left" in run(*design).out
    assert ran.json["truthful"]["claimant"] == "payee"
    payee = ran.json["payee"]
    assert (payee["name"], payee["address"], payee["bond"]) == ("payee", PAYEE, 0.0)
    received = sum(organization["redistribution"] for organization in ran.json["organizations"])
    assert payee["redistribution"] == pytest.approx(-received, abs=1e-9)


def test_it_does_not_negotiate(tmp_path):
    _, _, file = with_payee(three(tmp_path))
    found = tradefl.negotiate(file)
    assert found.is_equilibrium
    assert found.profile.data_fraction.size == 3
    private = private_figures(file, 0).model_copy(update={"organization": "payee"})
    with pytest.raises(InputError, match="is the payee of the agreement, which does not negotiate"):
        known_game(agreed(file), private)


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--payee", PAYEE), "--payee: needs --truthful"),
        (("--truthful", 0.1, "--payee", "0x12"), "--payee: expected 0x and 40 hexadecimal digits"),
        (("--truthful", 0.1, "--payee", "0x" + "0" * 40), "--payee: expected 0x and 40"),
        (
            ("--truthful", 0.1, "--payee", PAYEE, "--residual", "Alpha"),
            "--payee: cannot be combined with --residual",
        ),
        (("--truthful", 0.1), "or --payee ADDRESS"),
    ],
)
def test_bad_options_are_named(tmp_path, options, message):
    out = tmp_path / "out.toml"
    ran = run("design", save(tmp_path, document()), *options, "-o", out, "--starts", 0)
    assert ran.code == 2
    assert message in ran.err
    assert not out.exists()


def test_a_members_account_is_no_payee(tmp_path):
    path = save(tmp_path, document({"organization.1.address": PAYEE}))
    ran = run("design", path, "--truthful", 0.1, "--payee", PAYEE.lower(), "--starts", 0)
    assert (ran.code, "--payee: is the account of Beta" in ran.err) == (2, True)


def changed(file, **update):
    section = file.compensation.model_copy(update=update)
    return dataclasses.replace(file, compensation=section)


def test_a_file_whose_payee_would_have_to_pay_cannot_be_settled(tmp_path):
    _, _, file = with_payee(three(tmp_path))
    constants = {**file.compensation.constants, "Alpha": 1e3}
    with pytest.raises(InputError, match=r"compensation\.constants: leave the payee .* short"):
        agreed(changed(file, constants=constants))
    points = [[0.0, 0.0], [1.0, 5.0]]
    schedules = {**file.compensation.schedules, "Beta": points}
    with pytest.raises(InputError, match=r"schedules\.Beta: expected no value above 0"):
        agreed(changed(file, schedules=schedules))


@pytest.mark.parametrize(
    ("payee", "message"),
    [
        ({"name": "Alpha"}, "'Alpha' is an organization"),
        ({"name": "A1pha"}, "'A1pha' looks like 'Alpha'"),
        ({"name": "other"}, r"claimant: expected the payee 'other', got 'payee'"),
        ({"name": "payee", "address": "0x1"}, r"payee\.address: expected an address"),
    ],
)
def test_a_payee_of_a_file_is_checked(tmp_path, payee, message):
    _, _, file = with_payee(three(tmp_path))
    out = tmp_path / "t.toml"
    tradefl.consortium.write(file, out)
    lines = "\n".join(f'{key} = "{value}"' for key, value in payee.items())
    text = out.read_text()
    start = text.index("[compensation.payee]")
    end = text.index("\n\n", start)
    out.write_text(text[:start] + f"[compensation.payee]\n{lines}" + text[end:])
    with pytest.raises(InputError, match=message):
        load(out)


@pytest.mark.parametrize("change", [{"payee": "Alpha"}, {"rule": "linear"}])
def test_an_annex_cannot_make_an_organization_the_payee(tmp_path, change):
    _, _, file = with_payee(three(tmp_path))
    annex = {**json.loads(agreed(file).annex), **change}
    with pytest.raises(InputError, match=r"annex: payee: expected the last"):
        read_annex(json.dumps(annex).encode())


# --- limits --------------------------------------------------------------------------------------


def test_menus_are_held_against_the_limits_of_a_transaction():
    """The longest menus of a few organizations fill more than a transaction of old nodes holds."""
    base = tradefl.load(EXAMPLES / "paper.toml")
    rng = np.random.default_rng(1)
    names = base.names[1:]
    promise = Truthful(
        claimant=base.names[0],
        menus="agreed",
        surplus=1.0,
        least_surplus=0.5,
        profiles_tried=200,
        organizations={
            name: TruthfulOrganization(
                figure="profitability",
                exact=False,
                report=900.0,
                rebate=0.1,
                redistribution=-0.1,
                **{
                    key: rng.uniform(0.0, 1e3, 50).tolist()
                    for key in ("menu", "performance", "welfare", "utility", "surplus")
                },
            )
            for name in names
        },
    )
    flat = EfficientRule((Schedule([0.0, 1.0], [-1.0, 0.0]),) * len(base), np.zeros(len(base)))
    file = base.designed(flat, "truthful", promise)
    with pytest.raises(InputError, match=r"max_transaction_bytes: annexPublish .* needs up to"):
        agreed(file)
    fits = agreed(dataclasses.replace(file, settlement=Settlement(max_transaction_bytes=131_072)))
    assert len(fits.annex) > 30_000
    assert promise_of(read_annex(fits.annex)) == promise
