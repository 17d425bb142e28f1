"""Fig. 12, the accuracy: of the model trained on each scheme's contributions, over gamma.

The paper shows accuracy next to the total data contributed, which :mod:`.fig12` has. Under TOS and
WPR contributions do not depend on gamma, so their trainings are those of Fig. 15, as are those of
every scheme at gamma*. Where DBR and GCA contribute all data, their training is that of TOS.
"""

from __future__ import annotations

import altair as alt
import pandas as pd

from tradefl.charts import axis, lines
from tradefl.experiments.draws import GAMMA_STAR
from tradefl.experiments.figure import Figure, Finding, Settings, Unit, band
from tradefl.experiments.one_training import SOURCES, compute
from tradefl.experiments.parameters import gammas, with_star
from tradefl.experiments.scheme_trainings import (
    SCRATCH,
    final,
    in_points,
    standard_error,
    verdict_on_gaps,
)
from tradefl.experiments.training import PAIRS, PARAMETERS, ProfileName, scheme_units, settings_of

PAIR = "mobilenet-svhn"
SCHEMES = ("DBR", "GCA", "WPR", "TOS")
GAMMAS: dict[ProfileName, tuple[float, ...]] = {
    "small": (1e-9, 2.5e-9, GAMMA_STAR, 1e-7),
    "full": (1e-10, 1e-9, 2e-9, GAMMA_STAR, 1e-8, 2e-8, 5e-8, 1e-7),
}


def units(settings: Settings) -> list[Unit]:
    """Return a training for each seed, gamma and scheme."""
    given = settings.parameters.get("gammas", GAMMAS[settings_of(settings).profile])
    ascending = with_star(given if isinstance(given, tuple) else (given,))
    return scheme_units(settings, pairs=(PAIR,), schemes=SCHEMES, gammas=ascending)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy and data contributed for each scheme and gamma."""
    last = final(rows)
    summed = band(last, ["scheme", "gamma"], "accuracy")
    data = last.groupby(["scheme", "gamma"], sort=False)["total_data_fraction"].median()
    summed["total_data_fraction"] = data.to_numpy()
    return summed


def chart(summed: pd.DataFrame) -> alt.LayerChart:
    """Return the accuracy over gamma, a line a scheme."""
    return lines(
        summed,
        axis("gamma", "incentive intensity gamma (payoff per bit)", log=True),
        axis("accuracy", "accuracy on the test part"),
        series="scheme",
        title=f"Accuracy of the trained model over gamma, {PAIRS[PAIR].title}",
        points=True,
    )


def findings(rows: pd.DataFrame) -> list[Finding]:
    """Compare the accuracies at both ends, and those of the schemes at each gamma."""
    wide = final(rows).pivot_table(
        index=["pair", "seed"], columns=["scheme", "gamma"], values="accuracy"
    )
    errors = standard_error(rows)
    gammas = sorted(rows["gamma"].unique())
    found = []
    for scheme in ("DBR", "GCA"):
        shown = ", ".join(f"{100 * wide[scheme, gamma].median():.1f} %" for gamma in gammas)
        rise = wide[scheme, gammas[-1]] - wide[scheme, gammas[0]]
        found.append(
            Finding(
                claim=f"The model under {scheme} becomes more accurate as gamma grows",
                paper="Fig. 12: accuracy follows the data contributed",
                ours=f"{in_points(rise)} from gamma = {gammas[0]:g} to {gammas[-1]:g} ({shown})",
                verdict=verdict_on_gaps(rise, errors),
                remark=SCRATCH,
            )
        )
    gap = wide["DBR", GAMMA_STAR] - wide["GCA", GAMMA_STAR]
    found.append(
        Finding(
            claim="At gamma* the model is more accurate under DBR than under GCA",
            paper="Fig. 12: with up to 64 % more data",
            ours=in_points(gap),
            verdict=verdict_on_gaps(gap, errors),
            remark=SCRATCH,
        )
    )
    return found


FIGURE = Figure(
    name="fig12-accuracy",
    title="Accuracy of the trained model over gamma",
    group="training",
    units=units,
    compute=compute,
    summary=summary,
    chart=chart,
    findings=findings,
    sources=SOURCES,
    parameters=(gammas(GAMMAS["small"]), *PARAMETERS),
    of_units=("gammas",),
)
