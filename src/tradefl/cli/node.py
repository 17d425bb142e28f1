"""``tradefl node``: one organization's autonomous agent."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import click

from tradefl.cli.acting import MaxDeposit, commit
from tradefl.cli.declaring import Option
from tradefl.cli.options import (
    ChainId,
    ContractAddress,
    FromBlock,
    Keystore,
    MaxFee,
    MaxPriorityFee,
    MaxTotalFee,
    NodesOrVariable,
    PasswordFile,
    StateFolder,
    fee_caps,
    password_prompt,
)
from tradefl.cli.output import note, require_writable, say, status, warn
from tradefl.errors import InputError

if TYPE_CHECKING:
    from tradefl.negotiation import OrganizationAgent, Outlook
    from tradefl.settlement.agreement import Agreement
    from tradefl.settlement.chains import FeeCaps
    from tradefl.settlement.settle import Settlement

T = TypeVar("T")

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 1.0  # then an outage is told; the agent goes on asking
REFUSAL_SECONDS = 60.0  # of nothing but refusals, until they are taken for the last word
INTERRUPTED = 130  # what a shell reports of a program that SIGINT ended


def node(
    organization: Annotated[
        Path,
        Option("--organization", help="The private file (TOML).", show_default=False),
    ],
    rpc: NodesOrVariable = None,
    agreement: Annotated[
        str | None,
        Option(
            "--agreement",
            help="What you agreed on: the consortium file, an agreement document (.json) or its "
            "hash; default: what the private file names.",
            show_default=False,
        ),
    ] = None,
    contract: ContractAddress = None,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    chain_id: ChainId = None,
    max_fee: MaxFee = None,
    max_priority_fee: MaxPriorityFee = None,
    max_total_fee: MaxTotalFee = None,
    state: StateFolder = None,
    max_deposit: MaxDeposit = None,
    log: Annotated[
        Path | None,
        Option("--log", help="Append a JSON line for everything that changes. Private."),
    ] = None,
    from_block: FromBlock = 0,
) -> None:
    """Negotiate for one organization until it is over; its private figures stay here.

    It deposits the bond of the agreement that you name, and of no other; it answers with its best
    response in its turns, and submits its contribution. Stopped or killed, the same command goes
    on from where the chain stands.

    Example: tradefl node --organization alpha.toml --agreement consortium.toml
    --rpc http://127.0.0.1:8545 --keystore alpha
    """
    if log is not None:
        require_writable(log)
    for option, value in (("--rpc", rpc), ("--keystore", keystore)):
        if not value:
            raise InputError.at(option, "is needed: an agent acts on a chain, with its key")
    who = str(organization)
    try:
        with status(f"joining for {organization}") as show:
            agent, settlement, account = _joined(
                organization,
                rpc or (),
                agreement,
                contract,
                keystore,
                password_file,
                chain_id,
                max_deposit,
                fee_caps(max_fee, max_priority_fee, max_total_fee),
                state,
                from_block,
                _Watcher(show, log),
            )
        who = agent.name
        with status(who) as show:
            ended = _negotiate(agent, settlement, account, _Watcher(show, log))
    except KeyboardInterrupt:
        say(f"{who}: stopped; the same command goes on from where the chain stands")
        raise click.exceptions.Exit(INTERRUPTED) from None
    if not ended:
        note(f"{who}: cancelled: not everybody joined in time; the deposit is back")
        raise click.exceptions.Exit(1)


def _joined(
    file: Path,
    rpc: Sequence[str],
    source: str | None,
    contract: str | None,
    keystore: Path | None,
    password_file: Path | None,
    chain_id: int | None,
    max_deposit: int | None,
    caps: FeeCaps,
    state: Path | None,
    first_block: int,
    watch: _Watcher,
) -> tuple[OrganizationAgent, Settlement, str]:
    """Return the agent, and the settlement with this organization's key alone."""
    from tradefl.settlement.agreement import settlement_extra

    with settlement_extra("tradefl node"):
        from tradefl.negotiation import OrganizationAgent, load_private
        from tradefl.negotiation.knowledge import known_game
        from tradefl.negotiation.on_chain import ChainBoard
        from tradefl.settlement.accounts import keystore_accounts, open_keystore, password_from
        from tradefl.settlement.agreement import parsed_address
        from tradefl.settlement.chains import Journal, RpcChain
        from tradefl.settlement.session import agreed_on, established, pinned
        from tradefl.settlement.settle import Settlement

    private = load_private(file)
    source = private.agreement if source is None else source
    if source is None:
        raise InputError.at(
            "--agreement",
            "is needed: the consortium file, an agreement document or its hash. The agent deposits "
            f"for that agreement only; {file} may name it, too (agreement = ...)",
        )
    if contract is not None:
        contract = parsed_address("--contract", contract)
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

    agreement = _patiently(published, private.organization, watch)
    known_game(agreement, private, file)  # before a key is opened
    me = agreement.names.index(private.organization)
    account = agreement.addresses[me]
    if keystore is None:
        raise InputError.at("--keystore", "is needed")
    files = keystore_accounts(keystore)
    if account not in files:
        what = f"holds no key of {private.organization}'s account {account}"
        raise InputError.at(keystore, what)
    word = password_from(password_file, lambda: password_prompt(keystore))
    chain.signers = {
        signer.address: signer for signer in open_keystore({account: files[account]}, lambda: word)
    }
    # A mistake of the user's ends the command; a node that does not answer is asked again.

    def committed() -> bool:
        commit(chain, agreement, [account], max_deposit)
        return True

    _patiently(committed, private.organization, watch)
    where = _patiently(
        lambda: established(chain, agreement, account, [account]), private.organization, watch
    )
    board = ChainBoard(chain, where, agreement, me, first_block)
    agent = OrganizationAgent(agreement, private, board, place=file)
    return agent, Settlement(chain, agreement, where, {}, None, first_block), account


def _negotiate(
    agent: OrganizationAgent, settlement: Settlement, account: str, watch: _Watcher
) -> bool:
    """Step until the contribution is submitted.

    Returns whether there was a negotiation: not if somebody failed to join in time.
    """
    from tradefl.settlement.contract import Phase
    from tradefl.settlement.settle import CLOSING_SECONDS, read_phase

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


def _patiently(step: Callable[[], T | None], who: str, watch: _Watcher) -> T:
    """Step until there is a result; a node that does not answer is asked again.

    Raises
    ------
    ChainError
        The node has refused for a minute whatever it was asked, or answers what no node would.
    """
    from tradefl.settlement.chains import NoAnswerError, RefusedError, StateChangedError

    refused_since = 0.0
    while True:
        try:
            result = step()
        except NoAnswerError as error:
            watch.trouble(who, str(error))
        except RefusedError as error:
            # Nodes behind a load balancer refuse what they will know in a moment.
            refused_since = refused_since or time.monotonic()
            if time.monotonic() - refused_since > REFUSAL_SECONDS:
                raise
            watch.trouble(who, str(error))
        except StateChangedError:
            pass  # read again
        else:
            refused_since = 0.0
            if result is not None:
                return result
        time.sleep(POLL_SECONDS)


class _Watcher:
    """Shows the present line, and keeps a log of what changes."""

    def __init__(self, show: Callable[[str], None], log: Path | None) -> None:
        self.show = show
        self.log = log
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
            private = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            if hasattr(os, "fchmod") and stat.S_ISREG(os.fstat(private).st_mode):
                os.fchmod(private, 0o600)  # one that was there before, too: it holds the payoff
            with os.fdopen(private, "w", encoding="utf-8") as stream:
                stream.write(line)
        if sys.stderr is not None and not sys.stderr.isatty():
            warn(text)
