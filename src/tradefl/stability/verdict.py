r"""Could some do better among themselves? The verdict on one consortium and one split.

*Stable*: no coalition's excess ``v(S) - x(S)`` passes the tolerance, proven by an upper bound on
all of them. *Not stable*: a coalition is named whose value is certain. *Undecided*: neither within
the time. ``x(N)`` may be below ``v(N)``, as under the file's own rule; the difference is reported
apart.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from tradefl.arguments import (
    FIGURES,
    FUNCTION,
    SECONDS,
    TEXT,
    WITH_A_GAME,
    accepts,
    choice,
    either,
    instance,
    optional,
)
from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.money import in_currency
from tradefl.notebook import Shown, drawn
from tradefl.solvers import Solution, game_of
from tradefl.solvers.compiled import working_time
from tradefl.stability.core import cost_of_stability, least_core
from tradefl.stability.market import OUTSIDERS, Outsiders, market_values
from tradefl.stability.sampling import EXACT_UP_TO
from tradefl.stability.separation import TOLERANCE, separate
from tradefl.stability.splits import Allocation, Split, allocation
from tradefl.stability.tables import MOST_ENUMERATED, least_core_of
from tradefl.stability.values import OUTSIDE, READINGS, Outside, Reading, Values, all_coalitions

if TYPE_CHECKING:
    from tradefl.consortium import Consortium
    from tradefl.documents.stability import StabilityDocument

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Verdict = Literal["stable", "not stable", "undecided"]
Method = Literal["search", "enumeration"]

TIME_LIMIT = 60.0


@dataclasses.dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Stability(Shown):
    """Whether a split of a consortium is stable, and what makes it so.

    Attributes
    ----------
    game
        The game.
    reading, outside, outsiders
        ``literal`` or ``market``; what a single organization has; in the market reading whether
        those outside train ``together`` or each ``alone``, ``None`` in the literal one.
    split
        What is tested: its name, payoffs of Eq. (11) and profile.
    payoff
        ``x``, shape ``(N,)``, in the chosen reading.
    alone, marginal, least_core
        Shape ``(N,)`` each: ``v({i})``; ``M_i = v(N) - v(N without i)``; a point of the least core.
    grand_value, grand_bound
        ``v(N)`` and what no profile exceeds.
    max_excess, max_excess_bound
        The largest excess found, and what no coalition's excess passes.
    members
        Shape ``(N,)``: who is in the coalition with the largest excess found.
    members_value
        Its value.
    margin, margin_certified
        ``eps*`` of the game, and whether it is proven.
    cost_of_stability
        In the market reading, where all coalitions were enumerated: the least grant with which
        some split is stable; ``None`` elsewhere.
    coalitions_examined, nodes
        How many coalitions were valued, and nodes of the search bounded.
    runtime_seconds
        Wall time.
    blocking
        How many coalitions could do better, where all were counted.
    remarks
        What the reader must know.
    """

    game: CoopetitionGame
    reading: Reading
    outside: Outside
    outsiders: Outsiders | None
    split: Allocation
    payoff: Array
    alone: Array
    marginal: Array
    least_core: Array
    grand_value: float
    grand_bound: float
    max_excess: float
    max_excess_bound: float
    members: Flags
    members_value: float
    margin: float
    margin_certified: bool
    cost_of_stability: float | None
    coalitions_examined: int
    nodes: int
    runtime_seconds: float
    blocking: int | None = None
    remarks: tuple[str, ...] = ()

    @property
    def tolerance(self) -> float:
        """Excesses up to this are none: 1e-9 of v(N)."""
        return TOLERANCE * abs(self.grand_value)

    @property
    def verdict(self) -> Verdict:
        """``stable``, ``not stable`` or ``undecided``."""
        if self.max_excess_bound <= self.tolerance:
            return "stable"
        return "not stable" if self.max_excess > self.tolerance else "undecided"

    @property
    def shortfall(self) -> float:
        """``v(N) - x(N)``: what the split leaves on the table."""
        return float(self.grand_value - self.payoff.sum())

    @property
    def below_alone(self) -> npt.NDArray[np.intp]:
        """Who has less than by itself, ascending."""
        return np.flatnonzero(self.payoff < self.alone - self.tolerance)

    @property
    def more_than_it_brings(self) -> npt.NDArray[np.intp]:
        """Who has more than its marginal, ascending: the others would do better without it."""
        return np.flatnonzero(self.payoff > self.marginal + self.tolerance)

    def plot(self) -> Any:
        """Return an Altair chart: each one's payoff between alone and what it brings.

        Raises
        ------
        MissingExtraError
            The ``charts`` extra is not installed.
        """
        return drawn("stability", self)

    def _title(self) -> str:
        return f"of the split {self.split.name} for {self.game.title}"

    def _facts(self) -> list[tuple[str, str]]:
        return [
            ("verdict", self.verdict),
            ("largest excess", f"{self.max_excess:,.6g}"),
            ("margin", f"{self.margin:,.6g}"),
        ]

    def _records(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.to_dict()["organizations"]
        return rows

    def in_currency(self) -> Stability:
        """Return the same with every amount in the game's currency, to be shown."""
        game = self.game
        if game.currency is None or game.payoff_unit == 1.0:
            return self
        unit = game.payoff_unit
        amounts = (
            *("payoff", "alone", "marginal", "least_core", "grand_value", "grand_bound"),
            *("max_excess", "max_excess_bound", "members_value", "margin"),
        )
        cost = self.cost_of_stability
        return dataclasses.replace(
            self,
            game=in_currency(game),
            split=dataclasses.replace(
                self.split,
                payoff=self.split.payoff * unit,
                half_width=self.split.half_width * unit,
            ),
            cost_of_stability=None if cost is None else cost * unit,
            **{name: getattr(self, name) * unit for name in amounts},
        )

    def names(self, members: Flags) -> list[str]:
        """Return the names of some organizations."""
        return [self.game.name_of(int(i)) for i in np.flatnonzero(members)]

    def document(self) -> StabilityDocument:
        """Return the JSON document ``tradefl/stability/1``."""
        from tradefl.documents.stability import Coalition, StabilityDocument, StableOrganization

        columns = self.alone, self.payoff, self.marginal, self.least_core
        sampled = bool(self.split.half_width.any())
        return StabilityDocument(
            document="tradefl/stability/1",
            consortium=self.game.title,
            reading=self.reading,
            outside=self.outside,
            split=self.split.name,
            verdict=self.verdict,
            grand_coalition_value=self.grand_value,
            grand_coalition_bound=self.grand_bound,
            max_excess=self.max_excess,
            max_excess_bound=self.max_excess_bound,
            strongest_coalition=Coalition(
                members=self.names(self.members),
                value=self.members_value,
                excess=self.max_excess,
                gain_each=self.max_excess / int(self.members.sum()),
            )
            if self.max_excess > self.tolerance
            else None,
            margin=self.margin,
            margin_certified=self.margin_certified,
            cost_of_stability=self.cost_of_stability,
            organizations=[
                StableOrganization(
                    name=self.game.name_of(i),
                    alone=alone,
                    payoff=payoff,
                    marginal=marginal,
                    least_core=core,
                    **({"half_width": float(self.split.half_width[i])} if sampled else {}),
                )
                for i, (alone, payoff, marginal, core) in enumerate(
                    zip(*(column.tolist() for column in columns), strict=True)
                )
            ],
            coalitions_examined=self.coalitions_examined,
            nodes=self.nodes,
            runtime_seconds=self.runtime_seconds,
            outsiders=self.outsiders,
            shortfall=self.shortfall,
            blocking_coalitions=self.blocking,
            remarks=list(self.remarks),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return :meth:`document` as plain values."""
        return self.document().to_dict()


TOGETHER_THEY_LOSE = "together all lose, whatever they contribute; shares are of that loss"


@accepts(
    game=WITH_A_GAME,
    split=either(TEXT, FIGURES, instance("tradefl.stability.splits.Allocation")),
    reading=choice(READINGS),
    outside=choice(OUTSIDE),
    outsiders=optional(choice(OUTSIDERS)),
    method=choice(("search", "enumeration")),
    time_limit=SECONDS,
    watch=FUNCTION,
)
def stability(
    game: CoopetitionGame | Consortium,
    split: Split | Sequence[float] | Array | Allocation = "file",
    *,
    reading: Reading = "literal",
    outside: Outside = "own-model",
    outsiders: Outsiders | None = None,
    method: Method = "search",
    time_limit: float = TIME_LIMIT,
    watch: Callable[[str], None] = lambda _: None,
) -> Stability:
    """Say whether a coalition could do better on its own than under a split.

    Parameters
    ----------
    game
        A game or a consortium.
    split
        What is tested: a name, see :func:`tradefl.stability.splits.allocation`, the payoffs, or
        payoffs with the profile under which they are paid.
    reading
        ``literal``: a coalition shares Eq. (11) among its members. ``market``: it shares what they
        earn in the market, where outsiders' models cost them.
    outside
        What a single organization has: its ``own-model``, or ``nothing``.
    outsiders
        Market reading: whether those outside train ``together`` (the default) or each ``alone``.
    method
        ``search``: local search and branch and bound. ``enumeration``: all coalitions, an
        independent second method for at most 16 organizations. The market reading always
        enumerates, and beyond 16 organizations only looks for objections.
    time_limit
        Seconds after which the search stops with what is proven until then. Making machine code,
        once on a machine, does not count.
    watch
        Called with the name of each stage as it starts.

    Raises
    ------
    TypeError
        It is neither a game nor a consortium.
    ValueError
        An option is out of range, there is one organization only, the payoffs given do not sum to
        ``v(N)``, or there are too many organizations to enumerate.
    """
    game = game_of(game)
    if outsiders is not None and reading != "market":
        raise ValueError("outsiders: needs the market reading")
    outsiders = outsiders or "together"
    if method == "enumeration" and game.size > MOST_ENUMERATED:
        raise ValueError(
            f"method: enumeration tries all 2^{game.size} coalitions; it is for at most "
            f"{MOST_ENUMERATED} organizations, search is for any number"
        )
    began = time.perf_counter()
    until = working_time() + time_limit
    watch("what all reach together")
    literal = Values(game, "literal", outside)
    values = literal if reading == "literal" else Values(game, reading, outside)
    watch("the split")
    tested = split if isinstance(split, Allocation) else allocation(game, split, literal)
    pay = tested.payoff if reading == "literal" else tested.in_the_market(game)
    watch("coalitions")
    if reading == "literal" and method == "search":
        found = _searched(values, pay, until)
    elif game.size <= MOST_ENUMERATED:
        found = _enumerated(values, pay, outsiders)
    else:
        found = _looked_for(values, pay, outsiders)
    if values.grand[1] < 0.0:
        found["remarks"] = (*found["remarks"], TOGETHER_THEY_LOSE)
    return Stability(
        game=game,
        reading=reading,
        outside=outside,
        outsiders=outsiders if reading == "market" else None,
        split=tested,
        payoff=pay,
        grand_value=values.grand[0],
        grand_bound=values.grand[1],
        coalitions_examined=values.examined,
        runtime_seconds=time.perf_counter() - began,
        **found,
    )


def stability_of(solution: Solution, **options: Any) -> Stability:
    """Say whether a coalition could do better on its own than under a solution's payoffs.

    Parameters
    ----------
    solution
        What everybody contributes and has.
    **options
        As :func:`stability`.
    """
    exact = np.zeros(solution.game.size)
    given = Allocation("file", solution.payoffs, solution.profile, exact)
    return stability(solution.game, given, **options)


def _searched(values: Values, pay: Array, until: float) -> dict[str, Any]:
    """Decide by branch and bound: literal reading, any number of organizations."""
    tolerance = TOLERANCE * abs(values.grand[0])
    marginal = values.marginal
    found = separate(values, pay, tolerance=tolerance, until=until)
    core = least_core(values, tolerance=tolerance, until=until)
    remarks = []
    if core.margin < -tolerance:
        remarks.append("no split of this consortium is stable")
    return {
        "alone": values.singles,
        "marginal": marginal,
        "least_core": core.payoff,
        "max_excess": found.excess,
        "max_excess_bound": found.bound,
        "members": found.members,
        "members_value": found.value,
        "margin": core.margin,
        "margin_certified": core.certified,
        "cost_of_stability": None,
        "nodes": found.nodes + core.nodes,
        "blocking": _blocking(values, pay, found.excess, tolerance),
        "remarks": tuple(remarks),
    }


def _blocking(values: Values, pay: Array, excess: float, tolerance: float) -> int | None:
    """Return how many coalitions block a split that is not stable, where that is quick to count."""
    if excess <= tolerance:
        return 0
    if values.size > EXACT_UP_TO:
        return None
    members = all_coalitions(values.size)[:-1]
    return int((values.of(members)[0] - members @ pay > tolerance).sum())


def _valued(values: Values, members: Flags, outsiders: Outsiders) -> tuple[Array, Array]:
    return market_values(values, members, outsiders) if values.market else values.of(members)


def _enumerated(values: Values, pay: Array, outsiders: Outsiders) -> dict[str, Any]:
    """Decide by valuing every coalition."""
    n = values.size
    members = all_coalitions(n)
    worth, bound = _valued(values, members, outsiders)
    total = values.grand[0]
    excess = worth[:-1] - members[:-1] @ pay
    k = int(np.argmax(excess))
    most = float((bound[:-1] - members[:-1] @ pay).max())
    marginal = total - worth[[(1 << n) - 2 - (1 << i) for i in range(n)]]
    centre = marginal - (marginal.sum() - total) / n
    core, margin = least_core_of(worth, centre)
    tolerance = TOLERANCE * abs(total)
    grant = None
    if values.market:
        grant = cost_of_stability(members[:-1], worth[:-1], total)
        grant = 0.0 if grant <= tolerance else grant
    return {
        "alone": worth[[(1 << i) - 1 for i in range(n)]],
        "marginal": marginal,
        "least_core": core,
        "max_excess": float(excess[k]),
        "max_excess_bound": max(most, float(excess[k])),
        "members": members[k],
        "members_value": float(worth[k]),
        "margin": margin,
        "margin_certified": bool((bound - worth).max() <= tolerance),
        "cost_of_stability": grant,
        "nodes": 0,
        "blocking": int((excess > tolerance).sum()),
        "remarks": ("no split of this consortium is stable",) if margin < -tolerance else (),
    }


def _looked_for(values: Values, pay: Array, outsiders: Outsiders) -> dict[str, Any]:
    """Look for objections in the market reading where enumeration takes too long."""
    n, total = values.size, values.grand[0]
    eye = np.eye(n, dtype=bool)
    starts = [~eye]
    lengths = np.unique(np.linspace(2, n - 1, min(24, n - 2)).astype(int))
    order = np.argsort(pay / values.terms.profitability, kind="stable")
    prefixes = np.zeros((lengths.size, n), dtype=bool)
    for row, length in zip(prefixes, lengths, strict=True):
        row[order[:length]] = True
    starts.append(prefixes)
    _, reached = values.climbs(pay, np.concatenate(starts))
    members = np.concatenate([eye, ~eye, prefixes, reached])
    worth, _ = market_values(values, members, outsiders)
    excess = worth - members @ pay
    k = int(np.argmax(excess))
    marginal = total - worth[n : 2 * n]
    margin = float((marginal.sum() - total) / n)
    # Whatever S is, it earns no more than all its profitability times the best possible model.
    best = float(values.game.accuracy.value(float(values.everything.sum())))
    most = float(np.maximum(values.terms.profitability * best - pay, 0.0).sum())
    remarks = [
        f"looked for coalitions among {n:,} organizations, too many to try all: where none is "
        "found, there may still be one"
    ]
    if margin < -TOLERANCE * abs(total):
        remarks.append("no split of this consortium is stable: too much is promised to too many")
    return {
        "alone": worth[:n],
        "marginal": marginal,
        "least_core": marginal - margin,
        "max_excess": float(excess[k]),
        "max_excess_bound": max(most, float(excess[k])),
        "members": members[k],
        "members_value": float(worth[k]),
        "margin": margin,
        "margin_certified": False,
        "cost_of_stability": None,
        "nodes": 0,
        "remarks": tuple(remarks),
    }
