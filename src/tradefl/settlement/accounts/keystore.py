"""Keys: encrypted keystore files, and the password that opens them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eth_account import Account

from tradefl.consortium.files import read_text
from tradefl.errors import InputError, Problem
from tradefl.foreign import parse_json, printable, read_bytes
from tradefl.settlement.chains import KeySigner
from tradefl.settlement.ethereum import checksum

KEY_BYTES = 2**20  # a key file has less than a thousandth
# Key files are made with a quarter of this memory, and a hundredth of these rounds.
SCRYPT_BYTES, SCRYPT_LANES, PBKDF2_ROUNDS = 2**30, 64, 10**8
PASSWORD_VARIABLE = "TRADEFL_KEYSTORE_PASSWORD"  # noqa: S105  a name, not a password


def keystore_accounts(folder: Path) -> dict[str, Path]:
    """Return the accounts of a folder of keystore files, and where each is; nothing is opened.

    Raises
    ------
    InputError
        There is no such folder, no keystore file in it, or two hold the same account.
    """
    if not folder.is_dir():
        raise InputError.at(folder, "expected a folder of keystore files")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        document = _keystore(path)
        if document is None:
            continue
        digits = str(document.get("address", "")).removeprefix("0x")
        if not re.fullmatch(r"[0-9a-fA-F]{40}", digits):
            # cast writes such files; without the address every key would have to be opened.
            raise InputError.at(path, 'expected the account in it: "address": "0x..."')
        address = checksum("0x" + digits)
        if address in found:
            raise InputError.at(path, f"holds the account of {found[address].name} too")
        found[address] = path
    if not found:
        raise InputError.at(folder, "holds no keystore file (JSON with 'crypto')")
    return found


def open_keystore(files: dict[str, Path], password: Callable[[], str]) -> list[KeySigner]:
    """Return the signers of these keystore files, all under one password.

    Raises
    ------
    InputError
        The password does not open some file, or the file is broken; all such files are named.
    """
    word = password()
    signers, problems = [], []
    for address, path in files.items():
        document = _keystore(path) or {}
        if not _has_modest_work(document):
            what = "asks for more memory or time than a key file needs; make a new one"
            problems.append(Problem(str(path), what))
            continue
        try:
            signer = KeySigner(Account.from_key(Account.decrypt(document, word)))
        # Depending on what is missing or malformed, eth-account raises almost anything, failed
        # assertions included.
        except Exception as error:
            wrong = "MAC" in str(error).upper()
            reason = printable(error, 200) or type(error).__name__
            what = "the password is wrong" if wrong else f"cannot be decrypted: {reason}"
            problems.append(Problem(str(path), what))
            continue
        if signer.address != address:
            problems.append(Problem(str(path), f"says {address}, but its key is another account's"))
        signers.append(signer)
    if problems:
        raise InputError(problems)
    return signers


def password_from(file: Path | None, prompt: Callable[[], str]) -> str:
    """Return the password: from a file, else from the environment, else from a prompt.

    The last line break of the file does not belong to it.
    """
    if file is not None:
        return read_text(file).removesuffix("\n").removesuffix("\r")
    from_environment = os.environ.get(PASSWORD_VARIABLE)
    return prompt() if from_environment is None else from_environment


def _keystore(path: Path) -> dict[str, Any] | None:
    """Return a keystore file's content; ``None`` for any other file."""
    try:
        document = parse_json(read_bytes(path, KEY_BYTES), path)
    except InputError:
        return None
    is_keystore = isinstance(document, dict) and "crypto" in {key.lower() for key in document}
    return {key.lower(): value for key, value in document.items()} if is_keystore else None


def _has_modest_work(document: dict[str, Any]) -> bool:
    """Return whether a password is tried in bounded memory and time; or not at all."""
    crypto = document.get("crypto")
    given = crypto.get("kdfparams") if isinstance(crypto, dict) else None
    if not isinstance(given, dict):
        return True  # it cannot be decrypted, and eth-account says so
    n, r, p, rounds = (given.get(key, 0) for key in ("n", "r", "p", "c"))
    if not all(isinstance(value, int) for value in (n, r, p, rounds)):
        return False
    return bool(128 * n * r <= SCRYPT_BYTES and p <= SCRYPT_LANES and rounds <= PBKDF2_ROUNDS)
