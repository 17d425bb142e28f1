"""The process between a training and a Ray cluster: messages in, replies out.

Ray sets signal handlers, prints, and ends the process that uses it when its cluster is gone. Here
that happens to a process of its own, which the training can end or replace. It hands each message
to an actor. An actor that dies is replaced, and the message is handed to another one: the
organization answers the same, because what it does depends on the message alone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import sys
import threading
import time
import warnings
from collections import deque
from queue import Empty, SimpleQueue
from typing import Any

from tradefl.sweep import identity
from tradefl.sweep.bridge import head_of, resolved, watch
from tradefl.sweep.identity import gate

# How often a message is handed out before its failure is the engine's.
TRIES = 3
# How many processors an actor has, where there are so many: as in Flower's simulation.
PROCESSORS = 2
# A message that takes longer than its timeout and this has no answer; its actor is replaced.
GRACE_SECONDS = 60.0
POLL_SECONDS = 0.05


def call(
    app: bytes, job: bytes, expected: identity.Identity | None
) -> tuple[Any, Any, float, str | None]:
    """Run a ClientApp in an actor, on a message and a context.

    Both arrive as bytes: what a node runs is compared before any of our code is imported there.

    Returns
    -------
    reply, context, seconds, refusal
        The reply, an error reply if the app raised; the context afterwards; the time that it took;
        and, instead of all, which node has other code, and how it differs.
    """
    if expected is not None:
        verdict, node, *rest = gate(expected, None, [])
        if verdict == "refused":
            return None, None, 0.0, f"node {node}: {rest[0]}"
    from ray import cloudpickle

    from tradefl.federation.grid import answer, task_identity

    with task_identity(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("flwr").setLevel(logging.ERROR)
        start = time.perf_counter()
        message, context = pickle.loads(job)  # noqa: S301 - of the driver
        reply = answer(cloudpickle.loads(app), message, context)
        return reply, context, time.perf_counter() - start, None


class Worker:
    """Serves one training with one cluster."""

    def __init__(self, source: Any, sink: Any) -> None:
        self.source, self.sink = source, sink
        self.lock = threading.Lock()
        self.received: SimpleQueue[Any] = SimpleQueue()

    def send(self, *message: Any) -> None:
        """Send the training a message."""
        with self.lock, contextlib.suppress(BrokenPipeError):
            pickle.dump(message, self.sink, protocol=pickle.HIGHEST_PROTOCOL)
            self.sink.flush()

    def leave(self, head: str) -> None:
        """Report that the head is gone, and end: Ray would wait for it."""
        self.send("gone", f"the head of the Ray cluster ({head}) does not answer any more")
        os._exit(1)

    def read(self) -> None:
        """Take the training's messages until it closes the pipe."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                self.received.put(pickle.load(self.source))  # noqa: S301 - of our own parent
        self.received.put(None)
        time.sleep(10.0)  # the main thread leaves the cluster; or else:
        os._exit(1)

    def serve(self) -> None:
        """Join the cluster or start one, and answer messages until the pipe is closed."""
        threading.Thread(target=self.read, daemon=True).start()
        first = self.received.get()
        if first is None:
            return
        address, expected = first
        if not address:  # a cluster of our own, whatever the environment says
            os.environ.pop("RAY_ADDRESS", None)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray warns that it will stop hiding GPUs from processes that ask for none.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        self.send("imported")
        try:
            ray.init(
                head_of(address) if address else "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=None if address else False,
            )
        except Exception as error:  # of many kinds
            said = str(error).strip().splitlines() or [type(error).__name__]
            self.send("lost", said[0][:200])
            return
        ray.cloudpickle.register_pickle_by_value(identity)  # type: ignore[no-untyped-call]
        head = resolved(address) if address else ""
        if not head.startswith("ray://"):
            head = ray.get_runtime_context().gcs_address
        threading.Thread(target=watch, args=(head, lambda: self.leave(head)), daemon=True).start()
        processors = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
        each = min(PROCESSORS, max(1, processors))
        self.send("connected", max(1, processors // each))
        with contextlib.suppress(Exception):
            Pool(ray, self, each, max(1, processors // each), expected).run()
        ray.shutdown()


class Pool:
    """Actors, what each is busy with, and what waits."""

    def __init__(
        self,
        ray: Any,
        worker: Worker,
        processors: int,
        size: int,
        expected: identity.Identity | None,
    ) -> None:
        self.ray, self.worker, self.expected = ray, worker, expected
        kind = type("Actor", (), {"call": staticmethod(call), "pid": staticmethod(os.getpid)})
        self.kind = ray.remote(num_cpus=processors, max_restarts=0)(kind)
        self.size = size
        self.idle: list[Any] = []
        self.app: Any = None
        self.waiting: deque[tuple[int, Any, Any, float | None, int]] = deque()
        self.busy: dict[Any, tuple[Any, float, tuple[int, Any, Any, float | None, int]]] = {}

    def run(self) -> None:
        """Answer messages until the pipe is closed."""
        while True:
            while True:
                try:
                    idle = not self.busy and not self.waiting
                    message = self.worker.received.get(idle, None if idle else 0.0)
                except Empty:
                    break
                if message is None:
                    return
                if message[0] == "app":
                    self.app = self.ray.put(message[1])
                else:
                    _, key, content, context, timeout = message
                    self.waiting.append((key, content, context, timeout, TRIES))
            self._hand_out()
            self._collect()

    def _hand_out(self) -> None:
        while self.waiting and len(self.busy) < self.size:
            actor = self.idle.pop() if self.idle else self.kind.remote()
            job = self.waiting.popleft()
            content = pickle.dumps((job[1], job[2]), protocol=pickle.HIGHEST_PROTOCOL)
            reference = actor.call.remote(self.app, content, self.expected)
            self.busy[reference] = (actor, time.monotonic(), job)

    def _collect(self) -> None:
        ready, _ = self.ray.wait(list(self.busy), num_returns=1, timeout=POLL_SECONDS)
        for reference in ready:
            actor, _, job = self.busy.pop(reference)
            key, _, _, timeout, tries = job
            try:
                reply, context, seconds, refusal = self.ray.get(reference)
            except Exception as error:  # whatever it is, the app did not raise it
                self._replace(actor)
                said = str(error).strip().splitlines() or [""]
                cause = f"{type(error).__name__}: {said[0][:200]}"
                if tries > 1:
                    self.worker.send("repeated", key, cause)
                    self.waiting.append((*job[:4], tries - 1))
                else:
                    self.worker.send("failed", key, cause)
                continue
            self.idle.append(actor)
            if refusal is not None:
                self.worker.send("refused", key, refusal)
            else:
                late = timeout is not None and seconds > timeout
                self.worker.send("done", key, None if late else reply, context)
        now = time.monotonic()
        for reference, (actor, began, job) in list(self.busy.items()):
            if job[3] is not None and now - began > job[3] + GRACE_SECONDS:
                del self.busy[reference]
                self._replace(actor)
                self.worker.send("done", job[0], None, job[2])

    def _replace(self, actor: Any) -> None:
        """Let go of an actor that may be broken; the next message starts another."""
        with contextlib.suppress(Exception):
            self.ray.kill(actor)


def main() -> None:
    """Serve the training at the other end of stdin and stdout."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what Ray prints must not be taken for an answer
    Worker(sys.stdin.buffer, sink).serve()


if __name__ == "__main__":
    main()
