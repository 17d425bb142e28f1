"""Partners at work at the same time, on a chain that makes a block every second."""

from __future__ import annotations

import pytest
from tests.cli.command import strict_json
from tests.settlement.nodes import anvil
from tests.settlement.partners import SEEDS, Partners, assert_one_contract_and_no_money_left


def assert_everybody_settles(partners, node, seed):
    for code, out, err in partners.all_at_once(node, seed):
        assert code == 0, err
        assert "refuses" not in err
        found = strict_json(out)
        assert found["phase"] == "settled"
        assert found["audit"]["agrees"], found["audit"]
    contract = partners.agreement.settlement_address()
    assert found["contract"] == contract
    assert_one_contract_and_no_money_left(partners, node, contract)


def settle_together(folder, size, seed):
    partners = Partners(folder, size)
    with anvil("--block-time", 1) as node:
        partners.fund(node)
        assert_everybody_settles(partners, node, seed)


def assert_everybody_withdraws(folder, size, seed):
    """The last organization never joins."""
    partners = Partners(folder, size, join_seconds=6)
    with anvil("--block-time", 1) as node:
        partners.fund(node)
        ended = partners.all_at_once(node, seed, who=partners.names[:-1])
        deposits = []
        for i, (code, out, err) in enumerate(ended):
            assert code == 1, err
            assert "refuses" not in err
            assert "cancelled: not everybody joined in time" in err
            found = strict_json(out)
            assert found["phase"] == "cancelled"
            own = found["organizations"][i]
            assert own["withdrawn_wei"] == own["deposit_wei"]
            deposits.append(int(own["deposit_wei"]))
        assert max(deposits) > 0
        contract = partners.agreement.settlement_address()
        assert_one_contract_and_no_money_left(partners, node, contract)


@pytest.mark.parametrize("size", [2, 3, 10])
def test_partners_who_begin_together_settle_one_contract(tmp_path, size):
    settle_together(tmp_path, size, seed=size)


def test_one_that_never_joins_costs_the_others_nothing(tmp_path):
    assert_everybody_withdraws(tmp_path, 3, seed=5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [2, 3, 10])
def test_partners_who_begin_together_by_every_seed(tmp_path, size, seed):
    settle_together(tmp_path, size, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [3, 10])
def test_one_that_never_joins_by_every_seed(tmp_path, size, seed):
    assert_everybody_withdraws(tmp_path, size, seed)
