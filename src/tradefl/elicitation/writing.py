"""The commented file that elicited figures become."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tomli_w

from tradefl.consortium import Consortium, load
from tradefl.consortium.files import atomic_write
from tradefl.consortium.segments import segments_csv
from tradefl.elicitation.business import Elicited
from tradefl.text import printable

COMMENTS = {
    "currency": "what amounts are in",
    "payoff_unit": "amount of currency in a unit of payoff",
    "incentive_intensity": "gamma: payoff per bit of contributed resource",
    "compute_weight": "lambda: bits that 1 Hz counts for; a machine counts a tenth of a dataset",
    "overhead_weight": "varpi_e: payoff per joule, the mean price of electricity",
    "min_data_fraction": "D_min",
    "deadline_seconds": "tau: download + training + upload must fit in it",
    "capacitance": "kappa of an average machine; each organization has its own",
    "download_watts": "E_DL",
    "upload_watts": "E_UL",
    "untrained_loss": "A(0): P is the accuracy, from 0 to 1",
    "scale": "A(Omega) = scale Omega^-exponent + floor",
    "measure": "what Omega counts",
    "unit": "samples in one unit of Omega",
    "segments_file": "what each sells in each market segment",
    "conduct": "rho = conduct x overlap of segments",
}
COLUMN = 44


def table_name(path: Path) -> str:
    """Return the name of the table of segments next to a consortium file."""
    return f"{path.stem}.segments.csv"


def text_of(elicited: Elicited, path: Path) -> str:
    """Return the commented consortium file."""
    made = elicited.consortium
    lines = [
        "# A TradeFL consortium, from business figures with `tradefl elicit`.",
        "# Every figure says how it follows from the tables. What no table says is assumed:",
        "#",
    ]
    lines += [
        f"#   {printable(guess.what)}: {printable(guess.value)}. Why: {guess.reason}."
        for guess in elicited.assumptions
    ]
    top: dict[str, Any] = {"name": made.name}
    if made.currency is not None:
        top["currency"] = made.currency
    top["payoff_unit"] = made.payoff_unit
    lines += ["", *_keys(top, COMMENTS)]
    competition = made.competition.model_dump(exclude_none=True, exclude_unset=True)
    if made.segments is not None:
        competition["segments_file"] = table_name(path)
    comments = dict(COMMENTS)
    if elicited.conduct_range is not None:
        low, high = elicited.conduct_range
        comments["conduct"] += f"; plausible from {low:g} to {high:g}, so agree on it"
    for heading, section in (
        ("mechanism", made.mechanism.model_dump(exclude_unset=True)),
        ("energy", made.energy.model_dump()),
        ("accuracy", made.accuracy.model_dump()),
        ("competition", competition),
    ):
        lines += ["", f"[{heading}]", *_keys(section, comments)]
    for i, formulas in enumerate(elicited.formulas):
        lines += ["", "[[organization]]", *_keys(made.organizations.entry(i), formulas)]
    return "\n".join([*lines, ""])


def _keys(section: dict[str, Any], comments: dict[str, str]) -> list[str]:
    """Return a line for each key, with its comment."""
    lines = []
    for key, value in section.items():
        text = tomli_w.dumps({key: value}).strip()
        text = (
            " ".join(part.strip() for part in text.splitlines())
            .replace(", ]", "]")
            .replace("[ ", "[")
        )
        comment = comments.get(key)
        lines.append(text if comment is None else f"{text:<{COLUMN}}  # {printable(comment)}")
    return lines


def write_elicited(elicited: Elicited, path: Path) -> Consortium:
    """Write the file and its table of segments, and return the consortium as it is read again.

    Nothing is written where the file would not be read again.

    Raises
    ------
    InputError
        The folder does not exist or cannot be written.
    """
    text, made = text_of(elicited, path), elicited.consortium
    table = None if made.segments is None else segments_csv(made.names, made.segments)
    with TemporaryDirectory() as folder:
        trial = Path(folder) / (path.name if path.suffix else "consortium.toml")
        trial.write_text(text, encoding="utf-8")
        if table is not None:
            (trial.parent / table_name(path)).write_bytes(table)
        load(trial)
    if table is not None:
        atomic_write(path.with_name(table_name(path)), table, private=True)
    atomic_write(path, text.encode(), private=True)
    return load(path)
