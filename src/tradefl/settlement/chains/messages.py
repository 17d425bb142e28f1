"""What is sent to a node and what comes back, beyond single values: transactions and receipts."""

from __future__ import annotations

from typing import Any

from eth_account.signers.local import LocalAccount

from tradefl.settlement.chains.answers import (
    Block,
    address,
    block,
    data,
    log,
    quantity,
    record,
    word,
)
from tradefl.settlement.chains.base import Receipt
from tradefl.settlement.chains.fees import Offer
from tradefl.settlement.chains.journal import Sending
from tradefl.settlement.chains.nodes import Node
from tradefl.settlement.ethereum import checksum

RECEIPT = "eth_getTransactionReceipt"


def wanted_sending(to: str | None, value: int, data: bytes, call: str) -> Sending:
    """Return a transaction as it is wanted, before it has a nonce and gas."""
    return Sending(0, "" if to is None else checksum(to), value, "0x" + data.hex(), 0, call)


def numbered(node: Node, number: int) -> Block | None:
    """Return the header of a block by number; ``None``: the node does not have it."""
    return node.ask_for("eth_getBlockByNumber", hex(number), False, parse=block)


def encoded(body: dict[str, Any]) -> dict[str, str]:
    """Return a transaction as JSON-RPC takes it."""
    return {
        key: hex(value)
        if isinstance(value, int)
        else "0x" + value.hex()
        if isinstance(value, bytes)
        else value
        for key, value in body.items()
    }


def signature(
    key: LocalAccount, sending: Sending, offered: Offer, chain_id: int
) -> tuple[str, str]:
    """Return a signed transaction and its hash, both as ``0x...``."""
    body: dict[str, Any] = {
        "nonce": sending.nonce,
        "gas": sending.gas,
        "value": sending.value,
        "data": sending.data,
        "chainId": chain_id,
        **offered.fields,
    }
    if sending.to:
        body["to"] = sending.to
    signed = key.sign_transaction(body)
    return "0x" + bytes(signed.raw_transaction).hex(), "0x" + bytes(signed.hash).hex()


def transaction(value: Any) -> tuple[str, bytes]:
    """Return who sent a transaction, and its data."""
    found = record(value)
    return address(found.get("from")), data(found.get("input", found.get("data")))


def receipt(value: Any) -> Receipt | None:
    """Return the receipt of an answer; ``None`` while its transaction is in no block."""
    found = record(value)
    if found.get("blockNumber") is None:
        return None  # some old nodes have receipts of what waits
    gas = quantity(found.get("gasUsed"))
    price, contract = found.get("effectiveGasPrice"), found.get("contractAddress")
    succeeded = quantity(found.get("status")) == 1
    emitted = found.get("logs")
    if not isinstance(emitted, list):
        raise TypeError("a list of logs")
    return Receipt(
        hash="0x" + word(found.get("transactionHash")).hex(),
        gas=gas,
        block=quantity(found.get("blockNumber")),
        contract=None if contract is None or not succeeded else address(contract),
        succeeded=succeeded,
        block_hash="0x" + word(found.get("blockHash")).hex(),
        fee=0 if price is None else gas * quantity(price),
        logs=tuple(log(entry) for entry in emitted),
    )
