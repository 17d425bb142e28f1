"""Fees that rise while transactions wait, on a real node: blocks are full, as on a busy chain."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from tests.cli.command import strict_json
from tests.settlement.nodes import Anvil, anvil
from tests.settlement.partners import Partners, assert_one_contract_and_no_money_left

GWEI = 10**9
FULL = 40  # blocks without room for anybody else; each raises the base fee by an eighth
INTERVAL = 0.25  # seconds
BLOCK_GAS = 16_000_000
# Creates a contract whose code is INVALID: a call of it uses all the gas that it is given.
BURNER = "0x60fe60005360016000f3"


class Market(threading.Thread):
    """Makes the blocks; somebody who pays any price fills the next forty once it is opened."""

    def __init__(self, node: Anvil) -> None:
        super().__init__(daemon=True)
        self.node, self.account = node, node.accounts[0]
        self.base_fees: list[int] = []  # of the full blocks
        self._over = threading.Event()
        hash_ = node.rpc("eth_sendTransaction", {"from": self.account, "data": BURNER})
        node.rpc("evm_mine")
        self.burner = node.receipt(hash_)["contractAddress"]
        self.opened = False

    def run(self) -> None:
        while not self._over.is_set():
            time.sleep(INTERVAL)
            # From the first transaction on that waits for a block, there is no room for it.
            self.opened = self.opened or bool(self.node.rpc("txpool_content")["pending"])
            full = self.opened and len(self.base_fees) < FULL
            if full:
                self._fill()
            if not self.base_fees:  # or the empty blocks before would lower it
                self.node.rpc("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
            self.node.rpc("evm_mine")
            if full:
                latest = self.node.rpc("eth_getBlockByNumber", "latest", False)
                assert int(latest["gasUsed"], 16) == BLOCK_GAS, latest
                self.base_fees.append(int(latest["baseFeePerGas"], 16))

    def _fill(self) -> None:
        price = hex(10**6 * GWEI)
        call = {"from": self.account, "to": self.burner, "gas": hex(BLOCK_GAS)}
        fees = {"maxFeePerGas": price, "maxPriorityFeePerGas": hex(10**5 * GWEI)}
        self.node.rpc("eth_sendTransaction", call | fees)

    def close(self) -> None:
        self._over.set()
        self.join(timeout=60)


@contextlib.contextmanager
def market() -> Iterator[tuple[Anvil, Market]]:
    with anvil("--no-mining", "--base-fee", GWEI, "--gas-limit", BLOCK_GAS) as node:
        node.rpc("anvil_setBalance", node.accounts[0], hex(10**30))
        blocks = Market(node)
        blocks.start()
        try:
            yield node, blocks
        finally:
            blocks.close()


def assert_it_rose(blocks):
    fees = blocks.base_fees
    assert len(fees) == FULL
    assert fees[-1] > 60 * GWEI
    for before, after in pairwise(fees):
        assert 1.1 * before < after < 1.13 * before + 1


def assert_settled(partners, node, ended):
    for code, out, err in ended:
        assert code == 0, err
        assert "refuses" not in err
        found = strict_json(out)
        assert (found["phase"], found["audit"]["agrees"]) == ("settled", True)
    assert_one_contract_and_no_money_left(partners, node, partners.agreement.settlement_address())


@pytest.mark.slow
def test_all_finish_within_what_they_may_offer(tmp_path):
    partners = Partners(tmp_path, 3)
    with market() as (node, blocks):
        partners.fund(node)
        ended = partners.all_at_once(node, 1, options=("--max-fee", 200, "--max-total-fee", 20))
        assert_it_rose(blocks)
        assert_settled(partners, node, ended)
        offered = offers(node, partners)
    assert max(offered) <= 200 * GWEI
    assert min(offered) < 10 * GWEI < max(offered)


@pytest.mark.slow
def test_a_cap_stops_with_one_line_and_a_larger_one_finishes(tmp_path):
    partners = Partners(tmp_path, 3)
    with market() as (node, blocks):
        partners.fund(node)
        low = ("--max-fee", 20, "--timeout", 20, "--max-total-fee", 20)
        ended = partners.all_at_once(node, 1, options=low)
        for code, out, err in ended:
            assert (code, out) == (2, "")
            (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
            assert "--max-fee" in line
            assert "blocks ask" in line
        assert_it_rose(blocks)
        assert max(offers(node, partners), default=0) <= 20 * GWEI
        again = ("--max-fee", 300, "--max-total-fee", 20)
        assert_settled(partners, node, partners.all_at_once(node, 2, options=again))


def offers(node, partners):
    """What the transactions of the partners in blocks offered per gas."""
    own = {key.address.lower() for key in partners.keys}
    blocks = (
        node.rpc("eth_getBlockByNumber", hex(number), True) for number in range(node.height + 1)
    )
    return [
        int(transaction["maxFeePerGas"], 16)
        for block in blocks
        for transaction in block["transactions"]
        if transaction["from"].lower() in own
    ]
