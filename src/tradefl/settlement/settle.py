r"""Settling: what is due next is read off the chain, done, and read again.

Nothing is remembered elsewhere, so a settlement that was cut off at any point goes on from
where the chain stands, whoever continues it. Each process does what it has keys for: in a
demonstration one process is everybody, in a consortium each organization runs its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tradefl.settlement.agreement import Agreement
from tradefl.settlement.attestation import attestation
from tradefl.settlement.chains import Chain, KeySigner, Receipt, StateChangedError
from tradefl.settlement.contract import (
    ChainError,
    Deployment,
    Event,
    Phase,
    RevertedError,
    called,
    creation_code,
    deployment,
    encoded_call,
    topic,
)
from tradefl.settlement.terms import EfficientTerms, LinearTerms, Report, RuleTerms

SCHEMA = "tradefl/settlement/1"
NO_STATEMENT = bytes(32)
ANYONE = None
PATIENCE = 20  # times in a row that a step may be lost to a reorganization or a race

Attest = Callable[[str, Report], bytes]


@dataclasses.dataclass(frozen=True)
class Place:
    """One organization in the contract: ``ITradeFL.Account``, as far as steps depend on it."""

    account: str
    cap: int
    bond: int
    joined: bool
    deposit: int
    reported: bool
    report: Report
    score: int
    disputed: bool
    ruled: bool
    redistribution: int
    withdrawn: bool


@dataclasses.dataclass(frozen=True)
class State:
    """Where a settlement stands.

    ``published`` and ``calculated`` hold one bit for each block of the pairs.
    """

    phase: Phase
    now: int
    join_deadline: int
    report_deadline: int
    dispute_deadline: int
    ruling_deadline: int
    annex_is_published: bool
    listed: int
    joined: int
    reported: int
    published: int
    open_disputes: int
    calculated: int
    places: tuple[Place, ...]


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
    """A step that was done, for whoever watches."""

    step: Step
    organization: str | None
    receipt: Receipt


def read_state(chain: Chain, contract: str, size: int) -> State:
    """Return where a settlement of so many organizations stands."""
    now = chain.now()  # of the next block, if the chain knows it
    with chain.pinned():
        return _state(chain, contract, size, max(now, chain.now()))


def _state(chain: Chain, contract: str, size: int, now: int) -> State:
    progress = chain.read(contract, "progress")
    deadlines = chain.read(contract, "deadlines")
    return State(
        phase=read_phase(chain, contract),
        now=now,
        join_deadline=deadlines["join"],
        report_deadline=deadlines["report"],
        dispute_deadline=deadlines["dispute"],
        ruling_deadline=deadlines["ruling"],
        annex_is_published=progress["annexIsPublished"],
        listed=progress["listed"],
        joined=progress["joined"],
        reported=progress["reported"],
        published=progress["published"],
        open_disputes=progress["openDisputes"],
        calculated=progress["calculated"],
        places=tuple(_place(chain.read(contract, "organization", i)) for i in range(size)),
    )


def _place(account: dict[str, Any]) -> Place:
    return Place(
        account=account["account"],
        cap=account["cap"],
        bond=account["bond"],
        joined=account["joined"],
        deposit=account["deposit"],
        reported=account["reported"],
        report=Report(data_ppb=account["dataPpb"], cpu_hz=account["cpuHz"]),
        score=account["score"],
        disputed=account["disputed"],
        ruled=account["ruled"],
        redistribution=account["redistribution"],
        withdrawn=account["withdrawn"],
    )


def due(agreement: Agreement, state: State, reports: Mapping[str, Report]) -> list[Step]:
    """Return the calls that are due now, in order; the chain's time decides between them.

    ``reports`` holds what each account will report, as far as it is known.
    """
    match state.phase:
        case Phase.DRAFTING | Phase.JOINING if state.now > state.join_deadline:
            return [Step("cancel")]
        case Phase.DRAFTING:
            return _publications(agreement, state)
        case Phase.JOINING:
            return [
                Step(
                    "depositSubmit",
                    (bytes.fromhex(agreement.hash[2:]),),
                    place.account,
                    agreement.bonds[i],
                )
                for i, place in enumerate(state.places)
                if not place.joined
            ]
        case Phase.OPEN:
            return _reports(state, reports)
        case Phase.RECORDED if state.now > _calculable_after(agreement, state):
            return [
                Step("payoffCalculate", (k, block))
                for k, block in enumerate(agreement.pair_blocks)
                if not state.calculated >> k & 1
            ]
        case Phase.CALCULATED:
            return [Step("payoffTransfer")]
        case Phase.SETTLED | Phase.CANCELLED:
            return [
                Step("withdraw", (), place.account)
                for place in state.places
                if place.joined and not place.withdrawn
            ]
    return []


def _publications(agreement: Agreement, state: State) -> list[Step]:
    steps = [] if state.annex_is_published else [Step("annexPublish", (agreement.annex,))]
    steps += [
        Step("organizationsPublish", (k, block))
        for k, block in enumerate(agreement.organization_blocks)
        if k * agreement.rule.block_organizations >= state.listed
    ]
    steps += [
        Step("pairsPublish", (k, block))
        for k, block in enumerate(agreement.pair_blocks)
        if not state.published >> k & 1
    ]
    return steps


def _reports(state: State, reports: Mapping[str, Report]) -> list[Step]:
    waiting = [place for place in state.places if not place.reported]
    if not waiting or state.now > state.report_deadline:
        return [Step("profileRecord")]
    return [
        Step("contributionSubmit", (report.data_ppb, report.cpu_hz), place.account)
        for place in waiting
        if (report := reports.get(place.account)) is not None and not report.silent
    ]


def _calculable_after(agreement: Agreement, state: State) -> int:
    """Return the last second at which the calculation is not possible."""
    if int(agreement.arbiter, 16) == 0:
        return -1
    return state.ruling_deadline if state.open_disputes else state.dispute_deadline


def deadline(agreement: Agreement, state: State) -> int | None:
    """Return until when a phase may last if nobody does what is due; ``None`` if forever."""
    match state.phase:
        case Phase.DRAFTING | Phase.JOINING:
            return state.join_deadline
        case Phase.OPEN:
            return state.report_deadline
        case Phase.RECORDED:
            return _calculable_after(agreement, state)
    return None


def deploy(chain: Chain, agreement: Agreement, sender: str) -> Receipt:
    """Deploy the contract of an agreement; the sender gets no rights by it."""
    return chain.transact(sender, to=None, data=creation_code(agreement), call="deployment")


def find(chain: Chain, agreement: Agreement, first_block: int = 0) -> list[str]:
    """Return the contracts of an agreement on a chain, oldest first; look-alikes are left out."""
    drafted = chain.events(
        None, first_block, [topic("AgreementDrafted"), bytes.fromhex(agreement.hash[2:])]
    )
    return [
        event.arguments["address"]
        for event in drafted
        if _created(chain, event) == creation_code(agreement)
    ]


def drafted(chain: Chain, contract: str, first_block: int = 0) -> tuple[Event, Deployment]:
    """Return the event of a contract's deployment, and what was deployed: by which rule, and how.

    The transaction that created it must carry exactly the package's bytecode. Code alone would
    prove less: whoever writes the code of a creation can give it any storage.

    Raises
    ------
    ChainError
        There is no contract at the address, or it is not ours.
    """
    if not chain.code(contract):
        raise ChainError(contract, f"there is no contract at this address on {chain.place}")
    found = chain.events(contract, first_block, [topic("AgreementDrafted")])
    if not found and first_block > 0:
        what = f"no deployment of it from block {first_block:,} on; begin earlier"
        raise ChainError("--from-block", what)
    for event in found:
        deployed = deployment(_created(chain, event))
        if deployed is not None:
            return event, deployed
    raise ChainError(
        contract,
        "is no TradeFL settlement, of neither rule: its creation does not carry this version's "
        "bytecode",
    )


def read_phase(chain: Chain, contract: str) -> Phase:
    """Return the phase of a settlement."""
    return Phase(chain.read(contract, "phase"))


def published_agreement(chain: Chain, contract: str, first_block: int = 0) -> Agreement | None:
    """Return the agreement that a contract has published; ``None`` while parts are missing.

    Raises
    ------
    ChainError
        There is no settlement of ours at the address.
    """
    event, deployed = drafted(chain, contract, first_block)
    return decoded_agreement(deployed, chain.events(contract, event.block))


def decoded_agreement(deployed: Deployment, events: Sequence[Event]) -> Agreement | None:
    """Return the agreement that a contract's events hold; ``None`` while parts are missing."""
    terms = deployed.terms

    def named(name: str) -> list[dict[str, Any]]:
        return [one.arguments for one in events if one.name == name]

    annexes = [one["annex"] for one in named("AnnexPublished")]
    listed = sorted(named("OrganizationListed"), key=lambda one: int(one["index"]))
    published = {one["blockIndex"]: one["data"] for one in named("PairsPublished")}
    complete = annexes and len(listed) == terms[0] and len(published) == len(deployed.pair_hashes)
    if not complete:
        return None
    blocks = [published[k] for k in sorted(published)]
    rule: RuleTerms
    if deployed.rule == EfficientTerms.name:
        schedules = sorted(named("ScheduleListed"), key=lambda one: int(one["index"]))
        rule = EfficientTerms.decode([(one["shares"], one["values"]) for one in schedules], blocks)
    else:
        rule = LinearTerms.decode(terms, blocks)
    try:
        return Agreement.decode(
            terms,
            [(one["account"], one["dataBits"], one["levels"]) for one in listed],
            rule,
            annexes[0],
        )
    except (ValueError, TypeError, KeyError):
        # Whoever deploys writes it, and the contract knows its hash only.
        raise ChainError(listed[0]["address"], "its annex is not one of this version") from None


def _created(chain: Chain, event: Event) -> bytes:
    """Return the code that created the contract of an event; empty if another was created."""
    receipt = chain.receipt(event.transaction)
    if receipt is None or receipt.contract != event.arguments["address"]:
        return b""
    _, data = chain.sent(event.transaction)
    return data


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
        Returns the verifier's signature under an account's report, where there is a verifier.
    first_block
        Where to begin looking for the contract's events.
    """

    chain: Chain
    agreement: Agreement
    contract: str
    reports: Mapping[str, Report]
    attest: Attest | None = None
    first_block: int = 0

    def state(self) -> State:
        """Return where the settlement stands."""
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
            Is told of every step that is done.
        wait
            Is asked when nothing is left to do but to wait (for the deadline, or for others);
            returns whether to look again.

        Raises
        ------
        ChainError
            The chain cannot be reached, an account cannot pay, or the contract refuses a step
            that is due.
        """
        refused: tuple[Step, RevertedError] | None = None
        upset = 0
        while True:
            state = self.state()
            steps = [
                step
                for step in due(self.agreement, state, self.reports)
                if step.sender is None or step.sender in self.chain.signers
            ]
            if refused is not None and refused[0] in steps[:1]:
                # Read again, nothing is due before it, and it is still refused.
                step, error = refused
                if error.name != "TooEarly":
                    who = self._name(step.sender)
                    place = f"{who}: {step.call}" if who else step.call
                    raise RevertedError(place, error.name, error.arguments)
                steps = []  # the node's clock is behind: wait as for any deadline
            refused = None
            if not steps:
                everybody_has_withdrawn = not due(self.agreement, state, self.reports)
                if state.phase.final and everybody_has_withdrawn:
                    return state
                until = deadline(self.agreement, state)
                if until is not None and self.chain.pass_time(until):
                    continue
                if not wait(until, state):
                    return state
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
                    # Somebody else may have been faster.
                    refused = (step, error)
                    break
                upset = 0
                watch(Progress(step, self._name(step.sender), receipt))

    def _do(self, step: Step, operator: str) -> Receipt:
        arguments = step.arguments
        if step.call == "contributionSubmit":
            report = Report(data_ppb=arguments[0], cpu_hz=arguments[1])
            arguments += (NO_STATEMENT, self._attestation(str(step.sender), report))
        return self.call(step.sender or operator, step.call, *arguments, value=step.value)

    def call(self, sender: str, name: str, *arguments: Any, value: int = 0) -> Receipt:
        """Send one call of the contract and return its receipt."""
        data = encoded_call(name, *arguments)
        return self.chain.transact(sender, to=self.contract, data=data, value=value, call=name)

    def _attestation(self, account: str, report: Report) -> bytes:
        verifier = self.agreement.verifier
        if int(verifier, 16) == 0:
            return b""
        if self.attest is not None:
            return self.attest(account, report)
        signer = self.chain.signers.get(verifier)
        if not isinstance(signer, KeySigner):
            raise ChainError(
                self._name(account) or account,
                f"its report needs the signature of the verifier {verifier}: give --attestations",
            )
        return attestation(self.chain.chain_id, self.contract, signer, account, report)

    def _name(self, account: str | None) -> str | None:
        known = dict(zip(self.agreement.addresses, self.agreement.names, strict=True))
        return None if account is None else known.get(account)

    def waiting_for(self, state: State) -> list[str]:
        """Return the organizations that have something to do which nobody else can."""
        senders = {step.sender for step in due(self.agreement, state, self.reports)}
        return [
            name
            for name, address in zip(self.agreement.names, self.agreement.addresses, strict=True)
            if address in senders
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document ``tradefl/settlement/1``, from the chain alone."""
        with self.chain.pinned():
            event, _ = drafted(self.chain, self.contract, self.first_block)
            events = self.chain.events(self.contract, event.block)
            state = self.state()
        withdrawn = {
            one.arguments["account"]: one.arguments["amount"]
            for one in events
            if one.name == "Withdrawn"
        }
        transactions = []
        for hash_ in dict.fromkeys(one.transaction for one in events):
            receipt = self.chain.receipt(hash_)
            sender, data = self.chain.sent(hash_)
            if receipt is None:
                continue
            what = called(data) if receipt.contract is None else None
            transactions.append(
                {
                    "call": "deployment" if receipt.contract else what[0] if what else "unknown",
                    "organization": self._name(sender),
                    "hash": hash_,
                    "gas": receipt.gas,
                    "block": receipt.block,
                }
            )
        return {
            "schema": SCHEMA,
            "consortium": self.agreement.consortium,
            "chain_id": self.chain.chain_id,
            "contract": self.contract,
            "agreement_hash": self.agreement.hash,
            "phase": state.phase.name.lower(),
            "organizations": [
                {
                    "name": name,
                    "address": place.account,
                    "data_ppb": place.report.data_ppb,
                    "cpu_hz": str(place.report.cpu_hz),
                    "bond_wei": str(place.bond),
                    "deposit_wei": str(place.deposit),
                    "redistribution_wei": str(place.redistribution),
                    "withdrawn_wei": str(withdrawn.get(place.account, 0)),
                }
                for name, place in zip(self.agreement.names, state.places, strict=True)
            ],
            "transactions": transactions,
            "gas_used": sum(one["gas"] for one in transactions),
        }
