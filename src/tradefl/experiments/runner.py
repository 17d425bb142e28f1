"""Runs the units of figures on any number of processes, and keeps what is done.

Every unit's rows are kept in a file of their own as soon as they are there, whole or not at all.
The file's name has a digest of the arguments and of the code that the rows depend on, so a run
that was killed goes on, and rows of other settings or of other code are never taken for these.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import io
import json
import logging
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from tradefl._version import __version__
from tradefl.consortium.files import atomic_write
from tradefl.errors import InputError, MissingExtraError
from tradefl.experiments.figure import Figure, Settings, Unit

PARTS = "parts"
CONNECT_SECONDS = 5.0
SEAL = 64  # hexadecimal digits of SHA-256
# Workers would otherwise each start a thread for every CPU.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes
    ----------
    done, units
        How many units of all figures are done, of how many; those kept from before count.
    what
        Which unit was finished last.
    """

    done: int
    units: int
    what: str


Watch = Callable[[Progress], None]
# A pool: units in, and each with its rows out, as they are finished.
Jobs = Sequence[tuple[Figure, Unit]]
Pool = Callable[[Jobs], Iterator[tuple[int, pd.DataFrame]]]


def compute_all(
    figures: Sequence[Figure],
    settings: Settings,
    out: Path,
    *,
    workers: int | None = None,
    ray_address: str | None = None,
    watch: Watch = lambda _: None,
) -> dict[str, pd.DataFrame]:
    """Return the rows of all units of each figure, by the figure's name.

    Parameters
    ----------
    figures, settings
        What to compute.
    out
        The folder of the results; the units are kept in its folder ``parts``.
    workers
        Processes on this machine; default: one for each CPU. The rows do not depend on it.
    ray_address
        Run on this Ray cluster instead; ``"local"`` starts one here with ``workers`` CPUs.
    watch
        Called whenever a unit is done.

    Raises
    ------
    InputError
        The folder cannot be written, or there is no such cluster.
    MissingExtraError
        Ray is not installed.
    """
    everything = [(one, unit) for one in figures for unit in one.units(settings)]
    digests = {one.name: _digest_of(one) for one in figures}
    places = [_part(out, one, unit, digests[one.name]) for one, unit in everything]
    work: dict[Path, tuple[Figure, Unit]] = {}
    for place, job in zip(places, everything, strict=True):
        work.setdefault(place, job)  # figures may share units
    left = [place for place in work if not _is_whole(place)]
    done = len(work) - len(left)
    watch(Progress(done, len(work), ""))
    if left:
        jobs = [work[place] for place in left]
        for folder in {place.parent for place in left}:
            make_folder(folder)
        workers = min(workers or os.cpu_count() or 1, len(jobs))
        with contextlib.ExitStack() as stack:
            if ray_address is not None:
                pool = stack.enter_context(_ray_pool(ray_address, workers))
            elif workers == 1:
                pool = _here
            else:
                pool = stack.enter_context(_local_pool(workers))
            for number, rows in pool(jobs):
                one, unit = jobs[number]
                atomic_write(left[number], _sealed(to_csv(rows)))
                done += 1
                watch(Progress(done, len(work), f"{one.name} {unit.key}"))
    frames: dict[str, list[pd.DataFrame]] = {one.name: [] for one in figures}
    for (one, unit), place in zip(everything, places, strict=True):
        # Read back what was written, so that a resumed run has the same digits as any other.
        rows = pd.read_csv(io.BytesIO(place.read_bytes()[:-SEAL]))
        for column, (name, value) in enumerate(unit.labels.items()):
            rows.insert(column, name, value)
        frames[one.name].append(rows)
    return {name: pd.concat(parts, ignore_index=True) for name, parts in frames.items() if parts}


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises
    ------
    InputError
        It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError.at(folder, f"cannot be made: {error.strerror}") from None


def to_csv(rows: pd.DataFrame) -> bytes:
    """Return rows as CSV: every digit of every number, the same bytes for the same rows."""
    text = io.StringIO()
    rows.to_csv(text, index=False, lineterminator="\n")
    return text.getvalue().encode()


def _sealed(content: bytes) -> bytes:
    """Return a part with the digest of its content behind it."""
    return content + hashlib.sha256(content).hexdigest().encode()


def _is_whole(place: Path) -> bool:
    """Tell whether a part is there, as it was written; a damaged one is computed anew."""
    if not place.exists():
        return False
    whole = place.read_bytes()
    return _sealed(whole[:-SEAL]) == whole


def _part(out: Path, figure: Figure, unit: Unit, code: str) -> Path:
    asked = json.dumps(dict(unit.arguments), sort_keys=True, allow_nan=False)
    digest = hashlib.sha256(f"{code}\n{asked}".encode()).hexdigest()[:16]
    # Not the figure's name: figures that compute the same share it.
    folder = f"{figure.compute.__module__.rpartition('.')[2]}.{figure.compute.__name__}"
    return out / PARTS / folder / f"{unit.key}.{digest}.csv"


def _digest_of(figure: Figure) -> str:
    """Return a digest of the code that a figure's rows depend on."""
    digest = hashlib.sha256(__version__.encode())
    for name in (figure.compute.__module__, *figure.sources):
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise ValueError(f"{figure.name}: no module {name}")
        origin = Path(spec.origin)
        files = sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
        for file in files:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _compute(job: tuple[str, str, dict[str, object]]) -> pd.DataFrame:
    """Do a unit's work, in a worker: the function is looked up there, by name."""
    module, function, arguments = job
    from importlib import import_module

    rows: pd.DataFrame = getattr(import_module(module), function)(**arguments)
    return rows


def _leave_with_the_parent() -> None:
    """End this worker when the process that started it is killed, instead of working on.

    Ctrl-C is for the parent alone: it stops its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _job(figure: Figure, unit: Unit) -> tuple[str, str, dict[str, object]]:
    return figure.compute.__module__, figure.compute.__name__, dict(unit.arguments)


def _here(jobs: Jobs) -> Iterator[tuple[int, pd.DataFrame]]:
    """No pool: one unit after the other, in this process."""
    for number, job in enumerate(jobs):
        yield number, _compute(_job(*job))


@contextlib.contextmanager
def _local_pool(workers: int) -> Iterator[Pool]:
    """Start processes on this machine; stop them at the end."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    executor = concurrent.futures.ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_leave_with_the_parent,
    )

    def pool(jobs: Jobs) -> Iterator[tuple[int, pd.DataFrame]]:
        futures = {executor.submit(_compute, _job(*job)): k for k, job in enumerate(jobs)}
        for future in concurrent.futures.as_completed(futures):
            try:
                rows = future.result()
            except BrokenProcessPool:
                what = "a process died, for lack of memory perhaps; the same command goes on"
                raise InputError.at("--workers", what) from None
            yield futures[future], rows

    try:
        yield pool
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()  # what they work on is lost; what is done is kept
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _require_listener(address: str) -> None:
    """Refuse a host where nobody listens at once; Ray itself tries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return  # local, auto, or what Ray itself refuses
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        what = f"no Ray cluster at {address!r}: {error}"
        raise InputError.at("--ray", what) from None


@contextlib.contextmanager
def _ray_pool(address: str, workers: int) -> Iterator[Pool]:
    """Connect to a Ray cluster, or start one of our own; leave it at the end."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise MissingExtraError("--ray", "sweep") from None
    own = address == "local"
    _require_listener(address)
    try:
        ray.init(
            address,
            num_cpus=workers if own else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=False if own else None,
            runtime_env={"env_vars": dict.fromkeys(THREADS, "1")},
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        what = f"no Ray cluster at {address!r}: {str(error).splitlines()[0]}"
        raise InputError.at("--ray", what) from None
    remote = ray.remote(_compute)

    def pool(jobs: Jobs) -> Iterator[tuple[int, pd.DataFrame]]:
        waiting = {remote.remote(_job(*job)): k for k, job in enumerate(jobs)}
        while waiting:
            (ready,), _ = ray.wait(list(waiting), num_returns=1)
            yield waiting.pop(ready), ray.get(ready)

    try:
        yield pool
    finally:
        ray.shutdown()
