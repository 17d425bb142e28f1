r"""The welfare optimum and the equilibrium without compensation of many reports of one game.

Reports change profitability or costs, not what can be contributed, and nearly all of them have one
of a few optimal profiles. So each optimum that the planner finds is tried for all other reports:
there its welfare is a lower bound, and with tangents of P at its data (docs/explanation/planner.md)

    W <= Z [P(Omega) - P'(Omega) Omega] + sum_j w_j [P(y_j) - P'(y_j) y_j]
         + sum_j max over levels and their ends of { [M - w_j P'(y_j)] u_j d - c_jl d } - K
    M = Z P'(Omega) + sum_k w_k P'(y_k),    y_j = Omega - u_j d_j

is an upper bound wherever P is concave over all that can be contributed. Where the two meet, the
profile is proven optimal for that report; the planner works out the others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from tradefl.design import in_decimals, to_decimals
from tradefl.game import CoopetitionGame, StrategyProfile
from tradefl.game.payoff import overhead
from tradefl.solvers.games import Games
from tradefl.solvers.many import solve_many
from tradefl.solvers.planner import Coalitions

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

# A profile is optimal for a report if its welfare is within this share of the bound.
TOLERANCE = 1e-11


class Outcomes(NamedTuple):
    """What comes of K reports.

    ``welfare`` and ``performance`` have shape ``(K,)``; ``payoffs`` (without redistribution, at
    the optimum) and ``outside`` (at the equilibrium without compensation) ``(K, N)``; both with
    contributions in parts per billion.
    """

    welfare: Array
    performance: Array
    payoffs: Array
    outside: Array


@dataclasses.dataclass(frozen=True, eq=False)
class Reports:
    """Games that differ in what organizations report.

    Parameters
    ----------
    game
        The game, with everything that is not reported; its rule does not matter.
    fields
        Which figure each organization reports, ``None`` for those that are not asked.
    """

    game: CoopetitionGame
    fields: tuple[str | None, ...]

    def columns(self, figures: Array) -> dict[str, Array]:
        """Return the figures under reports of shape ``(..., N)``, by name and of that shape."""
        changed: dict[str, Array] = {}
        for i, field in enumerate(self.fields):
            if field is None:
                continue
            if field not in changed:
                changed[field] = np.array(np.broadcast_to(getattr(self.game, field), figures.shape))
            changed[field][..., i] = figures[..., i]
        return changed

    def of(self, figures: Array) -> CoopetitionGame:
        """Return the game under reports of shape ``(N,)``; NaN where nobody is asked."""
        changed: dict[str, Any] = dict(self.columns(figures))
        return dataclasses.replace(self.game, compensation=None, incentive_intensity=0.0, **changed)

    def many(self, figures: Array) -> Games:
        """Return the games under reports of shape ``(K, N)``."""
        base = Games.of([self.game.with_incentive_intensity(0.0)])
        fields = {field.name: getattr(base, field.name) for field in dataclasses.fields(base)}
        fields |= self.columns(figures)
        for name, value in fields.items():  # a figure of a game has shape (K,)
            if isinstance(value, np.ndarray) and value.shape == (1, 1):
                fields[name] = value[0, 0]
        fields["competition"] = self.game.competition
        fields["accuracy"] = self.game.accuracy
        return Games(**fields)


def _judged(games: Games, data: Array, hz: Array) -> tuple[Array, Array, Array]:
    """Return P and the payoffs at the optima given, and the payoffs without compensation.

    Contributions without compensation are in parts per billion, as the agreed ones are: otherwise
    an agreement that changes nothing would seem to cost what stating it costs. Rows that are no
    games are NaN.
    """
    options: dict[str, Any] = {"regret": False, "skip_invalid": True}
    at_best = solve_many(games, method="fixed", initial=(data, hz), **options)
    found = solve_many(games, method="dbr", **options)
    most = cast(Any, games).max_data_fraction(found.cpu_hz)
    rounded, possible = to_decimals(found.data_fraction, most, games.min_data_fraction)
    d = np.where(possible, rounded, found.data_fraction)
    settled = found.valid[:, None]
    start = np.where(settled, d, data), np.where(settled, found.cpu_hz, hz)
    outside = solve_many(games, method="fixed", initial=start, **options).payoffs
    return at_best.performance, at_best.payoffs, outside


def solve_together(work: Sequence[tuple[Optima, Array]]) -> list[bool]:
    """Solve reports of several games at once; return which games are games at all their reports.

    Each item has the games of an :class:`Optima` and reports of shape ``(K, N)``; what is found is
    remembered there.
    """
    bases, rows, planned, keys, owners = [], [], [], [], []
    playable = [True] * len(work)
    for number, (optima, figures) in enumerate(work):
        new = {
            row.tobytes(): k for k, row in enumerate(figures) if row.tobytes() not in optima.known
        }
        if not new:
            continue
        some = figures[list(new.values())]
        best = optima.proven(some)
        data, hz = optima._profiles(np.maximum(best, 0))
        data[best < 0] = np.nan
        planned.append((data, hz))
        bare = dataclasses.replace(optima.reports.game, compensation=None, incentive_intensity=0.0)
        bases.append(bare)
        rows.append(some)
        keys.append(list(new))
        owners.append(number)
    if not rows:
        return playable
    counts = [len(some) for some in rows]
    figures = np.concatenate(rows)
    games = Games.of(bases).some(np.repeat(np.arange(len(bases)), counts))
    fields = work[owners[0]][0].reports.fields
    changed: dict[str, Array] = {}
    for i, field in enumerate(fields):
        if field is not None:
            column = changed.setdefault(field, np.array(getattr(games, field)))
            column[:, i] = figures[:, i]
    games = games.changed(**changed)
    data, hz = (np.concatenate(parts) for parts in zip(*planned, strict=True))
    left = np.flatnonzero(np.isnan(data[:, 0]))
    if left.size:  # what no known profile is proven for, in one loop of the planner
        some_games = games.some(left)
        solved = solve_many(
            some_games,
            method="fixed",
            initial=(np.zeros_like(hz[left]), hz[left]),
            optimum=True,
            regret=False,
            skip_invalid=True,
        ).optimum
        if solved is None:
            raise RuntimeError("solve_many returned no optimum")
        most = cast(Any, some_games).max_data_fraction(solved.cpu_hz)
        stated = to_decimals(solved.data_fraction, most, some_games.min_data_fraction)[0]
        # A row that is no game is judged as such below; any profile will do for it.
        sure = np.asarray(np.isfinite(solved.cpu_hz).all(axis=1))[:, None]
        data[left] = np.where(sure, stated, 0.0)
        hz[left] = np.where(sure, solved.cpu_hz, hz[left])
    found = _judged(games, data, hz)
    begin = 0
    for number, own, count in zip(owners, keys, counts, strict=True):
        part = slice(begin, begin + count)
        begin += count
        if not all(np.isfinite(column[part]).all() for column in found):
            playable[number] = False
            continue
        work[number][0]._keep(own, *(column[part] for column in found))
    return playable


class Optima:
    """Solves reports and remembers them.

    Parameters
    ----------
    reports
        The games.
    pool
        Profiles that may be optimal.
    """

    def __init__(self, reports: Reports, pool: tuple[StrategyProfile, ...] = ()) -> None:
        self.reports = reports
        self.pool = list(pool)
        self.known: dict[bytes, tuple[float, float, Array, Array]] = {}
        self.costs: dict[tuple[int, float], tuple[Array, float]] = {}
        game = reports.game
        self.reach = game.max_data_fraction(game.cpu_levels_hz)
        self.feasible = game.level_is_feasible()
        self.base = self._overheads(game)

    def __call__(self, figures: Array) -> Outcomes:
        """Return the outcomes of reports of shape ``(K, N)``."""
        keys = [row.tobytes() for row in figures]
        new = {key: k for k, key in enumerate(keys) if key not in self.known}
        if new:
            self._solve(list(new), figures[list(new.values())])
        rows = [self.known[key] for key in keys]
        welfare, performance, paid, outside = zip(*rows, strict=True)
        return Outcomes(np.array(welfare), np.array(performance), np.array(paid), np.array(outside))

    def _solve(self, keys: list[bytes], figures: Array) -> None:
        data, hz = self.planned(figures)
        self._keep(keys, *_judged(self.reports.many(figures), data, hz))

    def planned(self, figures: Array) -> tuple[Array, Array]:
        """Return an optimum of each of K reports, in parts per billion: ``(K, N)`` each."""
        best = self.proven(figures)
        weights = self._weights(figures)
        while (best < 0).any():
            k = int(np.argmax(best < 0))
            self.pool.append(Coalitions(self.reports.of(figures[k])).optimum().profile)
            self._try(len(self.pool) - 1, figures, weights, best)
            best[k] = len(self.pool) - 1  # the planner has proven it, or come as near as it can
        return self._profiles(best)

    def proven(self, figures: Array) -> Indices:
        """Return which profile known already is optimal for each report; -1 where none is."""
        best, weights = np.full(len(figures), -1), self._weights(figures)
        for k in range(len(self.pool)):
            self._try(k, figures, weights, best)
        return best

    def _profiles(self, numbers: Indices) -> tuple[Array, Array]:
        rounded = [in_decimals(self.reports.game, profile) for profile in self.pool]
        data = np.array([rounded[k].data_fraction for k in numbers])
        return data, np.array([rounded[k].cpu_hz for k in numbers])

    def _keep(self, keys: list[bytes], performance: Array, paid: Array, outside: Array) -> None:
        for k, key in enumerate(keys):
            self.known[key] = float(paid[k].sum()), float(performance[k]), paid[k], outside[k]

    # --- the bound -------------------------------------------------------------------------------

    def _weights(self, figures: Array) -> tuple[Array, Array]:
        """Return ``w``, ``(K, N)``, and ``Z``, ``(K,)``."""
        game = self.reports.game
        p = self.reports.columns(figures).get("profitability")
        if p is None:
            p = np.broadcast_to(game.profitability, figures.shape)
        w = np.array([game.competition.dot(row) for row in p])
        return w, (p - w).sum(axis=1)

    @staticmethod
    def _overheads(game: CoopetitionGame) -> tuple[Array, Array]:
        """Return what a full dataset costs at each level, ``(N, m)``, and what no data costs."""
        levels = np.where(np.isnan(game.cpu_levels_hz), 1.0, game.cpu_levels_hz)
        one, none = np.ones(game.size), np.zeros(game.size)
        fixed = overhead(game, StrategyProfile(none, levels[:, 0]))
        slopes = np.array([overhead(game, StrategyProfile(one, f)) for f in levels.T]).T
        return slopes - fixed[:, None], fixed

    def _costs(self, figures: Array) -> tuple[Array, Array]:
        """Return the costs of data, ``(K, N, m)``, and the fixed ones, ``(K, N)``."""
        slopes = np.repeat(self.base[0][None], len(figures), axis=0)
        fixed = np.repeat(self.base[1][None], len(figures), axis=0)
        for i, field in enumerate(self.reports.fields):
            if field in (None, "profitability"):
                continue
            for value in np.unique(figures[:, i]).tolist():
                if (i, value) not in self.costs:
                    row = np.full(self.reports.game.size, np.nan)
                    row[i] = value
                    only = tuple(field if k == i else None for k in range(row.size))
                    game = Reports(self.reports.game, only).of(row)
                    own, none = self._overheads(game)
                    self.costs[i, value] = own[i], float(none[i])
                some = figures[:, i] == value
                slopes[some, i], fixed[some, i] = self.costs[i, value]
        return slopes, fixed

    def _try(
        self, number: int, figures: Array, weights: tuple[Array, Array], best: Indices
    ) -> None:
        """Prove one profile optimal for as many of the undecided reports as it is."""
        game, profile = self.reports.game, self.pool[number]
        open_ = np.flatnonzero(best < 0)
        u, least = game.data_units, game.min_data_fraction
        if not open_.size or least * (u.sum() - u.max()) < game.accuracy.onset:
            return  # P is not concave over all that can be contributed
        w, together = weights[0][open_], weights[1][open_]
        slopes, fixed = self._costs(figures[open_])
        d = profile.data_fraction
        level = np.argmax(game.cpu_levels_hz == profile.cpu_hz[:, None], axis=1)
        value, derivative = game.accuracy.value, game.accuracy.derivative
        omega = float(d @ u)
        rest = omega - u * d
        p_all, s_all = float(value(omega)), float(derivative(omega))
        p_rest, s_rest = np.asarray(value(rest)), np.asarray(derivative(rest))
        price = (together * s_all + w @ s_rest)[:, None] - w * s_rest
        per_data = (price * u)[:, :, None] - slopes
        ends = np.maximum(per_data * np.where(self.feasible, self.reach, 0.0), per_data * least)
        most = np.where(self.feasible, ends, -np.inf).max(axis=2).sum(axis=1)
        tangents = together * (p_all - s_all * omega) + w @ (p_rest - s_rest * rest)
        spent = (slopes[:, np.arange(d.size), level] * d).sum(axis=1)
        bound, reached = tangents + most, together * p_all + w @ p_rest - spent
        size = np.abs(bound) + np.abs(reached) + fixed.sum(axis=1)
        best[open_[bound - reached <= TOLERANCE * size]] = number
