"""The organizations' public keys, as the nodes authenticate with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tradefl.errors import InputError, Problem


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
            key = load_ssh_public_key(path.read_bytes())
            pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        except FileNotFoundError:
            problems.append(Problem(str(path), "no such file: expected the organization's key"))
            continue
        except OSError as error:
            problems.append(Problem(str(path), f"cannot be read: {error.strerror}"))
            continue
        except (ValueError, UnsupportedAlgorithm) as error:
            problems.append(Problem(str(path), f"expected a public key of OpenSSH: {error}"))
            continue
        for other, known in keys.items():
            if known == pem:
                problems.append(Problem(str(path), f"is the key of {other!r} too"))
        keys[name] = pem
    if problems:
        raise InputError(problems)
    return keys
