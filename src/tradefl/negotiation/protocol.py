"""The rules of the negotiation: whose turn it is, what counts, and when it is over.

Best responses must be made one after the other (erratum E8). So there is a token: turn ``t``
belongs to position ``t mod N`` in the agreement's order. In its turn an organization proposes its
contribution; a proposal that repeats the present one is a pass. A turn that is not used in time is
skipped. Two rounds without a move end the negotiation, and so does half of the time that the
agreement gives for reports: an organization that never stops moving must not keep the others from
reporting.

A turn is over in two steps (``turn_blocks`` in the annex). Its time runs out with the first block
that is ``turn_seconds`` or more after its beginning; it is lost ``turn_blocks`` blocks later, and
the next turn begins with that block. So a halted chain costs nobody a turn:
when it goes on, blocks follow in which the proposal still counts. The end of the time for
negotiating follows the same two steps. Agreements of before that term go by time alone.

All of that follows from the log of proposals and the times of blocks, so everybody who reads the
same chain comes to the same standing: each agent, and any auditor.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Literal, Protocol

from tradefl.settlement.agreement import Agreement
from tradefl.settlement.arithmetic import PPB
from tradefl.settlement.rules import Report

QUIET_ROUNDS = 2
# Proposals have nine digits: a regret within this share of a payoff's terms is rounding.
TOLERANCE = 1e-7

Kind = Literal["moved", "passed", "rejected"]


class BlockTimes:
    """When the blocks of a chain were made.

    Parameters
    ----------
    height
        The number of the latest block.
    seconds
        Returns the time of a block from 0 to ``height``, chain time. Times never fall. Each
        block is asked for once.
    """

    def __init__(self, height: int, seconds: Callable[[int], int]) -> None:
        self.height = height
        self._seconds = seconds
        self._known: dict[int, int] = {}

    def at(self, block: int) -> int:
        """Return the time of a block."""
        if block not in self._known:
            self._known[block] = self._seconds(block)
        return self._known[block]

    def first_at(self, seconds: int, start: int = 0) -> int | None:
        """Return the first block of that time or later; ``None`` if no block is that late yet.

        Parameters
        ----------
        seconds
            Chain time.
        start
            A block that is not behind the wanted one, to search from.
        """
        step, below = 1, start - 1  # every block up to ``below`` is earlier
        while (probe := below + step) < self.height and self.at(probe) < seconds:
            below, step = probe, 2 * step
        high = min(probe, self.height)
        if high < start or self.at(high) < seconds:
            return None
        while high - below > 1:
            middle = (below + high) // 2
            if self.at(middle) < seconds:
                below = middle
            else:
                high = middle
        return high


@dataclasses.dataclass(frozen=True, order=True)
class Proposal:
    """A proposal as the log has it.

    Attributes
    ----------
    block, position
        Its place: the block, and the index among the block's events.
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
    """The state of the negotiation.

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
    lacks_blocks
        Whether the time of the present turn is over, and only blocks are missing until it is lost.
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
    lacks_blocks: bool = False

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
    """Return where DBR starts: ``d = D_min``, ``f = F^(m)``; a payee does not negotiate."""
    return tuple(
        Report(data_ppb=agreement.min_data_ppb, cpu_hz=levels[-1])
        for levels in agreement.cpu_levels_hz[: agreement.players]
    )


def replay(
    agreement: Agreement,
    opened: int,
    proposals: Iterable[Proposal],
    *,
    now: int | None = None,
    blocks: BlockTimes | None = None,
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
        The time that the next block would have; turns that are lost by then are skipped.
    blocks
        The times of the chain's blocks; needed where the agreement has ``turn_blocks``.

    Raises
    ------
    ValueError
        The agreement counts blocks, and ``blocks`` is missing.
    """
    wait = agreement.turn_blocks
    if wait and blocks is None:
        raise ValueError("blocks: expected the times of blocks, which the agreement's turns count")
    clock: _Clock = (
        _ByTime(agreement, opened, now)
        if blocks is None or not wait
        else _ByBlocks(agreement, opened, now, blocks, wait)
    )
    size = agreement.players
    places = {account: i for i, account in enumerate(agreement.addresses[:size])}
    reports = list(initial_reports(agreement))
    turn, quiet = 0, 0
    rulings: list[Ruling] = []

    def skip(place: _Place) -> int:
        """Let unused turns go by, as long as it is not over; return how many."""
        nonlocal turn, quiet
        unused = clock.skip(place, QUIET_ROUNDS * size - quiet)
        turn, quiet = turn + unused, quiet + unused
        return unused

    for proposal in sorted(set(proposals)):
        place = _Place(proposal.block, proposal.seconds)
        skipped = skip(place)

        def ruled(kind: Kind, reason: str = "") -> None:
            rulings.append(Ruling(proposal, turn, skipped, kind, reason))  # noqa: B023

        i = places.get(proposal.account)
        if i is None:
            ruled("rejected", "is not an organization of the agreement")
        elif proposal.seconds < opened:
            ruled("rejected", "not everybody had joined")
        elif quiet >= QUIET_ROUNDS * size or clock.ended(place):
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
            turn += 1
            clock.begin(place)
    out_of_time = lacks_blocks = False
    if now is not None:
        place = _Place(0 if blocks is None else blocks.height + 1, now)
        skip(place)
        out_of_time = clock.ended(place)
        lacks_blocks = clock.lacks_blocks(place)
    return Standing(
        size,
        turn,
        clock.began,
        quiet,
        out_of_time,
        tuple(reports),
        tuple(rulings),
        lacks_blocks and quiet < QUIET_ROUNDS * size and not out_of_time,
    )


@dataclasses.dataclass(frozen=True)
class _Place:
    """A place on the chain: a block, which may be the one that comes next, and its time."""

    block: int
    seconds: int


class _Clock(Protocol):
    """When turns are lost, and when the time for negotiating is over."""

    began: int

    def begin(self, place: _Place) -> None:
        """Begin a turn."""

    def skip(self, until: _Place, most: int) -> int:
        """Begin the turn that a place belongs to if nothing counts before; return how many go by.

        At most ``most``.
        """

    def ended(self, place: _Place) -> bool:
        """Tell whether at a place the time for negotiating is over."""

    def lacks_blocks(self, place: _Place) -> bool:
        """Tell whether at a place the time of the present turn is over, but not the turn."""


class _ByTime:
    """Agreements without ``turn_blocks``: a turn is lost to the second."""

    def __init__(self, agreement: Agreement, opened: int, _now: int | None) -> None:
        self.turn_seconds = agreement.turn_seconds
        self.began = opened
        self.end = opened + agreement.report_seconds // 2

    def begin(self, place: _Place) -> None:
        self.began = place.seconds

    def skip(self, until: _Place, most: int) -> int:
        unused = (min(until.seconds, self.end) - self.began) // self.turn_seconds
        unused = min(max(0, unused), most)
        self.began += unused * self.turn_seconds
        return unused

    def ended(self, place: _Place) -> bool:
        return place.seconds >= self.end

    def lacks_blocks(self, _place: _Place) -> bool:
        return False


class _ByBlocks:
    """A turn is lost some blocks after the first block behind its time."""

    def __init__(
        self, agreement: Agreement, opened: int, now: int | None, blocks: BlockTimes, wait: int
    ) -> None:
        self.turn_seconds = agreement.turn_seconds
        self.wait, self.now, self.blocks = wait, now, blocks
        self.began = opened
        self.block = self._first_at(opened, 0) or 0
        out = self._first_at(opened + agreement.report_seconds // 2, self.block)
        self.end = None if out is None else out + wait

    def _first_at(self, seconds: int, start: int) -> int | None:
        """Return the first block of that time or later, which may be the one that comes next."""
        found = self.blocks.first_at(seconds, start)
        if found is None and self.now is not None and self.now >= seconds:
            return self.blocks.height + 1
        return found

    def _seconds(self, block: int) -> int:
        return self.blocks.at(block) if block <= self.blocks.height else self.now or 0

    def _lost(self) -> int | None:
        """Return the block with which the present turn is lost; ``None`` if that is open."""
        out = self._first_at(self.began + self.turn_seconds, self.block)
        return None if out is None else out + self.wait

    def begin(self, place: _Place) -> None:
        self.block, self.began = place.block, place.seconds

    def skip(self, until: _Place, most: int) -> int:
        unused = 0
        while unused < most:
            lost = self._lost()
            if lost is None or lost > until.block or (self.end is not None and lost >= self.end):
                break
            self.block, self.began = lost, self._seconds(lost)
            unused += 1
        return unused

    def ended(self, place: _Place) -> bool:
        return self.end is not None and place.block >= self.end

    def lacks_blocks(self, place: _Place) -> bool:
        return place.seconds >= self.began + self.turn_seconds


def infeasible(agreement: Agreement, i: int, report: Report) -> str | None:
    """Return why a proposal is outside organization i's feasible set, as far as it is public.

    The deadline is not: it depends on the organization's private effort and times.
    """
    if not agreement.min_data_ppb <= report.data_ppb <= PPB:
        least = agreement.min_data_ppb / PPB
        return f"d = {report.data_ppb / PPB:.9g} is not in [{least:g}, 1]"
    if report.cpu_hz not in agreement.cpu_levels_hz[i]:
        return f"f = {report.cpu_hz:,} Hz is not one of its levels"
    return None
