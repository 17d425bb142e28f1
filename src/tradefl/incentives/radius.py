r"""The self-enforcing range: how wrong profitability may be before somebody deviates.

A rule was designed on estimates; the truth is ``z_i = p_i - sum_j rho_ij p_j``. Where the others
stay at the agreed profile, what i gains by moving to ``(d, f)`` under the truth is exactly

    gain_i(d, f) + (z_i - z^_i) [ P(Omega(d)) - P(Omega*) ]

with ``gain_i`` its gain under the estimates: ``w_i P(Omega_-i)`` does not move. So the agreed
profile is an equilibrium if and only if ``-down_i <= z_i - z^_i <= up_i`` for everybody, with

    up_i   = min  -gain_i(d, f) / [ P(Omega(d)) - P(Omega*) ]    over all d with P(Omega(d)) above
    down_i = min  -gain_i(d, f) / [ P(Omega*) - P(Omega(d)) ]    over all d with P(Omega(d)) below

Each is a search along a line, level by level and piece by piece of the rule. On a piece the rule
and the overhead are straight in d, so in ``q = P(Omega)`` the numerator is ``-z q`` plus a
constant plus a multiple of ``P^-1(q)``, which is convex where P is concave. The quotient by a
linear function is then quasiconvex (the minimum is inside, where its derivative changes sign) or
quasiconcave (it is at an end). Nothing else about P is used.

If all profitability is off by at most the share e, every ``z_i`` is off by at most
``e (p_i + w_i)``, so the profile stays an equilibrium up to

    e* = min_i min(up_i, down_i) / (p_i + w_i)

It is exact for errors in profitability and rho; P, data sizes and overheads are taken as true.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game import CoopetitionGame, StrategyProfile
from tradefl.game.equilibrium import Deviators
from tradefl.game.rules import Incentive

if TYPE_CHECKING:
    from tradefl.documents.self_enforcing import SelfEnforcing

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

# A data fraction is stated in parts per billion; nobody can move by less.
RESOLUTION = 1e-9
# Of the bisection on the sign of a derivative: the bracket shrinks to rounding.
STEPS = 60
# A share of p below which a radius counts as none: what stating data in ppb leaves.
NONE_LEFT = 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class Radius:
    """By how much the figures may be off before somebody gains by leaving a profile.

    Attributes
    ----------
    up, down
        Shape ``(N,)``, payoff per unit of performance: how much higher and lower each ``z_i``
        may be than estimated; ``inf`` where no error in it matters. Negative where somebody
        gains already under the estimates.
    scale
        ``p_i + w_i``, shape ``(N,)``: how much ``z_i`` can move at most if all profitability
        moves by 100 %.
    """

    up: Array
    down: Array
    scale: Array

    @cached_property
    def shares(self) -> Array:
        """By which share all profitability may be off as far as i is concerned, ``(N,)``."""
        return np.asarray(np.minimum(self.up, self.down) / self.scale)

    @property
    def share(self) -> float:
        """``e*``: by which share all profitability together may be off; never negative."""
        return max(float(self.shares.min()), 0.0)

    @property
    def weakest(self) -> int:
        """The organization that deviates first."""
        return int(np.argmin(self.shares))

    @cached_property
    def interior(self) -> Indices:
        """The organizations whose optimum is interior: any error at all makes them move."""
        return np.flatnonzero(self.shares <= NONE_LEFT)

    def holds(self, error: Array) -> bool:
        """Return whether the profile is an equilibrium if each ``z_i`` is off by this much."""
        return bool(np.all((error <= self.up) & (-error <= self.down)))

    def document(self, game: CoopetitionGame) -> SelfEnforcing:
        """Return the part ``self_enforcing`` of a JSON document; ``null`` for no limit."""
        from tradefl.documents.self_enforcing import SelfEnforcing, SelfEnforcingOrganization

        def number(value: float) -> float | None:
            return float(value) if np.isfinite(value) else None

        return SelfEnforcing(
            all_profitability=number(self.share),
            weakest=game.name_of(self.weakest),
            interior=[game.name_of(int(i)) for i in self.interior],
            organizations=[
                SelfEnforcingOrganization(
                    name=game.name_of(i),
                    z=float(game.potential_weights[i]),
                    z_down=number(self.down[i]),
                    z_up=number(self.up[i]),
                    profitability=number(self.shares[i]),
                )
                for i in range(game.size)
            ],
        )

    def to_dict(self, game: CoopetitionGame) -> dict[str, Any]:
        """Return :meth:`document` as plain values."""
        return self.document(game).to_dict()


def radius(
    game: CoopetitionGame, profile: StrategyProfile, incentive: Incentive | None = None
) -> Radius:
    """Return the self-enforcing range of a profile under the rule of a game.

    Parameters
    ----------
    game
        The game with the estimates.
    profile
        What is agreed on: ``pi*`` under the efficient rule, the equilibrium under the paper's.
    incentive
        What each one's own strategy adds to what it receives; default: the rule of the game.
        The search is exact where it is straight between its corners, as both rules are.
    """
    n = game.size
    everyone = Deviators.of(
        game, profile, np.arange(n), game.rule if incentive is None else incentive
    )
    now = np.asarray(game.accuracy.value(everyone.others + everyone.d * game.data_units))
    up, down = np.full(n, np.inf), np.full(n, np.inf)
    for stretch in stretches(everyone):
        who, above = stretch.who, stretch.above
        for ratio, best in ((above, up), (~above, down)):
            if ratio.any():
                found = _least(everyone[who[ratio]], now[who[ratio]], stretch.some(ratio))
                np.minimum.at(best, who[ratio], found)
    scale = game.profitability + game.competitors_profitability
    return Radius(up, down, np.asarray(scale))


def radius_words(found: Radius, game: CoopetitionGame) -> str:
    """Return the range in a sentence: all profitability together, and who limits it."""
    if found.interior.size:
        who = game.name_of(int(found.interior[0]))
        more = found.interior.size - 1
        others = f" and {more:,} more" if more else ""
        return f"no range: the optimum of {who}{others} is interior; a range needs --robust"
    if found.share >= 1.0:
        return "whatever profitability is, up to twice what the file says"
    who = game.name_of(found.weakest)
    return f"while all profitability is within {100.0 * found.share:,.2f} %; {who} limits it"


class Stretch(NamedTuple):
    """Part of a level on which a rule is straight and P concave, on one side of the profile.

    All of shape ``(K,)``: which organization, its frequency, where it begins and ends, whether it
    is above the data that the organization contributes now; and whether P has left zero there.
    """

    who: Indices
    f: Array
    low: Array
    high: Array
    above: npt.NDArray[np.bool_]
    trained: bool

    def some(self, chosen: npt.NDArray[np.bool_]) -> Stretch:
        """Return those that are chosen."""
        who, f, above = self.who[chosen], self.f[chosen], self.above[chosen]
        return Stretch(who, f, self.low[chosen], self.high[chosen], above, self.trained)


def stretches(everyone: Deviators) -> Iterator[Stretch]:
    """Yield the stretches to which somebody could move, at every feasible level.

    At most two lots: those on which P has left zero, and those on which it has not.
    """
    game, d = everyone.game, everyone.d
    least, levels = game.min_data_fraction, game.cpu_levels_hz
    size = levels.shape[0]
    reach = game.max_data_fraction(levels)
    feasible = reach >= least  # false for padding, which is NaN
    high = np.where(feasible, reach, least)[:, :, None]
    onset = (game.accuracy.onset - everyone.others) / game.data_units
    corners = np.nan_to_num(everyone.incentive.corners(game, everyone.i), nan=1.0)
    marks = np.column_stack([np.full(size, least), onset, d, corners, np.ones(size)])
    cuts = np.sort(np.clip(marks[:, None, :], least, high), axis=2)
    start, end = cuts[:, :, :-1], cuts[:, :, 1:]
    away = np.maximum(np.abs(start - d[:, None, None]), np.abs(end - d[:, None, None]))
    wide = feasible[:, :, None] & (end > start) & (away > RESOLUTION)
    trained = start >= np.clip(onset[:, None, None], least, high)
    for side in (True, False):
        who, level, piece = np.nonzero(wide & (trained if side else ~trained))
        if who.size:
            low, top = start[who, level, piece], end[who, level, piece]
            yield Stretch(who, levels[who, level], low, top, low >= d[who], side)


class _Quotient:
    """``-gain / |P - P*|`` of some deviators on stretches of theirs, and where it rises."""

    def __init__(self, deviators: Deviators, now: Array, stretch: Stretch) -> None:
        self.deviators, self.now, self.stretch = deviators, now, stretch
        self.units = deviators.game.data_units[deviators.i]
        self.sign = np.where(stretch.above, 1.0, -1.0)

    def some(self, chosen: npt.NDArray[np.bool_]) -> _Quotient:
        """Return that of those that are chosen."""
        return _Quotient(self.deviators[chosen], self.now[chosen], self.stretch.some(chosen))

    def terms(self, d: Array) -> tuple[Array, Array]:
        """Return ``-gain`` and ``|P - P*|``."""
        value = self.deviators.game.accuracy.value(self.deviators.others + d * self.units)
        return -self.deviators.gain(d, self.stretch.f), self.sign * (np.asarray(value) - self.now)

    def slopes(self, d: Array) -> tuple[Array, Array, Array]:
        """Return the derivatives of ``-gain`` to the left and right of d, and of ``|P - P*|``."""
        game = self.deviators.game
        left, right = self.deviators.slopes(d, self.stretch.f, self.stretch.trained)
        if not self.stretch.trained:
            return -left, -right, np.zeros_like(d)
        omega = np.maximum(self.deviators.others + d * self.units, game.accuracy.onset)
        slope = np.asarray(game.accuracy.derivative(omega)) * self.units
        return -left, -right, self.sign * slope

    def value(self, d: Array) -> Array:
        lost, moved = self.terms(d)
        return np.divide(lost, moved, out=np.full_like(lost, np.inf), where=moved > 0.0)

    def rises(self, d: Array, *, on_the_right: bool) -> npt.NDArray[np.bool_]:
        (lost, moved), (left, right, slope) = self.terms(d), self.slopes(d)
        return np.asarray((right if on_the_right else left) * moved > lost * slope)


def _least(deviators: Deviators, now: Array, stretch: Stretch) -> Array:
    """Return the least loss per unit of performance, ``-gain / |P - P*|``, on each stretch."""
    low, high, above = stretch.low, stretch.high, stretch.above
    quotient = _Quotient(deviators, now, stretch)
    near = np.where(above, low, high)
    touches = np.abs(near - deviators.d) <= RESOLUTION
    best = np.minimum(
        quotient.value(np.where(touches & above, high, low)),
        quotient.value(np.where(touches & ~above, low, high)),
    )
    # Where a stretch begins at the profile itself: the limit there. Another level that costs
    # nobody anything counts as the same.
    terms = deviators.game.profitability[deviators.i] * np.maximum(now, np.finfo(float).tiny)
    same = (stretch.f == deviators.f) | (np.abs(quotient.terms(near)[0]) <= 1e-12 * terms)
    free = touches & same
    left, right, slope = quotient.slopes(near)
    outward = np.where(above, right, left)
    limit = np.divide(outward, slope, out=np.full_like(slope, np.inf), where=slope != 0.0)
    best = np.where(free, np.minimum(best, limit), best)

    # Inside only where it falls at the low end and rises at the high end.
    inner_low = np.where(touches & above, np.minimum(low + RESOLUTION, high), low)
    inner_high = np.where(touches & ~above, np.maximum(high - RESOLUTION, low), high)
    inside = (
        ~free
        & ~quotient.rises(inner_low, on_the_right=True)
        & quotient.rises(inner_high, on_the_right=False)
    )
    if inside.any():
        found = _bisected(quotient.some(inside), inner_low[inside], inner_high[inside])
        best[inside] = np.minimum(best[inside], found)
    return best


def _bisected(quotient: _Quotient, low: Array, high: Array) -> Array:
    """Return the least value between low and high, between which the derivative turns positive."""
    best = np.full(low.size, np.inf)
    for _ in range(STEPS):
        d = 0.5 * (low + high)
        best = np.minimum(best, quotient.value(d))
        rises = quotient.rises(d, on_the_right=True)
        low, high = np.where(rises, low, d), np.where(rises, d, high)
    return best
