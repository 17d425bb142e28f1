"""One source, two speeds: the loops of the solvers in plain Python, or compiled by numba.

A small consortium is solved by the plain functions and never pays for importing numba. For
a large one, :func:`compiled` compiles the same functions, whole call tree included, and
keeps the machine code on disk. Loops over independent organizations run on several threads by
:func:`spread`; these threads end with the call. numba's own parallel loops would keep a pool of
an OpenMP library alive, which does not survive a fork, is not installed everywhere, or ends the
process when two threads use it at once.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import os
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tradefl.solvers.machine_code import cache_directory, for_any_number, kept_in

Function = Callable[..., Any]

# From this many elements of work a thread on, threads repay being started.
SPREAD_FROM = 200_000

# Held while code is compiled: numba's settings and its compiler belong to the process. A fork waits
# for it, or the child would inherit a compiler that another thread has locked for ever.
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


def compiled(
    function: Function, replacements: Mapping[Function, Function] | None = None
) -> Function:
    """Return ``function`` compiled, with every function of this package that it calls.

    May be called from any thread; the compiled function releases the interpreter's lock.

    Parameters
    ----------
    function
        A module-level function in numba's subset of Python.
    replacements
        Stand-ins for functions that numba cannot compile as they are.
    """
    with _lock:
        return _compiled(function, tuple((replacements or {}).items()))


def spread(function: Function, size: int, elements: int, *arguments: Any) -> None:
    """Call a compiled function that works on each of ``size`` organizations, on several threads.

    Each thread gets some rows of the arrays whose first axis has ``size`` entries, and everything
    else as it is. What is computed for an organization must depend on its rows alone, so that the
    result is the same for any number of threads.

    Parameters
    ----------
    function
        What :func:`compiled` returned; it writes its results into arrays among the arguments.
    size
        The number of organizations.
    elements
        How much work there is, in strategies; a little is not worth a second thread.
    arguments
        What the function is called with.
    """
    parts = max(1, min(threads(), elements // SPREAD_FROM, size))
    if parts == 1:
        function(*arguments)
        return
    edges = [size * k // parts for k in range(parts + 1)]

    def part(k: int) -> None:
        rows = slice(edges[k], edges[k + 1])
        function(
            *(
                argument[rows]
                if isinstance(argument, np.ndarray) and argument.shape[:1] == (size,)
                else argument
                for argument in arguments
            )
        )

    with concurrent.futures.ThreadPoolExecutor(parts - 1) as pool:
        others = [pool.submit(part, k) for k in range(1, parts)]
        part(0)
        for other in others:
            other.result()


def threads() -> int:
    """Return how many threads to use: one for each processor that this process may use.

    ``NUMBA_NUM_THREADS`` and ``OMP_NUM_THREADS`` limit it, as they would limit numba.
    """
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        with contextlib.suppress(ValueError):
            count = min(count, max(1, int(os.environ.get(name, ""))))
    return count


@cache
def _compiled(function: Function, replacements: tuple[tuple[Function, Function], ...]) -> Function:
    with _making():
        import numba

        stand_ins = dict(replacements)
        directory = _directory(function, stand_ins)
        if directory is not None and not _writable(directory):
            directory = None
        inner = _inner.setdefault(replacements, {})
        return _guarded(_build(function, stand_ins, inner, numba, directory))


def kept(function: Function, replacements: Mapping[Function, Function] | None = None) -> bool:
    """Return whether the machine code of ``function`` is on disk, so that it need not be made."""
    return _kept(function, tuple((replacements or {}).items()))


@cache
def _kept(function: Function, replacements: tuple[tuple[Function, Function], ...]) -> bool:
    directory = _directory(function, dict(replacements))
    return directory is not None and any(directory.glob(f"*{function.__name__}*.nbc"))


def _directory(function: Function, stand_ins: Mapping[Function, Function]) -> Path | None:
    """Return where the machine code of a function belongs; ``None`` if this user has no place.

    numba notices an edited file only for the function in that file, not for what that function
    calls in other files; a directory named after all the code involved does.
    """
    base = cache_directory()
    return None if base is None else base / _digest(function, stand_ins)


def _digest(function: Function, stand_ins: Mapping[Function, Function]) -> str:
    """Return what names a function together with all the code that it calls."""
    digest = hashlib.sha256(f"{version('numba')} {sys.version} {LAYOUT}".encode())
    for source in _call_tree(function, dict(stand_ins), set()):
        digest.update(_fingerprint(source))
    return digest.hexdigest()[:16]


# Of the files on disk: another layout gets another directory.
LAYOUT = 4


def _guarded(dispatcher: Any) -> Function:
    """Return a function that compiles under the lock when it is first called."""

    def call(*arguments: Any) -> Any:
        if dispatcher.nopython_signatures:
            return dispatcher(*arguments)
        with _lock:
            if dispatcher.nopython_signatures:  # made while this thread waited
                return dispatcher(*arguments)
            with _making():
                return dispatcher(*arguments)

    return call


# The seconds that this process has spent on making or loading machine code, first calls included.
_made = [0.0]


@contextlib.contextmanager
def _making() -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        _made[0] += time.perf_counter() - began


def working_time() -> float:
    """Return a clock, seconds, that stands still while machine code is made or loaded.

    A limit by it means the same on a machine that has the machine code and on one that has not.
    """
    return time.perf_counter() - _made[0]


# What the functions call that are called from Python, for each set of stand-ins: compiled once.
_inner: dict[tuple[tuple[Function, Function], ...], dict[Function, Any]] = {}


def _build(
    function: Any,
    stand_ins: Mapping[Function, Function],
    inner: dict[Function, Any],
    numba: Any,
    directory: Path | None,
) -> Any:
    """Return what compiles a function that is called from Python, and what it calls."""
    clone = _clone(function, stand_ins, inner, numba)
    dispatcher = numba.njit(clone, error_model="numpy", nogil=True)
    if directory is not None:
        with contextlib.suppress(Exception):  # without a cache it is compiled each time
            dispatcher._cache = kept_in(clone, directory)
    return dispatcher


def _clone(
    function: Any,
    stand_ins: Mapping[Function, Function],
    inner: dict[Function, Any],
    numba: Any,
) -> Any:
    """Return a function that calls compiled ones."""
    source: Any = stand_ins.get(function, function)
    names = dict(source.__globals__)
    for name, callee in _callees(source):
        if callee not in inner:
            # Called by compiled code alone: what Python calls need not be compiled either.
            inner[callee] = for_any_number(
                numba.njit(
                    _clone(callee, stand_ins, inner, numba),
                    error_model="numpy",
                    nogil=True,
                    no_cpython_wrapper=True,
                    no_cfunc_wrapper=True,
                )
            )
        names[name] = inner[callee]
    clone = types.FunctionType(
        source.__code__, names, source.__name__, source.__defaults__, source.__closure__
    )
    # Machine code of several processes meets in this one, and numba links it by name. One name for
    # the code of two accuracy functions would make one of them compute with the other's.
    clone.__name__ = f"{source.__name__}_{_digest(function, stand_ins)}"
    clone.__module__, clone.__qualname__ = source.__module__, clone.__name__
    return clone


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


def _fingerprint(function: Any) -> bytes:
    """Return what the machine code of a function depends on, besides those that it calls.

    The globals that it refers to are compiled as constants: their values count, too.
    """
    code = function.__code__
    constants = [
        (name, _constant(function.__globals__[name]))
        for name in code.co_names
        if name in function.__globals__
    ]
    consts = [const for const in code.co_consts if const != function.__doc__]
    parts = (code.co_name, code.co_code, consts, code.co_names)
    return repr((*parts, function.__defaults__, constants)).encode()


def _constant(value: Any) -> Any:
    """Return a global as it counts: a number or text, the fields of a named tuple, or nothing."""
    if isinstance(value, (bool, int, float, complex, str, bytes, type(None), np.generic)):
        return repr(value)
    if isinstance(value, tuple):
        return [_constant(part) for part in value]
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    fields = getattr(value, "_fields", None)
    return fields if isinstance(value, type) and fields is not None else None


def _writable(directory: Path) -> bool:
    """Return whether machine code can be kept there; without it each process compiles again."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(directory, os.W_OK)
