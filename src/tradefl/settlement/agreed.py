"""The game as the agreement holds it: the one place that decides what a result is judged by.

An agreement rounds: CPU levels to whole hertz, data sizes to whole bits, ``D_min``, ``lambda`` and
``rho`` to parts per billion, ``gamma`` and the efficient rule's figures to wei. Organizations
answer and contribute in these integers, so their result is judged in these integers: under the
figures of the file, an equilibrium of the agreement can be infeasible by a fraction of a hertz.

Private figures (``p_i``, ``eta_i``, transfer times, costs, an organization's own capacitance) are
in no agreement and are not rounded. Nor is ``sum_j rho_ij p_j``, the weight of an organization's
loss to its rivals: the agreement's ``rho`` sets payments, the file's describes the market.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.consortium import Consortium
from tradefl.consortium.consortium import accuracy_model
from tradefl.consortium.organizations import padded
from tradefl.errors import InputError, Problem
from tradefl.game import (
    Competition,
    CoopetitionGame,
    InvalidGameError,
)
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.annex import (
    accuracy_of,
    energy_of,
    number_of,
    quality_of,
    read_annex,
    samples_of,
)
from tradefl.settlement.arithmetic import PPB

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class AgreedGame(CoopetitionGame):
    """A game whose payments follow the agreement, and whose damage follows given weights.

    Parameters
    ----------
    weights
        ``sum_j rho_ij p_j``, shape ``(N,)``, in units of payoff.
    """

    weights: Array

    @cached_property
    def competitors_profitability(self) -> Array:
        """``sum_j rho_ij p_j``, shape ``(N,)``, as given rather than from the agreement's rho."""
        return self.weights


def agreed_game(consortium: Consortium, agreement: Agreement) -> AgreedGame:
    """Return the game of a consortium under the figures of its agreement.

    Each organization's row is the game that its own agent plays, so an equilibrium of this game is
    what honest agents reach.

    Parameters
    ----------
    consortium
        The whole file, private figures included.
    agreement
        The agreement of the same organizations, in the same order, and of the payee.

    Raises
    ------
    ValueError
        The agreement lists other organizations.
    InputError
        After rounding, an organization has no feasible level.
    """
    if consortium.settling != agreement.names:
        raise ValueError("agreement: expected the organizations of the consortium, in its order")
    who, own = consortium.organizations, consortium.game
    try:
        return AgreedGame(
            weights=own.competitors_profitability,
            currency=consortium.currency,
            payoff_unit=consortium.payoff_unit,
            profitability=who.profitability,
            cycles_per_bit=who.cycles_per_bit,
            download_seconds=who.download_seconds,
            upload_seconds=who.upload_seconds,
            data_cost=who.data_cost,
            joining_cost=who.joining_cost,
            # The efficient rule's agreement has no rho, and its payments do not depend on it.
            **public_terms(agreement, own.competition) | {"capacitance": consortium.capacitance},
        )
    except InvalidGameError as error:
        raise InputError(_problems(error, consortium)) from None


def game_on_agreed_strategies(consortium: Consortium, agreement: Agreement) -> CoopetitionGame:
    """Return the file's game on the contributions that the agreement admits.

    Levels are whole hertz and ``D_min`` is whole ppb; every payment keeps the file's figures, to
    be compared with the contract's.

    Raises
    ------
    InputError
        After rounding, an organization has no feasible level.
    """
    try:
        return dataclasses.replace(
            consortium.game,
            cpu_levels_hz=_levels(agreement),
            min_data_fraction=agreement.min_data_ppb / PPB,
        )
    except InvalidGameError as error:
        raise InputError(_problems(error, consortium)) from None


def _problems(error: InvalidGameError, consortium: Consortium) -> list[Problem]:
    return [
        Problem(
            f"{consortium.source}: "
            + ("" if i is None else f"organization {consortium.names[i]!r}: ")
            + field,
            f"{what} (with the agreement's rounded figures)",
        )
        for i, field, what in error.problems
    ]


def public_terms(agreement: Agreement, competition: Competition | None = None) -> dict[str, Any]:
    """Return the public part of the game: everything of it that is in the agreement.

    Parameters
    ----------
    agreement
        The agreement; its annex has the accuracy model, the deadline and the energy model.
    competition
        ``rho`` where the agreement has none, that is under the efficient rule; default: zeros.

    Raises
    ------
    InputError
        A schedule that the contract accepts is not concave, so no game has it.
    """
    n = agreement.players
    document = read_annex(agreement.annex)
    accuracy, points = accuracy_of(document)
    bits = agreement.data_bits[:n]
    measured = bits if accuracy.measure == "bits" else samples_of(document, n)
    return {
        "data_bits": np.array(bits, dtype=float),
        "cpu_levels_hz": _levels(agreement),
        "accuracy": accuracy_model(accuracy, None if points is None else np.array(points)),
        "data_units": np.array(measured, dtype=float) / accuracy.unit,
        "quality": np.array(quality_of(document, n)),
        "min_data_fraction": agreement.min_data_ppb / PPB,
        "overhead_weight": number_of(document, "overhead_weight"),
        "deadline_seconds": number_of(document, "deadline_seconds"),
        **energy_of(document),
        **agreement.rule.parameters(agreement, competition),
        "names": agreement.names[:n],
        "title": agreement.consortium,
    }


def _levels(agreement: Agreement) -> Array:
    own_levels = agreement.cpu_levels_hz[: agreement.players]
    return padded([list(map(float, own)) for own in own_levels])
