"""TradeFL: a trading mechanism for cross-silo federated learning between rivals.

>>> import tradefl
>>> consortium = tradefl.load("examples/drug_discovery.toml")    # doctest: +SKIP
>>> solution = tradefl.solve(consortium, method="dbr")           # doctest: +SKIP
>>> print(solution.statement("Alpha"))                           # doctest: +SKIP
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tradefl._version import __version__

if TYPE_CHECKING:
    from tradefl.comparison import Comparison, compare
    from tradefl.consortium import Consortium, load
    from tradefl.errors import InputError
    from tradefl.game import (
        CoopetitionGame,
        EfficientRule,
        Empirical,
        PowerLaw,
        Schedule,
        SectorCompetition,
        SqrtLoss,
        StrategyProfile,
        fit_empirical,
    )
    from tradefl.solvers import METHODS, Solution, solve
    from tradefl.solvers.games import Games
    from tradefl.solvers.many import ManySolutions, solve_many
    from tradefl.statement import Statement
    from tradefl.sweep import sweep
    from tradefl.tuning import Tuning, tune

_HOME = {
    "Comparison": "comparison",
    "EfficientRule": "game",
    "Schedule": "game",
    "compare": "comparison",
    "Consortium": "consortium",
    "CoopetitionGame": "game",
    "Empirical": "game",
    "InputError": "errors",
    "Games": "solvers.games",
    "METHODS": "solvers",
    "ManySolutions": "solvers.many",
    "PowerLaw": "game",
    "SectorCompetition": "game",
    "Solution": "solvers",
    "SqrtLoss": "game",
    "Statement": "statement",
    "Tuning": "tuning",
    "tune": "tuning",
    "StrategyProfile": "game",
    "fit_empirical": "game",
    "load": "consortium",
    "solve": "solvers",
    "solve_many": "solvers.many",
    "sweep": "sweep",
}

__all__ = [
    "METHODS",
    "Comparison",
    "Consortium",
    "CoopetitionGame",
    "EfficientRule",
    "Empirical",
    "Games",
    "InputError",
    "ManySolutions",
    "PowerLaw",
    "Schedule",
    "SectorCompetition",
    "Solution",
    "SqrtLoss",
    "Statement",
    "StrategyProfile",
    "Tuning",
    "__version__",
    "compare",
    "fit_empirical",
    "load",
    "solve",
    "solve_many",
    "sweep",
    "tune",
]


def __getattr__(name: str) -> Any:
    """Import a public name's module when the name is first used, to keep importing light."""
    if name not in _HOME:
        raise AttributeError(f"module 'tradefl' has no attribute {name!r}")
    value = getattr(import_module(f"tradefl.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """The package itself: a verb keeps its name, although the room it lives in has the same one."""

    def __setattr__(self, name: str, value: object) -> None:
        """Bind a name; the import system binds each module here when it is first imported."""
        if isinstance(value, ModuleType) and _HOME.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
