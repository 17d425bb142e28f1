"""Keys: encrypted keystore files, and the password that opens them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic_core
from eth_account import Account

from tradefl.consortium.files import read_text
from tradefl.errors import InputError, Problem
from tradefl.settlement.agreement import checksum
from tradefl.settlement.chains import KeySigner

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
        try:
            signer = KeySigner(Account.from_key(Account.decrypt(_keystore(path) or {}, word)))
        # What eth-account raises depends on which part of the file is missing or malformed.
        except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as error:
            wrong = "MAC" in str(error).upper()
            what = "the password is wrong" if wrong else f"cannot be decrypted: {error}"
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
        document = pydantic_core.from_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    is_keystore = isinstance(document, dict) and "crypto" in {key.lower() for key in document}
    return {key.lower(): value for key, value in document.items()} if is_keystore else None
