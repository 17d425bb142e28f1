"""Sensitivity: the share of all that the paper leaves open in which each of its claims holds.

The paper does not have this. Erratum E9 lists what it leaves out; a sample draws all of it from a
wide prior, and a consortium of Table II. Every qualitative claim is then tested on that sample:

=====================  ==========================================================================
parameter              prior
=====================  ==========================================================================
G                      log-uniform on [1.2, 100]
A(0)                   uniform on [0.3, 1.5]; where it is at most 1/G, training never helps
eta (cycle/bit)        log-uniform on [0.2, 50]
varpi_e (payoff/J)     log-uniform on [0.001, 1]
lambda (bit/Hz)        log-uniform on [0.01, 100]
tau (s)                log-uniform on [3, 300]
T1 = T3 (s)            uniform on [0, 2]
E_DL = E_UL (W)        log-uniform on [0.01, 10]
m                      2, 3, ..., 10, equally likely
mu                     log-uniform on [0.01, 0.09]; above that hardly any draw has every z_i > 0
=====================  ==========================================================================

Omega is counted in Gbit, without which data never matters (E9). The range of gamma is that of
:mod:`.gamma_sweep`, up to the largest the text names. Claims at gamma* are read twice: at the
paper's 5.12e-9, and at the sample's own gamma of highest welfare. CGBD represents the certified
maximum of the potential, by the exact method: what CGBD reaches with valid cuts (E5). Samples
without a game, or in which a scheme has nothing to play, are counted and reported.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

from tradefl.charts import PALETTE
from tradefl.experiments.draws import GAMMA_STAR, Calibration, draw
from tradefl.experiments.figure import Figure, Finding, Settings, Unit, Verdict
from tradefl.experiments.gamma_sweep import MOST, VISIBLE, falls, settle
from tradefl.game import CoopetitionGame
from tradefl.solvers import solve

Array = npt.NDArray[np.float64]
Range = tuple[float, float]

LOG_UNIFORM: Mapping[str, Range] = {
    "epochs": (1.2, 100.0),
    "cycles_per_bit": (0.2, 50.0),
    "overhead_weight": (1e-3, 1.0),
    "compute_weight": (1e-2, 1e2),
    "deadline_seconds": (3.0, 300.0),
    "transfer_watts": (1e-2, 10.0),
    "mean_intensity": (0.01, 0.09),
}
UNIFORM: Mapping[str, Range] = {"untrained_loss": (0.3, 1.5), "transfer_seconds": (0.0, 2.0)}
LEVELS = (2, 10)

# Eight gamma a decade; index STAR is gamma*, the last one the top of the range.
STAR = 14
GAMMAS = np.append(GAMMA_STAR * 10.0 ** (np.arange(-STAR, 11) / 8.0), MOST)
# Every third, and both ends: enough to see whether damage falls.
COARSE = [0, 2, 5, 8, 11, STAR, 17, 20, 23, 25]

SAMPLES_PER_SEED, BATCH = 10, 25
# Relative: welfares closer than the regret that a solver may leave are the same.
SAME = 1e-9
NEAR, DATA_GAP, MOVES = 3.0, 1.64, 25
# The claims, with the place in the paper.
CLAIMS: Mapping[str, tuple[str, str]] = {
    "cgbd_dbr": ("CGBD has no less welfare than DBR", "Fig. 6"),
    "dbr_fip": ("DBR has no less welfare than FIP", "Fig. 6"),
    "dbr_gca": ("DBR has no less welfare than GCA", "Fig. 6"),
    "dbr_wpr": ("DBR has no less welfare than WPR", "Fig. 6"),
    "more_data": ("DBR has more data than GCA", "Fig. 12"),
    "data_gap": ("DBR has at least 64 % more data than GCA", "Fig. 12"),
    "settled": ("DBR settles within 25 moves", "Fig. 5"),
    "rational": ("Nobody's payoff is negative under DBR", "Theorem 2"),
    "interior_peak": ("Welfare under DBR is highest inside the range of gamma", "Figs. 7 and 8"),
    "near_star": ("Welfare is highest within a factor of 3 of 5.12e-9", "Fig. 10"),
    "damage_dbr": ("Damage falls with gamma under DBR", "Fig. 9"),
    "damage_gca": ("Damage falls with gamma under GCA", "Fig. 9"),
    "damage_fip": ("Damage falls with gamma under FIP", "Fig. 9"),
    "damage_wpr": ("Damage does not depend on gamma under WPR", "Fig. 9"),
}
# These are claims at gamma*, and are read twice.
AT_GAMMA_STAR = tuple(CLAIMS)[:8]
OWN = "_own"
# Why a sample may be unusable, by a part of the error that says so.
PROBLEMS = {
    "every z_i > 0": "competition too strong: some z_i <= 0",
    "no feasible level": "no level meets the deadline",
    "under fip": "FIP's first step misses the deadline",
}
USELESS = "training never helps: A(0) <= 1/G"


def sample(number: int) -> Calibration:
    """Return the parameters of a sample, drawn from the prior."""
    rng = np.random.default_rng([number, 9])  # another stream than the consortium's
    values: dict[str, Any] = {
        name: float(np.exp(rng.uniform(*np.log(bounds)))) for name, bounds in LOG_UNIFORM.items()
    }
    values |= {name: float(rng.uniform(*bounds)) for name, bounds in UNIFORM.items()}
    return Calibration(**values, levels=int(rng.integers(LEVELS[0], LEVELS[1] + 1)))


def compute(first: int, count: int) -> pd.DataFrame:
    """Return one row a sample: its parameters, and of each claim whether it holds.

    A column that ends in ``_own`` is the reading at the sample's own best gamma. Column
    ``problem`` says why there is nothing to test; then no claim has a value.
    """
    rows: list[dict[str, Any]] = []
    playable: list[int] = []
    games: list[CoopetitionGame] = []
    for number in range(first, first + count):
        parameters = sample(number)
        row = {"sample": number, **dataclasses.asdict(parameters), "problem": "none"}
        rows.append(row)
        if parameters.untrained_loss <= 1.0 / parameters.epochs:
            row["problem"] = USELESS
            continue
        try:
            game = draw(number, parameters)
            settle([game], GAMMAS[STAR : STAR + 1], "FIP")
        except ValueError as error:
            row["problem"] = _problem(error)
        else:
            games.append(game)
            playable.append(number - first)
    tested = judge(games) if games else {}
    for name in tested:
        for place, value in zip(playable, tested[name].tolist(), strict=True):
            rows[place][name] = value
    columns = [*rows[0], *NUMBERS, *CLAIMS, *(f"{name}{OWN}" for name in AT_GAMMA_STAR)]
    return pd.DataFrame(rows, columns=list(dict.fromkeys(columns)))


NUMBERS = ("peak", "data_ratio", "moves")


def _problem(error: ValueError) -> str:
    for part, problem in PROBLEMS.items():
        if part in str(error):
            return problem
    raise error


def judge(games: Sequence[CoopetitionGame]) -> dict[str, npt.NDArray[Any]]:
    """Return of each claim in which games it holds, as 0 or 1, and the numbers behind it."""
    dbr = settle(games, GAMMAS, "DBR")
    at = np.arange(len(games))
    top = np.argmax(dbr.welfare, axis=1)
    gammas = np.column_stack([np.tile(GAMMAS[COARSE], (len(games), 1)), GAMMAS[top]])
    gca, fip, wpr = (settle(games, gammas, scheme) for scheme in ("GCA", "FIP", "WPR"))
    star, own = COARSE.index(STAR), len(COARSE)

    found: dict[str, npt.NDArray[Any]] = {
        "peak": GAMMAS[top],
        "data_ratio": dbr.total_data[:, STAR] / gca.total_data[:, star],
        "moves": dbr.moves[:, STAR],
    }
    for suffix, fine, coarse in (("", np.full(at.size, STAR), star), (OWN, top, own)):
        welfare, data = dbr.welfare[at, fine], dbr.total_data[at, fine]
        slack = SAME * np.abs(welfare)
        best = [
            solve(game.with_incentive_intensity(gamma), "exact").social_welfare
            for game, gamma in zip(games, GAMMAS[fine], strict=True)
        ]
        ratio = data / gca.total_data[:, coarse]
        found |= {
            f"cgbd_dbr{suffix}": np.array(best) >= welfare - slack,
            f"dbr_fip{suffix}": welfare >= fip.welfare[:, coarse] - slack,
            f"dbr_gca{suffix}": welfare >= gca.welfare[:, coarse] - slack,
            f"dbr_wpr{suffix}": welfare >= wpr.welfare[:, 0] - slack,
            f"more_data{suffix}": ratio > 1.0 + SAME,
            f"data_gap{suffix}": ratio >= DATA_GAP,
            f"settled{suffix}": dbr.moves[at, fine] <= MOVES,
            f"rational{suffix}": dbr.least_payoff[at, fine] >= 0.0,
        }
    highest = dbr.welfare[at, top]
    ends = np.maximum(dbr.welfare[:, 0], dbr.welfare[:, -1])
    blind = [solve(game.with_incentive_intensity(MOST), "wpr").terms.damage.sum() for game in games]
    found |= {
        "interior_peak": highest - ends > VISIBLE * np.abs(highest),
        "near_star": np.abs(np.log(GAMMAS[top] / GAMMA_STAR)) <= math.log(NEAR),
        "damage_dbr": _fall(dbr.damage[:, COARSE]),
        "damage_gca": _fall(gca.damage[:, :own]),
        "damage_fip": _fall(fip.damage[:, :own]),
        "damage_wpr": np.isclose(blind, wpr.damage[:, 0], rtol=SAME, atol=0.0),
    }
    return {
        name: value.astype(float) if name in NUMBERS else value.astype(int)
        for name, value in found.items()
    }


def _fall(curves: Array) -> npt.NDArray[np.bool_]:
    """Return which curves fall visibly and never climb visibly, as in Fig. 9's own finding."""
    return np.array([falls(curve) for curve in curves])


# --- the figure --------------------------------------------------------------------------------

# Above the higher share a claim holds wherever the paper's setting was, below the lower nowhere.
MOSTLY, HARDLY = 0.9, 0.1
READINGS = {"": "at 5.12e-9", OWN: "at the sample's own best gamma"}
SHAPES = "over the range of gamma"


def units(settings: Settings) -> list[Unit]:
    """Return batches of samples: ten samples for each seed that the user asks for."""
    total = SAMPLES_PER_SEED * settings.seeds
    return [
        Unit(f"samples-{first}", {"first": first, "count": min(BATCH, total - first)})
        for first in range(0, total, BATCH)
    ]


def wilson(holds: Array) -> tuple[float, float, float]:
    """Return a share with its 95 % interval after Wilson."""
    n, share = holds.size, float(np.mean(holds))
    z = float(norm.ppf(0.975))
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return share, centre - half, centre + half


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the share of the samples in which each claim holds, in each reading."""
    shares = []
    for name, (claim, _) in CLAIMS.items():
        for suffix, reading in READINGS.items():
            if suffix and name not in AT_GAMMA_STAR:
                continue
            share, low, high = wilson(_values(rows, name + suffix))
            shown = reading if name in AT_GAMMA_STAR else SHAPES
            shares.append(
                {"claim": claim, "reading": shown, "share": share, "low": low, "high": high}
            )
    return pd.DataFrame(shares)


def _values(rows: pd.DataFrame, name: str) -> Array:
    values: Array = rows[name].dropna().to_numpy(dtype=float)
    if not values.size:
        raise ValueError(f"{name}: no sample has a game; ask for more seeds")
    return values


def chart(summed: pd.DataFrame) -> alt.LayerChart:
    """Return a bar a claim and reading, with its interval."""
    readings = [*READINGS.values(), SHAPES]
    base = alt.Chart(summed).encode(
        y=alt.Y("claim:N", sort=None, title=None, axis=alt.Axis(labelLimit=420)),
        yOffset=alt.YOffset("reading:N", sort=readings),
    )
    shares = base.mark_bar().encode(
        x=alt.X(
            "share:Q",
            title="share of the parameter space in which it holds",
            scale=alt.Scale(domain=[0, 1]),
            axis=alt.Axis(format=".0%"),
        ),
        color=alt.Color(
            "reading:N",
            title="read",
            sort=readings,
            scale=alt.Scale(domain=readings, range=[*PALETTE[:2], PALETTE[7]]),
        ),
        tooltip=["claim:N", "reading:N", alt.Tooltip("share:Q", format=".1%")],
    )
    ends = base.mark_rule(color="black").encode(x=alt.X("low:Q", title=""), x2="high:Q")
    layers: alt.LayerChart = shares + ends
    return layers.properties(
        width=420,
        height=alt.Step(13),
        title="Where the paper's claims hold, whatever it leaves out (95 % interval)",
    )


def verdict(share: float) -> Verdict:
    """Return the verdict on a claim that holds in this share of the parameter space."""
    if share >= MOSTLY:
        return "reproduced"
    return "not determinable" if share > HARDLY else "not reproduced"


def findings(rows: pd.DataFrame) -> list[Finding]:
    """Say of every claim in what share it holds; a claim at gamma* is as good as its worse."""
    tested = rows[rows["problem"] == "none"]
    counts = rows.loc[rows["problem"] != "none", "problem"].value_counts()
    problems = "; ".join(f"{problem}: {count}" for problem, count in counts.items()) or "none"
    found = []
    for name, (claim, place) in CLAIMS.items():
        suffixes = READINGS if name in AT_GAMMA_STAR else ("",)
        shares = {suffix: wilson(_values(tested, name + suffix)) for suffix in suffixes}
        said = [
            f"{share:.1%} ({low:.1%} to {high:.1%})"
            + (f" {READINGS[suffix]}" if len(shares) > 1 else "")
            for suffix, (share, low, high) in shares.items()
        ]
        reached = {verdict(share) for share, _, _ in shares.values()}
        one = reached.pop() if len(reached) == 1 else "not determinable"
        found.append(
            Finding(
                claim=f"{claim}, whatever the paper leaves out",
                paper=place,
                ours=f"holds in {'; '.join(said)} of {len(tested)} samples",
                verdict=one,
                remark=_remark(name, one),
            )
        )
    found.append(
        Finding(
            claim="Every parameter of the prior gives a game",
            paper="not given (E9)",
            ours=f"{len(tested)} of {len(rows)} samples",
            verdict="not determinable",
            remark=f"left out of the shares above: {problems}",
        )
    )
    return found


def _remark(name: str, one: Verdict) -> str:
    if name == "damage_wpr":
        return "by its definition: WPR's decisions never see gamma"
    if name == "cgbd_dbr":
        return "both are equilibria; CGBD maximizes the potential, which is not welfare"
    if name == "near_star":
        window = 2 * math.log(NEAR) / math.log(GAMMAS[-1] / GAMMAS[0])
        return f"by chance alone: {window:.0%}, the part of the range that is so near"
    if one == "not determinable":
        return "depends on what the paper does not give"
    return ""


FIGURE = Figure(
    name="sensitivity",
    title="In what share of the parameter space each claim holds",
    group="simulation",
    units=units,
    compute=compute,
    summary=summary,
    chart=chart,
    findings=findings,
    sources=(
        "tradefl.game",
        "tradefl.solvers",
        "tradefl.experiments.draws",
        "tradefl.experiments.gamma_sweep",
    ),
)
