"""The page Settlement on a real node: what it reads off the chain."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tests.cli.command import run
from tests.dashboard.console import EXAMPLE, checked, errors, metrics, opened
from tests.settlement.nodes import Anvil, node, shared_node  # noqa: F401

from tradefl.consortium import load
from tradefl.consortium.writing import write


def test_a_settlement_on_a_node(node: Anvil, tmp_path: Path) -> None:  # noqa: F811
    # Anvil signs for ten accounts, which all organizations need; another consortium than those of
    # other tests on this node.
    file = tmp_path / "own.toml"
    write(dataclasses.replace(load(EXAMPLE), name="read-by-the-console"), file)
    ran = run("settle", file, "--rpc", node.url, "--json")
    assert ran.code == 0, ran.err
    app = opened("settlement", file)
    url, contract = app.text_input
    url.set_value(node.url)
    contract.set_value(ran.json["contract"])
    read = next(button for button in app.main.button if button.label == "Read")
    checked(read.click().run())
    assert not errors(app)
    assert "everything agrees to the wei" in app.success[0].value
    assert metrics(app)["Phase"] == "settled"
    organizations, events = (entry.value for entry in app.dataframe)
    wei = [
        f"{int(organization['redistribution_wei']):,}" for organization in ran.json["organizations"]
    ]
    assert list(organizations["redistribution, recomputed (wei)"]) == wei
    assert organizations["withdrawn"].all()
    assert (events["event"] == "DepositSubmitted").sum() == 10
    assert events["arguments"].str.contains("account = Alpha").any()
    # Against another file the verdict names what differs.
    other = dataclasses.replace(load(file), name="another")
    write(other, tmp_path / "other.toml")
    app = opened("settlement", tmp_path / "other.toml")
    url, contract = app.text_input
    url.set_value(node.url)
    contract.set_value(ran.json["contract"])
    read = next(button for button in app.main.button if button.label == "Read")
    checked(read.click().run())
    assert "checks fail" in errors(app)
    assert any("another" in text.value for text in app.markdown)
