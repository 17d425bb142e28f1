"""The one rule for names, and names that a reader cannot tell apart.

The rule holds wherever a name enters: the consortium file, its tables, the annex of an agreement,
a training document. Two organizations whose names look alike would let one be paid, or accused,
for the other.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from tradefl.foreign.limits import Limits, limits
from tradefl.text import INVISIBLE, UNPRINTABLE

_UNNAMED = {
    "Cc": "a control character",
    "Cs": "half of a pair",
    "Co": "of private use",
    "Cn": "not assigned",
}


def normalized(name: str) -> str:
    """Return the name in Unicode's normal form C: one sequence of characters per written name."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def name_problem(name: str, bounds: Limits | None = None) -> str | None:
    """Return what is wrong with a name, or ``None``.

    A name is one line of 1 to 200 characters without spaces around it, without characters that
    are invisible, control the terminal or turn the direction of writing.
    """
    most = (limits() if bounds is None else bounds).name
    if not name:
        return "must not be empty"
    if len(name) > most:
        return f"is {len(name):,} characters long; expected at most {most:,}"
    if name != name.strip():
        return "expected no spaces around it"
    if name.isascii() and name.isprintable():
        return None
    for k, c in enumerate(name, 1):
        if unicodedata.category(c) in UNPRINTABLE or c in INVISIBLE:
            kind = unicodedata.name(c, _UNNAMED.get(unicodedata.category(c), "")).lower()
            return (
                f"character {k} is U+{ord(c):04X} ({kind}), which is invisible or changes what "
                "is shown; remove it"
            )
    return None


def look_alikes(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of different names that look alike, each with the first such name."""
    first: dict[str, str] = {}
    pairs: dict[tuple[str, str], None] = {}
    for name in names:
        other = first.setdefault(skeleton(name), name)
        if other != name:
            pairs[other, name] = None
    return list(pairs)


def skeleton(name: str) -> str:
    """Return what a reader sees of a name: equal for names that look alike.

    Compatibility forms (full width, ligatures, other spaces) are replaced by the plain ones,
    Cyrillic, Greek, Armenian and Cherokee letters by the Latin letter of the same shape, and
    ``I``, ``l``, ``|``, ``1`` by each other, likewise ``O`` and ``0``, ``m`` and ``rn``, ``w`` and
    ``vv``. Several spaces count as one: tables and pages show them so. Upper and lower case,
    accents, and all other letters differ.
    """
    if not name.isascii():
        name = unicodedata.normalize("NFKD", name).translate(_SHAPES)
    return " ".join(name.split()).translate(_ALIKE)


# Each row: the letters of another script, and under them the Latin letters of the same shape.
_ROWS = (
    ("АВЕЅІЈКМНОРСТУХѴԌԚԜЗ", "ABESIJKMHOPCTYXVGQW3"),  # Cyrillic
    ("аеѕіјкорсухѵԁһԛԝӏгп", "aesijkopcyxvdhqwlrn"),
    ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹͿ", "ABEZHIKMNOPTYXCJ"),  # Greek
    ("αικνορυχγϲϳϱ", "aikvopuxycjp"),
    ("ՕՍԼօոսցզհյ", "OULonugqhj"),  # Armenian
    ("ᎪᏴᏟᎠᎬᏀᎻᎥᎫᏦᏞᎷᏢᏒᏚᎢᏙᎳᏃ", "ABCDEGHIJKLMPRSTVWZ"),  # Cherokee
    ("ıɑɡɩʋƖǀ", "iagivIl"),  # Latin, and a click letter
    ("‐‑‒–—―−⁃﹘", "---------"),  # dashes
    ("’‘‛ʹʻʼʽ′`´", "''''''''''"),  # apostrophes
    ("․‚", ".,"),
)
_SHAPES = str.maketrans(
    {ord(c): latin for letters, shapes in _ROWS for c, latin in zip(letters, shapes, strict=True)}
)
_ALIKE = str.maketrans({"I": "l", "1": "l", "|": "l", "0": "O", "`": "'", "m": "rn", "w": "vv"})
