r"""The Nash certificate: regret, budget balance and individual rationality of a profile.

Nothing here knows how a profile was found. Regret is computed from Eq. (11) itself by a
search over every organization's whole feasible set; neither the potential nor a closed-form
best response is used, so a mistake in those cannot hide here.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import numpy.typing as npt

from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.payoff import Payoffs, payoffs
from tradefl.game.rules import Incentive
from tradefl.game.search import Deviations, certified_responses
from tradefl.game.strategy import StrategyProfile

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
# Golden-section steps: the bracket shrinks to 1e-9 of its width, the value to rounding.
SEARCH_STEPS = 44
BLOCK = 16_384
# A gain that its bound shows to be below this share of its terms is rounding, and not searched for.
ROUNDING = 1e-14


@dataclasses.dataclass(frozen=True, eq=False)
class Certificate:
    """What can be said of a profile without trusting the program that computed it.

    Attributes
    ----------
    regret
        Shape ``(N,)``: the most that each could gain by a unilateral deviation.
    payoff_scale
        Shape ``(N,)``: the size of the terms that make each payoff, to judge regret by.
    feasible
        Whether every strategy satisfies Eq. (13).
    budget_imbalance
        ``|sum_i R_i|``, with what a payee receives: zero up to rounding.
    individually_rational
        Whether no payoff is negative (Definition 3).
    proven
        Whether no deviation gains more than the regret, beyond rounding. ``False``: the mechanism
        declares no structure, and the regret is the most that a grid of deviations, refined, gains.
    """

    regret: Array
    payoff_scale: Array
    feasible: bool
    budget_imbalance: float
    individually_rational: bool
    proven: bool = True

    @property
    def max_regret(self) -> float:
        """The largest regret, payoff units."""
        return float(self.regret.max())

    def is_equilibrium(self, tolerance: float) -> bool:
        """Return whether nobody can gain more than ``tolerance`` times its payoff scale."""
        return self.feasible and bool(np.all(self.regret <= tolerance * self.payoff_scale))


def certify(
    game: CoopetitionGame, profile: StrategyProfile, terms: Payoffs | None = None
) -> Certificate:
    """Return the certificate of a profile; ``terms`` saves computing its payoffs again."""
    terms = payoffs(game, profile) if terms is None else terms
    scale = (
        terms.revenue
        + terms.overhead
        + terms.damage
        + game.mechanism.gross_redistribution(game, profile)
    )
    found, proven = _regret_of(game, profile)
    return Certificate(
        regret=found,
        payoff_scale=np.maximum(scale, np.finfo(float).tiny),
        feasible=bool(game.is_feasible(profile).all()),
        budget_imbalance=abs(math.fsum([*terms.redistribution.tolist(), terms.paid_out])),
        individually_rational=bool((terms.payoff >= 0.0).all()),
        proven=proven,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Deviators:
    """Some organizations, each of which considers to deviate alone; all arrays ``(K,)``."""

    game: CoopetitionGame
    incentive: Incentive
    i: Indices
    d: Array  # what they contribute now
    f: Array
    others: Array  # Omega - d_i u_i

    @classmethod
    def of(
        cls, game: CoopetitionGame, profile: StrategyProfile, i: Indices, incentive: Incentive
    ) -> Deviators:
        """Return the organizations i of a game at a profile, under an incentive."""
        d = profile.data_fraction[i]
        others = np.maximum(game.omega(profile) - d * game.data_units[i], 0.0)
        return cls(game, incentive, i, d, profile.cpu_hz[i], others)

    def __getitem__(self, chosen: npt.NDArray[np.bool_] | Indices | slice) -> Deviators:
        columns = {name: getattr(self, name)[chosen] for name in ("i", "d", "f", "others")}
        return dataclasses.replace(self, **columns)

    @property
    def rounding(self) -> Array:
        """What a gain may come to by rounding alone, ``(K,)``: a share of the present terms."""
        game, i = self.game, self.i
        value = np.abs(game.accuracy.value(self.others + self.d * game.data_units[i]))
        terms = (game.profitability[i] + game.competitors_profitability[i]) * value
        cycles = game.cycles_per_bit[i] * game.data_bits[i] * self.f**2
        terms = terms + game.overhead_weight * game.capacitances[i] * cycles + game.data_cost[i]
        return np.asarray(ROUNDING * (terms + np.abs(self.incentive.own(game, i, self.d, self.f))))

    def gain(self, d: Array, f: Array) -> Array:
        """Return ``payoff_i(d, f; pi_-i) - payoff_i(pi)`` of Eq. (11), term by term."""
        game, i = self.game, self.i
        value, u = game.accuracy.value, game.data_units[i]
        more = value(self.others + d * u) - value(self.others + self.d * u)
        revenue = game.profitability[i] * more
        damage = game.competitors_profitability[i] * more  # P(Omega - d_i u_i) stays as it is
        cycles = game.cycles_per_bit[i] * game.data_bits[i] * (f**2 * d - self.f**2 * self.d)
        overhead = game.overhead_weight * game.capacitances[i] * cycles
        overhead = overhead + game.data_cost[i] * (d - self.d)
        received = self.incentive.own(game, i, d, f) - self.incentive.own(game, i, self.d, self.f)
        return np.asarray(revenue - overhead - damage + received)

    def slopes(self, d: Array, f: Array, trained: bool) -> tuple[Array, Array]:
        """Return the derivatives of :meth:`gain` to the left and right of d.

        ``trained``: at or above the onset of ``P``; otherwise below.
        """
        game, i = self.game, self.i
        u, s = game.data_units[i], game.data_bits[i]
        # At the kink rounding may fall below the onset, where the derivative is 0.
        omega = np.maximum(self.others + d * u, game.accuracy.onset)
        steeper = game.accuracy.derivative(omega) * u if trained else 0.0
        worth = (game.profitability[i] - game.competitors_profitability[i]) * steeper
        cost = game.overhead_weight * game.capacitances[i] * f**2 * game.cycles_per_bit[i] * s
        cost = cost + game.data_cost[i]
        left, right = self.incentive.slopes(game, i, d)
        return worth - cost + left, worth - cost + right


def deviation_gain(
    game: CoopetitionGame, profile: StrategyProfile, i: Indices, d: Array, f: Array
) -> Array:
    """Return what each organization ``i[k]`` gains by deviating alone to ``(d[k], f[k])``.

    ``payoff_i(d, f; pi_-i) - payoff_i(pi)`` of Eq. (11). All arrays have shape ``(K,)``.
    """
    who, data, hz = np.asarray(i), np.asarray(d), np.asarray(f)
    if not game.mechanism.separable:
        return Deviations(game, profile).gain(who, data, hz)
    return Deviators.of(game, profile, who, game.separable).gain(data, hz)


def _regret_of(game: CoopetitionGame, profile: StrategyProfile) -> tuple[Array, bool]:
    """Return everybody's regret under the game's mechanism, and whether it is proven."""
    if game.mechanism.separable:
        return regret(game, profile), True
    found = certified_responses(game, profile)
    return found.bound, found.proven


def regret(
    game: CoopetitionGame,
    profile: StrategyProfile,
    incentive: Incentive | None = None,
    who: Indices | None = None,
) -> Array:
    """Return the most that each could gain by a unilateral deviation, shape ``(N,)``.

    For each level the payoff is concave in ``d`` below the onset of ``P``, and again from there
    on. Tangents at the point nearest to the present strategy bound what either part can give;
    where that bound is more than rounding, golden section and the rule's corners search it. So a
    regret of 0 means: less than 1e-14 of the terms of the payoff.

    Parameters
    ----------
    game, profile
        The game, and what everybody contributes.
    incentive
        What each one's own strategy adds to what it receives; default: the game's mechanism. One
        that is not concave is searched between its corners. A mechanism without separable structure
        is searched as :mod:`tradefl.game.search` says.
    who
        Whose regret, shape ``(K,)``, as is the result then; default: everybody's.
    """
    chosen = np.arange(game.size) if who is None else np.asarray(who, dtype=np.intp)
    if incentive is None and not game.mechanism.separable:
        return certified_responses(game, profile, chosen).bound
    rule = game.separable if incentive is None else incentive
    everyone = Deviators.of(game, profile, chosen, rule)
    # In blocks that stay in the processor's cache: several times faster for a million.
    return np.concatenate([_regret(everyone[k : k + BLOCK]) for k in range(0, chosen.size, BLOCK)])


def _regret(all_: Deviators) -> Array:
    game, least = all_.game, all_.game.min_data_fraction
    best = np.zeros(all_.i.size)
    # Below this fraction i's data leaves the model untrained (E10).
    at_onset = (game.accuracy.onset - all_.others) / game.data_units[all_.i]
    reach = game.data_fraction_per_hz[all_.i]
    corners, rounding = all_.incentive.corners(game, all_.i), all_.rounding
    for level in range(game.cpu_levels_hz.shape[1]):
        f = game.cpu_levels_hz[all_.i, level]
        high = np.minimum(1.0, reach * f)
        feasible = high >= least  # false for padding, which is NaN
        kink = np.clip(at_onset, least, high)

        stretches = [(kink, high, True)]
        if np.any(feasible & (kink > least)):
            stretches.append((np.full_like(kink, least), kink, False))
        for start, end, trained in stretches:
            cuts = [start, end]
            if not all_.incentive.concave:
                inner = np.clip(np.nan_to_num(corners, nan=1.0), start[:, None], end[:, None])
                cuts = [start, *np.sort(inner).T, end]
            for low, top in itertools.pairwise(cuts):
                at = np.clip(all_.d, low, top)
                left, right = all_.slopes(at, f, trained)
                bound = all_.gain(at, f) + np.maximum(left * (low - at), right * (top - at))
                promising = feasible & (bound > rounding)
                if promising.any():
                    found = _best(all_[promising], f[promising], low[promising], top[promising])
                    best[promising] = np.maximum(best[promising], found)
    return best


def _best(deviators: Deviators, f: Array, low: Array, high: Array) -> Array:
    """Return the largest gain over d in ``[low, high]``, on which it is concave."""
    best = _golden(deviators, f, low, high)
    for at in deviators.incentive.corners(deviators.game, deviators.i).T:
        inside = (low <= at) & (at <= high)
        if inside.any():
            gained = deviators[inside].gain(at[inside], f[inside])
            best[inside] = np.maximum(best[inside], gained)
    return best


def _golden(deviators: Deviators, f: Array, low: Array, high: Array) -> Array:
    """Maximize the gain over d in ``[low, high]`` by golden section, all at once."""

    def gain(d: Array) -> Array:
        return deviators.gain(d, f)

    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    gain_left, gain_right = gain(left), gain(right)
    best = np.maximum(np.maximum(gain_left, gain_right), np.maximum(gain(low), gain(high)))
    for _ in range(SEARCH_STEPS):
        go_left = gain_left >= gain_right
        low, high = np.where(go_left, low, left), np.where(go_left, right, high)
        probe = np.where(go_left, high - GOLDEN * (high - low), low + GOLDEN * (high - low))
        gained = gain(probe)
        best = np.maximum(best, gained)
        left, right = np.where(go_left, probe, right), np.where(go_left, left, probe)
        gain_left, gain_right = (
            np.where(go_left, gained, gain_right),
            np.where(go_left, gain_left, gained),
        )
    return best
