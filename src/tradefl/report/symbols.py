"""Symbols as print has them: ``gamma`` becomes γ, ``varpi_e`` ϖₑ, ``D_min`` Dₘᵢₙ.

Texts of the report are written with the names that the file and the code use. They are replaced
where the page is rendered, as whole words and nowhere within the names of organizations.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable

SYMBOLS = {
    "gamma": "γ",
    "lambda": "λ",
    "kappa": "κ",
    "Omega": "Ω",
    "varpi": "ϖ",
    "rho": "ρ",
    "phi": "φ",
    "eta": "η",
    "tau": "τ",
}
LETTERS = {"p", "r", "k", "x", "z", "s", "d", "f", "u", "R", "D", "A", "w", "T"}
SUBSCRIPTS = {"e": "ₑ", "i": "ᵢ", "j": "ⱼ", "ij": "ᵢⱼ", "min": "ₘᵢₙ", "i.": "ᵢ."}
_WORD = re.compile(
    rf"(?<![\w-])(?:(?P<name>{'|'.join(SYMBOLS)}|[{''.join(sorted(LETTERS))}])_"
    rf"(?P<below>min|ij|[eij])|(?P<alone>{'|'.join(SYMBOLS)}))(?![\w-])"
)
_TEXT = re.compile(r">([^<>]+)<")


def symbols_of(names: Iterable[str]) -> Callable[[str], str]:
    """Return the function that puts symbols into a text, and leaves these names as they are."""
    kept = sorted({name for name in names if _WORD.search(name)}, key=len, reverse=True)
    guarded = re.compile("|".join(map(re.escape, kept))) if kept else None

    def replaced(text: str) -> str:
        return _WORD.sub(_symbol, text)

    def with_symbols(text: str) -> str:
        if guarded is None:
            return replaced(text)
        parts, end = [], 0
        for found in guarded.finditer(text):
            parts += [replaced(text[end : found.start()]), found[0]]
            end = found.end()
        return "".join([*parts, replaced(text[end:])])

    return with_symbols


def in_svg(svg: str, with_symbols: Callable[[str], str]) -> str:
    """Return a chart with symbols in its texts; its markup stays."""
    return _TEXT.sub(lambda found: f">{html.escape(with_symbols(html.unescape(found[1])))}<", svg)


def _symbol(found: re.Match[str]) -> str:
    if found["alone"] is not None:
        return SYMBOLS[found["alone"]]
    return SYMBOLS.get(found["name"], found["name"]) + SUBSCRIPTS[found["below"]]
