"""The page Incentive: welfare over gamma, and the gamma that serves the consortium best."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from tradefl import charts
from tradefl.dashboard import sidebar, state
from tradefl.dashboard.parts import aside, csv_of, offer, plain, show_section
from tradefl.report import frames
from tradefl.report.proof import gamma_section
from tradefl.report.rules import gains_text, rules_section

# From here on the search takes longer than a person wants to wait without having asked.
ASK_FROM = 50
NEGATIVE = "somebody's payoff is negative"


def page() -> None:
    """Draw the page."""
    st.title("Incentive")
    _gamma()
    _rules()


def _rules() -> None:
    """Draw the rules side by side; asked for, as the planner takes seconds."""
    view = state.view()
    if view.consortium.game.size < 2:
        return
    st.subheader("The rules side by side")
    asked = st.session_state.get("_compared") == view.key
    if st.button("Compare the rules") or asked:
        st.session_state["_compared"] = view.key
    else:
        aside("No payments, this gamma, the best gamma, and the efficient rule: takes seconds.")
        return
    try:
        comparison = state.compared(view.key, view.consortium).in_currency()
    except ValueError as error:
        st.warning(plain(str(error)))
        return
    who = frames.chosen(view.solution)
    gains = frames.rule_gains(comparison, who)
    live = {"rule-gains-chart": (charts.rule_gains(gains), gains_text(comparison))}
    show_section(rules_section(comparison, who), live, heading=False)
    offer("Gains, CSV", csv_of(gains, "gains.csv"), key="csv-rules")


def _gamma() -> None:
    """Draw welfare over gamma."""
    view = state.view()
    method = view.solution.method
    game = view.consortium.game
    aside(f"Every gamma is solved with the method {method}, at the slider's rho and deadline.")
    if game.size >= ASK_FROM:
        st.write(
            f"The search solves {game.size:,} organizations some hundred times, "
            f"each like the solution now: {view.solution.runtime_seconds:.3g} s."
        )
        # Asked for once, not again for other terms.
        if st.button("Search") or st.session_state.get("_searched") == (view.key_but_gamma, method):
            st.session_state["_searched"] = (view.key_but_gamma, method)
        else:
            return
    try:
        tuning = state.tuned(view.key_but_gamma, method, view.consortium)
    except ValueError as error:
        st.warning(plain(f"The method {method} cannot do this: {error}"))
        return
    if game.currency is not None:
        aside(f"Welfare in units of payoff: {game.payoff_unit:,.12g} {game.currency} each.")
    curve = frames.gamma_curve(tuning)
    best = tuning.best
    # The solution's own gamma may be another: some methods pay no redistribution.
    linear = game.rule.uses_gamma
    marks = [("gamma now", game.incentive_intensity)] if linear else []
    if best is not None:
        marks.append(("gamma*, the best", best.game.incentive_intensity))
        st.button(
            "Set gamma to gamma*",
            on_click=sidebar.use_gamma,
            args=(best.game.incentive_intensity,),
        )
    shown = pd.DataFrame([mark for mark in marks if mark[1] > 0.0], columns=["mark", "gamma"])
    live = {}
    if len(curve):
        live["gamma-curve"] = (
            charts.gamma_curve(curve, shown, negative=NEGATIVE),
            "Social welfare against gamma. "
            + "; ".join(f"{name}: {gamma:.4g}" for name, gamma in marks),
        )
    show_section(gamma_section(tuning, view.solution), live, heading=False)
    offer(
        "Curve, CSV",
        csv_of(pd.DataFrame([vars(point) for point in tuning.curve]), "gamma.csv"),
        key="csv-gamma",
    )


if __name__ == "__main__":
    page()
