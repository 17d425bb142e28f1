"""Consortium files for the tests: a valid document, changes to it, and the tables beside it."""

from __future__ import annotations

import copy
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

NAMES = ("Alpha", "Beta", "Gamma")
FILE = "consortium.toml"
REMOVED = type("Removed", (), {})
COLUMNS = (
    "name",
    "profitability",
    "data_bits",
    "samples",
    "cycles_per_bit",
    "cpu_levels_hz",
    "download_seconds",
    "upload_seconds",
)
POWER_LAW = {
    "model": "power-law",
    "untrained_loss": 0.9,
    "scale": 0.7,
    "exponent": 0.4,
    "floor": 0.05,
    "measure": "bits",
    "unit": 1e9,
}
EMPIRICAL = {"model": "empirical", "points_file": "points.csv", "measure": "bits", "unit": 1e9}
POINTS = "data,accuracy\n1,0.2\n10,0.4\n30,0.55\n60,0.6\n"


def organization(name: str, **changes: Any) -> dict[str, Any]:
    """A valid [[organization]]; no two of the sample's names get the same figures."""
    k = NAMES.index(name) if name in NAMES else 0
    return {
        "name": name,
        "profitability": 1500.0 + 100.0 * k,
        "data_bits": 2.0e10 + 1e9 * k,
        "samples": 1500 + 300 * k,
        "cycles_per_bit": 2.0 + 0.5 * k,
        "cpu_levels_hz": [1e9, 2e9, 3e9][: 3 - k],
        "download_seconds": 1.0,
        "upload_seconds": 1.5,
        **changes,
    }


def document(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A valid consortium of three; ``changes`` maps key paths such as ``organization.0.samples``.

    The value :data:`REMOVED` takes the key away.
    """
    valid = {
        "name": "three",
        "mechanism": {
            "incentive_intensity": 5.12e-9,
            "compute_weight": 1.6,
            "overhead_weight": 0.185,
            "min_data_fraction": 0.01,
            "deadline_seconds": 20.0,
        },
        "energy": {"capacitance": 1e-27, "download_watts": 0.1, "upload_watts": 0.2},
        "accuracy": {
            "model": "sqrt-loss",
            "epochs": 5.0,
            "untrained_loss": 0.79,
            "measure": "bits",
            "unit": 1e9,
        },
        "competition": {"pairs": [["Alpha", "Beta", 0.06], ["Beta", "Gamma", 0.05]]},
        "organization": [organization(name) for name in NAMES],
    }
    return changed(valid, changes or {})


def changed(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the document with other values at the given key paths."""
    copied: dict[str, Any] = copy.deepcopy(dict(document))
    for path, value in changes.items():
        *above, last = (int(part) if part.isdigit() else part for part in path.split("."))
        place: Any = copied
        for part in above:
            place = place[part] if isinstance(part, int) else place.setdefault(part, {})
        if value is REMOVED:
            del place[last]
        else:
            place[last] = copy.deepcopy(value)
    return copied


def save(folder: Path, document: Mapping[str, Any], **tables: str | bytes) -> Path:
    """Write the document, and tables such as ``points="..."`` to ``points.csv``, beside it."""
    for name, content in tables.items():
        raw = content.encode() if isinstance(content, str) else content
        (folder / f"{name}.csv").write_bytes(raw)
    path = folder / FILE
    path.write_bytes(tomli_w.dumps(document).encode())
    return path


def csv_rows(entries: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return organizations as the rows of their CSV table, header first."""
    optional = [key for key in ("sector", "address") if any(key in entry for entry in entries)]
    columns = [*COLUMNS, *optional]
    rows = [columns]
    for entry in entries:
        cells = {**entry, "cpu_levels_hz": ";".join(map(repr, entry["cpu_levels_hz"]))}
        rows.append([str(cells.get(column, "")) for column in columns])
    return rows


def save_csv(path: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows(csv_rows(entries))


def parquet_table(entries: Sequence[Mapping[str, Any]]) -> Any:
    """Return organizations as a pyarrow table."""
    import pyarrow as pa

    kinds = {
        "name": pa.string(),
        "samples": pa.int64(),
        "cpu_levels_hz": pa.list_(pa.float64()),
        "sector": pa.string(),
        "address": pa.string(),
    }
    columns = [*COLUMNS]
    columns += [key for key in ("sector", "address") if any(key in entry for entry in entries)]
    return pa.table(
        {
            column: pa.array(
                [entry.get(column) for entry in entries], kinds.get(column, pa.float64())
            )
            for column in columns
        }
    )


def save_parquet(path: Path, table: Any) -> None:
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, path)


def with_table(entries: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Return the document that refers to a table instead of listing its organizations."""
    return {
        "organizations_file": file,
        **{key: value for key, value in entries.items() if key != "organization"},
    }
