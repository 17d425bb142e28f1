"""Honesty where no agreement gains anything: a surplus of 0 is no deficit, at any scale."""

import dataclasses

import numpy as np
import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save

from tradefl.consortium import load
from tradefl.game import CoopetitionGame, DenseCompetition, SqrtLoss
from tradefl.incentives import truthful as room
from tradefl.incentives.promise import consistent, section
from tradefl.incentives.rounding import PROVEN, falls, rounding
from tradefl.incentives.truthful import NeedsMoneyError, menus_around, proven, truthful
from tradefl.solvers import solve


def drawn(seed, n, kind, rivalry, scale):
    """A game of n whose optimum is the deadline, D_min, or between them; payoffs times a scale."""
    rng = np.random.default_rng(seed)
    gbit = rng.uniform(5.0, 30.0, n)
    rho = np.triu(rng.uniform(0.0, 0.2 / n, (n, n)) * rivalry, 1)
    cost = {"deadline": 0.0, "D_min": 5000.0, "between": rng.uniform(1.0, 60.0, n)}[kind]
    return CoopetitionGame(
        profitability=rng.uniform(900.0, 1700.0, n) * scale,
        data_bits=gbit * 1e9,
        data_units=gbit,
        cycles_per_bit=rng.uniform(1.5, 3.0, n),
        cpu_levels_hz=np.sort(rng.uniform(2e9, 4e9, (n, 2)), axis=1),
        competition=DenseCompetition(rho + rho.T),
        accuracy=SqrtLoss(5.0, 0.79),
        overhead_weight=1e-3 * scale,
        compute_weight=1e-6 * scale,
        deadline_seconds=10.0,
        min_data_fraction=1.0 / 7.0,
        data_cost=cost * scale,
    )


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
@pytest.mark.parametrize("kind", ["deadline", "D_min", "between"])
@pytest.mark.parametrize("n", range(2, 7))
def test_no_outside_money_where_there_is_little_or_nothing_to_share(n, kind, scale):
    rivalry, claimant = (n + len(kind)) % 2, None if n == 2 else n - 1
    game = drawn(n, n, kind, rivalry, scale)
    designed, proof = truthful(
        game,
        claimant,
        payee="payee" if claimant is None else None,
        width=0.05,
        tried=6,
        random_starts=0,
    )
    assert designed.verified()
    assert proof.least_surplus >= -proof.rounding
    assert all(check.agrees for check in consistent(section(proof, game, designed.rule.payee)))
    # Independently: without compensation everybody contributes what is best for all.
    bare = game.with_incentive_intensity(0.0)
    best, without = solve(bare, "planner"), solve(bare, "dbr")
    same = abs(best.social_welfare - without.social_welfare) <= 1e-9 * abs(best.social_welfare)
    assert proof.nothing_to_share == same
    if same:
        assert np.abs(proof.redistribution).max() <= 2e-8 * game.profitability.max()


@pytest.mark.parametrize("left", [1e-4, 1e-7])
def test_costs_that_eat_the_welfare_do_not_tighten_the_tolerance(left):
    game = drawn(3, 3, "deadline", 1, 1.0)
    welfare = solve(game.with_incentive_intensity(0.0), "planner").social_welfare
    game = dataclasses.replace(game, joining_cost=welfare * (1.0 - left) / 3.0)
    designed, proof = truthful(game, 0, width=0.1, tried=6, random_starts=0)
    assert proof.nothing_to_share
    assert all(check.agrees for check in consistent(section(proof, game, designed.rule.payee)))


def test_the_tolerance_is_the_planners_share_of_what_is_earned():
    axes = [("profitability", [90.0, 110.0], [0.4, 0.5], [100.0, 130.0])]
    assert rounding(axes) == PROVEN * 130.0
    axes.append(("profitability", [900.0, 1100.0], [0.4, 0.5], [0.1, 0.2]))
    assert rounding(axes) == PROVEN * 550.0
    # P at the optimum of a reported cost says nothing of what that organization earns.
    assert rounding([("data_cost", [900.0, 1100.0], [0.4, 0.5], [100.0, -130.0])]) == PROVEN * 130.0
    assert falls([0.5, 0.5 * (1.0 - 0.5 * PROVEN), 0.4]).tolist() == [1]


def test_the_widest_range_is_judged_as_the_design_judges(tmp_path):
    path = save(tmp_path, document())
    game = load(path).game
    with pytest.raises(NeedsMoneyError) as caught:
        truthful(game, 0, width=0.8, tried=6, random_starts=0)
    widest = caught.value.widest
    assert widest is not None
    assert not truthful(game, 0, width=widest, tried=6, random_starts=0)[1].needs_money
    ran = run("design", path, "--truthful", 0.8, "--residual", "Alpha", "--starts", 0)
    assert ran.code == 1
    named = ran.err.split("--truthful ")[1].split()[0]
    # The printed range is not wider than the one that was found.
    again = run("design", path, "--truthful", named, "--residual", "Alpha", "--starts", 0)
    assert again.code == 0, again.err


def test_a_refusal_names_the_cause_where_there_is_no_gain_to_share(monkeypatch):
    game = drawn(3, 3, "deadline", 1, 1.0)
    found = proven(game, menus_around(game, 0, 0.1), tried=4)
    assert found.nothing_to_share
    short = dataclasses.replace(found, least_surplus=-1.0)
    monkeypatch.setattr(room, "proven", lambda *_, **__: short)
    with pytest.raises(NeedsMoneyError, match=r"1 of outside money.*: there is no gain to share"):
        truthful(game, 0, width=0.1, random_starts=0)


def test_a_fall_of_p_and_a_deficit_beyond_rounding_are_found_in_the_file():
    game = drawn(4, 4, "between", 1, 1.0)
    designed, proof = truthful(game, 0, width=0.1, tried=6, random_starts=0)
    promise = section(proof, game, designed.rule.payee)
    assert all(check.agrees for check in consistent(promise))
    name = next(name for name, own in promise.organizations.items() if not own.exact)
    slope = promise.organizations[name].performance

    def wrong(**changed):
        own = promise.organizations[name].model_copy(update=changed)
        forged = promise.model_copy(update={"organizations": {**promise.organizations, name: own}})
        return [check.place for check in consistent(forged) if not check.agrees]

    assert any("fall of P" in place for place in wrong(performance=[*slope[:-1], 0.999 * slope[0]]))
    surplus = promise.organizations[name].surplus
    short = [*surplus[:-1], -3.0 * proof.rounding]
    assert f"{name}: outside money" in wrong(surplus=short)
    assert f"{name}: outside money" not in wrong(surplus=[*surplus[:-1], -0.3 * proof.rounding])
