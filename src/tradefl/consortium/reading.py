"""Reading a consortium file: parse, validate each section, resolve files and names."""

from __future__ import annotations

import os
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from tradefl.consortium import schema
from tradefl.consortium.compensation import efficient_rule, require_moderate
from tradefl.consortium.competitors import competition, read_matrix, section_problems
from tradefl.consortium.consortium import Consortium
from tradefl.consortium.files import read_csv, read_text
from tradefl.consortium.organizations import Organizations, descending_levels, read_organizations
from tradefl.consortium.schema import described, shown, suggestion
from tradefl.errors import InputError, Problem
from tradefl.game import Competition, SectorCompetition

Array = npt.NDArray[np.float64]
T = TypeVar("T")
SectionT = TypeVar("SectionT", bound=schema.Section)

KEYS = (
    "name",
    "mechanism",
    "energy",
    "accuracy",
    "competition",
    "compensation",
    "settlement",
    "organization",
    "organizations_file",
)


def load(path: str | os.PathLike[str]) -> Consortium:
    """Read and validate a consortium file, and everything that it refers to.

    Raises
    ------
    InputError
        With every problem that could be found: the file cannot be read or parsed, unknown or
        missing keys, wrong types or ranges, duplicate or unknown names, an invalid competition
        matrix, some ``z_i <= 0``, an organization without a feasible level.
    """
    return _Reader(Path(path)).consortium()


class _Reader:
    """One reading of one file, collecting problems on the way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Problem] = []

    def consortium(self) -> Consortium:
        document = self._parse()
        for key in document:
            if key not in KEYS:
                self._problem(key, "unknown key" + suggestion(key, KEYS))
        name = self._name(document)
        mechanism = self._section(schema.Mechanism, document, "mechanism")
        energy = self._section(schema.Energy, document, "energy")
        accuracy = self._accuracy(document)
        optional = {"competition": {}, "settlement": {}, **document}
        competition = self._section(schema.Competition, optional, "competition")
        settlement = self._section(schema.Settlement, optional, "settlement")
        organizations = self._organizations(document)
        compensation = None
        if "compensation" in document:
            compensation = self._section(schema.Compensation, document, "compensation")
            if compensation is not None and organizations is not None:
                given, names = compensation, organizations.names
                self._attempt(lambda: efficient_rule(given, names, str(self.path)))
        elif mechanism is not None and mechanism.rule == "efficient":
            what = "'efficient' needs [compensation]; `tradefl design` writes a file that has it"
            self._problem("mechanism.rule", what)

        points = matrix = rho = None
        if isinstance(accuracy, schema.EmpiricalAccuracy):
            points_file = self._beside(accuracy.points_file)
            points = self._attempt(lambda: read_points(points_file), "accuracy.points_file")
        if competition is not None:
            contradictions = section_problems(competition, str(self.path))
            self.problems += contradictions
            if organizations is not None and not contradictions:
                matrix, rho = self._rho(competition, organizations)

        if (
            name is None
            or mechanism is None
            or energy is None
            or accuracy is None
            or competition is None
            or settlement is None
            or organizations is None
            or ("compensation" in document and compensation is None)
            or (isinstance(accuracy, schema.EmpiricalAccuracy) and points is None)
        ):
            raise InputError(self.problems)
        consortium = Consortium(
            name=name,
            mechanism=mechanism,
            energy=energy,
            accuracy=accuracy,
            competition=competition,
            organizations=organizations,
            # Who cannot meet the deadline is found even where the competition is unknown.
            rho=SectorCompetition(np.zeros(len(organizations), dtype=int), 0.0)
            if rho is None
            else rho,
            compensation=compensation,
            settlement=settlement if "settlement" in document else None,
            organizations_file=document.get("organizations_file"),
            matrix=matrix,
            points=points,
            source=self.path,
        )
        # The game finds what only all figures together can show: z_i, feasible levels.
        ascending = not descending_levels(organizations.cpu_levels_hz).size
        if not self.problems or (rho is None and ascending):
            self._attempt(lambda: consortium.game)
        if not self.problems and consortium.efficient_rule is not None:
            rule, path = consortium.efficient_rule, str(self.path)
            self._attempt(lambda: require_moderate(rule, consortium.game, path))
        if self.problems:
            raise InputError(self.problems)
        return consortium

    # --- the parts -----------------------------------------------------------------------------

    def _parse(self) -> dict[str, Any]:
        text = read_text(self.path)
        try:
            return tomllib.loads(text)
        except RecursionError:
            raise InputError.at(self.path, "not valid TOML: nested too deeply") from None
        except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
            reason = str(error).partition(";")[0]
            raise InputError.at(self.path, f"not valid TOML: {reason}") from None

    def _name(self, document: Mapping[str, Any]) -> str | None:
        if "name" not in document:
            self._problem("name", "is missing")
            return None
        try:
            name: str = TypeAdapter(schema.Name).validate_python(document["name"], strict=True)
        except ValidationError as error:
            self._problem("name", described(error.errors()[0]))
            return None
        return name

    def _section(
        self, model: type[SectionT], document: Mapping[str, Any], key: str, place: str = ""
    ) -> SectionT | None:
        """Validate one table of the file; record what is wrong with it and return ``None``."""
        place = place or key
        if key not in document:
            self._problem(place, "is missing; expected a table")
            return None
        try:
            return model.model_validate(document[key])
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                path = "".join(
                    f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]
                )
                self._problem(place + path, described(detail, model.model_fields))
            return None

    def _accuracy(self, document: Mapping[str, Any]) -> schema.Accuracy | None:
        section = document.get("accuracy")
        if not isinstance(section, dict):  # whichever model it is, its section says what is wrong
            return self._section(schema.SqrtLossAccuracy, document, "accuracy")
        model = section.get("model")
        if not isinstance(model, str) or model not in schema.ACCURACY_MODELS:
            known = ", ".join(f"{name!r}" for name in schema.ACCURACY_MODELS)
            got = "it is missing" if "model" not in section else f"got {shown(model)}"
            self._problem("accuracy.model", f"expected one of {known}; {got}")
            return None
        return self._section(schema.ACCURACY_MODELS[model], document, "accuracy")

    def _organizations(self, document: Mapping[str, Any]) -> Organizations | None:
        inline, file = document.get("organization"), document.get("organizations_file")
        if (inline is None) == (file is None):
            if file is None:
                what = "is missing; expected [[organization]] tables or organizations_file"
                self._problem("organization", what)
            else:
                self._problem("organizations_file", "cannot stand beside [[organization]]")
            return None
        if file is not None:
            if not isinstance(file, str) or not file:
                self._problem("organizations_file", f"expected a file name, got {shown(file)}")
                return None
            table = self._beside(file)
            organizations = self._attempt(lambda: read_organizations(table), "organizations_file")
        else:
            organizations = self._inline(inline)
        if organizations is not None:
            for i in descending_levels(organizations.cpu_levels_hz):
                self._problem(
                    f"organization {organizations.names[i]!r}: cpu_levels_hz",
                    f"expected ascending frequencies, got {shown(organizations.levels(int(i)))}",
                )
            self._duplicates(organizations)
        return organizations

    def _inline(self, entries: Any) -> Organizations | None:
        if not isinstance(entries, list) or not entries:
            self._problem("organization", f"expected [[organization]] tables, got {shown(entries)}")
            return None
        valid = []
        for k, entry in enumerate(entries):
            one = self._section(
                schema.Organization, {"organization": entry}, "organization", f"organization[{k}]"
            )
            if one is not None:
                valid.append(one)
        return Organizations.of(valid) if len(valid) == len(entries) else None

    def _duplicates(self, organizations: Organizations) -> None:
        for what, values in (("name", organizations.names), ("address", organizations.addresses)):
            counts = Counter(
                value.lower() if what == "address" else value for value in values if value
            )
            for value, times in counts.items():
                if times > 1:
                    self._problem("organization", f"{what} {value!r} stands {times} times")

    def _rho(
        self, section: schema.Competition, organizations: Organizations
    ) -> tuple[Array | None, Competition | None]:
        matrix = None
        if section.matrix_file is not None:
            file = self._beside(section.matrix_file)
            matrix = self._attempt(
                lambda: read_matrix(file, organizations.names), "competition.matrix_file"
            )
            if matrix is None:
                return None, None
        rho = self._attempt(lambda: competition(section, organizations, matrix, str(self.path)))
        return matrix, rho

    # --- problems ------------------------------------------------------------------------------

    def _problem(self, key_path: str, message: str) -> None:
        self.problems.append(Problem(f"{self.path}: {key_path}", message))

    def _attempt(self, read: Callable[[], T], key: str = "") -> T | None:
        """Return what ``read`` returns; keep its problems with the others if it fails.

        What is wrong with a whole file is also told by the ``key`` that refers to it.
        """
        try:
            return read()
        except InputError as error:
            for problem in error.problems:
                whole_file = key and ": " not in problem.place
                where = f" ({key} of {self.path})" if whole_file else ""
                self.problems.append(Problem(problem.place, problem.message + where))
            return None

    def _beside(self, file: str) -> Path:
        """Return a path of the file, which is relative to the file's own folder."""
        return self.path.parent / file


def read_points(path: Path) -> Array:
    """Read measured points from a CSV file with the columns ``data`` and ``accuracy``.

    Returns an array of shape ``(K, 2)``: data in units of Omega, and accuracy in [0, 1].

    Raises
    ------
    InputError
        With every problem found: the file, its columns, each number and its range.
    """
    (header, *rows), (first, *lines) = read_csv(path)
    if [name.strip() for name in header] != ["data", "accuracy"]:
        raise InputError.at(
            f"{path}: line {first}", f"expected data,accuracy, got {','.join(header)}"
        )
    problems, points = [], []
    for row, line in zip(rows, lines, strict=True):
        place = f"{path}: line {line}"
        try:
            data, accuracy = (float(cell) for cell in row)
        except ValueError:
            problems.append(Problem(place, f"expected two numbers, got {','.join(row)}"))
            continue
        if not (np.isfinite(data) and data >= 0.0):
            problems.append(Problem(place, f"data: expected a finite number >= 0, got {row[0]}"))
        if not 0.0 <= accuracy <= 1.0:
            problems.append(Problem(place, f"accuracy: expected a number in [0, 1], got {row[1]}"))
        points.append((data, accuracy))
    if not problems and not any(data > 0.0 for data, _ in points):
        problems.append(Problem(str(path), "expected at least one point with data > 0"))
    if problems:
        raise InputError(problems)
    return np.array(points)
