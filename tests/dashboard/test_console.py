"""The pages of the console, without a browser: what they show is what the library computes."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.dashboard.console import (
    EXAMPLE,
    PAGES,
    checked,
    errors,
    large_consortium,
    metrics,
    opened,
    turned,
)
from tests.settlement import nodes  # noqa: F401  web3 with its warnings silenced

import tradefl
from tradefl.consortium import load
from tradefl.consortium.ranges import uncertain
from tradefl.consortium.writing import write
from tradefl.dashboard import sidebar
from tradefl.dashboard.changes import changed
from tradefl.dashboard.editing import Terms, adjusted
from tradefl.dashboard.parts import MOST_PROBLEMS, csv_of, plain, safe
from tradefl.report.blocks import amounts
from tradefl.report.staying import one_line
from tradefl.solvers import METHODS, Solution, solve
from tradefl.stability.verdict import stability_of
from tradefl.tuning import tune


def solution_of(
    gamma: float | None = None,
    rho: float = 1.0,
    deadline: float | None = None,
    method: str = "exact",
) -> Solution:
    """What the console should show under these terms."""
    consortium = load(EXAMPLE)
    own = Terms.of(consortium)
    terms = Terms(
        own.gamma if gamma is None else gamma, rho, own.deadline if deadline is None else deadline
    )
    return solve(adjusted(consortium, terms), method)


def turnover(solution: Solution) -> str:
    received = solution.terms.redistribution
    return amounts([float(received[received > 0.0].sum())])[0]


def edit(app: Any, **changes: Any) -> Any:
    """Do in the table what the browser would."""
    nothing: dict[str, Any] = {"edited_rows": {}, "added_rows": [], "deleted_rows": []}
    app.session_state["organizations-0"] = nothing | changes
    return checked(app.run())


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_drawn(page: str) -> None:
    app = opened(page)
    assert app.title[0].value == page.capitalize()
    assert not errors(app)


def test_gamma_moves_the_payments() -> None:
    app = opened("payments")
    assert metrics(app)["Changes hands, net"] == turnover(solution_of())
    places = sidebar.gammas(load(EXAMPLE))
    for gamma in (0.0, places[20], places[-1]):
        checked(app.select_slider(key=sidebar.GAMMA).set_value(gamma).run())
        if gamma == 0.0:
            assert "Nobody pays anybody." in [text.value for text in app.markdown]
        else:
            expected = solution_of(gamma=gamma)
            assert metrics(app)["Changes hands, net"] == turnover(expected)
            paid = app.dataframe[0].value
            np.testing.assert_allclose(
                np.sort(paid["amount"]), np.sort([transfer[2] for transfer in expected.transfers()])
            )


def test_rho_the_deadline_and_the_method_take_effect() -> None:
    app = opened("equilibrium")
    deadline = sidebar.deadlines(load(EXAMPLE))[20]
    checked(app.slider(key=sidebar.RHO).set_value(0.5).run())
    checked(app.select_slider(key=sidebar.DEADLINE).set_value(deadline).run())
    checked(app.selectbox(key=sidebar.METHOD).set_value("wpr").run())
    expected = solution_of(rho=0.5, deadline=deadline, method="wpr")
    assert metrics(app)["Social welfare"] == amounts([expected.social_welfare])[0]
    checked(app.sidebar.button[0].click().run())
    expected = solution_of(method="wpr")
    assert metrics(app)["Social welfare"] == amounts([expected.social_welfare])[0]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_chosen(method: str) -> None:
    app = opened()
    checked(app.selectbox(key=sidebar.METHOD).set_value(method).run())
    turned(app, "equilibrium")
    expected = amounts([solution_of(method=method).social_welfare])[0]
    assert metrics(app)["Social welfare"] == expected


def test_terms_that_do_not_work_are_told_and_the_last_ones_stay(tmp_path: Path) -> None:
    tight = tmp_path / "tight.toml"
    text = EXAMPLE.read_text(encoding="utf-8")
    tight.write_text(text.replace("min_data_fraction = 0.01", "min_data_fraction = 0.3"))
    app = opened("equilibrium", tight)
    before = metrics(app)
    shortest = sidebar.deadlines(load(tight))[0]
    checked(app.select_slider(key=sidebar.DEADLINE).set_value(shortest).run())
    assert "These settings do not work" in errors(app)
    assert "organization 'Alpha'" in errors(app)
    assert metrics(app) == before


# --- the table -----------------------------------------------------------------------------------


def test_a_cell_moves_the_solution() -> None:
    app = edit(opened(), edited_rows={2: {"profitability": 2500.0}})
    assert not errors(app)
    consortium = load(EXAMPLE)
    members = consortium.organizations
    changed = members.profitability.copy()
    changed[2] = 2500.0
    expected = solve(
        dataclasses.replace(
            consortium, organizations=dataclasses.replace(members, profitability=changed)
        )
    )
    turned(app, "equilibrium")
    assert metrics(app)["Social welfare"] == amounts([expected.social_welfare])[0]


def test_a_bad_cell_is_named_and_the_last_valid_state_stays() -> None:
    app = edit(opened(), edited_rows={2: {"profitability": -1.0}})
    assert "row 3 (Gamma), profitability: expected a number > 0, got -1.0" in errors(app)
    turned(app, "equilibrium")
    assert metrics(app)["Social welfare"] == amounts([solution_of().social_welfare])[0]
    assert "errors" in app.warning[0].value
    turned(app, "consortium")  # the bad cell is still there to be mended
    assert "row 3 (Gamma)" in errors(app)
    edit(app, edited_rows={2: {"profitability": 1900.0}})
    assert not errors(app)


def test_back_to_the_files_table() -> None:
    app = edit(opened(), deleted_rows=[0, 1])
    assert len(app.session_state["_table"]) == 8
    button = next(
        button for button in app.main.button if button.label == "Back to the file's table"
    )
    checked(button.click().run())
    assert len(app.session_state["_table"]) == 10
    turned(app, "equilibrium")
    assert metrics(app)["Social welfare"] == amounts([solution_of().social_welfare])[0]


# --- the other pages -----------------------------------------------------------------------------


def test_the_statement_of_the_chosen_organization() -> None:
    app = opened("payments")
    checked(app.selectbox(key="organization").set_value("Kappa").run())
    statement = solution_of().statement("Kappa")
    lines = app.dataframe[1].value
    assert list(lines["calculation"]) == [line.calculation for line in statement.lines]
    shown = next(value for name, value in metrics(app).items() if name.startswith("Payoff"))
    # What is printed recomputes: the same digits as in the report and the JSON document.
    assert Decimal(shown.replace(",", "")) == statement.printed_totals["payoff"]
    amounts = [Decimal(text.replace(",", "")) for text in lines["amount"]]
    assert amounts == [statement.printed(line) for line in statement.lines]


@pytest.mark.parametrize("tab", ["Contributions", "Payoffs", "Proof", "Methods", "Move by move"])
def test_every_tab_of_the_equilibrium(tab: str) -> None:
    app = opened("equilibrium")
    app.session_state["tab"] = tab
    checked(app.run())
    assert not errors(app)
    if tab == "Methods":
        compared = app.dataframe[0].value.set_index("method")
        assert compared.loc["DBR", "welfare"] == solution_of(method="dbr").social_welfare
        assert len(compared) == len(METHODS)


def test_the_moves_can_be_played() -> None:
    app = opened("equilibrium")
    app.session_state["tab"] = "Move by move"
    checked(app.run())
    trace: Any = solution_of(method="dbr").trace
    slider = app.select_slider(key="move")
    assert slider.value == len(trace)
    checked(slider.set_value(1).run())
    name = load(EXAMPLE).names[int(trace.organization[0])]
    said = f"Move 1 of {len(trace)}: {name} moves to d = {trace.data_fraction[0]:.4f}"
    assert any(text.value.replace("\\", "").startswith(said) for text in app.markdown)
    checked(app.toggle(key="play").set_value(True).run())
    assert app.select_slider(key="move").value == 2


def test_many_faults_are_five_lines_and_a_count() -> None:
    app = opened("consortium")
    app = edit(app, edited_rows={str(row): {"profitability": -1.0} for row in range(9)})
    lines = [line for line in errors(app).splitlines() if line.startswith("- ")]
    assert len(lines) == MOST_PROBLEMS + 1
    assert lines[0].startswith("- row 1 (Alpha), profitability: expected a number > 0")
    assert lines[-1] == "- and 4 more, 9 in all"


def test_a_designed_file_has_no_slider_of_gamma(tmp_path: Path) -> None:
    file = tmp_path / "designed.toml"
    found = tradefl.design(load(EXAMPLE))
    write(load(EXAMPLE).designed(found.rule, found.target), file)
    app = opened("payments", file)
    assert sidebar.GAMMA not in {slider.key for slider in app.select_slider}
    assert any("does not use gamma" in entry.value for entry in app.sidebar.markdown)


def test_gamma_star_can_be_taken() -> None:
    app = opened("incentive")
    tuning = tune(load(EXAMPLE).game)
    assert tuning.best is not None
    best = tuning.best.game.incentive_intensity
    assert metrics(app)["gamma*, the best"] == f"{best:.6g}"
    button = next(button for button in app.main.button if button.label == "Set gamma to gamma*")
    checked(button.click().run())
    assert app.select_slider(key=sidebar.GAMMA).value == best
    turned(app, "equilibrium")
    assert metrics(app)["Social welfare"] == amounts([tuning.best.social_welfare])[0]


def test_a_settlement_in_this_process() -> None:
    app = opened("settlement")
    checked(app.main.button[0].click().run())
    assert metrics(app)["phase"] == "settled"
    assert any("agrees with the chain in all of" in text.value for text in app.markdown)
    checked(app.slider(key=sidebar.RHO).set_value(0.5).run())
    assert any("settle again" in text.value for text in app.markdown)


@pytest.mark.parametrize(
    ("url", "contract", "problem"),
    [
        ("/etc/passwd", "0x" + "1" * 40, "Node: expected http://... or https://..."),
        (
            "http://127.0.0.1:1",
            "0x12",
            "Contract: expected 0x and 40 hexadecimal digits, got '0x12'",
        ),
        ("http://127.0.0.1:1", "0x" + "1" * 40, "no answer from the node"),
        ("http://user:secret@127.0.0.1:1", "0x" + "1" * 40, "no answer from the node"),
    ],
)
def test_what_is_no_chain_is_told_without_secrets(url: str, contract: str, problem: str) -> None:
    app = opened("settlement")
    node, address = app.text_input
    node.set_value(url)
    address.set_value(contract)
    read = next(button for button in app.main.button if button.label == "Read")
    checked(read.click().run())
    assert problem in errors(app)
    assert "secret" not in errors(app)


def training_document(**changes: Any) -> dict[str, Any]:
    names = load(EXAMPLE).names
    return {
        "schema": "tradefl/training/1",
        "consortium": "drug-discovery",
        "scheme": "exact",
        "rounds": 2,
        "model": "logistic",
        "data": "digits",
        "initial_accuracy": 0.1,
        "initial_loss": 2.3,
        "accuracy": [0.5, 0.75],
        "loss": [1.0, None],
        "notices": [],
        "runtime_seconds": 1.5,
        "organizations": [
            {
                "name": name,
                "samples_held": 100,
                "samples_used": 50,
                "rounds_asked": 2,
                "rounds_present": 2,
                "pledged_fraction": 0.5,
                "measured_fraction": 0.5,
                "cpu_hz": 1e9,
            }
            for name in names
        ],
    } | changes


def test_a_training_by_path_and_by_upload(tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    path.write_text(json.dumps(training_document()))
    app = opened("training", training=path)
    assert metrics(app)["accuracy after"] == "75.0%"
    other = json.dumps(training_document(accuracy=[0.5, 0.8])).encode()
    checked(app.file_uploader[0].upload("other.json", other).run())
    assert metrics(app)["accuracy after"] == "80.0%"


def test_an_upload_that_is_none_is_told_by_its_name() -> None:
    app = opened("training")
    bad = json.dumps(training_document(rounds="two")).encode()
    checked(app.file_uploader[0].upload("bad.json", bad).run())
    assert "bad.json: rounds: expected a whole number, got 'two'" in errors(app)
    checked(app.file_uploader[0].upload("bad.json", b"[1").run())
    assert "bad.json: not valid JSON" in errors(app)


def test_a_thousand_organizations(tmp_path: Path) -> None:
    app = opened("consortium", large_consortium(tmp_path, 1000))
    assert len(app.session_state["_table"]) == 1000
    for page in PAGES[1:]:
        turned(app, page)
        assert not errors(app)
    turned(app, "payments")
    assert any("40 largest payments" in text.value for text in app.markdown)
    turned(app, "equilibrium")
    for tab in ("Payoffs", "Methods", "Move by move"):
        app.session_state["tab"] = tab
        checked(app.run())


# --- text of partners ----------------------------------------------------------------------------


def test_what_a_spreadsheet_would_run_is_marked_as_text() -> None:
    frame = pd.DataFrame(
        {
            "organization": ['=HYPERLINK("http://a.example")', "@SUM(A1)", "Müller, Söhne", "-5"],
            "amount": ["-1,957,013,464.454361", "12", "-0.5", "1,000"],
            "payoff": [1.5, -2.0, 1 / 3, 7.0],
        }
    )
    found = csv_of(frame, "x.csv").content
    assert found.startswith(b"\xef\xbb\xbf")  # or Excel takes the umlaut for two letters
    rows = list(csv.reader(io.StringIO(found.decode("utf-8-sig"))))
    assert [row[0] for row in rows[1:]] == [
        "'=HYPERLINK(\"http://a.example\")", "'@SUM(A1)", "Müller, Söhne", "-5"
    ]  # fmt: skip
    assert [row[1] for row in rows[1:]] == ["-1957013464.454361", "12", "-0.5", "1000"]
    assert [float(row[2]) for row in rows[1:]] == frame["payoff"].tolist()


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\x1b[2K", "\u2066"])
def test_nothing_hides_or_turns_words(hidden: str) -> None:
    text = f"pays{hidden} nothing"
    frame = pd.DataFrame({"a": [text]})
    for shown in (plain(text), safe(frame).iloc[0, 0], csv_of(frame, "x").content.decode()):
        assert hidden[0] not in shown.removeprefix("\ufeff")
        assert "nothing" in shown


def test_the_address_of_a_node_is_shown_without_what_is_secret() -> None:
    app = opened("settlement")
    node, address = app.text_input
    node.set_value("http://127.0.0.1:1/v3/k3y-of-the-provider?token=t0ken-of-mine")
    address.set_value("0x" + "1" * 40)
    read = next(button for button in app.main.button if button.label == "Read")
    checked(read.click().run())
    assert "127.0.0.1:1" in errors(app)
    assert "k3y" not in errors(app)
    assert "t0ken" not in errors(app)


# --- decision and uncertainty ---------------------------------------------------------------------


def test_the_first_page_is_the_boards() -> None:
    app = opened("decision")
    assert app.title[0].value == "Decision"
    solution = solution_of()
    text = "\n".join(text.value for text in app.markdown).replace("\\", "")
    assert f"{solution.game.size} organizations train one model together" in text
    gain = float(solution.gain_over_alone.sum())
    assert f"Together they gain {gain:,.0f}" in text
    table = app.table[0].value
    shown = [float(cell.replace("\\", "").replace(",", "")) for cell in table.iloc[:-1, -1]]
    np.testing.assert_allclose(shown, solution.gain_over_alone, atol=6e-4)


def test_the_first_page_says_whether_they_would_stay() -> None:
    """The same words as the report's."""
    file = EXAMPLE.with_name("banks_fraud.toml")
    app = opened("decision", file)
    text = "\n".join(text.value for text in app.markdown).replace("\\", "")
    found = stability_of(tradefl.solve(tradefl.load(file)))
    assert f"Would they stay? {one_line(found.in_currency())}" in text
    assert "all but Summit Corporate" in text


def test_what_if_somebody_leaves_or_joins() -> None:
    file = EXAMPLE.with_name("hospitals.toml")
    app = opened("decision", file)
    consortium = tradefl.load(file)
    leave = next(entry for entry in app.multiselect if entry.label == "Who leaves?")
    checked(leave.set_value(["City Hospital"]).run())
    smaller = changed(consortium, ["City Hospital"], None)
    assert smaller.names == tuple(name for name in consortium.names if name != "City Hospital")
    expected = tradefl.replan(consortium, smaller, random_starts=0)
    table = app.table[-1].value
    rows = [name.replace("\\", "") for name in table.index]
    assert rows == [change.name for change in expected.changes]
    after = [float(cell.replace("\\", "").replace(",", "")) for cell in table["payoff after"]]
    np.testing.assert_allclose(after, [change.after for change in expected.changes], atol=1e-3)
    text = "\n".join(text.value for text in app.markdown).replace("\\", "")
    assert expected.to_pay > 0.0
    [needed] = re.findall(r"those that would be worse off need ([\d.,]+) payoff units", text)
    assert float(needed.replace(",", "")) == pytest.approx(expected.to_pay, abs=1e-3)
    assert ("can pay it" in text) == expected.affordable
    join = next(entry for entry in app.selectbox if entry.label.startswith("Who joins?"))
    checked(join.set_value("University A").run())
    kinds = app.table[-1].value["what"].tolist()
    assert kinds.count("joined") == 1
    assert kinds.count("left") == 1
    # Nobody is left: said, not raised.
    checked(join.set_value("nobody").run())
    leave = next(entry for entry in app.multiselect if entry.label == "Who leaves?")
    checked(leave.set_value(list(consortium.names)).run())
    assert app.warning


def test_ranges_are_sliders_that_move_payments() -> None:
    app = opened("uncertainty", EXAMPLE.with_name("hospitals_ranges.toml"))
    consortium = load(EXAMPLE.with_name("hospitals_ranges.toml"))
    figures = [entry for entry in uncertain(consortium) if entry.low < entry.high]
    sliders = [entry for entry in app.slider if str(entry.key).startswith("range ")]
    assert len(sliders) == min(len(figures), 12)
    before = app.table[0].value["moved by"].tolist()
    assert {float(cell) for cell in before} == {0.0}
    rivalry = next(slider for slider in sliders if "rho" in str(slider.key))
    checked(rivalry.set_value(rivalry.max).run())
    moved = [float(cell.replace(",", "")) for cell in app.table[0].value["moved by"]]
    assert max(map(abs, moved)) > 0.0
    assert sum(moved) == pytest.approx(0.0, abs=1e-3)
    assert "still an equilibrium" in metrics(app)


def test_without_ranges_the_page_says_how_to_write_one() -> None:
    app = opened("uncertainty")
    assert "No figure of the file has a range" in "\n".join(text.value for text in app.markdown)


def test_misreports_are_searched_when_asked_for() -> None:
    app = opened("uncertainty", EXAMPLE.with_name("hospitals.toml"))
    assert not app.dataframe
    checked(next(entry for entry in app.button if entry.label == "Search misreports").click().run())
    table = app.dataframe[0].value
    assert set(table["organization"]) == set(load(EXAMPLE.with_name("hospitals.toml")).names)
    assert {"profitability", "competition"} <= set(table["figure"])
