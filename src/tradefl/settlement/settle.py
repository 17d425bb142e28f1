r"""Settling: what is due next is read off the chain, done, and read again.

Nothing is remembered elsewhere, so a settlement that was cut off at any point goes on from
where the chain is, and anybody may continue it. Each process does what it has keys for: in a
demonstration one process is everybody, in a consortium each organization runs its own.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tradefl.settlement.agreement import Agreement
from tradefl.settlement.attestation import Attestation, attestation
from tradefl.settlement.chains import (
    Chain,
    KeySigner,
    Receipt,
    StateChangedError,
)
from tradefl.settlement.contract import (
    ChainError,
    Phase,
    RevertedError,
    called,
    encoded_call,
)
from tradefl.settlement.ethereum import ZERO_ADDRESS
from tradefl.settlement.published import drafted
from tradefl.settlement.rules import Report
from tradefl.settlement.state import State, read_state
from tradefl.settlement.steps import Step, closing_until, deadline, due

if TYPE_CHECKING:
    from tradefl.documents.settlement import SettlementDocument, SettlementVerdict

NO_STATEMENT = bytes(32)
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
class Progress:
    """A completed step, for the caller's ``watch``."""

    step: Step
    organization: str | None
    receipt: Receipt


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
