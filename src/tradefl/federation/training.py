"""A training from the plan to the measured contributions: the server's whole part.

:func:`federate` is what the ServerApp does, on any of Flower's runtimes. :func:`train` starts a
runtime in this process (or Ray) and returns what the server measured.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from flwr.app import ArrayRecord, ConfigRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Strategy

from tradefl.arguments import (
    FUNCTION,
    GAME,
    MODEL,
    PROFILE,
    TEXT,
    accepts,
    choice,
    either,
    instance,
    optional,
)
from tradefl.consortium import Consortium, load
from tradefl.consortium.files import atomic_write
from tradefl.consortium.playing import consortium_of
from tradefl.consortium.schema import Training as Agreed
from tradefl.errors import InputError, MissingExtraError, Parameter, Problem
from tradefl.federation.aggregations import make_strategy
from tradefl.federation.checkpoint import Checkpoint, restore_state, strategy_state
from tradefl.federation.client import app as client_app
from tradefl.federation.datasets import Dataset, is_read_from, load_dataset
from tradefl.federation.grid import EngineError, InProcessGrid, quiet, run_in_process
from tradefl.federation.keys import public_keys
from tradefl.federation.ledger import Ledger, Measured
from tradefl.federation.models import Factory, LocalTraining, Model, Parameters, make_model
from tradefl.federation.models.model import initial_parameters
from tradefl.federation.objects import named, plain
from tradefl.federation.partition import partition
from tradefl.federation.plan import AS_AGREED, Plan
from tradefl.federation.pledge import Pledge
from tradefl.federation.strategy import UNREGISTERED, TradeFL, reaches_others
from tradefl.federation.terms import Terms
from tradefl.federation.updates import parameters_of, record_of
from tradefl.federation.validation import ServerValidation, split_test
from tradefl.game import CoopetitionGame, StrategyProfile
from tradefl.notebook import Shown
from tradefl.solvers import METHODS, Solution, solve
from tradefl.training_document import deviations, terms_sha256
from tradefl.training_document.divergence import divergence
from tradefl.training_document.holdings import shares

if TYPE_CHECKING:
    from tradefl.documents.training import TrainedOrganization, TrainingDocument

Backend = Literal["in-process", "ray"]
BACKENDS: tuple[Backend, ...] = ("in-process", "ray")


@dataclasses.dataclass(frozen=True)
class RoundReport:
    """The progress of a training, for the caller's ``watch``.

    Attributes
    ----------
    number, rounds
        This round (0: before the first), of so many.
    accuracy, loss
        Of the global model on the test part.
    present, organizations
        How many updates are in the round's model, of how many organizations.
    note
        Why the round's model is the one before; empty if it is not.
    """

    number: int
    rounds: int
    accuracy: float
    loss: float
    present: int
    organizations: int
    note: str = ""


Watch = Callable[[RoundReport], None]


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Training(Shown):
    """What a training has come to.

    Attributes
    ----------
    plan, consortium
        What was asked for, and by whom.
    ledger
        What was measured in every round.
    accuracy, loss
        Of the global model on the test part, before the first round and after each.
    parameters
        The global model's.
    notices
        What the reader should know, such as a data set smaller than the consortium's.
    runtime_seconds
        Wall time, of this run alone if it was resumed.
    classes, test_samples, validation_samples
        The number of classes; the samples that accuracies are of, and those of the server alone.
    """

    plan: Plan
    consortium: Consortium
    ledger: Ledger
    accuracy: tuple[float, ...]
    loss: tuple[float, ...]
    parameters: Parameters
    notices: tuple[str, ...]
    runtime_seconds: float
    classes: int
    test_samples: int
    validation_samples: int

    @property
    def contributed(self) -> bool:
        """Whether any update has ever counted; if none has, the model is untrained."""
        return any(measured.rounds_credited for measured in self.ledger.measured())

    @property
    def diverged(self) -> str:
        """Why the model is worth nothing, in words; empty if it is not so."""
        return divergence(
            [entry.outcome for entry in self.ledger.entries],
            self.accuracy,
            self.loss[-1],
            classes=self.classes,
            test_samples=self.test_samples,
        )

    def _title(self) -> str:
        return f"of {self.plan.model} on {self.plan.data} for {self.consortium.name}"

    def _facts(self) -> list[tuple[str, str]]:
        rounds = len(self.accuracy) - 1
        return [("rounds", f"{rounds:,}"), ("accuracy", f"{self.accuracy[-1]:.4f}")]

    def _records(self) -> list[dict[str, Any]]:
        return [_organization(measured).to_dict() for measured in self.ledger.measured()]

    def document(self) -> TrainingDocument:
        """Return the JSON document ``tradefl/training/1``."""
        from tradefl.documents.training import TrainingDocument, ValidationPart

        plan, measured = self.plan, self.ledger.measured()
        accuracy, loss = list(map(_finite, self.accuracy)), list(map(_finite, self.loss))
        return TrainingDocument(
            document="tradefl/training/1",
            consortium=self.consortium.name,
            terms_sha256=terms_sha256(self.consortium),
            engine="flower",
            scheme=plan.scheme,
            rounds=len(self.accuracy) - 1,
            model=plan.model,
            data=plan.data,
            settings=plan.identity(),
            initial_accuracy=accuracy[0],
            initial_loss=loss[0],
            accuracy=accuracy[1:],
            loss=loss[1:],
            organizations=[_organization(organization) for organization in measured],
            aggregation_weights={
                organization.name: organization.weight for organization in measured
            }
            if self.ledger.weighted
            else None,
            validation=ValidationPart(
                fraction=plan.validation_fraction,
                samples=self.validation_samples,
            ),
            test_samples=self.test_samples,
            classes=self.classes,
            diverged=self.diverged or None,
            entries=list(self.ledger.entries),
            notices=list(self.notices),
            runtime_seconds=self.runtime_seconds,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return :meth:`document` as plain values."""
        return self.document().to_dict()


def _organization(measured: Measured) -> TrainedOrganization:
    from tradefl.documents.training import TrainedOrganization

    figures = dataclasses.asdict(measured)
    del figures["weight"]
    return TrainedOrganization.of(**figures)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


# --- the ServerApp -------------------------------------------------------------------------------


def make_server_app(
    plan: Plan | None = None,
    *,
    profile: StrategyProfile | None = None,
    consortium: Consortium | None = None,
    watch: Watch = lambda _: None,
    done: Callable[[Training], None] = lambda _: None,
) -> ServerApp:
    """Return the ServerApp: of a plan, or of the one in the run config that it is started with."""
    server = ServerApp()

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        asked = Plan.from_run_config(context.run_config) if plan is None else plan
        training = federate(grid, asked, profile=profile, consortium=consortium, watch=watch)
        if asked.output:
            document = json.dumps(training.to_dict(), ensure_ascii=False, allow_nan=False, indent=2)
            atomic_write(Path(asked.output), (document + "\n").encode())
        done(training)

    return server


def federate(
    grid: Grid,
    plan: Plan,
    *,
    profile: StrategyProfile | None = None,
    consortium: Consortium | None = None,
    watch: Watch = lambda _: None,
) -> Training:
    """Train as planned with the nodes of a grid; write checkpoints and the document.

    Parameters
    ----------
    grid
        Where the organizations' nodes are.
    plan
        What to train.
    profile
        What is pledged; by default the consortium's solution by ``plan.scheme``.
    consortium
        Who trains; by default the file that the plan names.
    watch
        Called before the first round and after each.

    Raises
    ------
    InputError
        The consortium, the data or the model are not as expected, or the checkpoint is of another
        training.
    """
    start = time.perf_counter()
    if reaches_others(grid) and not plan.keys and not plan.allow_unregistered:
        what = f"{UNREGISTERED}, or set allow-unregistered = true"
        raise InputError.at("run config: keys", what)
    consortium = load(Path(plan.consortium)) if consortium is None else consortium
    plan = plan.agreed(consortium.training)
    require_places(plan)
    pledged = _solved(consortium, plan) if profile is None else profile
    dataset = load_dataset(plan.data, plan.folder)
    held, notices = samples_held(consortium, dataset, plan)
    if plan.folder is not None and not is_read_from(plan.data, plan.folder):
        notices.append(f"{plan.folder} holds no {plan.data!r}: the embedded one is used")
    notices += [
        f"{key}: {what}: the partners have not agreed to settle this training"
        for key, what in deviations(plan.identity(), consortium)
    ]
    terms = Terms.of(consortium, pledged, held, plan.seed)
    model = make_model(plan.model, dataset.shape, width=plan.width, device=plan.device)
    inner = aggregation(plan, len(terms))
    validation, rest = _judging(plan, model, dataset, plan.validation_fraction)
    x_test, y_test = dataset.x_test[rest], dataset.y_test[rest]
    unpaid = [] if consortium.training is None else list(consortium.training.unpaid_flags)
    identity = plan.identity() | ({"unpaid_flags": unpaid} if unpaid else {})
    identity |= {
        "consortium": consortium.name,
        **dataclasses.asdict(terms),
        "data_sha256": _digest(dataset),
    }
    state = _first(model, plan)
    if plan.resume:
        path = Path(plan.checkpoint)
        state = Checkpoint.read(path)
        state.require(path, identity)
        _require_model(state, initial_parameters(model, plan.seed), path)
        try:
            restore_state(inner, state.state)
            ledger = Ledger.from_list(terms, state.entries)
        except ValueError as error:
            raise InputError.at(path, f"is not a checkpoint of this training: {error}") from None
        require_rounds(ledger, state.rounds_done, path)
        if state.rounds_done > plan.rounds:
            what = f"the checkpoint has {state.rounds_done} rounds already, got {plan.rounds}"
            raise InputError.at(Parameter("rounds"), what)
    strategy = TradeFL(
        inner,
        terms,
        deadline=plan.rule,
        public_keys=public_keys(Path(plan.keys), terms.names) if plan.keys else None,
        allow_unregistered=plan.allow_unregistered,
        join_seconds=plan.join_seconds,
        rounds_done=state.rounds_done,
        ledger=Ledger.from_list(terms, state.entries),
        validation=validation,
        run=run_terms(plan, dataset),
        same_code=not plan.allow_other_code,
        clip_norm=plan.clip_norm,
        unpaid_flags=unpaid,
    )
    accuracy, loss = list(state.accuracy), list(state.loss)
    arrays = record_of(state.arrays)
    parameters = state.arrays

    def evaluate(number: int, record: ArrayRecord) -> MetricRecord | None:
        nonlocal parameters
        if number < len(accuracy):  # resumed: known from the checkpoint
            return None
        parameters = parameters_of(record)
        mean_loss, share = model.evaluate(parameters, x_test, y_test)
        if number == 0 and not math.isfinite(mean_loss):
            raise InputError.at(
                Parameter("model", plain(plan.model)), "its loss before training is not finite"
            )
        accuracy.append(share)
        loss.append(mean_loss)
        if plan.checkpoint and number > 0:
            Checkpoint(
                rounds_done=number,
                arrays=parameters,
                state=strategy_state(inner),
                accuracy=accuracy,
                loss=loss,
                entries=strategy.ledger.to_list(),
                identity=identity,
            ).write(Path(plan.checkpoint))
        watch(_report(number, plan, share, mean_loss, strategy))
        return MetricRecord({"accuracy": share, "loss": mean_loss})

    left = plan.rounds - state.rounds_done
    if left > 0:
        try:
            strategy.start(
                grid,
                arrays,
                num_rounds=left,
                timeout=plan.round_seconds,
                train_config=ConfigRecord(train_config(plan, terms, dataset)),
                evaluate_fn=evaluate,
            )
        except EngineError as error:
            done = max(0, len(accuracy) - 1)
            raise EngineError([*error.problems, _interrupted(plan, done)]) from error
    return Training(
        plan=dataclasses.replace(plan, data=plain(plan.data), model=plain(plan.model)),
        consortium=consortium,
        ledger=strategy.ledger,
        accuracy=tuple(accuracy),
        loss=tuple(loss),
        parameters=parameters,
        notices=(*notices, *strategy.refusals, *strategy.notices),
        runtime_seconds=time.perf_counter() - start,
        classes=dataset.classes,
        test_samples=len(rest),
        validation_samples=len(dataset.y_test) - len(rest),
    )


def _judging(
    plan: Plan, model: Model, dataset: Dataset, fraction: float
) -> tuple[ServerValidation | None, npt.NDArray[np.int64]]:
    """Return what the server judges models by, and which test samples are left for accuracies."""
    kept, rest = split_test(dataset, fraction, plan.seed)
    if not len(kept):
        return None, rest
    x, y = dataset.x_test[kept], dataset.y_test[kept]
    return ServerValidation(model, x, y, dataset.classes, local_training(plan)), rest


def _report(
    number: int, plan: Plan, accuracy: float, loss: float, strategy: TradeFL
) -> RoundReport:
    """Return the progress of the training after a round."""
    entries = strategy.ledger.of_round(number)
    return RoundReport(
        number=number,
        rounds=plan.rounds,
        accuracy=accuracy,
        loss=loss,
        present=sum(entry.outcome == "aggregated" for entry in entries),
        organizations=len(strategy.terms),
        note=strategy.rolled_back.get(number, ""),
    )


def _require_model(state: Checkpoint, initial: Parameters, path: Path) -> None:
    """Refuse a checkpoint whose arrays are not the model's, or not finite."""
    expected = {name: (value.shape, value.dtype) for name, value in initial.items()}
    if {name: (value.shape, value.dtype) for name, value in state.arrays.items()} != expected:
        raise InputError.at(path, "has parameters of another model")
    for key, moments in state.state.items():
        shapes = {name: value.shape for name, value in moments.items()}
        if shapes != {name: shape for name, (shape, _) in expected.items()}:
            raise InputError.at(path, f"has a state {key!r} of another model")
    if not all(np.isfinite(value).all() for value in state.arrays.values()):
        raise InputError.at(path, "has parameters that are not finite: no training keeps them")


def require_rounds(ledger: Ledger, done: int, path: Path) -> None:
    """Refuse a checkpoint in which an organization's round is missing, doubled, or beyond its due.

    Raises
    ------
    InputError
        Names the first round and organization.
    """
    entries = {(entry.round, entry.organization): entry for entry in ledger.entries}
    due = [(number, pledge) for number in range(1, done + 1) for pledge in ledger.terms.pledges]
    for number, pledge in due:
        entry = entries.get((number, pledge.organization))
        where = f"round {number}, {pledge.organization!r}"
        if entry is None:
            raise InputError.at(path, f"has no entry for {where}")
        if entry.samples_used > pledge.samples_owed:
            what = (
                f"{where} used {entry.samples_used:,} samples but pledged {pledge.samples_owed:,}"
            )
            raise InputError.at(path, what)
    if len(ledger.entries) != len(due):
        raise InputError.at(path, f"expected {len(due):,} entries, got {len(ledger.entries):,}")


def _interrupted(plan: Plan, done: int) -> Problem:
    """Return where a training that was interrupted can go on."""
    rounds = "1 round is done" if done == 1 else f"{done:,} rounds are done"
    if plan.checkpoint and done:
        return Problem(plan.checkpoint, f"{rounds}; the same with `resume` goes on")
    where = "no round is done" if not done else f"{rounds}, and no checkpoint was asked for"
    return Problem("training", f"{where}: start again")


def require_places(plan: Plan) -> None:
    """Refuse places where the results cannot be written, before anybody trains.

    Raises
    ------
    InputError
        A folder is missing or cannot be written, or a checkpoint is there already.
    """
    for name in ("output", "checkpoint"):
        text = getattr(plan, name)
        if not text:
            continue
        path = Path(text)
        folder = path.resolve().parent
        if path.is_dir():
            raise InputError.at(path, f"{name}: cannot be written: it is a folder")
        if not folder.is_dir():
            raise InputError.at(path, f"{name}: cannot be written: there is no such folder")
        if not os.access(folder, os.W_OK):
            raise InputError.at(path, f"{name}: cannot be written: Permission denied")
    checkpoint = Path(plan.checkpoint)
    if plan.checkpoint and checkpoint.exists() and not (plan.resume or plan.overwrite):
        raise InputError.at(
            checkpoint, "there is a checkpoint: `resume` continues it, `overwrite` replaces it"
        )


def _solved(consortium: Consortium, plan: Plan) -> StrategyProfile:
    solution = solve(consortium, plan.scheme)
    if solution.status == "iteration_limit":
        raise InputError.at(
            Parameter("scheme"), f"{plan.scheme} found no equilibrium; take another"
        )
    return solution.profile


def samples_held(
    consortium: Consortium, dataset: Dataset, plan: Plan
) -> tuple[list[int], list[str]]:
    """Return how many samples each organization holds in this training, and what to know of it."""
    agreed, available = consortium.organizations.samples.tolist(), len(dataset.y_train)
    if plan.partition == "own":
        return agreed, []
    held = shares(agreed, available)
    notices = []
    if sum(held) < sum(agreed):
        notices.append(
            f"{plain(plan.data)} has {available:,} training samples, the consortium "
            f"{sum(agreed):,}: what each holds is scaled down in proportion"
        )
    held, more = drawn(dataset, plan, held)
    return held, notices + more


def drawn(dataset: Dataset, plan: Plan, held: list[int]) -> tuple[list[int], list[str]]:
    """Return how many samples each holds when the plan draws them, and that it is so."""
    if plan.partition != "dirichlet":
        return held, []
    parts = partition(dataset.y_train, held, scheme="dirichlet", alpha=plan.alpha, seed=plan.seed)
    notice = "what each holds is drawn (Dirichlet), not in proportion to the consortium"
    return [len(part) for part in parts], [notice]


def _first(model: Model, plan: Plan) -> Checkpoint:
    """Return the state before the first round."""
    return Checkpoint(
        rounds_done=0,
        arrays=initial_parameters(model, plan.seed),
        state={},
        accuracy=[],
        loss=[],
        entries=[],
        identity={},
    )


def aggregation(plan: Plan, organizations: int) -> Strategy:
    """Return the strategy of Flower's that aggregates; who is there takes part.

    Raises
    ------
    InputError
        It cannot bear the hostile organizations of so few.
    """
    return make_strategy(
        plan.aggregation or "fedavg",
        organizations,
        proximal_mu=plan.proximal_mu,
        hostile=plan.assumed_hostile,
    )


def local_training(plan: Plan) -> LocalTraining:
    """Return how an organization trains in a round."""
    return LocalTraining(
        epochs=plan.local_epochs,
        learning_rate=plan.rate,
        batch_size=plan.batch_size,
        seed=plan.seed,
    )


def train_config(plan: Plan, terms: Terms, dataset: Dataset) -> dict[str, Any]:
    """Return the settings that every organization trains by, apart from its pledge."""
    config: dict[str, Any] = {
        "data": plan.data,
        "partition": plan.partition,
        "alpha": plan.alpha,
        "organizations": list(terms.names),
        "samples-held": [pledge.samples_held for pledge in terms.pledges],
        "model": plan.model,
        "width": plan.width,
        "device": plan.device,
        "local-epochs": plan.local_epochs,
        "learning-rate": plan.rate,
        "batch-size": plan.batch_size,
    }
    config |= {key: value for key, value in run_terms(plan, dataset).items() if key not in config}
    return config


def run_terms(plan: Plan, dataset: Dataset) -> dict[str, Any]:
    """Return what the server fixes about data and model before the first round."""
    terms: dict[str, Any] = {
        "data": plan.data,
        "partition": plan.partition,
        "model": plan.model,
        "width": plan.width,
        "classes": dataset.classes,
        "inputs": "x".join(map(str, dataset.shape.inputs)),
        "aggregation": plan.aggregation,
    }
    if dataset.labels:
        terms["labels"] = list(dataset.labels)
    return terms | ({"data-dir": plan.data_dir} if plan.data_dir else {})


def _digest(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    for array in (dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


# --- runtimes that need nothing to be started ----------------------------------------------------


@accepts(
    consortium=either(GAME, instance("tradefl.federation.plan.Plan")),
    profile=optional(PROFILE),
    plan=optional(instance("tradefl.federation.plan.Plan")),
    scheme=optional(choice(METHODS)),
    dataset=optional(instance("tradefl.federation.datasets.dataset.Dataset")),
    model=optional(MODEL),
    backend=choice(BACKENDS),
    ray=TEXT,
    watch=FUNCTION,
)
def train(
    consortium: Consortium | CoopetitionGame | Plan,
    profile: StrategyProfile | Solution | None = None,
    plan: Plan | None = None,
    *,
    scheme: str | None = None,
    dataset: Dataset | None = None,
    model: Model | Factory | None = None,
    backend: Backend = "in-process",
    ray: str = "",
    watch: Watch = lambda _: None,
) -> Training:
    """Train one model on everybody's pledged data, with every organization on this machine.

    Parameters
    ----------
    consortium
        Who trains: a consortium, or a game; or a plan that names the consortium's file.
    profile
        What is pledged: a profile or a solution; default: the solution by ``scheme``.
    plan
        What to train, how long, and how; default: the logistic model on the digits, five rounds.
    scheme
        The solver whose contributions are pledged; default: the plan's.
    dataset
        The data, instead of the plan's ``data``.
    model
        The model, or a function that makes it, instead of the plan's ``model``.
    backend
        ``"in-process"``: one organization after the other in this process; ``"ray"``: on Ray's
        workers, several at a time.
    ray
        The address of a cluster for ``"ray"``; empty: a cluster of our own on this machine.
    watch
        Called before the first round and after each.

    Raises
    ------
    InputError
        As :func:`federate`; a data set or a model that is an object with ``"ray"``, whose workers
        know names only; and ``EngineError`` if Ray cannot be repaired: then the checkpoint, if
        there is to be one, has the rounds before.
    MissingExtraError
        Ray is not installed.
    """
    if isinstance(consortium, Plan):
        plan, known = consortium, load(Path(consortium.consortium))
    else:
        known, plan = consortium_of(consortium), Plan() if plan is None else plan
    if scheme is not None:
        plan = dataclasses.replace(plan, scheme=scheme)
    if isinstance(profile, Solution):
        plan, profile = _pledged_by(plan, profile, scheme), profile.profile
    if plan.partition == "own":
        what = "expected iid or dirichlet: here all organizations would train on the same samples"
        cure = "their own data is in each one's data-dir: start a node for each, by flwr run"
        raise InputError.at(Parameter("partition"), f"{what}, got 'own'; {cure}")
    if ray and backend != "ray":
        raise InputError.at(Parameter("ray"), "needs backend='ray'")
    if backend == "ray" and importlib.util.find_spec("ray") is None:
        raise MissingExtraError(Parameter("backend", "ray"), "sweep")
    result: list[Training] = []
    repairs: list[str] = []
    with quiet(), named(plan, dataset, model, backend) as plan:
        server = make_server_app(
            plan, profile=profile, consortium=known, watch=watch, done=result.append
        )
        configs = [{"partition-id": k} for k in range(len(known))]
        if backend == "ray":
            from tradefl.federation.ray_grid import RayGrid

            grid: Callable[..., Grid] = partial(RayGrid, address=ray, notify=repairs.append)
        else:
            grid = InProcessGrid
        run_in_process(server, client_app, configs, plan.to_run_config(), grid=grid)
    return dataclasses.replace(result[0], notices=(*result[0].notices, *repairs))


def _pledged_by(plan: Plan, solution: Solution, scheme: str | None) -> Plan:
    """Return the plan with the solver that found what is pledged; it decides about the deadline.

    Raises
    ------
    InputError
        Another scheme is asked for.
    """
    method = solution.method
    if scheme is not None and scheme != method and method in METHODS:
        raise InputError.at(Parameter("scheme"), f"the solution is by {method}, got {scheme!r}")
    return dataclasses.replace(plan, scheme=method) if method in METHODS else plan


def train_pledges(
    plan: Plan, pledges: Sequence[Pledge], dataset: Dataset, *, every_round: bool = True
) -> tuple[list[RoundReport], Ledger]:
    """Train in this process on pledges alone, for experiments: no consortium and no deadline.

    Parameters
    ----------
    plan
        What is trained and how; its ``consortium`` and ``scheme`` do not matter.
    pledges
        What each organization contributes.
    dataset
        That of ``plan.data``, from ``plan.folder``.
    every_round
        Evaluate after every round, not only before the first and after the last.

    Returns
    -------
    reports, ledger
        The evaluations in order; what was measured.

    Raises
    ------
    InputError
        The training diverged.
    """
    n = len(pledges)
    # Experiments have no hostile organizations: all of the test part is theirs unless asked.
    fraction = max(0.0, plan.validation_fraction)
    # Left open or agreed already: then nothing of it is said to have no effect.
    given = {key: getattr(plan, key) for key in ("proximal_mu", "clip_norm", "assumed_hostile")}
    plan = plan.agreed(Agreed(**{k: value for k, value in given.items() if value != AS_AGREED}))
    terms = Terms(
        pledges=tuple(pledges),
        transfer_seconds=(0.0,) * n,
        cycles=(0.0,) * n,
        cpu_levels_hz=tuple((pledge.cpu_hz,) for pledge in pledges),
        deadline_seconds=math.inf,
    )
    model = make_model(plan.model, dataset.shape, width=plan.width, device=plan.device)
    validation, rest = _judging(plan, model, dataset, fraction)
    x_test, y_test = dataset.x_test[rest], dataset.y_test[rest]
    strategy = TradeFL(
        aggregation(plan, n),
        terms,
        deadline="off",
        validation=validation,
        clip_norm=plan.clip_norm,
    )
    reports: list[RoundReport] = []
    aggregated = False

    def evaluate(number: int, record: ArrayRecord) -> MetricRecord | None:
        if every_round or number in (0, plan.rounds):
            loss, accuracy = model.evaluate(parameters_of(record), x_test, y_test)
            present = [
                entry for entry in strategy.ledger.of_round(number) if entry.outcome == "aggregated"
            ]
            reports.append(RoundReport(number, plan.rounds, accuracy, loss, len(present), n))
        return None

    server = ServerApp()

    @server.main()
    def main(grid: Grid, context: Context) -> None:  # noqa: ARG001
        nonlocal aggregated
        result = strategy.start(
            grid,
            record_of(initial_parameters(model, plan.seed)),
            num_rounds=plan.rounds,
            timeout=plan.round_seconds,
            train_config=ConfigRecord(train_config(plan, terms, dataset)),
            evaluate_fn=evaluate,
        )
        aggregated = len(result.arrays) > 0

    with quiet():
        run_in_process(server, client_app, [{"partition-id": k} for k in range(n)], {})
    if not aggregated:
        raise InputError.at(
            Parameter("learning_rate"), "the training diverged: no update could be aggregated"
        )
    return reports, strategy.ledger
