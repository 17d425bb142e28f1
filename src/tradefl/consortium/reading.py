"""Reading a consortium file: parse, validate each section, resolve files and names."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from tradefl.arguments import PATH, TRUTH, accepts, many
from tradefl.consortium import ranges, schema
from tradefl.consortium.compensation import efficient_rule, require_moderate
from tradefl.consortium.competitors import competition, read_matrix, section_problems
from tradefl.consortium.consortium import Consortium
from tradefl.consortium.organizations import (
    Organizations,
    descending_levels,
    identity_problems,
    read_organizations,
)
from tradefl.consortium.robust import require_bearable
from tradefl.consortium.schema import described, shown, suggestion
from tradefl.consortium.segments import Segments, read_segments
from tradefl.consortium.tables import SUFFIXES, Marks, plain, read_columns
from tradefl.errors import SHOWN, InputError, Problem
from tradefl.foreign import parse_toml, read_text
from tradefl.game import Competition, SectorCompetition
from tradefl.text import quoted

Array = npt.NDArray[np.float64]
T = TypeVar("T")
SectionT = TypeVar("SectionT", bound=schema.Section)

MOST_OF_A_KEY = 60
KEYS = (
    "name",
    "currency",
    "payoff_unit",
    "mechanism",
    "energy",
    "accuracy",
    "competition",
    "compensation",
    "settlement",
    "training",
    "organization",
    "organizations_file",
)


# Folders, separated as in PATH, whose tables a consortium file may name in addition to its own
# folder's.
ALLOW_PATH = "TRADEFL_ALLOW_PATH"

Folder = str | os.PathLike[str]


@accepts(
    path=PATH,
    allow=many("folders", PATH),
    ignore_compensation=TRUTH,
)
def load(
    path: str | os.PathLike[str],
    allow: Iterable[Folder] = (),
    *,
    ignore_compensation: bool = False,
) -> Consortium:
    """Read and validate a consortium file, and everything that it refers to.

    The file may come from a partner, so it does not choose freely what is read: its tables are
    ``.csv``, ``.tsv``, ``.parquet`` or ``.xlsx`` files in its own folder or below, after all
    symbolic links are followed.

    Parameters
    ----------
    path
        The consortium file.
    allow
        Other folders whose tables it may name, in addition to those of the environment variable
        ``TRADEFL_ALLOW_PATH`` (separated as in ``PATH``).
    ignore_compensation
        Read the file as if it had no efficient rule: no ``[compensation]``, the paper's rule. For
        a rule that is to be designed again.

    Raises
    ------
    InputError
        With every problem that could be found: the file cannot be read or parsed, unknown or
        missing keys, wrong types or ranges, duplicate or unknown names, names that look alike, a
        table outside the allowed folders, an invalid competition matrix, some ``z_i <= 0``, an
        organization without a feasible level.
    """
    return _Reader(Path(path), allow, ignore_compensation).consortium()


def allowed_folders(path: Path, allow: Iterable[Folder] = ()) -> list[Path]:
    """Return the folders whose tables a consortium file may name, links followed."""
    named = [Path(folder) for folder in os.environ.get(ALLOW_PATH, "").split(os.pathsep) if folder]
    return [Path(os.path.realpath(folder)) for folder in (path.parent, *allow, *named)]


class _Reader:
    """One reading of one file, collecting problems on the way."""

    def __init__(self, path: Path, allow: Iterable[Folder], ignore_compensation: bool) -> None:
        self.path = path
        self.ignore_compensation = ignore_compensation
        self.folders = allowed_folders(path, allow)
        self.problems: list[Problem] = []

    def consortium(self) -> Consortium:
        document = self._parse()
        if self.ignore_compensation:
            document.pop("compensation", None)
            mechanism = document.get("mechanism")
            if isinstance(mechanism, dict):
                mechanism.pop("rule", None)
        found = ranges.taken(document, self._problem)
        for key in document:
            if key not in KEYS:
                hint = suggestion(key, KEYS) if len(self.problems) < SHOWN else ""
                self._problem(
                    quoted(key) if len(key) > MOST_OF_A_KEY else key, f"unknown key{hint}"
                )
        name = self._name(document)
        mechanism = self._section(schema.Mechanism, document, "mechanism")
        energy = self._section(schema.Energy, document, "energy")
        accuracy = self._accuracy(document)
        optional = {"competition": {}, "settlement": {}, "training": {}, **document}
        competition = self._section(schema.Competition, optional, "competition")
        settlement = self._section(schema.Settlement, optional, "settlement")
        training = self._section(schema.Training, optional, "training")
        organizations = self._organizations(document)
        if organizations is not None and len(found.organizations) == len(organizations):
            organizations = organizations.with_ranges(found.organizations)
        compensation = None
        if "compensation" in document:
            compensation = self._section(schema.Compensation, document, "compensation")
            if compensation is not None and organizations is not None:
                given, names = compensation, organizations.names
                self._attempt(lambda: efficient_rule(given, names, str(self.path)))
        elif mechanism is not None and schema.RULES[mechanism.rule].section == "compensation":
            what = (
                f"{mechanism.rule!r} needs [compensation]; `tradefl design` writes a file that "
                "has it"
            )
            self._problem("mechanism.rule", what)

        if training is not None and organizations is not None:
            section, count = training, len(organizations)
            self._attempt(lambda: require_bearable(section, count, str(self.path)))
        money = self._money(document)
        points = matrix = rho = segments = None
        if isinstance(accuracy, schema.EmpiricalAccuracy):
            points = self._table(accuracy.points_file, "accuracy.points_file", read_points)
        if competition is not None:
            contradictions = section_problems(competition, str(self.path))
            self.problems += contradictions
            if organizations is not None and not contradictions:
                matrix, segments, rho = self._rho(competition, organizations)

        if (
            name is None
            or mechanism is None
            or energy is None
            or accuracy is None
            or competition is None
            or settlement is None
            or training is None
            or organizations is None
            or money is None
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
            training=training if "training" in document else None,
            organizations_file=document.get("organizations_file"),
            matrix=matrix,
            segments=segments,
            points=points,
            ranges=found.sections,
            currency=money.currency,
            payoff_unit=money.payoff_unit,
            source=self.path,
        )
        # The game finds what only all figures together can show: z_i, feasible levels.
        ascending = not descending_levels(organizations.cpu_levels_hz).size
        if not self.problems or (rho is None and ascending):
            self._attempt(lambda: consortium.game)
        if not self.problems:
            self._attempt(lambda: ranges.require_games(consortium))
        if not self.problems and consortium.efficient_rule is not None:
            rule, path = consortium.efficient_rule, str(self.path)
            self._attempt(lambda: require_moderate(rule, consortium.game, path))
        if self.problems:
            raise InputError(self.problems)
        return consortium

    # --- the parts -----------------------------------------------------------------------------

    def _parse(self) -> dict[str, Any]:
        return parse_toml(read_text(self.path, field="toml_bytes"), self.path)

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

    def _money(self, document: Mapping[str, Any]) -> schema.Money | None:
        """Validate the keys of the top level that say what a unit of payoff is in money."""
        given = {key: document[key] for key in schema.Money.model_fields if key in document}
        try:
            return schema.Money.model_validate(given)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                self._problem(str(detail["loc"][0]), described(detail))
            return None

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
            for k, detail in enumerate(error.errors(include_url=False)):
                path = "".join(
                    f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]
                )
                # Close names are searched only for what will be shown.
                known = model.model_fields if k < SHOWN else ()
                self._problem(place + path, described(detail, known))
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
                self._problem("organizations_file", "cannot be combined with [[organization]]")
            return None
        if file is not None:
            if not isinstance(file, str) or not file:
                self._problem("organizations_file", f"expected a file name, got {shown(file)}")
                return None
            organizations = self._table(file, "organizations_file", read_organizations)
        else:
            organizations = self._inline(inline)
        if organizations is not None:
            for i in descending_levels(organizations.cpu_levels_hz):
                self._problem(
                    f"organization {organizations.names[i]!r}: cpu_levels_hz",
                    f"expected ascending frequencies, got {shown(organizations.levels(int(i)))}",
                )
            for what in identity_problems(organizations.names, organizations.addresses):
                self._problem("organization", what)
            for name, what in organizations.menu_problems():
                self._problem(f"organization {name!r}", what)
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

    def _rho(
        self, section: schema.Competition, organizations: Organizations
    ) -> tuple[Array | None, Segments | None, Competition | None]:
        matrix = segments = None
        if section.matrix_file is not None:
            matrix = self._table(
                section.matrix_file,
                "competition.matrix_file",
                lambda file: read_matrix(file, organizations.names),
            )
            if matrix is None:
                return None, None, None
        if section.segments_file is not None:
            segments = self._table(
                section.segments_file,
                "competition.segments_file",
                lambda file: read_segments(file, organizations.names),
            )
            if segments is None:
                return None, None, None
        rho = self._attempt(
            lambda: competition(section, organizations, matrix, str(self.path), segments)
        )
        return matrix, segments, rho

    # --- problems ------------------------------------------------------------------------------

    def _problem(self, key_path: str, message: str) -> None:
        self.problems.append(Problem(f"{self.path}: {key_path}", message))

    def _attempt(self, read: Callable[[], T], key: str = "") -> T | None:
        """Return what ``read`` returns; keep its problems with the others if it fails.

        What is wrong with a whole file is also reported under the ``key`` that refers to it.
        """
        try:
            return read()
        except InputError as error:
            for problem in error.problems:
                whole_file = key and ": " not in problem.place
                where = f" ({key} of {self.path})" if whole_file else ""
                self.problems.append(Problem(problem.place, problem.message + where))
            return None

    def _table(self, file: str, key: str, read: Callable[[Path], T]) -> T | None:
        """Return what ``read`` makes of a table that the file names, if the file may name it."""
        path = self.path.parent / file
        what = None
        if path.suffix.lower() not in SUFFIXES:
            expected = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
            what = f"{quoted(file)} is not a table; expected a {expected} file"
        elif not any(
            Path(os.path.realpath(path)).is_relative_to(folder) for folder in self.folders
        ):
            what = (
                f"{quoted(file)} is not in the folder of this file; move the table there, or "
                "pass its folder as `allow`"
            )
        if what is None:
            return self._attempt(lambda: read(path), key)
        self._problem(key, what)
        return None


def read_points(path: Path) -> Array:
    """Read measured points from a table with the columns ``data`` and ``accuracy``.

    Returns an array of shape ``(K, 2)``: data in units of Omega, and accuracy in [0, 1].

    Raises
    ------
    InputError
        With every problem found: the file, its columns, each number and its range.
    """
    names = ("data", "accuracy")
    columns = read_columns(path, names, names)
    marks = Marks(columns.sheet)
    for name in names:
        marks.learn(columns.cells[name], functools.partial(columns.place, name=name))
    mark = marks.decide()
    points = np.zeros((len(columns), 2))
    problems = []
    for c, (name, most, expected) in enumerate(
        (("data", np.inf, "a finite number >= 0"), ("accuracy", 1.0, "a number in [0, 1]"))
    ):
        for k, cell in enumerate(columns.cells[name]):
            try:
                points[k, c] = float(plain(cell, mark))
            except (TypeError, ValueError):
                points[k, c] = np.nan
            if not (0.0 <= points[k, c] <= most and np.isfinite(points[k, c])):
                got = quoted(cell) if isinstance(cell, str) else shown(cell)
                problems.append(Problem(columns.place(k, name), f"expected {expected}, got {got}"))
    if not problems and not np.any(points[:, 0] > 0.0):
        problems.append(Problem(str(path), "expected at least one point with data > 0"))
    if problems:
        raise InputError(problems)
    return points
