"""``[compensation]``: the schedules and constants of the efficient rule, from the file and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tradefl.consortium.schema import Compensation, shown, suggestion
from tradefl.errors import InputError, Problem
from tradefl.game import EfficientRule, InvalidScheduleError, Schedule


def efficient_rule(section: Compensation, names: Sequence[str], file: str) -> EfficientRule:
    """Return the rule that the section describes.

    Raises
    ------
    InputError
        With every problem found: somebody has no schedule or no constant, or a name is not one
        of the organizations, a schedule is none, or a pair is malformed or stands twice.
    """
    problems = [
        *_misnamed(section.schedules, names, f"{file}: compensation.schedules"),
        *_misnamed(section.constants, names, f"{file}: compensation.constants"),
    ]
    if len(names) < 2:
        what = "expected at least two organizations for the efficient rule"
        problems.append(Problem(f"{file}: organization", what))
    schedules = []
    for name in names:
        points = section.schedules.get(name)
        if points is None:
            continue  # told above
        try:
            shares, values = zip(*points, strict=True) if points else ((), ())
            schedules.append(Schedule(shares, values))  # type: ignore[arg-type]
        except InvalidScheduleError as error:
            problems.append(Problem(f"{file}: compensation.schedules.{name}", str(error)))
    extra, seen = [], set()
    for k, entry in enumerate(section.pairs):
        problem = _pair_problem(entry, names)
        if problem is None:
            i, j = (names.index(one) for one in entry[:2])
            if frozenset((i, j)) in seen:
                problem = f"{entry[0]!r} and {entry[1]!r} stand twice"
            seen.add(frozenset((i, j)))
            extra.append((i, j, float(entry[2])))
        if problem is not None:
            problems.append(Problem(f"{file}: compensation.pairs[{k}]", problem))
    if problems:
        raise InputError(problems)
    constants = [section.constants[name] for name in names]
    return EfficientRule(tuple(schedules), constants, tuple(extra))  # type: ignore[arg-type]


def compensation_section(
    rule: EfficientRule, names: Sequence[str], target: str | None
) -> Compensation:
    """Return the section that describes a rule."""
    return Compensation(
        **({} if target is None else {"target": target}),
        pairs=[[names[i], names[j], amount] for i, j, amount in rule.extra],
        constants=dict(zip(names, rule.constants.tolist(), strict=True)),
        schedules={
            name: [
                list(point) for point in zip(one.shares.tolist(), one.values.tolist(), strict=True)
            ]
            for name, one in zip(names, rule.schedules, strict=True)
        },
    )


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
        or not all(isinstance(one, str) for one in entry[:2])
        or isinstance(entry[2], bool)
        or not isinstance(entry[2], int | float)
        or not abs(entry[2]) < float("inf")
    ):
        return f'expected ["receiver", "payer", amount], got {shown(entry)}'
    for one in entry[:2]:
        if one not in names:
            return f"no organization {one!r}{suggestion(one, names)}"
    return "nobody pays itself" if entry[0] == entry[1] else None
