r"""The mechanism as a Flower strategy: a wrapper around FedAvg, FedProx, FedAdam, ...

The wrapper does not aggregate. It tells each node its pledge, looks at what comes back, and hands
the wrapped strategy exactly the updates that count, with the weights that they have earned:

    n_i / sum_k n_k,   n_i = the samples that i really used, at most d_i |S_i|

(Eq. (3) with erratum E7: as printed the weights do not sum to one.) Afterwards it looks at the
result: a round that spoils the model is undone (:mod:`.guard`), and everything unusual about an
update is recorded (:mod:`.inspection`).
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from logging import INFO, WARNING, getLogger
from typing import Any

import numpy as np
from flwr.app import (
    ArrayRecord,
    ConfigRecord,
    Message,
    Metadata,
    MetricRecord,
)
from flwr.app.exception import AppExitException
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from tradefl.federation.aggregations import (
    Snapshot,
    innermost,
    largest_moment,
    mod_needed,
    require_supported,
    watched,
)
from tradefl.federation.guard import Attempt, decide
from tradefl.federation.inspection import (
    FEWEST,
    IDLE_RATIO,
    OPPOSED_COSINE,
    Measures,
    distance,
    flags_of,
    measured,
    median_step,
)
from tradefl.federation.judgement import Judgement, judged, short
from tradefl.federation.ledger import Entry, Ledger, suspicious
from tradefl.federation.members import Members
from tradefl.federation.metrics import credible, metrics_read
from tradefl.federation.outcomes import enter, reject_unpaid, with_reason
from tradefl.federation.pledge import own_code
from tradefl.federation.rewriting import in_precision, rewritten
from tradefl.federation.terms import Deadline, Terms
from tradefl.federation.updates import (
    Update,
    all_finite,
    parameters_of,
    with_pledge,
)
from tradefl.federation.validation import LossOnly, Validation, may_be_fitted

log = getLogger("flwr").log
DEFAULT_WEIGHT = "num-examples"
UNREGISTERED = (
    "expected the organizations' registered keys, because the nodes are on other machines: without "
    "them, one may claim to be another; give the keys"
)


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
    allow_unregistered
        Train without ``public_keys`` on a grid that reaches other machines: then any node that is
        let in by the SuperLink may claim to be any organization that is not connected.
    join_seconds
        How long the first round waits until every organization is connected.
    rounds_done
        The rounds before this one, when a training continues: rounds count on from there.
    ledger
        What was measured in those rounds.
    validation
        The server's own samples: with them, a round after which the model is far worse is undone.
        Without, only a round whose aggregate is not finite.
    run
        What the nodes have to agree to before the first round, in addition to the model's names,
        shapes and precision: the number of classes, for example.
    same_code
        Refuse nodes that run another version of this package, or do not say which.
    clip_norm
        The longest step from the model that was sent that an update may take, in Euclidean length;
        longer ones are shortened to it before they are aggregated. 0: any.
    unpaid_flags
        As the partners have agreed: a minority of updates that carry one of these flags with
        certainty is rejected. By default flags change nothing.

    Attributes
    ----------
    ledger
        What was measured: complete for a round when the wrapped strategy has aggregated it.
    refusals
        In words: which nodes take part for nobody, and why; who claimed a place that was taken,
        and got it later; who was let in with other code.
    rolled_back
        Why the model stayed as it was, by round.

    Raises
    ------
    ValueError
        The strategy cannot be held to pledges.

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
        allow_unregistered: bool = False,
        join_seconds: float = 60.0,
        rounds_done: int = 0,
        ledger: Ledger | None = None,
        validation: Validation | None = None,
        clip_norm: float = 0.0,
        run: Mapping[str, Any] | None = None,
        same_code: bool = False,
        unpaid_flags: Sequence[str] = (),
    ) -> None:
        super().__init__()
        require_supported(strategy)
        if not 0.0 <= clip_norm < math.inf:
            raise ValueError(f"clip_norm: expected a finite number >= 0, got {clip_norm!r}")
        self.strategy = strategy
        self.terms = terms
        self.deadline: Deadline = deadline
        self.allow_unregistered = allow_unregistered
        self.rounds_done = rounds_done
        self.ledger = Ledger(terms) if ledger is None else ledger
        self.validation = validation
        self.clip_norm = clip_norm
        self.run = dict(run or {})
        self.unpaid_flags = frozenset(unpaid_flags)
        self.members = Members(
            strategy,
            terms,
            public_keys=public_keys,
            join_seconds=join_seconds,
            same_code=same_code,
        )
        self.rolled_back: dict[int, str] = {}
        self._pledges = [pledge.to_record() for pledge in terms.pledges]
        self._asked: dict[int, Metadata] = {}  # organization -> of its message in this round
        self._sent: ArrayRecord = ArrayRecord()
        self._loss: float | None = None  # of the model that was sent
        self._looked_at, self._longest, self._moment = 0, 0.0, 0.0  # of former rounds
        self._result: ArrayRecord | None = None  # the model that has this loss

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
        if (
            reaches_others(grid)
            and self.members.public_keys is None
            and not self.allow_unregistered
        ):
            raise ValueError(f"public_keys: {UNREGISTERED}, or pass allow_unregistered=True")
        _require_numbers(arrays)
        if not self.members.nodes:
            self.members.question = ConfigRecord(self._terms_of_the_run(arrays))
        self.members.await_organizations(grid)
        messages = self.strategy.configure_train(
            server_round + self.rounds_done, arrays, config, grid
        )
        addressed: dict[int, Message] = {}
        for message in messages:
            i = self.members.nodes.get(message.metadata.dst_node_id)
            if i is None:
                continue  # a node that speaks for nobody
            # The content is one object that all messages share.
            own = copy.copy(message)
            own.content = with_pledge(message.content, self._pledges[i])
            addressed[i] = own
        self._asked = {i: message.metadata for i, message in addressed.items()}
        if arrays is not self._result:
            self._loss = None
        self._sent = arrays
        # A list: a SuperLink takes no generator.
        return [addressed[i] for i in sorted(addressed)]

    def _terms_of_the_run(self, arrays: ArrayRecord) -> dict[str, Any]:
        """Return what every node has to train by: fixed before the first round, for all rounds."""
        terms: dict[str, Any] = {
            **self.run,
            "names": list(arrays),
            "shapes": ["x".join(map(str, array.shape)) for array in arrays.values()],
            "dtypes": [array.dtype for array in arrays.values()],
            "clip-norm": float(self.clip_norm),
            "strategy": type(innermost(self.strategy)).__name__,
            **own_code(),
        }
        needed = mod_needed(self.strategy)
        return terms | ({"mod": needed} if needed else {})

    # --- after a round ---------------------------------------------------------------------------

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Enter everybody in the ledger; aggregate the updates that count, by organization.

        Returns
        -------
        arrays, metrics
            The new model; ``None`` if the model stays as it is, because no update counts or the
            round was rolled back.
        """
        number = server_round + self.rounds_done
        by_organization: dict[int, Message] = {}
        again: set[int] = set()
        for reply in replies:
            i = self._answering(reply)
            if i is None or i not in self._asked:
                continue
            if i in by_organization:
                again.add(i)
            by_organization.setdefault(i, reply)
        judgements = [
            self._judged(number, i, by_organization.get(i)) for i in range(len(self.terms))
        ]
        judgements = self._excused(judgements)
        entries = [judgement.entry for judgement in judgements]
        for i in again:
            entries[i] = with_reason(entries[i], "sent more than one reply; the first counts")
        counted = [i for i, judgement in enumerate(judgements) if judgement.update is not None]
        arrays, metrics = self._aggregated(number, judgements, entries, counted)
        if number in self.rolled_back:  # what undid the round may have made others infinite
            for i, judgement in enumerate(judgements):
                if judgement.excused is not None:
                    why = f"the round was rolled back: {self.rolled_back[number]}"
                    entries[i] = with_reason(judgement.excused, why)
        for entry in entries:
            if entry.incident:
                log(WARNING, "%s, round %d: %s", entry.organization, number, entry.story)
        self.ledger.add(entries)
        return arrays, metrics

    def _excused(self, judgements: Sequence[Judgement]) -> list[Judgement]:
        """Charge nobody for numbers that are not finite if the model that was sent causes them.

        A correct client that starts from the model shows that: the server's own, or, where the
        server cannot train, most of those that were asked.
        """
        infinite = sum(judgement.excused is not None for judgement in judgements)
        finite = sum(judgement.update is not None for judgement in judgements)
        if not infinite:
            return list(judgements)
        why = ""
        if self.validation is not None and not isinstance(self.validation, LossOnly):
            with np.errstate(all="ignore"):
                if not self.validation.trains(parameters_of(self._sent)):
                    why = "so does the server's own training from this model"
        elif infinite > finite and 2 * infinite > len(self._asked):
            why = "so do most updates of the round"
        if not why:
            return list(judgements)
        return [
            judgement
            if judgement.excused is None
            else Judgement(with_reason(judgement.excused, f"{why}: nobody is charged"))
            for judgement in judgements
        ]

    def _aggregated(
        self,
        number: int,
        judgements: Sequence[Judgement],
        entries: list[Entry],
        counted: Sequence[int],
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Aggregate what counts, and write into the entries what became of it."""
        if not counted:
            log(WARNING, "round %d: no update counts, the model stays as it is", number)
            return None, None
        updates = [update for i in counted if (update := judgements[i].update) is not None]
        weights = [judgements[i].weight for i in counted]
        updates, changed = credible(updates, metrics_read(self.strategy, innermost(self.strategy)))
        for k, why in changed.items():
            entries[counted[k]] = with_reason(judgements[counted[k]].entry, why)
        sent = parameters_of(self._sent)
        former = self._former()
        measures = measured(updates, sent, [float(weight) for weight in weights], former)
        idle = any(measure.unchanged or measure.ratio < IDLE_RATIO for measure in measures)
        fitted = self._fitted(sent, weights) if idle else [False] * len(measures)
        if left := reject_unpaid(self.unpaid_flags, measures, entries, counted, fitted):
            # Without them the round has another median.
            return self._aggregated(number, judgements, entries, left)
        before = Snapshot(self.strategy)
        self._moment = max(self._moment, largest_moment(self.strategy))

        def attempt(members: Sequence[int]) -> Attempt:
            before.restore()
            return self._attempt(number, [(k, updates[k], weights[k]) for k in members], measures)

        decision = decide(
            attempt,
            measures,
            before=self._loss_before(sent),
            chance=self._chance,
            former=former,
            peak=self._moment,
        )
        (before if decision.attempt is None else decision.attempt.state).restore()
        enter(self.strategy, decision, entries, counted, weights)
        names = [self.terms.names[i] for i in counted]
        flags = flags_of(measures, names, self._rises(measures, updates, sent), fitted)
        for k, i in enumerate(counted):
            one = measures[k]
            verdict = entries[i].verdict or ("suspicious" if suspicious(flags[k]) else "")
            entries[i] = dataclasses.replace(
                entries[i],
                norm=one.norm,
                distance=one.distance,
                cosine=one.cosine if math.isfinite(one.cosine) else None,
                flags=flags[k],
                verdict=verdict,
            )
        if decision.attempt is None:
            self.rolled_back[number] = decision.reason
            log(WARNING, "round %d is rolled back: %s", number, decision.reason)
            return None, None
        self._loss, self._result = decision.attempt.loss, decision.attempt.arrays
        return decision.attempt.arrays, decision.attempt.metrics

    def _attempt(
        self,
        number: int,
        members: Sequence[tuple[int, Update, int | float]],
        measures: Sequence[Measures],
    ) -> Attempt:
        """Aggregate some updates by the wrapped strategy, and look at the result."""
        messages = rewritten(
            [(update, weight, measures[k].distance) for k, update, weight in members],
            self._sent,
            self._weight_key,
            self.clip_norm,
        )
        contents = {
            id(message.content): k for message, (k, _, _) in zip(messages, members, strict=True)
        }
        everybody = tuple(k for k, _, _ in members)
        failure = ""
        arrays: ArrayRecord | None
        metrics: MetricRecord | None
        with watched(self.strategy) as seen, np.errstate(all="ignore"):
            try:
                arrays, metrics = self.strategy.aggregate_train(number, messages)
            except AppExitException as error:  # Flower's own: it cannot aggregate these replies
                arrays, metrics, failure = None, None, short(str(error))
        used = frozenset(contents[id(reply)] for reply in seen if id(reply) in contents)
        arrays = None if arrays is None else in_precision(arrays, self._sent)
        moment = largest_moment(self.strategy)
        finite = math.isfinite(moment)
        loss = step = 0.0
        if arrays is not None:
            values = parameters_of(arrays)
            finite = finite and all(all_finite(value) for value in values.values())
            loss = self._validated(values) if finite else math.nan
            step = distance(values, parameters_of(self._sent)) if finite else math.nan
        return Attempt(
            members=everybody,
            arrays=arrays,
            metrics=metrics,
            finite=finite,
            loss=loss,
            step=step,
            moment=moment,
            used=used or frozenset(everybody),
            state=Snapshot(self.strategy),
            failure=failure,
        )

    @property
    def refusals(self) -> list[str]:
        """Which nodes do not take part as they asked to, and why, in words."""
        return self.members.refusals

    @property
    def notices(self) -> list[str]:
        """What a reader of the results should know about the rounds, in words."""
        lines = [
            f"round {number} was rolled back: {why}; nobody loses credit"
            for number, why in sorted(self.rolled_back.items())
        ]
        for verdict, what in (
            ("attributed", "spoiled the model and do not count"),
            ("suspicious", "are unusual; the entries say whether they count"),
        ):
            rounds: dict[str, list[int]] = {}
            for entry in self.ledger.entries:
                if entry.verdict == verdict:
                    rounds.setdefault(entry.organization, []).append(entry.round)
            lines += [
                f"{name}: {len(numbers)} of its updates {what} ({verdict})"
                for name, numbers in rounds.items()
            ]
        return lines

    # --- the server's own look at a model --------------------------------------------------------

    @property
    def _chance(self) -> float:
        return 0.0 if self.validation is None else self.validation.chance

    def _loss_before(self, sent: Mapping[str, Any]) -> float:
        """Return the validation loss of the model that was sent."""
        if self._loss is None:
            self._loss = self._validated(sent)
        return self._loss

    def _validated(self, values: Mapping[str, Any]) -> float:
        """Return the validation loss of a model; 0 without validation."""
        if self.validation is None:
            return 0.0
        with np.errstate(all="ignore"):
            return float(self.validation.loss(values))

    def _former(self) -> float:
        """Return the longest median step of the rounds so far, of updates that are in the model."""
        steps: dict[int, list[float]] = {}
        for entry in self.ledger.entries[self._looked_at :]:
            if entry.distance is not None and entry.outcome == "aggregated":
                steps.setdefault(entry.round, []).append(entry.distance)
        self._looked_at = len(self.ledger.entries)
        self._longest = max([self._longest, *map(median_step, steps.values())])
        return self._longest

    def _fitted(self, sent: Mapping[str, Any], samples: Sequence[float]) -> list[bool]:
        """Tell for each organization whether a model may have learned all of its samples."""
        if self.validation is None:
            return [False] * len(samples)
        with np.errstate(all="ignore"):
            learned = self.validation.learned(sent)
        return [may_be_fitted(learned, count) for count in samples]

    def _rises(
        self,
        measures: Sequence[Measures],
        updates: Sequence[Update],
        sent: Mapping[str, Any],
    ) -> dict[int, float]:
        """Return by how much the loss rises on every class at least, where that is in question."""
        if self.validation is None:
            return {}
        # What goes with the others' direction descends; only the rest costs an evaluation.
        asked = [
            k
            for k, measure in enumerate(measures)
            if not measure.unchanged
            and (measure.cosine <= OPPOSED_COSINE or len(measures) < FEWEST)
        ]
        if not asked:
            return {}
        with np.errstate(all="ignore"):
            base = self.validation.by_class(sent)
            rises = {
                k: float(np.min(self.validation.by_class(updates[k].values) - base)) for k in asked
            }
        return {k: rise for k, rise in rises.items() if math.isfinite(rise)}

    def _answering(self, reply: Message) -> int | None:
        """Return which organization a reply is of, or about."""
        i = self.members.nodes.get(reply.metadata.src_node_id)
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
                read=metrics_read(self.strategy, innermost(self.strategy)),
            )
        if not self.members.is_connected(i):
            why = self.members.refused_for.get(i)
            why = "not connected" if why is None else f"its node was refused: {why}"
            return Judgement.out(self.terms, i, number, "absent", why)
        if getattr(innermost(self.strategy), "fraction_train", 0.0) >= 1.0:  # it asks everybody
            return Judgement.out(self.terms, i, number, "absent", "left as the round began")
        return Judgement.out(self.terms, i, number, "idle", "")

    @property
    def _weight_key(self) -> str:
        return str(getattr(innermost(self.strategy), "weighted_by_key", DEFAULT_WEIGHT))

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


def _require_numbers(arrays: ArrayRecord) -> None:
    """Refuse a model with arrays that no strategy can average, before anybody trains."""
    for key, array in arrays.items():
        if np.dtype(array.dtype).kind not in "fiu":
            raise ValueError(
                f"initial_arrays: array {key!r} holds {array.dtype}; expected real numbers: leave "
                "it out of the model's parameters, or convert it"
            )


def reaches_others(grid: Grid) -> bool:
    """Tell whether a grid is Flower's own to other machines, and not one inside of a process."""
    kind = type(grid)
    return kind.__module__.partition(".")[0] == "flwr" and kind.__name__ != "InMemoryGrid"
