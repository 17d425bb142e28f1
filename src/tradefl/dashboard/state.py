"""What a session of the console knows, and what is computed once for all sessions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from tradefl.comparison import compare
from tradefl.consortium import Consortium
from tradefl.consortium.writing import fingerprint
from tradefl.dashboard import settings, watching
from tradefl.dashboard.editing import Terms, adjusted, table_of
from tradefl.dashboard.watching import FileState
from tradefl.errors import InputError, Problem
from tradefl.outcomes import Comparison
from tradefl.report.frames import chosen
from tradefl.solvers import Solution, Trace, solve
from tradefl.stability.verdict import Stability, stability_of
from tradefl.tuning import Tuning, tune

ENTRIES = 256  # solutions kept: a slider that goes back is answered at once
MOVES_DRAWN = 200
STABILITY_SECONDS = 10.0
# From so many organizations on the proof of stability may take longer than a person wants to wait
# without having asked.
ASK_FROM = 30

# The keys of the session that are no widgets.
TABLE, TABLE_PROBLEMS, EDITED, VIEW = "_table", "_table_problems", "_edited", "_view"
EDITOR_INPUT, EDITORS = "_editor_input", "_editor_returns"
SHOWN, SEEN = "_shown", "_seen"


@dataclasses.dataclass(frozen=True)
class Choices:
    """The content of the sidebar."""

    method: str
    terms: Terms


@dataclasses.dataclass(frozen=True)
class View:
    """What all pages show.

    Attributes
    ----------
    consortium
        Under the terms of the sliders.
    key
        A word for it: equal consortia have the same, different ones do not.
    key_but_gamma
        The same, whatever gamma is.
    solution
        By the chosen method.
    problems
        Why the last choices could not be followed: what is shown is older.
    """

    consortium: Consortium
    key: str
    key_but_gamma: str
    solution: Solution
    problems: tuple[str, ...] = ()

    @property
    def shown(self) -> Solution:
        """The solution with amounts in the file's currency, where it names one."""
        return self.solution.in_currency()


@dataclasses.dataclass(frozen=True)
class Notice:
    """What the reader should know of the file.

    Attributes
    ----------
    problems
        Why it is not valid; what is shown is its last valid content.
    waits
        It has new content, which waits because the table was edited.
    taken
        It had new content at the beginning of this run, which is shown now.
    """

    problems: tuple[str, ...] = ()
    waits: bool = False
    taken: bool = False


def refresh() -> Notice:
    """Look at the file, once at the beginning of each run, and take its content if it is new.

    Content that is not valid is not taken, and none while the table has edits: they would be lost.
    """
    file = settings.current().file
    now = watching.read(file)
    st.session_state[SEEN] = now.fingerprint
    shown: FileState | None = st.session_state.get(SHOWN)
    if shown is None:
        shown = now if now.consortium is not None else watching.last_valid(file)
        if shown is None:
            return Notice(now.problems)
        st.session_state[SHOWN] = shown
    if now.consortium is None:
        return Notice(now.problems)
    if now.fingerprint == shown.fingerprint:
        return Notice()
    if now.consortium == shown.consortium or not (EDITED in st.session_state or table_problems()):
        taken = now.consortium != shown.consortium
        st.session_state[SHOWN] = now
        if taken:
            forget_edits()
        return Notice(taken=taken)
    return Notice(waits=True)


def has_original() -> bool:
    """Tell whether there is anything to show: not if the file was never valid."""
    return SHOWN in st.session_state


def has_changed() -> bool:
    """Tell whether the file has changed since this session looked."""
    return watching.fingerprint(settings.current().file) != st.session_state.get(SEEN)


def original() -> Consortium:
    """Return the consortium of the file: its last valid content that this session has taken."""
    shown: FileState = st.session_state[SHOWN]
    assert shown.consortium is not None  # noqa: S101  others are not taken
    return shown.consortium


def base() -> Consortium:
    """Return the consortium of the last valid table, under the terms of the file."""
    found: Consortium = st.session_state.get(EDITED) or original()
    return found


def table() -> pd.DataFrame:
    """Return the present table, with its errors."""
    if TABLE not in st.session_state:
        st.session_state[TABLE] = table_of(original())
    found: pd.DataFrame = st.session_state[TABLE]
    return found


def table_problems() -> tuple[Problem, ...]:
    """Return what is wrong with the table."""
    found: tuple[Problem, ...] = st.session_state.get(TABLE_PROBLEMS, ())
    return found


def keep_table(
    edited_table: pd.DataFrame, found: Consortium | None, problems: Sequence[Problem]
) -> None:
    """Keep a table, and the consortium that it makes; with problems the last one stays."""
    st.session_state[TABLE] = edited_table
    st.session_state[TABLE_PROBLEMS] = tuple(problems)
    if found is not None:
        st.session_state[EDITED] = found


def forget_edits() -> None:
    """Go back to the file."""
    for key in (TABLE, TABLE_PROBLEMS, EDITED, EDITOR_INPUT):
        st.session_state.pop(key, None)
    # The browser keeps the changes to an editor, and would apply them to the file's table again:
    # it gets a new editor.
    st.session_state[EDITORS] = st.session_state.get(EDITORS, 0) + 1


def solve_now(choices: Choices) -> View:
    """Return what the choices make; if they make nothing, the last that did, and why."""
    last: View | None = st.session_state.get(VIEW)
    try:
        view = _view(choices)
    except InputError as error:
        problems = tuple(error.lines())
    except ValueError as error:  # the method cannot serve this consortium
        problems = (f"{choices.method}: {error}",)
    else:
        st.session_state[VIEW] = view
        return view
    if last is None:
        last = _view(Choices("dbr", Terms.of(original())))
    return dataclasses.replace(last, problems=problems)


def _view(choices: Choices) -> View:
    terms, at = choices.terms, _key_of_base()
    now = _adjusted(at, terms, base())
    key = f"{at} {terms}"
    any_gamma = f"{at} {dataclasses.replace(terms, gamma=0.0)}"
    return View(now, key, any_gamma, solved(key, choices.method, now))


def _key_of_base() -> str:
    """Return the key of the base, computed when it changes and not at every move of a slider."""
    known: tuple[Consortium, str] | None = st.session_state.get("_key_of_base")
    if known is None or known[0] is not base():
        known = (base(), fingerprint(base()))
        st.session_state["_key_of_base"] = known
    return known[1]


@st.cache_resource(show_spinner=False, max_entries=16)
def _adjusted(key: str, terms: Terms, _consortium: Consortium) -> Consortium:  # noqa: ARG001
    found = adjusted(_consortium, terms)
    assert found.game is not None  # noqa: S101  raises what only the game can find
    return found


def view() -> View:
    """Return what was solved for this run of the page."""
    found: View = st.session_state[VIEW]
    return found


@st.cache_data(show_spinner="Solving", max_entries=ENTRIES)
def solved(key: str, method: str, _consortium: Consortium) -> Solution:  # noqa: ARG001
    """Return the solution of a consortium by a method; ``key`` is the consortium's."""
    return solve(_consortium.game, method)


@st.cache_data(show_spinner="Looking for the best gamma", max_entries=16)
def tuned(key: str, method: str, _consortium: Consortium) -> Tuning:  # noqa: ARG001
    """Return the curve of welfare over gamma, and gamma*; the consortium's own does not matter."""
    return tune(_consortium.game, method=method)


@st.cache_data(show_spinner="Comparing the rules", max_entries=16)
def compared(key: str, _consortium: Consortium) -> Comparison:  # noqa: ARG001
    """Return the rules side by side; the efficient one is the file's, or designed here."""
    return compare(_consortium.game, rule=_consortium.efficient_rule)


@st.cache_data(show_spinner="Looking for coalitions", max_entries=16)
def stays(key: str, method: str, _solution: Solution) -> Stability:  # noqa: ARG001
    """Return whether a coalition could do better on its own than now."""
    return stability_of(_solution, time_limit=STABILITY_SECONDS)


@dataclasses.dataclass(frozen=True)
class Moves:
    """Best-response dynamics, move by move.

    ``potential`` has the columns ``move`` and ``potential``; ``payoffs`` has ``move``,
    ``organization`` and ``payoff``. ``said`` holds a sentence for each move that is drawn, and
    ``drawn`` its number: of many moves some are left out.
    """

    potential: pd.DataFrame
    payoffs: pd.DataFrame
    said: dict[int, str]
    drawn: tuple[int, ...]


@st.cache_data(show_spinner="Playing the moves", max_entries=32)
def moves(key: str, _consortium: Consortium) -> Moves:
    """Return the moves of DBR, each with the potential and the payoffs after it."""
    solution = solved(key, "dbr", _consortium)
    trace, game = solution.trace, solution.game
    if not isinstance(trace, Trace):
        empty = pd.DataFrame()
        return Moves(empty, empty, {}, ())
    steps = np.linspace(0, len(trace), min(len(trace), MOVES_DRAWN) + 1)
    drawn = sorted({int(step) for step in steps})
    who = chosen(solution)
    rows: list[dict[str, Any]] = []
    wanted = set(drawn)
    from tradefl.game import payoffs

    for k, profile in enumerate(trace.profiles()):
        if k in wanted:
            amounts = payoffs(game, profile).payoff
            rows += [
                {"move": k, "organization": game.name_of(i), "payoff": float(amounts[i])}
                for i in who
            ]
    said = {0: "Before the first move: everybody at the least data and its fastest level."}
    for k in drawn[1:]:
        i = int(trace.organization[k - 1])
        said[k] = (
            f"Move {k:,} of {len(trace):,}: {game.name_of(i)} moves to "
            f"d = {trace.data_fraction[k - 1]:.4f}, f = {trace.cpu_hz[k - 1] / 1e9:.4g} GHz; "
            f"the potential rises to {trace.potential[k]:.10g}."
        )
    potential = pd.DataFrame({"move": drawn, "potential": trace.potential[drawn]})
    return Moves(
        potential.assign(scheme="DBR"),
        pd.DataFrame(rows, columns=["move", "organization", "payoff"]),
        said,
        tuple(drawn),
    )
