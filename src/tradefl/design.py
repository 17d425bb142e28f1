r"""Designing the efficient rule: compensation under which the social optimum is an equilibrium.

See docs/explanation/efficient-compensation.md. From the optimum ``pi*`` of the planner and the
equilibrium without any compensation this works out

1. the schedules: ``phi_i``, what i's data is worth to all others around ``pi*``, cut to straight
   pieces. The pieces lie below ``phi_i`` and touch it at ``d_i*``, so that a deviation gains less
   than under ``phi_i`` itself, which is nothing. Above ``d_i*`` they are flat;
2. the constants ``k_ij``: at ``pi*`` they are all that is paid, so they split what is gained;
3. what can be said of the outcome: regret, budget, everybody's gain, and from where best
   responses lead to ``pi*``.

It needs complete information: ``phi_i`` is computed from the others' profitability.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from tradefl.arguments import (
    FIGURES,
    FUNCTION,
    SECONDS,
    SHARE,
    SOLUTION,
    TEXT,
    WITH_A_GAME,
    accepts,
    choice,
    number,
    optional,
    whole,
)
from tradefl.game import (
    CoopetitionGame,
    EfficientRule,
    InvalidScheduleError,
    Schedule,
    StrategyProfile,
    regret,
)
from tradefl.game.externality import Externality
from tradefl.game.rules import MAX_BREAKPOINTS
from tradefl.game.welfare import payoffs_without_redistribution, price_of_anarchy
from tradefl.incentives.radius import Radius, radius
from tradefl.incentives.robust import steeper, steepness
from tradefl.notebook import Shown
from tradefl.solvers import Solution, game_of, solve
from tradefl.solvers.compiled import working_time
from tradefl.solvers.games import Games
from tradefl.solvers.many import solve_many
from tradefl.stability.core import LeastCore, least_core
from tradefl.stability.separation import TOLERANCE as STABLE_TOLERANCE
from tradefl.stability.separation import separate
from tradefl.stability.values import Values

if TYPE_CHECKING:
    from tradefl.consortium import Consortium
    from tradefl.documents.design import DesignDocument

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Target = Literal["stable", "by-profitability", "equal-gain", "proportional-gain", "least-cash"]

WEI_PER_PAYOFF = 10**15  # where nothing else is agreed
TARGETS: tuple[Target, ...] = get_args(Target)
# Targets that compare with what everybody has alone, not with no compensation.
AGAINST_ALONE: tuple[Target, ...] = ("stable", "by-profitability")
DECIMALS = 9  # of a data fraction: parts per billion, as on the chain
# Breakpoints nearer to each other than this are one: between them rounding to wei would count.
CLOSEST = 1e-6
# With the least cash, nobody is left with less than this share of an equal gain: rounding to wei
# must not make anybody a loser.
LEAST_SHARE = 1e-6
RANDOM_STARTS = 20
EXACT_RADIUS_UP_TO = 200
# Seconds for the proof that a split is stable; beyond them its margin is not certified.
STABLE_SECONDS = 60.0
# Without a target: above so many organizations coalitions are not searched, and the nodes after
# which it is enough to prove that a split is stable.
STABLE_UP_TO = 200
MARGIN_NODES = 200
# What is settled may leave so much regret, as a share of the terms of a payoff.
SETTLED_TOLERANCE = 1e-6
# Best responses have reached pi* if nobody's data differs by more.
REACHED = 1e-6
# A difference of less than this share of the terms of a payoff is what stating data in parts per
# billion costs.
ROUNDING = 1e-8


@dataclasses.dataclass(frozen=True)
class Start:
    """Where best responses led from one start.

    Attributes
    ----------
    name
        What everybody contributes at the start.
    reached
        Whether they led to ``pi*``, or to what pays everybody the same with the same data: at CPU
        levels that cost nobody anything.
    moves
        How many single moves it took.
    social_welfare
        At the end.
    settled
        Whether the dynamics ended by themselves.
    """

    name: str
    reached: bool
    moves: int
    social_welfare: float
    settled: bool


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Design(Shown):
    """The efficient rule of a consortium, and what was verified of it.

    Attributes
    ----------
    target
        How the gain is split.
    optimum
        The planner's solution, with the bound on welfare.
    without
        The equilibrium without compensation.
    rule
        The schedules and constants.
    agreed
        ``pi*``, to nine decimals, as a solution of the game under the rule.
    exact_regret
        Shape ``(N,)``: what each could gain by leaving the optimum if ``phi_i`` itself were paid.
    settled_regret
        Shape ``(N,)``: the same at the agreed profile with the straight pieces, to the wei.
    starts
        Where best responses lead, from several starts.
    radius
        How wrong profitability may be before somebody leaves the agreed profile, as it is paid.
    exact_radius
        The same if ``phi_i`` itself were paid, also above ``d_i*``; ``None`` above 200
        organizations, where it takes long.
    robust
        For errors of profitability of up to this share nobody gains by contributing less.
    usual_bonds
        Shape ``(N,)``, payoff: what the bonds would have to cover without ``robust``.
    core
        With the target ``stable`` the least core, with its margin; otherwise ``None``.
    """

    target: str
    optimum: Solution
    without: Solution
    rule: EfficientRule
    agreed: Solution
    exact_regret: Array
    settled_regret: Array
    starts: tuple[Start, ...]
    radius: Radius
    exact_radius: Radius | None
    robust: float
    usual_bonds: Array
    core: LeastCore | None = None

    @cached_property
    def bonds(self) -> Array:
        """The most that each could owe, shape ``(N,)``, payoff: what its bond must cover."""
        return self.rule.bonds

    @property
    def obeys(self) -> bool:
        """Whether nobody gains by contributing less within the range of ``robust``."""
        allowed = ROUNDING * self.agreed.certificate.payoff_scale / self.radius.scale
        return bool(np.all(self.radius.down >= self.robust * self.radius.scale - allowed))

    @cached_property
    def gain(self) -> Array:
        """What each gains over the equilibrium without compensation, shape ``(N,)``."""
        return self.agreed.payoffs - self.without.payoffs

    @cached_property
    def cash(self) -> float:
        """The sum of all payments at the agreed profile, payoff units."""
        return float(sum(amount for *_, amount in self.agreed.transfers()))

    @property
    def price_of_anarchy(self) -> float | None:
        """``W(pi*) / W`` without compensation; ``None`` where that welfare is not positive."""
        return price_of_anarchy(self.optimum.social_welfare, self.without.social_welfare)

    def verified(self, tolerance: float = SETTLED_TOLERANCE) -> bool:
        """Return whether nobody gains by deviating, and nobody is worse off.

        Worse off than without compensation or, with the targets ``stable`` and
        ``by-profitability``, than alone; ``stable`` needs a margin against all coalitions. Up to
        this share of the terms of a payoff, as it will be settled.
        """
        allowed = tolerance * self.agreed.certificate.payoff_scale
        if np.any(self.settled_regret > allowed):
            return False
        if self.target not in AGAINST_ALONE:
            return bool(np.all(self.gain >= -allowed))
        if self.core is not None and self.core.margin < -tolerance * abs(
            self.agreed.social_welfare
        ):
            return False
        return bool(np.all(self.agreed.gain_over_alone >= -allowed))

    @property
    def reached(self) -> int:
        """From how many of the starts best responses led to ``pi*``."""
        return sum(start.reached for start in self.starts)

    def _title(self) -> str:
        return f"of the efficient rule for {self.agreed.game.title}, {self.target}"

    def _facts(self) -> list[tuple[str, str]]:
        return [
            ("social welfare", f"{self.agreed.social_welfare:,.6g}"),
            ("payments", f"{self.cash:,.6g}"),
            ("verified", "yes" if self.verified() else "no"),
        ]

    def _records(self) -> list[dict[str, Any]]:
        rows = self.to_dict()["organizations"]
        return [{key: value for key, value in row.items() if key != "schedule"} for row in rows]

    def in_currency(self) -> Design:
        """Return the same with every amount in the game's currency, to be shown."""
        game = self.agreed.game
        if game.currency is None or game.payoff_unit == 1.0:
            return self
        unit, agreed = game.payoff_unit, self.agreed.in_currency()
        rule = agreed.game.compensation
        return dataclasses.replace(
            self,
            optimum=self.optimum.in_currency(),
            without=self.without.in_currency(),
            rule=rule if isinstance(rule, EfficientRule) else self.rule,
            agreed=agreed,
            exact_regret=self.exact_regret * unit,
            settled_regret=self.settled_regret * unit,
            usual_bonds=self.usual_bonds * unit,
            core=None if self.core is None else self.core.scaled(unit),
            starts=tuple(
                dataclasses.replace(start, social_welfare=start.social_welfare * unit)
                for start in self.starts
            ),
        )

    def document(self) -> DesignDocument:
        """Return the JSON document ``tradefl/design/1``."""
        from tradefl.documents.base import money_keys
        from tradefl.documents.design import DesignDocument, DesignedOrganization, StartOfDynamics

        scale = self.agreed.certificate.payoff_scale
        rows = zip(
            self.without.payoffs.tolist(),
            self.agreed.payoffs.tolist(),
            self.gain.tolist(),
            self.agreed.alone.tolist(),
            self.agreed.gain_over_alone.tolist(),
            self.rule.net_constants.tolist(),
            self.rule.schedules,
            strict=True,
        )
        game = self.agreed.game
        return DesignDocument(
            document="tradefl/design/1",
            consortium=game.title,
            target=self.target,
            social_welfare=self.agreed.social_welfare,
            social_welfare_upper_bound=self.optimum.welfare_bound,
            social_welfare_without=self.without.social_welfare,
            price_of_anarchy=self.price_of_anarchy,
            payments=self.cash,
            budget_imbalance=self.agreed.certificate.budget_imbalance,
            better_than_alone=self.agreed.better_than_alone,
            margin=None if self.core is None else self.core.margin,
            margin_certified=None if self.core is None else self.core.certified,
            max_regret_exact=float(self.exact_regret.max()),
            max_regret_exact_relative=float((self.exact_regret / scale).max()),
            max_regret_settled=float(self.settled_regret.max()),
            max_regret_settled_relative=float((self.settled_regret / scale).max()),
            organizations=[
                DesignedOrganization(
                    name=game.name_of(i),
                    data_fraction=float(self.agreed.profile.data_fraction[i]),
                    cpu_hz=float(self.agreed.profile.cpu_hz[i]),
                    payoff_without=before,
                    payoff=after,
                    gain=gain,
                    alone=alone,
                    gain_over_alone=over_alone,
                    redistribution=constant,
                    bond=float(self.bonds[i]),
                    schedule=[
                        list(point)
                        for point in zip(bond.shares.tolist(), bond.values.tolist(), strict=True)
                    ],
                )
                for i, (before, after, gain, alone, over_alone, constant, bond) in enumerate(rows)
            ],
            robust=self.robust,
            self_enforcing=self.radius.document(game).model_copy(
                update={
                    "all_profitability_exact_schedules": None
                    if self.exact_radius is None
                    else _finite(self.exact_radius.share)
                }
            ),
            bonds=float(self.bonds.sum()),
            bonds_without_robust=float(self.usual_bonds.sum()),
            starts=[StartOfDynamics.of(**dataclasses.asdict(start)) for start in self.starts],
            starts_that_reach_the_optimum=self.reached,
            **self._payee(),
            **money_keys(game),
        )

    def _payee(self) -> dict[str, Any]:
        from tradefl.documents.design import DesignedPayee

        if self.rule.payee is None:
            return {}
        left = self.agreed.terms.paid_out
        return {"payee": DesignedPayee(name=self.rule.payee, redistribution=float(left), bond=0.0)}

    def to_dict(self) -> dict[str, Any]:
        """Return :meth:`document` as plain values."""
        return self.document().to_dict()


@accepts(
    game=WITH_A_GAME,
    target=optional(choice(TARGETS)),
    robust=number("in [0, 1)", lambda share: 0.0 <= share < 1.0),
    split=optional(FIGURES),
    payee=optional(TEXT),
    breakpoints=whole(4, MAX_BREAKPOINTS),
    wei_per_payoff=optional(whole(1)),
    seed=whole(),
    random_starts=whole(),
    optimum=optional(SOLUTION),
    without=optional(SOLUTION),
    watch=FUNCTION,
    tolerance=optional(SHARE),
    max_iterations=optional(whole(1)),
    time_limit=optional(SECONDS),
)
def design(
    game: CoopetitionGame | Consortium,
    target: Target | None = None,
    *,
    robust: float = 0.0,
    split: Array | None = None,
    payee: str | None = None,
    breakpoints: int = MAX_BREAKPOINTS,
    wei_per_payoff: int | None = None,
    seed: int = 0,
    random_starts: int = RANDOM_STARTS,
    optimum: Solution | None = None,
    without: Solution | None = None,
    watch: Callable[[str], None] = lambda _: None,
    tolerance: float | None = None,
    max_iterations: int | None = None,
    time_limit: float | None = None,
) -> Design:
    """Work out and verify the efficient rule of a game.

    Parameters
    ----------
    game
        A game or a consortium; its own rule does not matter. ``Consortium.designed`` returns the
        consortium under the rule that is found.
    target
        ``stable``: the least core, so that every coalition would lose most by leaving;
        ``by-profitability``: everybody has the same share of its profitability (theorem A3);
        ``equal-gain``: everybody gains the same over no compensation; ``proportional-gain``:
        everybody gains the same share of its payoff without compensation; ``least-cash``: the
        smallest sum of payments with which nobody is worse off. Default: ``equal-gain`` if that
        split is proven stable or no split is stable, otherwise ``stable``.
    robust
        Make the schedules so steep that nobody gains by contributing less while profitability is
        off by at most this share, in [0, 1) (:mod:`tradefl.incentives.robust`).
    split
        Shape ``(N,)``, payoff, with sum 0: what each receives at the optimum, instead of what a
        target says. With a payee the sum may be negative: the payee receives the rest.
    payee
        With ``split``: the name of an account that contributes nothing and settles with everybody.
    breakpoints
        Of each schedule, at most; 4 to 32. ``d_i*`` and the ends are always among them, then
        D_min and where the levels end.
    wei_per_payoff
        The exchange rate of the settlement, to verify what will be settled; default: the
        consortium's, or 10^15.
    seed, random_starts
        Of the random starts of best responses.
    optimum, without
        The planner's solution and the equilibrium without compensation, where they are known.
    watch
        Called with the name of each stage as it starts.
    tolerance, max_iterations, time_limit
        Of the planner; see :func:`~tradefl.solvers.solve`.

    Raises
    ------
    ValueError
        An option is out of range; there is one organization only; the gain cannot be split in
        proportion because somebody has no positive payoff without compensation; the optimum
        cannot be stated in parts per billion, or the schedules in wei.
    """
    if wei_per_payoff is None:
        section = getattr(game, "settlement", None)
        wei_per_payoff = WEI_PER_PAYOFF if section is None else section.wei_per_payoff
    game = game_of(game)
    if game.size < 2:
        raise ValueError("organizations: expected at least two, to compensate each other")
    watch("the optimum")
    bare = game.with_incentive_intensity(0.0)
    optimum = (
        solve(
            bare,
            "planner",
            tolerance=tolerance,
            max_iterations=max_iterations,
            time_limit=time_limit,
        )
        if optimum is None
        else optimum
    )
    without = solve(bare) if without is None else without
    profile = in_decimals(game, optimum.profile)
    watch("schedules")
    externality = Externality(game, profile)
    schedules = tuple(schedule_of(game, externality, i, breakpoints) for i in range(game.size))
    before = without.payoffs
    at_optimum = payoffs_without_redistribution(game, profile)
    core = None
    if payee is not None and split is None:
        raise ValueError("payee: needs a split, as the truthful design computes it")
    if split is None:
        if target is None or target == "stable":
            watch("coalitions")
            target, core = _stable(game, target, before)
        constants, extra = constants_of(target, before, at_optimum, game, core)
    else:
        target = target or "equal-gain"
        constants, extra = split if payee else split - split.mean(), ()
    rule = EfficientRule(schedules, constants, extra, payee)
    usual_bonds = rule.bonds
    if robust > 0.0:
        steep = zip(
            *(schedules, profile.data_fraction.tolist()),
            steepness(game, profile, robust).tolist(),
            strict=True,
        )
        rule = dataclasses.replace(rule, schedules=tuple(steeper(*bounds) for bounds in steep))
    designed = game.with_compensation(rule)
    agreed = Solution.certified(
        designed,
        profile,
        finished=True,
        method="design",
        iterations=optimum.iterations,
        runtime_seconds=optimum.runtime_seconds,
        welfare_bound=optimum.welfare_bound,
        remarks=optimum.remarks,
    )
    watch("regret")
    exact = regret(game, optimum.profile, Externality(game, optimum.profile))
    settled = regret(game.with_compensation(in_wei(rule, wei_per_payoff)), profile)
    watch("self-enforcing range")
    return Design(
        target=target if split is None else "truthful",
        optimum=optimum,
        without=without,
        rule=rule,
        agreed=agreed,
        exact_regret=exact,
        settled_regret=settled,
        starts=tuple(_starts(agreed, without.profile, seed, random_starts, watch)),
        radius=radius(designed, profile),
        exact_radius=radius(game, profile, Externality(game, profile))
        if game.size <= EXACT_RADIUS_UP_TO
        else None,
        robust=robust,
        usual_bonds=usual_bonds,
        core=core,
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


# --- what is agreed on ---------------------------------------------------------------------------


def in_decimals(game: CoopetitionGame, profile: StrategyProfile) -> StrategyProfile:
    """Return the profile in parts per billion, still feasible.

    Raises
    ------
    ValueError
        There is no such number between D_min and what somebody can train in time.
    """
    most = game.max_data_fraction(profile.cpu_hz)
    rounded, possible = to_decimals(profile.data_fraction, most, game.min_data_fraction)
    stuck = np.flatnonzero(~possible)
    if stuck.size:
        who = game.name_of(int(stuck[0]))
        raise ValueError(f"{who}: its data fraction cannot be stated in parts per billion")
    return StrategyProfile(rounded, profile.cpu_hz)


def to_decimals(
    data_fraction: Array, most: Array, least: float | Array
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return data fractions in parts per billion, and where there is such a number.

    ``most`` is what can be trained in time, ``least`` is D_min.
    """
    unit = 10.0**DECIMALS
    rounded = np.round(data_fraction, DECIMALS)
    rounded = np.where(rounded > most, np.round(np.floor(most * unit) / unit, DECIMALS), rounded)
    floor = np.round(np.ceil(np.asarray(least) * unit) / unit, DECIMALS)
    rounded = np.maximum(rounded, floor)
    return rounded, np.asarray(rounded <= most * (1.0 + 1e-9))


def in_wei(rule: EfficientRule, wei_per_payoff: int) -> EfficientRule:
    """Return the rule as it is settled: every figure rounded to a whole number of wei.

    Raises
    ------
    ValueError
        The exchange rate is too coarse for the schedules to stay concave.
    """

    def rounded(values: Array) -> Array:
        return np.round(values * float(wei_per_payoff)) / float(wei_per_payoff)

    try:
        schedules = tuple(
            Schedule(schedule.shares, rounded(schedule.values)) for schedule in rule.schedules
        )
    except InvalidScheduleError:
        raise ValueError(
            f"wei_per_payoff: {wei_per_payoff:,} wei are too coarse for the schedules; take more"
        ) from None
    extra = tuple((i, j, float(rounded(np.array(amount)))) for i, j, amount in rule.extra)
    return EfficientRule(schedules, rounded(rule.constants), extra, rule.payee)


# --- schedules -----------------------------------------------------------------------------------


def schedule_of(
    game: CoopetitionGame, externality: Externality, i: int, breakpoints: int
) -> Schedule:
    """Return straight pieces below ``phi_i`` that touch it at ``d_i*`` and are flat above."""
    agreed = float(externality.profile.data_fraction[i])
    who = np.array([i])

    known: dict[float, float] = {}

    def phi(points: Sequence[float] | Array) -> Array:
        wanted = [float(point) for point in points]
        new = [point for point in dict.fromkeys(wanted) if point not in known]
        if new:
            found = externality.value(np.full(len(new), i), np.array(new))
            known.update(zip(new, found.tolist(), strict=True))
        return np.array([known[point] for point in wanted])

    # Straight pieces are where they matter: above d* nothing is paid.
    shares = _breakpoints(game, i, agreed, breakpoints, lambda d: np.minimum(phi(d), 0.0))
    # Between an onset and the next phi is concave: below it there, below it everywhere between.
    corners = externality.corners(game, who)[0]
    samples = np.unique(np.concatenate([shares, corners[~np.isnan(corners)]]))
    at = int(np.flatnonzero(shares == agreed)[0])
    heights = phi(samples)
    values = np.zeros(shares.size)  # and so it stays above d*: more than agreed is not paid for
    slope = 0.0
    for k in range(at, 0, -1):
        before = (samples >= shares[k - 1]) & (samples < shares[k])
        fall = (values[k] - heights[before]) / (shares[k] - samples[before])
        slope = max(slope, float(fall.max()))
        values[k - 1] = values[k] - slope * (shares[k] - shares[k - 1])
    return Schedule(shares, values)


def _breakpoints(
    game: CoopetitionGame,
    i: int,
    agreed: float,
    breakpoints: int,
    phi: Callable[[Sequence[float]], Array],
) -> Array:
    """Return the shares: what must be among them, then where straight pieces miss phi most."""
    chosen = sorted({0.0, agreed, 1.0})

    def add(share: float) -> None:
        share = float(np.round(share, DECIMALS))
        room = len(chosen) < breakpoints
        if room and 0.0 < share < 1.0 and min(abs(share - other) for other in chosen) >= CLOSEST:
            chosen.append(share)
            chosen.sort()

    add(float(np.round(game.min_data_fraction, DECIMALS)))
    ends = game.max_data_fraction(game.cpu_levels_hz)[i]
    feasible = ends[ends >= game.min_data_fraction]
    for end in sorted(feasible.tolist(), key=lambda share: abs(share - agreed)):
        add(float(np.floor(end * 10.0**DECIMALS) / 10.0**DECIMALS))

    def middle_of(low: float, high: float) -> float:
        return round(0.5 * (low + high), DECIMALS)

    def gap(low: float, high: float) -> tuple[float, float, float, float]:
        middle = middle_of(low, high)
        at_low, between, at_high = phi([low, middle, high]).tolist()
        straight = at_low + (at_high - at_low) * (middle - low) / (high - low)
        return -abs(between - straight), low, middle, high

    phi([*chosen, *itertools.starmap(middle_of, itertools.pairwise(chosen))])  # all at once
    open_ = [gap(*ends_) for ends_ in itertools.pairwise(chosen)]
    heapq.heapify(open_)
    while open_ and len(chosen) < breakpoints:
        missed, low, middle, high = heapq.heappop(open_)
        if missed == 0.0 or high - low < 2.0 * CLOSEST:
            continue
        before = len(chosen)
        add(middle)
        if len(chosen) > before:
            phi([middle_of(low, middle), middle_of(middle, high)])
            heapq.heappush(open_, gap(low, middle))
            heapq.heappush(open_, gap(middle, high))
    return np.array(chosen)


# --- constants -----------------------------------------------------------------------------------


def _stable(
    game: CoopetitionGame, target: Target | None, before: Array
) -> tuple[Target, LeastCore | None]:
    """Return the target, ``equal-gain`` by default if that is stable, and its least core.

    By default it is enough that the split is stable: proving that no other has a larger margin
    takes some thirty times as long for a hundred organizations.
    """
    if target is None and game.size > STABLE_UP_TO:
        return "equal-gain", None
    values = Values(game)
    total = values.grand[0]
    tolerance = STABLE_TOLERANCE * abs(total)
    until = working_time() + STABLE_SECONDS
    if target is None:
        equal = before + (total - before.sum()) / game.size
        found = separate(values, equal, tolerance=tolerance, until=until, first=True)
        if found.bound <= tolerance:
            return "equal-gain", None
    if target is not None:
        return "stable", least_core(values, tolerance=tolerance, until=until)
    core = least_core(values, tolerance=tolerance, until=until, node_limit=MARGIN_NODES)
    if core.margin < -tolerance:
        # No split is stable. Then equal gains are better: nobody loses against no compensation.
        return "equal-gain", None
    if not core.certified:
        found = separate(values, core.payoff, tolerance=tolerance, until=until, first=True)
        core = dataclasses.replace(core, proven=-found.bound, nodes=core.nodes + found.nodes)
    return "stable", core


def constants_of(
    target: Target,
    before: Array,
    at_optimum: Array,
    game: CoopetitionGame,
    core: LeastCore | None = None,
) -> tuple[Array, tuple[tuple[int, int, float], ...]]:
    """Return ``k_i`` and the extra payments that split the gain as the target says."""
    if core is not None:
        constants = core.payoff - at_optimum
        return constants - constants.mean(), ()
    if target == "by-profitability":
        p = game.profitability
        constants = at_optimum.sum() * p / p.sum() - at_optimum
        return constants - constants.mean(), ()
    gain = max(float(at_optimum.sum() - before.sum()), 0.0)
    if target == "least-cash":
        least = before + LEAST_SHARE * gain / before.size
        return np.zeros(before.size), _least_cash(at_optimum - least)
    if target == "equal-gain":
        shares = np.full(before.size, 1.0 / before.size)
    else:
        poor = np.flatnonzero(~(before > 0.0))
        if poor.size:
            raise ValueError(
                f"target: proportional-gain needs a positive payoff without compensation, and "
                f"{game.name_of(int(poor[0]))} has {before[poor[0]]:.6g}"
            )
        shares = before / before.sum()
    constants = before + gain * shares - at_optimum
    return constants - constants.mean(), ()


def split_gain(
    target: Target, before: Array, at_optimum: Array, game: CoopetitionGame
) -> tuple[Array, tuple[tuple[int, int, float], ...]]:
    """Return what :func:`constants_of` does, for one of many reports or draws.

    The least core of ``stable`` comes from local search, whose coalitions it satisfies; branch and
    bound, which :func:`design` uses, would take seconds for each.
    """
    core = None
    if target == "stable":
        values = Values(game)
        tolerance = STABLE_TOLERANCE * abs(values.grand[0])
        core = least_core(values, tolerance=tolerance, node_limit=0)
    return constants_of(target, before, at_optimum, game, core)


def _least_cash(surplus: Array) -> tuple[tuple[int, int, float], ...]:
    """Return the payments of the smallest sum that leave nobody a negative surplus.

    The linear program is a transport from those with a surplus to those without,

        min sum x_ij   subject to   sum_i x_ij >= -surplus_j,   sum_j x_ij <= surplus_i,   x >= 0.

    An organization that lacks something must receive that much, so no sum is smaller than that of
    all that is lacking; filling one after another from one after another pays no more, to the last
    bit, with fewer payments than there are organizations.
    """
    givers = [(int(i), float(surplus[i])) for i in np.flatnonzero(surplus > 0.0)]
    payments = []
    for taker in np.flatnonzero(surplus < 0.0).tolist():
        lacking = -float(surplus[taker])
        while lacking > 0.0 and givers:  # rounding may leave all of them a little short
            giver, left = givers.pop()
            amount = min(lacking, left)
            payments.append((taker, giver, amount))
            lacking -= amount
            if left > amount:
                givers.append((giver, left - amount))
    return tuple(payments)


# --- from where best responses lead there --------------------------------------------------------


def _starts(
    expected: Solution,
    without: StrategyProfile,
    seed: int,
    count: int,
    watch: Callable[[str], None],
) -> list[Start]:
    game, agreed = expected.game, expected.profile
    fastest = game.initial_profile()
    everything = StrategyProfile(game.max_data_fraction(fastest.cpu_hz), fastest.cpu_hz)
    named = {
        "what is agreed on": agreed,
        "the least data": fastest,
        "all data": everything,
        "no compensation": without,
    }
    rng = np.random.default_rng(seed)
    for k in range(count):
        named[f"random {k + 1}"] = _random_profile(game, rng)
    watch(f"best responses from {len(named)} starts")
    begin = np.array([(profile.data_fraction, profile.cpu_hz) for profile in named.values()])
    end = solve_many(
        Games.of([game]).repeated(len(named)), initial=(begin[:, 0], begin[:, 1]), regret=False
    )
    away = np.abs(end.data_fraction - agreed.data_fraction).max(axis=1)
    rounding = ROUNDING * expected.certificate.payoff_scale
    alike = np.all(end.cpu_hz == agreed.cpu_hz, axis=1)
    alike |= np.all(np.abs(end.payoffs - expected.payoffs) <= rounding, axis=1)
    return [
        Start(
            name=name,
            reached=bool(away[k] <= REACHED and alike[k]),
            moves=int(end.moves[k]),
            social_welfare=float(end.social_welfare[k]),
            settled=bool(end.settled[k]),
        )
        for k, name in enumerate(named)
    ]


def _random_profile(game: CoopetitionGame, rng: np.random.Generator) -> StrategyProfile:
    """Return everybody at a random feasible level, with random data that it can train in time."""
    feasible = game.level_is_feasible()
    level = np.argmax(np.where(feasible, rng.random(feasible.shape), -1.0), axis=1)
    f = game.cpu_levels_hz[np.arange(game.size), level]
    least = game.min_data_fraction
    return StrategyProfile(least + rng.random(game.size) * (game.max_data_fraction(f) - least), f)
