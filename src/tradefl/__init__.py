"""TradeFL: a trading mechanism for cross-silo federated learning between rivals.

>>> import tradefl
>>> consortium = tradefl.load("examples/drug_discovery.toml")    # doctest: +SKIP
>>> solution = tradefl.solve(consortium, method="dbr")           # doctest: +SKIP
>>> print(solution.statement("Alpha"))                           # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
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
    from tradefl.statement import Statement
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
    "METHODS": "solvers",
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
}

__all__ = [
    "METHODS",
    "Comparison",
    "Consortium",
    "CoopetitionGame",
    "EfficientRule",
    "Empirical",
    "InputError",
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
