"""What one organization knows: the public agreement, and its own private figures.

Nothing of the others but what they have proposed. From both comes a game in which one
organization's row is real; the others' private figures are stand-ins that nothing of it depends on.
The library's own functions, evaluated at that organization, then give its best response and its
payoff: the mathematics is not written twice.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import tomli_w
from pydantic import Field, ValidationError

from tradefl.consortium import Consortium
from tradefl.consortium.files import atomic_write, read_text
from tradefl.consortium.schema import (
    Name,
    NonNegative,
    Positive,
    Section,
    described,
    shown,
    suggestion,
)
from tradefl.errors import InputError, Problem
from tradefl.foreign import parse_toml
from tradefl.game import InvalidGameError
from tradefl.settlement.agreed import AgreedGame, public_terms
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.arithmetic import rounded
from tradefl.settlement.ethereum import parsed_hash

Array = npt.NDArray[np.float64]


class PrivateFigures(Section):
    """An organization's private file: what it tells nobody.

    ``competitors_weight`` is its estimate of ``sum_j rho_ij p_j``, in units of payoff: what its
    rivals would gain per unit of performance, weighted by how much they compete.
    """

    organization: Name
    profitability: Positive  # p_i
    competitors_weight: NonNegative  # sum_j rho_ij p_j, estimated
    cycles_per_bit: Positive  # eta_i
    cpu_levels_hz: Annotated[list[Positive], Field(min_length=1)]  # F_i, ascending
    download_seconds: NonNegative  # T1_i
    upload_seconds: NonNegative  # T3_i
    data_cost: NonNegative = 0.0  # payoff, to prepare the full dataset
    joining_cost: NonNegative = 0.0  # payoff, once
    capacitance: NonNegative | None = None  # kappa_i; default: the agreement's
    agreement: Name | None = None  # a consortium file, an agreement document, or its hash

    def agreement_from(self, folder: Path) -> str | None:
        """Return what is agreed; a relative path is relative to the folder of this file."""
        if self.agreement is None or parsed_hash(self.agreement) is not None:
            return self.agreement
        return str(folder / self.agreement)


def load_private(path: Path) -> PrivateFigures:
    """Read an organization's private file (TOML).

    Raises
    ------
    InputError
        No such file, not TOML, or a figure is missing, unknown or out of range.
    """
    document = parse_toml(read_text(path, field="toml_bytes"), path)
    try:
        return PrivateFigures.model_validate(document)
    except ValidationError as error:
        raise InputError(
            Problem(
                f"{path}: {'.'.join(map(str, detail['loc']))}",
                described(detail, PrivateFigures.model_fields),
            )
            for detail in error.errors(include_url=False)
        ) from None


def write_private(figures: PrivateFigures, path: Path) -> None:
    """Write an organization's private file; only its owner can read it."""
    document = figures.model_dump(exclude_none=True, exclude_defaults=True)
    atomic_write(path, tomli_w.dumps(document).encode(), secret=True)


def private_figures(consortium: Consortium, i: int) -> PrivateFigures:
    """Return what organization i keeps to itself, from a file that has everybody's figures."""
    who = consortium.organizations
    own = float(who.capacitance[i])
    return PrivateFigures(
        organization=who.names[i],
        profitability=float(who.profitability[i]),
        competitors_weight=float(consortium.game.competitors_profitability[i]),
        cycles_per_bit=float(who.cycles_per_bit[i]),
        cpu_levels_hz=who.levels(i),
        download_seconds=float(who.download_seconds[i]),
        upload_seconds=float(who.upload_seconds[i]),
        data_cost=float(who.data_cost[i]),
        joining_cost=float(who.joining_cost[i]),
        capacitance=None if np.isnan(own) else own,
    )


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class KnownGame(AgreedGame):
    """The game as organization ``me`` knows it: everything at its index is real.

    The profitability, effort, times and costs of the others are stand-ins; what organization ``me``
    needs to know of them is its estimate of ``sum_j rho_ij p_j``. It is ``weights[me]``; the other
    weights are 0.
    """

    me: int


def known_game(agreement: Agreement, private: PrivateFigures, place: object = "") -> KnownGame:
    """Return the game as one organization knows it.

    Parameters
    ----------
    agreement
        The public agreement, as the contract has published it.
    private
        The organization's own figures.
    place
        Where they are from, for messages.

    Raises
    ------
    InputError
        The agreement has no such organization or other CPU levels for it, ``z_i`` is not positive,
        or no level meets the deadline.
    """
    place = place or private.organization
    n = agreement.players
    names = agreement.names[:n]
    if private.organization not in names:
        what = f"no organization {shown(private.organization)} in the agreement"
        if private.organization == agreement.payee:
            what = (
                f"{shown(private.organization)} is the payee of the agreement, which does not "
                "negotiate; tradefl settle does its part"
            )
        raise InputError.at(
            f"{place}: organization", what + suggestion(private.organization, names)
        )
    me = agreement.names.index(private.organization)
    levels = list(agreement.cpu_levels_hz[me])
    if [rounded(level) for level in private.cpu_levels_hz] != levels:  # whole hertz on chain
        what = f"expected the agreement's, {levels}, got {private.cpu_levels_hz}"
        raise InputError.at(f"{place}: cpu_levels_hz", what)
    if not private.competitors_weight < private.profitability:
        what = f"expected less than profitability, {private.profitability:g}, as z_i > 0 asks, "
        raise InputError.at(
            f"{place}: competitors_weight", what + f"got {private.competitors_weight:g}"
        )

    def real(own: float, stand_in: float) -> Array:
        values = np.full(n, stand_in)
        values[me] = own
        return values

    terms = public_terms(agreement)
    if private.capacitance is not None:
        terms["capacitance"] = real(private.capacitance, terms["capacitance"])
    try:
        return KnownGame(
            me=me,
            weights=real(private.competitors_weight, 0.0),
            profitability=real(private.profitability, 1.0),
            # So little effort that every level of the others is feasible.
            cycles_per_bit=real(private.cycles_per_bit, 1e-100),
            download_seconds=real(private.download_seconds, 0.0),
            upload_seconds=real(private.upload_seconds, 0.0),
            data_cost=real(private.data_cost, 0.0),
            joining_cost=real(private.joining_cost, 0.0),
            **terms,
        )
    except InvalidGameError as error:
        raise InputError(
            Problem(f"{place}: {field}", what) for _, field, what in error.problems
        ) from None
