"""How much of a foreign file or answer is read, and how a user raises it."""

from __future__ import annotations

import dataclasses
import os

from tradefl.errors import InputError, Problem

PREFIX = "TRADEFL_MAX_"
MOST = 10**18
# What the parsers themselves can do: whole numbers of more digits, and tables and lists that are
# nested more deeply, they refuse whatever a user allows.
CEILINGS = {"depth": 200, "digits": 4_300}


@dataclasses.dataclass(frozen=True)
class Limits:
    """The largest input that is read.

    The defaults hold memory below one gigabyte, except for checkpoints.

    The environment variable ``TRADEFL_MAX_`` and the field's name in capitals, for example
    ``TRADEFL_MAX_ROWS=2000000``, replaces a default.

    Attributes
    ----------
    bytes
        Bytes of a file or an answer, and of a Parquet table once decompressed.
    toml_bytes
        Bytes of a TOML file.
    checkpoint_bytes
        Bytes of a training's checkpoint, which holds a whole model; reading needs twice as many.
    keys
        Parts of keys in a TOML file: ``a.b.c = 1`` has three.
    values
        Values in a TOML or JSON document, and cells of a table.
    rows, columns
        Rows and columns of a table.
    depth
        Tables and lists inside each other in a TOML file, and dots in one of its keys; at most
        200, which is also what the parser of JSON accepts.
    digits
        Digits of a number, at most 4,300; up to 308 every whole number is also a double.
    name
        Characters of a name.
    """

    bytes: int = 64 * 2**20
    toml_bytes: int = 16 * 2**20
    checkpoint_bytes: int = 2**30
    keys: int = 400_000
    values: int = 4_000_000
    rows: int = 400_000
    columns: int = 4_096
    depth: int = 64
    digits: int = 300
    name: int = 200


def limits() -> Limits:
    """Return the limits that are in force: the defaults, and what the environment raises.

    Raises
    ------
    InputError
        A variable does not hold a whole number greater than 0, or exceeds the parsers' ceiling.
    """
    problems, given = [], {}
    for field in dataclasses.fields(Limits):
        variable = PREFIX + field.name.upper()
        text = os.environ.get(variable)
        if text is None:
            continue
        most = CEILINGS.get(field.name, MOST)
        if len(text) <= 18 and text.isascii() and text.isdigit() and 0 < int(text) <= most:
            given[field.name] = int(text)
        else:
            last = "10^18" if most == MOST else f"{most:,}, which is what the parsers accept"
            got = ascii(text[:40])
            what = f"expected a whole number between 1 and {last}; got {got}; change or unset it"
            problems.append(Problem(variable, what))
    if problems:
        raise InputError(problems)
    return Limits(**given)


def exceeded(place: object, what: str, field: str, limit: int) -> InputError:
    """Return the error of an input beyond a limit; it names the variable that raises it."""
    cure = f"if you trust its origin, raise the limit with {PREFIX}{field.upper()}"
    ceiling = CEILINGS.get(field)
    if ceiling is not None:
        cure = "more cannot be read" if limit >= ceiling else f"{cure}, up to {ceiling:,}"
    return InputError.at(place, f"{what}; expected at most {limit:,}; {cure}")
