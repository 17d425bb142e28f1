"""Flower's messages answered on Ray, as many at a time as there are processors for.

A fault of the engine is never an organization's absence. An actor that dies is replaced and the
message repeated; a cluster of our own that dies is started again; and what cannot be repaired ends
the training with an error, after the last whole round.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flwr.app import Message
from flwr.clientapp import ClientApp

from tradefl.errors import MissingExtraError, Parameter, Problem
from tradefl.federation.grid import EngineError, InProcessGrid, on_the_wire
from tradefl.federation.updates import pledge_record, round_of
from tradefl.sweep.identity import here

# How long another's cluster may take to answer, and ours to start, after Ray is imported.
CONNECT_SECONDS = 15.0
START_SECONDS = 120.0
IMPORT_SECONDS = 120.0
# How often a cluster that was lost is started again in a training.
RESTARTS = 3
LEAVE_SECONDS = 10.0


class RayGrid(InProcessGrid):
    """Nodes whose messages are answered by actors of Ray.

    Parameters
    ----------
    client_app, node_configs, run_config
        As in :class:`~tradefl.federation.grid.InProcessGrid`.
    address
        The cluster's address; empty or ``local``: a cluster of our own on this machine.
    notify
        Called with a line about everything that was repaired.

    Raises
    ------
    EngineError
        The cluster does not answer, or has other code.
    MissingExtraError
        Ray is not installed.
    """

    def __init__(
        self,
        client_app: ClientApp,
        node_configs: Sequence[Mapping[str, Any]],
        run_config: Mapping[str, Any] | None = None,
        *,
        address: str = "",
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(client_app, node_configs, run_config)
        try:
            from ray import cloudpickle
        except ImportError:
            raise MissingExtraError(Parameter("backend", "ray"), "sweep") from None
        self._app = cloudpickle.dumps(client_app)  # type: ignore[no-untyped-call]
        self._address, self._notify = "" if address == "local" else address, notify
        self._place = (
            Parameter("ray", self._address) if self._address else Parameter("backend", "ray")
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._left = RESTARTS
        self._key = 0
        self._start()

    # --- the process that has Ray ----------------------------------------------------------------

    def _start(self) -> None:
        try:
            self._connect()
        except BaseException:  # Ctrl-C too: nobody else knows the process yet
            self.close()
            raise

    def _connect(self) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tradefl.federation.ray_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C is ours to handle
        )
        self._answers = queue.SimpleQueue()
        thread = threading.Thread(
            target=_read, args=(self._process.stdout, self._answers), daemon=True
        )
        thread.start()
        # Workers on this machine import from this very folder; others may have anything.
        self._send(self._address, here() if self._address else None)
        limits = {"imported": IMPORT_SECONDS}
        limits["connected"] = CONNECT_SECONDS if self._address else START_SECONDS
        for step, seconds in limits.items():
            try:
                answer = self._answers.get(timeout=seconds)
            except queue.Empty:
                answer = ("lost", f"no answer in {seconds:g} s")
            if answer is None or answer[0] != step:
                said = answer[1] if answer else "its process ended"
                what = said if self._address else f"Ray cannot be started: {said}"
                raise EngineError([Problem(self._place, what)])
        self._send("app", self._app)

    def _send(self, *message: Any) -> None:
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError, OSError):  # its end is seen where we read
            pickle.dump(message, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()

    def close(self) -> None:
        """Leave the cluster; end it if it is ours."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        except BaseException:
            _end(process)
            raise
        _end(process)

    # --- as a grid -------------------------------------------------------------------------------

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Have each message answered; return the replies of those that took no longer."""
        waiting: dict[int, Message] = {}
        for message in messages:
            self._key += 1
            waiting[self._key] = message
        self._submit(waiting, timeout)
        replies: dict[int, Message] = {}
        while waiting:
            answer = self._answers.get()
            if answer is not None and answer[0] == "gone":
                if self._address:
                    raise self._failed(answer[1])
                answer = None
            if answer is None:
                self._again(waiting, timeout)
                continue
            kind, key, *rest = answer
            if key not in waiting:
                continue
            if kind == "repeated":
                self._notify(
                    f"Ray: {_unit(waiting[key])}: {rest[0]}; another worker answers the message"
                )
            elif kind == "failed":
                raise self._failed(rest[0], waiting[key])
            elif kind == "refused":
                what = f"{rest[0]}; install the same on all nodes"
                raise EngineError([Problem(self._place, what)])
            else:
                message = waiting.pop(key)
                reply, context = rest
                if context is not None:
                    self._contexts[message.metadata.dst_node_id] = context
                if reply is not None:
                    replies[key] = reply
        return [replies[key] for key in sorted(replies)]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Have each message answered; replies wait to be pulled."""
        ids = []
        for message in messages:
            self._sent += 1
            ids.append(str(self._sent))
            for reply in self.send_and_receive([message]):
                self._replies[ids[-1]] = reply
        return ids

    def _submit(self, waiting: Mapping[int, Message], timeout: float | None) -> None:
        for key, message in waiting.items():
            context = self._contexts[message.metadata.dst_node_id]
            self._send("run", key, on_the_wire(message), context, timeout)

    def _again(self, waiting: Mapping[int, Message], timeout: float | None) -> None:
        """Start Ray again after its process has ended, and repeat what has no answer."""
        self.close()
        if self._left == 0:
            raise self._failed("the cluster was lost again and again")
        self._left -= 1
        self._notify("Ray was lost and was started again; messages without an answer are repeated")
        self._start()
        self._submit(waiting, timeout)

    def _failed(self, cause: str, message: Message | None = None) -> EngineError:
        if message is not None:
            cause = f"{_unit(message)}: {cause}"
        return EngineError(
            [Problem(self._place, f"the engine failed, no organization did: {cause}")]
        )


def _unit(message: Message) -> str:
    """Return what a message asks for, in words: whose training, in which round."""
    pledge = pledge_record(message.content)
    if pledge is None:
        return f"node {message.metadata.dst_node_id} ({message.metadata.message_type})"
    number = round_of(message)
    return f"{pledge['organization']}" + ("" if number is None else f", round {number}")


def _read(stream: Any, answers: queue.SimpleQueue[Any]) -> None:
    """Take the worker's answers until it ends."""
    with contextlib.suppress(Exception):  # cut off in the middle: it has ended
        while True:
            answers.put(pickle.load(stream))  # noqa: S301 - of our own child
    answers.put(None)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    else:  # pragma: no cover - Windows
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
