"""Hand-made messages, nodes that answer as they are told to, and terms with round numbers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, Strategy
from flwr.supercore.task_identity import TaskIdentity

from tradefl.federation import Pledge, Terms, TradeFL
from tradefl.federation.pledge import PROFILE, PROFILE_QUERY, RECEIPT

NAMES = ("Alpha", "Beta", "Gamma", "Delta", "Epsilon", "Zeta", "Eta", "Theta")
APP_FAILED = 2  # Flower's ErrorCode.CLIENT_APP_RAISED_EXCEPTION
NODE_UNAVAILABLE = 5  # Flower's ErrorCode.NODE_UNAVAILABLE
TRAIN = "train"

Arrays = Mapping[str, Any]
Answer = Callable[[Message], Message | None]


@contextmanager
def in_a_run() -> Iterator[None]:
    """Let messages be made: Flower refuses to outside of a run."""
    before = {name: getattr(TaskIdentity, name) for name in ("_run_id", "_node_id", "_task_id")}
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 7, 1, 1
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(TaskIdentity, name, value)


def node_of(i: int) -> int:
    """Return the id of an organization's node: descending, so that no order fits by accident."""
    return 900 - i


def make_terms(
    held: Sequence[int],
    fractions: Sequence[float] | None = None,
    *,
    levels: Sequence[float] = (1e9, 2e9, 4e9),
    cpu_hz: float = 2e9,
    cycles: float = 8e10,
    transfer: float = 10.0,
    deadline: float = 1000.0,
    seed: int = 0,
) -> Terms:
    """Return terms in which all data takes ``cycles / cpu_hz`` = 40 s, and the model 10 s more."""
    n = len(held)
    shares = [1.0] * n if fractions is None else fractions
    return Terms(
        pledges=tuple(
            Pledge(name, d, cpu_hz, samples, seed)
            for name, d, samples in zip(NAMES, shares, held, strict=False)
        ),
        transfer_seconds=(transfer,) * n,
        cycles=(cycles,) * n,
        cpu_levels_hz=(tuple(levels),) * n,
        deadline_seconds=deadline,
    )


def record(arrays: Arrays) -> ArrayRecord:
    """Return arrays as they travel; what is an :class:`Array` already stays as it is."""
    return ArrayRecord(
        {k: v if isinstance(v, Array) else Array(np.asarray(v)) for k, v in arrays.items()}
    )


def raw(data: bytes, shape: tuple[int, ...], dtype: str = "float32") -> Array:
    """Return an array that says of itself what may not be true."""
    return Array(dtype, shape, "numpy.ndarray", data)


def content(arrays: Arrays, metrics: Mapping[str, Any], receipt: Any = None) -> RecordDict:
    """Return what an update consists of."""
    records: dict[str, Any] = {
        "arrays": record(arrays),
        "metrics": metrics if isinstance(metrics, MetricRecord) else MetricRecord(dict(metrics)),
    }
    if receipt is not None:
        records[RECEIPT] = ConfigRecord(dict(receipt))
    return RecordDict(records)


def unchecked(metrics: Mapping[str, Any]) -> MetricRecord:
    """Return a metric record whose values no one has looked at, as a forged one may arrive."""
    made = MetricRecord()
    made.__dict__["_data"].update(metrics)
    return made


class FakeGrid(Grid):
    """Nodes that come, go and answer as a test says; what was asked is kept in ``asked``."""

    def __init__(self, organizations: int = 0) -> None:
        self.answers: dict[int, Answer] = {}
        self.keys: dict[int, bytes] = {}
        self.asked: list[tuple[list[Message], float | None]] = []
        for i in range(organizations):
            self.join(node_of(i), organization=NAMES[i])

    def join(self, node: int, *, key: bytes = b"", **profile: Any) -> None:
        """Connect a node that answers who it is."""

        def answer(message: Message) -> Message:
            return Message(RecordDict({PROFILE: ConfigRecord(profile)}), reply_to=message)

        self.answers[node], self.keys[node] = answer, key

    def join_failing(self, node: int, code: int = APP_FAILED, reason: str = "no handler") -> None:
        """Connect a node whose answer is an error."""
        self.answers[node] = lambda message: Message(Error(code, reason), reply_to=message)

    def join_silent(self, node: int) -> None:
        """Connect a node that does not answer in time."""
        self.answers[node] = lambda _: None

    def leave(self, node: int) -> None:
        """Disconnect a node."""
        del self.answers[node]

    @property
    def queries(self) -> list[list[int]]:
        """The nodes of every query so far of who they are."""
        return [
            [message.metadata.dst_node_id for message in messages]
            for messages, _ in self.asked
            if messages and messages[0].metadata.message_type == PROFILE_QUERY
        ]

    def set_run(self, run: Any) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Any:
        raise NotImplementedError

    def create_message(self, *args: Any, **kwargs: Any) -> Message:
        raise NotImplementedError

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return list(self.answers)

    def get_nodes(self) -> Iterable[NodeInfo]:
        return [NodeInfo(node_id=k, public_key=self.keys.get(k, b"")) for k in self.answers]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        sent = list(messages)
        self.asked.append((sent, timeout))
        replies = [self.answers[message.metadata.dst_node_id](message) for message in sent]
        arrived = [reply for reply in replies if reply is not None]
        random.Random(len(self.asked)).shuffle(arrived)  # noqa: S311
        return arrived


class Federation:
    """A strategy and the nodes of its organizations, round by round."""

    def __init__(
        self,
        terms: Terms,
        inner: Strategy | None = None,
        *,
        model: Arrays | None = None,
        grid: FakeGrid | None = None,
        **settings: Any,
    ) -> None:
        self.terms = terms
        self.model = {"w": np.zeros(2, np.float32)} if model is None else model
        self.grid = FakeGrid(len(terms)) if grid is None else grid
        self.inner = (
            FedAvg(min_train_nodes=1, min_available_nodes=1, fraction_evaluate=0.0)
            if inner is None
            else inner
        )
        self.strategy = TradeFL(self.inner, terms, **{"join_seconds": 0.0, **settings})
        self.round = 0
        self.messages: dict[int, Message] = {}

    def ask(self) -> dict[int, Message]:
        """Begin a round; return the messages by organization."""
        self.round += 1
        nodes = {node_of(i): i for i in range(len(self.terms))}
        sent = self.strategy.configure_train(
            self.round, record(self.model), ConfigRecord(), self.grid
        )
        self.messages = {
            nodes.get(message.metadata.dst_node_id, message.metadata.dst_node_id): message
            for message in sent
        }
        return self.messages

    def reply(
        self,
        i: int,
        arrays: Arrays,
        claimed: Any,
        *,
        receipt: Any = None,
        **metrics: Any,
    ) -> Message:
        """Return an organization's reply with its update."""
        own = {"num-examples": claimed, **metrics}
        return self.answer(i, content(arrays, own, receipt))

    def answer(self, i: int, content_or_error: RecordDict | Error) -> Message:
        """Return an organization's reply with whatever it says."""
        return Message(content_or_error, reply_to=self.messages[i])

    def end(self, replies: Iterable[Message]) -> dict[str, np.ndarray] | None:
        """End the round; return the global model if there is a new one."""
        made, self.metrics = self.strategy.aggregate_train(self.round, replies)
        return None if made is None else {key: value.numpy() for key, value in made.items()}

    def entry(self, i: int) -> Any:
        """Return what the ledger says of an organization in this round."""
        (found,) = [
            entry
            for entry in self.strategy.ledger.of_round(self.round)
            if entry.organization == self.terms.names[i]
        ]
        return found


def same(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> bool:
    """Tell whether two models are equal to the last bit."""
    assert a is not None
    assert b is not None
    return list(a) == list(b) and all(
        np.asarray(a[k]).dtype == np.asarray(b[k]).dtype
        and np.asarray(a[k]).shape == np.asarray(b[k]).shape
        and np.asarray(a[k]).tobytes() == np.asarray(b[k]).tobytes()
        for k in a
    )
