r"""Rules side by side: how far from the best we could do together, and who gains or loses.

Four equilibria of one consortium: without compensation, under the paper's rule with the gamma of
the file, under the paper's rule with the gamma that serves welfare best, and under the efficient
rule; each against the social optimum and against the one without compensation. On request also
ways to split what is earned at the optimum: the Shapley value, leave-one-out, in proportion to
data, and Clarke payments (VCG), which need money from outside. And on request the equilibrium under
any mechanism (:mod:`tradefl.mechanisms`), where contributions answer to what is paid for them.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tradefl.arguments import (
    FUNCTION,
    SECONDS,
    SHARE,
    TEXT,
    TRUTH,
    WITH_A_GAME,
    accepts,
    choice,
    either,
    instance,
    many,
    optional,
    whole,
)
from tradefl.consortium.schema import suggestion
from tradefl.design import AGAINST_ALONE, ROUNDING, TARGETS, Target, design
from tradefl.game import CoopetitionGame, EfficientRule, InvalidGameError, Mechanism
from tradefl.mechanisms import known, make_mechanism, title_of
from tradefl.outcomes import Comparison, Outcome
from tradefl.solvers import DEFAULT_METHOD, Solution, game_of, solve
from tradefl.stability.separation import TOLERANCE as STABLE
from tradefl.stability.separation import separate
from tradefl.stability.splits import allocation
from tradefl.stability.values import Values
from tradefl.tuning import PARTICIPATION, Participation, Tuning, tune

if TYPE_CHECKING:
    from tradefl.consortium import Consortium

Array = npt.NDArray[np.float64]

# Ways to split what is earned at the social optimum, independent of contributions.
MECHANISMS = {
    "shapley": "the Shapley value of the coalitions",
    "leave-one-out": "in proportion to what each brings",
    "by-data": "in proportion to the data contributed",
    "equal": "the same for each",
    "vcg": "Clarke payments (VCG)",
}
# Seconds to prove that a split is stable.
SECONDS_EACH = 10.0


@accepts(
    game=WITH_A_GAME,
    rule=optional(instance("tradefl.game.rules.EfficientRule")),
    target=optional(choice(TARGETS)),
    tuning=optional(instance("tradefl.tuning.Tuning")),
    participation=choice(PARTICIPATION),
    mechanisms=many(
        "names or mechanisms", either(TEXT, instance("tradefl.game.mechanism.Mechanism"))
    ),
    test_stability=TRUTH,
    watch=FUNCTION,
    tolerance=optional(SHARE),
    max_iterations=optional(whole(1)),
    time_limit=optional(SECONDS),
)
def compare(
    game: CoopetitionGame | Consortium,
    *,
    rule: EfficientRule | None = None,
    target: Target | None = None,
    tuning: Tuning | None = None,
    participation: Participation = "alone",
    mechanisms: Sequence[str | Mechanism] = (),
    test_stability: bool = False,
    watch: Callable[[str], None] = lambda _: None,
    tolerance: float | None = None,
    max_iterations: int | None = None,
    time_limit: float | None = None,
) -> Comparison:
    """Compare the rules on a game.

    Parameters
    ----------
    game
        A game or a consortium; its gamma is that of the paper's rule.
    rule
        The efficient rule to compare; default: that of the consortium, unless there is a
        ``target``; where it has none, one that is designed here.
    target
        How a rule that is designed here splits the gain; default: equally.
    tuning
        The search for the best gamma by ``exact``, where it is known; otherwise it is made here.
    participation
        What a payoff at gamma* must be at least: see :func:`~tradefl.tuning.tune`.
    mechanisms
        Each a row: ways to split what is earned at the optimum, of :data:`MECHANISMS`, and
        mechanisms at their equilibrium, by name (:func:`tradefl.mechanisms.known`) or as objects.
    test_stability
        Whether to find out for each row if a coalition would do better on its own.
    watch
        Called with the name of each stage as it starts.
    tolerance, max_iterations, time_limit
        Of the planner; see :func:`~tradefl.solvers.solve`.

    Raises
    ------
    ValueError
        As :func:`~tradefl.design.design` does.
    """
    if rule is None and target is None:
        rule = getattr(game, "efficient_rule", None)
    names = (*MECHANISMS, *(name for name in known() if name not in MECHANISMS))
    unknown = [name for name in mechanisms if isinstance(name, str) and name not in names]
    if unknown:
        raise ValueError(
            f"mechanisms: expected some of {', '.join(names)}, got {unknown[0]!r}"
            + suggestion(unknown[0], names)
        )
    section = getattr(game, "compensation", None)
    against_alone = getattr(section, "target", None) in AGAINST_ALONE
    target = "equal-gain" if target is None else target
    game = game_of(game)
    watch("the optimum")
    optimum = solve(
        game.with_incentive_intensity(0.0),
        "planner",
        tolerance=tolerance,
        max_iterations=max_iterations,
        time_limit=time_limit,
    )
    if (
        tuning is None
        or tuning.without.method != DEFAULT_METHOD
        or tuning.participation != participation
        or not tuning.individual_rationality
    ):
        watch("the best gamma")
        tuning = tune(
            game.with_incentive_intensity(game.incentive_intensity), participation=participation
        )
    without = tuning.without
    remarks = list(optimum.remarks)
    gamma = game.incentive_intensity
    found = [
        ("none", "no compensation", without),
        (
            "linear",
            f"the paper's rule, gamma = {gamma:g}",
            solve(game.with_incentive_intensity(gamma)),
        ),
    ]
    best = tuning.best
    if best is None:
        remarks.append(
            "no gamma is individually rational, so none is tuned"
            if participation == "zero"
            else "at every gamma some organization would earn more alone, so none is tuned"
        )
    else:
        tuned = best.game.incentive_intensity
        found.append(("tuned", f"the paper's rule, gamma* = {tuned:g}", best))
    given = rule is not None
    if rule is None:
        watch("the efficient rule")
        rule = design(game, target, optimum=optimum, without=without, random_starts=0).rule
        title = f"the efficient rule, {target}"
    else:
        title = "the efficient rule of the file"
    efficient = solve(game.with_compensation(rule))
    found.append(("efficient", title, efficient))
    short = optimum.social_welfare - efficient.social_welfare
    if short > ROUNDING * float(efficient.certificate.payoff_scale.sum()):
        remarks.append(
            f"the efficient rule's equilibrium is {short:.6g} below the optimum: if figures have "
            "changed since it was designed, design it again"
        )
    rows = [Outcome(*fields, optimum=optimum, without=without) for fields in found]
    losers = rows[-1].losers
    if game.size > 1 and (mechanisms or test_stability):
        values = Values(game)
        shown = {row.rule for row in rows}
        for name in dict.fromkeys(mechanisms):
            if name in shown:
                continue  # the paper's rule and the efficient one are there already
            if isinstance(name, str) and name in MECHANISMS:
                watch(MECHANISMS[name])
                rows.append(_split(name, game, values, optimum, without))
                wide = rows[-1].half_width
                if wide is not None:
                    remarks.append(
                        f"{name} is sampled: with 95 % confidence each payoff is within "
                        f"{float(wide.max()) / abs(optimum.social_welfare):.2g} of the welfare of "
                        "the exact one"
                    )
                continue
            watch(f"the equilibrium under {name if isinstance(name, str) else name.name}")
            rows.append(_played(name, game, optimum, without))
            if rows[-1].solution.status not in ("equilibrium", "optimal"):
                remarks.append(
                    f"{rows[-1].rule}: no equilibrium was found; regret "
                    f"{rows[-1].solution.certificate.max_regret:.3g}"
                )
        if test_stability:
            for k, row in enumerate(rows):
                watch(f"could a coalition do better than under {row.title}?")
                rows[k] = dataclasses.replace(row, stable=stable(values, row.payoffs))
    outcomes = tuple(rows)
    if given and losers and not against_alone:
        remarks.append(
            f"{losers:,} of {game.size:,} organizations lose under the efficient rule of the file, "
            "which is designed to leave no loser: if figures have changed since, design it again"
        )
    if without.social_welfare <= 0.0:
        remarks.append(
            "welfare without compensation is not positive, so there is no price of anarchy"
        )
    return Comparison(
        optimum=optimum,
        outcomes=outcomes,
        remarks=tuple(remarks),
    )


def _played(
    name: str | Mechanism, game: CoopetitionGame, optimum: Solution, without: Solution
) -> Outcome:
    """Return the equilibrium under a mechanism, by name or as it is."""
    mechanism = make_mechanism(name, game) if isinstance(name, str) else name
    called = name if isinstance(name, str) else mechanism.name
    try:
        played = game.with_compensation(mechanism)
    except InvalidGameError as error:
        raise ValueError(f"mechanisms: {called}: {error.problems[0][2]}") from None
    solution = solve(played)
    return Outcome(called, title_of(called, mechanism), solution, optimum, without)


def _split(
    name: str, game: CoopetitionGame, values: Values, optimum: Solution, without: Solution
) -> Outcome:
    """Return a way to split what is earned at the optimum."""
    bare = game.with_incentive_intensity(0.0)
    split = values.marginal  # Clarke: what each adds to the others, which together is too much
    half = None
    if name != "vcg":
        made = allocation(bare, name, values)  # type: ignore[arg-type]
        split, half = made.payoff, made.half_width if made.half_width.any() else None
    solution = dataclasses.replace(optimum, game=bare)
    return Outcome(name, MECHANISMS[name], solution, optimum, without, split=split, half_width=half)


def stable(values: Values, pay: Array) -> str:
    """Return ``stable``, ``not stable`` or ``undecided``: whether coalitions accept payoffs."""
    tolerance = STABLE * abs(values.grand[0])
    until = time.perf_counter() + SECONDS_EACH
    found = separate(values, pay, tolerance=tolerance, until=until, first=True)
    if found.excess > tolerance:
        return "not stable"
    return "stable" if found.bound <= tolerance else "undecided"
