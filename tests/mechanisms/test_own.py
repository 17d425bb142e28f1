# ruff: noqa: ARG002, ARG005 - a mechanism is asked with more than it needs
"""A mechanism of a user's own: solved, judged, explained, compared; its claims are checked."""

import importlib.metadata
import re
from pathlib import Path

import numpy as np
import pytest
from tests.cli.command import run
from tests.support import Eq11, efficient_game, heterogeneous_game, random_profile

import tradefl
from tradefl import mechanisms
from tradefl.documents.solution import SolutionDocument
from tradefl.errors import InputError
from tradefl.game import Parts, best_responses, deviation_gain, regret
from tradefl.mechanisms import Mechanism, bare_payoffs, make_mechanism

ROOT = Path(__file__).parents[2]
FILE = ROOT / "examples" / "drug_discovery.toml"


class Bonus(Mechanism):
    """A sponsor pays for data: the budget does not balance."""

    name = "bonus"
    equation = "3 u_i d_i"
    title = "a sponsor's bonus"

    def transfers(self, game, d, f):
        return 3.0 * d * game.data_units

    def scaled(self, unit):
        raise NotImplementedError


class Chase(Mechanism):
    """The first two play a game without an equilibrium: the one wants to be near, the other far."""

    name = "chase"
    equation = "K (d_1 - d_2)^2"

    def transfers(self, game, d, f):
        far = 1e5 * (d[..., 0] - d[..., 1]) ** 2
        paid = np.zeros_like(d)
        paid[..., 0], paid[..., 1] = -far, far
        return paid


class Wrong(Mechanism):
    name = "wrong"
    equation = "0"

    def __init__(self, concave, convex):
        self.made = concave, convex

    def transfers(self, game, d, f):
        return np.zeros_like(d)

    def parts(self, game, profile, i, d, f):
        return Parts(*(1e3 * part(d) for part in self.made))


def test_it_is_solved_judged_and_explained():
    game = heterogeneous_game(2, 4).with_compensation(Bonus())
    solution = tradefl.solve(game)
    assert solution.status == "equilibrium"
    assert solution.method == "search"
    assert not solution.certificate.proven
    assert "searched on a grid" in solution.remarks[0]
    paid = 3.0 * solution.profile.data_fraction * game.data_units
    np.testing.assert_allclose(solution.terms.redistribution, paid, rtol=1e-12)
    assert solution.terms.deficit == pytest.approx(paid.sum(), rel=1e-12)
    bare = bare_payoffs(game, solution.profile.data_fraction, solution.profile.cpu_hz)
    judge = Eq11(game.with_incentive_intensity(0.0))
    assert solution.social_welfare == pytest.approx(judge.welfare(solution.profile), rel=1e-12)
    np.testing.assert_allclose(solution.payoffs, bare + paid, rtol=1e-12)
    statement = solution.statement(1)
    [line] = statement.section("redistribution")
    assert line.equation == "3 u_i d_i"
    assert line.amount == pytest.approx(paid[1], rel=1e-12)
    assert "gamma" not in str(statement)
    assert float(statement.printed_totals["payoff"]) == pytest.approx(solution.payoffs[1], rel=1e-6)
    document = solution.to_dict()
    assert document["rule"] == "bonus"
    assert document["potential"] is None
    assert tradefl_document(document).potential is None
    assert document["transfers"] == []  # everybody receives, nobody of them pays


def tradefl_document(document):
    return SolutionDocument.model_validate(document)


def test_what_needs_a_rule_or_a_potential_says_so():
    game = heterogeneous_game(2, 4).with_compensation(Bonus())
    with pytest.raises(ValueError, match="mechanism: bonus declares no separable structure"):
        tradefl.solve(game, "dbr")
    with pytest.raises(ValueError, match="mechanism: bonus is a transfer function"):
        _ = game.rule


@pytest.mark.parametrize("seed", range(3))
def test_the_search_agrees_with_the_closed_forms(seed):
    """Where there is a potential the search is a second method, and finds the same."""
    for game in (heterogeneous_game(seed, 5), efficient_game(seed)):
        searched, settled = tradefl.solve(game, "search"), tradefl.solve(game, "dbr")
        assert searched.status == "equilibrium"
        np.testing.assert_allclose(
            searched.payoffs, settled.payoffs, rtol=0.0, atol=1e-6 * np.abs(settled.payoffs).max()
        )
        profile = random_profile(game, np.random.default_rng(seed))
        found = best_responses(game, profile)
        expected = regret(game, profile)
        np.testing.assert_allclose(found.gain, expected, rtol=0.0, atol=1e-9 * expected.max())


def test_a_cycle_is_reported():
    game = heterogeneous_game(2, 3).with_compensation(Chase())
    solution = tradefl.solve(game)
    assert solution.status == "iteration_limit"
    assert solution.certificate.max_regret > 1.0
    assert any("cycle" in remark for remark in solution.remarks) or solution.iterations == 600


def test_deviation_gains_are_those_of_the_mechanism():
    game = heterogeneous_game(2, 4).with_compensation(Bonus())
    profile = game.initial_profile()
    d = np.full(4, 0.3)
    gained = deviation_gain(game, profile, np.arange(4), d, profile.cpu_hz)
    bare = deviation_gain(
        game.with_incentive_intensity(0.0), profile, np.arange(4), d, profile.cpu_hz
    )
    moved = 3.0 * game.data_units * (d - profile.data_fraction)
    np.testing.assert_allclose(gained, bare + moved, rtol=1e-9)


@pytest.mark.parametrize(
    ("concave", "convex", "what"),
    [
        (lambda d: d**2, lambda d: -(d**2), "should be concave is not"),
        (lambda d: 0.0 * d, lambda d: -np.sqrt(1.0 - d / 2.0) * 0.0 - d**2, "convex is not"),
        (lambda d: -(d**2), lambda d: 0.0 * d, "must sum to its own transfer"),
    ],
)
def test_false_parts_prove_nothing(concave, convex, what):
    game = heterogeneous_game(2, 3).with_compensation(Wrong(concave, convex))
    with pytest.raises(ValueError, match=what):
        best_responses(game, game.initial_profile())


def test_transfers_of_another_shape_are_refused():
    class Flat(Bonus):
        def transfers(self, game, d, f):
            return d.sum(axis=-1)

    game = heterogeneous_game(2, 3).with_compensation(Flat())
    with pytest.raises(ValueError, match=r"transfers: expected finite amounts of shape \(1, 3\)"):
        tradefl.game.payoffs(game, game.initial_profile())


def _published(monkeypatch, value):
    class Entry:
        name, value = "bonus", "package:thing"

        def load(self):
            if isinstance(value, Exception):
                raise value
            return value

    def entry_points(*, group):
        return [Entry()] if group == "tradefl.mechanisms" else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    monkeypatch.setattr(mechanisms, "entry_points", entry_points)


@pytest.mark.parametrize("value", [Bonus, Bonus(), lambda game: Bonus()])
def test_entry_points_bring_mechanisms(monkeypatch, value):
    _published(monkeypatch, value)
    assert "bonus" in mechanisms.known()
    assert isinstance(make_mechanism("bonus", heterogeneous_game(2, 3)), Bonus)


@pytest.mark.parametrize("value", [ValueError("broken"), lambda game: 3])
def test_a_bad_entry_point_is_named(monkeypatch, value):
    _published(monkeypatch, value)
    with pytest.raises(InputError, match="package:thing"):
        make_mechanism("bonus", heterogeneous_game(2, 3))


def test_comparisons_hold_mechanisms():
    game = heterogeneous_game(2, 4)
    found = tradefl.compare(
        game, mechanisms=["vcg", "equal-split", "linear", Bonus()], test_stability=True
    )
    rows = {row.rule: row for row in found.outcomes}
    assert list(rows)[-3:] == ["vcg", "equal-split", "bonus"]
    share = found.optimum.social_welfare / game.size
    np.testing.assert_allclose(rows["equal-split"].payoffs, share, rtol=1e-9)
    assert rows["equal-split"].deficit == 0.0
    played = tradefl.solve(game.with_compensation(make_mechanism("vcg", game)))
    # The split and the equilibrium of Clarke payments are the same.
    np.testing.assert_allclose(rows["vcg"].payoffs, played.payoffs, rtol=1e-9)
    assert rows["vcg"].deficit == pytest.approx(played.terms.deficit, rel=1e-9)
    assert rows["bonus"].deficit == pytest.approx(rows["bonus"].solution.terms.deficit)
    assert rows["bonus"].title == "a sponsor's bonus"
    assert rows["bonus"].stable in ("stable", "not stable")


def test_its_equilibrium_is_tested_for_stability():
    game = heterogeneous_game(2, 4).with_compensation(make_mechanism("equal-split", None))
    found = tradefl.stability(game)
    solution = tradefl.solve(game)
    np.testing.assert_allclose(found.payoff, solution.payoffs, rtol=1e-9)
    # In equal parts the largest do better alone: v({i}) is more than a quarter of v(N).
    assert found.verdict == "not stable"
    assert (solution.payoffs < solution.alone).any()
    assert set(solution.below_alone) == set(found.below_alone)


def test_the_command_line_compares_them():
    ran = run("compare", FILE, "--mechanisms", "equal-split,shapley-profile", "--json")
    assert ran.code == 0, ran.err
    names = [row["rule"] for row in ran.json["rules"]]
    assert names[-2:] == ["equal-split", "shapley-profile"]
    ran = run("compare", FILE, "--mechanisms", "equal-splt")
    assert ran.code == 2
    assert "--mechanisms: expected some of" in ran.err
    assert "did you mean 'equal-split'?" in ran.err


def test_the_example_of_the_page_has_at_most_thirty_lines():
    page = (ROOT / "docs" / "how-to" / "own-mechanism.md").read_text("utf-8")
    [first, *_] = re.findall(r"(?s)```python\n(.*?)```", page)
    assert "class" in first
    assert "tradefl.solve" in first
    assert len(first.splitlines()) <= 30
