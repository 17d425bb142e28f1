"""At a prompt and in a notebook: one line, one table, one data frame."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from tests.cli.command import SOURCE
from tests.test_verbs import PLAN, three

import tradefl
from tradefl.notebook import ROWS, frame_of, html_table


@pytest.fixture(scope="module")
def values():
    consortium = tradefl.Consortium.from_game(three(), name="of arrays", samples=[400, 300, 200])
    solution = tradefl.solve(consortium)
    training = tradefl.train(consortium, solution, PLAN)
    settlement = tradefl.settle(consortium, training)
    return {
        "consortium": consortium,
        "solution": solution,
        "statement": solution.statement("Alpha"),
        "tuning": tradefl.tune(consortium),
        "design": tradefl.design(consortium, random_starts=0),
        "comparison": tradefl.compare(consortium),
        "training": training,
        "settlement": settlement,
        "audit": settlement.audit,
        "negotiation": tradefl.negotiate(consortium),
        "stability": tradefl.stability(consortium),
        "replan": tradefl.replan(consortium, consortium),
        "run": tradefl.Run(consortium, solution, training, settlement),
    }


SHOWN = (
    *("solution", "statement", "tuning", "design", "comparison", "training"),
    *("settlement", "audit", "negotiation", "run", "stability", "replan"),
)


@pytest.mark.parametrize("name", [*SHOWN, "consortium"])
def test_one_line_at_a_prompt(values, name):
    text = repr(values[name])
    assert "\n" not in text
    assert len(text) < 250
    assert text.startswith(f"<{type(values[name]).__name__} ")


@pytest.mark.parametrize("name", SHOWN)
def test_a_table_in_a_notebook_and_the_same_as_a_frame(values, name):
    html, frame = values[name]._repr_html_(), values[name].to_frame()
    assert html.count("<table>") == html.count("</table>") == 1
    assert html.count("<tr>") == 1 + min(len(frame), ROWS)
    assert frame.index.name is not None
    assert len(frame.columns) >= 4


def test_a_frame_has_the_figures(values):
    solution, frame = values["solution"], values["solution"].to_frame()
    assert frame.index.tolist() == ["Alpha", "Beta", "Gamma"]
    np.testing.assert_array_equal(frame["payoff"], solution.payoffs)
    np.testing.assert_array_equal(frame["data_fraction"], solution.profile.data_fraction)
    tuned = values["tuning"].to_frame()
    assert tuned["social_welfare"].tolist() == [p.social_welfare for p in values["tuning"].curve]
    assert values["comparison"].to_frame().index.tolist()[0] == "none"
    lines = values["statement"].to_frame()
    assert lines["amount"].sum() == pytest.approx(values["statement"].payoff)


def test_wei_are_whole_numbers_that_nothing_rounds(values):
    wei = values["settlement"].to_frame()["redistribution_wei"]
    assert all(type(amount) is int for amount in wei)
    assert wei.tolist() == list(values["settlement"].audit.redistribution)
    assert sum(wei) == 0
    large = frame_of([{"name": "A", "amount_wei": 2**70}, {"name": "B", "amount_wei": 1}], "it")
    assert large["amount_wei"].sum() == 2**70 + 1


def test_names_cannot_add_markup():
    table = html_table("<b>", "a & b", [{"name": "<script>", "amount": 1.5, "yes": True}])
    assert "<script>" not in table
    assert "&lt;script&gt;" in table
    assert "a &amp; b" in table
    assert '<td style="text-align: right">1.5</td>' in table


def test_of_a_long_table_the_first_rows():
    records = [{"name": str(k), "number": k} for k in range(ROWS + 12)]
    assert "... and 12 more" in html_table("long", "", records)
    assert html_table("none", "", []).count("<tr>") == 1


@pytest.mark.parametrize("what", ["payoffs", "contributions", "payments"])
def test_a_plot_is_a_chart(values, what):
    document = values["solution"].plot(what).to_dict()
    assert document["$schema"].startswith("https://vega.github.io/schema/vega-lite")
    assert "Alpha" in json.dumps(document)


def test_a_comparison_has_a_plot_and_an_unknown_plot_is_an_error(values):
    assert "Alpha" in json.dumps(values["comparison"].plot().to_dict())
    with pytest.raises(ValueError, match="what: expected payoffs, contributions or payments"):
        values["solution"].plot("pie")


def test_pandas_is_imported_only_for_frames():
    program = (
        "import sys, tradefl\n"
        "from tests.test_verbs import three\n"
        "solution = tradefl.solve(three())\n"
        "repr(solution), solution._repr_html_()\n"
        "assert not {'pandas', 'altair'} & set(sys.modules)\n"
        "solution.to_frame()\n"
        "assert 'pandas' in sys.modules and 'altair' not in sys.modules\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), str(SOURCE.parent)])}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_without_pandas_the_extra_is_named(values, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(tradefl.InputError, match=r"Solution.to_frame: .*tradefl\[charts\]"):
        values["solution"].to_frame()


def test_dir_shows_the_public_names_only():
    assert dir(tradefl) == sorted(tradefl.__all__)
