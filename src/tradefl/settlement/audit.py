r"""The audit: a settlement recomputed from the chain's events, to the wei, by anybody.

No key is needed and nothing that the contract computed is believed: the agreement is decoded
from what was published and hashed again, the contract's address is derived from it; bonds,
contributions, stakes, every payment ``t_ij`` and every ``R_i`` are recomputed by
:mod:`tradefl.settlement.arithmetic` and :mod:`tradefl.settlement.stakes`, and compared with the
events, with the contract's storage and with the money in the vault.

Everything is read at one block. Before anything is compared, the logs are held against the
contract's state (:mod:`tradefl.settlement.evidence`): a node that lacks logs ends the audit
instead of making it pass, and instead of accusing a partner.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tradefl.incentives.promise import Check, consistent
from tradefl.notebook import Shown
from tradefl.settlement.against_file import (
    compare_agreement,
    compare_consequences,
    compare_promise,
    compare_unpublished,
    note_equilibrium,
)
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.annex import promise_of, read_annex
from tradefl.settlement.attestation import attested_by
from tradefl.settlement.chains import Chain
from tradefl.settlement.checks import Checks, Difference
from tradefl.settlement.contract import Deployment, Event, Phase, called
from tradefl.settlement.encoding import plain_terms
from tradefl.settlement.ethereum import keccak
from tradefl.settlement.evidence import require_logs
from tradefl.settlement.published import decoded_agreement, drafted, is_derived, was_created
from tradefl.settlement.rules import EfficientTerms, Report
from tradefl.settlement.stakes import Ruling, Stakes
from tradefl.settlement.state import State, read_state

if TYPE_CHECKING:
    from tradefl.consortium import Consortium
    from tradefl.documents.audit import AuditDocument
    from tradefl.documents.settlement import SettlementVerdict

__all__ = ["Audit", "Difference", "audit"]

SILENT = Report(data_ppb=0, cpu_hz=0)


@dataclasses.dataclass(frozen=True, repr=False)
class Audit(Shown):
    """The verdict, and what it rests on.

    Attributes
    ----------
    contract, chain_id
        What was audited.
    phase
        The state of the settlement.
    agreement
        The agreement as published; ``None`` while its parts are not all there.
    agreement_hash
        The hash that the contract returns.
    reports
        What counts for each organization, after rulings.
    redistribution
        ``R_i`` recomputed, wei; empty before the profile is recorded.
    stakes
        What disputes have moved, recomputed, wei.
    checks
        How many comparisons were made.
    differences
        Those that failed.
    notes
        What is not a fault but worth knowing.
    """

    contract: str
    chain_id: int
    phase: Phase
    agreement: Agreement | None
    agreement_hash: str
    reports: tuple[Report, ...]
    redistribution: tuple[int, ...]
    stakes: tuple[int, ...]
    checks: int
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether something was checked, and all of it agrees to the wei."""
        return self.checks > 0 and not self.differences

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.differences:
            return f"{len(self.differences):,} of {self.checks:,} checks fail"
        if not self.checks:
            return "nothing could be checked"
        if self.agreement is None:
            return (
                f"{self.checks:,} checks agree; the agreement is not published yet, so bonds, "
                "reports and payments could not be checked"
            )
        return f"{self.checks:,} checks: everything agrees to the wei"

    def _title(self) -> str:
        return f"of {self.contract}"

    def _facts(self) -> list[tuple[str, str]]:
        return [("phase", self.phase.name.lower()), ("verdict", self.sentence)]

    def _records(self) -> list[dict[str, Any]]:
        whole = ("cpu_hz", "redistribution_wei", "stakes_wei")
        return [
            {key: int(value) if key in whole else value for key, value in row.items()}
            for row in self.to_dict()["organizations"]
        ]

    @property
    def verdict(self) -> SettlementVerdict:
        """What a settlement's document says of the audit."""
        from tradefl.documents.settlement import SettlementVerdict

        return SettlementVerdict(
            agrees=self.agrees,
            checks=self.checks,
            differences=[str(difference) for difference in self.differences],
        )

    def document(self) -> AuditDocument:
        """Return the JSON document ``tradefl/audit/1``."""
        from tradefl.documents.audit import AuditDifference, AuditDocument, AuditedOrganization

        agreement = self.agreement
        size = len(self.reports)
        return AuditDocument(
            document="tradefl/audit/1",
            chain_id=self.chain_id,
            contract=self.contract,
            agreement_hash=self.agreement_hash,
            published=agreement is not None,
            phase=self.phase.name.lower(),
            agrees=self.agrees,
            checks=self.checks,
            differences=[
                AuditDifference.of(**dataclasses.asdict(difference))
                for difference in self.differences
            ],
            notes=list(self.notes),
            organizations=[
                AuditedOrganization(
                    name=name,
                    data_ppb=report.data_ppb,
                    cpu_hz=str(report.cpu_hz),
                    redistribution_wei=str(wei),
                    stakes_wei=str(stake),
                )
                for name, report, wei, stake in zip(
                    () if agreement is None else agreement.names,
                    self.reports,
                    self.redistribution or [0] * size,
                    self.stakes or [0] * size,
                    strict=True,
                )
            ],
        )

    def to_dict(self) -> dict[str, Any]:
        """Return :meth:`document` as plain values."""
        return self.document().to_dict()


def audit(
    chain: Chain, contract: str, consortium: Consortium | None = None, first_block: int = 0
) -> Audit:
    """Recompute a settlement from the chain, and compare it with a file if one is given.

    Raises
    ------
    ChainError
        There is no settlement of ours at the address, the node does not answer, or it does not
        keep all logs of the settlement (:class:`~tradefl.settlement.evidence.MissingLogsError`).
    """
    with chain.pinned():
        event, deployed = drafted(chain, contract, first_block)
        book = _Book(chain, contract, chain.events(contract, event.block), deployed)
        return book.audited(consortium)


class _Book:
    """The events of one settlement, and what has been compared so far."""

    def __init__(
        self, chain: Chain, contract: str, events: Sequence[Event], deployed: Deployment
    ) -> None:
        self.chain, self.contract, self.events, self.deployed = chain, contract, events, deployed
        self.by_file: Agreement | None = None
        self.checks = Checks()
        self.compare, self.notes = self.checks.compare, self.checks.notes

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event.arguments for event in self.events if event.name == name]

    def audited(self, consortium: Consortium | None) -> Audit:
        own = "0x" + self.chain.read(self.contract, "agreementHash").hex()
        # Only as many are asked for as are listed: the others' places are empty.
        listed = int(self.chain.read(self.contract, "progress")["listed"])
        state = read_state(self.chain, self.contract, listed)
        require_logs(self.chain.place, self.contract, state, self.events, self.deployed.rule)
        reports: tuple[Report, ...] = ()
        redistribution: tuple[int, ...] = ()
        stakes: tuple[int, ...] = ()
        agreement = self._published(own)
        if agreement is None:
            compare_unpublished(self.checks, self.deployed, self.chain.chain_id, own, consortium)
        else:
            if consortium is not None:
                self.by_file = compare_agreement(
                    self.checks, agreement, consortium, self.chain.chain_id
                )
                compare_promise(self.checks, consortium)
            self._windows(agreement, state)
            self._deposits(agreement, state)
            reports, stakes = self._reports(agreement, state)
            if consortium is not None and state.phase >= Phase.RECORDED:
                note_equilibrium(self.checks, self.by_file, consortium, reports)
            if state.phase >= Phase.RECORDED and state.phase != Phase.CANCELLED:
                redistribution = tuple(agreement.redistribution(reports))
                if self.by_file is not None:
                    compare_consequences(
                        self.checks, self.by_file, agreement, reports, redistribution
                    )
                self._recorded(agreement, reports)
            self._money(agreement, state, redistribution, stakes)
        return Audit(
            contract=self.contract,
            chain_id=self.chain.chain_id,
            phase=state.phase,
            agreement=agreement,
            agreement_hash=own,
            reports=reports,
            redistribution=redistribution,
            stakes=stakes,
            checks=self.checks.count,
            differences=tuple(self.checks.differences),
            notes=tuple(self.notes),
        )

    # --- the agreement ---------------------------------------------------------------------------

    def _published(self, own: str) -> Agreement | None:
        """Return the agreement that the events hold, its hash checked; ``None``: not complete."""
        deployed = self.deployed
        agreement = decoded_agreement(deployed, self.events)
        for drafting in self.named("AgreementDrafted"):
            self.compare("agreement hash, event", own, "0x" + drafting["agreementHash"].hex())
            self.compare(
                "terms, event", plain_terms(deployed.terms), plain_terms(drafting["terms"].values())
            )
        if agreement is None:
            return None
        self.compare("annex hash", deployed.terms[-1], keccak(agreement.annex))
        for k, (expected, block) in enumerate(
            zip(deployed.organization_hashes, agreement.organization_blocks, strict=True)
        ):
            self.compare(f"hash of block {k} of the organizations", expected, keccak(block))
        for k, (expected, block) in enumerate(
            zip(deployed.pair_hashes, agreement.pair_blocks, strict=True)
        ):
            self.compare(f"hash of block {k} of the pairs", expected, keccak(block))
        self.compare("agreement hash", agreement.hash, own)
        self.compare("chain id", agreement.chain_id, self.chain.chain_id)
        self.compare("vault", agreement.vault, self.chain.read(self.contract, "vault"))
        self._created(agreement)
        self.notes += agreement.rule.remarks(agreement)
        self._promise(agreement)
        return agreement

    def _created(self, agreement: Agreement) -> None:
        """Check that our code created the contract: by its address, or by its transaction."""
        if is_derived(self.chain, agreement, self.contract) is not None:
            self.compare("address follows from the agreement", True, True)
            return
        drafting = next(event for event in self.events if event.name == "AgreementDrafted")
        created = was_created(self.chain, drafting, self.deployed)
        self.compare("created by the code of this version", True, created)
        if created:
            self.notes.append(
                "its address does not follow from the agreement: it can be audited, and no command "
                "deposits there"
            )

    def _promise(self, agreement: Agreement) -> None:
        """Check the promise that honesty pays, as far as the annex shows it."""
        promise, rule = promise_of(read_annex(agreement.annex)), agreement.rule
        if promise is None or not isinstance(rule, EfficientTerms):  # only schedules promise it
            return
        for check in consistent(promise):
            self.checks.close(f"annex: {check.place}", check)
        n, rate = len(agreement), agreement.wei_per_payoff
        for i, name in enumerate(agreement.names):
            if name == promise.claimant:
                continue
            net = sum(rule.constant(n, i, j) for j in range(n))
            expected = promise.organizations[name].redistribution
            # Each constant is rounded to a wei, and the figure is a double.
            tolerance = n / rate + 2.0**-50 * abs(expected) * n
            self.checks.close(
                f"annex: {name}: redistribution",
                Check(name, expected, float(Fraction(net, rate)), tolerance),
            )
        if promise.menus == "from reports":
            self.notes.append(
                "the menus were written around the reports: honesty pays only once they are agreed "
                "and figures are reported afresh"
            )

    # --- the windows -----------------------------------------------------------------------------

    def _windows(self, agreement: Agreement, state: State) -> None:
        """Check the deadlines, and that no window was over before its closing blocks had passed."""
        recorded = Phase.RECORDED <= state.phase < Phase.CANCELLED
        for name, due, deadlines in (
            ("JoiningOpened", int(state.phase > Phase.DRAFTING), {}),
            ("JoinDeadlineSet", None, {"joinDeadline": state.join_deadline}),
            ("ReportingOpened", None, {"reportDeadline": state.report_deadline}),
            (
                "ProfileRecorded",
                int(recorded) if state.phase != Phase.CANCELLED else None,
                {"disputeDeadline": state.dispute_deadline},
            ),
            ("RulingOpened", int(state.ruling_begun), {"rulingDeadline": state.ruling_deadline}),
            ("SettlementCompleted", int(state.phase == Phase.SETTLED), {}),
            ("SettlementCancelled", int(state.phase == Phase.CANCELLED), {}),
        ):
            found = self.named(name)
            if due is not None:
                self.compare(f"number of {name}", due, len(found))
            for arguments in found:
                for key, expected in deadlines.items():
                    self.compare(f"{name}: {key}", expected, arguments[key])
        last: dict[Phase, int] = {}  # block up to which the window of a phase was open
        by_consent = len(self.named("ConsentGiven")) == len(agreement)
        for event in self.events:
            if event.name == "WindowClosing":
                expected = event.block + agreement.closing_blocks
                self.compare("WindowClosing: lastBlock", expected, event.arguments["lastBlock"])
                last[Phase(event.arguments["phase"])] = expected
            after = {
                "ProfileRecorded": Phase.OPEN,
                "RulingOpened": Phase.RECORDED,
                "SettlementCancelled": None if by_consent else Phase.JOINING,
            }.get(event.name)
            if after is not None:
                over = after in last and event.block > last[after]
                self.compare(f"{event.name}: its window was over", True, over)
        self.compare("number of consents", state.consents, len(self.named("ConsentGiven")))

    # --- the organizations -----------------------------------------------------------------------

    def _deposits(self, agreement: Agreement, state: State) -> None:
        events = self.named("DepositSubmitted")
        deposits = {event["account"]: event["amount"] for event in events}
        self.compare("number of deposits", len(deposits), len(events))
        self.compare("number of deposits, storage", len(deposits), state.joined)
        stake = agreement.dispute_stake_wei if agreement.has_arbiter else 0
        for name, place, address, cap, bond in zip(
            agreement.names,
            state.places,
            agreement.addresses,
            agreement.caps,
            agreement.bonds,
            strict=True,
        ):
            self.compare(f"{name}: address", address, place.account)
            self.compare(f"{name}: highest score", cap, place.cap)
            self.compare(f"{name}: bond_wei", bond, place.bond)
            self.compare(f"{name}: has deposited", address in deposits, place.joined)
            self.compare(f"{name}: deposit_wei", deposits.get(address, 0), place.deposit)
            if address in deposits:
                self.checks.at_least(f"{name}: deposit_wei", bond + stake, deposits[address])

    def _reports(
        self, agreement: Agreement, state: State
    ) -> tuple[tuple[Report, ...], tuple[int, ...]]:
        """Return what counts for each organization, from reports and rulings, and the stakes."""
        current = [SILENT] * len(agreement)
        serials = [0] * len(agreement)
        index = {address: i for i, address in enumerate(agreement.addresses)}
        free = [
            place.deposit - bond for place, bond in zip(state.places, agreement.bonds, strict=True)
        ]
        stakes = Stakes(agreement.dispute_stake_wei if agreement.has_arbiter else 0, free)
        disputers: dict[int, int] = {}
        for event in self.events:
            arguments = event.arguments
            accused = {"ContributionSubmitted": "account", "DisputeRuled": "accused"}.get(
                event.name, "accused" if event.name == "DisputeRaised" else None
            )
            if accused is None:
                continue
            i = index.get(arguments[accused])
            if i is None:
                self.compare(f"{event.name}: account is listed", True, False)
                continue
            if event.name == "DisputeRaised":
                by = index.get(arguments["by"])
                self.compare(f"{agreement.names[i]}: disputed by a member", True, by is not None)
                own = by == i and current[i] != SILENT
                self.compare(f"{agreement.names[i]}: disputes its own report", False, own)
                disputers[i] = i if by is None else by
                continue
            report = Report(data_ppb=arguments["dataPpb"], cpu_hz=arguments["cpuHz"])
            name, score = agreement.names[i], agreement.score(i, report)
            self.compare(f"{name}: score", score, arguments["score"])
            if event.name == "DisputeRuled":
                if report != SILENT:
                    self._feasible(agreement, i, report)
                self._ruled(agreement, stakes, disputers, current, i, report, arguments)
            else:
                self._feasible(agreement, i, report)
                self._attested(agreement, i, report, event)
                if current[i] != SILENT:
                    newer = arguments["serial"] > serials[i]
                    self.compare(f"{name}: a later report has a higher serial", True, newer)
                serials[i] = arguments["serial"]
            current[i] = report
        submitted = {event["account"] for event in self.named("ContributionSubmitted")}
        for i, (address, place) in enumerate(zip(agreement.addresses, state.places, strict=True)):
            name = agreement.names[i]
            self.compare(f"{name}: has reported", address in submitted, place.reported)
            self.compare(f"{name}: serial", serials[i], place.serial)
            self.compare(f"{name}: is disputed", i in disputers, place.disputed)
            self.compare(f"{name}: report", current[i], place.report)
            self.compare(f"{name}: score, storage", agreement.score(i, current[i]), place.score)
            self.compare(f"{name}: stakes_wei, storage", stakes.moved[i], place.stakes)
        return tuple(current), tuple(stakes.moved)

    def _ruled(
        self,
        agreement: Agreement,
        stakes: Stakes,
        disputers: dict[int, int],
        current: Sequence[Report],
        i: int,
        report: Report,
        arguments: dict[str, Any],
    ) -> None:
        """Check whose stake a ruling took, and how much."""
        name = agreement.names[i]
        self.compare(f"{name}: was disputed before the ruling", True, i in disputers)
        ruling = Ruling(
            disputer=disputers.get(i, i),
            accused=i,
            before=current[i],
            after=report,
            score_before=agreement.score(i, current[i]),
            score_after=agreement.score(i, report),
        )
        loser = ruling.loser
        who = "nobody" if loser is None else agreement.addresses[loser]
        found = "nobody" if int(arguments["loser"], 16) == 0 else arguments["loser"]
        self.compare(f"{name}: loser of the dispute", who, found)
        forfeit = stakes.settle(ruling)
        self.compare(f"{name}: forfeited stake_wei", forfeit, arguments["forfeit"])

    def _feasible(self, agreement: Agreement, i: int, report: Report) -> None:
        name, levels = agreement.names[i], agreement.cpu_levels_hz[i]
        self.compare(f"{name}: cpu_hz is one of its levels", True, report.cpu_hz in levels)
        in_range = agreement.min_data_ppb <= report.data_ppb <= 10**9
        self.compare(f"{name}: data_ppb is in [D_min, 1]", True, in_range)

    def _attested(self, agreement: Agreement, i: int, report: Report, event: Event) -> None:
        """Check the verifier's signature, where the report was sent to the contract itself."""
        if not agreement.has_verifier:
            return
        name, address = agreement.names[i], agreement.addresses[i]
        _, data = self.chain.sent(event.transaction)
        call = called(data)
        if call is None or call[0] != "contributionSubmit":
            self.notes.append(
                f"{name}: its report came by way of another contract, {event.transaction}"
            )
            return
        if self.chain.code(agreement.verifier):
            self.notes.append(
                f"{name}: the verifier is a contract (EIP-1271); its word was checked by the chain"
            )
            return
        given = call[1]
        signer = attested_by(
            self.chain.chain_id,
            self.contract,
            address,
            report,
            given["attestation"],
            serial=given["serial"],
            expiry=given["expiry"],
        )
        self.compare(f"{name}: signed by the verifier", agreement.verifier, signer)

    # --- the profile and the money ---------------------------------------------------------------

    def _recorded(self, agreement: Agreement, reports: Sequence[Report]) -> None:
        ruled = {event["accused"] for event in self.named("DisputeRuled")}
        for recorded in self.named("ProfileRecorded"):
            for name, address, report, d, f in zip(
                agreement.names,
                agreement.addresses,
                reports,
                recorded["dataPpb"],
                recorded["cpuHz"],
                strict=True,
            ):
                if address not in ruled:  # a ruling comes after the record and replaces it
                    entered = Report(data_ppb=d, cpu_hz=f)
                    self.compare(f"{name}: recorded profile", report, entered)
                if report.silent:
                    self.notes.append(f"{name} reported nothing: it compensates in full")

    def _money(
        self,
        agreement: Agreement,
        state: State,
        redistribution: Sequence[int],
        stakes: Sequence[int],
    ) -> None:
        settled = state.phase == Phase.SETTLED
        transfers = {event["account"]: event for event in self.named("PayoffTransferred")}
        withdrawals: dict[str, list[int]] = {}
        for event in self.named("Withdrawn"):
            withdrawals.setdefault(event["account"], []).append(event["amount"])
        closed = state.phase in (Phase.SETTLED, Phase.CANCELLED)
        self.compare(
            "vault: the settlement has divided its money",
            closed,
            self.chain.read(agreement.vault, "isClosed", self.contract),
        )
        left = 0
        for i, (name, place) in enumerate(zip(agreement.names, state.places, strict=True)):
            credit = place.deposit
            if settled:
                credit += redistribution[i] + stakes[i]
                paid = transfers.get(place.account, {})
                for key, expected in (
                    ("redistribution", redistribution[i]),
                    ("stakes", stakes[i]),
                    ("deposit", place.deposit),
                    ("credit", credit),
                ):
                    self.compare(f"{name}: {key}_wei, credited", expected, paid.get(key))
            if state.phase in (Phase.CALCULATED, Phase.SETTLED):
                stored = place.redistribution
                self.compare(f"{name}: redistribution_wei, storage", redistribution[i], stored)
            taken = withdrawals.get(place.account, [])
            self.compare(f"{name}: has withdrawn", bool(taken), place.withdrawn)
            if taken:
                self.compare(f"{name}: withdrawn_wei", [credit], taken)
            held = 0 if taken else credit
            locked = self.chain.read(agreement.vault, "locked", self.contract, place.account)
            self.compare(f"{name}: wei in the vault", held, locked)
            left += held
        if settled:
            total = sum(transfer["redistribution"] for transfer in transfers.values())
            self.compare("sum of redistribution_wei", 0, total)
            self.compare("sum of stakes_wei", 0, sum(stakes))
        # The vault may hold money of other settlements too.
        balance = self.chain.balance(agreement.vault)
        self.checks.at_least("balance of the vault", left, balance, " wei")
