"""The contracts as the package ships them: ABI, bytecode, and what their reverts mean.

There is one for each rule, with one life cycle: names that both have mean the same in both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from enum import IntEnum
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import (
    collapse_if_tuple,
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
)

from tradefl.errors import InputError, Problem, place_of
from tradefl.settlement.artifacts import (
    FACTORY,
    VAULT,
    compiled,
    creation_bytecode,
    runtime_bytecode,
)
from tradefl.settlement.encoding import CONSTRUCTOR, TERMS
from tradefl.settlement.ethereum import checksum, keccak
from tradefl.settlement.rules import RULES, LinearTerms


class Phase(IntEnum):
    """``ITradeFL.Phase``."""

    DRAFTING = 0
    JOINING = 1
    OPEN = 2
    RECORDED = 3
    CALCULATED = 4
    SETTLED = 5
    CANCELLED = 6

    @property
    def final(self) -> bool:
        """Whether only withdrawals remain."""
        return self in (Phase.SETTLED, Phase.CANCELLED)


class ChainError(InputError):
    """The chain, the node or an account is not as the settlement needs it."""

    def __init__(self, place: object, message: str) -> None:
        super().__init__([Problem(place_of(place), message)])


class RevertedError(ChainError):
    """The contract refused a call; ``name`` is its custom error."""

    def __init__(self, call: str, name: str, arguments: dict[str, Any]) -> None:
        self.name, self.arguments = name, arguments
        shown = ", ".join(f"{key} = {value}" for key, value in arguments.items())
        super().__init__(call, f"the contract refuses: {name}({shown})")


@dataclasses.dataclass(frozen=True)
class Event:
    """One event of the contract, decoded.

    Attributes
    ----------
    name
        As in ``ITradeFL``.
    arguments
        By name; addresses with checksum capitals, bytes as ``bytes``.
    transaction
        The hash of the transaction that emitted it, ``0x...``.
    block
        The number of its block.
    index
        Its place among the events of the block.
    block_hash
        The hash of the block, ``0x...``.
    """

    name: str
    arguments: dict[str, Any]
    transaction: str
    block: int
    index: int
    block_hash: str = ""


@dataclasses.dataclass(frozen=True)
class Deployment:
    """What a contract of ours was deployed with.

    Attributes
    ----------
    rule
        Whose contract it is: ``linear`` or ``efficient``.
    terms
        ``ITradeFL.Terms``, in its order.
    organization_hashes, pair_hashes
        The hash of each block of the two lists.
    """

    rule: str
    terms: tuple[Any, ...]
    organization_hashes: Sequence[bytes]
    pair_hashes: Sequence[bytes]


def artifact(rule: str = LinearTerms.name) -> dict[str, Any]:
    """Return the compiled contract of a rule; the sources are in ``contracts/``."""
    return compiled(RULES[rule].contract)


@cache
def _entries(kind: str) -> dict[str, dict[str, Any]]:
    """Return what any of the contracts has, by name; a name means the same in all of them."""
    return {
        entry["name"]: entry
        for contract in (FACTORY, VAULT, *(rule.contract for rule in RULES.values()))
        for entry in compiled(contract)["abi"]
        if entry["type"] == kind
    }


def _selector(entry: dict[str, Any]) -> bytes:
    return bytes(function_abi_to_4byte_selector(entry))  # type: ignore[arg-type]


def _topic(entry: dict[str, Any]) -> bytes:
    return bytes(event_abi_to_log_topic(entry))  # type: ignore[arg-type]


def _types(parameters: list[dict[str, Any]]) -> list[str]:
    return [collapse_if_tuple(parameter) for parameter in parameters]


def deployment(code: bytes) -> Deployment | None:
    """Return what a creation deploys; ``None``: not our bytecode, of neither rule."""
    for rule, terms_of_rule in RULES.items():
        bytecode = creation_bytecode(terms_of_rule.contract)
        if code.startswith(bytecode):
            _, terms, *lists = decode(CONSTRUCTOR, code[len(bytecode) :])
            return Deployment(rule, terms, *map(list, lists))
    return None


def drafted_by(event: dict[str, Any]) -> Deployment | None:
    """Return what a contract was deployed with, by its ``AgreementDrafted``.

    ``None``: the hash of the event is not that of any rule.
    """
    terms = tuple(event["terms"].values())
    lists = [list(event["organizationBlocks"]), list(event["pairBlocks"])]
    for rule in RULES.values():
        types, values = zip(*rule.hashed, strict=True) if rule.hashed else ((), ())
        encoded = encode([*types, TERMS, "bytes32[]", "bytes32[]"], [*values, terms, *lists])
        if keccak(encoded) == event["agreementHash"]:
            lowered = [term.lower() if isinstance(term, str) else term for term in terms]
            return Deployment(rule.name, tuple(lowered), *lists)
    return None


def runs(contract: str, code: bytes) -> bool:
    """Return whether code on the chain is that of one of our contracts, immutable values aside."""
    expected = runtime_bytecode(contract)
    return len(code) == len(expected) and _without_immutables(contract, code) == expected


def _without_immutables(contract: str, code: bytes) -> bytes:
    """Return code with zeros where the constructor has written values."""
    bare = bytearray(code)
    for start, length in compiled(contract)["immutables"]:
        bare[start : start + length] = bytes(length)
    return bytes(bare)


def encoded_call(name: str, *arguments: Any) -> bytes:
    """Return the calldata of a call."""
    entry = _entries("function")[name]
    return _selector(entry) + encode(_types(entry["inputs"]), arguments)


def called(data: bytes) -> tuple[str, dict[str, Any]] | None:
    """Return the function that calldata calls, and its arguments by name."""
    for name, entry in _entries("function").items():
        if data[:4] == _selector(entry):
            try:
                return name, _decoded(entry["inputs"], data[4:])
            except (DecodingError, ValueError):
                return None
    return None


def decoded_result(name: str, data: bytes) -> Any:
    """Return what a call returned; several values or a struct as a dictionary by name."""
    outputs = _entries("function")[name]["outputs"]
    values = _decoded(outputs, data)
    return values if len(outputs) > 1 else next(iter(values.values()))


def decoded_event(topics: list[bytes], data: bytes) -> tuple[str, dict[str, Any]] | None:
    """Return an event's name and arguments; ``None`` if it is not one of the contract's."""
    for name, entry in _entries("event").items():
        if topics and topics[0] == _topic(entry):
            indexed = [input_ for input_ in entry["inputs"] if input_["indexed"]]
            plain = [input_ for input_ in entry["inputs"] if not input_["indexed"]]
            try:
                found = _decoded(indexed, b"".join(topics[1:])) | _decoded(plain, data)
            except (DecodingError, ValueError):
                return None  # of another contract, with the same topic
            return name, {input_["name"]: found[input_["name"]] for input_ in entry["inputs"]}
    return None


def topic(event: str) -> bytes:
    """Return the topic that marks an event of this name."""
    return _topic(_entries("event")[event])


def reverted(call: str, data: bytes) -> RevertedError:
    """Return the error that revert data encodes."""
    for name, entry in _entries("error").items():
        if data[:4] == _selector(entry):
            return RevertedError(call, name, _decoded(entry["inputs"], data[4:]))
    if data[:4] == bytes.fromhex("08c379a0"):
        return RevertedError(call, "Error", {"reason": decode(["string"], data[4:])[0]})
    if data[:4] == bytes.fromhex("4e487b71"):
        return RevertedError(call, "Panic", {"code": decode(["uint256"], data[4:])[0]})
    return RevertedError(call, "revert", {"data": "0x" + data.hex()} if data else {})


def _decoded(parameters: list[dict[str, Any]], data: bytes) -> dict[str, Any]:
    """Return ABI-encoded values by name, structs as dictionaries."""
    try:
        values = decode(_types(parameters), data)
    except OverflowError as error:  # a pointer to beyond any memory
        raise DecodingError(str(error)) from None
    return {
        parameter["name"]: _named(parameter, value)
        for parameter, value in zip(parameters, values, strict=True)
    }


def _named(parameter: dict[str, Any], value: Any) -> Any:
    if parameter["type"] == "tuple":
        return {
            component["name"]: _named(component, part)
            for component, part in zip(parameter["components"], value, strict=True)
        }
    return checksum(value) if parameter["type"] == "address" else value
