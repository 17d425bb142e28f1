"""An Ethereum in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from eth_account import Account
from web3 import EthereumTesterProvider, Web3
from web3.exceptions import ContractLogicError

from tradefl.settlement import recursion
from tradefl.settlement.agreement import checksum
from tradefl.settlement.chains.answers import account_of
from tradefl.settlement.chains.base import GAS_LIMIT, Chain, KeySigner, Receipt
from tradefl.settlement.contract import Event, RevertedError
from tradefl.settlement.stand_ins import stand_in_key

RICH = 10**33  # wei of an account on the embedded chain: more than any bond


MAX_FEE = 10**12  # wei for a unit of gas


class EmbeddedChain(Chain):
    """An Ethereum in this process, gone with it: nothing to install, nothing to start.

    Its accounts are the stand-ins of the organizations, and two more: ``operator``, who deploys
    and does what anyone may do, and ``verifier``, for agreements that have one.
    """

    alone = True

    def __init__(self, size: int) -> None:
        from eth_tester import EthereumTester, PyEVMBackend
        from eth_tester.exceptions import TransactionFailed

        keys = [Account.from_key(stand_in_key(i)) for i in range(size + 2)]
        rich = {"balance": RICH, "nonce": 0, "code": b"", "storage": {}}
        backend = PyEVMBackend(
            genesis_parameters=PyEVMBackend.generate_genesis_params({"gas_limit": 2 * GAS_LIMIT}),
            genesis_state={bytes.fromhex(key.address[2:]): dict(rich) for key in keys},
        )
        self._tester = EthereumTester(backend)
        self._receipts: list[Any] = []
        self.refusals = (ContractLogicError, TransactionFailed)
        super().__init__(
            Web3(EthereumTesterProvider(self._tester)),
            [KeySigner(key) for key in keys],
            "the embedded chain",
        )
        self.operator, self.verifier = (str(key.address) for key in keys[size:])
        # This chain charges even for a view, and stops it at a block's gas.
        self.reader = {"from": self.operator, "gas": GAS_LIMIT}
        recursion.restore()

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Read as it is: nobody else is on this chain."""
        yield

    def events(
        self, contract: str | None, first_block: int = 0, topics: Sequence[bytes] = ()
    ) -> list[Event]:
        """Return the events of a contract, from the receipts: this chain is slow at searching."""
        logs = [
            log
            for receipt in self._receipts
            if receipt["blockNumber"] >= first_block
            for log in receipt["logs"]
            if (contract is None or checksum(log["address"]) == checksum(contract))
            and list(map(bytes, log["topics"]))[: len(topics)] == list(topics)
        ]
        return self._decoded(logs)

    def transact(
        self, sender: str, *, to: str | None, data: bytes, value: int = 0, call: str
    ) -> Receipt:
        """Send a transaction; it is in a block at once."""
        signer = self.signers[sender]
        assert isinstance(signer, KeySigner)  # noqa: S101  this chain has no others
        transaction = {
            "nonce": self.web3.eth.get_transaction_count(account_of(sender)),
            "gas": GAS_LIMIT,  # not estimated: that would run it several times
            "maxFeePerGas": MAX_FEE,
            "maxPriorityFeePerGas": 1,
            "value": value,
            "data": data,
            "chainId": self.chain_id,
        } | ({"to": to} if to is not None else {})
        signed = signer.key.sign_transaction(transaction)  # type: ignore[arg-type]
        hash_ = self.web3.eth.send_raw_transaction(signed.raw_transaction)
        found = self.web3.eth.get_transaction_receipt(hash_)
        if found["status"] != 1:
            self._call({"from": sender, "to": to, "data": data, "value": value}, call)  # says why
            raise RevertedError(call, "revert", {})
        self._receipts.append(found)
        return Receipt(
            hash="0x" + bytes(hash_).hex(),
            gas=int(found["gasUsed"]),
            block=int(found["blockNumber"]),
            contract=found.get("contractAddress"),
        )

    def fee_of(self, gas: int) -> int:  # noqa: ARG002
        """Return what :meth:`transact` offers, whatever the gas."""
        return GAS_LIMIT * MAX_FEE

    def mine(self, blocks: int, sender: str) -> bool:  # noqa: ARG002
        """Make empty blocks."""
        self._tester.mine_blocks(blocks)
        return True

    def pass_time(self, until: int) -> bool:
        """Move the clock to just after ``until``."""
        if self.now() <= until:
            self._tester.time_travel(until + 1)
            self._tester.mine_block()
        return True
