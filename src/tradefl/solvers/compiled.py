"""One source, two speeds: the loops of the solvers in plain Python, or compiled by numba.

A small consortium is solved by the plain functions and never pays for importing numba. For
a large one, :func:`compiled` compiles the same functions, whole call tree included, and
keeps the machine code on disk. A function that loops over a global ``prange``, which is ``range``
in plain Python, is compiled to run that loop on all cores.
"""

from __future__ import annotations

import hashlib
import os
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

Function = Callable[..., Any]


def compiled(
    function: Function, replacements: Mapping[Function, Function] | None = None
) -> Function:
    """Return ``function`` compiled, with every function of this package that it calls.

    Parameters
    ----------
    function
        A module-level function in numba's subset of Python.
    replacements
        Stand-ins for functions that numba cannot compile as they are.
    """
    return _compiled(function, tuple((replacements or {}).items()))


@cache
def _compiled(function: Function, replacements: tuple[tuple[Function, Function], ...]) -> Function:
    import numba

    stand_ins = dict(replacements)
    digest = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    for source in _call_tree(function, stand_ins, set()):
        digest.update(_fingerprint(source.__code__))
    directory = _cache_directory() / digest.hexdigest()[:16]

    # numba notices an edited file only for the function that stands in it, not for what that
    # function calls in other files; a directory named after all the code involved does.
    config: Any = numba.config
    before, config.CACHE_DIR = config.CACHE_DIR, str(directory)
    try:
        return _build(function, stand_ins, {}, numba, on_disk=_writable(directory))
    finally:
        config.CACHE_DIR = before


def _build(
    function: Any,
    stand_ins: Mapping[Function, Function],
    done: dict[Function, Function],
    numba: Any,
    *,
    on_disk: bool,
) -> Function:
    source: Any = stand_ins.get(function, function)
    if function not in done:
        names = dict(source.__globals__)
        for name, callee in _callees(source):
            names[name] = _build(callee, stand_ins, done, numba, on_disk=on_disk)
        parallel = "prange" in source.__code__.co_names
        if parallel:
            names["prange"] = numba.prange
        clone = types.FunctionType(
            source.__code__, names, source.__name__, source.__defaults__, source.__closure__
        )
        clone.__module__, clone.__qualname__ = source.__module__, source.__qualname__
        done[function] = numba.njit(
            clone, cache=on_disk, error_model="numpy", nogil=True, parallel=parallel
        )
    return done[function]


def _callees(function: Any) -> Iterator[tuple[str, Any]]:
    """Yield the plain functions of this package that ``function`` refers to by name."""
    package = __name__.partition(".")[0]
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if isinstance(value, types.FunctionType) and value.__module__.startswith(package):
            yield name, value


def _call_tree(
    function: Any, stand_ins: Mapping[Function, Function], seen: set[Any]
) -> Iterator[Any]:
    source = stand_ins.get(function, function)
    if source not in seen:
        seen.add(source)
        yield source
        for _, callee in _callees(source):
            yield from _call_tree(callee, stand_ins, seen)


def _fingerprint(code: types.CodeType) -> bytes:
    return repr((code.co_name, code.co_code, code.co_consts, code.co_names)).encode()


def _cache_directory() -> Path:
    own = os.environ.get("NUMBA_CACHE_DIR")
    if own:
        return Path(own) / "tradefl"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tradefl"


def _writable(directory: Path) -> bool:
    """Return whether machine code can be kept there; without it each process compiles anew."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(directory, os.W_OK)
