"""A node that exists in memory only: a transport that answers from a small chain, and faults."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from eth_utils import keccak
from hexbytes import HexBytes
from tests.settlement.nodes import web3  # noqa: F401  web3 with its warnings silenced

from tradefl.settlement.chains import KeySigner, RpcChain, reading
from tradefl.settlement.chains.nodes import Node, NothingError, Transport
from tradefl.settlement.contract import encoded_call, topic
from tradefl.settlement.stand_ins import stand_in_key

KEY = KeySigner(Account.from_key(stand_in_key(0)))
OTHER = KeySigner(Account.from_key(stand_in_key(1)))
CONTRACT = "0x" + "c0" * 20
CALL = "annexPublish"
DATA = encoded_call(CALL, b"an annex")
EMITTED = "0x" + topic("AnnexPublished").hex()


@dataclasses.dataclass(frozen=True)
class Cut:
    """The connection breaks after the node has done what was asked."""


@dataclasses.dataclass(frozen=True)
class Http:
    """An answer of its own: a status and a body."""

    status: int
    body: bytes


@dataclasses.dataclass(frozen=True)
class Error:
    """A JSON-RPC error with a status."""

    code: int
    message: str
    status: int = 200
    data: Any = None


@dataclasses.dataclass
class FakeChain:
    """Blocks, nonces, code and logs; a transaction is in a block at once, unless ``holds``."""

    chain_id: int = 4242
    base_fee: int | None = 10**9
    gas_limit: int = 30_000_000
    code: bytes = b"\x01"
    balance: int = 10**20
    holds: bool = False  # transactions wait
    reverts: bool = False  # transactions revert in their block
    answers_view: bytes = (4).to_bytes(32, "big")
    blocks: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    receipts: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    transactions: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    waiting: dict[tuple[str, int], dict[str, Any]] = dataclasses.field(default_factory=dict)
    nonces: dict[str, int] = dataclasses.field(default_factory=dict)
    salt: str = ""

    def __post_init__(self) -> None:
        if not self.blocks:
            self.mine()

    def mine(self, transactions: list[dict[str, Any]] | None = None) -> None:
        number = len(self.blocks)
        chosen = transactions
        if chosen is None:
            chosen = [
                sending
                for sending in self.waiting.values()
                if self.base_fee is None or sending["most"] >= self.base_fee
            ]
        hash_ = "0x" + keccak(text=f"{self.salt} block {number} {len(chosen)}").hex()
        block = {
            "number": hex(number),
            "hash": hash_,
            "timestamp": hex(1_700_000_000 + number),
            "gasLimit": hex(self.gas_limit),
            "transactions": [other["hash"] for other in chosen],
        }
        if self.base_fee is not None:
            block["baseFeePerGas"] = hex(self.base_fee)
        self.blocks.append(block)
        for other in chosen:
            key = other["from"].lower(), other["nonce"]
            self.waiting.pop(key, None)
            self.nonces[key[0]] = other["nonce"] + 1
            self.transactions[other["hash"]] = other
            log = {
                "address": other["to"],
                "topics": [EMITTED],
                "data": "0x" + (32).to_bytes(32, "big").hex() + (0).to_bytes(32, "big").hex(),
                "transactionHash": other["hash"],
                "blockNumber": block["number"],
                "logIndex": "0x0",
                "blockHash": hash_,
                "removed": False,
            }
            self.receipts[other["hash"]] = {
                "transactionHash": other["hash"],
                "gasUsed": hex(50_000),
                "effectiveGasPrice": hex(other["most"]),
                "blockNumber": block["number"],
                "blockHash": hash_,
                "contractAddress": None,
                "status": "0x0" if self.reverts else "0x1",
                "logs": [] if self.reverts or not other["to"] else [log],
            }

    def take(self, one: dict[str, Any]) -> str | Error:
        key = one["from"].lower(), one["nonce"]
        if one["nonce"] < self.nonces.get(key[0], 0):
            return Error(-32000, "nonce too low")
        before = self.waiting.get(key)
        if before is not None and before["hash"] == one["hash"]:
            return Error(-32000, "already known")
        if before is not None and one["most"] < before["most"] * 11 // 10:
            return Error(-32000, "replacement transaction underpriced")
        self.waiting[key] = one
        if not self.holds:
            self.mine()
        return str(one["hash"])

    def block(self, tag: str) -> dict[str, Any] | None:
        if tag in ("latest", "pending"):
            return self.blocks[-1]
        number = int(tag, 16)
        return self.blocks[number] if number < len(self.blocks) else None

    def answer(self, method: str, params: list[Any]) -> Any:
        return getattr(self, method)(*params)

    def eth_chainId(self) -> str:  # noqa: N802
        return hex(self.chain_id)

    def eth_blockNumber(self) -> str:  # noqa: N802
        return hex(len(self.blocks) - 1)

    def eth_getBlockByNumber(self, tag: str, _full: bool) -> Any:  # noqa: N802
        return self.block(tag)

    def eth_getBlockByHash(self, hash_: str, _full: bool) -> Any:  # noqa: N802
        return next((block for block in self.blocks if block["hash"] == hash_), None)

    def eth_getBalance(self, _account: str, _tag: str) -> str:  # noqa: N802
        return hex(self.balance)

    def eth_getCode(self, _account: str, _tag: str) -> str:  # noqa: N802
        return "0x" + self.code.hex()

    def eth_call(self, _body: Any, _tag: str) -> str:
        return "0x" + self.answers_view.hex()

    def eth_getTransactionCount(self, account: str, tag: str) -> str:  # noqa: N802
        count = self.nonces.get(account.lower(), 0)
        while tag == "pending" and (account.lower(), count) in self.waiting:
            count += 1
        return hex(count)

    def eth_estimateGas(self, _body: Any, *_tag: str) -> str:  # noqa: N802
        return hex(50_000)

    def eth_maxPriorityFeePerGas(self) -> str:  # noqa: N802
        return hex(10**9)

    def eth_gasPrice(self) -> str:  # noqa: N802
        return hex(2 * 10**9)

    def eth_accounts(self) -> list[str]:
        return [OTHER.address]

    def eth_getLogs(self, wanted: dict[str, Any]) -> list[Any]:  # noqa: N802
        first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
        return [
            log
            for receipt in self.receipts.values()
            for log in receipt["logs"]
            if first <= int(log["blockNumber"], 16) <= last
        ]

    def eth_getTransactionReceipt(self, hash_: str) -> Any:  # noqa: N802
        return self.receipts.get(hash_)

    def eth_getTransactionByHash(self, hash_: str) -> Any:  # noqa: N802
        found = self.transactions.get(hash_)
        return found and {"from": found["from"], "input": found["data"]}

    def eth_sendTransaction(self, body: dict[str, Any]) -> Any:  # noqa: N802
        price = body.get("gasPrice", body.get("maxFeePerGas"))
        one = {
            "from": body["from"],
            "to": body.get("to"),
            "nonce": int(body["nonce"], 16),
            "value": int(body["value"], 16),
            "data": body["data"],
            "most": int(price, 16),
        }
        one["hash"] = "0x" + keccak(text=json.dumps(one)).hex()
        return self.take(one)

    def eth_sendRawTransaction(self, raw: str) -> Any:  # noqa: N802
        content = bytes.fromhex(raw[2:])
        if content[0] == 2:
            fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
            most = fields["maxFeePerGas"]
        else:
            from eth_account._utils.legacy_transactions import Transaction

            fields = Transaction.from_bytes(content).as_dict()
            most = fields["gasPrice"]
        return self.take(
            {
                "hash": "0x" + keccak(content).hex(),
                "from": Account.recover_transaction(raw),
                "to": "0x" + bytes(HexBytes(fields["to"])).hex(),
                "nonce": fields["nonce"],
                "value": fields["value"],
                "data": "0x" + bytes(HexBytes(fields["data"])).hex(),
                "most": most,
            }
        )


Rule = Callable[[str, list[Any], Callable[[], Any]], Any]


class Wire(Transport):
    """Carries questions to a fake chain; a rule may answer otherwise."""

    def __init__(self, chain: FakeChain) -> None:
        self.chain = chain
        self.rule: Rule = lambda _method, _params, forward: forward()
        self.asked: list[tuple[str, list[Any]]] = []
        self.timeout = 1.0

    def exchange(self, content: bytes) -> tuple[int, bytes, float]:
        request = json.loads(content)
        method, params = request["method"], request["params"]
        self.asked.append((method, params))
        found = self.rule(method, params, lambda: self.chain.answer(method, params))
        if isinstance(found, Cut):
            raise NothingError("the connection broke")
        if isinstance(found, Http):
            return found.status, found.body, 0.0
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        if isinstance(found, Error):
            answer["error"] = {"code": found.code, "message": found.message, "data": found.data}
            return found.status, json.dumps(answer).encode(), 0.0
        answer["result"] = found
        return 200, json.dumps(answer).encode(), 0.0

    def times(self, method: str) -> int:
        return sum(entry == method for entry, _ in self.asked)


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 1e-6)


def connect(monkeypatch: Any, *wires: Wire, **options: Any) -> RpcChain:
    """Return a chain behind these wires, whose clock is one of its own."""
    clock = Clock()
    for name in ("polling", "reading", "sending", "nodes"):
        monkeypatch.setattr(f"tradefl.settlement.chains.{name}.time", clock)
    left = iter(wires)

    def node(url: str, patience: float) -> Node:
        return Node(url, patience, next(left))

    monkeypatch.setattr(reading, "Node", node)
    options = {"signers": [KEY], "timeout": 20.0, **options}
    urls = [f"http://node{k}:8545" for k in range(len(wires))]
    chain = RpcChain(urls, **options)
    chain.clock = clock  # type: ignore[attr-defined]
    return chain
