"""Formulas as MathML: well-formed, with every symbol, and the text as the alternative."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tradefl.report.equations import EQUATIONS
from tradefl.report.mathml import mathml


@pytest.mark.parametrize("formula", [texts[0] for texts in EQUATIONS.values()])
def test_every_formula_keeps_every_letter(formula: str) -> None:
    row = ET.fromstring(f"<p>{mathml(formula, formula)}</p>")  # noqa: S314  our own
    parts = formula.split(";")
    assert [math.get("alttext") for math in row] == [part.strip() for part in parts]
    assert [math.get("aria-label") for math in row] == [part.strip() for part in parts]
    digits = [letter for letter in "".join(row.itertext()) if letter.isdigit()]
    assert digits == [letter for letter in formula if letter.isdigit()]
    assert not any("_" in text or "^" in text for text in row.itertext() if "_cost" not in text)


def test_indices_exponents_and_sums() -> None:
    markup = mathml("sum over j of rho_ij f^2 >= 0", "label <")
    assert "<munder><mo>∑</mo><mi>j</mi></munder>" in markup
    assert "<msub><mi>ρ</mi><mrow><mi>i</mi><mi>j</mi></mrow></msub>" in markup
    assert "<msup><mi>f</mi><mn>2</mn></msup>" in markup
    assert '<mo stretchy="false">≥</mo>' in markup
    assert 'aria-label="label &lt;"' in markup
