r"""Thousands of small games at once, in compiled loops over arrays of games.

The dynamics are those of the solvers: the very same functions, called in a loop over games instead
of from Python. Games are taken in chunks, each of which runs on a thread that ends with the call
(:mod:`tradefl.solvers.compiled`). What is computed for a game depends on its own figures alone.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple, Unpack, cast, get_args

import numpy as np
import numpy.typing as npt

from tradefl.arguments import (
    ANYTHING,
    MAPPING,
    ONE_GAME,
    SHARE,
    TRUTH,
    accepts,
    choice,
    either,
    instance,
    many,
    optional,
    whole,
)
from tradefl.errors import InputError
from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.payoff import communication_joules, payoffs
from tradefl.game.potential import own_term
from tradefl.solvers.accuracies import accuracy_of
from tradefl.solvers.best_response import Players, player
from tradefl.solvers.compiled import compiled as compiled_loop
from tradefl.solvers.compiled import threads
from tradefl.solvers.dbr import TOLERANCE, one_round
from tradefl.solvers.deviations import deviation, own_value
from tradefl.solvers.fip import STEP, grid_of
from tradefl.solvers.games import GameArrays, Games
from tradefl.solvers.hulls import Menu
from tradefl.solvers.planner import TOLERANCE as OPTIMUM_TOLERANCE
from tradefl.solvers.planner import Coalitions, data_overhead, strategies
from tradefl.solvers.planning import FIRST_NODES, Menus, plan_each
from tradefl.solvers.segments import Segments, greedy_segments, grid_segments, segment_round
from tradefl.solvers.solution import REGRET_TOLERANCE

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Method = Literal["dbr", "wpr", "gca", "fip", "fixed"]

METHODS: tuple[Method, ...] = get_args(Method)
# So many strategies (games x organizations x levels) are worked on at a time: what a chunk needs
# stays in the processor's cache, and the memory of a call does not grow with the games.
CHUNK = 100_000
# From so many strategies on, compiled loops repay their loading.
COMPILE_FROM = 60_000


class Profiles(NamedTuple):
    """Contributions in K games, ``(K, N)`` each."""

    data_fraction: Array
    cpu_hz: Array


class ManyOptima(NamedTuple):
    """The planner's optimum of each of K games, whatever the rule.

    Attributes
    ----------
    social_welfare
        Shape ``(K,)``: the highest sum of all payoffs that was found.
    bound
        Shape ``(K,)``: what no profile exceeds.
    proven
        Shape ``(K,)``: whether the bound proves it, to a share of 1e-9.
    data_fraction, cpu_hz
        Shape ``(K, N)``: the contributions that reach it.
    """

    social_welfare: Array
    bound: Array
    proven: Flags
    data_fraction: Array
    cpu_hz: Array


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ManySolutions:
    """Where each of K games of N organizations settles, and what that pays.

    Rows of arrays that are no games are NaN, their counts 0 and their flags false.

    Attributes
    ----------
    method
        The dynamics.
    valid
        Shape ``(K,)``: which rows of the input are games.
    data_fraction, cpu_hz
        Shape ``(K, N)``: everybody's contribution.
    performance
        Shape ``(K,)``: ``P(Omega)``, Eq. (4).
    revenue, overhead, damage, redistribution
        Shape ``(K, N)``: the terms of Eq. (11), payoff units.
    payoff_scale
        Shape ``(K, N)``: the size of the terms that make each payoff, to judge regret by.
    regret
        Shape ``(K, N)``: the most that each could gain by a unilateral deviation, payoff units; in
        the game without redistribution for ``wpr``. Gains below rounding count as 0.
    moves
        Shape ``(K,)``: single moves until everybody stayed.
    settled
        Shape ``(K,)``: whether the dynamics ended by themselves rather than at the limit.
    paid_out
        Shape ``(K,)``: what the rule's payee receives, who is no organization; 0 without one.
    optimum
        The highest social welfare of each game, where it was asked for.
    """

    method: Method
    valid: Flags
    data_fraction: Array
    cpu_hz: Array
    performance: Array
    revenue: Array
    overhead: Array
    damage: Array
    redistribution: Array
    payoff_scale: Array
    regret: Array
    moves: Counts
    settled: Flags
    paid_out: Array
    optimum: ManyOptima | None = None

    def __len__(self) -> int:
        return int(self.valid.size)

    @cached_property
    def payoffs(self) -> Array:
        """``C_i``, Eq. (11), shape ``(K, N)``."""
        return self.revenue - self.overhead - self.damage + self.redistribution

    @property
    def payments(self) -> Array:
        """What each receives on balance, ``R_i`` of Eq. (10), shape ``(K, N)``."""
        return self.redistribution

    @cached_property
    def social_welfare(self) -> Array:
        """``sum_i C_i``, and what a payee receives, shape ``(K,)``."""
        return np.asarray(self.payoffs.sum(axis=1) + self.paid_out)

    @cached_property
    def total_data_fraction(self) -> Array:
        """``sum_i d_i``, shape ``(K,)``."""
        return np.asarray(self.data_fraction.sum(axis=1))

    @cached_property
    def individually_rational(self) -> Flags:
        """Whether no payoff is negative (Definition 3), shape ``(K,)``."""
        return np.asarray((self.payoffs >= 0.0).all(axis=1))

    @cached_property
    def is_equilibrium(self) -> Flags:
        """Whether every regret is within 1e-9 of its payoff scale, shape ``(K,)``."""
        return np.asarray((self.regret <= REGRET_TOLERANCE * self.payoff_scale).all(axis=1))


@accepts(
    games=optional(either(instance("tradefl.solvers.games.Games"), many("games", ONE_GAME))),
    method=choice(METHODS),
    optimum=TRUTH,
    initial=ANYTHING,
    tolerance=SHARE,
    max_moves=optional(whole()),
    regret=TRUTH,
    compiled=optional(TRUTH),
    skip_invalid=TRUTH,
    arrays=MAPPING,
)
def solve_many(
    games: Games | Sequence[CoopetitionGame] | None = None,
    *,
    method: Method = "dbr",
    optimum: bool = False,
    initial: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    tolerance: float = TOLERANCE,
    max_moves: int | None = None,
    regret: bool = True,
    compiled: bool | None = None,
    skip_invalid: bool = False,
    **arrays: Unpack[GameArrays],
) -> ManySolutions:
    """Solve K games of N organizations at once.

    Parameters
    ----------
    games
        The games: :class:`Games`, or a sequence of :class:`~tradefl.game.CoopetitionGame` of the
        same size. Instead of it, the keywords of :class:`Games`.
    method
        ``dbr``, ``wpr``, ``gca`` or ``fip``: the dynamics of that solver with its default options.
        ``fixed``: no dynamics, but the payoffs and the regret of the profiles in ``initial``.
    optimum
        Whether the welfare optimum of each game is worked out too.
    initial
        The data fractions and the frequencies to start from, for ``dbr``, ``wpr`` and ``fixed``:
        two arrays of shape ``(N,)`` or ``(K, N)``. Default: where :func:`tradefl.solvers.dbr.solve`
        starts.
    tolerance, max_moves
        Of the dynamics, for each game; as for :func:`tradefl.solvers.dbr.solve`.
    regret
        Whether regrets are worked out; otherwise they are NaN, and no row counts as equilibrium.
    compiled
        Whether the loops run as machine code. Default: when there is enough to do to repay loading
        it, which takes about half a second, and some seconds when it is first compiled on a
        machine.
    skip_invalid
        Whether rows that are no games are passed over and marked in ``valid``, for example draws
        with some ``z_i <= 0``. Otherwise they are an error.

    Returns
    -------
    ManySolutions
        Equal to what the solvers return for one game after the other, up to the order of summation.

    Raises
    ------
    InputError
        An array has the wrong shape, an option is out of range, or a row is no game and
        ``skip_invalid`` is false. The message names the parameter.
    """
    if (games is None) == (not arrays):
        raise InputError.at("games", "expected either games or their arrays as keywords")
    if games is None:
        unknown = set(arrays) - {field.name for field in dataclasses.fields(Games)} - {"quality"}
        if unknown:
            raise InputError.at(min(unknown), "no such parameter")
        missing = [name for name in REQUIRED if name not in arrays]
        if missing:
            raise InputError.at(missing[0], "expected an array, found nothing")
        games = Games(**arrays)
    elif not isinstance(games, Games):
        games = Games.of(games)
    limit = 50_000 + 100 * games.size if max_moves is None else max_moves
    start = None if initial is None else _profiles(games, initial)
    if start is None and method == "fixed":
        raise InputError.at("initial", "expected the profiles to judge, found nothing")
    if start is not None and method in ("gca", "fip"):
        raise InputError.at("initial", f"expected none for {method}")
    valid, problems = games.problems()
    if problems and not skip_invalid:
        raise InputError(problems)
    if method == "wpr":
        games = games.without_redistribution()
    at = np.flatnonzero(valid)
    found = _empty(games, method, valid, optimum)
    strategies = games.size * games.cpu_levels_hz.shape[2]
    if games.compensation is not None:  # which cuts each level in pieces
        strategies *= games.separable.most_pieces
    if compiled is None:
        compiled = at.size * strategies >= COMPILE_FROM
    step = max(1, CHUNK // strategies)
    chunks = [at[k : k + step] for k in range(0, at.size, step)]

    def work(chunk: npt.NDArray[np.intp]) -> None:
        whole = chunk.size == len(games)
        some = games if whole else games.some(chunk)
        begin = None if start is None else Profiles(*(column[chunk] for column in start))
        _solve_chunk(some, method, begin, tolerance, limit, compiled, regret, found, chunk)

    workers = min(threads(), len(chunks))
    if workers <= 1:
        for chunk in chunks:
            work(chunk)
    else:
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, chunks))
    return found


REQUIRED = tuple(
    field.name for field in dataclasses.fields(Games) if field.default is dataclasses.MISSING
)


def _profiles(games: Games, initial: tuple[npt.ArrayLike, npt.ArrayLike]) -> Profiles:
    shape = (games.count, games.size)
    try:
        d, f = (np.broadcast_to(np.asarray(part, dtype=float), shape) for part in initial)
    except (TypeError, ValueError):
        raise InputError.at(
            "initial",
            f"expected two arrays of shape (N,) or (K, N) with K = {shape[0]} and N = {shape[1]}",
        ) from None
    if not (np.isfinite(d).all() and np.isfinite(f).all() and (d >= 0.0).all() and (f > 0.0).all()):
        raise InputError.at("initial", "expected data fractions >= 0 and frequencies > 0")
    return Profiles(d, f)


def _empty(games: Games, method: Method, valid: Flags, optimum: bool) -> ManySolutions:
    k, n = games.count, games.size
    optima = None
    if optimum:
        rows, tables = np.full((2, k), np.nan), np.full((2, k, n), np.nan)
        optima = ManyOptima(rows[0], rows[1], np.zeros(k, dtype=bool), tables[0], tables[1])
    wide = (
        *("data_fraction", "cpu_hz", "revenue", "overhead", "damage", "redistribution"),
        *("payoff_scale", "regret"),
    )
    return ManySolutions(
        method=method,
        valid=valid,
        performance=np.full(k, np.nan),
        moves=np.zeros(k, dtype=np.int64),
        settled=np.zeros(k, dtype=bool),
        paid_out=np.zeros(k),
        optimum=optima,
        **{name: np.full((k, n), np.nan) for name in wide},
    )


def _solve_chunk(
    games: Games,
    method: Method,
    start: Profiles | None,
    tolerance: float,
    limit: int,
    compile_loops: bool,
    judged: bool,
    found: ManySolutions,
    at: npt.NDArray[np.intp],
) -> None:
    """Solve some games and write their rows of the result."""
    shape = (games.count, games.size)
    game = cast(Any, games)
    own = own_term(game)
    everyone = Players(
        data_units=games.data_units,
        energy_cost=own.energy_cost,
        compute_gain=own.compute_gain,
        fraction_per_hz=game.data_fraction_per_hz,
        low=own.low,
        high=own.high,
        data_gain=own.data_gain,
        constant=own.constant,
        cpu_hz=games.cpu_levels_hz,
    )
    everyone = Players(
        *(
            np.ascontiguousarray(np.broadcast_to(column, (*shape, *column.shape[2:])))
            if column.ndim > 1 and column.shape[:2] == shape
            else np.ascontiguousarray(np.broadcast_to(column, (*shape, column.shape[-1])))
            for column in everyone
        )
    )
    code = games.accuracy.compiled() if compile_loops else None
    accuracies, stand_ins = (games.accuracy, None) if code is None else code
    moves, settled = np.zeros(shape[0], dtype=np.int64), np.ones(shape[0], dtype=bool)

    def run(function: Any, *arguments: Any) -> None:
        call = function if stand_ins is None else compiled_loop(function, stand_ins)
        call(accuracies, *arguments)

    if method in ("gca", "fip"):
        choices, begin = _choices(games, method, at)
        d, f = (np.array(column, order="C") for column in begin)
        run(settle_segments, everyone, choices, d, f, tolerance, limit, moves, settled)
    else:
        least = np.broadcast_to(games.min_data_fraction, shape)
        begin = Profiles(least, games.fastest_hz) if start is None else start
        d, f = (np.array(column, order="C") for column in begin)
        if method != "fixed":
            run(settle_games, everyone, d, f, tolerance, limit, moves, settled)
    regret = np.full(shape, np.nan)
    if judged:
        run(deviations, everyone, d, f, regret)
    profile = cast(Any, Profiles(d, f))
    terms = payoffs(game, profile)
    scale = terms.revenue + terms.overhead + terms.damage
    scale = scale + game.mechanism.gross_redistribution(game, profile)
    found.data_fraction[at], found.cpu_hz[at] = d, f
    found.performance[at] = np.asarray(terms.performance)[:, 0]
    found.revenue[at], found.overhead[at] = terms.revenue, terms.overhead
    found.damage[at], found.redistribution[at] = terms.damage, terms.redistribution
    found.payoff_scale[at] = np.maximum(scale, np.finfo(float).tiny)
    found.regret[at] = regret * game.potential_weights
    found.moves[at], found.settled[at] = moves, settled
    found.paid_out[at] = terms.paid_out
    if found.optimum is not None:
        if stand_ins is None:
            _optima(games, found.optimum, at)
        else:
            _optima_at_once(games, found.optimum, at, run)


def _optima(games: Games, found: ManyOptima, at: npt.NDArray[np.intp]) -> None:
    for k in range(games.count):
        best, row = Coalitions(games.game(k)).optimum(), at[k]
        found.social_welfare[row], found.bound[row] = best.welfare, best.bound
        found.proven[row] = best.proven
        found.data_fraction[row], found.cpu_hz[row] = best.data_fraction, best.cpu_hz


def _optima_at_once(games: Games, found: ManyOptima, at: npt.NDArray[np.intp], run: Any) -> None:
    """Work out the optima of a chunk in one compiled loop; leave what is hard to the planner."""
    k, n = games.count, games.size
    game = cast(Any, games)
    fixed = np.asarray(games.overhead_weight * communication_joules(game) + games.joining_cost)
    units, least, per_hz = (
        np.broadcast_to(column, (k, n)).reshape(-1)
        for column in (games.data_units, games.min_data_fraction, game.data_fraction_per_hz)
    )
    high = game.max_data_fraction(games.cpu_levels_hz).reshape(k * n, -1)
    menu = Menu.of(units, least, high, data_overhead(game).reshape(k * n, -1))
    menus = Menus(
        menu.least.reshape(k, n),
        menu.reach.reshape(k, n, -1),
        menu.price.reshape(k, n, -1),
        menu.last.reshape(k, n),
    )
    weight = np.array(game.competitors_profitability)
    together = np.ascontiguousarray(np.asarray(game.potential_weights).sum(axis=1))
    x, numbers, closed = np.empty((k, n)), np.empty((k, 4)), np.zeros(k, dtype=np.bool_)
    limits = (OPTIMUM_TOLERANCE, FIRST_NODES, np.zeros(1, dtype=np.bool_))
    run(plan_each, together, weight, *menus, *limits, x, numbers, closed)
    levels = games.cpu_levels_hz.reshape(k * n, -1)
    d, f = strategies(menu, x.reshape(-1), least, per_hz, levels)
    value, bound, rounding, _ = numbers.T
    transfers = fixed.sum(axis=1)
    bound = bound - transfers
    found.social_welfare[at], found.bound[at] = value - transfers, bound
    allowed = np.maximum(OPTIMUM_TOLERANCE * np.abs(bound), 2.0 * rounding)
    found.proven[at] = numbers[:, 1] - value <= allowed
    found.data_fraction[at], found.cpu_hz[at] = d.reshape(k, n), f.reshape(k, n)
    hard = np.flatnonzero(~closed)
    if hard.size:
        _optima(games.some(hard), found, at[hard])


def _choices(games: Games, method: str, at: npt.NDArray[np.intp]) -> tuple[Segments, Profiles]:
    """Return what GCA or FIP choose from, and where they start."""
    game = cast(Any, games)
    if method == "gca":
        choices = greedy_segments(game, games.fastest_hz)
    else:
        steps = np.maximum(STEP, games.min_data_fraction)[:, 0]
        rows = [grid_of(float(step)) for step in steps]
        width = max(row.size for row in rows)
        grid = np.array(
            [np.pad(row, (0, width - row.size), constant_values=np.nan) for row in rows]
        )
        choices = grid_segments(game, grid)
    stuck = np.argwhere(~choices.playable())
    if stuck.size:
        k, i = stuck[0].tolist()
        who = f"in game {at[k]}, organization {i}"
        raise InputError.at(
            "deadline_seconds", f"{who} has nothing to play before the deadline under {method}"
        )
    if method == "gca":
        return choices, Profiles(*choices.first())
    first = np.broadcast_to(steps[:, None], (games.count, games.size))
    return choices, Profiles(first, games.fastest_hz)


# --- the loops ----------------------------------------------------------------------------------


def players_of(everyone: Players, k: int) -> Players:
    """Return the organizations of game k."""
    return Players(
        everyone.data_units[k],
        everyone.energy_cost[k],
        everyone.compute_gain[k],
        everyone.fraction_per_hz[k],
        everyone.low[k],
        everyone.high[k],
        everyone.data_gain[k],
        everyone.constant[k],
        everyone.cpu_hz[k],
    )


def settle_games(
    accuracies: Any,
    everyone: Players,
    d: Array,
    f: Array,
    tolerance: float,
    max_moves: int,
    moves: Counts,
    settled: Flags,
) -> None:
    """Let the organizations of each game move in turn until nobody does, in place."""
    turns = np.arange(d.shape[1])
    own = np.empty(d.shape[1])
    for k in range(d.shape[0]):
        accuracy, here = accuracy_of(accuracies, k), players_of(everyone, k)
        for i in range(own.size):
            own[i] = own_value(player(here, i), d[k, i], f[k, i])
        count, moved, passed = 0, 1, True
        while moved > 0 and passed:
            omega = 0.0
            for i in range(own.size):
                omega += d[k, i] * here.data_units[i]
            moved, passed, _ = one_round(
                accuracy,
                here,
                turns,
                d[k],
                f[k],
                own,
                omega,
                0.0,
                tolerance,
                max_moves - count,
                False,
            )
            count += moved
        moves[k], settled[k] = count, passed


def settle_segments(
    accuracies: Any,
    everyone: Players,
    choices: Segments,
    d: Array,
    f: Array,
    tolerance: float,
    max_moves: int,
    moves: Counts,
    settled: Flags,
) -> None:
    """Let them move in turn among their segments, in place."""
    own, none, nobody = np.empty(d.shape[1]), np.empty(0), np.empty(0, dtype=np.intp)
    log = (nobody, none, none, none)
    for k in range(d.shape[0]):
        accuracy, here = accuracy_of(accuracies, k), players_of(everyone, k)
        some = Segments(
            choices.low[k], choices.high[k], choices.f[k], choices.slope[k], choices.base[k]
        )
        for i in range(own.size):
            own[i] = own_value(player(here, i), d[k, i], f[k, i])
        count, moved, passed = 0, 1, True
        while moved > 0 and passed:
            moved, passed = segment_round(
                accuracy, here.data_units, some, d[k], f[k], own, tolerance, max_moves - count, log
            )
            count += moved
        moves[k], settled[k] = count, passed


def deviations(accuracies: Any, everyone: Players, d: Array, f: Array, out: Array) -> None:
    """Write what each organization could add to U by itself, ``(K, N)``."""
    for k in range(d.shape[0]):
        accuracy, here = accuracy_of(accuracies, k), players_of(everyone, k)
        omega = 0.0
        for i in range(d.shape[1]):
            omega += d[k, i] * here.data_units[i]
        for i in range(d.shape[1]):
            me = player(here, i)
            others = max(omega - d[k, i] * me.data_units, 0.0)
            out[k, i] = deviation(accuracy, me, here.cpu_hz[i], others, d[k, i], f[k, i])
