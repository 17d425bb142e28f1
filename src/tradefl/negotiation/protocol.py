"""The rules of the negotiation: whose turn it is, what counts, and when it is over.

Best responses must be made one after the other (erratum E8). So there is a token: turn ``t``
belongs to position ``t mod N`` in the agreement's order. In its turn an organization proposes what
it contributes; proposing what already stands is a pass. A turn that nobody uses within its time
limit is skipped. Two rounds in which nobody moved end it, and so does half of the time that the
agreement gives for reports: whoever never stops moving must not keep the others from reporting.

All of that follows from the log of proposals and their block times alone, so everybody who reads
the same chain comes to the same standing: each agent, and any auditor.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Literal

from tradefl.settlement.agreement import Agreement
from tradefl.settlement.mirror import PPB
from tradefl.settlement.terms import Report

QUIET_ROUNDS = 2
# Proposals have nine digits: a regret within this share of a payoff's terms is rounding.
TOLERANCE = 1e-7

Kind = Literal["moved", "passed", "rejected"]


@dataclasses.dataclass(frozen=True, order=True)
class Proposal:
    """A proposal as the log has it.

    Attributes
    ----------
    block, position
        Where it stands: the block, and the place among the block's events.
    seconds
        The block's time.
    account
        Who sent it.
    report
        ``d`` and ``f``, in the contract's integers.
    """

    block: int
    position: int
    seconds: int = dataclasses.field(compare=False)
    account: str = dataclasses.field(compare=False)
    report: Report = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True)
class Ruling:
    """What a proposal came to.

    Attributes
    ----------
    proposal
        The proposal.
    turn
        In which turn it came.
    skipped
        How many turns had gone by unused since the one before.
    kind
        Whether it moved, passed, or does not count.
    reason
        Why it does not count.
    """

    proposal: Proposal
    turn: int
    skipped: int
    kind: Kind
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Standing:
    """Where the negotiation stands.

    Attributes
    ----------
    size
        N.
    turn
        The present turn, counted from 0.
    began
        When it began, chain time.
    quiet
        How many turns in a row brought no move.
    out_of_time
        Whether the time for negotiating has run out.
    reports
        What everybody's contribution is at present.
    rulings
        On every proposal, in order.
    """

    size: int
    turn: int
    began: int
    quiet: int
    out_of_time: bool
    reports: tuple[Report, ...]
    rulings: tuple[Ruling, ...]

    @property
    def over(self) -> bool:
        """Whether it has ended: two rounds without a move, or no time left."""
        return self.out_of_time or self.quiet >= QUIET_ROUNDS * self.size

    @property
    def round(self) -> int:
        """The present round, counted from 1."""
        return self.turn // self.size + 1

    @property
    def whose(self) -> int:
        """Whose turn it is."""
        return self.turn % self.size

    @property
    def skipped(self) -> tuple[int, ...]:
        """The turns in which nothing counted, in order."""
        used = {ruling.turn for ruling in self.rulings if ruling.kind != "rejected"}
        return tuple(turn for turn in range(self.turn) if turn not in used)

    @property
    def moves(self) -> int:
        """How many proposals changed something."""
        return sum(ruling.kind == "moved" for ruling in self.rulings)


def initial_reports(agreement: Agreement) -> tuple[Report, ...]:
    """Return where DBR starts: ``d = D_min``, ``f = F^(m)``."""
    return tuple(
        Report(data_ppb=agreement.min_data_ppb, cpu_hz=levels[-1])
        for levels in agreement.cpu_levels_hz
    )


def replay(
    agreement: Agreement,
    opened: int,
    proposals: Iterable[Proposal],
    *,
    now: int | None = None,
) -> Standing:
    """Return where a log of proposals leads.

    Parameters
    ----------
    agreement
        Who takes part, in which order, and what is feasible.
    opened
        When everybody had joined, chain time: the first turn begins.
    proposals
        In any order, and each any number of times: reads of a node may overlap.
    now
        The chain's present time; turns that have passed unused until then are skipped.
    """
    size, turn_seconds = len(agreement), agreement.turn_seconds
    places = {account: i for i, account in enumerate(agreement.addresses)}
    reports = list(initial_reports(agreement))
    turn, began, quiet = 0, opened, 0
    end = opened + agreement.report_seconds // 2
    rulings: list[Ruling] = []

    def skip(until: int) -> int:
        """Let unused turns go by, as long as it is not over; return how many."""
        nonlocal turn, began, quiet
        unused = max(0, (min(until, end) - began) // turn_seconds)
        unused = min(unused, QUIET_ROUNDS * size - quiet)
        turn, began, quiet = turn + unused, began + unused * turn_seconds, quiet + unused
        return unused

    for proposal in sorted(set(proposals)):
        skipped = skip(proposal.seconds)

        def ruled(kind: Kind, reason: str = "") -> None:
            rulings.append(Ruling(proposal, turn, skipped, kind, reason))  # noqa: B023

        i = places.get(proposal.account)
        if i is None:
            ruled("rejected", "is no organization of the agreement")
        elif proposal.seconds < opened:
            ruled("rejected", "not everybody had joined")
        elif quiet >= QUIET_ROUNDS * size or proposal.seconds >= end:
            ruled("rejected", "the negotiation was over")
        elif turn % size != i:
            ruled("rejected", f"it was the turn of {agreement.names[turn % size]}")
        elif (why := infeasible(agreement, i, proposal.report)) is not None:
            ruled("rejected", why)
        else:
            moved = proposal.report != reports[i]
            ruled("moved" if moved else "passed")
            reports[i] = proposal.report
            quiet = 0 if moved else quiet + 1
            turn, began = turn + 1, proposal.seconds
    if now is not None:
        skip(now)
    out_of_time = now is not None and now >= end
    return Standing(size, turn, began, quiet, out_of_time, tuple(reports), tuple(rulings))


def infeasible(agreement: Agreement, i: int, report: Report) -> str | None:
    """Return why a proposal is outside organization i's feasible set, as far as it is public.

    The deadline is not: it depends on the organization's private effort and times.
    """
    if not agreement.min_data_ppb <= report.data_ppb <= PPB:
        least = agreement.min_data_ppb / PPB
        return f"d = {report.data_ppb / PPB:.9g} is not in [{least:g}, 1]"
    if report.cpu_hz not in agreement.cpu_levels_hz[i]:
        return f"f = {report.cpu_hz:,} Hz is none of its levels"
    return None
