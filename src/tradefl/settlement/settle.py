r"""Settling: what is due next is read off the chain, done, and read again.

Nothing is remembered elsewhere, so a settlement that was cut off at any point goes on from
where the chain is, and anybody may continue it. Each process does what it has keys for: in a
demonstration one process is everybody, in a consortium each organization runs its own.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tradefl.errors import InputError, Parameter
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.attestation import Attestation, attestation
from tradefl.settlement.chains import (
    Chain,
    KeySigner,
    MissingLogsError,
    Receipt,
    StateChangedError,
)
from tradefl.settlement.contract import (
    ChainError,
    Deployment,
    Event,
    Phase,
    RevertedError,
    called,
    deployment,
    drafted_by,
    encoded_call,
    runs,
    topic,
)
from tradefl.settlement.ethereum import ZERO_ADDRESS, checksum
from tradefl.settlement.rules import RULES, Published, Report
from tradefl.settlement.state import Place as Place
from tradefl.settlement.state import State as State
from tradefl.settlement.state import read_phase as read_phase
from tradefl.settlement.state import read_state as read_state
from tradefl.text import printable

if TYPE_CHECKING:
    from tradefl.documents.settlement import SettlementDocument, SettlementVerdict

NO_STATEMENT = bytes(32)
ANYONE = None
MAX_ATTEMPTS = 1000  # that are looked at
PATIENCE = 20  # times in a row that a step may be lost to a reorganization or a race
BLOCK_SECONDS = 30.0  # to wait for a block after a refusal, until it counts as waiting for others
POLL_SECONDS = 0.1
CLOSING_SECONDS = 15.0  # between blocks made on demand while others may still use a window
# Refusals that say: somebody was faster, or it is not time yet. The chain is read again.
ANSWERS = {
    "AlreadyClosing",
    "AlreadyConsented",
    "AlreadyDeposited",
    "AlreadyDisputed",
    "AlreadyJoined",
    "AlreadyPublished",
    "AlreadyReported",
    "NotDisputed",
    "NothingToWithdraw",
    "SettlementClosed",
    "SettlementOpen",
    "StaleSerial",
    "TooEarly",
    "UnexpectedBlock",
    "WindowOpen",
    "WindowOver",
    "WrongPhase",
}

VAULT_CALLS = {"depositSubmit", "withdraw", "withdrawTo"}

Attest = Callable[[str, Report], Attestation]


@dataclasses.dataclass(frozen=True)
class Step:
    """A call that is due.

    Attributes
    ----------
    call
        The contract's function.
    arguments
        What it takes.
    sender
        The account that must send it; ``None``: anyone may.
    value
        wei to send along.
    """

    call: str
    arguments: tuple[Any, ...] = ()
    sender: str | None = ANYONE
    value: int = 0


@dataclasses.dataclass(frozen=True)
class Progress:
    """A completed step, for the caller's ``watch``."""

    step: Step
    organization: str | None
    receipt: Receipt


def window_is_open(agreement: Agreement, state: State) -> bool:
    """Return whether the window of the phase is still open in the next block."""
    return not state.closed_at or state.block + 1 <= state.closed_at + agreement.closing_blocks


def closing_until(agreement: Agreement, state: State) -> int | None:
    """Return the last block of a window that is closing; ``None`` if none is."""
    if not state.closed_at or not window_is_open(agreement, state):
        return None
    return state.closed_at + agreement.closing_blocks


def due(
    agreement: Agreement,
    state: State,
    reports: Mapping[str, Report],
    serials: Mapping[str, int] | None = None,
) -> list[Step]:
    """Return the calls that are due now, in order; the chain's time and blocks decide.

    Parameters
    ----------
    agreement
        What is settled.
    state
        Its state.
    reports
        What each account will report, as far as it is known.
    serials
        The serial number of each account's attestation: a higher one replaces a report.
    """
    is_open = window_is_open(agreement, state)
    match state.phase:
        case Phase.DRAFTING:
            return _publications(agreement, state)
        case Phase.JOINING:
            return _deposits(agreement, state) if is_open else [Step("cancel")]
        case Phase.OPEN:
            return _reports(state, reports, serials or {}) if is_open else [Step("profileRecord")]
        case Phase.RECORDED:
            return _after_reports(agreement, state)
        case Phase.CALCULATED:
            return [Step("payoffTransfer")]
        case Phase.SETTLED | Phase.CANCELLED:
            return [
                Step("withdraw", (), place.account)
                for place in state.places
                if place.joined and not place.withdrawn
            ]


def _publications(agreement: Agreement, state: State) -> list[Step]:
    steps = [] if state.annex_is_published else [Step("annexPublish", (agreement.annex,))]
    steps += [
        Step("organizationsPublish", (k, block))
        for k, block in enumerate(agreement.organization_blocks)
        if k * agreement.organizations_per_block >= state.listed
    ]
    steps += [
        Step("pairsPublish", (k, block))
        for k, block in enumerate(agreement.pair_blocks)
        if not state.published >> k & 1
    ]
    return steps


def _deposits(agreement: Agreement, state: State) -> list[Step]:
    steps = [
        Step("depositSubmit", (), place.account, agreement.deposits[i])
        for i, place in enumerate(state.places)
        if not place.joined
    ]
    return steps + _closing(state, state.join_deadline)


def _closing(state: State, deadline: int, *, at_once: bool = False) -> list[Step]:
    """Return the call that closes a window, once its time is over and nobody has made it."""
    over = at_once or 0 < deadline < state.now
    return [Step("windowClose")] if over and not state.closed_at else []


def _reports(state: State, reports: Mapping[str, Report], serials: Mapping[str, int]) -> list[Step]:
    steps = [
        Step("contributionSubmit", (report.data_ppb, report.cpu_hz), place.account)
        for place in state.places
        if (report := reports.get(place.account)) is not None
        and not report.silent
        and (not place.reported or serials.get(place.account, 0) > place.serial)
    ]
    everybody = all(place.reported for place in state.places)
    return steps or _closing(state, state.report_deadline, at_once=everybody)


def _after_reports(agreement: Agreement, state: State) -> list[Step]:
    """Return what is due once the profile is recorded: disputes, rulings, then the calculation."""
    calculation = [
        Step("payoffCalculate", (k, block))
        for k, block in enumerate(agreement.pair_blocks)
        if not state.calculated >> k & 1
    ]
    if not agreement.has_arbiter:
        return calculation
    is_open = window_is_open(agreement, state)
    if state.ruling_begun:
        if state.open_disputes and is_open:
            return _closing(state, state.ruling_deadline)
        return calculation
    if is_open:
        return _closing(state, state.dispute_deadline)
    return [Step("windowClose")] if state.open_disputes else calculation


def deadline(agreement: Agreement, state: State) -> int | None:
    """Return the second after which the phase can end without further action.

    ``None`` if time alone never ends it, or if its window is closing.
    """
    if state.closed_at and window_is_open(agreement, state):
        return None
    match state.phase:
        case Phase.JOINING:
            return state.join_deadline or None
        case Phase.OPEN:
            return state.report_deadline
        case Phase.RECORDED if agreement.has_arbiter:
            return state.ruling_deadline if state.ruling_begun else state.dispute_deadline
    return None


def drafted(chain: Chain, contract: str, first_block: int = 0) -> tuple[Event, Deployment]:
    """Return the event of a contract's deployment, and what was deployed: by which rule, and how.

    The code at the address must be ours, and the terms and lists of the event must have the hash
    that the contract returns. That the contract was created by our code, too, follows from its
    address once the annex is known: :func:`is_derived`.

    Raises
    ------
    ChainError
        There is no contract at the address, it is not ours, or the node does not keep its logs.
    """
    code = chain.code(contract)
    if not code:
        raise ChainError(contract, f"there is no contract at this address on {chain.place}")
    rules = [name for name, rule in RULES.items() if runs(rule.contract, code)]
    if not rules:
        raise ChainError(
            contract,
            "is not a TradeFL settlement of this version: its code is that of neither rule",
        )
    found = chain.events(contract, first_block, [topic("AgreementDrafted")])
    if not found and first_block > 0:
        what = f"no deployment of it from block {first_block:,} on; begin earlier"
        raise ChainError(Parameter("first_block"), what)
    if not found:
        raise ChainError(
            contract,
            f"has our code, but {chain.place} has no event of its creation: either this node does "
            "not keep its logs (ask another one), or it was not created by our code",
        )
    own = chain.read(contract, "agreementHash")
    for event in found:
        deployed = drafted_by(event.arguments)
        if deployed and deployed.rule == rules[0] and event.arguments["agreementHash"] == own:
            return event, deployed
    raise ChainError(contract, "its event does not have the terms of the hash that it returns")


def was_created(chain: Chain, event: Event, deployed: Deployment) -> bool:
    """Return whether the transaction of a contract's event created it, with our bytecode.

    It is the proof for a contract whose address does not follow from its agreement.
    """
    receipt = chain.receipt(event.transaction)
    if receipt is None or receipt.contract != event.arguments["address"]:
        return False
    return deployment(chain.sent(event.transaction)[1]) == deployed


def is_derived(chain: Chain, agreement: Agreement, contract: str) -> int | None:
    """Return the attempt of which an address is the settlement's; ``None``: of none.

    What is at a derived address was created by the code that the agreement names.
    """
    for attempt in range(MAX_ATTEMPTS):
        address = agreement.settlement_address(attempt)
        if address == checksum(contract):
            return attempt
        if not chain.code(address):
            return None
    return None


def published_agreement(chain: Chain, contract: str, first_block: int = 0) -> Agreement | None:
    """Return the agreement that a contract has published; ``None`` while parts are missing.

    Raises
    ------
    ChainError
        There is no settlement of ours at the address, or the node does not keep its logs.
    """
    with chain.pinned():
        event, deployed = drafted(chain, contract, first_block)
        agreement = decoded_agreement(deployed, chain.events(contract, event.block))
        if agreement is None and read_phase(chain, contract) != Phase.DRAFTING:
            raise MissingLogsError(
                chain.place,
                f"this node does not keep all logs of the settlement {contract}: its agreement is "
                "published, and the node lacks parts of it; ask another node",
            )
    return agreement


def decoded_agreement(deployed: Deployment, events: Sequence[Event]) -> Agreement | None:
    """Return the agreement that a contract's events hold; ``None`` while parts are missing."""
    terms = deployed.terms

    def named(name: str) -> list[dict[str, Any]]:
        return [event.arguments for event in events if event.name == name]

    annexes = [event["annex"] for event in named("AnnexPublished")]
    listed = sorted(named("OrganizationListed"), key=lambda event: int(event["index"]))
    published = {event["blockIndex"]: event["data"] for event in named("PairsPublished")}
    complete = annexes and len(listed) == terms[0] and len(published) == len(deployed.pair_hashes)
    if not complete:
        return None
    blocks = [published[k] for k in sorted(published)]
    kind = RULES[deployed.rule]
    rule = kind.published(
        Published(terms, blocks, {name: named(name) for name in kind.listed_events})
    )
    try:
        return Agreement.decode(
            terms,
            [(event["account"], event["dataBits"], event["levels"]) for event in listed],
            rule,
            annexes[0],
        )
    except InputError as error:
        # The deployer writes it, and the contract knows its hash only.
        (problem, *_) = error.problems
        what = f"its agreement cannot be read: {problem.place}: {problem.message}"
        raise ChainError(listed[0]["address"], what) from None
    except (ValueError, TypeError, KeyError) as error:
        what = f"its annex is not one of this version: {printable(error, 120)}"
        raise ChainError(listed[0]["address"], what) from None


@dataclasses.dataclass(frozen=True, eq=False)
class Settlement:
    """An agreement on its way through a contract.

    Attributes
    ----------
    chain
        Where, and with which accounts.
    agreement
        What was agreed.
    contract
        The contract's address.
    reports
        What each account reports, as far as this process knows; silence is a report of zero.
    attest
        Returns the verifier's attestation of an account's report, where there is a verifier.
    first_block
        Where to begin looking for the contract's events.
    serials
        The serial number of each account's attestation, where one may replace a report.
    payout
        Where withdrawals go; ``None``: to the account itself.
    receipts
        The transactions of this process, in order, those that reverted included.
    """

    chain: Chain
    agreement: Agreement
    contract: str
    reports: Mapping[str, Report]
    attest: Attest | None = None
    first_block: int = 0
    serials: Mapping[str, int] = dataclasses.field(default_factory=dict)
    payout: str | None = None
    receipts: list[tuple[str, Receipt]] = dataclasses.field(default_factory=list)

    def state(self) -> State:
        """Return the state of the settlement."""
        return read_state(self.chain, self.contract, len(self.agreement))

    def run(
        self,
        *,
        operator: str,
        watch: Callable[[Progress], None] = lambda _: None,
        wait: Callable[[int | None, State], bool] = lambda _deadline, _state: False,
    ) -> State:
        """Do all that is due and that this process has accounts for; return the last state.

        Parameters
        ----------
        operator
            The account for what anyone may do.
        watch
            Called with each completed step.
        wait
            Is asked when nothing is left to do but to wait (for the deadline, or for others);
            returns whether to look again.

        Raises
        ------
        ChainError
            The chain cannot be reached, an account cannot pay, or the contract refuses a step
            that is due.
        """
        refusal: tuple[Step, RevertedError, str] | None = None
        refusals = upset = 0
        mined = time.monotonic()
        while True:
            head = self.chain.head()
            state = self.state()
            steps = [
                step
                for step in due(self.agreement, state, self.reports, self.serials)
                if step.sender is None or step.sender in self.chain.signers
            ]
            if refusal is not None and refusal[0] in steps[:1]:
                # Read again, nothing is due before it, and it is still due.
                step, error, refused_at = refusal
                refusals += 1
                if error.name not in ANSWERS or (refusals > PATIENCE and error.name != "TooEarly"):
                    who = self._name(step.sender)
                    place = f"{who}: {step.call}" if who else step.call
                    raise RevertedError(place, error.name, error.arguments)
                if head == refused_at:
                    # Estimated against what waits for the next block, and nothing is new before.
                    if self._next_block(operator, head):
                        continue
                    steps = []
            else:
                refusal, refusals = None, 0
            if not steps:
                if self._is_over(state):
                    return state
                if self._passes(state, operator):
                    continue
                if not wait(deadline(self.agreement, state), state):
                    return state
                waits = closing_until(self.agreement, state) is not None
                if waits and time.monotonic() - mined > CLOSING_SECONDS:
                    self.chain.mine(1, operator)
                    mined = time.monotonic()
            for step in steps:
                try:
                    receipt = self._do(step, operator)
                except StateChangedError:
                    upset += 1
                    if upset == PATIENCE:
                        raise ChainError(
                            step.call, f"the chain has undone or overtaken it {PATIENCE} times"
                        ) from None
                    break
                except RevertedError as error:
                    refusal = (step, error, head)
                    break
                if not receipt.succeeded:
                    break  # another transaction came first in the same block: look again
                upset = 0
                if step.call == "withdraw":
                    self.chain.returned(str(step.sender), self.agreement.hash)
                watch(Progress(step, self._name(step.sender), receipt))

    def nudge(self, operator: str) -> None:
        """Make one block, where a window is closing and this chain makes blocks on demand only."""
        if closing_until(self.agreement, self.state()) is not None:
            self.chain.mine(1, operator)

    def _is_over(self, state: State) -> bool:
        """Tell whether nothing is left to do for anybody."""
        return state.phase.final and not due(self.agreement, state, self.reports, self.serials)

    def _passes(self, state: State, operator: str) -> bool:
        """Let time or blocks pass that only have to pass, where this chain can do that."""
        last = closing_until(self.agreement, state)
        if last is None:
            until = deadline(self.agreement, state)
            return until is not None and self.chain.pass_time(until)
        missing = last - state.block
        finished = state.phase == Phase.OPEN and all(place.reported for place in state.places)
        everybody = all(account in self.chain.signers for account in self.agreement.addresses)
        # Where others may still use the window, they get the time to see that it is closing.
        hurried = finished or everybody or self.chain.alone
        return hurried and self.chain.mine(missing, operator)

    def _next_block(self, operator: str, head: str) -> bool:
        """Wait until the chain has another head; tell whether it has."""
        if self.chain.mine(1, operator):
            return True
        until = time.monotonic() + BLOCK_SECONDS
        while self.chain.head() == head:
            if time.monotonic() > until:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _do(self, step: Step, operator: str) -> Receipt:
        sender, call, arguments = step.sender or operator, step.call, step.arguments
        if call == "contributionSubmit":
            report = Report(data_ppb=arguments[0], cpu_hz=arguments[1])
            return self.report(sender, report)
        if call == "depositSubmit":
            arguments = (self.contract, bytes.fromhex(self.agreement.hash[2:]))
        elif call == "withdraw":
            arguments = (self.contract,)
            if self.payout is not None:
                call, arguments = "withdrawTo", (self.contract, self.payout)
        return self.call(sender, call, *arguments, value=step.value)

    def report(self, account: str, report: Report) -> Receipt:
        """Submit an account's contribution, with its attestation where there is a verifier."""
        given = self._attestation(account, report)
        arguments = (report.data_ppb, report.cpu_hz, given.serial, given.expiry)
        return self.call(
            account, "contributionSubmit", account, *arguments, NO_STATEMENT, given.signature
        )

    def call(self, sender: str, name: str, *arguments: Any, value: int = 0) -> Receipt:
        """Send one call of the contract, or of its vault, and return its receipt."""
        data = encoded_call(name, *arguments)
        to = self.agreement.vault if name in VAULT_CALLS else self.contract
        if name == "depositSubmit":
            agreement = self.agreement.hash
            receipt = self.chain.deposit(
                sender, to=to, data=data, value=value, call=name, agreement=agreement
            )
        else:
            receipt = self.chain.transact(sender, to=to, data=data, value=value, call=name)
        self.receipts.append((name, receipt))
        return receipt

    def _attestation(self, account: str, report: Report) -> Attestation:
        verifier = self.agreement.verifier
        if verifier == ZERO_ADDRESS:
            return Attestation(b"", serial=0)
        if self.attest is not None:
            return self.attest(account, report)
        signer = self.chain.signers.get(verifier)
        if not isinstance(signer, KeySigner):
            raise ChainError(
                self._name(account) or account,
                f"its report needs the signature of the verifier {verifier}: give `attestations`",
            )
        signature = attestation(self.chain.chain_id, self.contract, signer, account, report)
        return Attestation(signature)

    def _name(self, account: str | None) -> str | None:
        known = dict(zip(self.agreement.addresses, self.agreement.names, strict=True))
        return None if account is None else known.get(account)

    def waiting_for(self, state: State) -> list[str]:
        """Return the organizations that have something to do which nobody else can."""
        steps = due(self.agreement, state, self.reports, self.serials)
        senders = {step.sender for step in steps}
        return [
            name
            for name, address in zip(self.agreement.names, self.agreement.addresses, strict=True)
            if address in senders
        ]

    def document(self, verdict: SettlementVerdict | None = None) -> SettlementDocument:
        """Return the JSON document ``tradefl/settlement/1``, from the chain alone.

        Parameters
        ----------
        verdict
            What the audit found: :attr:`tradefl.settlement.audit.Audit.verdict`.
        """
        from tradefl.documents.settlement import (
            OtherTransaction,
            SettledOrganization,
            SettlementDocument,
            Transaction,
        )

        with self.chain.pinned():
            event, _ = drafted(self.chain, self.contract, self.first_block)
            events = self.chain.events(self.contract, event.block)
            state = self.state()
        withdrawn = {
            event.arguments["account"]: event.arguments["amount"]
            for event in events
            if event.name == "Withdrawn"
        }
        transactions = []
        for hash_ in dict.fromkeys(event.transaction for event in events):
            receipt = self.chain.receipt(hash_)
            sender, data = self.chain.sent(hash_)
            if receipt is None:
                continue
            what = called(data)
            created = hash_ == event.transaction
            transactions.append(
                Transaction(
                    call="deployment" if created else what[0] if what else "unknown",
                    organization=self._name(sender),
                    hash=hash_,
                    gas=receipt.gas,
                    block=receipt.block,
                )
            )
        listed = {sent.hash for sent in transactions}
        given: dict[str, Any] = {} if verdict is None else {"audit": verdict}
        return SettlementDocument(
            document="tradefl/settlement/1",
            consortium=self.agreement.consortium,
            chain_id=self.chain.chain_id,
            contract=self.contract,
            vault=self.agreement.vault,
            agreement_hash=self.agreement.hash,
            phase=state.phase.name.lower(),
            organizations=[
                SettledOrganization(
                    name=name,
                    address=place.account,
                    data_ppb=place.report.data_ppb,
                    cpu_hz=str(place.report.cpu_hz),
                    bond_wei=str(place.bond),
                    deposit_wei=str(place.deposit),
                    redistribution_wei=str(place.redistribution),
                    stakes_wei=str(place.stakes),
                    withdrawn_wei=str(withdrawn.get(place.account, 0)),
                )
                for name, place in zip(self.agreement.names, state.places, strict=True)
            ],
            transactions=transactions,
            gas_used=sum(sent.gas for sent in transactions),
            # What this process sent without an event of the settlement.
            other_transactions=[
                OtherTransaction(
                    call=name,
                    hash=receipt.hash,
                    gas=receipt.gas,
                    block=receipt.block,
                    succeeded=receipt.succeeded,
                )
                for name, receipt in self.receipts
                if receipt.hash not in listed
            ],
            **given,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return :meth:`document` as plain values."""
        return self.document().to_dict()
