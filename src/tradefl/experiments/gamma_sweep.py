"""What the figures over gamma share: the sweep, its chart, and how a curve's shape is judged."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, cast

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from tradefl.charts import axis, lines
from tradefl.experiments.draws import GAMMA_STAR, table2
from tradefl.experiments.figure import HIGH, LOW, Finding, band, spread
from tradefl.experiments.parameters import with_star
from tradefl.game import CoopetitionGame, payoffs
from tradefl.solvers import solve
from tradefl.solvers.games import Games
from tradefl.solvers.many import Method, solve_many

Array = npt.NDArray[np.float64]

SCHEMES: Mapping[str, str] = {
    "CGBD": "cgbd",
    "DBR": "dbr",
    "FIP": "fip",
    "GCA": "gca",
    "WPR": "wpr",
    "TOS": "tos",
}
# These never see gamma when they decide: solved once, paid at every gamma.
BLIND = ("WPR", "TOS")
# The paper does not give its range of gamma. It names 5e-8 and 1e-7 as too much, so we end there;
# below 1e-10 redistribution decides nothing.
LEAST, MOST = 1e-10, 1e-7
NAMED = (GAMMA_STAR, 5e-8)
GAMMA = "incentive intensity γ (payoff/bit)"

# Relative: a smaller change can hardly be seen in a printed figure, so it is no rise and no fall.
# Levels are discrete: as gamma grows, a draw's curve has steps of this size.
VISIBLE = 0.005
NONE_COUNTS = f"A change of less than {100 * VISIBLE:g} % counts as none."
# Relative: values closer than the regret that a solver may leave are the same.
SAME = 1e-9


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a scheme comes to at one gamma, over all organizations: payoff, payoff and data."""

    social_welfare: float
    damage: float
    total_data: float


def grid(per_decade: int) -> tuple[float, ...]:
    """Return evenly spaced gamma on a log scale, with those that the paper names, ascending."""
    steps = round(per_decade * np.log10(MOST / LEAST))
    even = [float(f"{gamma:.4g}") for gamma in np.geomspace(LEAST, MOST, steps + 1)]
    return tuple(sorted({*even, *NAMED}))


FINE, COARSE = grid(20), grid(6)
DECADES = (1e-10, 1e-9, 1e-8, 1e-7)


class Settled(NamedTuple):
    """Where many consortia settle: one row for each, one column for each gamma.

    ``moves`` counts those made; ``least_payoff`` is that of the organization that has least.
    """

    welfare: Array
    total_data: Array
    damage: Array
    least_payoff: Array
    moves: Array


def settle(games: Sequence[CoopetitionGame], gammas: Array, scheme: str) -> Settled:
    """Let every game settle at every gamma under DBR, GCA, FIP or WPR, all at once.

    Parameters
    ----------
    games
        Of the same size. Their own gamma does not matter.
    gammas
        ``(k,)``, the same for each of them, or ``(games, k)``.
    scheme
        Which dynamics.

    Raises
    ------
    ValueError
        An organization has nothing that it may play: FIP's first step misses the deadline.
    """
    gammas = np.zeros(1) if scheme == "WPR" else np.asarray(gammas, dtype=float)
    gammas = np.broadcast_to(gammas, (len(games), gammas.shape[-1]))
    every = Games.of(games).at_intensities(gammas)
    found = solve_many(every, method=cast(Method, SCHEMES[scheme]))
    columns = (
        found.social_welfare,
        found.total_data_fraction,
        found.damage.sum(axis=1),
        found.payoffs.min(axis=1),
        found.moves.astype(float),
    )
    return Settled(*(column.reshape(gammas.shape) for column in columns))


@functools.cache  # Figs. 8, 9 and 12 look at the same outcomes
def outcomes(
    seed: int,
    scheme: str,
    gammas: tuple[float, ...] = COARSE,
    n: int = 10,
    calibration: tuple[tuple[str, float], ...] = (),
) -> Mapping[float, Outcome]:
    """Return what a scheme comes to at each gamma, for one consortium."""
    start, method = table2(seed, n, **dict(calibration)), SCHEMES[scheme]
    fixed = solve(start, method).profile if scheme in BLIND else None
    found = {}
    for gamma in gammas:
        game = start.with_incentive_intensity(gamma)
        if scheme == "WPR":  # redistribution is not in its payoff
            game = start.with_incentive_intensity(0.0)
        profile = solve(game, method).profile if fixed is None else fixed
        terms = payoffs(game, profile)
        found[gamma] = Outcome(
            terms.social_welfare, float(terms.damage.sum()), float(profile.data_fraction.sum())
        )
    return found


def sweep(
    seed: int,
    schemes: Sequence[str],
    value: str,
    gammas: Sequence[float] = COARSE,
    n: int = 10,
    **calibration: float,
) -> pd.DataFrame:
    """Return one field of :class:`Outcome` for each scheme and gamma, for one consortium.

    Parameters
    ----------
    seed
        The consortium.
    schemes
        Names of :data:`SCHEMES`.
    value
        The field.
    gammas
        The incentive intensities; gamma*, at which figures are judged, is added.
    n, **calibration
        As in :func:`tradefl.experiments.draws.table2`.
    """
    ascending, changed = with_star(gammas), tuple(sorted(calibration.items()))
    return pd.DataFrame(
        [
            {"seed": seed, "scheme": scheme, "gamma": gamma, value: getattr(outcome, value)}
            for scheme in schemes
            for gamma, outcome in outcomes(seed, scheme, ascending, n, changed).items()
        ]
    )


def summary(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return median and band of a field for each scheme and gamma."""
    return band(rows, ["scheme", "gamma"], value)


def relative(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return the rows in percent of what the same draw has under DBR at gamma*.

    Consortia differ by more than schemes do: so told apart, the band is about the schemes.
    """
    star = at(curves(rows[rows["scheme"] == "DBR"], value), GAMMA_STAR)
    return rows.assign(**{value: 100.0 * rows[value] / rows["seed"].map(star)})


def chart(summed: pd.DataFrame, value: str, label: str, title: str) -> alt.LayerChart:
    """Return a line a scheme over gamma, with gamma* marked."""
    curves = lines(
        summed,
        axis("gamma", GAMMA, log=True, axis=alt.Axis(format=".0e", values=DECADES)),
        axis(value, label),
        series="scheme",
        title=f"{title} (median and 90 % band)",
    )
    star = {"gamma": [GAMMA_STAR], "text": ["γ*"]}
    mark = alt.Chart(pd.DataFrame(star)).encode(x="gamma:Q")
    rule = mark.mark_rule(color="grey", strokeDash=[2, 2])
    text = mark.mark_text(color="grey", align="left", dx=4, baseline="top").encode(
        text="text:N", y=alt.value(4)
    )
    marked: alt.LayerChart = curves + rule + text
    return marked


# --- curves ------------------------------------------------------------------------------------


def curves(rows: pd.DataFrame, value: str, over: str = "gamma") -> pd.DataFrame:
    """Return one curve a draw: rows are seeds, columns ascend."""
    wide: pd.DataFrame = rows.pivot_table(index="seed", columns=over, values=value)
    return wide.sort_index(axis=1)


def curves_by_scheme(rows: pd.DataFrame, value: str) -> dict[str, pd.DataFrame]:
    """Return each scheme's curves; all have the same rows and columns."""
    return {str(scheme): curves(part, value) for scheme, part in rows.groupby("scheme", sort=False)}


def at(wide: pd.DataFrame, gamma: float) -> pd.Series:
    """Return the column of a gamma: a number that was written and read again finds its own.

    Raises
    ------
    ValueError
        The sweep has no such gamma.
    """
    found = np.flatnonzero(np.isclose(wide.columns.to_numpy(dtype=float), gamma, rtol=1e-9, atol=0))
    if found.size != 1:
        raise ValueError(f"gamma: expected one of the sweep's, got {gamma!r}")
    return wide.iloc[:, int(found[0])]


def ends_lower(curve: Array) -> bool:
    """Return whether a curve ends visibly lower than it begins."""
    return bool(curve[0] - curve[-1] > VISIBLE * np.abs(curve).max())


def never_climbs(curve: Array) -> bool:
    """Return whether a curve never climbs visibly above where it has been before."""
    climb = np.max(curve - np.minimum.accumulate(curve))
    return bool(climb <= VISIBLE * np.abs(curve).max())


def falls(curve: Array) -> bool:
    """Return whether a curve ends visibly lower, and never climbs visibly on its way."""
    return ends_lower(curve) and never_climbs(curve)


def rises_then_falls(curve: Array) -> bool:
    """Return whether a curve visibly rises to its highest point, and visibly falls from there."""
    top = int(np.argmax(curve))
    return falls(curve[top::-1]) and falls(curve[top:])


def holds(wide: pd.DataFrame, shape: Callable[[Array], bool]) -> pd.Series:
    """Return of which curves, one a row, a shape such as :func:`falls` holds."""
    return pd.Series([shape(curve) for curve in wide.to_numpy(dtype=float)], index=wide.index)


def peak(wide: pd.DataFrame) -> pd.Series:
    """Return where each curve is highest."""
    return wide.idxmax(axis=1).astype(float)


# --- numbers -----------------------------------------------------------------------------------


def number(claim: str, paper: str, values: pd.Series, target: float, ours: str = "") -> Finding:
    """Return the finding on a number that depends on what the paper leaves out (erratum E9).

    Outside our 90 % band it is not reproduced. Inside, that is no evidence, because our values
    for what is left out were chosen with the paper's numbers in view.

    Parameters
    ----------
    claim, paper
        As in :class:`~tradefl.experiments.Finding`.
    values, target
        Our number for each draw, and the paper's.
    ours
        Our number in words; default its spread.
    """
    low, high = np.quantile(values.to_numpy(dtype=float), [LOW, HIGH])
    met = bool(low <= target <= high)
    return Finding(
        claim=claim,
        paper=paper,
        ours=ours or spread(values),
        verdict="not determinable" if met else "not reproduced",
        correction="E9",
        remark="What decides this number is left out of the paper, and our values were chosen "
        "with the paper's numbers in view: "
        + (
            "that they meet it does not show that they are the paper's."
            if met
            else "even so they do not meet it; others may."
        ),
    )
