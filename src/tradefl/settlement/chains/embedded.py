"""An Ethereum in this process."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from eth.vm.spoof import SpoofTransaction
from eth_account import Account
from eth_typing import Address, BlockNumber
from web3 import EthereumTesterProvider, Web3
from web3.exceptions import BlockNotFound, ContractLogicError

from tradefl.settlement import recursion
from tradefl.settlement.chains.answers import Block, Log, revert_data
from tradefl.settlement.chains.base import GAS_LIMIT, Chain, KeySigner, Receipt, decoded, refusal
from tradefl.settlement.contract import Event, RevertedError, decoded_result, encoded_call
from tradefl.settlement.ethereum import checksum
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
        # What was sent, by hash: eth-tester would look through all blocks for it.
        self._receipts: dict[str, Receipt] = {}
        self._sent: dict[str, tuple[str, bytes]] = {}
        # The state that views are read from, until the chain moves on.
        self._view: Any = None
        self._refusals = (ContractLogicError, TransactionFailed)
        self.web3 = Web3(EthereumTesterProvider(self._tester))
        super().__init__(
            int(self.web3.eth.chain_id),
            [KeySigner(key) for key in keys],
            "the embedded chain",
        )
        self.operator, self.verifier = (str(key.address) for key in keys[size:])
        # This chain charges even for a view, and stops it at a block's gas.
        self._reader: Mapping[str, Any] = {"from": self.operator, "gas": GAS_LIMIT}
        recursion.restore()

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Read as it is: nobody else is on this chain."""
        yield

    def height(self) -> int:
        """Return the number of the latest block."""
        return int(self.web3.eth.block_number)

    def header(self, tag: int | str) -> Block | None:
        """Return the header of a block; ``None``: there is no such block."""
        which: Any = BlockNumber(tag) if isinstance(tag, int) else tag
        try:
            found = self.web3.eth.get_block(which)
        except BlockNotFound:
            return None
        return Block(
            number=int(found["number"]),
            hash="0x" + bytes(found["hash"]).hex(),
            seconds=int(found["timestamp"]),
            gas_limit=int(found["gasLimit"]),
            base_fee=int(found["baseFeePerGas"]),
            transactions=len(found["transactions"]),
        )

    def transaction_count(self, address: str) -> int:
        """Return how many transactions of an account are in blocks."""
        return int(self.web3.eth.get_transaction_count(Web3.to_checksum_address(address)))

    def fee_of(self, gas: int) -> int:  # noqa: ARG002
        """Return what :meth:`transact` offers, whatever the gas."""
        return GAS_LIMIT * MAX_FEE

    def balance(self, address: str) -> int:
        """Return what an account has, wei."""
        return int(self.web3.eth.get_balance(Web3.to_checksum_address(address)))

    def code(self, address: str) -> bytes:
        """Return the code at an address; empty where there is no contract."""
        return bytes(self.web3.eth.get_code(Web3.to_checksum_address(address)))

    def sent(self, hash_: str) -> tuple[str, bytes]:
        """Return who sent a transaction and its data; empty if there is no such transaction."""
        return self._sent.get(hash_, ("", b""))

    def receipt(self, hash_: str) -> Receipt | None:
        """Return a transaction's receipt; ``None`` while it is in no block."""
        return self._receipts.get(hash_)

    def events(
        self, contract: str | None, first_block: int = 0, topics: Sequence[bytes] = ()
    ) -> list[Event]:
        """Return the events of a contract, from the receipts: this chain is slow at searching."""
        address = None if contract is None else checksum(contract)
        return decoded(
            log
            for receipt in self._receipts.values()
            if receipt.block >= first_block
            for log in receipt.logs
            if (address is None or log.address == address)
            and list(log.topics[: len(topics)]) == list(topics)
        )

    def transact(
        self, sender: str, *, to: str | None, data: bytes, value: int = 0, call: str
    ) -> Receipt:
        """Send a transaction; it is in a block at once."""
        signer = self.signers[sender]
        assert isinstance(signer, KeySigner)  # noqa: S101  this chain has no others
        transaction = {
            "nonce": self.web3.eth.get_transaction_count(Web3.to_checksum_address(sender)),
            "gas": GAS_LIMIT,  # not estimated: that would run it several times
            "maxFeePerGas": MAX_FEE,
            "maxPriorityFeePerGas": 1,
            "value": value,
            "data": data,
            "chainId": self.chain_id,
        } | ({"to": to} if to is not None else {})
        signed = signer.key.sign_transaction(transaction)  # type: ignore[arg-type]
        self._view = None
        hash_ = self.web3.eth.send_raw_transaction(signed.raw_transaction)
        found = self.web3.eth.get_transaction_receipt(hash_)
        if found["status"] != 1:
            self._call({"from": sender, "to": to, "data": data, "value": value}, call)  # says why
            raise RevertedError(call, "revert", {})
        receipt = _receipt(found)
        self._receipts[receipt.hash] = receipt
        self._sent[receipt.hash] = (str(signer.address), bytes(data))
        return receipt

    def deposit(
        self,
        sender: str,
        *,
        to: str,
        data: bytes,
        value: int,
        call: str,
        agreement: str,  # noqa: ARG002  nobody but this process could send another one
    ) -> Receipt:
        """Send a deposit; it is in a block at once."""
        return self.transact(sender, to=to, data=data, value=value, call=call)

    def returned(self, account: str, agreement: str) -> None:
        """Do nothing: this chain needs no other memory."""

    def pass_time(self, until: int) -> bool:
        """Move the clock to just after ``until``."""
        self._view = None
        if self.now() <= until:
            self._tester.time_travel(until + 1)
            self._tester.mine_block()
        return True

    def pass_blocks(self, until: int, sender: str) -> bool:  # noqa: ARG002
        """Make the blocks at once."""
        self._view = None
        missing = until - self.height()
        if missing > 0:
            self._tester.mine_blocks(missing)
        return True

    def read(self, contract: str, call: str, *arguments: Any) -> Any:
        """Return what a view of the contract answers; errors as :meth:`Chain.read`.

        The view runs on the latest block's state, which is kept until the chain moves on. By way of
        the node's interface each read would set up a transaction and a state of its own.
        """
        data = encoded_call(call, *arguments)
        found = self._viewed(bytes.fromhex(contract[2:]), data)
        if not found:
            return super().read(contract, call, *arguments)  # says why
        return decoded_result(call, found)

    def _viewed(self, address: bytes, data: bytes) -> bytes:
        """Return what the code at an address answers; nothing if it refuses or has no code."""
        from eth.vm.message import Message

        chain = self._tester.backend.chain
        if self._view is None:
            vm = chain.get_vm(at_header=chain.get_canonical_head())
            transaction = vm.create_unsigned_transaction(
                nonce=0, gas_price=MAX_FEE, gas=GAS_LIMIT, to=address, value=0, data=b""
            )
            spoof = SpoofTransaction(transaction, from_=bytes.fromhex(self.operator[2:]))
            self._view = vm.state, vm.state.get_transaction_context(spoof)
        state, context = self._view
        message = Message(
            gas=GAS_LIMIT,
            to=Address(address),
            sender=context.origin,
            value=0,
            data=data,
            code=state.get_code(address),
            is_static=True,
        )
        snapshot = state.snapshot()
        answer = state.computation_class.apply_message(state, message, context)
        state.revert(snapshot)
        return b"" if answer.is_error else bytes(answer.output)

    def _call(self, transaction: dict[str, Any], call: str) -> bytes:
        asked: Any = {**self._reader, **transaction}
        try:
            return bytes(self.web3.eth.call(asked))
        except self._refusals as error:
            raise refusal(call, _revert_data(error)) from None


def _log(log: Any) -> Log:
    return Log(
        address=checksum(log["address"]),
        topics=tuple(bytes(topic) for topic in log["topics"]),
        data=bytes(log["data"]),
        transaction="0x" + bytes(log["transactionHash"]).hex(),
        block=int(log["blockNumber"]),
        index=int(log["logIndex"]),
        block_hash="0x" + bytes(log["blockHash"]).hex(),
    )


def _receipt(found: Any) -> Receipt:
    return Receipt(
        hash="0x" + bytes(found["transactionHash"]).hex(),
        gas=int(found["gasUsed"]),
        block=int(found["blockNumber"]),
        contract=found.get("contractAddress"),
        succeeded=found["status"] == 1,
        block_hash="0x" + bytes(found["blockHash"]).hex(),
        fee=int(found["gasUsed"]) * int(found.get("effectiveGasPrice") or 0),
        logs=tuple(_log(log) for log in found["logs"]),
    )


def _revert_data(error: BaseException) -> bytes:
    """Return what a revert carried."""
    for content in (getattr(error, "data", None), *error.args):
        if isinstance(content, bytes):
            return content
        # eth-tester puts the bytes into its sentence as Python would print them.
        if isinstance(content, str) and (
            printed := re.search(r"b(['\"]).*\1$", content, re.DOTALL)
        ):
            return bytes(ast.literal_eval(printed[0]))
        if found := revert_data(content):
            return found
    return b""
