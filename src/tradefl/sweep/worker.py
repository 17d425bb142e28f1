"""A worker: proves what it runs, then computes batches of units until its driver ends.

It is started by :mod:`tradefl.sweep.children` with a pipe to and from the driver. When the pipe
closes, whatever ended the driver, the worker ends too, in the middle of a unit if need be.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import json
import os
import pickle
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

from tradefl.errors import InputError
from tradefl.sweep.code import Code, load
from tradefl.sweep.identity import KIND, here, kind

# Set in workers: a script without a guard would otherwise start a sweep in each of its workers.
INSIDE = "TRADEFL_SWEEP_WORKER"


@dataclasses.dataclass(frozen=True)
class Job:
    """What units have in common: the function, and what becomes of what it returns.

    Attributes
    ----------
    code
        The function.
    after
        ``module:function`` of this package: it is called with what the function returns, and
        makes plain values of it; empty: that is left as it is.
    """

    code: Code
    after: str = ""


@dataclasses.dataclass(frozen=True)
class Cause:
    """Why a unit failed.

    Attributes
    ----------
    what
        The kind of exception and its message, in one line.
    final
        Whether another worker would say the same: the unit's input is wrong.
    trace
        The traceback, as text.
    """

    what: str
    final: bool = False
    trace: str = ""


# The number of a unit, and its value as JSON text or the cause of its failure.
Outcome = tuple[int, str | Cause]


def compute(
    find: Callable[[], Callable[..., Any]], after: str, units: Sequence[tuple[int, Any]]
) -> tuple[list[Outcome], float]:
    """Compute units one after the other; return their outcomes and the seconds taken.

    Parameters
    ----------
    find
        Returns the function; what it raises is a failure of the unit.
    after
        As in :class:`Job`.
    units
        Pairs of a number and the arguments: a mapping by name, or a list by position.
    """
    began = time.perf_counter()
    outcomes: list[Outcome] = []
    for number, arguments in units:
        try:
            outcomes.append((number, evaluate(find(), after, arguments)))
        except (Exception, SystemExit) as error:
            outcomes.append((number, cause_of(error)))
    return outcomes, time.perf_counter() - began


def compute_job(job: Job, units: Sequence[tuple[int, Any]]) -> tuple[list[Outcome], float]:
    """Compute units of a job that has travelled, as :func:`compute` does."""
    return compute(functools.partial(load, job.code), job.after, units)


def evaluate(function: Callable[..., Any], after: str, arguments: Any) -> str:
    """Return the value of one unit, as JSON text."""
    named = isinstance(arguments, Mapping)
    value = function(**arguments) if named else function(*arguments)
    if after:
        module, _, name = after.partition(":")
        value = getattr(importlib.import_module(module), name)(value)
    return encode(value)


def cause_of(error: BaseException) -> Cause:
    """Return an exception as a cause."""
    said = " ".join(str(error).split())
    if isinstance(error, InputError):
        return Cause(said, final=True)
    kind_ = type(error).__name__
    trace = "".join(traceback.format_exception(error))
    return Cause(f"{kind_}: {said}" if said else kind_, trace=trace)


def encode(value: Any) -> str:
    """Return a value as JSON text: every digit of every number.

    Raises
    ------
    TypeError
        It does not consist of numbers, text, truth values, ``None``, lists and mappings.
    """
    return json.dumps(value, default=_plain, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # scalars and arrays of NumPy
        return value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(
        f"returned a {type(value).__name__}; expected numbers, text, lists and mappings of them"
    )


def streams() -> tuple[BinaryIO, BinaryIO]:
    """Return the pipes from and to the driver; what anybody prints goes to stderr from now on."""
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, sink


def main() -> None:
    """Serve the driver until it closes the pipe."""
    source, sink = streams()
    os.environ[INSIDE] = "1"
    for name in ("SIGINT", "SIGHUP"):  # of the terminal: the driver alone decides
        with contextlib.suppress(AttributeError, ValueError):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    received: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def read() -> None:
        try:
            while True:
                received.put(pickle.load(source))  # noqa: S301 - of the driver
        except (EOFError, OSError):
            os._exit(0)

    def send(*message: Any) -> None:
        pickle.dump(message, sink, protocol=pickle.HIGHEST_PROTOCOL)
        sink.flush()

    send("hello", {**here(), KIND: kind()})
    threading.Thread(target=read, daemon=True).start()
    jobs: dict[int, Job] = {}
    try:
        while True:
            what, number, content = received.get()
            if what == "job":
                jobs[number] = content
                continue
            job, units = content
            outcomes, seconds = compute_job(jobs[job], units)
            send("done", number, outcomes, seconds, kind())
    except BrokenPipeError:
        os._exit(0)
