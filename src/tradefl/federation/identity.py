"""Which code a process runs: the version of the package, and a digest of all of its source."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@lru_cache(maxsize=1)
def package_digest() -> str:
    """Return the SHA-256 of the package's sources and data, whatever their line endings.

    Taken once in a process, at the first call: what is on the disk later is not what runs.
    """
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.suffix in (".py", ".json", ".toml", ".html", ".css", ".js"):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0")
            digest.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


def package_version() -> str:
    """Return the installed version, or an empty text where the package is not installed."""
    try:
        return version("tradefl")
    except PackageNotFoundError:  # pragma: no cover
        return ""
