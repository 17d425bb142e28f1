"""The organizations' public keys, as the nodes authenticate with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tradefl.errors import InputError, Problem
from tradefl.foreign import printable, read_bytes

KEY_BYTES = 2**16  # the longest RSA key has a tenth


def public_keys(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Return each organization's public key, as a SuperLink reports it.

    Parameters
    ----------
    folder
        Holds ``<organization>.pub`` for each, in OpenSSH's format: the file that was registered
        at the SuperLink.
    names
        The organizations.

    Raises
    ------
    InputError
        A file is missing or holds no public key, or two organizations have the same.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_ssh_public_key,
    )

    keys: dict[str, bytes] = {}
    problems = []
    for name in names:
        path = folder / f"{name}.pub"
        try:
            key = load_ssh_public_key(read_bytes(path, KEY_BYTES))
            pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        except InputError as error:
            (problem,) = error.problems
            lacks = problem.message == "no such file"
            what = "no such file: expected the organization's key" if lacks else problem.message
            problems.append(Problem(str(path), what))
            continue
        except (ValueError, UnsupportedAlgorithm, NotImplementedError) as error:
            # The last: a compressed point, which the format does not have.
            problems.append(
                Problem(str(path), f"expected a public key of OpenSSH: {printable(error, 200)}")
            )
            continue
        for other, known in keys.items():
            if known == pem:
                problems.append(Problem(str(path), f"is the key of {other!r} too"))
        keys[name] = pem
    if problems:
        raise InputError(problems)
    return keys
