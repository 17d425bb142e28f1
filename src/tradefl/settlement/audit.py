r"""The audit: a settlement recomputed from the chain's events, to the wei, by anybody.

No key is needed and nothing that the contract computed is believed: the agreement is decoded
from what was published and hashed again; bonds, contributions, every payment ``t_ij`` and every
``R_i`` are recomputed by :mod:`tradefl.settlement.mirror`, and compared with the events, with
the contract's storage and with the ether that it holds.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tradefl.game import StrategyProfile
from tradefl.game.equilibrium import certify
from tradefl.settlement.agreement import Agreement, checksum, keccak, unsuitable
from tradefl.settlement.attestation import attested_by
from tradefl.settlement.chains import Chain
from tradefl.settlement.contract import Deployment, Event, Phase, called
from tradefl.settlement.settle import (
    State,
    decoded_agreement,
    drafted,
    read_state,
)
from tradefl.settlement.terms import EfficientTerms, Report

if TYPE_CHECKING:
    from tradefl.consortium import Consortium

SCHEMA = "tradefl/audit/1"
# Reports are rounded to a ppb, so they are an equilibrium to that precision only.
EQUILIBRIUM_TOLERANCE = 1e-7
SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Difference:
    """Something that is not as it must be.

    Attributes
    ----------
    place
        What differs.
    expected
        What it must be: by recomputation, or by the file.
    found
        What stands on the chain.
    """

    place: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.place}: expected {self.expected}, the chain has {self.found}"


@dataclasses.dataclass(frozen=True)
class Audit:
    """The verdict, and what it rests on.

    Attributes
    ----------
    contract, chain_id
        What was audited.
    phase
        Where the settlement stands.
    agreement
        The agreement as published; ``None`` while its parts are not all there.
    reports
        What counts for each organization, after rulings.
    redistribution
        ``R_i`` recomputed, wei; empty before the profile is recorded.
    checks
        How many comparisons were made.
    differences
        Those that failed.
    notes
        What is no fault but should be known.
    """

    contract: str
    chain_id: int
    phase: Phase
    agreement: Agreement | None
    reports: tuple[Report, ...]
    redistribution: tuple[int, ...]
    checks: int
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether everything agrees to the wei."""
        return not self.differences

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.agrees:
            return f"{self.checks:,} checks: everything agrees to the wei"
        return f"{len(self.differences):,} of {self.checks:,} checks fail"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document ``tradefl/audit/1``."""
        agreement = self.agreement
        return {
            "schema": SCHEMA,
            "chain_id": self.chain_id,
            "contract": self.contract,
            "agreement_hash": None if agreement is None else agreement.hash,
            "phase": self.phase.name.lower(),
            "agrees": self.agrees,
            "checks": self.checks,
            "differences": [dataclasses.asdict(one) for one in self.differences],
            "notes": list(self.notes),
            "organizations": [
                {
                    "name": name,
                    "data_ppb": report.data_ppb,
                    "cpu_hz": str(report.cpu_hz),
                    "redistribution_wei": str(wei),
                }
                for name, report, wei in zip(
                    () if agreement is None else agreement.names,
                    self.reports,
                    self.redistribution or [0] * len(self.reports),
                    strict=True,
                )
            ],
        }


def audit(
    chain: Chain, contract: str, consortium: Consortium | None = None, first_block: int = 0
) -> Audit:
    """Recompute a settlement from the chain, and compare it with a file if one is given.

    Raises
    ------
    ChainError
        There is no settlement of ours at the address, or the node does not answer.
    """
    with chain.pinned():
        event, deployed = drafted(chain, contract, first_block)
        book = _Book(chain, contract, chain.events(contract, event.block))
        return book.audited(deployed, consortium)


class _Book:
    """The events of one settlement, and what has been compared so far."""

    def __init__(self, chain: Chain, contract: str, events: Sequence[Event]) -> None:
        self.chain, self.contract, self.events = chain, contract, events
        self.by_file: Agreement | None = None
        self.checks = 0
        self.differences: list[Difference] = []
        self.notes: list[str] = []

    def named(self, name: str) -> list[dict[str, Any]]:
        return [one.arguments for one in self.events if one.name == name]

    def compare(self, place: str, expected: Any, found: Any) -> None:
        self.checks += 1
        if expected != found:
            expected, found = _apart(expected, found)
            self.differences.append(Difference(place, _shown(expected), _shown(found)))

    def audited(self, deployed: Deployment, consortium: Consortium | None) -> Audit:
        agreement = self._published(deployed)
        size = len(self.named("OrganizationListed")) if agreement is None else len(agreement)
        state = read_state(self.chain, self.contract, size)
        reports: tuple[Report, ...] = ()
        redistribution: tuple[int, ...] = ()
        if agreement is None:
            self.notes.append("the agreement is not published completely yet")
        else:
            if consortium is not None:
                self._against_file(agreement, consortium)
            self._windows(state)
            self._deposits(agreement, state)
            reports = self._reports(agreement, state)
            if consortium is not None and state.phase >= Phase.RECORDED:
                self._equilibrium(consortium, reports)
            if state.phase >= Phase.RECORDED and state.phase != Phase.CANCELLED:
                redistribution = tuple(agreement.redistribution(reports))
                if self.by_file is not None:
                    self._consequences(self.by_file, agreement, reports, redistribution)
                self._recorded(agreement, reports)
            self._money(agreement, state, redistribution)
        return Audit(
            contract=self.contract,
            chain_id=self.chain.chain_id,
            phase=state.phase,
            agreement=agreement,
            reports=reports,
            redistribution=redistribution,
            checks=self.checks,
            differences=tuple(self.differences),
            notes=tuple(self.notes),
        )

    # --- the agreement ---------------------------------------------------------------------------

    def _published(self, deployed: Deployment) -> Agreement | None:
        """Return the agreement that the events hold, its hash checked; ``None``: not complete."""
        terms = deployed.terms
        agreement = decoded_agreement(deployed, self.events)
        if agreement is None:
            return None
        self.compare("annex hash", terms[-1], keccak(agreement.annex))
        for k, (expected, block) in enumerate(
            zip(deployed.organization_hashes, agreement.organization_blocks, strict=True)
        ):
            self.compare(f"hash of block {k} of the organizations", expected, keccak(block))
        for k, (expected, block) in enumerate(
            zip(deployed.pair_hashes, agreement.pair_blocks, strict=True)
        ):
            self.compare(f"hash of block {k} of the pairs", expected, keccak(block))
        own = self.chain.read(self.contract, "agreementHash")
        self.compare("agreement hash", agreement.hash, "0x" + own.hex())
        for one in self.named("AgreementDrafted"):
            event_terms = [
                value.lower() if isinstance(value, str) else value
                for value in one["terms"].values()
            ]
            given = [value.lower() if isinstance(value, str) else value for value in terms]
            self.compare("terms, event", given, event_terms)
            self.compare("agreement hash, event", agreement.hash, "0x" + one["agreementHash"].hex())
        if isinstance(agreement.rule, EfficientTerms):
            self._schedules(agreement, agreement.rule)
        return agreement

    def _schedules(self, agreement: Agreement, rule: EfficientTerms) -> None:
        """Say whose schedule is not concave: the contract leaves that to whoever agrees."""
        for name, points in zip(agreement.names, rule.schedules, strict=True):
            problem = unsuitable(points, agreement.wei_per_payoff)
            if problem is not None:
                self.notes.append(f"{name}: its schedule is not as the rule wants it; {problem}")

    def _against_file(self, agreement: Agreement, consortium: Consortium) -> None:
        """Compare the agreement with a file, figure by figure."""
        given = consortium.organizations.addresses
        if consortium.names != agreement.names:
            self.compare("organizations", ", ".join(consortium.names), ", ".join(agreement.names))
            return
        for name, mine, theirs in zip(agreement.names, given, agreement.addresses, strict=True):
            if mine is not None:
                self.compare(f"{consortium.source}: {name}: address", checksum(mine), theirs)
        without = [name for name, mine in zip(agreement.names, given, strict=True) if mine is None]
        if without:
            self.notes.append(
                f"{consortium.source} names no address for {len(without)} organization"
                f"{'s' if len(without) > 1 else ''}; the chain's are taken"
            )
        filled = [
            mine if mine is not None else theirs
            for mine, theirs in zip(given, agreement.addresses, strict=True)
        ]
        # An address of the file may be another organization's on the chain.
        apart = len({one.lower() for one in filled}) == len(filled)
        expected = Agreement.of(consortium, filled if apart else agreement.addresses)
        self.compare(f"{consortium.source}: rule", expected.rule.name, agreement.rule.name)
        for place, mine, theirs in _figures(expected, agreement):
            self.compare(f"{consortium.source}: {place}", mine, theirs)
        self.compare(f"{consortium.source}: agreement hash", expected.hash, agreement.hash)
        self.by_file = expected

    def _consequences(
        self,
        expected: Agreement,
        agreement: Agreement,
        reports: Sequence[Report],
        redistribution: Sequence[int],
    ) -> None:
        """Compare what follows from the file's figures: what everybody would owe and get."""
        by_file = expected.redistribution(reports)
        for name, mine, theirs in zip(
            agreement.names, expected.bonds, agreement.bonds, strict=True
        ):
            self.compare(f"{name}: bond_wei by the file", mine, theirs)
        for name, mine, theirs in zip(agreement.names, by_file, redistribution, strict=True):
            self.compare(f"{name}: redistribution_wei by the file", mine, theirs)

    def _equilibrium(self, consortium: Consortium, reports: Sequence[Report]) -> None:
        """Say whether the reports are an equilibrium of the file, private figures included."""
        if self.by_file is None or any(report.silent for report in reports):
            return
        profile = StrategyProfile(
            np.array([report.data_ppb / 1e9 for report in reports]),
            np.array([float(report.cpu_hz) for report in reports]),
        )
        certificate = certify(consortium.game, profile)
        if not certificate.feasible:
            off = np.flatnonzero(~consortium.game.is_feasible(profile))
            who = ", ".join(consortium.names[i] for i in off[:SHOWN])
            who += f" and {off.size - SHOWN:,} more" if off.size > SHOWN else ""
            self.notes.append(
                f"by the time model of Eq. (2) the reports are not feasible in "
                f"{consortium.source}: those of {who} exceed what the deadline allows, as shares "
                "may that training has measured, because samples are whole"
            )
            return
        worst = int(np.argmax(certificate.regret))
        if not certificate.is_equilibrium(EQUILIBRIUM_TOLERANCE):
            self.notes.append(
                f"the reports are no equilibrium of {consortium.source}: "
                f"{consortium.names[worst]} could gain {certificate.max_regret:.6g} by deviating "
                "alone; reports may be measured ones, or a private figure of the file has changed"
            )

    # --- the organizations -----------------------------------------------------------------------

    def _windows(self, state: State) -> None:
        """Compare the deadlines of the events with the contract's, and count the milestones."""
        recorded = Phase.RECORDED <= state.phase < Phase.CANCELLED
        for name, due, deadlines in (
            ("JoiningOpened", None, {"joinDeadline": state.join_deadline}),
            ("ReportingOpened", None, {"reportDeadline": state.report_deadline}),
            (
                "ProfileRecorded",
                recorded,
                {
                    "disputeDeadline": state.dispute_deadline,
                    "rulingDeadline": state.ruling_deadline,
                },
            ),
            ("SettlementCompleted", state.phase == Phase.SETTLED, {}),
            ("SettlementCancelled", state.phase == Phase.CANCELLED, {}),
        ):
            found = self.named(name)
            if due is not None:
                self.compare(f"number of {name}", int(due), len(found))
            for one in found:
                for key, expected in deadlines.items():
                    self.compare(f"{name}: {key}", expected, one[key])

    def _deposits(self, agreement: Agreement, state: State) -> None:
        deposits = {one["account"]: one["amount"] for one in self.named("DepositSubmitted")}
        self.compare("number of deposits", len(deposits), len(self.named("DepositSubmitted")))
        self.compare("number of deposits, storage", len(deposits), state.joined)
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
                self.checks += 1
                if deposits[address] < bond:
                    self.differences.append(
                        Difference(
                            f"{name}: deposit_wei", f"at least {bond:,}", f"{deposits[address]:,}"
                        )
                    )

    def _reports(self, agreement: Agreement, state: State) -> tuple[Report, ...]:
        """Return what counts for each organization, from reports and rulings."""
        nothing = Report(data_ppb=0, cpu_hz=0)
        current = dict.fromkeys(agreement.addresses, nothing)
        index = {address: i for i, address in enumerate(agreement.addresses)}
        verified = int(agreement.verifier, 16) != 0
        for event in self.events:
            if event.name not in ("ContributionSubmitted", "DisputeRuled"):
                continue
            one = event.arguments
            ruled = event.name == "DisputeRuled"
            address = one["accused" if ruled else "account"]
            if address not in index:
                self.compare(f"{event.name}: account is listed", True, address)
                continue
            report = Report(data_ppb=one["dataPpb"], cpu_hz=one["cpuHz"])
            name = agreement.names[index[address]]
            score = agreement.score(index[address], report)
            self.compare(f"{name}: score", score, one["score"])
            if not (ruled and report == nothing):
                self._feasible(agreement, index[address], report)
            if verified and not ruled:
                self._attested(agreement, name, address, report, event.transaction)
            current[address] = report
        submitted = {one["account"] for one in self.named("ContributionSubmitted")}
        accused = {one["accused"] for one in self.named("DisputeRaised")}
        for address, place in zip(agreement.addresses, state.places, strict=True):
            name = agreement.names[index[address]]
            self.compare(f"{name}: has reported", address in submitted, place.reported)
            self.compare(f"{name}: is disputed", address in accused, place.disputed)
            self.compare(f"{name}: report", current[address], place.report)
            score = agreement.score(index[address], current[address])
            self.compare(f"{name}: score, storage", score, place.score)
        return tuple(current[address] for address in agreement.addresses)

    def _feasible(self, agreement: Agreement, i: int, report: Report) -> None:
        name, levels = agreement.names[i], agreement.cpu_levels_hz[i]
        self.compare(f"{name}: cpu_hz is one of its levels", True, report.cpu_hz in levels)
        in_range = agreement.min_data_ppb <= report.data_ppb <= 10**9
        self.compare(f"{name}: data_ppb is in [D_min, 1]", True, in_range)

    def _attested(
        self, agreement: Agreement, name: str, address: str, report: Report, hash_: str
    ) -> None:
        """Check the verifier's signature, where the report was sent to the contract itself."""
        _, data = self.chain.sent(hash_)
        call = called(data)
        if call is None or call[0] != "contributionSubmit":
            self.notes.append(f"{name}: its report came by way of another contract, {hash_}")
            return
        signature = call[1]["attestation"]
        signer = attested_by(self.chain.chain_id, self.contract, address, report, signature)
        self.compare(f"{name}: signed by the verifier", agreement.verifier, signer)

    # --- the profile and the money ---------------------------------------------------------------

    def _recorded(self, agreement: Agreement, reports: Sequence[Report]) -> None:
        for one in self.named("ProfileRecorded"):
            ruled = {it["accused"] for it in self.named("DisputeRuled")}
            for name, address, report, d, f in zip(
                agreement.names,
                agreement.addresses,
                reports,
                one["dataPpb"],
                one["cpuHz"],
                strict=True,
            ):
                if address not in ruled:  # a ruling comes after the record and replaces it
                    recorded = Report(data_ppb=d, cpu_hz=f)
                    self.compare(f"{name}: recorded profile", report, recorded)
                if report.silent:
                    self.notes.append(f"{name} reported nothing: it compensates in full")

    def _money(self, agreement: Agreement, state: State, redistribution: Sequence[int]) -> None:
        settled = state.phase == Phase.SETTLED
        transfers = {one["account"]: one for one in self.named("PayoffTransferred")}
        withdrawals: dict[str, list[int]] = {}
        for one in self.named("Withdrawn"):
            withdrawals.setdefault(one["account"], []).append(one["amount"])
        left = 0
        for i, (name, place) in enumerate(zip(agreement.names, state.places, strict=True)):
            credit = place.deposit
            if settled:
                wei = redistribution[i]
                credit += wei
                paid = transfers.get(place.account, {})
                self.compare(f"{name}: redistribution_wei", wei, paid.get("redistribution"))
                self.compare(f"{name}: deposit_wei, credited", place.deposit, paid.get("deposit"))
                self.compare(f"{name}: credit_wei", credit, paid.get("credit"))
            if state.phase in (Phase.CALCULATED, Phase.SETTLED):
                stored = place.redistribution
                self.compare(f"{name}: redistribution_wei, storage", redistribution[i], stored)
            taken = withdrawals.get(place.account, [])
            self.compare(f"{name}: has withdrawn", bool(taken), place.withdrawn)
            if taken:
                self.compare(f"{name}: withdrawn_wei", [credit], taken)
            left += credit - sum(taken)
        if settled:
            total = sum(one["redistribution"] for one in transfers.values())
            self.compare("sum of redistribution_wei", 0, total)
        balance = self.chain.balance(self.contract)
        self.checks += 1
        if balance < left:
            self.differences.append(
                Difference("balance of the contract", f"{left:,} wei", f"{balance:,} wei")
            )
        elif balance > left:
            self.notes.append(f"{balance - left:,} wei were forced into the contract")


def _figures(mine: Agreement, theirs: Agreement) -> Iterator[tuple[str, Any, Any]]:
    """Yield every figure of two agreements of the same organizations: place, mine, theirs."""
    for key in (
        "min_data_ppb",
        "wei_per_payoff",
        "verifier",
        "arbiter",
        "join_seconds",
        "report_seconds",
        "dispute_seconds",
        "ruling_seconds",
    ):
        yield key, getattr(mine, key), getattr(theirs, key)
    for i, name in enumerate(mine.names):
        for key, column in (
            ("data_bits", "data_bits"),
            ("cpu_levels_hz", "cpu_levels_hz"),
        ):
            yield f"{name}: {key}", getattr(mine, column)[i], getattr(theirs, column)[i]
    if mine.rule.name == theirs.rule.name:  # otherwise nothing stands for the same
        for (place, a), (_, b) in zip(
            mine.rule.figures(mine.names), theirs.rule.figures(theirs.names), strict=True
        ):
            yield place, a, b
    yield from _annex_figures(json.loads(mine.annex), json.loads(theirs.annex), "annex")


def _annex_figures(mine: Any, theirs: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in sorted(mine.keys() | theirs.keys()):
            yield from _annex_figures(mine.get(key), theirs.get(key), f"{place}.{key}")
    elif isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        for k, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            yield from _annex_figures(a, b, f"{place}[{k}]")
    else:
        yield place, mine, theirs


def _apart(mine: Any, theirs: Any) -> tuple[Any, Any]:
    """Return of two schedules the breakpoints that the other has not; anything else whole."""
    if not all(
        isinstance(one, tuple) and all(isinstance(x, str) for x in one) for one in (mine, theirs)
    ):
        return mine, theirs
    return tuple(x for x in mine if x not in theirs), tuple(x for x in theirs if x not in mine)


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, Report):
        return f"d = {value.data_ppb:,} ppb, f = {value.cpu_hz:,} Hz"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "nothing"}[value]
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or "nothing"
    return f"{value:,}" if isinstance(value, int) else str(value)
