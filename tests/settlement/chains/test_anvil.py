"""The chain layer on a real node."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
from eth_account import Account
from tests.cli.command import SOURCE
from tests.settlement.nodes import anvil, node, shared_node

from tradefl.settlement.chains import FeeCaps, Journal, KeySigner, RpcChain
from tradefl.settlement.contract import ChainError
from tradefl.settlement.stand_ins import stand_in_key

__all__ = ["node", "shared_node"]

KEY = KeySigner(Account.from_key(stand_in_key(0)))
GWEI = 10**9


def empty(chain):
    return chain.transact(KEY.address, to=KEY.address, data=b"", call="nothing")


def test_fees_that_rise_while_a_transaction_waits(tmp_path):
    """A cap stops the first run; the next one replaces the transaction, with the same nonce."""
    with anvil() as own:
        own.rpc("anvil_setBalance", KEY.address, hex(10**20))
        own.rpc("evm_setAutomine", False)
        low = FeeCaps(max_fee=20 * GWEI, max_priority_fee=2 * GWEI)
        chain = RpcChain(
            own.url, [KEY], caps=low, journal=Journal.open(tmp_path), timeout=3.0, bump_after=1.0
        )
        own.rpc("anvil_setNextBlockBaseFeePerGas", hex(1 * GWEI))
        inner, fees = chain._broadcast, []

        def broadcast(*arguments):
            inner(*arguments)
            fees.append(arguments[1].signed[-1].offer)
            own.rpc("anvil_setNextBlockBaseFeePerGas", hex(60 * GWEI))
            own.rpc("evm_mine")

        chain._broadcast = broadcast
        with pytest.raises(ChainError, match=r"blocks ask 60 gwei.*`max_fee` stops a higher"):
            empty(chain)
        chain = RpcChain(own.url, [KEY], journal=Journal.open(tmp_path))
        own.rpc("anvil_setNextBlockBaseFeePerGas", hex(60 * GWEI))
        own.rpc("evm_setAutomine", True)
        receipt = empty(chain)
        assert receipt.succeeded
        assert chain.transaction_count(KEY.address) == 1
        assert receipt.fee >= 21_000 * 60 * GWEI


def test_an_ipc_socket_of_a_real_node(tmp_path):
    path = tmp_path / "node.ipc"
    with anvil("--ipc", path) as own:
        own.rpc("anvil_setBalance", KEY.address, hex(10**20))
        chain = RpcChain(str(path), [KEY])
        assert empty(chain).succeeded
        assert chain.height() == 1
        assert chain.mine(5, KEY.address)
        assert chain.height() >= 6
        chain.node.transport._close()


def test_two_real_nodes_that_differ(node):
    """Two chains with one id, as a node of another fork shows them."""
    with anvil() as other:
        other.mine(3, seconds=5)  # nodes that start in one second have one chain otherwise
        node.mine(3, seconds=7)
        chain = RpcChain([node.url, other.url], patience=1.0)
        with pytest.raises(ChainError, match=f"{other.url}: differs from {node.url}"):
            chain.code(KEY.address)


DEPOSIT = """
    import sys
    from eth_account import Account
    from pathlib import Path
    from tradefl.settlement.chains import Journal, KeySigner, RpcChain
    from tradefl.settlement.stand_ins import stand_in_key

    url, state, to = sys.argv[1:]
    key = KeySigner(Account.from_key(stand_in_key(0)))
    chain = RpcChain(url, [key], journal=Journal.open(Path(state)))
    print("ready", flush=True)
    paid = {"to": to, "data": b"1", "value": 7, "call": "deposit", "agreement": "0xaa"}
    print(chain.deposit(key.address, **paid).succeeded, flush=True)
"""


def test_a_process_that_is_killed_while_its_deposit_waits(tmp_path):
    """With SIGKILL, between the send and the block; the next process pays nothing more."""
    with anvil() as own:
        own.rpc("anvil_setBalance", KEY.address, hex(10**20))
        vault = "0x" + "c0" * 20
        own.rpc("anvil_setCode", vault, "0x00")
        own.rpc("evm_setAutomine", False)
        command = [sys.executable, "-c", textwrap.dedent(DEPOSIT), own.url, tmp_path, vault]
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        with first:
            while own.rpc("txpool_status")["pending"] == "0x0":
                assert first.poll() is None
            first.send_signal(signal.SIGKILL)
        own.rpc("evm_setAutomine", True)
        own.rpc("evm_mine")
        for _ in range(2):
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=120
            )
            assert done.stdout.split() == ["ready", "True"], done.stderr
        assert own.balance(vault) == 7
