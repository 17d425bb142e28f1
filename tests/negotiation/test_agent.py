"""Agents that know only their own figures reach the equilibrium of those who know all."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import tradefl
from tradefl.errors import InputError
from tradefl.game import StrategyProfile, certify, payoffs
from tradefl.negotiation.agent import OrganizationAgent
from tradefl.negotiation.in_process import START, InProcessBoard, Seat, agents_of, negotiate
from tradefl.negotiation.knowledge import (
    known_game,
    load_private,
    private_figures,
    write_private,
)
from tradefl.negotiation.protocol import replay
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.rules import Report
from tradefl.settlement.stand_ins import addresses_or_stand_ins
from tradefl.solvers.best_response import best_response, players

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))


def agreed(path: Path) -> tuple[tradefl.Consortium, Agreement]:
    consortium = tradefl.load(path)
    addresses = addresses_or_stand_ins(consortium.organizations.addresses)
    return consortium, Agreement.of(consortium, addresses)


def profile(reports) -> StrategyProfile:
    return StrategyProfile(
        np.array([report.data_ppb / 1e9 for report in reports]),
        np.array([float(report.cpu_hz) for report in reports]),
    )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_ends_where_dbr_ends(path: Path) -> None:
    consortium, agreement = agreed(path)
    standing, board = negotiate(consortium, agreement)
    solution = tradefl.solve(consortium, "dbr")
    assert standing.over
    assert standing.moves == solution.iterations
    ended = profile(standing.reports)
    assert np.abs(ended.data_fraction - solution.profile.data_fraction).max() < 1e-9
    assert np.array_equal(ended.cpu_hz, solution.profile.cpu_hz)
    assert certify(consortium.game, ended).is_equilibrium(1e-8)
    assert board.contributions == dict(zip(agreement.addresses, standing.reports, strict=True))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_what_an_organization_knows_gives_the_librarys_numbers(path: Path) -> None:
    """At its own index, the game of one is the game of all: coefficients, responses, payoffs."""
    consortium, agreement = agreed(path)
    rng = np.random.default_rng(1)
    everything = players(consortium.game)
    for i in range(len(consortium)):
        known = known_game(agreement, private_figures(consortium, i))
        own = players(known)
        for field in ("data_units", "data_gain", "energy_cost", "compute_gain", "fraction_per_hz"):
            assert getattr(own, field)[i] == pytest.approx(getattr(everything, field)[i], rel=1e-12)
        d = rng.uniform(consortium.mechanism.min_data_fraction, 1.0, len(consortium))
        f = np.array([rng.choice(consortium.organizations.levels(j)) for j in range(len(d))])
        at = StrategyProfile(d, f)
        mine, theirs = best_response(known, at, i), best_response(consortium.game, at, i)
        assert mine[0] == pytest.approx(theirs[0], rel=1e-9)
        assert mine[1] == theirs[1]
        assert payoffs(known, at).payoff[i] == pytest.approx(
            payoffs(consortium.game, at).payoff[i], rel=1e-9
        )


def test_nothing_of_the_others_matters_but_what_they_propose() -> None:
    """The stand-ins for the others' private figures change nothing of one's own."""
    consortium, agreement = agreed(ROOT / "examples" / "hospitals.toml")
    known = known_game(agreement, private_figures(consortium, 2))
    others = np.arange(len(consortium)) != 2
    changed = dataclasses.replace(
        known,
        profitability=np.where(others, 77.0, known.profitability),
        cycles_per_bit=np.where(others, 1e-90, known.cycles_per_bit),
    )
    at = consortium.game.initial_profile()
    assert best_response(changed, at, 2) == best_response(known, at, 2)
    assert payoffs(changed, at).payoff[2] == payoffs(known, at).payoff[2]


class Recorder:
    """A seat that notes everything that its agent hands out."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.out: list[object] = []

    def __getattr__(self, name: str):
        def call(*arguments: object):
            self.out.append((name, *arguments))
            return getattr(self.seat, name)(*arguments)

        return call


def test_what_leaves_an_agent_are_two_integers_and_nothing_else() -> None:
    consortium, agreement = agreed(ROOT / "examples" / "drug_discovery.toml")
    board = InProcessBoard()
    agents = agents_of(consortium, agreement, board)
    recorder = Recorder(Seat(board, agreement.addresses[0]))
    agents[0] = OrganizationAgent(agreement, private_figures(consortium, 0), recorder)
    for _ in range(200):
        done = [agent.step().done for agent in agents]
        if all(done):
            break
    calls = {call[0] for call in recorder.out}
    assert calls <= {"look", "propose", "contribute"}
    assert {"propose", "contribute"} <= calls
    for name, *arguments in recorder.out:
        if name in ("propose", "contribute"):
            [report] = arguments
            assert type(report) is Report
            assert set(dataclasses.asdict(report)) == {"data_ppb", "cpu_hz"}
            assert {type(value) for value in dataclasses.asdict(report).values()} == {int}
        else:
            assert arguments == []


def played(agents, board, steps=400, asleep=lambda _step, _i: False):
    """Let agents act in turn; time passes when nobody does anything."""
    for step in range(steps):
        before = len(board.log)
        done = [False if asleep(step, i) else agent.step().done for i, agent in enumerate(agents)]
        if all(done):
            return
        if len(board.log) == before:
            board.seconds += 20
    raise AssertionError("it did not end")


def test_who_is_silent_is_skipped_and_rejoins_and_it_ends_in_an_equilibrium() -> None:
    consortium, agreement = agreed(ROOT / "examples" / "hospitals.toml")
    board = InProcessBoard()
    agents = agents_of(consortium, agreement, board)
    played(agents, board, asleep=lambda step, i: i == 3 and step < 7)
    standing = replay(agreement, START, board.log, now=board.seconds, blocks=board.blocks)
    assert any(ruling.skipped for ruling in standing.rulings)
    assert certify(consortium.game, profile(standing.reports)).is_equilibrium(1e-8)


def test_an_agent_that_is_killed_and_started_again_goes_on() -> None:
    consortium, agreement = agreed(ROOT / "examples" / "drug_discovery.toml")
    expected, _ = negotiate(consortium, agreement)
    rng = np.random.default_rng(4)
    for _ in range(5):
        board = InProcessBoard()
        agents = agents_of(consortium, agreement, board)
        for _ in range(400):
            victim = int(rng.integers(len(agents)))
            agents[victim] = agents_of(consortium, agreement, board)[victim]
            done = [agent.step().done for agent in agents]
            if all(done):
                break
        standing = replay(agreement, START, board.log, now=board.seconds, blocks=board.blocks)
        assert standing.reports == expected.reports


def test_two_agents_with_one_key_do_no_harm() -> None:
    consortium, agreement = agreed(ROOT / "examples" / "hospitals.toml")
    expected, _ = negotiate(consortium, agreement)
    board = InProcessBoard()
    agents = agents_of(consortium, agreement, board)
    played([*agents, agents_of(consortium, agreement, board)[1]], board)
    standing = replay(agreement, START, board.log, now=board.seconds, blocks=board.blocks)
    assert standing.reports == expected.reports


def test_a_slow_read_is_not_answered_twice() -> None:
    consortium, agreement = agreed(ROOT / "examples" / "hospitals.toml")
    board = InProcessBoard()

    class Stale(Seat):
        def proposals(self):
            return []  # a node that is behind

    agent = OrganizationAgent(
        agreement, private_figures(consortium, 0), Stale(board, agreement.addresses[0])
    )
    for _ in range(5):
        agent.step()
    assert len(board.log) == 1


def test_a_private_file_survives_and_is_for_its_owner_only(tmp_path: Path) -> None:
    consortium, _ = agreed(ROOT / "examples" / "hospitals.toml")
    figures = private_figures(consortium, 1)
    path = tmp_path / "own.toml"
    write_private(figures, path)
    assert load_private(path) == figures
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("change", "place", "what"),
    [
        ({"organization": "University B "}, "organization", "spaces around"),
        ({"profitability": 0.0}, "profitability", "> 0"),
        ({"cpu_levels_hz": []}, "cpu_levels_hz", "empty"),
        ({"data_bits": 3.0}, "data_bits", "unknown key"),
        ({"cycles_per_bit": float("nan")}, "cycles_per_bit", "finite"),
    ],
)
def test_a_private_file_that_is_wrong_is_refused(
    change: dict, place: str, what: str, tmp_path: Path
) -> None:
    import tomli_w

    consortium, _ = agreed(ROOT / "examples" / "hospitals.toml")
    document = private_figures(consortium, 1).model_dump(exclude_none=True) | change
    path = tmp_path / "own.toml"
    path.write_text(tomli_w.dumps(document))
    with pytest.raises(InputError) as error:
        load_private(path)
    assert any(
        problem.place.startswith(f"{path}: {place}") and what in problem.message
        for problem in error.value.problems
    ), error.value


@pytest.mark.parametrize(
    ("change", "place", "what"),
    [
        ({"organization": "University Z"}, "organization", "did you mean"),
        ({"cpu_levels_hz": [1e9]}, "cpu_levels_hz", "expected the agreement's"),
        ({"competitors_weight": 1e9}, "competitors_weight", "less than profitability"),
        ({"download_seconds": 1e9}, "cpu_levels_hz", "no feasible level"),
    ],
)
def test_figures_that_do_not_fit_the_agreement_are_refused(
    change: dict, place: str, what: str
) -> None:
    consortium, agreement = agreed(ROOT / "examples" / "hospitals.toml")
    figures = private_figures(consortium, 1).model_copy(update=change)
    with pytest.raises(InputError) as error:
        known_game(agreement, figures, "own.toml")
    assert f"own.toml: {place}" in str(error.value)
    assert what in str(error.value)


def test_levels_are_whole_hertz_on_the_chain() -> None:
    consortium, agreement = agreed(ROOT / "examples" / "hospitals.toml")
    figures = private_figures(consortium, 1)
    fractions = figures.model_copy(
        update={"cpu_levels_hz": [level + 0.4 for level in figures.cpu_levels_hz]}
    )
    exact, rounded = (known_game(agreement, entry, "own.toml") for entry in (figures, fractions))
    np.testing.assert_array_equal(exact.cpu_levels_hz, rounded.cpu_levels_hz)


def test_the_annex_alone_has_no_private_figure() -> None:
    _, agreement = agreed(ROOT / "examples" / "drug_discovery.toml")
    assert set(json.loads(agreement.annex)) == {
        "schema", "consortium", "organizations", "samples", "accuracy", "deadline_seconds",
        "overhead_weight", "energy", "turn_seconds", "turn_blocks", "chain_id", "factory",
        "settlement_code", "vault_code", "series",
    }  # fmt: skip


def test_everybody_contributes_although_one_never_stops_moving() -> None:
    consortium, agreement = agreed(ROOT / "examples" / "hospitals.toml")
    annex = json.loads(agreement.annex) | {"turn_seconds": 86_400}
    agreement = dataclasses.replace(agreement, annex=json.dumps(annex).encode())
    board = InProcessBoard()
    agents = agents_of(consortium, agreement, board)

    class Restless(OrganizationAgent):
        def answer(self, standing):
            mine = standing.reports[self._game.me]
            return dataclasses.replace(mine, data_ppb=500_000_000 + standing.turn)

        def step(self):
            board.seconds += agreement.report_seconds // 300
            return super().step()

    seat = Seat(board, agreement.addresses[3])
    agents[3] = Restless(agreement, private_figures(consortium, 3), seat)
    played(agents, board)
    assert set(board.contributions) == set(agreement.addresses)
    assert board.seconds < START + agreement.report_seconds
