"""The whole way in one call: solve, train, settle what was measured, audit it, report.

Implements the sequence of Section III of the paper: contributions at the equilibrium, training with
them, and payments for what training measured.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradefl.arguments import FUNCTION, GAME, MODEL, TEXT, accepts, choice, instance, optional
from tradefl.consortium import Consortium
from tradefl.consortium.files import atomic_write, write_json
from tradefl.consortium.playing import consortium_of
from tradefl.documents.run import RunDocument
from tradefl.errors import InputError, Parameter
from tradefl.federation.plan import Plan
from tradefl.federation.training import BACKENDS, Backend, RoundReport, Training, train
from tradefl.game import CoopetitionGame
from tradefl.notebook import Shown
from tradefl.settlement.accounts import embedded
from tradefl.settlement.profile import reports_for
from tradefl.settlement.settle import Progress
from tradefl.settlement.settling import AuditedSettlement, audited
from tradefl.solvers import METHODS, Solution, solve
from tradefl.training_document import deviations
from tradefl.tuning import Tuning

if TYPE_CHECKING:
    from tradefl.federation.datasets import Dataset
    from tradefl.federation.models import Factory, Model

REPORT = "report.html"
PARTS = ("solution", "training", "settlement")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Run(Shown):
    """What a run has come to.

    Attributes
    ----------
    consortium
        Whose.
    solution
        The contributions that were pledged, with their proof.
    training
        What was measured.
    settlement
        The settlement of the measured contributions and its audit; ``None`` where the training was
        worth nothing: then nobody pays before the partners have looked at it.
    """

    consortium: Consortium
    solution: Solution
    training: Training
    settlement: AuditedSettlement | None

    @property
    def agrees(self) -> bool:
        """Whether it was settled, and the audit agrees to the wei."""
        return self.settlement is not None and self.settlement.audit.agrees

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader should know."""
        settled = () if self.settlement is None else self.settlement.notes
        return (*self.training.notices, *settled)

    def _title(self) -> str:
        return f"of {self.consortium.name}: {len(self.consortium):,} organizations"

    def _facts(self) -> list[tuple[str, str]]:
        settled = "nothing was settled" if self.settlement is None else "settled"
        return [
            ("accuracy", f"{self.training.accuracy[-1]:.4f}"),
            (settled, "the audit agrees" if self.agrees else ""),
        ]

    def _records(self) -> list[dict[str, Any]]:
        measured = {place.name: place for place in self.training.ledger.measured()}
        paid = {} if self.settlement is None else self.settlement.paid()
        return [
            {
                "name": name,
                "payoff": payoff,
                "pledged_fraction": measured[name].pledged_fraction,
                "measured_fraction": measured[name].measured_fraction,
                "redistribution_wei": paid.get(name),
            }
            for name, payoff in zip(
                self.consortium.names, self.solution.payoffs.tolist(), strict=True
            )
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document ``tradefl/run/1``."""
        return self.document().to_dict()

    def document(self) -> RunDocument:
        """Return the JSON document ``tradefl/run/1``, without a settlement if none was made."""
        return RunDocument(
            document="tradefl/run/1",
            consortium=self.consortium.name,
            solution=self.solution.document(),
            training=self.training.document(),
            settlement=None if self.settlement is None else self.settlement.document,
        )

    def report(self, tuning: Tuning | None = None) -> str:
        """Return the report of the run, one HTML page; with the gamma curve if it is given.

        Raises
        ------
        MissingExtraError
            The ``charts`` extra is not installed.
        """
        from tradefl.report import report

        return report(
            self.consortium,
            self.solution,
            tuning=tuning,
            training=self.training,
            settlement=self.settlement,
        )

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``solution.json``, ``training.json`` and ``settlement.json``; return the folder.

        Raises
        ------
        InputError
            The folder cannot be made or written.
        """
        target = Path(folder)
        try:
            target.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError.at(target, f"cannot be made: {error.strerror}") from None
        document = self.to_dict()
        for part in PARTS:
            if document[part] is not None:
                write_json(document[part], target / f"{part}.json", private=True)
        return target

    def write_report(self, folder: str | os.PathLike[str], tuning: Tuning | None = None) -> Path:
        """Write ``report.html`` into a folder that exists; return its path."""
        path = Path(folder) / REPORT
        atomic_write(path, self.report(tuning).encode(), private=True)
        return path


@accepts(
    consortium=GAME,
    plan=optional(instance("tradefl.federation.plan.Plan")),
    method=optional(choice(METHODS)),
    dataset=optional(instance("tradefl.federation.datasets.dataset.Dataset")),
    model=optional(MODEL),
    backend=choice(BACKENDS),
    ray=TEXT,
    stage=FUNCTION,
    watch_round=FUNCTION,
    watch_step=FUNCTION,
)
def run(
    consortium: Consortium | CoopetitionGame,
    plan: Plan | None = None,
    *,
    method: str | None = None,
    dataset: Dataset | None = None,
    model: Model | Factory | None = None,
    backend: Backend = "in-process",
    ray: str = "",
    stage: Callable[[str], None] = lambda _name: None,
    watch_round: Callable[[RoundReport], None] = lambda _report: None,
    watch_step: Callable[[Progress], None] = lambda _step: None,
) -> Run:
    """Solve, train, settle what was measured on an embedded chain, and audit it.

    Parameters
    ----------
    consortium
        Who takes part, or a game.
    plan
        What to train; default: the logistic model on the digits, five rounds.
    method
        The solver of the contributions; default: the plan's ``scheme``.
    dataset, model
        What is trained on what, instead of the names of the plan.
    backend, ray
        Where the organizations train, as in :func:`tradefl.train`.
    stage
        Called with ``solving``, ``training`` and ``settling`` as each begins.
    watch_round, watch_step
        Called after each round of the training, and with each completed step of the settlement.

    Raises
    ------
    InputError
        The consortium cannot be settled, the method finds no equilibrium, or the data or the model
        are not as expected.
    """
    consortium = consortium_of(consortium)
    plan = Plan() if plan is None else plan
    scheme = method or plan.scheme
    for key, what in deviations(plan.agreed(consortium.training).identity(), consortium):
        raise InputError.at(Parameter(key), what)
    stage("solving")
    parties = embedded(consortium)  # refuses what cannot be settled before anybody trains
    solution = solve(consortium, scheme)
    if solution.status in ("iteration_limit", "infeasible"):
        what = f"{scheme} found no equilibrium that can be settled ({solution.status})"
        raise InputError.at(Parameter("method"), what)
    stage("training")
    training = train(
        consortium,
        solution,
        plan,
        scheme=scheme,
        dataset=dataset,
        model=model,
        backend=backend,
        ray=ray,
        watch=watch_round,
    )
    if not training.contributed or training.diverged:
        return Run(consortium, solution, training, None)
    stage("settling")
    agreement, notes = parties.agreement, list[str]()
    reports = reports_for(agreement, consortium, training, scheme, notes.append)
    settlement = parties.settlement(dict(zip(agreement.addresses, reports, strict=True)))
    settled = audited(settlement, parties, notes=notes, watch=watch_step)
    return Run(consortium, solution, training, settled)
