"""``tradefl explain --wei``: every line can be recomputed with whole numbers."""

import re

import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save

import tradefl


def recomputed(calculation):
    """Evaluate ``a * b * (c - d) / 10^36``, cut toward zero."""
    assert re.fullmatch(r"\d+ \* \d+ \* \(\d+ - \d+\) / 10\^36", calculation)
    product = eval(calculation.removesuffix(" / 10^36"))  # noqa: S307  checked above
    quotient = abs(product) // 10**36
    return quotient if product >= 0 else -quotient


@pytest.fixture
def explained(tmp_path):
    path = save(tmp_path, document({"competition.default": 0.01}))
    ran = run("explain", path, "--wei", "--json")
    assert (ran.code, ran.err) == (0, "")
    return path, ran.json


def test_each_line_and_each_sum(explained):
    _, found = explained
    names = [statement["organization"] for statement in found["statements"]]
    lines = {}
    for statement in found["statements"]:
        wei = statement["wei"]
        assert wei["organization"] == statement["organization"]
        assert [line["counterparty"] for line in wei["lines"]] == [
            name for name in names if name != wei["organization"]
        ]
        for line in wei["lines"]:
            assert str(recomputed(line["calculation"])) == line["wei"]
            numbers = [wei["gamma"], str(line["rho_ppb"]), line["x_i"], line["x_j"], "10", "36"]
            assert re.findall(r"\d+", line["calculation"]) == numbers
            assert line["x_i"] == wei["contribution_ppb_bits"]
            lines[wei["organization"], line["counterparty"]] = int(line["wei"])
        assert sum(int(line["wei"]) for line in wei["lines"]) == int(wei["redistribution_wei"])
        assert int(wei["bond_wei"]) + int(wei["redistribution_wei"]) >= 0
        assert abs(wei["quantization_wei"]) <= int(wei["quantization_bound_wei"])
        real = statement["redistribution"] * 10**15
        assert int(wei["redistribution_wei"]) == pytest.approx(real, rel=1e-6)
    assert any(lines.values())
    for (entry, other), wei in lines.items():
        assert lines[other, entry] == -wei
    assert (
        sum(int(statement["wei"]["redistribution_wei"]) for statement in found["statements"]) == 0
    )


def test_the_figures_are_those_of_the_agreement(explained):
    path, found = explained
    agreement = run("agreement", path, "--json").json
    for organization, statement in zip(
        agreement["organizations"], found["statements"], strict=True
    ):
        assert statement["wei"]["bond_wei"] == organization["bond_wei"]
        assert statement["wei"]["gamma"] == agreement["gamma"]
        bound = statement["wei"]["quantization_bound_wei"]
        assert bound == organization["quantization_bound_wei"]


def test_text_and_markdown_hold_the_same_lines(explained):
    path, found = explained
    text, markdown = run("explain", path, "--wei"), run("explain", path, "--wei", "--markdown")
    assert (text.code, markdown.code) == (0, 0)
    for statement in found["statements"]:
        name = statement["organization"]
        assert f"Redistribution of {name} in wei, as the contract computes it" in text.out
        assert f"## Redistribution of {name} in wei" in markdown.out
        for entry in statement["wei"]["lines"]:
            amount = f"{int(entry['wei']):,}"
            assert re.search(rf"{re.escape(entry['calculation'])} +{amount}\n", text.out)
            assert f"| `{entry['calculation']}` | {amount} |" in markdown.out
        total = f"{int(statement['wei']['redistribution_wei']):,}"
        assert re.search(rf"R, Eq. \(10\) +sum of the lines +{total}\n", text.out)
    for line in markdown.out.splitlines():
        if line.startswith(("| from ", "| to ")):
            assert line.count("|") in (4, 5)


def test_without_the_option_there_is_no_wei(tmp_path):
    path = save(tmp_path, document())
    assert "wei" not in run("explain", path, "--json").json["statements"][0]
    assert "wei" not in run("explain", path).out


def test_one_organization(explained):
    path, found = explained
    alone = run("explain", path, "--wei", "--json", "--organization", "Beta").json
    assert alone["statements"] == [found["statements"][1]]


def test_the_exchange_rate_of_the_file(tmp_path):
    path = save(tmp_path, document({"settlement": {"wei_per_payoff": 10**18}}))
    wei = run("explain", path, "--wei", "--json").json["statements"][0]
    real = wei["redistribution"] * 10**18
    assert int(wei["wei"]["redistribution_wei"]) == pytest.approx(real, rel=1e-6)
    assert tradefl.load(path).settlement.wei_per_payoff == 10**18
