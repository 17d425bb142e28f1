"""What if somebody leaves or joins? The question below the board's page, answered by replan."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from tradefl.consortium import Consortium
from tradefl.dashboard import state
from tradefl.dashboard.editing import ROW, edited, table_of
from tradefl.dashboard.parts import aside, csv_of, offer, plain, safe
from tradefl.errors import InputError
from tradefl.game.money import unit_name
from tradefl.replan import Replan, replan
from tradefl.report.blocks import amounts, digits_of

NOBODY = "nobody"
NEW = "New partner"


def changed(consortium: Consortium, leaving: Sequence[str], like: str | None) -> Consortium:
    """Return a consortium without those who leave, and with one that has the figures of another.

    The one that joins competes as the file says of pairs that it does not list.

    Raises
    ------
    InputError
        What is left is not a consortium.
    """
    # The rule of the file is that of its present members.
    plain_one = dataclasses.replace(consortium, compensation=None)
    table = table_of(plain_one)
    kept = table[~table["name"].isin(list(leaving))]
    if like is not None:
        joining = table[table["name"] == like].copy()
        name = NEW
        while name in consortium.names:
            name += " too"
        joining[ROW], joining["name"], joining["address"] = pd.NA, name, None
        kept = pd.concat([kept, joining], ignore_index=True)
    return edited(plain_one, kept.reset_index(drop=True))


@st.cache_data(show_spinner="Working out the change", max_entries=16)
def replanned(
    key: str,  # noqa: ARG001
    leaving: tuple[str, ...],
    like: str | None,
    _consortium: Consortium,
) -> Replan:
    """Return what a change does; ``key`` is the consortium's."""
    return replan(_consortium, changed(_consortium, leaving, like), random_starts=0)


def what_if(view: state.View) -> None:
    """Draw the question and, once something is chosen, the answer."""
    names = list(view.consortium.names)
    st.subheader("What if somebody leaves or joins?")
    first, second = st.columns(2)
    with first:
        leaving = tuple(
            st.multiselect("Who leaves?", names, format_func=plain, key="what-if-leave")
        )
    with second:
        like = st.selectbox(
            "Who joins? One with the figures of",
            [NOBODY, *(name for name in names if name != NOBODY)],
            format_func=plain,
            key="what-if-join",
        )
    who = None if like == NOBODY else like
    if not leaving and who is None:
        aside("Choose, and all is worked out again for the consortium as it would be.")
        return
    try:
        found = replanned(view.key, leaving, who, view.consortium)
    except (InputError, ValueError) as error:
        st.warning(plain(str(error)))
        return
    _answer(found)


def _answer(found: Replan) -> None:
    found = found.in_currency()
    code = unit_name(found.designed.agreed.game)
    columns = {
        "payoff before": [change.before for change in found.changes],
        "payoff after": [change.after for change in found.changes],
        "gain": [change.after - change.before for change in found.changes],
        "to be paid, to agree": [change.to_agree for change in found.changes],
    }
    digits = digits_of([*columns["payoff before"], *columns["payoff after"]])
    table = pd.DataFrame(
        {
            "organization": [change.name for change in found.changes],
            "what": [change.kind for change in found.changes],
        }
        | {name: amounts(column, digits) for name, column in columns.items()}
    )
    to_pay, surplus = amounts([found.to_pay, found.surplus], digits)
    if found.to_pay == 0.0:
        words = "Nobody that stays would be worse off."
    elif found.affordable:
        words = (
            f"To agree, those that would be worse off need {to_pay} {code}; the others gain "
            f"{surplus} {code} and can pay it."
        )
    else:
        words = (
            f"To agree, those that would be worse off need {to_pay} {code}; the others gain only "
            f"{surplus} {code}."
        )
    st.markdown(plain(words))
    st.table(safe(table).map(lambda cell: plain(cell)).set_index("organization"))
    aside(
        "Before: under the rule in force; one that joins, alone. After: under the efficient rule, "
        f"{found.designed.target}; one that leaves, alone."
    )
    offer("The change, CSV", csv_of(table, "what-if-members.csv"), key="csv-what-if-members")
