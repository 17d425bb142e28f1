"""What one organization knows: the public agreement, and its own private figures.

Nothing of the others but what they have proposed. From both comes a game in which one
organization's row is real; the others' private figures are stand-ins that nothing of it depends on.
The library's own functions, evaluated at that organization, then give its best response and its
payoff: the mathematics is not written twice.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import tomli_w
from pydantic import Field, TypeAdapter, ValidationError

from tradefl.consortium import Consortium
from tradefl.consortium.consortium import accuracy_model
from tradefl.consortium.files import atomic_write, read_text
from tradefl.consortium.organizations import padded
from tradefl.consortium.schema import (
    ACCURACY_MODELS,
    Name,
    NonNegative,
    Positive,
    Section,
    described,
    shown,
    suggestion,
)
from tradefl.errors import InputError, Problem
from tradefl.game import (
    CoopetitionGame,
    DenseCompetition,
    EfficientRule,
    InvalidGameError,
    InvalidScheduleError,
    Schedule,
)
from tradefl.settlement import mirror
from tradefl.settlement.agreement import GAMMA_SCALE, Agreement
from tradefl.settlement.mirror import PPB
from tradefl.settlement.terms import EfficientTerms, LinearTerms

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
    agreement: Name | None = None  # a consortium file, an agreement document, or its hash


def load_private(path: Path) -> PrivateFigures:
    """Read an organization's private file (TOML).

    Raises
    ------
    InputError
        No such file, not TOML, or a figure is missing, unknown or out of range.
    """
    text = read_text(path)
    try:
        document = tomllib.loads(text)
    except (RecursionError, ValueError) as error:
        raise InputError.at(path, f"not valid TOML: {str(error).partition(';')[0]}") from None
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
    atomic_write(path, tomli_w.dumps(figures.model_dump(exclude_none=True)).encode())
    path.chmod(0o600)


def private_figures(consortium: Consortium, i: int) -> PrivateFigures:
    """Return what organization i keeps to itself, from a file that has everybody's figures."""
    who = consortium.organizations
    return PrivateFigures(
        organization=who.names[i],
        profitability=float(who.profitability[i]),
        competitors_weight=float(consortium.game.competitors_profitability[i]),
        cycles_per_bit=float(who.cycles_per_bit[i]),
        cpu_levels_hz=who.levels(i),
        download_seconds=float(who.download_seconds[i]),
        upload_seconds=float(who.upload_seconds[i]),
    )


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class KnownGame(CoopetitionGame):
    """The game as organization ``me`` knows it: everything at its index is real.

    The profitability, effort and times of the others are stand-ins; what organization ``me``
    needs to know of them is its estimate ``competitors_weight`` of ``sum_j rho_ij p_j``.
    """

    me: int
    competitors_weight: float

    @cached_property
    def competitors_profitability(self) -> Array:
        """``sum_j rho_ij p_j``: the estimate at ``me``, 0 for the others."""
        weights = np.zeros(self.profitability.size)
        weights[self.me] = self.competitors_weight
        return weights


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
    if private.organization not in agreement.names:
        what = f"no organization {shown(private.organization)} in the agreement"
        raise InputError.at(
            f"{place}: organization", what + suggestion(private.organization, agreement.names)
        )
    me = agreement.names.index(private.organization)
    levels = [float(level) for level in agreement.cpu_levels_hz[me]]
    if [float(round(level)) for level in private.cpu_levels_hz] != levels:  # whole hertz on chain
        what = f"expected the agreement's, {levels}, got {private.cpu_levels_hz}"
        raise InputError.at(f"{place}: cpu_levels_hz", what)
    if not private.competitors_weight < private.profitability:
        what = f"expected less than profitability, {private.profitability:g}, as z_i > 0 asks, "
        raise InputError.at(
            f"{place}: competitors_weight", what + f"got {private.competitors_weight:g}"
        )
    n = len(agreement)
    terms = _annex(agreement)
    section = terms["accuracy"]
    points = section.pop("points", None)
    fitted = {"points_file": "annex"} if points is not None else {}
    accuracy: Any = TypeAdapter(ACCURACY_MODELS[section["model"]]).validate_python(section | fitted)
    measured = agreement.data_bits if accuracy.measure == "bits" else terms["samples"]

    def real(own: float, stand_in: float) -> Array:
        values = np.full(n, stand_in)
        values[me] = own
        return values

    try:
        return KnownGame(
            me=me,
            competitors_weight=private.competitors_weight,
            profitability=real(private.profitability, 1.0),
            data_bits=np.array(agreement.data_bits, dtype=float),
            # So little effort that every level of the others is feasible.
            cycles_per_bit=real(private.cycles_per_bit, 1e-100),
            cpu_levels_hz=padded([list(map(float, own)) for own in agreement.cpu_levels_hz]),
            accuracy=accuracy_model(accuracy, None if points is None else np.array(points)),
            data_units=np.array(measured, dtype=float) / accuracy.unit,
            download_seconds=real(private.download_seconds, 0.0),
            upload_seconds=real(private.upload_seconds, 0.0),
            **_rule(agreement),
            min_data_fraction=agreement.min_data_ppb / PPB,
            overhead_weight=terms["overhead_weight"],
            deadline_seconds=terms["deadline_seconds"],
            **terms["energy"],
            names=agreement.names,
            title=agreement.consortium,
        )
    except InvalidGameError as error:
        raise InputError(
            Problem(f"{place}: {field}", what) for _, field, what in error.problems
        ) from None


def _annex(agreement: Agreement) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(agreement.annex)
    return document


def _rule(agreement: Agreement) -> dict[str, Any]:
    """Return what the agreement says of the rule, as the game takes it.

    Under the efficient rule rho is in no agreement, and nothing at ``me`` depends on it: damage
    takes the estimate of ``sum_j rho_ij p_j``.
    """
    match agreement.rule:
        case EfficientTerms() as efficient:
            return {
                "competition": DenseCompetition(np.zeros((len(agreement), len(agreement)))),
                "compensation": _efficient(agreement, efficient),
            }
        case LinearTerms() as linear:
            return {
                "competition": DenseCompetition(_matrix(agreement, linear)),
                "incentive_intensity": float(
                    Fraction(linear.gamma, GAMMA_SCALE * agreement.wei_per_payoff)
                ),
                "compute_weight": linear.lambda_ppb / PPB,
            }
        case other:
            raise TypeError(f"rule: {other.name} cannot be played")


def _efficient(agreement: Agreement, rule: EfficientTerms) -> EfficientRule:
    """Return the efficient rule in units of payoff: what the contract will pay."""

    def payoff(wei: int) -> float:
        return float(Fraction(wei, agreement.wei_per_payoff))

    schedules, problems = [], []
    for name, points in zip(agreement.names, rule.schedules, strict=True):
        shares, values = zip(*points, strict=True)
        try:
            schedules.append(
                Schedule(np.array(shares) / PPB, np.array([payoff(value) for value in values]))
            )
        except InvalidScheduleError as error:  # the contract takes what is not concave
            problems.append(Problem(f"{agreement.consortium}: schedule of {name}", str(error)))
    if problems:
        raise InputError(problems)
    n = len(agreement)
    constants = zip(mirror.pairs(n), rule.constants, strict=True)
    return EfficientRule(
        tuple(schedules),
        np.zeros(n),
        tuple((i, j, payoff(wei)) for (i, j), wei in constants if wei),
    )


def _matrix(agreement: Agreement, rule: LinearTerms) -> Array:
    """Return rho, shape ``(N, N)``."""
    n = len(agreement)
    matrix = np.zeros((n, n))
    matrix[np.triu_indices(n, 1)] = np.array(rule.rho_ppb) / PPB
    return matrix + matrix.T
