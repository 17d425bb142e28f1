"""What a process runs: the versions and the code that its results depend on.

Two processes whose identities are equal compute the same, up to the last bits, in which kinds of
processors may differ (:func:`kind`). A worker compares its identity with the one that each task
carries and refuses before it computes anything.

This file uses nothing but the standard library: on Ray its functions travel by value, so that a
node is judged by the driver's rule even where it has another version of the package, or lacks it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import pickle
import platform
import re
import socket
import sys
from pathlib import Path
from typing import Any

Identity = dict[str, str]

PACKAGE = "tradefl"
LIBRARIES = ("numpy", "scipy", "numba", "llvmlite")
# The part of an identity that a part's key contains; the whole digest is recorded in the part.
ENVIRONMENT = ("python", *LIBRARIES)
# Only where the same bytes are asked for; otherwise kinds of processors may differ.
KIND = "kind"
ABSENT = "not installed"
VECTOR = re.compile(r"sse|ssse|avx|fma|f16c|bmi|amx|asimd|sve|neon")
OVERRULING = ("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES")
# Workers that serve several tasks take their identity once, at the first one.
_KEPT = "_tradefl_identity"


def package_digest(folder: Path) -> str:
    """Return a digest of all files of a package: sources and data, but no caches.

    Line ends do not matter: CRLF is read as LF. Hidden files are left out; they are not installed.
    """
    digest = hashlib.sha256()
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__" and name[0] != "."]
        for name in files:
            if name[0] != "." and not name.endswith((".pyc", ".pyo")):
                path = Path(place) / name
                found.append((path.relative_to(folder).as_posix(), path))
    for name, path in sorted(found):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def take(package: str = PACKAGE) -> Identity:
    """Return the identity of this process, from the files that it would import now.

    The keys are ``python`` (the minor version), the libraries, ``tradefl`` (its version) and
    ``code`` (:func:`package_digest`). What is missing has the value ``not installed``.
    """
    identity = {"python": f"{sys.version_info[0]}.{sys.version_info[1]}"}
    for name in LIBRARIES:
        try:
            identity[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            identity[name] = ABSENT
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return {**identity, package: ABSENT, "code": ABSENT}
    folder = Path(spec.origin).parent
    version = folder / "_version.py"
    said = (
        re.search(r'__version__ = "([^"]+)"', version.read_text("utf-8"))
        if version.is_file()
        else None
    )
    return {**identity, package: said[1] if said else "?", "code": package_digest(folder)}


def difference(here: Identity, there: Identity) -> str:
    """Return in words how two identities differ; an empty text if they do not."""
    if there.get(PACKAGE) == ABSENT:
        return f"{PACKAGE} is not installed there"
    parts = [
        f"{name} {there.get(name, ABSENT)} there, {here[name]} here"
        for name in (*ENVIRONMENT, PACKAGE)
        if there.get(name, ABSENT) != here[name]
    ]
    if here["code"] != there.get("code") and here[PACKAGE] == there.get(PACKAGE):
        parts.append(f"other code of {PACKAGE} {here[PACKAGE]} there")
    if KIND in here and KIND in there and here[KIND] != there[KIND]:
        parts.append(f"another kind of processor there ({there[KIND]}), {here[KIND]} here")
    return ", ".join(parts)


def node_name() -> str:
    """Return the name by which this machine is reported: its host name and, on Ray, its address."""
    name = socket.gethostname()
    ray = sys.modules.get("ray")
    if ray is None:
        return name
    try:
        return f"{ray.util.get_node_ip_address()} ({name})"
    except Exception:  # a name is all that is lost
        return name


def kind() -> str:
    """Return the kind of processor, as far as the last bits of sums depend on it.

    It has the machine, the vendor and a digest of the vector instructions, from which NumPy and
    BLAS choose their kernels, and the variables that overrule the choice.
    """
    vendor, flags = platform.processor(), ""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = (line.partition(":") for line in info.read_text().splitlines())
        fields = {name.strip().lower(): value.strip() for name, _, value in lines}
        vendor = fields.get("vendor_id") or fields.get("cpu implementer") or vendor
        flags = fields.get("flags") or fields.get("features") or ""
    vectors = sorted(set(filter(VECTOR.match, flags.split())))
    widest = next((name for name in ("avx512f", "sve", "avx2", "asimd") if name in vectors), "")
    parts = [platform.machine(), vendor, widest]
    if vectors:
        parts.append(hashlib.sha256(" ".join(vectors).encode()).hexdigest()[:8])
    parts += [f"{name}={os.environ[name]}" for name in OVERRULING if os.environ.get(name)]
    return " ".join(filter(None, parts))


def gate(expected: Identity, job: bytes | None, units: list[Any]) -> tuple[Any, ...]:
    """Compute units where the identity is the expected one; what a task on Ray runs.

    Parameters
    ----------
    expected
        The driver's identity.
    job
        What computes units, pickled: it returns their outcomes and the seconds taken. ``None`` to
        compare identities alone.
    units
        Pairs of a number and its arguments.

    Returns
    -------
    ``("refused", node, difference)``, or ``("done", node, outcomes, seconds, kind)``.
    """
    # Attached to sys: this function arrives by value, and its module has no state on a worker.
    own = getattr(sys, _KEPT, None)
    if own is None:
        own = {**take(), KIND: kind()}
        setattr(sys, _KEPT, own)
    node = node_name()
    differs = difference(expected, own)
    if differs:
        return "refused", node, differs
    if job is None:
        return "done", node, [], 0.0, ""
    outcomes, seconds = pickle.loads(job)(units)  # noqa: S301 - of the driver
    return "done", node, outcomes, seconds, kind()


def here() -> Identity:
    """Return the identity of this process, taken when this module was imported."""
    return dict(_HERE)


_HERE = take()
