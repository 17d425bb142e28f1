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
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from logging import INFO, WARNING, getLogger
from typing import Any

import numpy as np
import numpy.typing as npt
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Message,
    Metadata,
    MetricRecord,
    RecordDict,
)
from flwr.app.exception import AppExitException
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from tradefl.errors import InputError
from tradefl.federation.aggregations import (
    CLIENT_SIDE,
    Snapshot,
    innermost,
    largest_moment,
    mod_needed,
    require_supported,
    watched,
    weighs,
)
from tradefl.federation.guard import Attempt, Decision, decide
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
from tradefl.federation.judgement import CLIENT_APP_FAILED, Judgement, judged, short
from tradefl.federation.ledger import Entry, Ledger, suspicious
from tradefl.federation.metrics import credible, metrics_read
from tradefl.federation.pledge import PROFILE, PROFILE_QUERY, own_code
from tradefl.federation.terms import Deadline, Terms
from tradefl.federation.updates import (
    UnusableUpdateError,
    Update,
    all_finite,
    common_metrics,
    config_of,
    parameters_of,
    with_pledge,
)
from tradefl.federation.validation import LossOnly, Validation, may_be_fitted

log = getLogger("flwr").log
DEFAULT_WEIGHT = "num-examples"
PROFILE_SECONDS = 120.0
POLL_SECONDS = 1.0
UNREGISTERED = (
    "expected the organizations' registered keys, because the nodes are on other machines: without "
    "them, one may claim to be another; give the keys"
)


class NobodyTakesPartError(InputError, RuntimeError):
    """No node may train: none is connected, or each was refused; the message has the reasons."""


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
        self.public_keys = public_keys
        self.allow_unregistered = allow_unregistered
        self.join_seconds = join_seconds
        self.rounds_done = rounds_done
        self.ledger = Ledger(terms) if ledger is None else ledger
        self.validation = validation
        self.clip_norm = clip_norm
        self.run = dict(run or {})
        self.same_code = same_code
        self.unpaid_flags = frozenset(unpaid_flags)
        self.refusals: list[str] = []
        self.rolled_back: dict[int, str] = {}
        self._pledges = [pledge.to_record() for pledge in terms.pledges]
        self._index = {name: i for i, name in enumerate(terms.names)}
        self._nodes: dict[int, int] = {}  # node id -> organization
        self._refused: dict[int, str] = {}  # node id -> why it speaks for nobody
        self._waiting: dict[int, int] = {}  # node id -> organization that another node speaks for
        self._refused_for: dict[int, str] = {}  # organization -> why its node was refused
        self._connected: set[int] = set()
        self._asked: dict[int, Metadata] = {}  # organization -> of its message in this round
        self._sent: ArrayRecord = ArrayRecord()
        self._question = ConfigRecord()
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
        if reaches_others(grid) and self.public_keys is None and not self.allow_unregistered:
            raise ValueError(f"public_keys: {UNREGISTERED}, or pass allow_unregistered=True")
        _require_numbers(arrays)
        if not self._nodes:
            self._question = ConfigRecord(self._terms_of_the_run(arrays))
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
            own.content = with_pledge(message.content, self._pledges[i])
            addressed[i] = own
        self._asked = {i: message.metadata for i, message in addressed.items()}
        if arrays is not self._result:
            self._loss = None
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
            raise NobodyTakesPartError.at("training", f"no organization takes part: {reasons}")
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
                what = f"node {node} takes the place of {self.terms.names[i]!r}: the other is gone"
                self.refusals.append(what)
                log(WARNING, "%s", what)
                self._take_place(node, i)
                del self._waiting[node]
        known = {*self._nodes, *self._refused, *self._waiting}
        new = [k for k in sorted(nodes) if k not in known]
        if not new:
            return
        question = RecordDict({PROFILE: self._question})
        replies = grid.send_and_receive(
            [Message(question, k, PROFILE_QUERY) for k in new], timeout=PROFILE_SECONDS
        )

        def order(reply: Message) -> tuple[str, int]:
            node = int(reply.metadata.src_node_id)
            since = nodes[node].last_activated_at if node in nodes else ""
            return str(since), node

        for reply in sorted(replies, key=order):  # first come, first served
            node = reply.metadata.src_node_id
            if node not in nodes:
                continue  # the SuperLink's, for a node that is gone: if it comes back, we ask again
            if reply.has_error() and reply.error.code != CLIENT_APP_FAILED:
                continue  # it was starting or going: ask again
            who: int | None = None
            try:
                who = self._organization(reply)
                self._confirm(who, config_of(reply, PROFILE))
                self._admit(node, who, bytes(nodes[node].public_key))
            except UnusableUpdateError as error:
                self._refused[node] = str(error)
                if who is not None:
                    name = self.terms.names[who]
                    self._refused_for[who] = str(error).removeprefix(f"{name}: ")
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

    def _confirm(self, i: int, profile: ConfigRecord) -> None:
        """Refuse a node that cannot train by the terms of the run, before it trains."""
        name = self.terms.names[i]
        if refusal := profile.get("refusal"):
            raise UnusableUpdateError(f"{name}: {short(str(refusal))}")
        mods = profile.get("mods")
        if isinstance(mods, list):
            needed = mod_needed(self.strategy)
            if needed and needed not in mods:
                kind = type(self.strategy).__name__
                raise UnusableUpdateError(f"{name}: {kind} needs {needed} in the ClientApp's mods")
            for mod, wrapper in CLIENT_SIDE.items():
                if mod in mods and mod != needed:
                    raise UnusableUpdateError(
                        f"{name}: its mod {mod} works only with the server's {wrapper}"
                    )
        code, digest = own_code(), profile.get("package-digest")
        if digest != code["package-digest"]:
            theirs = short(str(profile.get("package-version") or "unknown"))
            what = (
                f"{name}: it runs other code of tradefl (version {theirs}, digest "
                f"{str(digest)[:12]}; here {code['package-version']}, "
                f"{code['package-digest'][:12]})"
            )
            if self.same_code:
                raise UnusableUpdateError(what)
            if digest is not None:  # an app of another's package says nothing of ours
                self.refusals.append(f"{what}; it takes part, because other code is allowed")

    def _admit(self, node: int, i: int, key: bytes) -> None:
        """Let a node speak for an organization if its key allows it, after the one that does."""
        name = self.terms.names[i]
        if self.public_keys is not None and self.public_keys.get(name) != key:
            raise UnusableUpdateError(f"it says it is {name!r}, but its key is another")
        if self._is_connected(i):
            self._waiting[node] = i
            what = f"node {node} says it is {name!r}, which another node is; it waits"
            self.refusals.append(what)
            log(WARNING, "%s", what)
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
            entries[i] = _with_reason(entries[i], "sent more than one reply; the first counts")
        counted = [i for i, judgement in enumerate(judgements) if judgement.update is not None]
        arrays, metrics = self._aggregated(number, judgements, entries, counted)
        if number in self.rolled_back:  # what undid the round may have made others infinite
            for i, judgement in enumerate(judgements):
                if judgement.excused is not None:
                    why = f"the round was rolled back: {self.rolled_back[number]}"
                    entries[i] = _with_reason(judgement.excused, why)
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
            else Judgement(_with_reason(judgement.excused, f"{why}: nobody is charged"))
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
            entries[counted[k]] = _with_reason(judgements[counted[k]].entry, why)
        sent = parameters_of(self._sent)
        former = self._former()
        measures = measured(updates, sent, [float(weight) for weight in weights], former)
        idle = any(measure.unchanged or measure.ratio < IDLE_RATIO for measure in measures)
        fitted = self._fitted(sent, weights) if idle else [False] * len(measures)
        if left := self._unpaid(measures, entries, counted, fitted):
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
        self._enter(decision, entries, counted, weights)
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

    def _unpaid(
        self,
        measures: Sequence[Measures],
        entries: list[Entry],
        counted: Sequence[int],
        fitted: Sequence[bool],
    ) -> list[int]:
        """Reject what the partners have agreed not to pay; return who is left, if that is news.

        Only a minority: if most updates are alike, the model is at fault, or the learning rate.
        """
        if not self.unpaid_flags:
            return []
        flags = flags_of(measures, [self.terms.names[i] for i in counted], {}, fitted)
        found = {
            k: flag
            for k, own in enumerate(flags)
            for flag in own
            if flag.kind in self.unpaid_flags and flag.confidence == "certain"
        }
        if not found or 2 * len(found) >= len(counted):
            return []
        for k, flag in found.items():
            one, i = measures[k], counted[k]
            why = f"certainly {flag.kind}, for which the agreement pays nothing"
            entries[i] = dataclasses.replace(
                _with_reason(entries[i], why),
                outcome="rejected",
                samples_used=0,
                norm=one.norm,
                distance=one.distance,
                cosine=one.cosine if math.isfinite(one.cosine) else None,
                flags=flags[k],
                verdict="suspicious",
            )
        return [i for k, i in enumerate(counted) if k not in found]

    def _attempt(
        self,
        number: int,
        members: Sequence[tuple[int, Update, int | float]],
        measures: Sequence[Measures],
    ) -> Attempt:
        """Aggregate some updates by the wrapped strategy, and look at the result."""
        messages = self._rewritten(
            [(update, weight, measures[k].distance) for k, update, weight in members]
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
        arrays = None if arrays is None else self._in_precision(arrays)
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

    def _in_precision(self, arrays: ArrayRecord) -> ArrayRecord:
        """Return an aggregate in the precision of the run, whatever the strategy made of it."""
        cast = {}
        for key, array in arrays.items():
            like = self._sent.get(key)
            kind = None if like is None else np.dtype(like.dtype)
            if kind is not None and kind.kind in "fiu" and np.dtype(array.dtype) != kind:
                with np.errstate(over="ignore", invalid="ignore"):
                    array = Array(_as_kind(array.numpy(), kind))
            cast[key] = array
        return ArrayRecord(cast)

    def _enter(
        self,
        decision: Decision,
        entries: list[Entry],
        counted: Sequence[int],
        weights: Sequence[int | float],
    ) -> None:
        """Write into the entries which updates are in the model, with which weight."""
        attempt = decision.attempt
        used = frozenset() if attempt is None else attempt.used
        total = sum(weights[k] for k in used)
        mean = weighs(self.strategy)
        for k, i in enumerate(counted):
            entry = entries[i]
            if (evidence := decision.attributed.get(k)) is not None:
                text = (
                    f"attributed: with it the model moves by {_shown(evidence.step_with)} to a "
                    f"validation loss of {_shown(evidence.loss_with)}, without it by "
                    f"{_shown(evidence.step_without)} to {_shown(evidence.loss_without)}"
                )
                entries[i] = dataclasses.replace(
                    _with_reason(entry, text),
                    outcome="rejected",
                    samples_used=0,
                    verdict="attributed",
                    evidence=evidence,
                )
            elif attempt is None:
                why = f"the round was rolled back: {decision.reason}"
                entries[i] = dataclasses.replace(_with_reason(entry, why), outcome="rolled back")
            elif k not in used:
                kind = type(innermost(self.strategy)).__name__
                why = f"{kind} chose the updates of others"
                entries[i] = dataclasses.replace(_with_reason(entry, why), outcome="excluded")
            elif mean:
                entries[i] = dataclasses.replace(entry, weight=float(weights[k] / total))

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
                read=metrics_read(self.strategy, innermost(self.strategy)),
            )
        if not self._is_connected(i):
            why = self._refused_for.get(i)
            why = "not connected" if why is None else f"its node was refused: {why}"
            return Judgement.out(self.terms, i, number, "absent", why)
        if getattr(innermost(self.strategy), "fraction_train", 0.0) >= 1.0:  # it asks everybody
            return Judgement.out(self.terms, i, number, "absent", "left as the round began")
        return Judgement.out(self.terms, i, number, "idle", "")

    def _rewritten(self, counted: Sequence[tuple[Update, int | float, float]]) -> list[Message]:
        """Return the replies as the wrapped strategy may take them at their word."""
        common = common_metrics([update.metrics for update, _, _ in counted])
        messages = []
        for update, weight, length in counted:
            metrics = MetricRecord({key: update.metrics[key] for key in common})
            metrics[self._weight_key] = weight
            own = copy.copy(update.reply)
            # In the model's order of names, whatever the reply's.
            arrays = ArrayRecord({key: update.arrays[key] for key in self._sent})
            if 0.0 < self.clip_norm < length:
                arrays = self._clipped(update, self.clip_norm / length)
            kept = {
                key: record
                for key, record in update.reply.content.items()
                if isinstance(record, ConfigRecord)
            }
            own.content = RecordDict({**kept, "arrays": arrays, "metrics": metrics})
            messages.append(own)
        return messages

    def _clipped(self, update: Update, part: float) -> ArrayRecord:
        """Return an update that goes only a part of its way from the model that was sent."""
        clipped = {}
        for key, before in self._sent.items():
            start = before.numpy()
            if start.dtype.kind == "f":
                # Two products: the difference alone may overflow.
                end = start * (1.0 - part) + update.values[key] * part
                clipped[key] = Array(np.asarray(end.astype(start.dtype)))
            else:
                clipped[key] = update.arrays[key]
        return ArrayRecord(clipped)

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


def _as_kind(values: npt.NDArray[Any], kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return an average in the precision of the model; counters are whole again."""
    if kind.kind in "iu":  # such as those of batch normalization
        if not all_finite(values):
            return values  # which undoes the round
        most = np.iinfo(kind)
        high = float(most.max)
        high = high if int(high) <= most.max else float(np.nextafter(high, 0.0))
        values = np.clip(np.rint(values), most.min, high)
    return np.asarray(values.astype(kind))


def _with_reason(entry: Entry, reason: str) -> Entry:
    """Return an entry with another reason after those that it has."""
    return dataclasses.replace(entry, reason="; ".join(filter(None, (entry.reason, reason))))


def _shown(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"
