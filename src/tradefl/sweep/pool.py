"""Hands batches of units to workers, on this machine or on a Ray cluster, until all are done.

A few batches a processor are under way at any time, so memory does not grow with the number of
units. Short units are joined until a batch takes about a second.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import importlib.util
import math
import queue
import time
from collections.abc import Callable, Sequence
from typing import Any

from tradefl.errors import InputError, MissingExtraError, Parameter
from tradefl.sweep.children import Child, Event
from tradefl.sweep.identity import KIND, Identity, difference, here, kind
from tradefl.sweep.worker import Cause, Job, Outcome

BATCH_SECONDS = 1.0
GROWTH = 8  # a batch has at most so many times the units of the last one that was timed
BATCH_UNITS = 10_000
ATTEMPTS = 2
STARTS = 3  # processes in a row that end before they have said a word
PER_CPU = 2
START_SECONDS = 60.0
CONNECT_SECONDS = 15.0
OWN_RAY_SECONDS = 90.0
SILENCE_SECONDS = 25.0
LOOK_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Item:
    """A unit of work.

    Attributes
    ----------
    key
        The digest of what it depends on.
    name
        What people call it: ``fig6 seed-3``.
    job
        The number of its job.
    arguments
        A mapping by name, or a list by position.
    """

    key: str
    name: str
    job: int
    arguments: Any


@dataclasses.dataclass
class Batch:
    """Units that are handed over together, by number; alone: because they failed before."""

    job: int
    numbers: list[int]


@dataclasses.dataclass
class Losses:
    """What was lost and done again, to be reported once."""

    workers: int = 0
    nodes: int = 0
    units: int = 0


class Pool:
    """One run of many units on many workers.

    Parameters
    ----------
    items, jobs
        The units, and what they have in common.
    done
        Called with a list of units that are done, as pairs of a number and its value, and the
        kind of processor that computed them.
    failed
        Called with the number of a unit that failed for good, and the cause.
    sized
        Called with the number of machines whenever it changes.
    same_bytes
        Refuse workers on another kind of processor than the driver's.
    """

    def __init__(
        self,
        items: Sequence[Item],
        jobs: Sequence[Job],
        *,
        done: Callable[[list[tuple[int, str]], str], None],
        failed: Callable[[int, Cause], None],
        sized: Callable[[int], None],
        same_bytes: bool = False,
    ) -> None:
        self.items, self.jobs = items, jobs
        self.done, self.failed, self.sized = done, failed, sized
        self.losses = Losses()
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.children: list[Child] = []
        self.expected: Identity = here()
        if same_bytes:
            self.expected[KIND] = kind()
        self._fresh: dict[int, collections.deque[int]] = {}
        for number, item in enumerate(items):
            self._fresh.setdefault(item.job, collections.deque()).append(number)
        # Units that failed, each with the child that had it; they are tried one at a time.
        self._again: collections.deque[tuple[int, Child | None]] = collections.deque()
        self._attempts: collections.Counter[int] = collections.Counter()
        self._pace: dict[int, tuple[float, int]] = {}  # seconds a unit, units of that batch
        self._open = len(items)
        self._sent = 0

    def run(self) -> None:
        """Compute all units.

        Raises
        ------
        InputError
            A worker runs other code, or there are no workers any more.
        """
        try:
            self.begin()
            while self._open:
                for child in self.children:
                    self._fill(child)
                try:
                    child, message = self.events.get(timeout=LOOK_SECONDS)
                except queue.Empty:
                    self.look()
                    continue
                if message:
                    self._heed(child, *message)
                elif child in self.children:
                    self.children.remove(child)
                    self.ended(child)
        except BaseException:
            for child in self.children:
                child.kill()  # what they work on is lost; what is done is kept
            raise
        finally:
            for child in self.children:
                child.close()
            for child in self.children:
                child.wait()

    def begin(self) -> None:
        """Start the children."""
        raise NotImplementedError

    def look(self) -> None:
        """See whether something takes too long; called when nothing has happened for a while."""

    def ended(self, child: Child) -> None:
        """Deal with a child that has ended, and that is no longer among the children."""
        raise NotImplementedError

    def answered(self, child: Child, *message: Any) -> None:
        """Deal with a message that is not about a batch."""
        raise NotImplementedError

    def _heed(self, child: Child, what: str, *rest: Any) -> None:
        if what == "done":
            number, outcomes, seconds, where = rest
            batch = child.batches.pop(number)
            self._pace[batch.job] = (seconds / len(batch.numbers), len(batch.numbers))
            self._take(child, outcomes, where)
        elif what == "lost":
            number, cause = rest
            self.losses.workers += 1
            self.lost(child.batches.pop(number), child, cause)
        elif what == "refused":
            node, differs = rest
            self._refuse(node, differs)
        else:
            self.answered(child, what, *rest)

    def _refuse(self, node: str, differs: str) -> None:
        raise InputError.at(
            Parameter("workers"),
            f"{node} runs other code or versions than this process: {differs}; it computed "
            "nothing; start again once no file of the package is being changed",
        )

    def check(self, node: str, found: Identity) -> None:
        """Refuse a worker that does not run what this process runs.

        Raises
        ------
        InputError
            It has other versions or other code.
        """
        differs = difference(self.expected, found)
        if differs:
            self._refuse(node, differs)

    def _take(self, child: Child, outcomes: list[Outcome], where: str) -> None:
        good = [(number, value) for number, value in outcomes if isinstance(value, str)]
        if good:
            self._open -= len(good)
            self.done(good, where)
        for number, cause in outcomes:
            if isinstance(cause, Cause):
                self._attempts[number] += 1
                self.retry(number, child, cause)

    def lost(self, batch: Batch, child: Child | None, cause: str) -> None:
        """Try the units of a batch again, whose worker was lost while it computed them."""
        self.losses.units += len(batch.numbers)
        for number in batch.numbers:
            # Which of many ended the worker is not known: they are tried one at a time.
            self._attempts[number] += len(batch.numbers) == 1
            self.retry(number, child, Cause(cause))

    def retry(self, number: int, child: Child | None, cause: Cause) -> None:
        """Try a unit again, or give it up."""
        if cause.final or self._attempts[number] >= ATTEMPTS:
            self._open -= 1
            self.failed(number, cause)
        else:
            self._again.append((number, child))

    def _fill(self, child: Child) -> None:
        while child.ready and len(child.batches) < child.capacity:
            batch = self._next(child)
            if batch is None:
                return
            self._sent += 1
            child.batches[self._sent] = batch
            if batch.job not in child.jobs:
                child.jobs.add(batch.job)
                child.send("job", batch.job, self.jobs[batch.job])
            units = [(number, self.items[number].arguments) for number in batch.numbers]
            child.send("batch", self._sent, (batch.job, units))

    def _next(self, child: Child) -> Batch | None:
        for place, (number, before) in enumerate(self._again):
            if before is not child or len(self.children) == 1:
                del self._again[place]
                return Batch(self.items[number].job, [number])
        job = next((job for job, left in self._fresh.items() if left), None)
        if job is None:
            return None
        left = self._fresh[job]
        slots = sum(other.capacity for other in self.children)
        size = min(self._size(job), math.ceil(len(left) / slots))
        return Batch(job, [left.popleft() for _ in range(size)])

    def _size(self, job: int) -> int:
        if job not in self._pace:
            return 1
        seconds, units = self._pace[job]
        wanted = int(min(BATCH_SECONDS / max(seconds, 1e-9), BATCH_UNITS))
        return max(1, min(wanted, GROWTH * units))


class LocalPool(Pool):
    """Processes on this machine; one that dies is replaced."""

    def __init__(self, workers: int, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.workers = workers
        self._unheard = 0

    def begin(self) -> None:
        """Start the processes."""
        self.sized(1)
        for _ in range(self.workers):
            self.children.append(Child("worker", self.events))

    def answered(self, child: Child, *message: Any) -> None:
        """Give a new worker work, if it runs what this process runs."""
        _, identity = message  # hello
        self.check("a worker on this machine", identity)
        self._unheard = 0
        child.ready = True

    def ended(self, child: Child) -> None:
        """Replace a process that died; what it had is done by another."""
        child.kill()
        child.wait()
        if not child.ready:
            self._unheard += 1
            if self._unheard >= STARTS:
                what = "processes end before they have computed anything; see what they printed"
                raise InputError.at(Parameter("workers"), what)
        code = child.process.returncode
        cause = f"its process ended (signal {-code})" if code < 0 else f"its process ended ({code})"
        self.losses.workers += 1
        for place, batch in enumerate(child.batches.values()):
            if place == 0:
                self.lost(batch, child, f"{cause}, for lack of memory perhaps")
            else:  # it had not begun
                self._again.extend((number, None) for number in batch.numbers)
        if self._open:
            self.children.append(Child("worker", self.events))


class RayPool(Pool):
    """A Ray cluster, through a process that talks to it."""

    def __init__(
        self, address: str, workers: int, *arguments: Any, same_bytes: bool = False, **options: Any
    ) -> None:
        super().__init__(*arguments, same_bytes=same_bytes, **options)
        self.address, self.cpus, self.same_bytes = address, workers, same_bytes
        self._until, self._waits_for = 0.0, "Ray does not start"
        self._nodes = 0

    def begin(self) -> None:
        """Start the process that talks to the cluster."""
        if importlib.util.find_spec("ray") is None:
            raise MissingExtraError("ray", "sweep")
        arguments = [self.address, str(self.cpus), str(int(self.same_bytes))]
        child = Child("bridge", self.events, 1, arguments=arguments, keep_errors=True)
        self.children.append(child)
        self._wait(START_SECONDS, "Ray does not start")

    def _wait(self, seconds: float, what: str) -> None:
        self._until, self._waits_for = time.monotonic() + seconds, what

    def look(self) -> None:
        """End a wait that takes too long."""
        if time.monotonic() > self._until:
            raise InputError.at(Parameter("ray"), self._waits_for)

    def answered(self, child: Child, *message: Any) -> None:
        """Follow the connection, and the size of the cluster."""
        what, *rest = message
        if what == "imported":
            seconds = OWN_RAY_SECONDS if self.address == "local" else CONNECT_SECONDS
            found = f"no Ray cluster answers at {self.address!r} within {seconds:.0f} s"
            self._wait(seconds, found)
            return
        if what == "failed":
            raise InputError.at(Parameter("ray"), f"{rest[0]}; what is done is kept")
        lost = f"the Ray cluster at {self.address!r} does not answer any more; what is done is kept"
        self._wait(SILENCE_SECONDS, lost)
        if what in ("connected", "nodes"):
            nodes, cpus = rest
            self.losses.nodes += max(0, self._nodes - nodes)
            if nodes != self._nodes:
                self._nodes = nodes
                self.sized(nodes)
            child.capacity = PER_CPU * max(1, cpus)
        elif what == "ready":
            child.ready = True

    def _heed(self, child: Child, what: str, *rest: Any) -> None:
        if what in ("done", "lost") and self._until:
            self._until = max(self._until, time.monotonic() + SILENCE_SECONDS)
        super()._heed(child, what, *rest)

    def _refuse(self, node: str, differs: str) -> None:
        with contextlib.suppress(InputError):
            super()._refuse(node, differs)
        raise InputError.at(
            Parameter("ray"),
            f"node {node} runs other code or versions than this process: {differs}; it computed "
            "nothing; install the same on all nodes, or leave this one out",
        )

    def ended(self, child: Child) -> None:
        """Report that the connection is lost: Ray has ended the process."""
        said = child.last_words()
        child.kill()
        child.wait()
        # Once connected, Ray's own last line is about its inside.
        reason = f" ({said})" if said and not child.ready else ""
        what = f"the connection to the Ray cluster at {self.address!r} was lost{reason}"
        raise InputError.at(Parameter("ray"), f"{what}; what is done is kept")
