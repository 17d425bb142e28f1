"""The process between a driver and a Ray cluster: batches in, outcomes out.

Ray sets signal handlers, prints, and ends the process that uses it when its cluster is gone. Here
that happens to a process which the driver can end, replace by one clear line, and wait for no
longer than it wants to.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import pickle
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tradefl.sweep import identity
from tradefl.sweep.children import THREADS
from tradefl.sweep.worker import INSIDE, compute_job, streams

LOOK_SECONDS = 3.0
LOST_AFTER = 4  # looks at the head in a row without an answer
BEAT_SECONDS = 2.0
NODE_SECONDS = 60.0
LEAVE_SECONDS = 8.0
PAUSE_SECONDS = 0.02


def answers(address: str, seconds: float) -> bool:
    """Return whether a server that speaks gRPC, as a Ray head does, listens at ``host:port``."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        import grpc
    except ImportError:
        try:
            socket.create_connection((host.strip("[]"), int(port)), seconds).close()
        except (OSError, OverflowError, ValueError):
            return False
        return True
    # What HTTP_PROXY says is not for a cluster.
    channel = grpc.insecure_channel(f"{host}:{port}", options=[("grpc.enable_http_proxy", 0)])
    try:
        grpc.channel_ready_future(channel).result(seconds)
    except grpc.FutureTimeoutError:
        return False
    finally:
        channel.close()
    return True


def resolved(address: str) -> str:
    """Return the address of the head that ``auto`` means; an empty text without a head."""
    if address != "auto":
        return address
    said = os.environ.get("RAY_ADDRESS", "")
    if said and said not in ("auto", "local"):
        return said
    folder = os.environ.get("RAY_TMPDIR") or "/tmp/ray"  # noqa: S108 - Ray's own place
    for place in (Path(folder) / "ray_current_cluster", Path(folder) / "ray/ray_current_cluster"):
        with contextlib.suppress(OSError):
            return place.read_text("utf-8").strip()
    return ""


def head_of(address: str) -> str:
    """Return the address of the head that answers at an address, or at ``auto``.

    Raises
    ------
    ConnectionError
        It is no address, or nothing answers there as a Ray head does; the message says so.
    """
    head = resolved(address)
    if not head:
        raise ConnectionError("no Ray cluster was started on this machine, or it has ended")
    host, _, port = head.rpartition(":")
    if not host.removeprefix("ray://") or not port.isdigit():
        raise ConnectionError(f"expected HOST:PORT, ray://HOST:PORT or auto, got {head!r}")
    if not answers(head, 2 * LOOK_SECONDS):
        raise ConnectionError(f"no Ray cluster answers at {head!r}")
    return head


def watch(head: str, lost: Callable[[], object]) -> None:
    """Look at a head until it does not answer any more, and call a function then.

    Ray itself would try for a minute and then abort the process.
    """
    missed = 0
    while missed < LOST_AFTER:
        time.sleep(LOOK_SECONDS)
        missed = 0 if answers(head, LOOK_SECONDS) else missed + 1
    lost()


class Bridge:
    """Serves one driver with one cluster."""

    def __init__(self, address: str, cpus: int, expected: identity.Identity) -> None:
        self.address, self.cpus, self.expected = address, cpus, expected
        self.source, self.sink = streams()
        self.lock = threading.Lock()
        self.received: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.ended = threading.Event()

    def send(self, *message: Any) -> None:
        """Send the driver a message; from any thread."""
        with self.lock, contextlib.suppress(BrokenPipeError):
            pickle.dump(message, self.sink, protocol=pickle.HIGHEST_PROTOCOL)
            self.sink.flush()

    def fail(self, text: str) -> None:
        """Report what ends the sweep, and end."""
        self.send("failed", text)
        os._exit(1)

    def read(self) -> None:
        """Take the driver's messages until it closes the pipe."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                self.received.put(pickle.load(self.source))  # noqa: S301 - of the driver
        self.ended.set()
        self.received.put(None)
        time.sleep(LEAVE_SECONDS)  # the main thread leaves the cluster; or else:
        os._exit(1)

    def connect(self) -> Any:
        """Join the cluster, or start one here; return Ray."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        self.send("imported")
        own = self.address == "local"
        head = ""
        if not own:
            try:
                head = head_of(self.address)
            except ConnectionError as error:
                self.fail(str(error))
        try:
            ray.init(
                "local" if own else head,
                num_cpus=self.cpus if own else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False if own else None,
                runtime_env={"env_vars": dict.fromkeys(THREADS, "1")},
            )
        except Exception as error:  # of many kinds, and the driver reports them alike
            said = str(error).strip().splitlines() or [type(error).__name__]
            self.fail(f"no Ray cluster at {self.address!r}: {said[0]}")
        return ray

    def watch_head(self, address: str) -> None:
        """Report that the head is gone."""
        gone = f"the head of the Ray cluster ({address}) does not answer any more"
        watch(address, lambda: self.fail(gone))

    def beat(self) -> None:
        """Tell the driver that this process lives."""
        while True:
            time.sleep(BEAT_SECONDS)
            self.send("alive")

    def count(self, ray: Any) -> None:
        """Report the nodes of the cluster and their processors, again and again."""
        while True:
            with contextlib.suppress(Exception):  # the head is watched by another thread
                self.send("nodes", *_size(ray))
            time.sleep(LOOK_SECONDS)

    def compare(self, ray: Any, remote: Any) -> None:
        """Ask each node for its identity before anything is computed anywhere."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        asked = []
        for node in ray.nodes():
            if node["Alive"]:
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                light = remote.options(num_cpus=0, scheduling_strategy=there)
                asked.append(light.remote(self.expected, None, []))
        ready, _ = ray.wait(asked, num_returns=len(asked), timeout=NODE_SECONDS)
        for task in ready:  # a node that has not answered is asked again with each task
            with contextlib.suppress(Exception):
                answer = ray.get(task)
                if answer[0] == "refused":
                    self.send(*answer)

    def serve(self) -> None:
        """Join the cluster and run batches on it until the driver closes the pipe."""
        threading.Thread(target=self.read, daemon=True).start()
        ray = self.connect()
        threading.Thread(target=self.beat, daemon=True).start()
        head = resolved(self.address)
        if not head.startswith("ray://"):
            head = ray.get_runtime_context().gcs_address
        threading.Thread(target=self.watch_head, args=(head,), daemon=True).start()
        ray.cloudpickle.register_pickle_by_value(identity)
        remote = ray.remote(max_retries=0)(identity.gate)
        self.send("connected", *_size(ray))
        if self.address != "local":
            self.compare(ray, remote)
        self.send("ready")
        threading.Thread(target=self.count, args=(ray,), daemon=True).start()
        jobs: dict[int, Any] = {}
        waiting: dict[Any, int] = {}
        while not self.ended.is_set():
            while not waiting or not self.received.empty():
                message = self.received.get()
                if message is None:
                    break
                what, number, content = message
                if what == "job":
                    jobs[number] = ray.put(pickle.dumps(functools.partial(compute_job, content)))
                else:
                    job, units = content
                    waiting[remote.remote(self.expected, jobs[job], units)] = number
            if waiting and not self.ended.is_set():
                ready, _ = ray.wait(list(waiting), num_returns=1, timeout=PAUSE_SECONDS)
                for task in ready:
                    self.forward(ray, task, waiting.pop(task))
        ray.shutdown()
        os._exit(0)

    def forward(self, ray: Any, reference: Any, number: int) -> None:
        """Send the driver what became of a batch."""
        try:
            answer = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            self.send("lost", number, f"a Ray task failed: {str(error).strip().splitlines()[-1]}")
        except ray.exceptions.OutOfMemoryError:
            self.send("lost", number, "its process was ended for lack of memory")
        except Exception as error:  # the worker or its node is gone; Ray has many names for it
            self.send("lost", number, f"its process or node was lost ({type(error).__name__})")
        else:
            what, _, *rest = answer
            self.send(*(answer if what == "refused" else (what, number, *rest)))


def _size(ray: Any) -> tuple[int, int]:
    nodes = [node for node in ray.nodes() if node["Alive"]]
    return len(nodes), int(sum(node["Resources"].get("CPU", 0.0) for node in nodes))


def main() -> None:
    """Serve the driver that started this process."""
    os.environ[INSIDE] = "1"
    for name in ("SIGINT", "SIGHUP"):
        with contextlib.suppress(AttributeError, ValueError):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    address, cpus, same_bytes = sys.argv[1:]
    expected = identity.here()
    if same_bytes == "1":
        expected[identity.KIND] = identity.kind()
    Bridge(address, int(cpus), expected).serve()
