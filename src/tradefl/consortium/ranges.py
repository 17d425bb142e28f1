"""Figures that are not known exactly: ``{low = 1200, mid = 1500, high = 1900}``.

``mid`` is what every command computes with, so a file with ranges means what it meant without. The
ends are kept next to it, for :func:`tradefl.sensitivity`. A figure that is agreed, counted or
settled must be exact: it has no range.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, TypeAdapter, ValidationError

from tradefl.consortium import schema
from tradefl.consortium.schema import described, shown, suggestion
from tradefl.errors import InputError, Problem

if TYPE_CHECKING:
    from tradefl.consortium.consortium import Consortium

Array = npt.NDArray[np.float64]

ENDS = ("low", "mid", "high")
# What may be uncertain. Everything else is agreed on, counted, or settled on the chain.
OF_AN_ORGANIZATION = (
    "profitability",
    "cycles_per_bit",
    "download_seconds",
    "upload_seconds",
    "data_cost",
    "joining_cost",
    "capacitance",
    "quality",
)
OF_A_SECTION: Mapping[str, tuple[str, ...]] = {
    "mechanism": ("overhead_weight",),
    "energy": ("capacitance", "download_watts", "upload_watts"),
    "accuracy": ("epochs", "untrained_loss", "scale", "exponent", "floor"),
    "competition": ("default", "within_sector", "across_sectors", "conduct"),
}
SECTIONS: Mapping[str, Any] = {
    "mechanism": schema.Mechanism,
    "energy": schema.Energy,
    "competition": schema.Competition,
    "settlement": schema.Settlement,
    "training": schema.Training,
}

Report = Callable[[str, str], None]


@dataclasses.dataclass(frozen=True)
class Uncertain:
    """One figure of a file that has a range.

    Attributes
    ----------
    figure
        The file's key: ``profitability``, ``overhead_weight``, ``competition.pairs[0]``.
    organization
        Whose figure it is; ``None`` where it is the consortium's.
    pair
        For an entry of ``competition.pairs``: the two organizations.
    low, mid, high
        The range, and what commands compute with.
    """

    figure: str
    organization: str | None
    pair: tuple[str, str] | None
    low: float
    mid: float
    high: float

    def __str__(self) -> str:
        if self.organization is not None:
            return f"{self.organization}: {self.figure}"
        return f"rho of {self.pair[0]} and {self.pair[1]}" if self.pair else self.figure


@dataclasses.dataclass(frozen=True)
class Found:
    """The ranges of a document: of sections by key path, of organizations by place in the list."""

    sections: dict[str, tuple[float, float]]
    organizations: list[dict[str, tuple[float, float]]]


def taken(document: dict[str, Any], problem: Report) -> Found:
    """Replace every range of a parsed file by its ``mid``, and return the ranges.

    Parameters
    ----------
    document
        The parsed file; changed in place.
    problem
        Called with the place and the message of everything that is wrong.
    """
    sections: dict[str, tuple[float, float]] = {}
    models = dict(SECTIONS)
    accuracy = document.get("accuracy")
    if isinstance(accuracy, dict) and isinstance(accuracy.get("model"), str):
        models["accuracy"] = schema.ACCURACY_MODELS.get(accuracy["model"])
    for name, model in models.items():
        section = document.get(name)
        if not isinstance(section, dict) or model is None:
            continue
        uncertain = [key for key in OF_A_SECTION.get(name, ()) if key in model.model_fields]
        found = _of_table(section, model, uncertain, name, problem)
        sections |= {f"{name}.{key}": ends for key, ends in found.items()}
    competition = document.get("competition")
    pairs = competition.get("pairs") if isinstance(competition, dict) else None
    for k, entry in enumerate(pairs if isinstance(pairs, list) else ()):
        if isinstance(entry, list) and len(entry) == 3 and _is_range(entry[2]):
            place = f"competition.pairs[{k}]"
            rule: Any = schema.Intensity
            ends = _ends(entry[2], rule, place, problem)
            entry[2] = entry[2].get("mid")
            if ends is not None:
                sections[place] = ends
    organizations = []
    entries = document.get("organization")
    for k, entry in enumerate(entries if isinstance(entries, list) else ()):
        organizations.append(
            _of_table(entry, schema.Organization, OF_AN_ORGANIZATION, f"organization[{k}]", problem)
            if isinstance(entry, dict)
            else {}
        )
    return Found(sections, organizations)


def _is_range(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and bool(set(value) & set(ENDS))


def _of_table(
    table: dict[str, Any], model: Any, uncertain: Sequence[str], place: str, problem: Report
) -> dict[str, tuple[float, float]]:
    found = {}
    for key, value in table.items():
        if key not in model.model_fields or not _is_range(value):
            continue
        # Without a middle any end does: the file is refused anyway, for one reason only.
        table[key] = next((value[end] for end in ("mid", *ENDS) if end in value), None)
        if key not in uncertain:
            what = "must be exact: it is agreed on, counted or settled; write one number"
            problem(f"{place}.{key}", what)
            continue
        rule = get_type_hints(model, include_extras=True)[key]
        ends = _ends(value, rule, f"{place}.{key}", problem)
        if ends is not None:
            found[key] = ends
    return found


def _ends(
    value: dict[str, Any], rule: Any, place: str, problem: Report
) -> tuple[float, float] | None:
    """Return low and high of a range that is one."""
    wrong = False
    for key in value:
        if key not in ENDS:
            problem(f"{place}.{key}", f"unknown key{suggestion(key, ENDS)}")
            wrong = True
    adapter = TypeAdapter(rule, config=ConfigDict(allow_inf_nan=False, strict=True))
    for key in ENDS:
        if key not in value:
            problem(f"{place}.{key}", "is missing; a range has low, mid and high")
            wrong = True
            continue
        if key == "mid":
            continue  # judged with the section
        try:
            adapter.validate_python(value[key])
        except ValidationError as error:
            problem(f"{place}.{key}", described(error.errors(include_url=False)[0]))
            wrong = True
    mid = value.get("mid")
    if wrong or isinstance(mid, bool) or not isinstance(mid, int | float):
        return None
    what = disordered(value["low"], mid, value["high"])
    if what is not None:
        problem(place, what)
        return None
    return float(value["low"]), float(value["high"])


def disordered(low: float, mid: float, high: float) -> str | None:
    """Return what is wrong with the order of a range; ``None`` if nothing is."""
    if low <= mid <= high:
        return None
    return f"expected low <= mid <= high, got {shown(low)}, {shown(mid)} and {shown(high)}"


def uncertain(consortium: Consortium) -> Iterator[Uncertain]:
    """Yield every figure of a consortium that has a range, the consortium's own figures first."""
    for place, (low, high) in consortium.ranges.items():
        section, _, key = place.partition(".")
        if key.startswith("pairs["):
            entry = consortium.competition.pairs[int(key[6:-1])]
            pair = (str(entry[0]), str(entry[1]))
            yield Uncertain(place, None, pair, low, float(entry[2]), high)
        else:
            mid = float(getattr(getattr(consortium, section), key))
            yield Uncertain(place, None, None, low, mid, high)
    who = consortium.organizations
    for key, (lows, highs) in who.ranges.items():
        mids = getattr(who, key)
        for i in np.flatnonzero(~np.isnan(lows)).tolist():
            name = who.names[i]
            yield Uncertain(key, name, None, float(lows[i]), float(mids[i]), float(highs[i]))


def require_games(consortium: Consortium) -> None:
    """Require ``z_i > 0`` wherever the figures may be within their ranges.

    Raises
    ------
    InputError
        Somebody's ``z_i`` is not positive where it earns its least and its rivals their most: the
        message says from where.
    """
    game, who = consortium.game, consortium.organizations
    lows, highs = who.ranges.get("profitability", (None, None))
    intensities = any(place.startswith("competition.") for place in consortium.ranges)
    if lows is None and not intensities:
        return
    p = game.profitability
    low = p if lows is None else np.where(np.isnan(lows), p, lows)
    high = p if highs is None else np.where(np.isnan(highs), p, highs)
    factor = consortium.competition_factor
    most = consortium.with_intensities("high").scaled(factor) if intensities else game.competition
    worst = low - np.asarray(most.dot(high))
    problems = []
    for i in np.flatnonzero(~(worst > 0.0)).tolist():
        z = float(game.potential_weights[i])
        share = z / (z - float(worst[i]))
        problems.append(
            Problem(
                f"{consortium.source}: organization {who.names[i]!r}: competition",
                f"the ranges allow z = p - sum_j rho_ij p_j = {worst[i]:.6g}, which must be > 0: "
                f"from {share:.3g} of the way to the ends of the ranges on there is no game; "
                "narrow the ranges of its profitability, of its rivals' and of rho",
            )
        )
    if problems:
        raise InputError(problems)
