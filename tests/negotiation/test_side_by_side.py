"""``tradefl node`` of several organizations at once, on a chain that makes a block every second."""

from __future__ import annotations

from tests.negotiation.processes import deployed, three_hospitals
from tests.settlement.nodes import anvil

from tradefl.settlement.contract import Phase

PATIENCE = 300.0  # seconds, for a machine under load


def patient(document):
    document["settlement"] = {"chain_id": 31337, "turn_seconds": 3600, "closing_blocks": 5}


def test_agents_who_begin_together_deploy_one_contract_and_agree(tmp_path):
    """Nobody has deployed, published or joined; each needs the others' transactions.

    Two, other seeds, and how it is settled: :mod:`tests.negotiation.test_partners`.
    """
    consortium = three_hospitals(tmp_path / "some.toml", patient)
    with anvil("--block-time", 1) as node:
        found = deployed(node, consortium, tmp_path, deploy=False)
        with found.alone() as nodes:
            nodes.start()
            nodes.finish(PATIENCE)
            for node_ in nodes.started:
                assert "refuses" not in node_.said
        contract = found.agreement.settlement_address()
        assert {entry["address"] for entry in node.logs()} == {contract.lower()}
        found = found.at(contract)
        assert found.phase == Phase.OPEN
        assert found.contributions() == list(found.undisturbed()[0].reports)
        assert node.balance(found.agreement.vault) == sum(found.agreement.deposits)


def test_agents_whose_partner_never_joins_get_their_deposits_back(tmp_path):
    def hurried(document):
        document["settlement"] = {"chain_id": 31337, "join_seconds": 8, "closing_blocks": 2}

    consortium = three_hospitals(tmp_path / "some.toml", hurried)
    with anvil("--block-time", 1) as node:
        found = deployed(node, consortium, tmp_path, deploy=False)
        with found.alone() as nodes:
            for entry in nodes.start(0, 1):
                code, _, err = entry.end(PATIENCE)
                assert code == 1, err
                assert "refuses" not in err
                assert "cancelled: not everybody joined in time; the deposit is back" in err
        assert found.at(found.agreement.settlement_address()).phase == Phase.CANCELLED
        assert node.balance(found.agreement.vault) == 0
