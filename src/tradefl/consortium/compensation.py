"""``[compensation]``: the schedules and constants of the efficient rule, from the file and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tradefl.consortium.schema import Compensation, Payee, Truthful, shown, suggestion
from tradefl.errors import InputError, Problem
from tradefl.foreign import look_alikes, normalized
from tradefl.game import (
    CoopetitionGame,
    EfficientRule,
    InvalidScheduleError,
    Schedule,
    StrategyProfile,
)
from tradefl.game.payoff import damage, overhead, revenue

# Of all revenue, overhead and damage together; beyond it a payoff has less than ten digits left.
MOST_CONSTANT = 1e6


def efficient_rule(section: Compensation, names: Sequence[str], file: str) -> EfficientRule:
    """Return the rule that the section describes.

    Raises
    ------
    InputError
        With every problem found: somebody has no schedule or no constant, or a name is not one
        of the organizations, a schedule is invalid, or a pair is malformed or occurs twice.
    """
    problems = [
        *_misnamed(section.schedules, names, f"{file}: compensation.schedules"),
        *_misnamed(section.constants, names, f"{file}: compensation.constants"),
    ]
    if section.truthful is not None:
        place = f"{file}: compensation.truthful"
        others = [name for name in names if name != section.truthful.claimant]
        payee = None if section.payee is None else section.payee.name
        if payee is not None and section.truthful.claimant != payee:
            what = f"expected the payee {payee!r}, got {section.truthful.claimant!r}"
            problems.append(Problem(f"{place}.claimant", what))
        elif section.truthful.claimant not in (*names, payee):
            what = f"no organization {section.truthful.claimant!r}"
            problems.append(Problem(f"{place}.claimant", what))
        problems += _misnamed(section.truthful.organizations, others, f"{place}.organizations")
    if section.payee is not None:
        problems += _payee_problems(section.payee, names, f"{file}: compensation.payee")
    if len(names) < 2:
        what = "expected at least two organizations for the efficient rule"
        problems.append(Problem(f"{file}: organization", what))
    schedules = []
    for name in names:
        points = section.schedules.get(name)
        if points is None:
            continue  # reported above
        try:
            shares, values = zip(*points, strict=True) if points else ((), ())
            schedules.append(Schedule(shares, values))  # type: ignore[arg-type]
        except InvalidScheduleError as error:
            problems.append(Problem(f"{file}: compensation.schedules.{name}", str(error)))
    every = [*names, *([] if section.payee is None else [section.payee.name])]
    extra, seen = [], set()
    for k, entry in enumerate(section.pairs):
        problem = _pair_problem(entry, every)
        if problem is None:
            i, j = (every.index(normalized(name)) for name in entry[:2])
            if frozenset((i, j)) in seen:
                problem = f"{entry[0]!r} and {entry[1]!r} occur twice"
            seen.add(frozenset((i, j)))
            extra.append((i, j, float(entry[2])))
        if problem is not None:
            problems.append(Problem(f"{file}: compensation.pairs[{k}]", problem))
    if problems:
        raise InputError(problems)
    constants = [section.constants[name] for name in names]
    return EfficientRule(
        tuple(schedules),
        constants,  # type: ignore[arg-type]
        tuple(extra),
        None if section.payee is None else section.payee.name,
    )


def require_moderate(rule: EfficientRule, game: CoopetitionGame, file: str) -> None:
    """Require constants so small that payoffs keep their digits.

    Raises
    ------
    InputError
        Somebody's constants are above :data:`MOST_CONSTANT` times all that the game is about.
    """
    fastest = game.initial_profile().cpu_hz
    everything = StrategyProfile(game.max_data_fraction(fastest), fastest)
    terms = revenue(game, everything), overhead(game, everything), damage(game, everything)
    most = MOST_CONSTANT * float(sum(np.abs(term).sum() for term in terms))
    single = {
        f"constants.{game.name_of(i)}": float(amount) for i, amount in enumerate(rule.constants)
    } | {f"pairs[{k}]": amount for k, (*_, amount) in enumerate(rule.extra)}
    problems = [
        Problem(
            f"{file}: compensation.{key}",
            f"expected at most {most:.3g}, a million times all revenue, overhead and damage "
            f"together, got {amount:g}",
        )
        for key, amount in single.items()
        if abs(amount) > most > 0.0
    ]
    if problems:
        raise InputError(problems)


def compensation_section(
    rule: EfficientRule,
    names: Sequence[str],
    target: str | None,
    truthful: Truthful | None = None,
    payee: Payee | None = None,
) -> Compensation:
    """Return the section that describes a rule; with a payee, its account where it is known."""
    if rule.payee is not None and payee is None:
        payee = Payee(name=rule.payee)
    optional = {"target": target, "truthful": truthful, "payee": payee}
    every = [*names, *([] if rule.payee is None else [rule.payee])]
    given: dict[str, Any] = {key: value for key, value in optional.items() if value is not None}
    return Compensation(
        **given,
        pairs=[[every[i], every[j], amount] for i, j, amount in rule.extra],
        constants=dict(zip(names, rule.constants.tolist(), strict=True)),
        schedules={
            name: [
                list(point)
                for point in zip(schedule.shares.tolist(), schedule.values.tolist(), strict=True)
            ]
            for name, schedule in zip(names, rule.schedules, strict=True)
        },
    )


def _payee_problems(payee: Payee, names: Sequence[str], place: str) -> list[Problem]:
    if payee.name in names:
        what = f"{payee.name!r} is an organization; expected another name"
        return [Problem(f"{place}.name", what)]
    alike = look_alikes([*names, payee.name])
    return [Problem(f"{place}.name", f"{second!r} looks like {first!r}") for first, second in alike]


def _misnamed(table: Mapping[str, Any], names: Sequence[str], place: str) -> list[Problem]:
    known = set(names)
    return [
        Problem(f"{place}.{name}", f"no organization {name!r}{suggestion(name, names)}")
        for name in table
        if name not in known
    ] + [Problem(place, f"{name!r} is missing") for name in names if name not in table]


def _pair_problem(entry: Any, names: Sequence[str]) -> str | None:
    """Return what is wrong with an entry ``[receiver, payer, amount]``."""
    if (
        not isinstance(entry, list)
        or len(entry) != 3
        or not all(isinstance(name, str) for name in entry[:2])
        or isinstance(entry[2], bool)
        or not isinstance(entry[2], int | float)
        or not abs(entry[2]) < float("inf")
    ):
        return f'expected ["receiver", "payer", amount], got {shown(entry)}'
    for name in entry[:2]:
        if normalized(name) not in names:
            return f"no organization {name!r}{suggestion(name, names)}"
    same = normalized(entry[0]) == normalized(entry[1])
    return "nobody pays itself" if same else None
