"""The journal: what an account has signed, kept where it survives the process.

A deposit owns one nonce. Its signed transaction is stored before it is sent; every repeat and
every rise of the fee uses that nonce, and no other deposit is signed for that agreement until the
money is back. So a node that lies can make an account pay one bond at most, whatever it answers
and however often the command is run again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from tradefl.errors import InputError, Parameter
from tradefl.foreign import parse_json, read_bytes
from tradefl.settlement.chains.fees import Offer
from tradefl.settlement.contract import ChainError

SCHEMA = "tradefl/journal/1"
# The chain id of anvil and hardhat. Such a chain often restarts with the same accounts,
# so there the first block is a part of the chain's identity. Elsewhere it is not: a node that
# shows another first block must not make the journal forget a deposit.
DEVELOPMENT = 31337


@dataclasses.dataclass(frozen=True)
class Signed:
    """One signature under a transaction.

    Attributes
    ----------
    hash
        ``0x...``; empty for one that a node has signed and whose answer was lost.
    raw
        The signed transaction, ``0x...``; empty if a node signs.
    offer
        What it offers per gas.
    """

    hash: str
    raw: str
    offer: Offer


@dataclasses.dataclass
class Sending:
    """A transaction on its way: everything but its fee is fixed.

    Attributes
    ----------
    nonce, to, value, data, gas
        The transaction's fields; ``to`` is empty for a deployment, ``value`` is in wei.
    call
        What it is for, for messages.
    signed
        Every signature under it, oldest first.
    """

    nonce: int
    to: str
    value: int
    data: str
    gas: int
    call: str
    signed: list[Signed] = dataclasses.field(default_factory=list)

    def does(self, other: Sending) -> bool:
        """Return whether two transactions do the same, whatever their nonce and fee."""
        return (self.to, self.value, self.data) == (other.to, other.value, other.data)


@dataclasses.dataclass
class Deposit:
    """A deposit that was signed for an agreement.

    Attributes
    ----------
    sending
        The transaction that carries it.
    returned
        Whether the money is back: a new one may be signed.
    first_block
        The hash of the chain's first block when it was signed.
    """

    sending: Sending
    returned: bool = False
    first_block: str = ""


class Book:
    """What one account has signed on one chain.

    Attributes
    ----------
    waiting
        The transactions that may still be waiting for a block, by nonce.
    deposits
        The deposits, by agreement.
    path
        The file that holds it; ``None``: only this process's memory.
    """

    def __init__(self, path: Path | None, chain_id: int, account: str) -> None:
        self.path, self.chain_id, self.account = path, chain_id, account
        self.waiting: dict[int, Sending] = {}
        self.deposits: dict[str, Deposit] = {}
        self.made_here: set[str] = set()  # agreements deposited for by this process

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return self.account if self.path is None else str(self.path)

    def at(self, nonce: int) -> Sending | None:
        """Return the transaction that was signed with a nonce; ``None``: none was."""
        if nonce in self.waiting:
            return self.waiting[nonce]
        for deposit in self.deposits.values():
            if deposit.sending.nonce == nonce and deposit.sending.signed and not deposit.returned:
                return deposit.sending
        return None

    def save(self) -> None:
        """Write it to the disk before anything that it records happens.

        Raises
        ------
        ChainError
            The file cannot be written.
        """
        if self.path is None:
            return
        document = {
            "schema": SCHEMA,
            "chain_id": self.chain_id,
            "account": self.account,
            "waiting": [dataclasses.asdict(sending) for sending in self.waiting.values()],
            "deposits": {
                key: dataclasses.asdict(deposit) for key, deposit in self.deposits.items()
            },
        }
        try:
            _write(self.path, json.dumps(document, indent=1).encode())
        except OSError as error:
            raise ChainError(
                self.path,
                f"the journal cannot be written: {error.strerror}; nothing is signed without it",
            ) from None

    def load(self) -> None:
        """Read it from the disk; an account without a file has signed nothing.

        Raises
        ------
        ChainError
            The file is not a journal of this account.
        """
        if self.path is None:
            return
        try:
            self.path.lstat()
        except FileNotFoundError:
            self.waiting, self.deposits = {}, {}
            return
        except OSError as error:
            raise ChainError(self.path, f"the journal cannot be read: {error.strerror}") from None
        try:
            content = read_bytes(self.path)
        except InputError as error:  # a link to nowhere is not "nothing was signed", either
            what = f"the journal cannot be read: {error.problems[0].message}"
            raise ChainError(self.path, what) from None
        try:
            document = parse_json(content, self.path)
            if (document["schema"], document["chain_id"], document["account"]) != (
                SCHEMA,
                self.chain_id,
                self.account,
            ):
                raise ValueError
            self.waiting = {sending["nonce"]: _sending(sending) for sending in document["waiting"]}
            self.deposits = {
                key: Deposit(
                    _sending(deposit["sending"]), deposit["returned"], deposit["first_block"]
                )
                for key, deposit in document["deposits"].items()
            }
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ChainError(
                self.path,
                f"expected the journal ({SCHEMA}) of {self.account} on chain {self.chain_id}; "
                "restore the file from a copy. Without it nobody knows whether a deposit is on "
                "its way",
            ) from None


def _sending(document: dict[str, Any]) -> Sending:
    signed = [
        Signed(str(signed["hash"]), str(signed["raw"]), _offer(signed["offer"]))
        for signed in document["signed"]
    ]
    numbers = {name: _whole(document[name]) for name in ("nonce", "value", "gas")}
    texts = {name: _text(document[name]) for name in ("to", "data", "call")}
    return Sending(**numbers, **texts, signed=signed)  # type: ignore[arg-type]


def _offer(document: dict[str, Any]) -> Offer:
    priority = document["priority"]
    return Offer(_whole(document["most"]), None if priority is None else _whole(priority))


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


class Journal:
    """The journals of the accounts of this machine, in a folder or in memory.

    Parameters
    ----------
    folder
        Where they are, one file for each chain and account, readable for their owner alone;
        ``None``: in the memory of this process, which forgets them when it ends.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._books: dict[tuple[str, str], Book] = {}

    @classmethod
    def open(cls, state: Path | None = None) -> Journal:
        """Return the journal of a state folder, which is created if it does not exist.

        Parameters
        ----------
        state
            The folder; default: that of the user (on Linux ``~/.local/state/tradefl``).

        Raises
        ------
        InputError
            The folder cannot be written.
        """
        chosen = platformdirs.user_state_path("tradefl") if state is None else state
        folder = chosen / "journal"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise InputError.at(
                Parameter("state"),
                f"{chosen} cannot be written: {error.strerror}. A deposit is signed only where it "
                "can be recorded; choose a folder of your own as `state`",
            ) from None
        return cls(folder)

    @contextlib.contextmanager
    def book(
        self, chain_id: int, account: str, first_block: str, patience: float
    ) -> Iterator[Book]:
        """Return what an account has signed, locked against other processes of this machine.

        Parameters
        ----------
        chain_id, account
            Whose journal.
        first_block
            The hash of the chain's first block.
        patience
            How long to wait for another process that uses the account, seconds.

        Raises
        ------
        ChainError
            Another process uses the account, or the file is not a journal.
        """
        chain = str(chain_id)
        if chain_id == DEVELOPMENT:
            chain += "-" + first_block.removeprefix("0x")[:16]
        key = (chain, account)
        if key not in self._books:
            path = None if self.folder is None else self.folder / chain / f"{account}.json"
            self._books[key] = Book(path, chain_id, account)
        book = self._books[key]
        if book.path is None:
            yield book
            return
        try:
            book.path.parent.mkdir(mode=0o700, exist_ok=True)
            lock = FileLock(book.path.with_suffix(".lock"), mode=0o600)
            lock.acquire(timeout=patience)
        except Timeout:
            raise ChainError(
                account, "another process uses this account; wait until it has ended"
            ) from None
        except OSError as error:
            raise ChainError(book.path, f"cannot be locked: {error.strerror}") from None
        try:
            book.load()
            yield book
        finally:
            lock.release()


def _write(path: Path, content: bytes) -> None:
    """Replace a file in one step that survives a crash; only its owner may read it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")  # of mode 0600
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
