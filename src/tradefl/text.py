"""Text as a reader sees it: nothing in it controls a terminal, hides a word or turns it round."""

from __future__ import annotations

import unicodedata

# Control, format (the bidirectional ones among them), surrogate, private use, unassigned, and the
# separators of lines and paragraphs.
UNPRINTABLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
# Letters and marks that are drawn as nothing, or as a gap, without being a space.
INVISIBLE = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
            *(*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)),
        ),
    )
)
ELLIPSIS = "..."
CELL_SHOWN = 40


def printable(text: object, limit: int | None = None, *, lines: bool = False) -> str:
    r"""Return text in which nothing can move the cursor, hide a word or turn its direction.

    Control, format and bidirectional characters, surrogates, unassigned and private characters,
    and letters that are drawn as nothing appear as ``\xNN``, ``\uNNNN`` or ``\UNNNNNNNN``; all
    others stay as they are.

    Parameters
    ----------
    text
        The text, or a value whose text is meant.
    limit
        The most characters to return, three dots at the end included; ``None`` for all.
    lines
        Whether line feeds stay, because the text is a block of lines of our own.
    """
    whole = str(text)
    cut = whole if limit is None else whole[: limit + 1]
    plain = (cut.replace("\n", "") if lines else cut).isprintable()
    if not plain or not (cut.isascii() or INVISIBLE.isdisjoint(cut)):
        cut = "".join(c if is_shown(c) or (lines and c == "\n") else _escape(c) for c in cut)
    if limit is not None and len(cut) > limit:
        cut = cut[: max(limit - len(ELLIPSIS), 0)] + ELLIPSIS
    return cut


def quoted(text: object, limit: int = CELL_SHOWN) -> str:
    """Return printable text of at most ``limit`` characters in single quotes, for a message."""
    return f"'{printable(text, limit)}'"


def cell_width(text: str) -> int:
    """Return how many cells of a terminal a text takes: a CJK character takes two."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def padded(text: str, width: int) -> str:
    """Return a text with spaces behind it, as many as bring it to a width in cells."""
    return text + " " * (width - cell_width(text))


def is_space(c: str) -> bool:
    """Tell whether a character is a space of any width; ``str.isprintable`` refuses most."""
    return unicodedata.category(c) == "Zs"


def is_shown(c: str) -> bool:
    """Tell whether a character is a visible one or a space."""
    return (c.isprintable() or is_space(c)) and c not in INVISIBLE


def _escape(c: str) -> str:
    code = ord(c)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
