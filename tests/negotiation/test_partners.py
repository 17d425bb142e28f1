"""Partners with an own ``tradefl node`` and an own keystore, started within a second.

What :mod:`tests.settlement.test_partners` shows of ``settle``, of the agents: nobody has deployed,
published or joined, and a block comes every second. An agent ends with its contribution; what it
deposited is then settled by ``settle --no-report``, side by side, too.
"""

from __future__ import annotations

import pytest
from tests.cli.command import strict_json
from tests.settlement.nodes import anvil
from tests.settlement.partners import SEEDS, Partners, assert_one_contract_and_no_money_left

from tradefl.settlement.chains import RpcChain
from tradefl.settlement.contract import Phase
from tradefl.settlement.state import read_phase


def negotiate_together(folder, size, seed):
    partners = Partners(folder, size, turn_seconds=3600)
    contract = partners.agreement.settlement_address()
    with anvil("--block-time", 1) as node:
        partners.fund(node)
        for code, _, err in partners.all_at_once(node, seed, command=partners.negotiating):
            assert code == 0, err
            assert "refuses" not in err
            assert "Traceback" not in err
        assert {entry["address"] for entry in node.logs()} == {contract.lower()}
        assert read_phase(RpcChain(node.url), contract) == Phase.OPEN
        assert node.balance(partners.agreement.vault) == sum(partners.agreement.deposits)
        for code, out, err in partners.all_at_once(node, seed, options=["--no-report"]):
            assert code == 0, err
            assert "refuses" not in err
            found = strict_json(out)
            assert found["phase"] == "settled"
            assert found["contract"] == contract
            assert found["audit"]["agrees"], found["audit"]
            assert all(entry["data_ppb"] > 0 for entry in found["organizations"])
        assert_one_contract_and_no_money_left(partners, node, contract)


def one_never_joins(folder, size, seed):
    """The last organization starts no agent."""
    partners = Partners(folder, size, join_seconds=6 if size < 10 else 40, turn_seconds=3600)
    contract = partners.agreement.settlement_address()
    with anvil("--block-time", 1) as node:
        partners.fund(node)
        ended = partners.all_at_once(
            node, seed, who=partners.names[:-1], command=partners.negotiating
        )
        for code, _, err in ended:
            assert code == 1, err
            assert "refuses" not in err
            assert "Traceback" not in err
            assert "cancelled: not everybody joined in time; the deposit is back" in err
        assert read_phase(RpcChain(node.url), contract) == Phase.CANCELLED
        assert_one_contract_and_no_money_left(partners, node, contract)


def test_two_agents_who_begin_together_negotiate_and_settle_one_contract(tmp_path):
    negotiate_together(tmp_path, 2, seed=2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [2, 3, 10])
def test_agents_who_begin_together_by_every_seed(tmp_path, size, seed):
    negotiate_together(tmp_path, size, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [2, 3, 10])
def test_agents_of_whom_one_never_joins_by_every_seed(tmp_path, size, seed):
    one_never_joins(tmp_path, size, seed)
