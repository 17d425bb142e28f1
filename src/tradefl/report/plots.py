"""Charts of single values, for notebooks: the same that the report has."""

from __future__ import annotations

from typing import Literal

import altair as alt
import numpy as np

from tradefl import charts
from tradefl.outcomes import Comparison
from tradefl.report import frames
from tradefl.solvers import Solution
from tradefl.stability import Stability

Chart = alt.FacetChart | alt.HConcatChart | alt.LayerChart


def solution(given: Solution, what: Literal["payoffs", "contributions", "payments"]) -> Chart:
    """Return what makes up each payoff, what everybody contributes, or who pays whom.

    Raises
    ------
    ValueError
        There is no such chart, or nobody pays anybody.
    """
    who, title = frames.chosen(given), given.game.title
    if what == "payoffs":
        return charts.payoff_waterfall(
            frames.payoff_steps(given, who, from_revenue=True), title=title
        )
    if what == "contributions":
        return charts.contributions(frames.contributions(given, who), title=title)
    if what != "payments":
        raise ValueError(f"what: expected payoffs, contributions or payments, got {what!r}")
    paid, _ = frames.payments(given)
    shown = frames.drawn_payments(paid)
    if shown.empty:
        raise ValueError("what: nobody pays anybody, so there is no network of payments")
    return charts.payment_network(shown, frames.net_payments(given, shown), title=title)


def comparison(given: Comparison) -> alt.LayerChart:
    """Return what each organization gains under each rule."""
    gains = frames.rule_gains(given, frames.chosen(given.optimum))
    return charts.rule_gains(gains, title=given.optimum.game.title)


def stability(given: Stability) -> alt.LayerChart:
    """Return each payoff between what its organization has alone and what it brings."""
    most = frames.SHOWN_ORGANIZATIONS
    who = list(range(given.game.size))
    if given.game.size > most:  # those nearest to leaving or to being expelled
        spare = np.minimum(given.payoff - given.alone, given.marginal - given.payoff)
        who = sorted(np.argsort(spare, kind="stable")[:most].tolist())
    return charts.corridor(frames.corridor(given, who), title=given.game.title)
