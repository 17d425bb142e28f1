"""Writing a consortium file: the whole of it, with the tables it refers to."""

from __future__ import annotations

import hashlib
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from tradefl.arguments import CONSORTIUM, PATH, accepts
from tradefl.consortium.competitors import matrix_csv
from tradefl.consortium.consortium import Consortium
from tradefl.consortium.files import atomic_write
from tradefl.consortium.organizations import organizations_csv
from tradefl.consortium.segments import segments_csv


@accepts(
    consortium=CONSORTIUM,
    path=PATH,
)
def write(consortium: Consortium, path: str | os.PathLike[str]) -> None:
    """Write a consortium so that :func:`~tradefl.consortium.load` reads an equal one.

    Organizations, matrix, segments and points that came from files of their own are written next
    to the TOML file and named after it: ``x.toml``, ``x.organizations.csv``,
    ``x.competition.csv``, ``x.segments.csv``, ``x.points.csv``. The TOML file comes last, so that
    a reader never finds one whose tables are missing. New files with organizations' figures are
    readable for their owner alone.

    Raises
    ------
    InputError
        The folder does not exist or cannot be written.
    """
    target = Path(path)
    document = to_document(consortium)
    if consortium.organizations_file is not None:
        table = target.with_name(f"{target.stem}.organizations.csv")
        atomic_write(table, organizations_csv(consortium.organizations), private=True)
        document["organizations_file"] = table.name
        del document["organization"]
    if consortium.matrix is not None:
        table = target.with_name(f"{target.stem}.competition.csv")
        atomic_write(table, matrix_csv(consortium.matrix))
        document["competition"]["matrix_file"] = table.name
    if consortium.segments is not None:
        table = target.with_name(f"{target.stem}.segments.csv")
        table_of_segments = segments_csv(consortium.names, consortium.segments)
        atomic_write(table, table_of_segments, private=True)
        document["competition"]["segments_file"] = table.name
    if consortium.points is not None:
        table = target.with_name(f"{target.stem}.points.csv")
        rows = (f"{data!r},{accuracy!r}" for data, accuracy in consortium.points.tolist())
        atomic_write(table, "\n".join(["data,accuracy", *rows, ""]).encode())
        document["accuracy"]["points_file"] = table.name
    atomic_write(target, tomli_w.dumps(document).encode(), private=True)


SECTIONS = (
    "mechanism",
    "energy",
    "accuracy",
    "competition",
    "compensation",
    "settlement",
    "training",
)


def to_document(consortium: Consortium) -> dict[str, Any]:
    """Return the consortium as the tables of its file, organizations inline."""
    document: dict[str, Any] = {"name": consortium.name}
    if consortium.currency is not None:
        document["currency"] = consortium.currency
    if consortium.payoff_unit != 1.0:
        document["payoff_unit"] = consortium.payoff_unit
    # Top-level keys must come before the first table of a TOML file.
    if consortium.organizations_file is not None:
        document["organizations_file"] = consortium.organizations_file
    for key in SECTIONS:
        section = getattr(consortium, key)
        if section is not None:
            document[key] = section.model_dump(exclude_none=True, exclude_unset=True)
    for place, (low, high) in consortium.ranges.items():
        section_, _, key = place.partition(".")
        if key.startswith("pairs["):
            entry = document[section_]["pairs"][int(key[6:-1])]
            entry[2] = {"low": low, "mid": entry[2], "high": high}
        else:
            mid = document[section_][key]
            document[section_][key] = {"low": low, "mid": mid, "high": high}
    document["organization"] = [consortium.organizations.entry(i) for i in range(len(consortium))]
    return document


def fingerprint(consortium: Consortium) -> str:
    """Return the SHA-256 of a consortium's content: file and tables, wherever they are stored."""
    digest = hashlib.sha256(tomli_w.dumps(to_document(consortium)).encode())
    segments = None if consortium.segments is None else consortium.segments.values
    for array in (consortium.matrix, segments, consortium.points):
        digest.update(b"|" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def sample() -> str:
    """Return the commented sample that ``tradefl init`` writes."""
    return files("tradefl.consortium").joinpath("sample.toml").read_text(encoding="utf-8")
