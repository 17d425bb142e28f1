"""TradeFL: a trading mechanism for cross-silo federated learning between rivals.

>>> import tradefl
>>> consortium = tradefl.load("examples/drug_discovery.toml")    # doctest: +SKIP
>>> solution = tradefl.solve(consortium)                         # doctest: +SKIP
>>> solution.to_frame()                                          # doctest: +SKIP
>>> tradefl.settle(consortium, solution).audit.sentence          # doctest: +SKIP

The verbs are functions here: ``load, solve, tune, design, compare, stability, replan, train,
settle, audit, negotiate, report, run``. Each accepts a consortium, or a game without a file.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tradefl._version import __version__

if TYPE_CHECKING:
    from tradefl.comparison import compare as compare
    from tradefl.consortium import Consortium as Consortium
    from tradefl.consortium import load as load
    from tradefl.consortium import write as write
    from tradefl.design import Design as Design
    from tradefl.design import design as design
    from tradefl.errors import InputError as InputError
    from tradefl.federation import train as train
    from tradefl.federation.datasets import Dataset as Dataset
    from tradefl.federation.plan import Plan as Plan
    from tradefl.federation.training import Training as Training
    from tradefl.game import CoopetitionGame as CoopetitionGame
    from tradefl.game import EfficientRule as EfficientRule
    from tradefl.game import Empirical as Empirical
    from tradefl.game import PowerLaw as PowerLaw
    from tradefl.game import Schedule as Schedule
    from tradefl.game import SectorCompetition as SectorCompetition
    from tradefl.game import SqrtLoss as SqrtLoss
    from tradefl.game import StrategyProfile as StrategyProfile
    from tradefl.game import fit_empirical as fit_empirical
    from tradefl.incentives import incentives as incentives
    from tradefl.incentives import sensitivity as sensitivity
    from tradefl.incentives.misreports import Incentives as Incentives
    from tradefl.incentives.uncertainty import Sensitivity as Sensitivity
    from tradefl.negotiation.session import Negotiation as Negotiation
    from tradefl.negotiation.session import negotiate as negotiate
    from tradefl.outcomes import Comparison as Comparison
    from tradefl.pipeline import Run as Run
    from tradefl.pipeline import run as run
    from tradefl.replan import Replan as Replan
    from tradefl.replan import replan as replan
    from tradefl.report import report as report
    from tradefl.settlement.audit import Audit as Audit
    from tradefl.settlement.settling import AuditedSettlement as AuditedSettlement
    from tradefl.settlement.settling import audit as audit
    from tradefl.settlement.settling import settle as settle
    from tradefl.solvers import METHODS as METHODS
    from tradefl.solvers import Solution as Solution
    from tradefl.solvers import solve as solve
    from tradefl.solvers.games import Games as Games
    from tradefl.solvers.many import ManySolutions as ManySolutions
    from tradefl.solvers.many import solve_many as solve_many
    from tradefl.stability import Stability as Stability
    from tradefl.stability import stability as stability
    from tradefl.statement import Statement as Statement
    from tradefl.sweep import sweep as sweep
    from tradefl.tuning import Tuning as Tuning
    from tradefl.tuning import tune as tune

# The public names, and the module of each: the one list. A module is imported when one of its names
# is first used. A new verb is a line here and one above, for type checkers.
_HOME = {
    "Audit": "settlement.audit",
    "AuditedSettlement": "settlement.settling",
    "Comparison": "outcomes",
    "Consortium": "consortium",
    "CoopetitionGame": "game",
    "Dataset": "federation.datasets",
    "Design": "design",
    "EfficientRule": "game",
    "Empirical": "game",
    "Games": "solvers.games",
    "Incentives": "incentives.misreports",
    "InputError": "errors",
    "ManySolutions": "solvers.many",
    "METHODS": "solvers",
    "Negotiation": "negotiation.session",
    "Plan": "federation.plan",
    "PowerLaw": "game",
    "Replan": "replan",
    "Run": "pipeline",
    "Schedule": "game",
    "SectorCompetition": "game",
    "Sensitivity": "incentives.uncertainty",
    "Solution": "solvers",
    "SqrtLoss": "game",
    "Stability": "stability",
    "Statement": "statement",
    "StrategyProfile": "game",
    "Training": "federation.training",
    "Tuning": "tuning",
    "audit": "settlement.settling",
    "compare": "comparison",
    "design": "design",
    "fit_empirical": "game",
    "incentives": "incentives",
    "load": "consortium",
    "negotiate": "negotiation.session",
    "replan": "replan",
    "report": "report",
    "run": "pipeline",
    "sensitivity": "incentives",
    "settle": "settlement.settling",
    "solve": "solvers",
    "solve_many": "solvers.many",
    "stability": "stability",
    "sweep": "sweep",
    "train": "federation",
    "tune": "tuning",
    "write": "consortium",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    """Import a public name's module when the name is first used, to keep importing light."""
    if name not in _HOME:
        raise AttributeError(f"module 'tradefl' has no attribute {name!r}")
    value = getattr(import_module(f"tradefl.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """The package itself: a verb keeps its name, although the room it lives in has the same one."""

    def __setattr__(self, name: str, value: object) -> None:
        """Bind a name; the import system binds each module here when it is first imported.

        The verb of a room wins: the room itself is ``sys.modules["tradefl.<name>"]``, and
        ``from tradefl.<name> import ...`` reaches its parts.
        """
        if isinstance(value, ModuleType) and _HOME.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
