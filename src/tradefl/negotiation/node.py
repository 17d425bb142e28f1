"""One organization's autonomous agent: it joins, negotiates, submits its contribution, and ends.

The private figures stay in this process. Stopped or killed, the same call goes on from where the
chain stands.
"""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tradefl.errors import InputError, Parameter
from tradefl.negotiation.agent import OrganizationAgent, Outlook
from tradefl.negotiation.knowledge import known_game, load_private
from tradefl.negotiation.on_chain import ChainBoard
from tradefl.settlement.accounts import keystore_accounts, open_keystore, password_from
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.chains import (
    BehindError,
    FeeCaps,
    Journal,
    NoAnswerError,
    RefusedError,
    RpcChain,
    StateChangedError,
)
from tradefl.settlement.commitment import first_deposits
from tradefl.settlement.contract import Phase
from tradefl.settlement.ethereum import parsed_address
from tradefl.settlement.session import agreed_on, established, pinned
from tradefl.settlement.settle import CLOSING_SECONDS, Settlement
from tradefl.settlement.state import read_phase

T = TypeVar("T")
Sign = Callable[[Sequence[tuple[str, str]]], None]

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 1.0  # then an outage is reported; the agent goes on asking
REFUSAL_SECONDS = 60.0  # of nothing but refusals or gaps, until they are taken for the last word


@dataclasses.dataclass(frozen=True)
class Node:
    """An agent on a chain, with its organization's key alone.

    Attributes
    ----------
    agent
        The agent.
    settlement
        The settlement of its agreement.
    account
        Its account.
    """

    agent: OrganizationAgent
    settlement: Settlement
    account: str

    @property
    def name(self) -> str:
        """The organization's name."""
        return self.agent.name

    def negotiate(self, watch: Watcher) -> bool:
        """Step until the contribution is submitted.

        Returns whether there was a negotiation: not if somebody failed to join in time.
        """
        agent, settlement, account = self.agent, self.settlement, self.account
        nudged = [time.monotonic()]

        def step() -> bool | None:
            phase = read_phase(settlement.chain, settlement.contract)
            if phase in (Phase.DRAFTING, Phase.JOINING, Phase.CANCELLED):
                # What nobody has published yet, the deposit; too late, the way back.
                phase = settlement.run(operator=account).phase
                if phase == Phase.JOINING and time.monotonic() - nudged[0] > CLOSING_SECONDS:
                    settlement.nudge(account)
                    nudged[0] = time.monotonic()
            if phase == Phase.CANCELLED:
                return False
            outlook = agent.step()
            watch.look(agent, outlook)
            return True if outlook.done else None

        return _patiently(step, agent.name, watch)


def joined(
    file: Path,
    rpc: str | Sequence[str],
    *,
    keystore: Path | None,
    watch: Watcher,
    agreement: str | None = None,
    contract: str | None = None,
    password_file: Path | None = None,
    prompt: Callable[[], str],
    chain_id: int | None = None,
    max_deposit: int | None = None,
    caps: FeeCaps | None = None,
    state: Path | None = None,
    first_block: int = 0,
    sign: Sign = lambda _facts: None,
) -> Node:
    """Return the node of an organization, once its agreement is published and it may deposit.

    Parameters
    ----------
    file
        The organization's private file.
    rpc
        A node of the chain, or several that must give the same answers.
    keystore, password_file, prompt
        The folder with the organization's key; its password from a file, else the environment,
        else this function.
    watch
        The state of the agent.
    agreement
        The consortium file, an agreement document or its hash; default: what the private file
        names. The agent deposits for this agreement and no other.
    contract
        The settlement's address, where it is known.
    chain_id, max_deposit, caps, state, first_block, sign
        As in :func:`tradefl.settlement.settling.settle`.

    Raises
    ------
    InputError
        A parameter is missing or wrong, the key is not there, or the agreement is another.
    """
    private = load_private(file)
    source = private.agreement_from(file.parent) if agreement is None else agreement
    if source is None:
        raise InputError.at(
            Parameter("agreement"),
            "is needed: the consortium file, an agreement document or its hash. The agent deposits "
            f"for that agreement only; {file} may name it, too (agreement = ...)",
        )
    if contract is not None:
        contract = parsed_address(Parameter("contract"), contract)
    journal = Journal.open(state)
    chain = RpcChain(rpc, patience=PATIENCE_SECONDS, caps=caps, journal=journal)
    if chain_id is not None and chain.chain_id != chain_id:
        raise InputError.at(chain.place, f"is chain {chain.chain_id}, expected {chain_id}")
    pin = pinned(source, chain.chain_id)

    def published() -> Agreement | None:
        found = agreed_on(chain, pin, contract, first_block)
        if found is None:
            watch.show(f"{contract} has not published its agreement yet")
        return found

    agreed = _patiently(published, private.organization, watch)
    known_game(agreed, private, file)  # before a key is opened
    me = agreed.names.index(private.organization)
    account = agreed.addresses[me]
    if keystore is None:
        raise InputError.at(
            Parameter("keystore"), "is needed: an agent acts on a chain, with its key"
        )
    files = keystore_accounts(keystore)
    if account not in files:
        what = f"holds no key of {private.organization}'s account {account}"
        raise InputError.at(keystore, what)
    word = password_from(password_file, prompt)
    chain.signers = {
        signer.address: signer for signer in open_keystore({account: files[account]}, lambda: word)
    }
    # A mistake of the user's ends the command; a node that does not answer is asked again.

    def committed() -> bool:
        facts = first_deposits(chain, agreed, [account], max_deposit, pin.money)
        if facts:
            sign(facts)
        return True

    _patiently(committed, private.organization, watch)
    where = _patiently(
        lambda: established(chain, agreed, account, [account]), private.organization, watch
    )
    board = ChainBoard(chain, where, agreed, me, first_block)
    agent = OrganizationAgent(agreed, private, board, place=file)
    return Node(agent, Settlement(chain, agreed, where, {}, None, first_block), account)


def _patiently(step: Callable[[], T | None], who: str, watch: Watcher) -> T:
    """Step until there is a result; a node that does not answer is asked again.

    Raises
    ------
    ChainError
        The node has refused for a minute whatever it was asked, or has lacked it, or answers what
        no node would.
    """
    refused_since = 0.0
    while True:
        try:
            result = step()
        except (RefusedError, BehindError) as error:
            # Nodes behind a load balancer refuse, or lack, what they will have in a moment.
            refused_since = refused_since or time.monotonic()
            if time.monotonic() - refused_since > REFUSAL_SECONDS:
                raise
            watch.trouble(who, str(error))
        except NoAnswerError as error:
            watch.trouble(who, str(error))
        except StateChangedError:
            pass  # read again
        else:
            refused_since = 0.0
            if result is not None:
                return result
        time.sleep(POLL_SECONDS)


class Watcher:
    """Shows the state of an agent, and keeps a log of its changes.

    Parameters
    ----------
    show
        Called with the present line.
    tell
        Called with a line that says something new.
    log
        The file that a JSON line is appended to for everything that changes; it is private.
    """

    def __init__(
        self,
        show: Callable[[str], None] = lambda _line: None,
        tell: Callable[[str], None] = lambda _line: None,
        log: Path | None = None,
    ) -> None:
        self.show, self.tell, self.log = show, tell, log
        self._last: dict[str, Any] = {}

    def look(self, agent: OrganizationAgent, outlook: Outlook) -> None:
        """Show an outlook; log it if it says anything new."""
        standing, report = outlook.standing, outlook.report
        entry: dict[str, Any] = {"event": "waiting", "organization": agent.name}
        text = "waiting until everybody has joined"
        if standing is not None and report is not None:
            whose = "over" if standing.over else agent.agreement.names[standing.whose]
            entry |= {
                "event": "done" if outlook.done else "standing",
                "round": standing.round,
                "turn": standing.turn,
                "whose": whose,
                "data_ppb": report.data_ppb,
                "cpu_hz": report.cpu_hz,
                "payoff": outlook.payoff,
                "potential_gain": outlook.gain,
            }
            turn = "over" if standing.over else f"turn of {whose}"
            text = (
                f"round {standing.round}, {turn}: d = {report.data_ppb / 1e9:.6f}, "
                f"f = {report.cpu_hz / 1e9:g} GHz, payoff {outlook.payoff:,.3f}, "
                f"last move +{outlook.gain:.3g} potential"
            )
        self._tell(entry, f"{agent.name}: {text}")

    def trouble(self, who: str, what: str) -> None:
        """Show and log what keeps an agent from going on."""
        entry = {"event": "trouble", "organization": who, "what": what}
        self._tell(entry, f"{who}: {what}; trying again")

    def _tell(self, entry: dict[str, Any], text: str) -> None:
        self.show(text)
        if entry == self._last:
            return
        self._last = entry
        if self.log is not None:
            line = json.dumps({"seconds": time.time(), **entry}) + "\n"
            with os.fdopen(_private_log(self.log), "w", encoding="utf-8") as stream:
                stream.write(line)
        self.tell(text)


def _private_log(path: Path) -> int:
    """Open a log to append to, without waiting for a reader as a pipe would; it is private.

    Raises
    ------
    InputError
        It is not a regular file.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0)
    try:
        opened = os.open(path, flags, 0o600)
    except OSError as error:
        what = f"the log cannot be written: {error.strerror}; name a regular file"
        raise InputError.at(path, what) from None
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise InputError.at(path, "the log is not a regular file; name one")
    if hasattr(os, "fchmod"):
        os.fchmod(opened, 0o600)  # one that was there before, too: it holds the payoff
    return opened
