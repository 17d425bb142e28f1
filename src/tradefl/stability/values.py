"""What coalitions can reach by themselves, certified: one game, many coalitions."""

from __future__ import annotations

import concurrent.futures
import itertools
from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.participation import Alone, training_alone
from tradefl.solvers.best_response import compiled_accuracy
from tradefl.solvers.compiled import compiled, threads
from tradefl.solvers.planner import Coalitions
from tradefl.stability.ascent import Terms
from tradefl.stability.bounds import many_bounds
from tradefl.stability.climbing import many_climbs
from tradefl.stability.optimum import many_optima

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]
Reading = Literal["literal", "market"]
Outside = Literal["own-model", "nothing"]

READINGS: tuple[Reading, ...] = get_args(Reading)
OUTSIDE: tuple[Outside, ...] = get_args(Outside)
# Below this many strategies plain Python is faster than importing the compiler.
COMPILE_FROM = 30
# A value is certified when its bound is no further away than this share of it.
CERTIFIED = 1e-11


class Values:
    """The values of a game's coalitions in one reading.

    Parameters
    ----------
    game
        The game; its rule does not matter, as payments cancel within a coalition.
    reading
        ``literal``: members share Eq. (11) among themselves. ``market``: they share what they earn
        in the market, ``A(S)``, before what outsiders' models cost them
        (:mod:`tradefl.stability.market`).
    outside
        What a single organization has: its ``own-model`` (``alone_i``), or ``nothing``.
    """

    def __init__(
        self, game: CoopetitionGame, reading: Reading = "literal", outside: Outside = "own-model"
    ) -> None:
        for name, given, known in (
            ("reading", reading, READINGS),
            ("outside", outside, OUTSIDE),
        ):
            if given not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}, got {given!r}")
        if game.size < 2:
            raise ValueError("organizations: expected at least two; a single one has no coalition")
        self.game, self.reading, self.outside = game, reading, outside
        self.market = reading == "market"
        self.coalitions = Coalitions(game)
        self.terms = Terms.of(game, self.coalitions)
        self.accuracy: Any = game.accuracy
        self._stand_ins: Any = None
        if game.cpu_levels_hz.size >= COMPILE_FROM:
            found = compiled_accuracy(game.accuracy)
            if found is not None:
                self.accuracy, self._stand_ins = found
        self.examined = 0
        self._known: dict[bytes, tuple[float, float, float]] = {}
        # All data is where the ascent of almost every coalition ends.
        last = self.terms.last[:, None]
        self.everything = np.take_along_axis(self.terms.reach, last, 1)[:, 0].copy()

    @property
    def size(self) -> int:
        """N, the number of organizations."""
        return self.game.size

    @cached_property
    def alone(self) -> Alone:
        """What each does best when it trains by itself."""
        return training_alone(self.game)

    @cached_property
    def singles(self) -> Array:
        """``v({i})``, shape ``(N,)``, without what outsiders' models cost."""
        return self.alone.payoff if self.outside == "own-model" else np.zeros(self.size)

    @cached_property
    def grand(self) -> tuple[float, float]:
        """``v(N)``: the best value known, and what no profile exceeds."""
        value, bound = self.of(np.ones((1, self.size), dtype=bool))
        return float(value[0]), float(bound[0])

    @cached_property
    def without_one(self) -> tuple[Array, Array]:
        """``v(N without k)`` for each k, and the bounds; shapes ``(N,)``."""
        return self.of(~np.eye(self.size, dtype=bool))

    @cached_property
    def marginal(self) -> Array:
        """``M_k = v(N) - v(N without k)``, shape ``(N,)``: the most that k can be promised."""
        return self.grand[0] - self.without_one[0]

    def of(self, members: Flags) -> tuple[Array, Array]:
        """Return the value of each coalition and a proven upper bound on it.

        Parameters
        ----------
        members
            Shape ``(K, N)``: who is in each coalition; at least one.
        """
        members = np.ascontiguousarray(members, dtype=bool)
        value, bound, _ = self._looked_up(members)
        return value, bound

    def performance_of(self, members: Flags) -> Array:
        """Return the performance of each coalition's model at its optimum, shape ``(K,)``."""
        omega = self._looked_up(np.ascontiguousarray(members, dtype=bool))[2]
        return np.asarray(self.game.accuracy.value(omega), dtype=float)

    def _looked_up(self, members: Flags) -> Array:
        """Return value, bound and data of each coalition, shape ``(3, K)``."""
        found = np.full((3, len(members)), np.nan)
        keys = [row.tobytes() for row in np.packbits(members, axis=1)]
        new = [k for k, key in enumerate(keys) if key not in self._known]
        if new:
            rows = np.array(new)
            for k, figures in zip(new, self._fresh(members[rows]).T.tolist(), strict=True):
                self._known[keys[k]] = tuple(figures)
        for k, key in enumerate(keys):
            found[:, k] = self._known[key]
        return found

    def _fresh(self, members: Flags) -> Array:
        value, bound, data = (np.empty(len(members)) for _ in range(3))
        alone = members.sum(axis=1) == 1
        who = members.argmax(axis=1)
        value[alone] = bound[alone] = self.singles[who[alone]]
        data[alone] = (self.alone.data_fraction * self.game.data_units)[who[alone]]
        several = np.flatnonzero(~alone)
        if several.size:
            worth, most, omega = (np.empty(several.size) for _ in range(3))
            self.run(
                many_optima,
                several.size,
                *(self.terms, np.ascontiguousarray(members[several]), self.market),
                *(self.everything, worth, most, omega),
            )
            loose = np.flatnonzero(most - worth > CERTIFIED * np.abs(worth))
            for k in loose.tolist():
                best = self.coalitions.optimum(
                    members[several[k]], market=self.market, tolerance=CERTIFIED
                )
                if best.welfare > worth[k]:
                    worth[k] = best.welfare
                    omega[k] = best.data_fraction @ self.game.data_units[best.members]
                most[k] = max(min(most[k], best.bound), worth[k])
            value[several], bound[several] = worth, np.maximum(most, worth)
            data[several] = omega
        self.examined += len(members)
        return np.stack([value, bound, data])

    def climbs(self, pay: Array, members: Flags) -> tuple[Array, Flags]:
        """Climb from each coalition to a stronger one; return the excesses and where they end."""
        reached = np.ascontiguousarray(members, dtype=bool).copy()
        excess = np.empty(len(reached))
        self.run(
            many_climbs,
            len(reached),
            *(self.terms, np.ascontiguousarray(pay, dtype=float), self.market),
            *(reached, self.everything, excess),
        )
        return excess, reached

    def bounds(
        self, pay: Array, states: npt.NDArray[np.int8], guess: Flags, interval: Array
    ) -> tuple[Array, Flags, Array]:
        """Return the bounds of some nodes of the search, as :mod:`tradefl.stability.bounds` does.

        Returns the four results of each node, the relaxed memberships, and the margins.
        """
        count = len(states)
        inside = np.zeros((count, self.size), dtype=bool)
        x, margin = np.zeros((count, self.size)), np.zeros((count, self.size))
        found = np.empty((count, 4))
        self.run(
            many_bounds,
            count,
            *(self.terms, np.ascontiguousarray(pay, dtype=float), states, guess, interval),
            *(inside, x, margin, found),
        )
        return found, inside, margin

    def run(self, function: Callable[..., None], count: int, *arguments: Any) -> None:
        """Call a kernel on the rows ``0 .. count``, on several threads where it is compiled."""
        if self._stand_ins is None:
            function(0, count, self.accuracy, *arguments)
            return
        kernel = compiled(function, self._stand_ins)
        parts = min(threads(), count)
        if parts == 1:
            kernel(0, count, self.accuracy, *arguments)
            return
        # In small portions, as rows differ in the time they take; each row is computed alone.
        chunk = max(1, count // (8 * parts))
        edges = [*range(0, count, chunk), count]
        with concurrent.futures.ThreadPoolExecutor(parts) as pool:
            work = [
                pool.submit(kernel, begin, end, self.accuracy, *arguments)
                for begin, end in itertools.pairwise(edges)
            ]
            for job in work:
                job.result()


def all_coalitions(size: int) -> Flags:
    """Return every nonempty coalition, shape ``(2^N - 1, N)``: row m - 1 has the bits of m."""
    numbers = np.arange(1, 1 << size)
    return np.asarray((numbers[:, None] >> np.arange(size)) & 1, dtype=bool)
