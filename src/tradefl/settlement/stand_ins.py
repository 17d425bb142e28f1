"""Stand-in accounts: for organizations without an address, and for the embedded chain.

Their keys are derived from their numbers, so everybody knows them: they guard nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from tradefl.settlement.ethereum import keccak, settlement_extra


def stand_in_key(number: int) -> bytes:
    """Return the private key of a stand-in account."""
    return keccak(f"TradeFL stand-in account {number}".encode())


def stand_in(number: int) -> str:
    """Return the address of a stand-in account."""
    with settlement_extra("a stand-in account"):
        from eth_keys.datatypes import PrivateKey
    return str(PrivateKey(stand_in_key(number)).public_key.to_checksum_address())


def addresses_or_stand_ins(addresses: Sequence[str | None]) -> list[str]:
    """Return the organizations' addresses; stand-ins where the file has no address."""
    return [stand_in(i) if address is None else address for i, address in enumerate(addresses)]
