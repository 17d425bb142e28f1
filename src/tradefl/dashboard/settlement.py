"""The page Settlement: carried out on a chain in this process, or read off any chain.

Reading needs no key, so none is asked for: what needs one is the command line's.
"""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from tradefl.consortium import Consortium
from tradefl.consortium.schema import shown
from tradefl.dashboard import state
from tradefl.dashboard.parts import (
    csv_of,
    offer,
    plain,
    safe,
    show_facts,
    show_problems,
    show_section,
)
from tradefl.documents.settlement import SettlementDocument
from tradefl.errors import InputError
from tradefl.foreign import hidden_secrets
from tradefl.report.records import settlement_section
from tradefl.solvers import Solution

if TYPE_CHECKING:
    from tradefl.settlement.agreement import Agreement
    from tradefl.settlement.audit import Audit
    from tradefl.settlement.contract import Event
    from tradefl.settlement.state import State

# On the embedded chain more organizations take minutes.
EMBEDDED_UP_TO = 50
TIMEOUT = 20.0
READ = "_read_off"
SETTLED = "_settled"


def page() -> None:
    """Draw the page."""
    st.title("Settlement")
    here, chain = st.tabs(["Try it here", "Read a chain"])
    with here:
        _embedded()
    with chain:
        _browser()


# --- in this process -----------------------------------------------------------------------------


def _embedded() -> None:
    view = state.view()
    st.write(
        "All steps of the settlement, on a chain that lives in this process and under stand-in "
        "accounts: the agreement is published, everybody deposits, reports and is paid, and the "
        "result is audited. Nothing leaves this machine."
    )
    if len(view.consortium) > EMBEDDED_UP_TO:
        st.write(
            f"For more than {EMBEDDED_UP_TO} organizations this takes minutes: use "
            "tradefl settle FILE."
        )
        return
    if view.solution.status in ("iteration_limit", "infeasible"):
        st.write("These contributions cannot be settled: choose another method.")
        return
    asked = st.button("Settle these contributions")
    known = st.session_state.get(SETTLED)
    wanted = (view.key, view.solution.method)
    if asked:
        try:
            with st.spinner("Settling"):
                known = (wanted, settled(view.consortium, view.solution))
        except InputError as error:
            show_problems(error.lines(), "This cannot be settled.")
            return
        st.session_state[SETTLED] = known
    if known is None:
        return
    if known[0] != wanted:
        st.write("The terms have changed since the last settlement; settle again.")
        return
    document: SettlementDocument = known[1]
    show_section(settlement_section(document, view.consortium, view.solution), heading=False)


def settled(consortium: Consortium, solution: Solution) -> SettlementDocument:
    """Return the document of a settlement that was carried out and audited just now.

    Raises
    ------
    InputError
        A figure does not fit the contract's integers.
    """
    from tradefl.settlement.ethereum import settlement_extra

    with settlement_extra("settling"):
        from tradefl.settlement.settling import settle

    return settle(consortium, solution).document


# --- on any chain --------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class OnChain:
    """What a settlement's contract holds and has reported.

    ``agreement`` is ``None`` while its parts are not all published, ``state`` then too.
    """

    place: str
    verdict: Audit
    agreement: Agreement | None
    state: State | None
    events: tuple[Event, ...]


def _browser() -> None:
    st.write(
        "Any settlement on any chain, by the address of its contract. It is recomputed from the "
        "chain's events and compared to the wei. No key is needed, and none is asked for."
    )
    with st.form("chain", enter_to_submit=True):
        url = st.text_input("Node, JSON-RPC", placeholder="http://127.0.0.1:8545")
        contract = st.text_input("Contract", placeholder="0x...")
        first = st.number_input("First block to search", min_value=0, step=1)
        compare = st.checkbox("Compare with the consortium of this console", value=True)
        asked = st.form_submit_button("Read")
    if asked:
        st.session_state.pop(READ, None)
        try:
            with st.spinner("Reading the chain"):
                found = read_off(
                    url.strip(),
                    contract.strip(),
                    int(first),
                    state.view().consortium if compare else None,
                )
        except InputError as error:
            hidden = [hidden_secrets(line, url.strip()) for line in error.lines()]
            show_problems(hidden, "This cannot be read.")
            return
        st.session_state[READ] = found
    known: OnChain | None = st.session_state.get(READ)
    if known is not None:
        _shown(known)


def read_off(url: str, contract: str, first_block: int, consortium: Consortium | None) -> OnChain:
    """Return the state of a settlement, its events, and whether it agrees.

    Raises
    ------
    InputError
        The address is invalid, the node does not answer, or the contract is not a TradeFL
        settlement.
    """
    from tradefl.settlement.ethereum import settlement_extra

    with settlement_extra("reading a chain"):
        from tradefl.settlement.audit import audit
        from tradefl.settlement.chains import RpcChain
        from tradefl.settlement.ethereum import parsed_address
        from tradefl.settlement.published import drafted
        from tradefl.settlement.state import read_state

    if not url.startswith(("http://", "https://")):
        # No IPC path: who sees the page could ask for any file of this machine.
        raise InputError.at("Node", "expected http://... or https://...")
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", contract):
        what = f"expected 0x and 40 hexadecimal digits, got {shown(contract)}"
        raise InputError.at("Contract", what)
    address = parsed_address("Contract", contract)
    chain = RpcChain(url, timeout=TIMEOUT)
    verdict = audit(chain, address, consortium, first_block)
    event, _ = drafted(chain, address, first_block)
    events = chain.events(address, event.block)
    agreement = verdict.agreement
    now = None if agreement is None else read_state(chain, address, len(agreement))
    return OnChain(hidden_secrets(chain.place, url), verdict, agreement, now, tuple(events))


def _shown(found: OnChain) -> None:
    verdict = found.verdict
    say = st.success if verdict.agrees else st.error
    say(plain(f"Audit: {verdict.sentence}"))
    if verdict.differences:
        st.markdown("\n".join(f"- {plain(str(difference))}" for difference in verdict.differences))
    for text in verdict.notes:
        st.info(plain(text))
    show_facts(
        [
            ("Phase", verdict.phase.name.lower(), "", _phases(verdict.phase.name.lower())),
            ("Chain id", str(verdict.chain_id), "", found.place),
            ("Events", f"{len(found.events):,}", "", "of this contract"),
        ]
    )
    if found.agreement is not None and found.state is not None:
        st.text(f"contract {verdict.contract}\nagreement {found.agreement.hash}")
        st.subheader("Deadlines")
        st.table(_deadlines(found.state))
        st.subheader("Organizations")
        frame = safe(_organizations(found.agreement, found.state, verdict))
        st.dataframe(frame, hide_index=True)
        offer("Organizations, CSV", csv_of(frame, "settlement.csv"), key="csv-settlement")
    st.subheader("Events")
    events = safe(event_table(found.events, found.agreement))
    st.dataframe(events, hide_index=True)
    offer("Events, CSV", csv_of(events, "events.csv"), key="csv-events")


def _phases(now: str) -> str:
    from tradefl.settlement.contract import Phase

    names = [phase.name.lower() for phase in Phase if phase != Phase.CANCELLED]
    return (
        now if now not in names else f"{names.index(now) + 1} of {len(names)}: " + " > ".join(names)
    )


def _deadlines(now: State) -> pd.DataFrame:
    rows = [
        ("join", now.join_deadline),
        ("report", now.report_deadline),
        ("dispute", now.dispute_deadline),
        ("ruling", now.ruling_deadline),
    ]
    return pd.DataFrame(
        [(name, _time(at), _left(at, now.now)) for name, at in rows],
        columns=["until", "time", "state"],
    ).set_index("until")


def _time(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%F %T} UTC" if at else "not set yet"


def _left(at: int, now: int) -> str:
    if not at:
        return ""
    return "over" if now > at else f"in {at - now:,} s by the chain's clock"


def _organizations(agreement: Agreement, now: State, verdict: Audit) -> pd.DataFrame:
    # Amounts of wei have more digits than a float: they stay text.
    due = verdict.redistribution or (0,) * len(agreement)
    return pd.DataFrame(
        [
            {
                "organization": name,
                "account": place.account,
                "bond (wei)": f"{place.bond:,}",
                "deposit (wei)": f"{place.deposit:,}",
                "reported d": place.report.data_ppb / 1e9 if place.reported else None,
                "reported f (Hz)": f"{place.report.cpu_hz:,}" if place.reported else "",
                "disputed": place.disputed,
                "redistribution, recomputed (wei)": f"{wei:,}",
                "withdrawn": place.withdrawn,
            }
            for name, place, wei in zip(agreement.names, now.places, due, strict=True)
        ]
    )


def event_table(events: tuple[Event, ...], agreement: Agreement | None) -> pd.DataFrame:
    """Return the events, a row each; accounts of the agreement by the organization's name."""
    names: dict[Any, str] = {}
    if agreement is not None:
        names = dict(zip(agreement.addresses, agreement.names, strict=True))
    return pd.DataFrame(
        [
            {
                "block": event.block,
                "event": event.name,
                "arguments": ", ".join(
                    f"{key} = {_argument(value, names)}"
                    for key, value in event.arguments.items()
                    if key != "address"
                ),
                "transaction": event.transaction,
            }
            for event in events
        ],
        columns=["block", "event", "arguments", "transaction"],
    )


def _argument(value: Any, names: dict[Any, str]) -> str:
    if isinstance(value, bytes):
        text = value.hex()
        return f"0x{text[:16]}..." if len(text) > 64 else f"0x{text}"
    if isinstance(value, bool | str):
        return names.get(value, str(value))
    if isinstance(value, int):
        return f"{value:,}"
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."


if __name__ == "__main__":
    page()
