"""``tradefl stability``: exit codes, documents, tables, and splits from a file."""

from __future__ import annotations

import pytest
from tests.cli.command import run
from tests.consortium.documents import NAMES, document, save

import tradefl

KEYS = {
    "schema", "consortium", "reading", "outside", "split", "verdict", "grand_coalition_value",
    "grand_coalition_bound", "max_excess", "max_excess_bound", "strongest_coalition", "margin",
    "margin_certified", "cost_of_stability", "organizations", "coalitions_examined", "nodes",
    "runtime_seconds",
}  # fmt: skip


def test_the_document_is_that_of_the_library(tmp_path):
    path = save(tmp_path, document())
    ran = run("stability", path, "--split", "efficient", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert set(ran.json) >= KEYS
    expected = tradefl.stability(tradefl.load(path), "efficient").to_dict()
    for key in KEYS - {"runtime_seconds"}:
        assert ran.json[key] == expected[key]
    assert ran.json["verdict"] == "stable"
    assert ran.json["strongest_coalition"] is None


def test_a_split_that_is_blocked_ends_with_1_and_names_the_coalition(tmp_path):
    path = save(tmp_path, document())
    total = tradefl.stability(tradefl.load(path), "efficient").grand_value
    table = tmp_path / "split.csv"
    table.write_text(f"name,payoff\n{NAMES[0]},{total!r}\n{NAMES[1]},0\n{NAMES[2]},0\n")
    ran = run("stability", path, "--split", table)
    assert ran.code == 1
    assert "Not stable." in ran.out
    assert NAMES[1] in ran.out
    assert "less than alone" in ran.out
    found = run("stability", path, "--split", table, "--json").json
    assert found["verdict"] == "not stable"
    assert NAMES[0] not in found["strongest_coalition"]["members"]
    assert found["strongest_coalition"]["excess"] > 0.0


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("name,payoff\n{0},1\n{1},1\n", "{2}' is missing"),
        ("name,payoff\n{0},1\n{1},1\n{2},1\n{2},1\n", "occurs twice"),
        ("name,payoff\n{0},1\n{1},1\nNobody,1\n", "no organization 'Nobody'"),
        ("name,payoff\n{0},1\n{1},x\n{2},1\n", "expected a finite number"),
        ("name,payoff\n{0},1\n{1},1\n{2},1\n", "the payoffs sum to 3"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, content, what):
    path = save(tmp_path, document())
    table = tmp_path / "split.csv"
    table.write_text(content.format(*NAMES))
    ran = run("stability", path, "--split", table)
    assert (ran.code, ran.out) == (2, "")
    assert what.format(*NAMES) in ran.err
    assert "split.csv" in ran.err


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["--split", "best"], "--split: expected one of file"),
        (["--split", "none.csv"], "none.csv"),
        (["--time-limit", "0"], "--time-limit"),
        (["--reading", "x"], "--reading"),
        (["--outside", "x"], "--outside"),
    ],
)
def test_bad_options_are_exit_2(tmp_path, arguments, place):
    path = save(tmp_path, document())
    ran = run("stability", path, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert place in ran.err
    assert "Traceback" not in ran.err


def test_one_organization_is_refused(tmp_path):
    one = document()
    one["organization"] = one["organization"][:1]
    one["competition"] = {"default": 0.0}
    ran = run("stability", save(tmp_path, one))
    assert (ran.code, ran.out) == (2, "")
    assert "expected at least two" in ran.err


def test_an_organization_that_no_level_serves_is_named(tmp_path):
    ran = run("stability", save(tmp_path, document({"mechanism.deadline_seconds": 2.0001})))
    assert (ran.code, ran.out) == (2, "")
    assert "no feasible level" in ran.err


def test_the_market_reading_prints_the_cost_of_stability(tmp_path):
    path = save(tmp_path, document())
    ran = run("stability", path, "--reading", "market", "--outsiders", "alone")
    assert ran.code in (0, 1)
    assert "cost of stability" in ran.out


def test_enumeration_beyond_its_limit_is_refused_by_name(tmp_path):
    many = document()
    many["organization"] = [
        {**many["organization"][k % 3], "name": f"Member {k}"} for k in range(17)
    ]
    many["competition"] = {"default": 0.001}
    ran = run("stability", save(tmp_path, many), "--method", "enumeration")
    assert (ran.code, ran.out) == (2, "")
    assert "--method enumeration" in ran.err
    assert "at most 16 organizations" in ran.err
    assert "Traceback" not in ran.err


def test_where_all_lose_together_shares_keep_their_sign(tmp_path):
    costs = {f"organization.{i}.joining_cost": 5000.0 for i in range(3)}
    ran = run("stability", save(tmp_path, document(costs)), "--json")
    assert ran.json["grand_coalition_value"] < 0.0
    assert "together all lose" in ran.err
    table = run("stability", save(tmp_path, document(costs)))
    excess = ran.json["max_excess"]
    assert excess > 0.0
    part = 100.0 * excess / abs(ran.json["grand_coalition_value"])
    assert f"({part:+.4g} % of what all have) more than now" in table.out


def test_outsiders_belong_to_the_market_reading(tmp_path):
    ran = run("stability", save(tmp_path, document()), "--outsiders", "alone")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: --outsiders: needs --reading market\n"
    game = tradefl.load(save(tmp_path, document())).game
    with pytest.raises(ValueError, match=r"^outsiders: needs the market reading"):
        tradefl.stability(game, outsiders="together")
