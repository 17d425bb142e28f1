r"""The mechanism as a Flower strategy: a wrapper around FedAvg, FedProx, FedAdam, ...

The wrapper does not aggregate. It tells each node its pledge, looks at what comes back, and hands
the wrapped strategy exactly the updates that count, with the weights that they have earned:

    n_i / sum_k n_k,   n_i = the samples that i really used, at most d_i |S_i|

(Eq. (3) with erratum E7: as printed the weights do not sum to one.)
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from logging import INFO, WARNING, getLogger

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, Metadata, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from tradefl.federation.judgement import CLIENT_APP_FAILED, Judgement, judged, short
from tradefl.federation.ledger import Ledger
from tradefl.federation.pledge import PLEDGE, PROFILE, PROFILE_QUERY
from tradefl.federation.terms import Deadline, Terms
from tradefl.federation.updates import (
    UnusableUpdateError,
    Update,
    common_metrics,
    config_of,
)

log = getLogger("flwr").log
DEFAULT_WEIGHT = "num-examples"
PROFILE_SECONDS = 120.0
POLL_SECONDS = 1.0


class TradeFL(Strategy):
    """Hold every organization to its pledge, and measure what it contributed.

    Parameters
    ----------
    strategy
        What aggregates: ``FedAvg(...)``, ``FedProx(...)``, ``FedAdam(...)``, or any strategy of
        Flower's Message API that weighs updates by a metric (``weighted_by_key``).
    terms
        The pledges and the deadline: ``Terms.load("consortium.toml")``, or :meth:`Terms.of`.
    deadline
        ``"model"``: an update counts if the time of Eq. (2), with what was really used, is within
        tau. ``"wall"``: if its reply arrives within tau of real time. ``"off"``: always.
    public_keys
        For nodes that authenticate: each organization's public key, as the SuperLink reports it.
        Then no other node can speak for it.
    join_seconds
        How long the first round waits until every organization is connected.
    rounds_done
        The rounds before this one, when a training continues: rounds count on from there.
    ledger
        What was measured in those rounds.

    Attributes
    ----------
    ledger
        What was measured: complete for a round when the wrapped strategy has aggregated it.
    refusals
        Which nodes take part for nobody, and why, in words.

    Notes
    -----
    A node says who it is in reply to a query (:func:`tradefl.federation.profile`): by
    ``organization`` in its node config, or, in a simulation, by ``partition-id``. Replies are
    sorted by organization before they are aggregated, so that a run can be repeated to the last
    bit although Flower asks nodes in random order.
    """

    def __init__(
        self,
        strategy: Strategy,
        terms: Terms,
        *,
        deadline: Deadline = "model",
        public_keys: Mapping[str, bytes] | None = None,
        join_seconds: float = 60.0,
        rounds_done: int = 0,
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__()
        self.strategy = strategy
        self.terms = terms
        self.deadline: Deadline = deadline
        self.public_keys = public_keys
        self.join_seconds = join_seconds
        self.rounds_done = rounds_done
        self.ledger = Ledger(terms) if ledger is None else ledger
        self.refusals: list[str] = []
        self._pledges = [ConfigRecord(pledge.to_record()) for pledge in terms.pledges]
        self._index = {name: i for i, name in enumerate(terms.names)}
        self._nodes: dict[int, int] = {}  # node id -> organization
        self._refused: dict[int, str] = {}  # node id -> why it speaks for nobody
        self._waiting: dict[int, int] = {}  # node id -> organization that another node speaks for
        self._connected: set[int] = set()
        self._asked: dict[int, Metadata] = {}  # organization -> of its message in this round
        self._sent: ArrayRecord = ArrayRecord()

    def summary(self) -> None:
        """Log the settings, then those of the wrapped strategy."""
        log(INFO, "\t├──> TradeFL settings:")
        log(INFO, "\t│\t├── Organizations: %d", len(self.terms))
        log(INFO, "\t│\t└── Deadline: %g s (%s)", self.terms.deadline_seconds, self.deadline)
        self.strategy.summary()

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """Run the rounds, as :meth:`flwr.serverapp.strategy.Strategy.start` does.

        With a deadline in real time the timeout is at most tau. When a training continues,
        ``evaluate_fn`` is called with the number of the round in the whole of it.
        """
        if self.deadline == "wall":
            timeout = min(timeout, self.terms.deadline_seconds)

        return super().start(
            grid,
            initial_arrays,
            num_rounds,
            timeout,
            train_config,
            evaluate_config,
            None if evaluate_fn is None else self._counted_on(evaluate_fn),
        )

    def _counted_on(
        self, evaluate: Callable[[int, ArrayRecord], MetricRecord | None]
    ) -> Callable[[int, ArrayRecord], MetricRecord | None]:
        return lambda server_round, arrays: evaluate(server_round + self.rounds_done, arrays)

    # --- before a round --------------------------------------------------------------------------

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the wrapped strategy's messages, each with its organization's pledge."""
        self._await_organizations(grid)
        messages = self.strategy.configure_train(
            server_round + self.rounds_done, arrays, config, grid
        )
        addressed: dict[int, Message] = {}
        for message in messages:
            i = self._nodes.get(message.metadata.dst_node_id)
            if i is None:
                continue  # a node that speaks for nobody
            # The content is one object that all messages share.
            own = copy.copy(message)
            own.content = RecordDict({**message.content, PLEDGE: self._pledges[i]})
            addressed[i] = own
        self._asked = {i: message.metadata for i, message in addressed.items()}
        self._sent = arrays
        # A list: a SuperLink takes no generator.
        return [addressed[i] for i in sorted(addressed)]

    def _await_organizations(self, grid: Grid) -> None:
        """Learn who the nodes are; the first time, wait until everybody is there."""
        first = not self._nodes
        until = time.monotonic() + self.join_seconds
        self._identify(grid)
        while first and len(set(self._nodes.values())) < len(self.terms):
            everybody = len(self._connected) >= len(self.terms)
            hopeless = everybody and self._connected <= set(self._refused)
            if time.monotonic() >= until or hopeless:
                break
            time.sleep(POLL_SECONDS)
            self._identify(grid)
        if not self._nodes:
            reasons = "; ".join(sorted(set(self._refused.values())))
            silent = "no node has said which organization it is"
            reasons = reasons or (silent if self._connected else "no node is connected")
            raise RuntimeError(f"no organization takes part: {reasons}")
        missing = [name for name, i in self._index.items() if i not in self._nodes.values()]
        if first and missing:
            log(WARNING, "not connected: %s", ", ".join(missing))

    def _identify(self, grid: Grid) -> None:
        """Ask nodes that are new which organization they are."""
        nodes = {node.node_id: node for node in grid.get_nodes()}
        self._connected = set(nodes)
        # Who was refused and went may come back another, under the same id.
        self._refused = {k: why for k, why in self._refused.items() if k in nodes}
        for node, i in list(self._waiting.items()):  # for whose place may be free by now
            if node in nodes and not self._is_connected(i):
                self._take_place(node, i)
                del self._waiting[node]
        known = {*self._nodes, *self._refused, *self._waiting}
        new = [k for k in sorted(nodes) if k not in known]
        if not new:
            return
        question = RecordDict({PROFILE: ConfigRecord()})
        replies = grid.send_and_receive(
            [Message(question, k, PROFILE_QUERY) for k in new], timeout=PROFILE_SECONDS
        )
        for reply in sorted(replies, key=lambda reply: int(reply.metadata.src_node_id)):
            node = reply.metadata.src_node_id
            if node not in nodes:
                continue  # the SuperLink's, for a node that is gone: if it comes back, we ask again
            if reply.has_error() and reply.error.code != CLIENT_APP_FAILED:
                continue  # it was starting or going: ask again
            try:
                self._admit(node, self._organization(reply), bytes(nodes[node].public_key))
            except UnusableUpdateError as error:
                self._refused[node] = str(error)
                self.refusals.append(f"node {node} was refused: {error}")
                log(WARNING, "node %d is refused: %s", node, error)

    def _organization(self, reply: Message) -> int:
        """Return which organization a node says it is."""
        if reply.has_error():
            raise UnusableUpdateError(
                f"it does not say which organization it is ({short(reply.error.reason)}); "
                "is its ClientApp a ContributingApp?"
            )
        profile = config_of(reply, PROFILE)
        name, partition = profile.get("organization"), profile.get("partition-id")
        if isinstance(name, str) and name in self._index:
            return self._index[name]
        if name is None and type(partition) is int and 0 <= partition < len(self.terms):
            return partition
        raise UnusableUpdateError(
            f"it says it is {name!r}, partition {partition!r}: no organization of the consortium"
        )

    def _admit(self, node: int, i: int, key: bytes) -> None:
        """Let a node speak for an organization if its key allows it, after the one that does."""
        name = self.terms.names[i]
        if self.public_keys is not None and self.public_keys.get(name) != key:
            raise UnusableUpdateError(f"it says it is {name!r}, but its key is another")
        if self._is_connected(i):
            self._waiting[node] = i
            log(WARNING, "node %d says it is %r, which another node is; it waits", node, name)
        else:
            self._take_place(node, i)

    def _is_connected(self, i: int) -> bool:
        """Tell whether a connected node speaks for an organization."""
        return any(j == i and node in self._connected for node, j in self._nodes.items())

    def _take_place(self, node: int, i: int) -> None:
        """Let a node speak for an organization, instead of those that are gone."""
        self._nodes = {k: j for k, j in self._nodes.items() if j != i} | {node: i}

    # --- after a round ---------------------------------------------------------------------------

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Enter everybody in the ledger; aggregate the updates that count, by organization."""
        number = server_round + self.rounds_done
        by_organization: dict[int, Message] = {}
        for reply in replies:
            i = self._answering(reply)
            if i in self._asked:
                by_organization.setdefault(i, reply)
        judgements = [
            self._judged(number, i, by_organization.get(i)) for i in range(len(self.terms))
        ]
        for entry, _, _ in judgements:
            if entry.reason:
                log(WARNING, "%s, round %d: %s", entry.organization, number, entry.reason)
        self.ledger.add(entry for entry, _, _ in judgements)
        counted = [(update, weight) for _, update, weight in judgements if update is not None]
        if not counted:
            log(WARNING, "round %d: no update counts, the model stays as it is", number)
            return None, None
        with np.errstate(over="ignore", invalid="ignore"):
            arrays, metrics = self.strategy.aggregate_train(number, self._rewritten(counted))
        if arrays is not None and not all(
            np.isfinite(one.numpy()).all() for one in arrays.values()
        ):
            log(WARNING, "round %d: the aggregate is not finite, the model stays as it is", number)
            arrays = None
        return arrays, metrics

    def _answering(self, reply: Message) -> int | None:
        """Return which organization a reply is of, or about."""
        i = self._nodes.get(reply.metadata.src_node_id)
        if i is not None or not reply.has_error():
            return i
        # For a node that is gone the SuperLink answers, under its own node id. Which node it was
        # shows only in the message that it is a reply to; Flower gave that its id in sending it.
        asked_by = reply.metadata.reply_to_message_id
        sent = {metadata.message_id: i for i, metadata in self._asked.items()}
        return sent.get(asked_by) if asked_by else None

    def _judged(self, number: int, i: int, reply: Message | None) -> Judgement:
        """Return what an organization's reply, or its absence, comes to in a round."""
        if i in self._asked:
            return judged(
                self.terms,
                i,
                number,
                reply,
                sent=self._sent,
                weight_key=self._weight_key,
                deadline=self.deadline,
            )
        if self._is_connected(i):
            return Judgement.out(self.terms, i, number, "idle", "")
        return Judgement.out(self.terms, i, number, "absent", "not connected")

    def _rewritten(self, counted: Sequence[tuple[Update, int | float]]) -> list[Message]:
        """Return the replies as the wrapped strategy may take them at their word."""
        common = common_metrics([update.metrics for update, _ in counted])
        messages = []
        for update, weight in counted:
            metrics = MetricRecord({key: update.metrics[key] for key in common})
            metrics[self._weight_key] = weight
            own = copy.copy(update.reply)
            # In the model's order of names, whatever the reply's.
            arrays = ArrayRecord({key: update.arrays[key] for key in self._sent})
            kept = {
                key: record
                for key, record in update.reply.content.items()
                if isinstance(record, ConfigRecord)
            }
            own.content = RecordDict({**kept, "arrays": arrays, "metrics": metrics})
            messages.append(own)
        return messages

    @property
    def _weight_key(self) -> str:
        strategy: object = self.strategy
        while not hasattr(strategy, "weighted_by_key") and hasattr(strategy, "strategy"):
            strategy = strategy.strategy  # a wrapper, such as those for differential privacy
        return str(getattr(strategy, "weighted_by_key", DEFAULT_WEIGHT))

    # --- evaluation: the wrapped strategy's ------------------------------------------------------

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the wrapped strategy's messages."""
        return self.strategy.configure_evaluate(
            server_round + self.rounds_done, arrays, config, grid
        )

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Return what the wrapped strategy makes of the replies."""
        return self.strategy.aggregate_evaluate(server_round + self.rounds_done, replies)
