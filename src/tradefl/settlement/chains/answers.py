"""What a node answers: the errors that it can mean, in words that carry no password."""

from __future__ import annotations

import ast
import re

from eth_typing import ChecksumAddress
from web3 import Web3

from tradefl.settlement.contract import ChainError


class RefusedError(ChainError):
    """The node answered with an error."""

    @property
    def is_overtaken(self) -> bool:
        """Whether another transaction of the account, by another process, waits in its place."""
        return "underpriced" in str(self).lower()

    @property
    def is_known(self) -> bool:
        """Whether the node refuses because it has the transaction already, or another instead."""
        known = ("already known", "known transaction", "already imported", "nonce too low")
        return any(words in str(self).lower() for words in known)


class NoAnswerError(ChainError):
    """The node did not answer, or took no transaction; it may later."""


class StateChangedError(Exception):
    """What was read of the chain is out of date: read again, and go on from there."""


def account_of(address: str) -> ChecksumAddress:
    """Return an address as web3 takes it."""
    return Web3.to_checksum_address(address)


def hex_of(data: bytes) -> str:
    """Return bytes as 0x and digits."""
    return "0x" + bytes(data).hex()


def reason_of(error: BaseException) -> str:
    """Return an error in one line, without a password that an address might carry."""
    text = str(error).strip() or type(error).__name__
    return anonymous(" ".join(text.split()))[:300]


def outage_of(error: BaseException) -> str:
    """Return why a node did not answer, in a few words."""
    text = reason_of(error)
    for words, meaning in (
        ("Connection refused", "connection refused; is it running?"),
        ("timed out", "timed out"),
        ("No such file", "no such socket; is it running?"),
        ("Name or service not known", "there is no such host"),
    ):
        if words in text:
            return meaning
    return text


def anonymous(text: str) -> str:
    """Return text without the user and password of any URL in it."""
    return re.sub(r"//\S*@", "//", text)


def revert_data(error: BaseException) -> bytes:
    """Return what a revert carried, from the error of whichever backend reports it."""
    candidates = [getattr(error, "data", None), *error.args]
    for one in candidates:
        if isinstance(one, bytes):
            return one
        if isinstance(one, str) and re.fullmatch(r"0x([0-9a-fA-F]{2})*", one):
            return bytes.fromhex(one[2:])
        # eth-tester puts the bytes into its sentence as Python would print them.
        if isinstance(one, str) and (printed := re.search(r"b(['\"]).*\1$", one, re.DOTALL)):
            return bytes(ast.literal_eval(printed[0]))
    return b""
