"""The contributions to settle, from a document: a solution, or what training has measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pydantic import ValidationError

from tradefl.consortium import Consortium
from tradefl.consortium.files import read_json
from tradefl.consortium.schema import described, shown, suggestion
from tradefl.documents.base import placed
from tradefl.documents.contributions import Contribution, ContributionsDocument
from tradefl.errors import InputError, Parameter, Problem
from tradefl.game import StrategyProfile
from tradefl.settlement.agreed import game_on_agreed_strategies
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.arithmetic import PPB
from tradefl.settlement.rules import Report
from tradefl.settlement.stand_ins import addresses_or_stand_ins
from tradefl.solvers import DEFAULT_METHOD, Solution, solve
from tradefl.training_document import SCHEMA as TRAINING
from tradefl.training_document import require_consistent, require_terms, warnings_of

# Where a document says how much of its data an organization used: measured before pledged.
MEASURED = "measured_fraction"
NO_DOCUMENT = "expected a solution or training document with organizations"


class Documented(Protocol):
    """What has a JSON document: a training, or another record of contributions."""

    def to_dict(self) -> dict[str, Any]:
        """Return the document."""


# How contributions may be given: measured, solved, written down, or in a file.
Contributions = StrategyProfile | Solution | Documented | Mapping[str, object] | str | PathLike[str]


def reports_for(
    agreement: Agreement,
    consortium: Consortium,
    contributions: Contributions | None = None,
    method: str = DEFAULT_METHOD,
    note: Callable[[str], None] = lambda _: None,
) -> list[Report]:
    """Return what everybody reports, however the contributions are given.

    Parameters
    ----------
    agreement, consortium
        Whose contributions.
    contributions
        A strategy profile, a solution, a training, a document, or its path; default: the solution.
    method
        The solver of the solution, and of CPU frequencies that a document leaves out.
    note
        Called with each organization whose measured contribution is below D_min.

    Raises
    ------
    InputError
        As :func:`reports_of`; or the method finds no equilibrium.
    """

    def solution() -> StrategyProfile:
        solved = solve(consortium, method)
        if solved.status == "iteration_limit":
            what = f"{method} found no equilibrium; settle a `profile`, or another method"
            raise InputError.at(Parameter("method"), what)
        return solved.profile

    if contributions is None:
        return agreement.reports(solution())
    if isinstance(contributions, Solution):
        contributions = contributions.profile
    if isinstance(contributions, StrategyProfile):
        if contributions.data_fraction.size != agreement.players:
            what = (
                f"expected {agreement.players:,} organizations, "
                f"got {contributions.data_fraction.size:,}"
            )
            raise InputError.at(Parameter("profile"), what)
        return agreement.reports(contributions)
    place: object = Parameter("profile")
    if isinstance(contributions, str | PathLike):
        place = Path(contributions)
        document = read_json(place)
    elif isinstance(contributions, Mapping):
        document = dict(contributions)
    else:
        document = contributions.to_dict()
    levels = lambda: solution().cpu_hz.tolist()  # noqa: E731
    return reports_of(document, place, agreement, levels, note, consortium)


def settled_solution(
    consortium: Consortium,
    contributions: Contributions,
    note: Callable[[str], None] = lambda _: None,
) -> Solution:
    """Return contributions as settled, in whole ppb and hertz, with their proof.

    Raises
    ------
    InputError
        They do not fit the consortium.
    """
    agreement = Agreement.of(consortium, addresses_or_stand_ins(consortium.accounts))
    reports = reports_for(agreement, consortium, contributions, note=note)[: agreement.players]
    return Solution.certified(
        game_on_agreed_strategies(consortium, agreement),
        StrategyProfile(
            np.array([report.data_ppb / PPB for report in reports]),
            np.array([float(report.cpu_hz) for report in reports]),
        ),
        finished=True,
        method="as settled",
        iterations=0,
        runtime_seconds=0.0,
    )


def read_reports(
    path: Path,
    agreement: Agreement,
    levels: Callable[[], Sequence[float]],
    note: Callable[[str], None] = lambda _: None,
    consortium: Consortium | None = None,
) -> list[Report]:
    """Return what everybody reports according to the document in a file; see :func:`reports_of`."""
    return reports_of(read_json(path), path, agreement, levels, note, consortium)


def reports_of(
    document: Any,
    place: object,
    agreement: Agreement,
    levels: Callable[[], Sequence[float]],
    note: Callable[[str], None] = lambda _: None,
    consortium: Consortium | None = None,
) -> list[Report]:
    """Return what everybody reports according to a solution or a training document.

    Parameters
    ----------
    document
        ``tradefl/solution/1`` (``data_fraction``) or ``tradefl/training/1``
        (``measured_fraction``); an organization with the fraction 0 reports nothing, and so does
        one of which training has measured less than D_min: the contract takes no such report.
    place
        Where it is from, for messages.
    agreement
        Whose organizations, levels and D_min the document must fit.
    levels
        Returns the CPU frequencies for organizations whose entry has no ``cpu_hz``.
    note
        Called with each organization whose measured contribution is below D_min, and with what a
        training says against itself: that it diverged, or that its terms cannot be checked.
    consortium
        Whose public terms a training document must have been measured under.

    Raises
    ------
    InputError
        Not such a document, not these organizations, an infeasible contribution, or a training
        document that contradicts itself or belongs to other terms.
    """
    members = agreement.names[: agreement.players]
    listed = document.get("organizations") if isinstance(document, dict) else None
    # Before anything looks at each of them; a few too many are named one by one below.
    if isinstance(listed, list) and len(listed) > 2 * len(members):
        what = f"expected the {len(members)} of the consortium, got {len(listed):,}"
        raise InputError.at(f"{place}: organizations", what)
    require_consistent(document, place)
    if consortium is not None:
        require_terms(document, consortium, place)
    entries = _contributions(document, place, agreement)
    for line in warnings_of(document):
        note(f"{place}: {line}")
    names = [entry.name for entry in entries]
    problems = [
        Problem(f"{place}: organizations[{k}].name", _unknown(name, members))
        for k, name in enumerate(names)
        if name not in members
    ]
    problems += [
        Problem(f"{place}: organizations", f"{name!r} is missing")
        for name in members
        if name not in names
    ]
    problems += [
        Problem(f"{place}: organizations", f"{name!r} occurs twice")
        for name in members
        if names.count(name) > 1
    ]
    if problems:
        raise InputError(problems)

    solved: Sequence[float] | None = None
    reports = []
    for i, name in enumerate(members):
        entry = entries[names.index(name)]
        measured = MEASURED in entry.model_fields_set
        key = MEASURED if measured else "data_fraction"
        fraction = entry.measured_fraction if measured else entry.data_fraction
        missing = [key] if fraction is None else []
        if entry.cpu_hz is None and "cpu_hz" in entry.model_fields_set:
            missing.append("cpu_hz")
        problems += [Problem(f"{place}: {name}: {each}", "is missing") for each in missing]
        if fraction is None or missing:
            continue
        if key == MEASURED and 0.0 < fraction < agreement.min_data_ppb / PPB:
            note(
                f"{name}: the measured share {fraction:.9g} is below D_min "
                f"{agreement.min_data_ppb / PPB:g} and counts as no contribution"
            )
            fraction = 0.0
        cpu_hz = entry.cpu_hz or 0.0
        if entry.cpu_hz is None and fraction > 0.0:
            solved = levels() if solved is None else solved
            cpu_hz = float(solved[i])
        try:
            reports.append(agreement.report(i, fraction, cpu_hz))
        except InputError as error:
            problems += [
                Problem(f"{place}: {problem.place}", problem.message) for problem in error.problems
            ]
    if problems:
        raise InputError(problems)
    return agreement.with_payee(reports)


def _contributions(document: Any, place: object, agreement: Agreement) -> list[Contribution]:
    """Return the entries of a document that is of this consortium and has an answer."""
    if not isinstance(document, dict) or not isinstance(document.get("organizations"), list):
        raise InputError.at(place, NO_DOCUMENT)
    try:
        found = ContributionsDocument.model_validate(document)
    except ValidationError as error:
        problems = [
            Problem(_place(place, each["loc"], document), described(each))
            for each in error.errors(include_url=False)
        ]
        raise InputError(problems) from None
    problems = []
    if found.consortium is not None and found.consortium != agreement.consortium:
        what = f"expected {agreement.consortium!r}, got {shown(found.consortium)}"
        problems.append(Problem(f"{place}: consortium", what))
    if found.status in ("infeasible", "iteration_limit"):
        what = f"expected a solution, got {shown(found.status)}"
        problems.append(Problem(f"{place}: status", what))
    of_training = any(MEASURED in entry.model_fields_set for entry in found.organizations)
    if of_training and found.document != TRAINING:
        what = f"expected {TRAINING!r} for measured contributions, got {shown(found.document)}"
        problems.append(Problem(f"{place}: schema", what))
    if problems:
        raise InputError(problems)
    return found.organizations


def _place(place: object, location: Sequence[int | str], document: dict[str, Any]) -> str:
    """Return where a problem is: an organization by its name, where it has one."""
    match location:
        case ("organizations", int(k), str(key)):
            name = document["organizations"][k].get("name")
            if isinstance(name, str):
                return f"{place}: {name}: {key}"
    return placed(place, location)


def _unknown(name: object, names: Sequence[str]) -> str:
    return f"no organization {shown(name)} in the consortium{suggestion(str(name), names)}"
