"""The sidebar: the method, and the sliders of gamma, of rho and of the deadline."""

from __future__ import annotations

import math

import streamlit as st

from tradefl.consortium import Consortium
from tradefl.dashboard import settings, state
from tradefl.dashboard.editing import Terms, largest_intensity
from tradefl.dashboard.parts import aside, plain
from tradefl.solvers import DEFAULT_METHOD, METHODS
from tradefl.tuning import saturation

GAMMA, RHO, DEADLINE, METHOD = "gamma", "rho_scale", "deadline", "method"
EXTRA_GAMMA, FOLLOWED = "_extra_gamma", "_followed_terms"
STEPS_A_DECADE, DECADES = 10, 3
RHO_STEP, RHO_TOP = 0.05, 3.0
STEPS_A_DOUBLING, DOUBLINGS = 8, 3


def choices() -> state.Choices:
    """Draw the sidebar and return what was chosen."""
    consortium = state.original()
    terms = Terms.of(consortium)
    st.session_state.setdefault(METHOD, DEFAULT_METHOD)
    _follow(consortium, terms)
    with st.sidebar:
        st.header(plain(consortium.name))
        aside(settings.current().file.name)
        method = st.selectbox("Method", METHODS, key=METHOD)
        gamma = terms.gamma
        if consortium.game.rule.uses_gamma:
            gamma = st.select_slider(
                "Incentive intensity gamma, payoff per bit",
                gammas(consortium, st.session_state.get(EXTRA_GAMMA)),
                key=GAMMA,
                format_func=lambda value: f"{value:.4g}",
            )
        else:
            aside(
                f"The {consortium.game.rule.name} rule is in force. It does not use gamma: "
                "payments follow from the schedules in the file."
            )
        rho = st.slider(
            "Competition, times the file's rho", 0.0, top_of_rho(consortium), key=RHO, step=RHO_STEP
        )
        deadline = st.select_slider(
            "Deadline tau, seconds",
            deadlines(consortium),
            key=DEADLINE,
            format_func=lambda value: f"{value:,.6g}",
        )
        if consortium.competition.rescale:
            aside(
                "The file asks to rescale rho where it is too strong: from there on the "
                "slider of rho changes nothing."
            )
        st.button("Back to the file's terms", on_click=reset)
    return state.Choices(method, Terms(float(gamma), float(rho), float(deadline)))


def _follow(consortium: Consortium, terms: Terms) -> None:
    """Set the sliders that show the file's terms, or whose value is no longer in range.

    Those of the file may have changed; sliders that were moved stay.
    """
    before: Terms = st.session_state.get(FOLLOWED, terms)
    extra = st.session_state.get(EXTRA_GAMMA)
    for key, own, earlier, places in (
        (GAMMA, terms.gamma, before.gamma, gammas(consortium, extra)),
        (DEADLINE, terms.deadline, before.deadline, deadlines(consortium)),
    ):
        if st.session_state.get(key, earlier) == earlier or st.session_state[key] not in places:
            st.session_state[key] = own
    if not 0.0 <= st.session_state.setdefault(RHO, 1.0) <= top_of_rho(consortium):
        st.session_state[RHO] = 1.0
    st.session_state[FOLLOWED] = terms


def reset() -> None:
    """Set the sliders to the file's terms."""
    terms = Terms.of(state.original())
    st.session_state.update({GAMMA: terms.gamma, RHO: 1.0, DEADLINE: terms.deadline})


def use_gamma(gamma: float) -> None:
    """Set the slider of gamma to a value of your own."""
    st.session_state[EXTRA_GAMMA] = gamma
    st.session_state[GAMMA] = gamma


def gammas(consortium: Consortium, extra: float | None = None) -> list[float]:
    """Return the places of gamma's slider: 0, and three decades to each side of the file's."""
    own = consortium.mechanism.incentive_intensity
    centre = own or saturation(consortium.game) / 10.0 or 1e-9
    span = STEPS_A_DECADE * DECADES
    places = {centre * 10.0 ** (k / STEPS_A_DECADE) for k in range(-span, span + 1)}
    return sorted({0.0, own, *places} | ({extra} if extra is not None else set()))


def top_of_rho(consortium: Consortium) -> float:
    """Return the end of rho's slider: no intensity may exceed 1."""
    largest = largest_intensity(consortium)
    top = RHO_TOP if largest == 0.0 else min(RHO_TOP, 1.0 / largest)
    return max(1.0, RHO_STEP * math.floor(top / RHO_STEP + 1e-9))


def deadlines(consortium: Consortium) -> list[float]:
    """Return the places of the deadline's slider: from an eighth to eight times the file's."""
    own = consortium.mechanism.deadline_seconds
    span = STEPS_A_DOUBLING * DOUBLINGS
    return [own * 2.0 ** (k / STEPS_A_DOUBLING) for k in range(-span, span + 1)]
