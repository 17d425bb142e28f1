r"""Schedules for a range: nobody leaves the agreed data although profitability is not known well.

Any concave nondecreasing ``psi_i`` below ``phi_i`` that touches it at ``d_i*`` may be paid in its
place. Let all profitability be off by at most the share R; then ``z_i`` is at least

    z_lo = z^_i - R (p_i + w_i)

which may be negative. Paid ``-k_i (d* - d)`` below ``d*``, with

    k_i = max(0, sup over d < d* of
              { overhead_i(d*) - overhead_i(d) - z_lo [ P(Omega*) - P(Omega(d)) ] } / (d* - d))

no downward move pays for any ``z_i`` in the range. The supremum is over every level: the slope at
``d*`` alone is not enough, since a slower level is cheaper by a jump. The numerator is concave in
d on each stretch where ``z_lo >= 0`` (the quotient is then quasiconcave, and its maximum is where
its derivative changes sign) and convex otherwise (the maximum is at an end).

Schedules are flat above ``d*``: nobody is paid to contribute more than what is agreed on, and the
federation's server caps what is claimed at the pledge. What is left of upward moves is in
:mod:`tradefl.incentives.radius`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tradefl.game import CoopetitionGame, LinearRule, Schedule, StrategyProfile
from tradefl.game.equilibrium import Deviators
from tradefl.incentives.radius import RESOLUTION, STEPS, Stretch, stretches

Array = npt.NDArray[np.float64]

# Steeper than needed by this share: rounding to wei must not undo it.
MARGIN = 1e-9


def steepness(game: CoopetitionGame, profile: StrategyProfile, off_by: float) -> Array:
    """Return ``k_i``, shape ``(N,)``, payoff for a full dataset.

    Parameters
    ----------
    game
        The game with the estimates; its rule does not matter.
    profile
        ``pi*``.
    off_by
        R: the share by which all profitability may be off, in [0, 1).

    Raises
    ------
    ValueError
        The range is not in [0, 1).
    """
    if not 0.0 <= off_by < 1.0:
        raise ValueError(f"robust: expected a number in [0, 1), got {off_by!r}")
    unpaid = LinearRule(0.0, game.compute_weight)
    everyone = Deviators.of(game, profile, np.arange(game.size), unpaid)
    scale = game.profitability + game.competitors_profitability
    now = np.asarray(game.accuracy.value(everyone.others + everyone.d * game.data_units))
    steepest = np.zeros(game.size)
    for stretch in stretches(everyone):
        below = ~stretch.above
        if below.any():
            part = stretch.some(below)
            who = part.who
            found = _steepest(everyone[who], now[who], part, -off_by * scale[who])
            np.maximum.at(steepest, who, found)
    return steepest * (1.0 + MARGIN)


def steeper(schedule: Schedule, agreed: float, steepest: float) -> Schedule:
    """Return ``psi = min(0, phi, -k (d* - d))`` at the breakpoints of a schedule.

    Straight between them it is below the concave minimum, so it is concave, nondecreasing and
    below ``phi`` too.
    """
    below = np.minimum(schedule.values, -steepest * (agreed - schedule.shares))
    return Schedule(schedule.shares, np.where(schedule.shares < agreed, below, 0.0))


def _steepest(deviators: Deviators, now: Array, stretch: Stretch, error: Array) -> Array:
    """Return the largest quotient on each stretch below the profile."""
    game, f = deviators.game, stretch.f
    u = game.data_units[deviators.i]

    def numerator(d: Array) -> Array:
        moved = np.asarray(game.accuracy.value(deviators.others + d * u)) - now
        return np.asarray(deviators.gain(d, f) + error * moved)

    def slopes(d: Array) -> tuple[Array, Array]:
        left, right = deviators.slopes(d, f, stretch.trained)
        if not stretch.trained:
            return left, right
        omega = np.maximum(deviators.others + d * u, game.accuracy.onset)
        more = error * np.asarray(game.accuracy.derivative(omega)) * u
        return left + more, right + more

    def quotient(d: Array) -> Array:
        room = deviators.d - d
        return np.divide(numerator(d), room, out=np.full_like(d, -np.inf), where=room > 0.0)

    def rises(d: Array, *, on_the_right: bool) -> npt.NDArray[np.bool_]:
        left, right = slopes(d)
        return np.asarray((right if on_the_right else left) * (deviators.d - d) + numerator(d) > 0)

    low, high = stretch.low, np.minimum(stretch.high, deviators.d - RESOLUTION)
    low = np.minimum(low, high)
    best = np.maximum(quotient(low), quotient(high))
    # Towards d* itself at its own level, where both terms vanish: the slope.
    touches = stretch.high >= deviators.d - RESOLUTION
    own = touches & (f == deviators.f)
    best = np.where(own, np.maximum(best, -slopes(deviators.d)[0]), best)
    if not np.any(rises(low, on_the_right=True) & ~rises(high, on_the_right=False)):
        return best
    for _ in range(STEPS):  # every point's quotient counts, so nobody needs to be left out
        d = 0.5 * (low + high)
        best = np.maximum(best, quotient(d))
        up = rises(d, on_the_right=True)
        low, high = np.where(up, d, low), np.where(up, high, d)
    return best
