"""Thousands of games at once: where best responses settle, for searches and wide priors.

A second copy of the dynamics, in whole arrays of games, and about fifty times as fast as solving
one after the other. It is held to the solvers by ``tests/experiments/test_many_games.py``: the same
moves, the same numbers (decision 020). Whatever is reported of single games comes from the solvers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game import CoopetitionGame
from tradefl.game.potential import own_term

Array = npt.NDArray[np.float64]
Scheme = Literal["DBR", "GCA", "FIP", "WPR"]
TOLERANCE = 1e-12
FIP_STEP = 0.1
MAX_ROUNDS = 100


class Outcomes(NamedTuple):
    """Where best responses settle: one row a game, one column a gamma.

    ``moves`` counts those made; ``least_payoff`` is that of whoever has least.
    """

    welfare: Array
    total_data: Array
    damage: Array
    least_payoff: Array
    moves: Array


class Lanes(NamedTuple):
    """Games under a gamma each: ``(lanes,)``, ``(lanes, N)`` and ``(lanes, N, segments)``.

    A segment is a level with the range of d that may be played at it, empty if ``low > high``.
    """

    epochs: Array
    headroom: Array
    onset: Array
    units: Array
    gain: Array
    cost: Array
    compute: Array
    f: Array
    low: Array
    high: Array


def settle(games: Sequence[CoopetitionGame], gammas: Array, scheme: Scheme) -> Outcomes:
    """Let every game settle at every gamma, all at once.

    The dynamics, their order and the test of a move are those of :mod:`tradefl.solvers`, with
    the same outcome; whole arrays of games repay themselves where thousands are compared.

    Parameters
    ----------
    games
        Of the same size, with ``SqrtLoss``. Their own gamma does not matter.
    gammas
        ``(k,)``, the same for each of them, or ``(games, k)``.
    scheme
        Which dynamics.

    Raises
    ------
    ValueError
        An organization has nothing that it may play: e.g. FIP's first step misses the deadline.
    """
    gammas = np.zeros(1) if scheme == "WPR" else np.asarray(gammas, dtype=float)
    gammas = np.broadcast_to(gammas, (len(games), gammas.shape[-1]))
    lanes = _lanes(games, gammas, scheme)
    d, f, moves = _dynamics(lanes, _start(games, gammas.shape[1], lanes, scheme), scheme)
    found = _outcomes(games, gammas, lanes, d, f)
    return Outcomes(*(value.reshape(gammas.shape) for value in (*found, moves)))


def _segments(game: CoopetitionGame, scheme: Scheme) -> tuple[Array, Array, Array]:
    """Return f, and the least and the most d at it, ``(N, segments)`` each."""
    levels, least = game.cpu_levels_hz, game.min_data_fraction
    reach = game.max_data_fraction(levels)
    if scheme == "FIP":
        step = max(FIP_STEP, least)
        points = np.append(step * np.arange(1, int(np.floor((1.0 - 1e-12) / step)) + 1), 1.0)
        shape = (*levels.shape, points.size)
        low = np.where(points <= reach[:, :, None], points, np.inf)
        f = np.broadcast_to(levels[:, :, None], shape)
        low, f = low.reshape(game.size, -1), f.reshape(game.size, -1)
        return f, low, np.broadcast_to(np.tile(points, levels.shape[1]), low.shape)
    if scheme == "GCA":
        ends = levels / levels[:, -1:]
        starts = np.nextafter(ends[:, :-1], np.inf)
        low = np.maximum(np.column_stack([np.zeros(game.size), starts]), least)
        return levels, low, np.minimum(ends, reach)
    return levels, np.full(levels.shape, least), reach


def _lanes(games: Sequence[CoopetitionGame], gammas: Array, scheme: Scheme) -> Lanes:
    parts = [_segments(game, scheme) for game in games]
    most = max(part[0].shape[1] for part in parts)

    def padded(which: int, value: float) -> Array:
        stack = [
            np.pad(part[which], ((0, 0), (0, most - part[which].shape[1])), constant_values=value)
            for part in parts
        ]
        return np.repeat(np.array(stack), gammas.shape[1], axis=0)

    f, low, high = padded(0, 1.0), padded(1, np.inf), padded(2, 0.0)
    if not (low <= high).any(axis=2).all():
        raise ValueError(f"{scheme}: an organization has nothing to play before the deadline")
    # What is gained by contributing is proportional to gamma; what data costs is not.
    own = [own_term(game.with_incentive_intensity(1.0)) for game in games]
    costs = [game.data_cost / game.potential_weights for game in games]
    scale = gammas.reshape(-1, 1)

    def each(values: Sequence[Any]) -> Array:
        return np.repeat(np.array(values, dtype=float), gammas.shape[1], axis=0)

    return Lanes(
        epochs=each([game.accuracy.epochs for game in games]),
        headroom=each([g.accuracy.untrained_loss - 1.0 / g.accuracy.epochs for g in games]),
        onset=each([game.accuracy.onset for game in games]),
        units=each([game.data_units for game in games]),
        gain=each([one.data_gain[:, 0] + cost for one, cost in zip(own, costs, strict=True)])
        * scale
        - each(costs),
        cost=each([one.energy_cost for one in own]),
        compute=each([one.compute_gain for one in own]) * scale,
        f=f,
        low=low,
        high=high,
    )


def _start(
    games: Sequence[CoopetitionGame], gammas: int, lanes: Lanes, scheme: Scheme
) -> tuple[Array, Array]:
    """Return where the dynamics start, as their solvers do: d and f, ``(lanes, N)``."""
    fastest = np.repeat([game.cpu_levels_hz[:, -1] for game in games], gammas, axis=0)
    least = np.repeat([game.min_data_fraction for game in games], gammas)[:, None]
    if scheme == "GCA":
        first = np.argmax(lanes.low <= lanes.high, axis=2)[:, :, None]
        low, f = (np.take_along_axis(part, first, axis=2)[:, :, 0] for part in (lanes.low, lanes.f))
        return low, f
    if scheme == "FIP":
        least = np.maximum(FIP_STEP, least)
    return np.broadcast_to(least, fastest.shape).copy(), fastest


def _performance(lanes: Lanes, omega: Array) -> Array:
    """Return P of footnote 7, capped (erratum E10); ``omega`` has the lanes as its first axis."""
    extra = (slice(None),) + (None,) * (omega.ndim - 1)
    epochs, headroom, onset = (part[extra] for part in (lanes.epochs, lanes.headroom, lanes.onset))
    with np.errstate(divide="ignore"):
        loss = 1.0 / np.sqrt(np.maximum(omega, onset) * epochs)
    return np.asarray((omega > onset) * np.maximum(headroom - loss, 0.0))


def _dynamics(
    lanes: Lanes, start: tuple[Array, Array], scheme: Scheme
) -> tuple[Array, Array, Array]:
    """Let everybody move in turn until nobody does; return d, f and the moves of each lane."""
    d, f = start
    moves = np.zeros(d.shape[0])
    busy = np.arange(d.shape[0])  # lanes in which somebody moved in the last round
    for _ in range(MAX_ROUNDS):
        here = Lanes(*(part[busy] for part in lanes))
        d_here, f_here = d[busy], f[busy]
        omega = np.sum(d_here * here.units, axis=1)
        moved = np.zeros(busy.size)
        for i in range(d.shape[1]):
            moved += _move(here, i, d_here, f_here, omega, scheme)
        d[busy], f[busy] = d_here, f_here
        moves[busy] += moved
        busy = busy[moved > 0]
        if not busy.size:
            break
    return d, f, moves


def _move(here: Lanes, i: int, d: Array, f: Array, omega: Array, scheme: Scheme) -> Array:
    """Let organization i move in every lane, in place; return where it did."""
    u, low, high, levels = here.units[:, i], here.low[:, i], here.high[:, i], here.f[:, i]
    others = np.maximum(omega - d[:, i] * u, 0.0)
    slope = here.gain[:, i, None] - here.cost[:, i, None] * levels**2
    open_ = low <= high
    least = np.where(open_, low, 0.0)
    # P is flat and then concave: the best of a segment is its start, or where P' = -slope / u.
    steep = np.where(slope < 0.0, -slope, 1.0) / u[:, None]
    wanted = (2.0 * np.sqrt(here.epochs)[:, None] * steep) ** (-2.0 / 3.0)
    wanted = np.where(slope < 0.0, np.maximum(wanted, here.onset[:, None]), np.inf)
    inner = np.clip((wanted - others[:, None]) / u[:, None], least, np.where(open_, high, 0.0))
    base = here.compute[:, i, None] * levels
    places = np.stack([inner, least])
    owns = slope * places + base
    values = np.stack(
        [_performance(here, others[:, None] + u[:, None] * place) for place in places]
    )
    values = np.where(open_, values + owns, -np.inf)
    lower = values[1] >= values[0]
    best = np.argmax(values.max(axis=0), axis=1)  # of equals the first, which is the slowest
    at = np.arange(best.size)
    which = lower[at, best].astype(int)
    new_d, new_f = places[which, at, best], levels[at, best]
    new_own, new_value = owns[which, at, best], values[which, at, best]

    own = (here.gain[:, i] - here.cost[:, i] * f[:, i] ** 2) * d[:, i]
    own = own + here.compute[:, i] * f[:, i]
    value = _performance(here, others + u * d[:, i]) + own
    size = np.abs(value) + np.abs(new_value) + np.abs(own) + np.abs(new_own)
    moves = new_value - value > TOLERANCE * size
    if scheme in ("DBR", "WPR"):
        moves = np.where(new_f == f[:, i], np.abs(new_d - d[:, i]) * u > TOLERANCE * omega, moves)
    omega[moves] = (others + u * new_d)[moves]
    d[moves, i], f[moves, i] = new_d[moves], new_f[moves]
    return np.asarray(moves)


def _outcomes(
    games: Sequence[CoopetitionGame], gammas: Array, lanes: Lanes, d: Array, f: Array
) -> tuple[Array, Array, Array, Array]:
    """Return welfare, total data, damage and the least payoff of each lane, Eq. (6) to (11)."""
    omega = np.sum(d * lanes.units, axis=1)
    performance = _performance(lanes, omega)[:, None]
    without = _performance(lanes, np.maximum(omega[:, None] - d * lanes.units, 0.0))
    least, welfare, damages = [], [], []
    for k, game in enumerate(games):
        rows = slice(k * gammas.shape[1], (k + 1) * gammas.shape[1])
        damage = game.competitors_profitability * (performance[rows] - without[rows])
        cycles = game.cycles_per_bit * game.data_bits * d[rows]
        sent = game.download_watts * game.download_seconds
        sent = sent + game.upload_watts * game.upload_seconds
        overhead = game.overhead_weight * (game.capacitances * f[rows] ** 2 * cycles + sent)
        overhead = overhead + game.data_cost * d[rows] + game.joining_cost
        x = d[rows] * game.data_bits + game.compute_weight * f[rows]
        net = game.total_intensity * x - game.competition.dot(x.T).T
        payoff = game.profitability * performance[rows] - overhead - damage
        payoff = payoff + gammas[k, :, None] * net
        least.append(payoff.min(axis=1))
        welfare.append(payoff.sum(axis=1))
        damages.append(damage.sum(axis=1))
    return (
        np.concatenate(welfare),
        d.sum(axis=1),
        np.concatenate(damages),
        np.concatenate(least),
    )
