"""A negotiation, replayed from the chain: every turn, every proposal, and what came of it.

From public data follow the turns, the feasible sets (but for the deadline, which depends on private
effort) and whether each organization contributed what it last proposed. That a proposal is a best
response follows from private figures; a reader with the whole file can check that too.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from tradefl.consortium import Consortium
from tradefl.game import CoopetitionGame, certify
from tradefl.negotiation.agent import profile_of
from tradefl.negotiation.on_chain import ChainBoard
from tradefl.negotiation.protocol import (
    TOLERANCE,
    Ruling,
    Standing,
    initial_reports,
)
from tradefl.settlement.agreed import agreed_game
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.chains import Chain
from tradefl.settlement.contract import ChainError
from tradefl.settlement.ethereum import ZERO_ADDRESS
from tradefl.settlement.evidence import require_logs
from tradefl.settlement.published import decoded_agreement, drafted
from tradefl.settlement.rules import Report
from tradefl.settlement.state import read_state

if TYPE_CHECKING:
    from tradefl.documents.audit import NegotiationReplay, ReplayedProposal


@dataclasses.dataclass(frozen=True)
class Verification:
    """What a replay has found.

    Attributes
    ----------
    agreement
        Who negotiated.
    standing
        Its state; ``None`` before everybody had joined, and where nobody has proposed anything.
    findings
        What is not as it must be, in words.
    notes
        What is no fault of the result but should be known: proposals that did not count, turns
        that were skipped, what cannot be checked.
    max_regret
        With the file: the most that anybody could gain by leaving where it ended.
    """

    agreement: Agreement
    standing: Standing | None
    findings: tuple[str, ...]
    notes: tuple[str, ...]
    max_regret: float | None = None

    @property
    def agrees(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def document(self) -> NegotiationReplay:
        """Return the part of an audit's JSON document."""
        from tradefl.documents.audit import NegotiatedContribution, NegotiationReplay

        standing = self.standing
        if standing is None:
            return NegotiationReplay(
                agrees=self.agrees,
                findings=list(self.findings),
                notes=list(self.notes),
                max_regret=self.max_regret,
                over=False,
                proposals=[],
            )
        return NegotiationReplay(
            agrees=self.agrees,
            findings=list(self.findings),
            notes=list(self.notes),
            max_regret=self.max_regret,
            over=standing.over,
            rounds=standing.round,
            moves=standing.moves,
            proposals=[_entry(self.agreement, ruling) for ruling in standing.rulings],
            profile=[
                NegotiatedContribution(
                    name=name, data_ppb=report.data_ppb, cpu_hz=str(report.cpu_hz)
                )
                for name, report in zip(self.agreement.names, standing.reports, strict=False)
            ],
        )

    def to_dict(self) -> dict[str, Any]:
        """Return :meth:`document` as plain values."""
        return self.document().to_dict()


def verify(
    chain: Chain,
    contract: str,
    consortium: Consortium | None = None,
    *,
    first_block: int = 0,
) -> Verification:
    """Replay the negotiation of a contract.

    Parameters
    ----------
    chain, contract
        Where; no key is needed.
    consortium
        The whole file, private figures included: then every answer is compared with the best
        response, and the end with an equilibrium.
    first_block
        Where the contract's events begin.

    Raises
    ------
    ChainError
        There is no settlement of ours, its agreement is not published, or the node does not keep
        all of its logs.
    """
    with chain.pinned():
        event, deployed = drafted(chain, contract, first_block)
        events = chain.events(contract, event.block)
        listed = int(chain.read(contract, "progress")["listed"])
        state = read_state(chain, contract, listed)
        # A proposal that the node leaves out would look like somebody's silence.
        require_logs(chain.place, contract, state, events, deployed.rule)
        agreement = decoded_agreement(deployed, events)
        if agreement is None:
            raise ChainError(contract, "has not published its agreement completely")
        board = ChainBoard(chain, contract, agreement, None, event.block)
        standing = board.look().standing(agreement)
    if standing is None:
        return Verification(agreement, None, ("nobody could negotiate: not all have joined",), ())
    if not standing.rulings:  # everybody's silence is nobody's fault: they may not have tried
        what = "nobody negotiated: the contract has no proposal, so there is nothing to replay"
        return Verification(agreement, None, (what,), ())
    findings, notes = (
        [],
        [_sentence(agreement, ruling) for ruling in standing.rulings if _odd(ruling)],
    )
    if not standing.over:
        whose = agreement.names[standing.whose]
        findings.append(f"it is not over: round {standing.round}, turn of {whose}")
    n = agreement.players
    for name, place, negotiated in zip(
        agreement.names[:n],
        state.places[:n],
        standing.reports,
        strict=True,
    ):
        if place.reported and place.report != negotiated:
            text = f"{name} contributed {_words(place.report)}, negotiated {_words(negotiated)}"
            if agreement.verifier == ZERO_ADDRESS:
                findings.append(text)
            else:  # the verifier has measured it
                notes.append(text)
    regret = None
    if consortium is None or consortium.settling != agreement.names:
        notes.append(
            "whether a proposal is a best response depends on private figures: only the whole "
            "file can tell"
        )
    else:
        game = agreed_game(consortium, agreement)
        findings += _answers(game, agreement, standing)
        certificate = certify(game, profile_of(standing.reports))
        regret = certificate.max_regret
        if standing.over and not certificate.is_equilibrium(TOLERANCE):
            who = agreement.names[int(np.argmax(certificate.regret))]
            findings.append(f"it ended in no equilibrium: {who} could gain {regret:.6g}")
    return Verification(agreement, standing, tuple(findings), tuple(notes), regret)


def _answers(game: CoopetitionGame, agreement: Agreement, standing: Standing) -> list[str]:
    """Return whose answers were not best responses to what stood, by the file's figures."""
    findings = []
    reports = list(initial_reports(agreement))
    for ruling in standing.rulings:
        if ruling.kind == "rejected":
            continue
        i = ruling.turn % agreement.players
        reports[i] = ruling.proposal.report
        certificate = certify(game, profile_of(reports))
        gain = float(certificate.regret[i])
        if gain > TOLERANCE * float(certificate.payoff_scale[i]):
            findings.append(
                f"round {ruling.turn // agreement.players + 1}: {agreement.names[i]} proposed "
                f"{_words(ruling.proposal.report)}; by the file's figures another answer was "
                f"worth {gain:.6g} more to it"
            )
    return findings


def _odd(ruling: Ruling) -> bool:
    return ruling.kind == "rejected" or ruling.skipped > 0


def _sentence(agreement: Agreement, ruling: Ruling) -> str:
    proposal, size = ruling.proposal, agreement.players
    if ruling.kind != "rejected":
        before = [agreement.names[(ruling.turn - k) % size] for k in range(ruling.skipped, 0, -1)]
        shown = ", ".join(before[:size])
        return f"before round {ruling.turn // size + 1}, turn {ruling.turn}: skipped {shown}"
    known = dict(zip(agreement.addresses, agreement.names, strict=True))
    who = known.get(proposal.account, proposal.account)
    what = _words(proposal.report)
    return f"block {proposal.block}: {who}'s {what} did not count: {ruling.reason}"


def _words(report: Report) -> str:
    return f"d = {report.data_ppb:,} ppb, f = {report.cpu_hz:,} Hz"


def _entry(agreement: Agreement, ruling: Ruling) -> ReplayedProposal:
    from tradefl.documents.audit import ReplayedProposal

    known = dict(zip(agreement.addresses, agreement.names, strict=True))
    return ReplayedProposal(
        round=ruling.turn // agreement.players + 1,
        turn=ruling.turn,
        organization=known.get(ruling.proposal.account),
        account=ruling.proposal.account,
        data_ppb=ruling.proposal.report.data_ppb,
        cpu_hz=str(ruling.proposal.report.cpu_hz),
        block=ruling.proposal.block,
        outcome=ruling.kind,
        skipped=ruling.skipped,
        reason=ruling.reason,
    )
