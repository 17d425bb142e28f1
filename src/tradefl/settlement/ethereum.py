"""What the settlement needs of Ethereum: hashes, and addresses as people type them."""

from __future__ import annotations

import re

from tradefl.errors import InputError, MissingExtraError

ZERO_ADDRESS = "0x" + 40 * "0"


class settlement_extra:  # noqa: N801  it reads as a verb
    """Tell the user what to install where an import of the settlement extra fails."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        """Enter the imports."""

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Turn a missing module into the line that installs it."""
        if isinstance(error, ImportError):
            raise MissingExtraError(self.what, "settlement") from None


def keccak(data: bytes) -> bytes:
    """Return the Keccak-256 hash, as Ethereum computes it."""
    with settlement_extra("Keccak-256"):
        from eth_utils.crypto import keccak as keccak256
    return keccak256(data)


def checksum(address: str) -> str:
    """Return an address with the capitals that guard it against typing errors (EIP-55)."""
    with settlement_extra("an address"):
        from eth_utils.address import to_checksum_address
    return str(to_checksum_address(address))


def parsed_address(place: str, address: str) -> str:
    """Return an address that somebody typed, with checksum capitals.

    Raises
    ------
    InputError
        It has capitals, and they do not fit its digits.
    """
    account = checksum(address)
    digits = address[2:]
    if address != account and digits not in (digits.lower(), digits.upper()):
        what = "its capitals do not fit its digits (EIP-55), so one of them is a typing error"
        raise InputError.at(place, f"{what}: {address}")
    return account


def parsed_hash(text: str) -> str | None:
    """Return a hash of 32 bytes that somebody typed, as ``0x...``; ``None`` if it is not one."""
    if re.fullmatch(r"(0[xX])?[0-9a-fA-F]{64}", text):
        return "0x" + text[-64:].lower()
    return None
