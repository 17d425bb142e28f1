"""With everybody's level fixed, the potential is concave in the data: its exact maximum.

This is the primal problem of the paper's decomposition, Eq. (19), and the feasibility
problem, Eq. (21), that takes its place when a level cannot meet the deadline.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.potential import own_term, potential
from tradefl.game.strategy import StrategyProfile
from tradefl.solvers.residual import Frame, Group, Segment, settle

Array = npt.NDArray[np.float64]
Levels = npt.NDArray[np.intp]


class Support(NamedTuple):
    """A line that lies above P from the onset on: ``value + price (Omega - omega)``.

    ``price`` is the data price at a maximum, so the maximum of the potential with this line in
    place of P is the same.
    """

    omega: float
    value: float
    price: float


@dataclasses.dataclass(frozen=True, eq=False)
class Primal:
    """The maximum of U over d for fixed levels.

    Attributes
    ----------
    profile
        ``(d^(k), f)``.
    potential
        ``U(d^(k), f)``.
    support
        Where the cut belongs: the maximum among profiles at or above the onset of P; ``None``
        if these levels do not reach it.
    multipliers
        ``u^(k) >= 0``, shape ``(N,)``: what a second more before the deadline would add to U
        for each organization; zero where the deadline does not bind.
    """

    profile: StrategyProfile
    potential: float
    support: Support | None
    multipliers: Array


@dataclasses.dataclass(frozen=True, eq=False)
class Infeasible:
    """The solution of Eq. (21): the least excess over the deadline, and whose it is.

    Attributes
    ----------
    excess_seconds
        ``zeta > 0``: by how much the worst organization is late even with ``d = D_min``.
    worst
        Its index: the one with a multiplier of 1 in Eq. (22), the others have 0.
    """

    excess_seconds: float
    worst: int


def fastest_levels(game: CoopetitionGame, instead: Levels | None = None) -> Levels:
    """Return everybody's fastest level, or a user's choice ``instead``, checked.

    Raises
    ------
    ValueError
        The choice is not one index of a level for each organization.
    """
    fastest = np.asarray(np.sum(~np.isnan(game.cpu_levels_hz), axis=1) - 1, dtype=np.intp)
    if instead is None:
        return fastest
    levels = np.asarray(instead)
    valid = levels.shape == fastest.shape and levels.dtype.kind in "iu"
    if not valid or np.any(levels < 0) or np.any(levels > fastest):
        raise ValueError(f"initial_levels: expected {game.size} indices of levels")
    return levels


def frequencies(game: CoopetitionGame, levels: Levels) -> Array:
    """Return the frequencies of the chosen levels, Hz, shape ``(N,)``."""
    return np.asarray(game.cpu_levels_hz[np.arange(game.size), levels])


def seconds_late(game: CoopetitionGame, d: Array, f: Array) -> Array:
    """Return ``G = T1 + T2(d, f) + T3 - tau``, seconds; shapes broadcast."""
    column = (slice(None),) + (None,) * (np.ndim(f) - 1)
    training = (game.cycles_per_bit * game.data_bits)[column] * d / f
    transfers = game.download_seconds + game.upload_seconds
    return np.asarray(training + (transfers - game.deadline_seconds)[column])


def primal(game: CoopetitionGame, levels: Levels) -> Primal | Infeasible:
    """Solve Eq. (19) for fixed levels, or Eq. (21) when they cannot meet the deadline."""
    f = frequencies(game, levels)
    high = game.max_data_fraction(f)
    if np.any(high < game.min_data_fraction):
        late = seconds_late(game, np.full(game.size, game.min_data_fraction), f)
        worst = int(np.argmax(late))
        return Infeasible(float(late[worst]), worst)
    above = _concave_part(game, f, high)
    candidates = [] if above is None else [above[0]]
    if float(game.accuracy.onset) > 0.0:
        # Where P is zero everybody takes the end that is best by itself (erratum E10).
        low, most, slope, constant = _segments(game, f, high)
        ends = np.concatenate([low, most], axis=1)
        own = np.where(low <= most, slope * low + constant, -np.inf)
        own = np.concatenate([own, np.where(low <= most, slope * most + constant, -np.inf)], axis=1)
        d = ends[np.arange(game.size), np.argmax(own, axis=1)]
        candidates.append(StrategyProfile(d, f))
    best = max(candidates, key=lambda profile: potential(game, profile))
    return Primal(
        profile=best,
        potential=potential(game, best),
        support=None if above is None else above[1],
        multipliers=_multipliers(game, best, high),
    )


def _segments(game: CoopetitionGame, f: Array, high: Array) -> tuple[Array, Array, Array, Array]:
    """Return the pieces of everybody's own term at its level: low, high, slope, constant, (N, K).

    A piece beyond the deadline, or below D_min, has low > high.
    """
    own = own_term(game)
    slope = own.data_gain - (own.energy_cost * f**2)[:, None]
    constant = own.constant + (own.compute_gain * f)[:, None]
    return own.low, np.minimum(own.high, high[:, None]), slope, constant


def _concave_part(
    game: CoopetitionGame, f: Array, high: Array
) -> tuple[StrategyProfile, Support] | None:
    """Return the maximizer among profiles at or above the onset; None if there are none."""
    u, low = game.data_units, game.min_data_fraction
    most, least = float(u @ high), low * float(u.sum())
    onset = float(game.accuracy.onset)
    if most < onset:
        return None
    begin, end, slope, constant = _segments(game, f, high)
    column = u[:, None]
    columns = (column * begin, slope * begin + constant, column * end, slope * end + constant)
    ends = zip(*(column.tolist() for column in columns), strict=True)
    groups = [
        Group(
            i,
            1,
            tuple(
                Segment(0, *piece)
                for piece, there in zip(zip(*pieces, strict=True), exists, strict=True)
                if there
            ),
        )
        for i, (pieces, exists) in enumerate(zip(ends, (begin <= end).tolist(), strict=True))
    ]
    frame = Frame(game.accuracy, 0.0, 0.0, -np.inf, np.inf, max(onset, least), most)
    settled = settle(frame, groups)
    w = np.empty(game.size)
    for placement in settled.placements:
        w[placement.label] = placement.w
    profile = StrategyProfile(np.clip(w / u, low, high), f)
    omega = max(game.omega(profile), onset)
    return profile, Support(omega, float(game.accuracy.value(omega)), settled.price)


def _multipliers(game: CoopetitionGame, profile: StrategyProfile, high: Array) -> Array:
    own, d, f = own_term(game), profile.data_fraction, profile.cpu_hz
    # To the left of d, which is where less time would lead.
    piece = np.clip((own.low < d[:, None]).sum(axis=1) - 1, 0, None)
    slope = own.data_gain[np.arange(game.size), piece] - own.energy_cost * f**2
    marginal = game.data_units * float(game.accuracy.derivative(game.omega(profile))) + slope
    binds = (high < 1.0) & (d >= high * (1.0 - 1e-12))  # d is itself a rounded quotient
    # One second more lets f / (eta s) more data in.
    per_second = f / (game.cycles_per_bit * game.data_bits)
    return np.where(binds, np.maximum(marginal, 0.0) * per_second, 0.0)
