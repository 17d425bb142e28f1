"""The compiled contracts as the package ships them; the sources are in ``contracts/``."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from tradefl.settlement.ethereum import keccak

# The two contracts that serve all rules; a rule names its own.
VAULT, FACTORY = "Vault", "Factory"
# Where compiled contracts are looked for, in this order.
FOLDERS = [files("tradefl.settlement").joinpath("artifact")]


@cache
def compiled(contract: str) -> dict[str, Any]:
    """Return a compiled contract by its name in Solidity: ABI and bytecode."""
    paths = [folder.joinpath(f"{contract}.json") for folder in FOLDERS]
    path = next((path for path in paths if path.is_file()), paths[0])
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document


@cache
def creation_bytecode(contract: str) -> bytes:
    """Return what creates a contract, without the arguments of its constructor."""
    return bytes.fromhex(compiled(contract)["bytecode"][2:])


@cache
def runtime_bytecode(contract: str) -> bytes:
    """Return the code of a contract on the chain; its immutable values are zeros here."""
    return bytes.fromhex(compiled(contract)["deployedBytecode"][2:])


@cache
def code_hash(contract: str) -> str:
    """Return the hash of the creation code without arguments, ``0x...``: what an annex names."""
    return "0x" + keccak(creation_bytecode(contract)).hex()
