r"""Best responses under any mechanism: a one-dimensional search at each level.

Given what the others contribute, organization i's payoff at a level is a function of its own ``d``
alone. Its interval is cut into cells. On a cell ``[a, b]`` a concave function lies below the chords
of the neighbouring cells, prolonged, and a convex one below its own chord; both need values only,
no derivative. So with a payoff in a concave and a convex part (:meth:`Mechanism.parts`)

    payoff <= min(chord left of a, chord right of b) + own chord of the convex part   on [a, b],

whose largest value is at a corner of straight lines. Cells whose bound does not pass the best value
in hand are dropped, the others halved, for all organizations and levels at once. The error of the
bound falls with the square of the width, so about twenty halvings suffice.

Without parts the whole payoff is taken for concave between neighbouring points of a grid. The
result is then *searched*, not proven: a gain that rises and falls again within one cell of the grid
is missed. With parts what is returned is a proven bound.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.mechanism import Parts
from tradefl.game.payoff import overhead
from tradefl.game.signed import hinge
from tradefl.game.strategy import StrategyProfile

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

# Points of the grid at each level: of a best response, and of a certificate of what is not proven.
POINTS, CERTIFYING_POINTS = 17, 65
# A bound is tight when it is within this share of the terms of a payoff of a value.
TIGHT = 1e-12
# Parts are checked to within this share of their size.
CHECKED = 1e-9
# Halvings; a cell is then far below what a double resolves.
MOST_HALVINGS = 48


class BestResponses(NamedTuple):
    """What each of some organizations does best against the others, all of shape ``(K,)``.

    ``gain`` is what it gains by it, at least 0; ``bound`` is what no deviation exceeds, as far as
    ``proven`` says so.
    """

    d: Array
    f: Array
    gain: Array
    bound: Array
    proven: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Deviations:
    """What organizations gain when each deviates alone from a profile, under any mechanism."""

    game: CoopetitionGame
    profile: StrategyProfile

    def __post_init__(self) -> None:
        everybody = np.arange(self.game.size)
        now = self.profile.data_fraction, self.profile.cpu_hz
        self._keep("_omega", self.game.omega(self.profile))
        self._keep("_now", np.zeros(self.game.size))
        parts = self._parts(everybody, *now)
        # At the profile a transfer is asked for as a transfer, whatever its parts are.
        transfer = self.game.mechanism.own_transfer(self.game, self.profile, everybody, *now)
        self._keep("_now", self._bare(everybody, *now) + transfer)
        self._keep("_shift", np.zeros(self.game.size))
        self._keep("proven", parts is not None)
        if parts is not None:
            self._keep("_shift", parts.concave + parts.convex)

    def _keep(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    _omega: float = dataclasses.field(init=False)
    _now: Array = dataclasses.field(init=False)
    _shift: Array = dataclasses.field(init=False)
    proven: bool = dataclasses.field(init=False)

    def _others(self, i: Indices) -> Array:
        own = self.profile.data_fraction[i] * self.game.data_units[i]
        return np.asarray(np.maximum(self._omega - own, 0.0))

    def _costs(self, i: Indices, d: Array, f: Array) -> Array:
        """Return ``overhead_i(d, f)`` less what does not depend on the strategy, ``(K,)``."""
        game = self.game
        joules = game.capacitances[i] * f**2 * game.cycles_per_bit[i] * game.data_bits[i]
        return np.asarray((game.overhead_weight * joules + game.data_cost[i]) * d)

    def _bare(self, i: Indices, d: Array, f: Array) -> Array:
        """Return what of ``payoff0_i`` depends on the own strategy: ``z_i P(Omega) - cost``."""
        omega = self._others(i) + d * self.game.data_units[i]
        value = np.asarray(self.game.accuracy.value(omega), dtype=float)
        return np.asarray(self.game.potential_weights[i] * value - self._costs(i, d, f))

    def _parts(self, i: Indices, d: Array, f: Array) -> Parts | None:
        """Return ``payoff_i`` in two parts, up to a constant, if the mechanism gives them."""
        found = self.game.mechanism.parts(self.game, self.profile, i, d, f)
        if found is None:
            return None
        omega = self._others(i) + d * self.game.data_units[i]
        corner = self.game.potential_weights[i] * hinge(self.game.accuracy, omega)  # z > 0
        return Parts(self._bare(i, d, f) - corner + found.concave, corner + found.convex)

    def gain(self, i: Indices, d: Array, f: Array) -> Array:
        """Return ``payoff_i(d, f; pi_-i) - payoff_i(pi)``, shape ``(K,)`` as i, d and f."""
        transfer = self.game.mechanism.own_transfer(self.game, self.profile, i, d, f)
        return np.asarray(self._bare(i, d, f) + transfer - self._now[i])

    def in_parts(self, i: Indices, d: Array, f: Array) -> Parts:
        """Return :meth:`gain` as a concave and a convex part; without parts, all as the first."""
        found = self._parts(i, d, f) if self.proven else None
        if found is None:
            gain = self.gain(i, d, f)
            return Parts(gain, np.zeros_like(gain))
        return Parts(found.concave - self._shift[i], found.convex)

    def scale(self, i: Indices) -> Array:
        """Return the size of the terms of a payoff, ``(K,)``, to judge a gain by."""
        value = abs(float(self.game.accuracy.value(self._omega)))
        weight = self.game.profitability + self.game.competitors_profitability
        size = weight * value + overhead(self.game, self.profile) + np.abs(self._now)
        return np.asarray(np.maximum(size[i], np.finfo(float).tiny))


@dataclasses.dataclass(frozen=True, eq=False)
class _Cells:
    """Cells ``[a, b]`` with their neighbours' far ends ``x`` and ``y``; NaN at the borders.

    All arrays have the same first axis: who, the frequency, the four points, and the two parts at
    each of them.
    """

    i: Indices
    f: Array
    at: Array  # (K, 4): x, a, b, y
    concave: Array  # (K, 4)
    convex: Array  # (K, 4)

    def __getitem__(self, chosen: npt.NDArray[np.bool_]) -> _Cells:
        return _Cells(*(getattr(self, field.name)[chosen] for field in dataclasses.fields(self)))

    def bound(self) -> Array:
        """Return what the sum of both parts does not exceed on each cell, shape ``(K,)``."""
        x, a, b, y = self.at.T
        at_x, at_a, at_b, at_y = self.concave.T
        width = b - a
        with np.errstate(divide="ignore", invalid="ignore"):
            left, right = (at_a - at_x) / (a - x), (at_y - at_b) / (y - b)
            chord = (self.convex[:, 2] - self.convex[:, 1]) / width
            # Heights over a of both lines: at_a + left t and at_b + right (t - width).
            cross = (at_b - right * width - at_a) / (left - right)
        left_end, right_end = np.isnan(left), np.isnan(right)
        cross = np.where(left_end, 0.0, np.where(right_end, width, cross))
        cross = np.clip(np.nan_to_num(cross, nan=0.0), 0.0, width)
        by_left = np.where(left_end, np.inf, at_a + left * cross)
        by_right = np.where(right_end, np.inf, at_b + right * (cross - width))
        both = np.minimum(by_left, by_right)
        lone = left_end & right_end  # a single cell: nothing bounds what lies between
        inside = np.where(lone, np.inf, both + self.convex[:, 1] + chord * cross)
        ends = np.maximum(at_a + self.convex[:, 1], at_b + self.convex[:, 2])
        return np.asarray(np.where(width > 0.0, np.maximum(inside, ends), ends))


def certified_responses(
    game: CoopetitionGame, profile: StrategyProfile, who: Indices | None = None
) -> BestResponses:
    """Return :func:`best_responses` for a certificate: a dense grid where nothing is proven."""
    moves = Deviations(game, profile)
    points = POINTS if moves.proven else CERTIFYING_POINTS
    return best_responses(game, profile, who, points=points, deviations=moves)


def best_responses(
    game: CoopetitionGame,
    profile: StrategyProfile,
    who: Indices | None = None,
    *,
    points: int = POINTS,
    deviations: Deviations | None = None,
) -> BestResponses:
    """Return each one's best response to the others under the game's mechanism.

    Parameters
    ----------
    game, profile
        The game, and what everybody contributes.
    who
        Whose, shape ``(K,)``; default: everybody's.
    points
        Points of the first grid at each level, at least 5.
    deviations
        Those of the profile, where they are known already.
    """
    chosen = np.arange(game.size) if who is None else np.asarray(who, dtype=np.intp)
    moves = Deviations(game, profile) if deviations is None else deviations
    best = np.zeros(game.size)
    best_d, best_f = profile.data_fraction.copy(), profile.cpu_hz.copy()

    def judge(i: Indices, d: Array, f: Array, parts: Parts) -> None:
        value = parts.concave + parts.convex
        order = np.argsort(value, kind="stable")
        top, last = np.full(game.size, -np.inf), np.zeros(game.size, dtype=np.intp)
        top[i[order]], last[i[order]] = value[order], order  # the largest is written last
        better = top > best
        best[better] = top[better]
        best_d[better], best_f[better] = d[last[better]], f[last[better]]

    tight = TIGHT * moves.scale(np.arange(game.size))
    i, low, high, f = _stretches(game, chosen)
    grid = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, points)
    grid[:, -1] = high
    rows, hz = np.repeat(i, points), np.repeat(f, points)
    parts = moves.in_parts(rows, grid.ravel(), hz)
    judge(rows, grid.ravel(), hz, parts)
    concave, convex = (part.reshape(grid.shape) for part in parts)
    if moves.proven:
        _require_parts(game, moves, i, grid, f, concave, convex)
    cells = _grid_cells(i, f, grid, concave, convex)
    bound = np.zeros(game.size)
    for step in range(MOST_HALVINGS + 1):
        limit = cells.bound()
        over = limit > best[cells.i] + tight[cells.i]
        done = ~over if step < MOST_HALVINGS else np.ones_like(over)
        np.maximum.at(bound, cells.i[done], limit[done])
        cells = cells[over]
        if step == MOST_HALVINGS or not cells.i.size:
            break
        middle = 0.5 * (cells.at[:, 1] + cells.at[:, 2])
        parts = moves.in_parts(cells.i, middle, cells.f)
        judge(cells.i, middle, cells.f, parts)
        cells = _halved(cells, middle, parts)
    gain = best[chosen]
    return BestResponses(
        best_d[chosen], best_f[chosen], gain, np.maximum(bound[chosen], gain), moves.proven
    )


def _stretches(game: CoopetitionGame, who: Indices) -> tuple[Indices, Array, Array, Array]:
    """Return organization, least and most data, and frequency of every level to search."""
    levels = game.cpu_levels_hz[who]
    most = game.max_data_fraction(game.cpu_levels_hz)[who]
    feasible = most >= game.min_data_fraction
    least = np.full(most.shape, game.min_data_fraction)
    if not game.mechanism.uses_compute:
        # A slower level that trains as much costs no more: search beyond the one below.
        below = np.where(feasible, most, 0.0)[:, :-1]
        least[:, 1:] = np.maximum(least[:, 1:], np.maximum.accumulate(below, axis=1))
        feasible &= (most > least) | (np.cumsum(feasible, axis=1) == 1)
    row, level = np.nonzero(feasible)
    return who[row], least[row, level], most[row, level], levels[row, level]


def _require_parts(
    game: CoopetitionGame,
    moves: Deviations,
    i: Indices,
    grid: Array,
    f: Array,
    concave: Array,
    convex: Array,
) -> None:
    """Check on the grid what a mechanism says of its parts; a false proof must not be possible.

    Raises
    ------
    ValueError
        A part is not of its form, or they do not sum to the transfer.
    """
    name = game.mechanism.name
    slack = CHECKED * np.maximum(
        moves.scale(i), np.maximum(np.abs(concave).max(axis=1), np.abs(convex).max(axis=1))
    )
    for part, sign, what in ((concave, 1.0, "concave"), (convex, -1.0, "convex")):
        bends = sign * np.diff(part, 2, axis=1)  # of an even grid: at most 0 where concave
        if np.any(bends > slack[:, None]):
            raise ValueError(
                f"parts: the first of {name} must be concave and the second convex in "
                f"d at every level; the one that should be {what} is not"
            )
    half = grid.shape[1] // 2
    summed = concave[:, half] + convex[:, half]
    if np.any(np.abs(summed - moves.gain(i, grid[:, half], f)) > slack):
        raise ValueError(
            f"parts: those of {name} must sum to its own transfer, up to a constant of each "
            "organization"
        )


def _grid_cells(i: Indices, f: Array, grid: Array, concave: Array, convex: Array) -> _Cells:
    """Return the cells of each row of a grid, shape ``(T, points)``."""

    def four(values: Array) -> Array:
        padded = np.pad(values, ((0, 0), (1, 1)), constant_values=np.nan)
        count = values.shape[1] - 1
        return np.stack([padded[:, k : k + count] for k in range(4)], axis=2).reshape(-1, 4)

    count = grid.shape[1] - 1
    return _Cells(np.repeat(i, count), np.repeat(f, count), *map(four, (grid, concave, convex)))


def _halved(cells: _Cells, middle: Array, parts: Parts) -> _Cells:
    """Return both halves of each cell; each has the other's far end as a neighbour."""

    def halves(four: Array, new: Array) -> Array:
        left = np.stack([four[:, 0], four[:, 1], new, four[:, 2]], axis=1)
        right = np.stack([four[:, 1], new, four[:, 2], four[:, 3]], axis=1)
        return np.concatenate([left, right])

    return _Cells(
        np.concatenate([cells.i, cells.i]),
        np.concatenate([cells.f, cells.f]),
        halves(cells.at, middle),
        halves(cells.concave, parts.concave),
        halves(cells.convex, parts.convex),
    )
