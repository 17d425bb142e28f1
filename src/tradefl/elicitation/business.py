r"""From business figures to a consortium: where p, rho, s, eta, F, kappa and the costs come from.

With ``P`` the accuracy of the model, from 0 to 1, and money in units of ``payoff_unit``:

    p            = 100 x cases a year x benefit per case and percentage point / payoff_unit
    s            = samples x size of a sample
    data_cost    = samples x preparation of a sample / payoff_unit
    joining_cost = what is paid once / payoff_unit
    eta, F, kappa   from GPUs, see :mod:`tradefl.elicitation.gpus`
    rho_ij       = conduct x overlap of market segments, see :mod:`tradefl.consortium.segments`

What no table says is assumed, and every assumption is listed with its value and its reason.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tradefl.consortium import Consortium
from tradefl.consortium.organizations import Organizations
from tradefl.consortium.schema import (
    Competition,
    Energy,
    Mechanism,
    Organization,
    PowerLawAccuracy,
    shown,
)
from tradefl.consortium.segments import Segments, largest_conduct, segments_of
from tradefl.consortium.tables import Sheet
from tradefl.elicitation.gpus import DEVICES, device, gpu
from tradefl.elicitation.headings import BY_NAME
from tradefl.elicitation.tables import Business
from tradefl.errors import InputError, Parameter, Problem
from tradefl.foreign import look_alikes, name_problem
from tradefl.game import DenseCompetition
from tradefl.tuning import tune

# Published accuracies: 80 % with 5,000 samples, 90 % with 50,000.
ACCURACIES = ((5_000.0, 0.80), (50_000.0, 0.90))
PASSES = 10.0
ELECTRICITY = 0.25
DAY = 86_400.0
TRANSFER_SECONDS = 60.0
LINK_WATTS = 10.0
MIN_DATA_FRACTION = 0.01
# What a machine's highest clock counts for, against the mean dataset.
COMPUTE_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class Assumption:
    """A figure that no table gave: what it is, its value, and why it is that."""

    what: str
    value: str
    reason: str


@dataclasses.dataclass(frozen=True, eq=False)
class Elicited:
    """A consortium from business figures.

    Attributes
    ----------
    consortium
        The consortium.
    assumptions
        What was assumed.
    conduct_range
        From half the proposed conduct to the proposed one; ``None`` without segments.
    formulas
        For each organization, how its figures follow, by key.
    ignored
        Headings of the tables that were not used.
    """

    consortium: Consortium
    assumptions: tuple[Assumption, ...]
    conduct_range: tuple[float, float] | None
    formulas: tuple[dict[str, str], ...]
    ignored: tuple[str, ...]


def power_law_of(points: Sequence[tuple[float, float]]) -> PowerLawAccuracy:
    """Return the accuracy function through two published accuracies.

    ``1 - accuracy = scale (samples / 1000)^-exponent``, a straight line in logarithms.

    Raises
    ------
    ValueError
        They are not two points with more data, and higher accuracy, in (0, 1).
    """
    expected = "expected two points with more samples and a higher accuracy in (0, 1)"
    if len(points) != 2:
        raise ValueError(f"accuracy: {expected}, got {len(points)}")
    (few, low), (many, high) = sorted(points)
    if not (0.0 < few < many < math.inf and 0.0 < low < high < 1.0):
        raise ValueError(f"accuracy: {expected}, got {shown([list(point) for point in points])}")
    exponent = math.log((1.0 - low) / (1.0 - high)) / math.log(many / few)
    scale = (1.0 - low) * (few / 1000.0) ** exponent
    return PowerLawAccuracy(
        model="power-law",
        untrained_loss=1.0,
        scale=float(f"{scale:.12g}"),
        exponent=float(f"{exponent:.12g}"),
        floor=0.0,
        measure="samples",
        unit=1000.0,
    )


def elicit(
    business: Business,
    market: Sheet | None = None,
    *,
    name: str = "consortium",
    currency: str | None = None,
    payoff_unit: float = 1000.0,
    conduct: float | None = None,
    accuracies: Sequence[tuple[float, float]] | None = None,
    source: Path = Path("consortium.toml"),
) -> Elicited:
    """Return the consortium that business figures describe.

    Parameters
    ----------
    business
        The organizations' figures.
    market
        What each sells in each market segment; without it nobody competes.
    name
        The consortium's name.
    currency
        Three letters; default: what the headings say.
    payoff_unit
        Amount of currency in a unit of payoff.
    conduct
        In (0, 1]; default: the largest at which every ``z_i >= p_i / 2``.
    accuracies
        Two published accuracies as (samples, accuracy).
    source
        Where the consortium will be written.

    Raises
    ------
    InputError
        Missing columns or cells, both p and what it follows from, an unknown GPU, other currencies
        than that of the headings, an organization whose costs exceed its revenue.
    """
    if not 0.0 < payoff_unit < math.inf:
        raise InputError.at(Parameter("payoff_unit"), f"expected a number > 0, got {payoff_unit!r}")
    if conduct is not None and not 0.0 < conduct <= 1.0:
        raise InputError.at(Parameter("conduct"), f"expected a number in (0, 1], got {conduct!r}")
    if currency is not None and business.currency not in (None, currency):
        what = f"expected {business.currency}, the currency of the headings, got {currency}"
        raise InputError.at(Parameter("currency"), f"{what}; currencies cannot be mixed")
    currency = currency or business.currency
    assumed: list[Assumption] = []
    _require(business)
    entries, formulas, prices = _entries(business, payoff_unit, assumed)
    names = [entry.name for entry in entries]
    segments = None
    if market is not None:
        segments = segments_of(market, names, set(names), business.mark)
    else:
        reason = "no table of market segments was given; with one, rho follows from it"
        assumed.append(Assumption("competition", "nobody competes, rho = 0", reason))
    try:
        accuracy = power_law_of(ACCURACIES if accuracies is None else accuracies)
    except ValueError as error:
        raise InputError.at(Parameter("accuracy"), str(error).partition(": ")[2]) from None
    if accuracies is None:
        shown_ = " and ".join(f"{100 * a:g} % with {n:,.0f} samples" for n, a in ACCURACIES)
        reason = "typical of image classification; measure yours with `tradefl fit-accuracy`"
        assumed.append(Assumption("accuracy", shown_, reason))
    who = Organizations.of(entries)
    section, rho, proposed = _competition(segments, who, conduct, assumed)
    made = Consortium(
        name=name,
        mechanism=_mechanism(who, float(np.mean(prices)), payoff_unit, assumed),
        energy=Energy(capacitance=0.0, download_watts=LINK_WATTS, upload_watts=LINK_WATTS),
        accuracy=accuracy,
        competition=section,
        organizations=who,
        rho=rho,
        segments=segments,
        currency=currency,
        payoff_unit=payoff_unit,
        source=source,
    )
    made = dataclasses.replace(
        made, energy=made.energy.model_copy(update={"capacitance": float(who.capacitance.mean())})
    )
    _require_willing(made)
    gamma = _tuned(made, assumed)
    mechanism = made.mechanism.model_copy(update={"incentive_intensity": gamma})
    return Elicited(
        dataclasses.replace(made, mechanism=mechanism),
        tuple(assumed),
        proposed,
        tuple(formulas),
        business.ignored,
    )


def _require(business: Business) -> None:
    """Refuse a table without the columns, or with contradicting ones."""
    have, path = business.columns, business.sheet.path
    problems = []
    pays = ("cases_per_year", "benefit_per_case_and_point", "margin_per_case", "uplift_percent")
    both = [field for field in pays if field in have]
    if "profitability" in have and both:
        columns = ", ".join(quoted_heading(business, field) for field in both)
        what = (
            f"both profitability and what it follows from ({columns}) are given; expected one of "
            "them; remove the other"
        )
        problems.append(Problem(str(path), what))
    required = ["name", "samples", "megabytes_per_sample"]
    if "profitability" not in have:
        required.append("cases_per_year")
        if "benefit_per_case_and_point" in have:
            if "margin_per_case" in have or "uplift_percent" in have:
                what = (
                    "both the benefit per case and point and margin x uplift are given; remove one"
                )
                problems.append(Problem(str(path), what))
        elif "margin_per_case" in have or "uplift_percent" in have:
            required += ["margin_per_case", "uplift_percent"]
        else:
            required.append("benefit_per_case_and_point")
    required += [] if {"megabytes_per_second", "watts"} <= set(have) else ["gpu"]
    problems += [
        Problem(
            str(path),
            f"no column for {field}: {BY_NAME[field].meaning}; expected a heading such as "
            f"'{BY_NAME[field].examples[0]}' or '{BY_NAME[field].examples[1]}', or name its column "
            f"with `map` COLUMN={field}",
        )
        for field in required
        if field not in have
    ]
    for field in required:
        problems += [
            Problem(business.place(k, field), f"is empty; expected {BY_NAME[field].meaning}")
            for k, value in enumerate(have.get(field, ()))
            if value is None
        ]
    names = have.get("name", [])
    for k, name in enumerate(names):
        problem = None if name is None else name_problem(name)
        if problem is not None:
            problems.append(Problem(business.place(k, "name"), problem))
        elif name is not None and name in names[:k]:
            problems.append(Problem(business.place(k, "name"), f"{shown(name)} occurs twice"))
    for name, twin in look_alikes([name for name in names if name]):
        what = f"the names {name!a} and {twin!a} look alike; rename one of them"
        problems.append(Problem(str(path), what))
    if problems:
        raise InputError(problems)


def quoted_heading(business: Business, field: str) -> str:
    """Return the heading of a field's column for a message."""
    return shown(business.headings[field])


def _entries(
    business: Business, payoff_unit: float, assumed: list[Assumption]
) -> tuple[list[Organization], list[dict[str, str]], list[float]]:
    """Return each organization, how its figures follow, and its price of a kWh."""
    have, problems = business.columns, []
    defaults: dict[str, Any] = {
        "gpus": 1.0,
        "electricity_per_kwh": ELECTRICITY,
        "preparation_per_sample": 0.0,
        "joining_cost": 0.0,
    }
    reasons = {
        "gpus": "no column says how many",
        "electricity_per_kwh": "no column says what electricity costs; a usual commercial price",
        "preparation_per_sample": "no column says what preparing data costs",
        "joining_cost": "no column says what joining costs",
    }
    for field, default in defaults.items():
        if field not in have or None in have[field]:
            some = "" if field not in have else " where the cell is empty"
            assumed.append(Assumption(field, f"{default:g}{some}", reasons[field]))
    assumed.append(
        Assumption("passes", f"{PASSES:g}", "how often a training goes through the data")
    )
    rows = [
        {
            **defaults,
            **{field: column[k] for field, column in have.items() if column[k] is not None},
        }
        for k in range(len(business))
    ]
    prices = [float(row["electricity_per_kwh"]) for row in rows]
    mean = float(np.mean(prices)) or 1.0
    entries, formulas = [], []
    for k, row in enumerate(rows):
        problems += [
            Problem(business.place(k, field), f"expected a number > 0, got {row[field]:g}")
            for field in ("samples", "megabytes_per_sample", "gpus")
            if not row[field] > 0.0
        ]
        p, how = _profitability(row, payoff_unit)
        if not p > 0.0:
            what = f"earns nothing from a better model: p = {p:g}; expected a number > 0"
            problems.append(Problem(f"{business.sheet.path}: {row['name']}", what))
        machine = None
        try:
            bits, watts, clock, model = _machine(row)
            machine = gpu(bits, watts, clock, count=max(int(row["gpus"]), 1), passes=PASSES)
        except KeyError as error:
            known = ", ".join(known.name for known in DEVICES)
            what = (
                f"unknown GPU {shown(row['gpu'])}{error.args[0]}; expected one of {known}, or "
                "columns megabytes_per_second and watts"
            )
            problems.append(Problem(business.place(k, "gpu"), what))
        except ValueError as error:
            problems.append(Problem(f"{business.sheet.path}: {row['name']}", str(error)))
        if machine is None or problems:
            continue
        samples, size = int(row["samples"]), float(row["megabytes_per_sample"])
        dearer = row["electricity_per_kwh"] / mean
        entries.append(
            Organization(
                name=row["name"],
                profitability=p,
                data_bits=_rounded(samples * size * 8e6),
                samples=samples,
                cycles_per_bit=_rounded(machine.cycles_per_bit),
                cpu_levels_hz=list(machine.cpu_levels_hz),
                download_seconds=TRANSFER_SECONDS,
                upload_seconds=TRANSFER_SECONDS,
                data_cost=_rounded(samples * row["preparation_per_sample"] / payoff_unit),
                joining_cost=_rounded(row["joining_cost"] / payoff_unit),
                capacitance=_rounded(machine.capacitance * dearer),
                sector=row.get("sector"),
            )
        )
        many = int(row["gpus"])
        formulas.append(
            {
                "profitability": how,
                "data_bits": f"{samples:,} samples x {size:g} MB x 8e6",
                "cycles_per_bit": f"{PASSES:g} passes x {clock / 1e9:g} GHz / "
                f"({many} x {bits / 8e6:,.0f} MB/s on {model})",
                "cpu_levels_hz": f"half to full clock of {model}",
                "data_cost": f"{samples:,} samples x {row['preparation_per_sample']:g} / "
                f"{payoff_unit:g}",
                "joining_cost": f"{row['joining_cost']:,.0f} / {payoff_unit:g}",
                "capacitance": f"{many} x {watts:g} W / ({clock / 1e9:g} GHz)^3, x "
                f"{row['electricity_per_kwh']:g} / {mean:.6g}, its price of a kWh against the mean",
            }
        )
    if problems:
        raise InputError(problems)
    return entries, formulas, prices


def _profitability(row: dict[str, Any], payoff_unit: float) -> tuple[float, str]:
    if "profitability" in row:
        return float(row["profitability"]), "as given"
    cases = float(row["cases_per_year"])
    if "benefit_per_case_and_point" in row:
        benefit = float(row["benefit_per_case_and_point"])
        text = f"100 x {cases:,.0f} cases x {benefit:g} / {payoff_unit:g}"
    else:
        margin, uplift = float(row["margin_per_case"]), float(row["uplift_percent"])
        benefit = margin * uplift / 100.0
        text = f"100 x {cases:,.0f} cases x {margin:g} x {uplift:g} % / {payoff_unit:g}"
    return _rounded(100.0 * cases * benefit / payoff_unit), text


def _machine(row: dict[str, Any]) -> tuple[float, float, float, str]:
    """Return bits a second, watts, clock and name of an organization's device.

    Raises
    ------
    KeyError
        The device is not in the table, and the row does not say what it does.
    """
    measured, watts = row.get("megabytes_per_second"), row.get("watts")
    if measured is not None and watts is not None:
        try:
            clock = device(str(row.get("gpu", ""))).clock_hz
        except KeyError:
            clock = 1.5e9
        return float(measured) * 8e6, float(watts), clock, str(row.get("gpu") or "its device")
    one = device(str(row["gpu"]))
    bits = one.bits_per_second if measured is None else float(measured) * 8e6
    return bits, one.watts if watts is None else float(watts), one.clock_hz, one.name


def _rounded(value: float) -> float:
    """Return a number to twelve digits: a sum of decimals as a person would write it."""
    return float(f"{value:.12g}")


def _competition(
    segments: Segments | None,
    who: Organizations,
    conduct: float | None,
    assumed: list[Assumption],
) -> tuple[Competition, DenseCompetition, tuple[float, float] | None]:
    if segments is None:
        return Competition(), DenseCompetition(np.zeros((len(who), len(who)))), None
    overlap = segments.overlap()
    largest = _rounded_down(largest_conduct(overlap, who.profitability))
    chosen = largest if conduct is None else conduct
    if conduct is None:
        assumed.append(
            Assumption(
                "conduct",
                f"{largest:g}, from a range of {largest / 2.0:g} to {largest:g}",
                "the largest at which a rival takes at most half of what an improvement earns "
                "(z >= p / 2); how hard rivals fight is a judgement, so agree on it",
            )
        )
    section = Competition(segments_file="segments.csv", conduct=chosen)
    return section, DenseCompetition(chosen * overlap), (largest / 2.0, largest)


def _rounded_down(value: float) -> float:
    """Return a number rounded down to three digits."""
    if value >= 1.0:
        return 1.0
    scale = 10.0 ** (2 - math.floor(math.log10(value)))
    return float(f"{math.floor(value * scale * (1.0 - 1e-12)) / scale:.3g}")


def _mechanism(
    who: Organizations, price: float, payoff_unit: float, assumed: list[Assumption]
) -> Mechanism:
    fastest = np.nanmax(who.cpu_levels_hz, axis=1)
    needed = who.cycles_per_bit * who.data_bits / fastest + 2.0 * TRANSFER_SECONDS
    least = float(np.max(1.25 * (MIN_DATA_FRACTION * (needed - 2.0 * TRANSFER_SECONDS)) + 120.0))
    deadline = max(DAY, math.ceil(least / 3600.0) * 3600.0)
    assumed += [
        Assumption("deadline", f"{deadline / 3600.0:g} hours", "a training is ready the next day"),
        Assumption("min_data_fraction", f"{MIN_DATA_FRACTION:g}", "a member contributes something"),
        Assumption(
            "transfers", f"{TRANSFER_SECONDS:g} s each, {LINK_WATTS:g} W", "small next to training"
        ),
    ]
    return Mechanism(
        incentive_intensity=0.0,
        compute_weight=float(f"{COMPUTE_SHARE * who.data_bits.mean() / fastest.mean():.3g}"),
        overhead_weight=_rounded(price / 3.6e6 / payoff_unit),
        min_data_fraction=MIN_DATA_FRACTION,
        deadline_seconds=deadline,
    )


def _require_willing(consortium: Consortium) -> None:
    """Refuse organizations whose costs exceed what the best model would earn them."""
    game, unit = consortium.game, consortium.payoff_unit
    best = game.profitability * float(game.accuracy.value(float(game.data_units.sum())))
    least = game.joining_cost + game.min_data_fraction * game.data_cost
    code = consortium.currency or "of money"
    problems = [
        Problem(
            f"organization {consortium.names[i]!r}",
            f"would not join: its costs, {least[i] * unit:,.0f} {code}, exceed the revenue of "
            f"{best[i] * unit:,.0f} {code} that it would have with everybody's data; expected "
            "lower costs; correct its figures, or leave it out",
        )
        for i in np.flatnonzero(least > best)
    ]
    if problems:
        raise InputError(problems)


def _tuned(consortium: Consortium, assumed: list[Assumption]) -> float:
    """Return the incentive intensity at which welfare is highest, as `tradefl tune` finds it."""
    best = tune(consortium.game).best
    gamma = 0.0 if best is None else float(f"{best.game.incentive_intensity:.6g}")
    assumed.append(
        Assumption("incentive_intensity", f"{gamma:g}", "gamma*, as `tradefl tune` finds it")
    )
    return gamma
