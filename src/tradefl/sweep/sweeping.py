"""From a function and its units to their values, wherever they are computed."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tradefl.arguments import ANYTHING, FUNCTION, PATH, TEXT, TRUTH, accepts, many, optional, whole
from tradefl.errors import InputError, Parameter, Problem
from tradefl.sweep import parts
from tradefl.sweep.code import Code, code_of
from tradefl.sweep.identity import ENVIRONMENT, here, kind
from tradefl.sweep.pool import BATCH_SECONDS, Item, LocalPool, Losses, RayPool
from tradefl.sweep.worker import INSIDE, Cause, Job, cause_of, evaluate

PARTS = "parts"
KEY = 32  # hexadecimal digits
NAMED = 5  # units of one failure that are named


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a sweep has come.

    Attributes
    ----------
    done, units
        How many units are done, out of how many; those kept from an earlier run count.
    what
        The unit that was finished last.
    nodes
        Machines that compute.
    seconds_left
        The time that the rest will take at the pace so far; ``None`` before anything is done.
    """

    done: int
    units: int
    what: str
    nodes: int = 1
    seconds_left: float | None = None


Watch = Callable[[Progress], None]
Notify = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Failure:
    """A unit that has no value.

    Attributes
    ----------
    unit
        The unit's name.
    cause
        The kind of exception and its message, or how its process ended.
    trace
        The traceback, as text; empty where nothing was raised.
    """

    unit: str
    cause: str
    trace: str = ""


class SweepError(InputError):
    """Units failed; all others are done, and kept where there is a folder for them.

    Attributes
    ----------
    failures
        One for each unit.
    """

    def __init__(self, failures: Sequence[Failure], kept: bool) -> None:
        self.failures = tuple(failures)
        grouped: dict[str, list[str]] = {}
        for failure in failures:
            grouped.setdefault(failure.cause, []).append(failure.unit)
        rest = "run again, only these are computed" if kept else "nothing was kept"
        super().__init__(
            Problem(_some(units), f"{cause}; all other units are done; {rest}")
            for cause, units in grouped.items()
        )


def _some(units: Sequence[str]) -> str:
    more = len(units) - NAMED
    return ", ".join(units[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """A function as a sweep knows it.

    Attributes
    ----------
    function
        The function itself, for this process.
    code
        Where workers find it; ``None``: they cannot.
    after
        As in :class:`tradefl.sweep.worker.Job`.
    depends
        The digest of the code that its values depend on.
    folder
        The name of the folder that its parts are kept in.
    """

    function: Callable[..., Any]
    code: Code | None
    after: str
    depends: str
    folder: str

    def key(self, arguments: Any) -> str:
        """Return the digest of what a unit's value depends on: code, libraries, arguments."""
        identity = here()
        asked = [self.depends, *(identity[name] for name in ENVIRONMENT), arguments]
        text = json.dumps(asked, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:KEY]


@accepts(
    function=FUNCTION,
    units=many("arguments", ANYTHING),
    out=optional(PATH),
    workers=optional(whole(1)),
    ray=optional(TEXT),
    same_bytes=TRUTH,
    watch=FUNCTION,
    notify=FUNCTION,
)
def sweep(
    function: Callable[..., Any],
    units: Iterable[Mapping[str, object] | Sequence[object]],
    out: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    ray: str | None = None,
    *,
    same_bytes: bool = False,
    watch: Watch = lambda _: None,
    notify: Notify = lambda _: None,
) -> list[Any]:
    """Return a function's value for each unit, in their order, computed on many processes.

    The values do not depend on where they are computed. They are what JSON makes of them: numbers,
    text, truth values, ``None``, lists and mappings; NumPy scalars and arrays become numbers and
    lists.

    Parameters
    ----------
    function
        A function of a module or of a script whose work is guarded by
        ``if __name__ == "__main__":``. Its file, and what it imports from outside
        ``site-packages``, travels to the workers. A function without a file (of a notebook, a
        lambda) is computed in this process, without ``out``.
    units
        The arguments of each call: a mapping by name, or a list by position; of plain values.
    out
        A folder in which every value is kept as soon as it is there: the same call goes on where
        an earlier one was cut off, and computes again only what other code or other arguments ask
        for. ``None``: nothing is kept.
    workers
        Processes on this machine; 1: this process alone. Default: one for each processor.
    ray
        Run on a Ray cluster instead: ``host:port``, ``ray://host:port``, ``auto`` (the cluster
        that this machine belongs to) or ``local`` (a Ray of its own with ``workers`` processors).
    same_bytes
        Refuse workers on another kind of processor, whose sums may differ in the last bits, and
        values that were kept from one.
    watch
        Called with a :class:`Progress` whenever something is done.
    notify
        Called with a line for people: lost workers, several kinds of processors.

    Raises
    ------
    InputError
        A parameter is wrong, the folder cannot be written, there is no such cluster, or a worker
        runs other code or other versions than this process: it is refused before it computes.
    SweepError
        Units failed, twice where another worker could try; all others are done.
    MissingExtraError
        ``ray`` is given and Ray is not installed.
    """
    asked = list(units)
    code = code_of(function)
    name = getattr(function, "__qualname__", type(function).__name__)
    if code is None:
        for parameter, value in (("out", out), ("ray", ray), ("workers", workers)):
            if value is not None and value != 1:
                what = f"{name} is in no file from which a worker could load it"
                how = "move it to the top level of a module, or leave this out"
                raise InputError.at(Parameter(parameter), f"{what}; {how}")
        workers = 1
    depends = "" if code is None else f"{code.digest} {here()['code']}"
    folder = f"{function.__module__.rpartition('.')[2]}.{name}" if code is not None else name
    task = Task(function, code, "", depends, folder)
    wanted = []
    for number, arguments in enumerate(asked):
        if isinstance(arguments, (str, bytes)) or not isinstance(arguments, (Mapping, Sequence)):
            what = f"expected a mapping or a list of arguments, got {arguments!r}"
            raise InputError.at(f"units[{number}]", what)
        plain = dict(arguments) if isinstance(arguments, Mapping) else list(arguments)
        try:
            task.key(plain)
        except (TypeError, ValueError) as error:
            what = f"expected numbers, text and lists of them: {error}"
            raise InputError.at(f"units[{number}]", what) from None
        wanted.append((task, f"{name} units[{number}]", plain))
    values = compute(
        wanted,
        out=None if out is None else Path(out),
        workers=workers,
        ray=ray,
        same_bytes=same_bytes,
        watch=watch,
        notify=notify,
    )
    return [json.loads(value) for value in values]


def compute(
    units: Sequence[tuple[Task, str, Any]],
    *,
    out: Path | None,
    workers: int | None,
    ray: str | None,
    same_bytes: bool,
    watch: Watch,
    notify: Notify,
) -> list[str]:
    """Return the value of each unit as JSON text; units are a task, a name and arguments.

    What :func:`sweep` does, for several functions at once. Equal units are computed once.
    """
    if os.environ.get(INSIDE):
        raise InputError.at(
            "sweep", "called in a worker; guard the script's work: if __name__ == '__main__':"
        )
    if workers is not None and workers < 1:
        raise InputError.at(Parameter("workers"), f"expected an integer >= 1, got {workers}")
    keys = [task.key(arguments) for task, _, arguments in units]
    found, left = _kept(units, keys, out, same_bytes, notify)
    run = _Run(left, out, len(found), watch)
    workers = min(workers or processors(), len(left)) or 1
    run.tell("")
    try:
        if left and workers == 1 and ray is None:
            run.here()
        elif left:
            run.there(workers, ray, same_bytes)
    finally:
        _report(run.losses, notify)
    found.update(run.found)
    kinds = sorted({part.kind for part in found.values()})
    if len(kinds) > 1:
        notify(
            f"computed on {len(kinds)} kinds of processors ({'; '.join(kinds)}), which may differ "
            "in the last digits; same_bytes refuses that"
        )
    if run.failures:
        error = SweepError(run.failures, out is not None)
        raise error from run.first
    return [found[key].value for key in keys]


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _kept(
    units: Sequence[tuple[Task, str, Any]],
    keys: Sequence[str],
    out: Path | None,
    same_bytes: bool,
    notify: Notify,
) -> tuple[dict[str, parts.Part], list[tuple[Task, Item]]]:
    """Return the parts that are kept from before, and the units that are left."""
    wanted: dict[str, tuple[Task, Item]] = {}
    for (task, name, arguments), key in zip(units, keys, strict=True):
        wanted.setdefault(key, (task, Item(key, name, 0, arguments)))
    found: dict[str, parts.Part] = {}
    if out is not None:
        for folder in sorted({out / PARTS / task.folder for task, _, _ in units}):
            parts.make_folder(folder)
            found |= parts.read(folder, wanted)
            if not found and parts.has_older(folder):
                notify(f"{folder} has parts of an earlier version; they are not read")
    if same_bytes:
        mine = kind()
        found = {key: part for key, part in found.items() if part.kind == mine}
    return found, [unit for key, unit in wanted.items() if key not in found]


def _report(losses: Losses, notify: Notify) -> None:
    counts = (("worker", losses.workers), ("node", losses.nodes))
    lost = [f"{count} {what}{'s' * (count > 1)}" for what, count in counts if count]
    if lost:
        count = f"{losses.units:,} unit{'s' * (losses.units > 1)}"
        again = f"; computed again: {count}" if losses.units else ""
        notify(f"lost on the way: {' and '.join(lost)}{again}")


class _Run:
    """The units that are left, and what has become of them."""

    def __init__(
        self, left: Sequence[tuple[Task, Item]], out: Path | None, kept: int, watch: Watch
    ) -> None:
        tasks = list(dict.fromkeys(task for task, _ in left))
        numbers = {task: number for number, task in enumerate(tasks)}
        self.tasks = tasks
        self.items = [dataclasses.replace(item, job=numbers[task]) for task, item in left]
        self.out, self.kept, self.watch = out, kept, watch
        self.found: dict[str, parts.Part] = {}
        self._failures: dict[int, Failure] = {}
        self.first: BaseException | None = None
        self.losses = Losses()
        self.nodes = 1
        self.began = time.monotonic()

    @property
    def failures(self) -> list[Failure]:
        """The units that failed, in the order of the units."""
        return [failure for _, failure in sorted(self._failures.items())]

    def tell(self, what: str, more: int = 0) -> None:
        """Report the progress; more units are done than are kept already."""
        done, units = len(self.found) + more, len(self.items)
        elapsed = time.monotonic() - self.began
        rest = (units - done - len(self._failures)) * elapsed / done if done else None
        self.watch(Progress(self.kept + done, self.kept + units, what, self.nodes, rest))

    def keep(self, values: Sequence[tuple[int, str]], where: str) -> None:
        """Keep values: in memory, and in the folder."""
        grouped: dict[int, list[parts.Part]] = collections.defaultdict(list)
        for number, value in values:
            item = self.items[number]
            grouped[item.job].append(parts.Part(item.key, item.name, value, where))
        for job, some in grouped.items():
            if self.out is not None:
                parts.write(self.out / PARTS / self.tasks[job].folder, some, here())
            self.found.update((part.key, part) for part in some)

    def took(self, values: list[tuple[int, str]], where: str) -> None:
        """Keep the values of a batch, and report each."""
        self.keep(values, where)
        self.tell(self.items[values[-1][0]].name)

    def failed(self, number: int, cause: Cause) -> None:
        """Remember a unit that failed."""
        self._failures[number] = Failure(self.items[number].name, cause.what, cause.trace)

    def sized(self, nodes: int) -> None:
        """Report the number of machines."""
        self.nodes = nodes
        self.tell("")

    def here(self) -> None:
        """Compute one unit after the other in this process."""
        where, ready = kind(), list[tuple[int, str]]()
        written = time.monotonic()
        try:
            for number, item in enumerate(self.items):
                task = self.tasks[item.job]
                try:
                    ready.append((number, evaluate(task.function, task.after, item.arguments)))
                except Exception as error:
                    self.failed(number, cause_of(error))
                    self.first = self.first or error
                else:
                    self.tell(item.name, len(ready))
                if ready and time.monotonic() - written > BATCH_SECONDS:
                    self.keep(ready, where)
                    ready, written = [], time.monotonic()
        finally:  # what is done is kept, whatever cuts it off
            if ready:
                self.keep(ready, where)

    def there(self, workers: int, ray: str | None, same_bytes: bool) -> None:
        """Compute the units on workers."""
        jobs = []
        for task in self.tasks:
            if task.code is None:
                raise ValueError(f"{task.folder} is in no file from which a worker could load it")
            jobs.append(Job(task.code, task.after))
        hooks: dict[str, Any] = {"done": self.took, "failed": self.failed, "sized": self.sized}
        pool: LocalPool | RayPool
        if ray is None:
            pool = LocalPool(workers, self.items, jobs, same_bytes=same_bytes, **hooks)
        else:
            pool = RayPool(ray, workers, self.items, jobs, same_bytes=same_bytes, **hooks)
        try:
            pool.run()
        finally:
            self.losses = pool.losses
