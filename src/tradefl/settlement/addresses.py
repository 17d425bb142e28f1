"""Where the contracts of an agreement are: derived from the agreement, never taken from a node.

A factory (``contracts/src/Factory.sol``) creates with CREATE2, so an address follows from the
factory, a salt and the creation code alone (EIP-1014). Anybody may call it, at any time: the result
is the same contract at the same address. The factory itself is created by an account whose key is
published here, as the first transaction of that account, so it has one address on every chain.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from tradefl.settlement.artifacts import FACTORY, creation_bytecode
from tradefl.settlement.ethereum import ZERO_ADDRESS, checksum, keccak, settlement_extra

# The chain of ``EmbeddedChain``; a test compares the two.
EMBEDDED_CHAIN_ID = 131277322940537


def create2(factory: str, salt: bytes, creation_code: bytes) -> str:
    """Return the address at which CREATE2 creates a contract (EIP-1014).

    Parameters
    ----------
    factory
        Address of the contract that creates.
    salt
        32 bytes.
    creation_code
        Bytecode and encoded arguments of the constructor.
    """
    if len(salt) != 32:
        raise ValueError(f"salt: expected 32 bytes, got {len(salt)}")
    packed = b"\xff" + bytes.fromhex(factory[2:]) + salt + keccak(creation_code)
    return checksum("0x" + keccak(packed)[12:].hex())


def create(sender: str, nonce: int) -> str:
    """Return the address of the contract that an account creates with this transaction count."""
    if not 0 <= nonce < 0x80:
        raise ValueError(f"nonce: expected 0 to 127, got {nonce}")
    # RLP of a list of 20 bytes and one that is a byte (zero is the empty string).
    packed = b"\xd6\x94" + bytes.fromhex(sender[2:]) + bytes([nonce or 0x80])
    return checksum("0x" + keccak(packed)[12:].hex())


def factory_deployer_key() -> bytes:
    """Return the published key of the account that creates the factory on every chain.

    It guards nothing: with it one can waste the account's first transaction on a chain, after which
    agreements for that chain must name a factory of their own. It depends on the factory's code, so
    each version of that code has an address of its own.
    """
    return keccak(b"TradeFL factory deployer " + keccak(creation_bytecode(FACTORY)))


def factory_deployer() -> str:
    """Return the account that creates the factory on every chain."""
    with settlement_extra("the factory's address"):
        from eth_keys.datatypes import PrivateKey
    return str(PrivateKey(factory_deployer_key()).public_key.to_checksum_address())


def default_factory() -> str:
    """Return the address of the factory of an agreement that names no other."""
    return create(factory_deployer(), 0)


def default_series(
    chain_id: int, factory: str, names: Sequence[str], accounts: Sequence[str]
) -> str:
    """Return the series of a consortium on a chain: 32 bytes, ``0x...``.

    Agreements of one series share a vault. It is the hash of the canonical JSON of chain, factory,
    names and accounts.
    """
    document = [
        chain_id,
        checksum(factory),
        list(names),
        [checksum(account) for account in accounts],
    ]
    packed = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return "0x" + keccak(packed).hex()


def vault_code(bytecode: bytes, token: str = ZERO_ADDRESS) -> bytes:
    """Return the creation code of a vault for one currency; the zero address is the chain's own."""
    return bytecode + bytes(12) + bytes.fromhex(token[2:])


def settlement_salt(agreement_hash: str, round_: int, attempt: int) -> bytes:
    """Return ``keccak256(abi.encode(bytes32 hash, uint64 round, uint64 attempt))``."""
    words = round_.to_bytes(32, "big") + attempt.to_bytes(32, "big")
    return keccak(bytes.fromhex(agreement_hash[2:]) + words)
