"""Flower's runtime without a runtime: every organization in this process, one after the other.

A :class:`~flwr.serverapp.Grid` that calls the ClientApp where a SuperLink would send a message. The
same ServerApp and ClientApp run on it as on many machines.
"""

from __future__ import annotations

import copy
import logging
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import flwr
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from tradefl.errors import InputError
from tradefl.federation.judgement import CLIENT_APP_FAILED

RUN_ID = 1
SERVER_NODE_ID = 1
FIRST_NODE_ID = 100


class _Once:
    """A setting of the process that is changed by the first to enter, and restored by the last.

    Were each thread to restore what it found, it might find what another has changed, and leave it
    so for good.
    """

    def __init__(self, change: Callable[[], Callable[[], None]]) -> None:
        self._change = change
        self._restore: Callable[[], None] | None = None
        self._inside, self._lock = 0, threading.Lock()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Keep the setting changed."""
        with self._lock:
            if self._inside == 0:
                self._restore = self._change()
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0 and self._restore is not None:
                    self._restore()


def _identify() -> Callable[[], None]:
    """Let messages be made outside a run: the one thing here that is internal to Flower."""
    try:
        from flwr.supercore.task_identity import TaskIdentity
    except ImportError as error:  # pragma: no cover
        raise ImportError(
            f"Flower {flwr.__version__} has moved TaskIdentity; TradeFL is made for 1.41 and 1.42"
        ) from error
    names = ("_run_id", "_node_id", "_task_id")
    before = [getattr(TaskIdentity, name) for name in names]
    TaskIdentity.run_id = RUN_ID
    TaskIdentity.node_id = SERVER_NODE_ID
    TaskIdentity.task_id = 1

    def restore() -> None:
        for name, value in zip(names, before, strict=True):
            setattr(TaskIdentity, name, value)

    return restore


def _silence() -> Callable[[], None]:
    """Keep Flower's log of every step off the terminal, unless the host has set its level."""
    from flwr.common.logger import FLOWER_LOGGER, console_handler

    colored = console_handler.colored
    console_handler.colored = colored and _has_colours()

    def restore() -> None:
        console_handler.colored = colored
        console_handler.removeFilter(only_errors)

    def only_errors(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    # Not the logger's level: handlers of the host get what they asked for.
    if FLOWER_LOGGER.level == logging.DEBUG:  # Flower's own setting at import
        console_handler.addFilter(only_errors)
    return restore


def _has_colours() -> bool:
    """Tell whether stderr is a terminal whose user has not refused colours."""
    return not os.environ.get("NO_COLOR") and sys.stderr is not None and sys.stderr.isatty()


def _remember_random() -> Callable[[], None]:
    """Keep the state of Python's generator, from which Flower draws the order of its nodes."""
    before = random.getstate()
    return lambda: random.setstate(before)


task_identity = _Once(_identify)
_random_state = _Once(_remember_random)
quiet = _Once(_silence)


class EngineError(InputError):
    """The engine under a training could not be repaired; no organization is at fault."""


class InProcessGrid(Grid):
    """Nodes that live in this process; a message is a call.

    Parameters
    ----------
    client_app
        What every node runs.
    node_configs
        One for each node.
    run_config
        What every node sees as the run's configuration.
    """

    def __init__(
        self,
        client_app: ClientApp,
        node_configs: Sequence[Mapping[str, Any]],
        run_config: Mapping[str, Any] | None = None,
    ) -> None:
        self._client_app = client_app
        self._contexts = {
            FIRST_NODE_ID + k: Context(
                run_id=RUN_ID,
                node_id=FIRST_NODE_ID + k,
                node_config=dict(config),
                state=RecordDict(),
                run_config=dict(run_config or {}),
            )
            for k, config in enumerate(node_configs)
        }
        self._replies: dict[str, Message] = {}
        self._sent = 0

    def set_run(self, run: Any) -> None:
        """Do nothing: there is one run."""

    @property
    def run(self) -> Any:
        """There is no run of a SuperLink here."""
        raise NotImplementedError("an in-process grid belongs to no SuperLink's run")

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a new message."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return the ids of all nodes."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Run each message's node; replies wait to be pulled."""
        ids = []
        for message in messages:
            reply, _ = self._called(message)
            self._sent += 1
            ids.append(str(self._sent))
            self._replies[ids[-1]] = reply
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies, once."""
        return [self._replies.pop(k) for k in message_ids if k in self._replies]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Run each message's node, and return the replies of those that took no longer."""
        called = [self._called(message) for message in messages]
        return [reply for reply, seconds in called if timeout is None or seconds <= timeout]

    def _called(self, message: Message) -> tuple[Message, float]:
        start = time.perf_counter()
        context = self._contexts[message.metadata.dst_node_id]
        reply = answer(self._client_app, on_the_wire(message), context)
        return reply, time.perf_counter() - start


def on_the_wire(message: Message) -> Message:
    """Return a copy of what travels: messages share their content."""
    received = copy.copy(message)
    received.content = copy.deepcopy(message.content)
    return received


def answer(app: Callable[[Message, Context], Message], message: Message, context: Context) -> Any:
    """Return an app's reply; whatever it raises becomes an error reply, as on a SuperNode."""
    try:
        return app(message, context)
    # An app that exits ends its node's work in this round, not the process that all nodes share.
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        return Message(Error(code=CLIENT_APP_FAILED, reason=reason), reply_to=message)


def run_in_process(
    server_app: ServerApp,
    client_app: ClientApp,
    node_configs: Sequence[Mapping[str, Any]],
    run_config: Mapping[str, Any],
    *,
    grid: Callable[..., Grid] = InProcessGrid,
) -> None:
    """Run a ServerApp with its ClientApps in this process."""
    with task_identity(), _random_state():
        context = Context(
            run_id=RUN_ID,
            node_id=SERVER_NODE_ID,
            node_config={},
            state=RecordDict(),
            run_config=dict(run_config),
        )
        made = grid(client_app, node_configs, run_config)
        try:
            server_app(made, context)
        finally:
            close = getattr(made, "close", None)
            if close is not None:
                close()
