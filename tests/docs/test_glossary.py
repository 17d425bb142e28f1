"""The glossary: every key that it names is one of the file, every equation one of the report."""

import re
from pathlib import Path

import pytest

from tradefl.consortium import schema
from tradefl.report.equations import EQUATIONS
from tradefl.report.symbols import SUBSCRIPTS, SYMBOLS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "glossary.md"
SECTIONS = {
    "mechanism": schema.Mechanism,
    "energy": schema.Energy,
    "competition": schema.Competition,
    "compensation": schema.Compensation,
    "settlement": schema.Settlement,
}
TOP = {"name", "currency", "payoff_unit", *schema.Organization.model_fields}


def rows():
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_there_are_many_terms_in_order():
    terms = [row[0] for row in rows()]
    assert len(terms) >= 40
    assert len(set(terms)) == len(terms)
    assert all(len(row) == 6 and row[5] for row in rows())


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_its_key_is_one_of_the_file(row):
    for key in re.findall(r"`([^`]+)`", row[4]):
        if "=" in key or key.startswith("{"):
            continue  # an entry as it is written
        section, _, name = key.strip("[]").partition(".")
        if key.startswith("["):
            assert section in {*SECTIONS, "accuracy"}, key
            assert not name or name in SECTIONS[section].model_fields, key
        elif name:
            assert name in SECTIONS[section].model_fields, key
        else:
            assert key in TOP, key


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_its_equation_and_symbol_are_those_of_the_report(row):
    for number in re.findall(r"\((\d+e?)\)", row[3]):
        assert any(key == f"Eq. ({number})" for key in EQUATIONS), row[3]
    for letter in re.findall(r"[^\x00-\x7f]", row[1]):
        assert letter in {*SYMBOLS.values(), *"".join(SUBSCRIPTS.values())}, row[1]
