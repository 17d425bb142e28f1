"""The study beyond the paper: no compensation, the paper's rule and the efficient one, compared.

Two kinds of consortia. Those of Table II are homogeneous. The heterogeneous ones have a spread of
sizes and a rivalry of their own, both drawn with the seed, so that a study of many seeds shows what
depends on them. Every figure of the study is made of the same rows, one for each consortium.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tradefl.comparison import compare
from tradefl.design import Design, design
from tradefl.experiments.draws import heterogeneous, rivalry_of, table2
from tradefl.experiments.figure import Settings, Unit, Verdict
from tradefl.experiments.parameters import CALIBRATION, FigureParameter
from tradefl.game import CoopetitionGame
from tradefl.outcomes import Comparison

HOMOGENEOUS, HETEROGENEOUS = KINDS = ("Table II", "heterogeneous")
# What the seed draws for a heterogeneous consortium, uniformly.
SPREADS = (0.1, 1.2)
RIVALRIES = (0.1, 0.9)
RANDOM_STARTS = 5
ORGANIZATIONS = 10
# What can be varied; mu is that of Table II's consortia, the others have a rivalry.
PARAMETERS = (
    FigureParameter(
        name="spread", meaning="of the heterogeneous: sigma of their sizes", default=None, most=5.0
    ),
    FigureParameter(
        name="rivalry",
        meaning="of the heterogeneous: max_i sum_j rho_ij p_j / p_i",
        default=None,
        positive=True,
        most=0.99,
    ),
    *CALIBRATION,
)
SOURCES = (
    *("tradefl.game", "tradefl.solvers", "tradefl.tuning", "tradefl.design"),
    *("tradefl.comparison", "tradefl.outcomes", "tradefl.experiments.draws"),
)
# What is promised: regret as a share of the terms of a payoff, and the planner's proven gap.
EXACT_REGRET, SETTLED_REGRET, PLANNER_GAP = 1e-9, 1e-6, 1e-6


def units(settings: Settings) -> list[Unit]:
    """Return a unit for each seed of each kind."""
    return [
        Unit(f"{kind.lower().replace(' ', '-')}-{seed}", {"kind": kind, "seed": seed})
        for kind in KINDS
        for seed in range(settings.seeds)
    ]


def consortium(
    kind: str,
    seed: int,
    *,
    spread: float | None = None,
    rivalry: float | None = None,
    **calibration: float,
) -> CoopetitionGame:
    """Return a consortium of the study.

    Parameters
    ----------
    kind, seed
        One of :data:`KINDS`, and the seed of the draw.
    spread, rivalry
        Those of a heterogeneous consortium; default: drawn with the seed (:func:`drawn`).
    **calibration
        As in :func:`tradefl.experiments.draws.table2`.

    Raises
    ------
    ValueError
        There is no such kind, or a figure is out of range.
    """
    if kind == HOMOGENEOUS:
        return table2(seed, ORGANIZATIONS, **calibration)
    if kind != HETEROGENEOUS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    of_seed = drawn(seed, spread=spread, rivalry=rivalry)
    return heterogeneous(seed, ORGANIZATIONS, spread=of_seed[0], rivalry=of_seed[1], **calibration)


def drawn(
    seed: int, *, spread: float | None = None, rivalry: float | None = None, **_: float
) -> tuple[float, float]:
    """Return the spread and the rivalry of a heterogeneous consortium: given, or drawn."""
    rng = np.random.default_rng([seed, 1])  # not the deviates of the sizes
    by_seed = float(rng.uniform(*SPREADS)), float(rng.uniform(*RIVALRIES))
    return (
        by_seed[0] if spread is None else spread,
        by_seed[1] if rivalry is None else rivalry,
    )


def compute(kind: str, seed: int, **parameters: float) -> pd.DataFrame:
    """Return one row: a consortium under each rule, and what was verified of the efficient one."""
    game = consortium(kind, seed, **parameters)
    compared = compare(game, participation="zero")  # the paper's own demand on gamma*
    designed = design(
        game,
        "equal-gain",
        optimum=compared.optimum,
        without=compared.outcomes[0].solution,
        random_starts=RANDOM_STARTS,
    )
    row = {"kind": kind, "seed": seed, **_what_it_is(game, kind, seed, parameters)}
    row |= _rules(compared) | _promises(compared, designed) | _each(compared, designed)
    return pd.DataFrame([row])


def _what_it_is(
    game: CoopetitionGame, kind: str, seed: int, parameters: Mapping[str, float]
) -> dict[str, Any]:
    """Return how unequal the organizations are, and how much they compete."""
    logs = np.log([game.profitability, game.data_bits])
    intensities = np.column_stack([game.competition.dot(unit) for unit in np.eye(game.size)])
    return {
        "spread": drawn(seed, **parameters)[0] if kind == HETEROGENEOUS else np.nan,
        "heterogeneity": float(np.sqrt(logs.var(axis=1).mean())),
        "rivalry": rivalry_of(intensities, game.profitability),
    }


def _rules(compared: Comparison) -> dict[str, Any]:
    """Return what welfare each rule brings, and who loses under it."""
    row: dict[str, Any] = {
        "welfare_optimum": compared.optimum.social_welfare,
        "planner_gap": _planner_gap(compared),
        "data_optimum": float(compared.optimum.profile.data_fraction.sum()),
    }
    found = {outcome.rule: outcome for outcome in compared.outcomes}
    for rule in ("none", "linear", "tuned", "efficient"):
        outcome = found.get(rule)  # no tuned one where no gamma is individually rational
        columns = {"welfare": np.nan, "data": np.nan, "gap_closed": np.nan, "payments": np.nan}
        columns |= {"losers": np.nan, "largest_loss": np.nan}
        if outcome is not None:
            welfare, closed = outcome.solution.social_welfare, outcome.gap_closed
            loss = -outcome.gain / np.abs(outcome.without.payoffs)
            columns = {
                "welfare": welfare,
                "data": float(outcome.solution.profile.data_fraction.sum()),
                "gap_closed": np.nan if closed is None else closed,
                "payments": outcome.payments / welfare,
                "losers": outcome.losers,
                "largest_loss": float(max(loss.max(), 0.0)) if outcome.losers else 0.0,
            }
        row |= {f"{name}_{rule}": value for name, value in columns.items()}
    tuned = found.get("tuned")
    row["gamma_tuned"] = np.nan if tuned is None else tuned.solution.game.incentive_intensity
    anarchy = found["none"].price_of_anarchy
    row["price_of_anarchy"] = np.nan if anarchy is None else anarchy
    return row


def _planner_gap(compared: Comparison) -> float:
    bound = compared.optimum.welfare_bound
    if bound is None:
        raise RuntimeError("the planner has no bound")
    return (bound - compared.optimum.social_welfare) / abs(bound)


def _promises(compared: Comparison, designed: Design) -> dict[str, Any]:
    """Return what the efficient rule promises, measured at what is agreed on."""
    scale = designed.agreed.certificate.payoff_scale
    optimum = compared.optimum.profile
    most = designed.agreed.game.max_data_fraction(optimum.cpu_hz)
    starts = {start.name: start for start in designed.starts}
    random = [start for name, start in starts.items() if name.startswith("random")]
    return {
        "regret_exact": float((designed.exact_regret / scale).max()),
        "regret_settled": float((designed.settled_regret / scale).max()),
        "budget_imbalance": abs(designed.agreed.certificate.budget_imbalance) / float(scale.sum()),
        "below_none": int(np.sum(designed.gain < 0.0)),
        "equal_gain": float(designed.gain.min()),
        "unequal": float(np.ptp(designed.gain)),
        "payments_agreed": designed.cash / designed.agreed.social_welfare,
        "starts": len(starts),
        "starts_that_reach": designed.reached,
        "random_starts_that_reach": sum(start.reached for start in random),
        "least_data_reaches": starts["the least data"].reached,
        "all_data_reaches": starts["all data"].reached,
        "no_compensation_reaches": starts["no compensation"].reached,
        "welfare_of_worst_start": min(start.social_welfare for start in designed.starts),
        "at_deadline": int(np.sum((optimum.data_fraction >= most * (1.0 - 1e-6)) & (most < 1.0))),
        "all_their_data": int(np.sum(optimum.data_fraction >= 1.0 - 1e-6)),
    }


def _each(compared: Comparison, designed: Design) -> dict[str, float]:
    """Return everybody's payoff without compensation, at gamma*, and under the efficient rule."""
    found = {outcome.rule: outcome.solution.payoffs for outcome in compared.outcomes}
    absent = np.full(designed.gain.size, np.nan)
    columns = {
        "payoff_none": found["none"],
        "payoff_tuned": found.get("tuned", absent),
        "payoff_efficient": designed.agreed.payoffs,
    }
    return {
        f"{name}_{i + 1}": value
        for name, values in columns.items()
        for i, value in enumerate(values.tolist())
    }


# --- what the figures have in common -----------------------------------------------------------


def by_organization(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row an organization: its payoff without compensation, and what it gains."""
    count = sum(name.startswith("payoff_none_") for name in rows.columns)
    parts = [
        pd.DataFrame(
            {
                "kind": rows["kind"],
                "seed": rows["seed"],
                "organization": i,
                "without": rows[f"payoff_none_{i}"],
                "tuned": rows[f"payoff_tuned_{i}"] - rows[f"payoff_none_{i}"],
                "efficient": rows[f"payoff_efficient_{i}"] - rows[f"payoff_none_{i}"],
            }
        )
        for i in range(1, count + 1)
    ]
    return pd.concat(parts).sort_values(["kind", "seed", "organization"], ignore_index=True)


def of_kinds(rows: pd.DataFrame, describe: Callable[[pd.DataFrame], str]) -> str:
    """Return what is to be said of each kind: ``Table II: ...; heterogeneous: ...``."""
    return "; ".join(
        f"{kind}: {describe(rows[rows['kind'] == kind])}"
        for kind in KINDS
        if (rows["kind"] == kind).any()
    )


def holds(condition: Any) -> Verdict:
    """Return the verdict on a promise: it holds everywhere or not at all."""
    return "holds" if np.all(condition) else "does not hold"
