"""The reference of the contract names everything that its ABI has, and its constants are true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tradefl.settlement import arithmetic
from tradefl.settlement.contract import artifact
from tradefl.settlement.rules import RULES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "contract.md").read_text("utf-8")
ONE_LINE = " ".join(PAGE.split())
GAS = ROOT / "contracts" / "snapshots" / "calls.json"  # written by `npm run snapshot`
# The efficient rule's contract has all that the other has, and more.
NAMED = [
    entry
    for entry in artifact("efficient")["abi"]
    if entry["type"] in ("function", "event", "error")
]


def section(heading: str) -> str:
    """Return one section of the page."""
    return re.split(r"(?m)^## ", PAGE.split(f"\n## {heading}\n", 1)[1])[0]


@pytest.mark.parametrize("entry", NAMED, ids=lambda entry: f"{entry['type']} {entry['name']}")
def test_it_is_on_the_page_with_its_arguments(entry):
    text = section({"function": "Calls", "event": "Events", "error": "Errors"}[entry["type"]])
    rows = [
        line
        for line in text.splitlines()
        if line.startswith("| `") and re.search(rf"`{entry['name']}[`(]", line)
    ]
    if not rows:  # an error of OpenZeppelin's
        assert f"`{entry['name']}`" in text
        return
    [row] = rows
    if entry["type"] == "function" and entry["inputs"]:
        inputs = ", ".join(f"{input_['type']} {input_['name']}" for input_ in entry["inputs"])
        assert f"`{entry['name']}({inputs})`" in row
    else:
        for input_ in entry["inputs"]:
            assert re.search(rf"`{input_['name']}(\[\])?`", row), input_["name"]


def test_every_term_is_on_the_page():
    [constructor] = [entry for entry in artifact()["abi"] if entry["type"] == "constructor"]
    for component in constructor["inputs"][1]["components"]:
        assert f"`{component['name']}`" in section("Terms")
        assert component["type"] in section("Terms")


def test_the_constants_are_those_of_the_page():
    assert f"{arithmetic.MAX_SIZE:,}; {arithmetic.MAX_LEVELS}; " in PAGE
    assert arithmetic.MAX_DEPOSIT == 2**112 - 1


def test_the_size_of_the_code_is_that_of_the_page():
    linear, efficient = (
        round(len(bytes.fromhex(artifact(rule)["deployedBytecode"][2:])) / 1000) for rule in RULES
    )
    told = f"Deployed code of {linear} KB, and of {efficient} KB for the efficient rule"
    assert told in ONE_LINE


@pytest.mark.skipif(not GAS.exists(), reason="no snapshot yet: npm run snapshot")
def test_the_gas_figures_are_those_of_the_snapshot():
    figures = json.loads(GAS.read_text("utf-8"))
    text = section("Gas")
    missing = {
        what: f"{int(gas):,}" for what, gas in figures.items() if f"{int(gas):,}" not in text
    }
    assert not missing
