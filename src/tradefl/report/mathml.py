"""Formulas as MathML, written from the text that the report has for each.

The text stays the alternative: it is the formula's label for a screen reader, and the annotation
that copying as plain text returns.
"""

from __future__ import annotations

import html
import re

from tradefl.report.symbols import SYMBOLS

OPERATORS = {">=": "≥", "<=": "≤", "-": "−", "*": "·"}
_TOKEN = re.compile(
    r"sum over (?P<under>[ij]) of"
    r"|(?P<quoted>Eq\. \([0-9]+\)|[ij]'s|[a-z]+_cost)"
    r"|\^(?P<exponent>[0-9]+)"
    r"|(?P<base>[A-Za-z]+)_(?P<below>DL|UL|min|ij|i\.|[eij])"
    r"|T(?P<digit>[0-9])"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?)"
    r"|(?P<operator>>=|<=|[-=+*/(),])"
    r"|(?P<word>[^\W\d_]+)"
    r"|\s+|(?P<other>.)"
)
_LETTER = re.compile(r"[A-Za-z]")
_SPACE = '<mspace width="0.2em"></mspace>'


def mathml(formula: str, label: str) -> str:
    """Return a formula as ``math`` elements, one for each of the parts between semicolons.

    Parameters
    ----------
    formula
        Its text: names of file and code, ``_`` before an index, ``^`` before an exponent; words
        stay words.
    label
        The same with symbols: what a screen reader says.
    """
    parts = zip(re.split("[;；]", formula), re.split("[;；]", label), strict=True)
    return "".join(_part(text.strip(), said.strip()) for text, said in parts)


def _part(formula: str, label: str) -> str:
    elements: list[str] = []
    words: list[str] = []

    def end_words() -> None:
        if words:
            elements.append(f"<mtext>{html.escape(' '.join(words))}</mtext>")
            words.clear()

    for found in _TOKEN.finditer(formula):
        if found[0].isspace():
            continue
        if found["quoted"] or found["other"] or (found["word"] and not _is_symbol(found["word"])):
            words.append(found[0])
            continue
        end_words()
        if found["exponent"]:
            elements[-1] = f"<msup>{elements[-1]}<mn>{found['exponent']}</mn></msup>"
        else:
            elements.append(_element(found))
    end_words()
    said = html.escape(label, quote=True)
    return f'<math aria-label="{said}" alttext="{said}"><mrow>{_spaced(elements)}</mrow></math>'


def _spaced(elements: list[str]) -> str:
    """Return elements in a row; where no operator keeps two of them apart, a space does."""
    row = ""
    for k, element in enumerate(elements):
        before = elements[k - 1] if k else "<mo"
        if not (before.startswith("<mo") or element.startswith("<mo")):
            row += _SPACE
        row += element
    return row


def _is_symbol(word: str) -> bool:
    return word in SYMBOLS or (len(word) == 1 and _LETTER.match(word) is not None)


def _element(found: re.Match[str]) -> str:
    """Return the element of a symbol, a number or an operator."""
    if found["under"]:
        return f"<munder><mo>∑</mo><mi>{found['under']}</mi></munder>"
    if found["base"]:
        below = found["below"].removesuffix(".")
        letters = below if below in ("ij", "i") else [below]
        index = "".join(f"<mi>{letter}</mi>" for letter in letters)
        dot = "<mo>.</mo>" if found["below"].endswith(".") else ""
        return f"<msub>{_identifier(found['base'])}<mrow>{index}{dot}</mrow></msub>"
    if found["digit"]:
        return f"<msub><mi>T</mi><mn>{found['digit']}</mn></msub>"
    if found["number"]:
        return f"<mn>{found['number']}</mn>"
    if found["operator"]:
        sign = OPERATORS.get(found["operator"], found["operator"])
        return f'<mo stretchy="false">{sign}</mo>'
    return _identifier(found["word"])


def _identifier(name: str) -> str:
    return f"<mi>{html.escape(SYMBOLS.get(name, name))}</mi>"
