"""What a node's answer means: retry, ask for less, or final; and the types of the answers.

A node answers with a value, an error object, an HTTP status, or not at all. Every answer that is
not the value that was asked for gets one of three verdicts here, whatever the method and the
provider. The patterns are plain words in a short, cut text, so no answer can make them slow.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

from tradefl.settlement.contract import ChainError
from tradefl.settlement.ethereum import checksum

T = TypeVar("T")

SHOWN = 300  # characters of a text from outside
MAX_TIME = 1 << 40  # seconds: the contracts keep deadlines in 40 bits


class RefusedError(ChainError):
    """The node answered with an error."""

    @property
    def is_overtaken(self) -> bool:
        """Whether another transaction of the account already has this nonce."""
        return "replacement" in self._text and "underpriced" in self._text

    @property
    def is_underpriced(self) -> bool:
        """Whether the node takes no transaction with so low a fee."""
        return any(words in self._text for words in _UNDERPRICED) and not self.is_overtaken

    @property
    def is_known(self) -> bool:
        """Whether the node refuses because it has the transaction already, or another instead."""
        return any(words in self._text for words in _KNOWN)

    @property
    def _text(self) -> str:
        return str(self).lower()


class AskLessError(RefusedError):
    """The node refuses because the answer would be too large; a part of it may be answered."""


class RevertedAnswer(RefusedError):  # noqa: N818  an answer, not a fault
    """The node reports that the contract reverts; ``data`` is what the revert carries."""

    def __init__(self, place: object, message: str, data: bytes) -> None:
        super().__init__(place, message)
        self.data = data


class NoAnswerError(ChainError):
    """The node did not answer, or accepted no transaction; it may later."""


class BehindError(NoAnswerError):
    """The node answers, and only that it does not have yet what it was asked for."""


class UnexpectedAnswerError(ChainError):
    """The answer is not of the type that the method returns."""


class MissingLogsError(ChainError):
    """The node does not keep logs that its own other answers prove."""


class DisagreementError(ChainError):
    """Two nodes answer the same question about the same block differently."""


class StateChangedError(Exception):
    """What was read of the chain is out of date: read it again and continue from there."""


# --- verdicts ------------------------------------------------------------------------------------


class Verdict(Enum):
    """What to do after an answer that is not the value."""

    RETRY = "retry"
    LESS = "ask for less"
    FINAL = "final"


class Reason(Enum):
    """Why an answer is asked for again; it decides for how long."""

    OUTAGE = "no answer"  # nothing came back: as long as an outage may last
    BUSY = "busy"  # a rate limit or an overload: as long as an outage may last
    BEHIND = "behind"  # a node that lags, syncs or indexes: for a short while
    DOUBT = "doubt"  # an error that nobody knows: a few times
    SHAPE = "shape"  # not of the type that was expected: a few times
    NONE = ""


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A verdict, and the words for an error if it comes to one."""

    verdict: Verdict
    text: str
    reason: Reason = Reason.NONE
    revert: bytes | None = None


_REVERT = ("revert", "vm exception", "vm execution error", "invalid opcode", "bad instruction")
# An old geth answers an estimate so, without saying what the contract answered.
ALWAYS_FAILING = ("always failing transaction", "gas required exceeds allowance")
_RATE = (
    "rate limit", "rate-limit", "ratelimit", "rate limited", "too many requests", "request limit",
    "requests per", "throughput", "compute units", "throttl", "try again", "slow down", "overload",
    "capacity", "server is busy", "request count exceeded",
)  # fmt: skip
_RATE_CODES = {-32005, -32007, -32029, -32097, 429}
_LESS = (
    "range", "more than", "results", "too many logs", "too many blocks", "response size",
    "too large", "too big", "too wide", "limited to", "query timeout", "exceeds max", "maximum",
    "exceed", "payload",
)  # fmt: skip
_BEHIND = (
    "header not found", "header for hash not found", "unknown block", "block not found",
    "could not find block", "missing trie node", "no state available", "state is not available",
    "state not available", "world state", "in the future", "beyond current head", "beyond head",
    "greater than latest", "higher than", "out of range", "blockoutofrange", "indexing", "syncing",
    "not yet available", "is not ready", "not ready", "not synced", "unknown ancestor",
)  # fmt: skip
_UNDERPRICED = (
    "underpriced", "below configured minimum", "below the minimum", "price too low", "fee too low",
    "tip too low", "feetoolow", "less than block base fee", "less than the block base fee",
    "minimum needed",
)  # fmt: skip
_KNOWN = (
    "already known", "alreadyknown", "known transaction", "already imported", "already exists",
    "nonce too low", "noncetoolow", "nonce is too low", "oldnonce", "old nonce",
)  # fmt: skip
_LAST_WORD = (
    *_UNDERPRICED, *_KNOWN, "insufficient", "nonce", "intrinsic gas", "gas limit", "invalid sender",
    "unauthorized", "forbidden", "denied", "not supported", "unsupported", "does not exist",
    "not found", "not available", "invalid", "too many arguments", "unknown account", "locked",
    "authentication", "chain id", "chainid", "exceeds the configured cap", "allowance",
    "always failing",
)  # fmt: skip
_LAST_CODES = {-32601, -32602, -32004}
_WORDS_END = 2_000  # of a message that is searched for words


def judge_error(method: str, error: Any, status: int = 200, *, pending: bool = False) -> Judgement:
    """Return what a JSON-RPC error object means for a method.

    Parameters
    ----------
    method
        The JSON-RPC method that was called.
    error
        The value of ``error`` in the answer.
    status
        The HTTP status that came with it.
    pending
        Whether the call was about the pending block, which not every node has.
    """
    code = error.get("code") if isinstance(error, dict) else None
    said = error.get("message") if isinstance(error, dict) else error
    text = said if isinstance(said, str) else type(said).__name__ if said is not None else ""
    words = text[:_WORDS_END].lower()
    shown = cut(text) or f"error {code}"
    data = error.get("data") if isinstance(error, dict) else None
    if code == 3 or any(phrase in words for phrase in _REVERT):
        return Judgement(Verdict.FINAL, shown, revert=revert_data(data, text))
    rate = any(phrase in words for phrase in _RATE)
    if method == "eth_getLogs" and code != -32601 and status not in (401, 403, 404):
        if rate or status == 429 or (code in _RATE_CODES and not any(w in words for w in _LESS)):
            return Judgement(Verdict.RETRY, shown, Reason.BUSY)
        if any(phrase in words for phrase in _BEHIND) and "range" not in words:
            return Judgement(Verdict.RETRY, shown, Reason.BEHIND)
        return Judgement(Verdict.LESS, shown)
    if rate or code in _RATE_CODES or status == 429:
        return Judgement(Verdict.RETRY, shown, Reason.BUSY)
    if code not in _LAST_CODES and not pending and any(phrase in words for phrase in _BEHIND):
        return Judgement(Verdict.RETRY, shown, Reason.BEHIND)
    if status == 413:
        return Judgement(Verdict.LESS, shown)
    if pending or code in _LAST_CODES or any(phrase in words for phrase in _LAST_WORD):
        return Judgement(Verdict.FINAL, shown)
    if status in _BUSY_STATUS:
        return Judgement(Verdict.RETRY, shown, Reason.BUSY)
    return Judgement(Verdict.RETRY, shown, Reason.DOUBT)


_BUSY_STATUS = {408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}


def judge_status(method: str, status: int) -> Judgement:
    """Return what an HTTP status means where the body holds no JSON-RPC error."""
    text = f"HTTP status {status}"
    if 300 <= status < 400:
        return Judgement(Verdict.FINAL, text + ", a redirect; give the address that it leads to")
    if method == "eth_getLogs" and status in (400, 413, 414, 504):
        return Judgement(Verdict.LESS, text)
    if status == 413:
        return Judgement(Verdict.LESS, text)
    if status in _BUSY_STATUS:
        return Judgement(Verdict.RETRY, text, Reason.BUSY)
    return Judgement(Verdict.FINAL, text)


# --- values --------------------------------------------------------------------------------------

Parse = Callable[[Any], T]


def quantity(value: Any) -> int:
    """Return a number: ``0x`` and at most 64 hexadecimal digits."""
    if not isinstance(value, str) or not re.fullmatch(r"0x[0-9a-fA-F]{1,64}", value):
        raise TypeError("a number")
    return int(value, 16)


def data(value: Any) -> bytes:
    """Return bytes: ``0x`` and pairs of hexadecimal digits."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise TypeError("bytes")
    try:
        return bytes.fromhex(value[2:])
    except ValueError:
        raise TypeError("bytes") from None


def word(value: Any) -> bytes:
    """Return 32 bytes, such as a hash or a topic."""
    found = data(value)
    if len(found) != 32:
        raise TypeError("32 bytes")
    return found


def address(value: Any) -> str:
    """Return an account with checksum capitals."""
    if len(found := data(value)) != 20:
        raise TypeError("an address")
    return checksum("0x" + found.hex())


def record(value: Any) -> dict[str, Any]:
    """Return an object."""
    if not isinstance(value, dict):
        raise TypeError("an object")
    return value


def items(value: Any) -> list[Any]:
    """Return a list."""
    if not isinstance(value, list):
        raise TypeError("a list")
    return value


def accounts(value: Any) -> list[str]:
    """Return a list of accounts."""
    return [address(item) for item in items(value)]


@dataclasses.dataclass(frozen=True)
class Block:
    """A block's header.

    Attributes
    ----------
    number, hash
        Which block; the hash as ``0x...``. Both are empty for a pending block.
    seconds
        Its time, seconds since 1970.
    gas_limit
        How much gas its transactions may use together.
    base_fee
        wei per gas that every transaction pays; ``None`` before London.
    transactions
        How many transactions it holds.
    """

    number: int
    hash: str
    seconds: int
    gas_limit: int
    base_fee: int | None
    transactions: int = 0


def block(value: Any) -> Block:
    """Return a block's header."""
    found = record(value)
    number, hash_, base = found.get("number"), found.get("hash"), found.get("baseFeePerGas")
    return Block(
        number=0 if number is None else quantity(number),
        hash="" if hash_ is None else "0x" + word(hash_).hex(),
        seconds=quantity(found.get("timestamp")),
        gas_limit=quantity(found.get("gasLimit")),
        base_fee=None if base is None else quantity(base),
        transactions=len(items(found.get("transactions", []))),
    )


@dataclasses.dataclass(frozen=True)
class Log:
    """An event as a node answers it."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes
    transaction: str
    block: int
    index: int
    block_hash: str


def log(value: Any) -> Log:
    """Return a log of a block."""
    found = record(value)
    topics = tuple(word(item) for item in items(found.get("topics")))
    if len(topics) > 4:
        raise TypeError("at most four topics")
    return Log(
        address=address(found.get("address")),
        topics=topics,
        data=data(found.get("data")),
        transaction="0x" + word(found.get("transactionHash")).hex(),
        block=quantity(found.get("blockNumber")),
        index=quantity(found.get("logIndex")),
        block_hash="0x" + word(found.get("blockHash")).hex(),
    )


def logs(value: Any) -> list[Log]:
    """Return the logs that are in a block; those that a reorganization removed are left out."""
    return [
        log(item)
        for item in items(value)
        if not (isinstance(item, dict) and (item.get("removed") or item.get("blockNumber") is None))
    ]


# --- texts ---------------------------------------------------------------------------------------


def cut(text: str) -> str:
    """Return a text from outside on one line: cut, and without control characters."""
    line = " ".join(text[:_WORDS_END].split())
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in line)[
        :SHOWN
    ]


def revert_data(value: Any, message: str = "") -> bytes:
    """Return what a revert carries, wherever the node puts it."""
    candidates = [value, message[:_WORDS_END].rpartition(" ")[2]]
    if isinstance(value, dict):  # hardhat, and older ganaches
        candidates += [value.get("data"), value.get("result")]
    for candidate in candidates:
        if isinstance(candidate, str):
            digits = candidate.removeprefix("Reverted ").strip()
            if re.fullmatch(r"0x([0-9a-fA-F]{2})*", digits):
                return bytes.fromhex(digits[2:])
    return b""
