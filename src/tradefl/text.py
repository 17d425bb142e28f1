"""Text as a reader sees it: nothing in it controls a terminal, hides a word or turns it round."""

from __future__ import annotations

import unicodedata

# Control, format (the bidirectional ones among them), surrogate, private use, unassigned, and the
# separators of lines and paragraphs.
UNPRINTABLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
ELLIPSIS = "..."
CELL_SHOWN = 40


def printable(text: object, limit: int | None = None, *, lines: bool = False) -> str:
    r"""Return text in which nothing can move the cursor, hide a word or turn its direction.

    Control, format and bidirectional characters, surrogates, unassigned and private characters
    appear as ``\xNN``, ``\uNNNN`` or ``\UNNNNNNNN``; all others stay as they are.

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
    if not (cut.replace("\n", "") if lines else cut).isprintable():
        cut = "".join(
            c if c.isprintable() or is_space(c) or (lines and c == "\n") else _escape(c)
            for c in cut
        )
    if limit is not None and len(cut) > limit:
        cut = cut[: max(limit - len(ELLIPSIS), 0)] + ELLIPSIS
    return cut


def quoted(text: object, limit: int = CELL_SHOWN) -> str:
    """Return printable text of at most ``limit`` characters in single quotes, for a message."""
    return f"'{printable(text, limit)}'"


def is_space(c: str) -> bool:
    """Tell whether a character is a space of any width; ``str.isprintable`` refuses most."""
    return unicodedata.category(c) == "Zs"


def _escape(c: str) -> str:
    code = ord(c)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
