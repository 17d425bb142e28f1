"""A game in money: every amount in units of its currency instead of units of payoff."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tradefl.game.coopetition import CoopetitionGame

# In longer arrays the last bit of a product stays as it is.
DECIMALS_UP_TO = 10_000


def unit_of(game: CoopetitionGame) -> float:
    """Return what a unit of payoff is in the game's currency; 1 where it names none."""
    return 1.0 if game.currency is None else game.payoff_unit


def unit_name(game: CoopetitionGame) -> str:
    """Return what a game's amounts are in: its currency, or units of payoff."""
    return game.currency or "payoff units"


def in_currency(game: CoopetitionGame) -> CoopetitionGame:
    """Return the same game with amounts in its currency; as it is where it names none.

    What is in units of payoff (``p``, ``gamma``, ``varpi_e``, costs, the efficient rule's schedules
    and constants) is multiplied by ``payoff_unit``, so every payoff is, and what anybody does best
    stays the same.
    """
    unit = unit_of(game)
    if unit == 1.0:
        return game
    changes: dict[str, Any] = {
        name: _scaled(getattr(game, name), unit)
        for name in (
            *("profitability", "incentive_intensity", "overhead_weight"),
            *("data_cost", "joining_cost"),
        )
    }
    if game.compensation is not None:
        changes["compensation"] = game.compensation.scaled(unit)
    if hasattr(game, "weights"):  # as an agreement holds it
        changes["weights"] = game.weights * unit
    return dataclasses.replace(game, payoff_unit=1.0, **changes)


def _scaled(value: Any, unit: float) -> Any:
    """Return ``value unit``; of decimals the double that a person would write down."""
    if np.ndim(value) == 0:
        return float(f"{value * unit:.15g}")
    if value.size > DECIMALS_UP_TO:
        return value * unit
    return np.array([float(f"{number * unit:.15g}") for number in value.tolist()])
