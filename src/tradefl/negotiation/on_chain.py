"""The contract as a board: proposals are its events, the time is that of its blocks."""

from __future__ import annotations

import dataclasses
import time

from tradefl.negotiation.agent import View
from tradefl.negotiation.protocol import BlockTimes, Proposal
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.chains import (
    Chain,
    EventReader,
    MissingLogsError,
    NoAnswerError,
    StateChangedError,
)
from tradefl.settlement.contract import Event, Phase, RevertedError, encoded_call
from tradefl.settlement.ethereum import ZERO_ADDRESS
from tradefl.settlement.rules import Report
from tradefl.settlement.settle import NO_STATEMENT
from tradefl.settlement.state import read_phase

# How often the log is read again when blocks vanish while it is read.
LAG_SECONDS, LOOK_AGAIN_SECONDS = 5.0, 0.2  # logs that come after their block
ATTEMPTS = 5
# A node behind a load balancer may know a block and not yet its events, so even under the same
# head everything is read again after a while.
FRESH_SECONDS = 1.0
# Times of blocks so far below the head are kept: no reorganization is expected to reach them.
DEEP_BLOCKS = 128


class ChainBoard:
    """A settlement's contract, as one organization's account may use it.

    Parameters
    ----------
    chain
        With the key of the account.
    contract
        Where the agreement is settled.
    agreement
        What is settled there.
    me
        The organization's number; ``None`` for somebody who only reads.
    first_block
        Where the contract's events begin.
    """

    def __init__(
        self,
        chain: Chain,
        contract: str,
        agreement: Agreement,
        me: int | None = None,
        first_block: int = 0,
    ) -> None:
        self.chain = chain
        self.contract = contract
        self.agreement = agreement
        self.me = me
        self._events = EventReader(chain, contract, first_block)
        self._times: dict[str, int] = {}  # by a block's hash, which never has another
        self._deep: dict[int, int] = {}  # by a block's number
        # The chain's head when everything was read, since when by no clock, and what was read.
        self._seen = ""
        self._since = 0.0
        self._view = View(None, (), 0, False)

    def look(self) -> View:
        """Return the present state; read again if the chain has a new head, or after a while.

        Raises
        ------
        ChainError
            The node does not answer, has other blocks whenever it is asked, or does not keep all
            proposals that the contract has counted.
        """
        for _ in range(ATTEMPTS):
            head = self.chain.head()
            if head != self._seen or time.monotonic() - self._since > FRESH_SECONDS:
                try:
                    view = self._complete()
                    self._view, self._seen, self._since = view, head, time.monotonic()
                except StateChangedError:  # a block was undone between two answers
                    continue
            return dataclasses.replace(self._view, now=self.chain.now())
        raise NoAnswerError(self.chain.place, "its blocks change while they are read")

    def _complete(self) -> View:
        """Return what the board shows; a node may show a block first, and its logs a moment later.

        Raises
        ------
        MissingLogsError
            The logs do not come.
        """
        until = time.monotonic() + LAG_SECONDS
        while True:
            try:
                return self._read()
            except MissingLogsError:
                if time.monotonic() >= until:
                    raise
                self._events.forget()
                time.sleep(LOOK_AGAIN_SECONDS)

    def _read(self) -> View:
        # At one block: a proposal in a block that counts must be among those that are read.
        with self.chain.pinned():
            height = self.chain.height()
            made = int(self.chain.read(self.contract, "progress")["proposals"])
            events = self._events.read()
            opened = [event for event in events if event.name == "ReportingOpened"]
            begun = (
                bool(opened)
                or Phase.OPEN <= read_phase(self.chain, self.contract) < Phase.CANCELLED
            )
        proposals = [event for event in events if event.name == "Proposed"]
        if begun and not opened:
            # Read as the whole truth, it would be a wait for others that have joined long ago.
            raise MissingLogsError(
                self.chain.place,
                f"this node does not keep these logs: in {self.contract} everybody has joined, and "
                "the node has no event of it; use a node that keeps all logs",
            )
        if len(proposals) < made:
            # Read as the whole truth, it would make somebody silent that has answered.
            raise MissingLogsError(
                self.chain.place,
                f"this node does not keep these logs: {self.contract} has counted {made:,} "
                f"proposals, the node has {len(proposals):,}; use a node that keeps all logs",
            )
        began = self._time(opened[0]) if opened else None
        contributed = self.me is not None and self._contributed()
        blocks = None
        if self.agreement.turn_blocks:
            blocks = BlockTimes(height, lambda block: self._seconds(block, height))
        return View(began, tuple(map(self._proposal, proposals)), 0, contributed, blocks)

    def _seconds(self, block: int, height: int) -> int:
        """Return the time of a block up to the height that was read, chain time."""
        if block in self._deep:
            return self._deep[block]
        found = self.chain.header(block)
        if found is None:  # a reorganization has made the chain shorter
            raise StateChangedError
        if block <= height - DEEP_BLOCKS:
            self._deep[block] = found.seconds
        return found.seconds

    def _proposal(self, event: Event) -> Proposal:
        return Proposal(
            block=event.block,
            position=event.index,
            seconds=self._time(event),
            account=str(event.arguments["account"]),
            report=Report(
                data_ppb=int(event.arguments["dataPpb"]), cpu_hz=int(event.arguments["cpuHz"])
            ),
        )

    def _time(self, event: Event) -> int:
        if event.block_hash not in self._times:
            self._times[event.block_hash] = self.chain.block_time(event.block_hash)
        return self._times[event.block_hash]

    def _contributed(self) -> bool:
        """Tell whether this organization has submitted, or nobody can any more."""
        if read_phase(self.chain, self.contract) not in (Phase.DRAFTING, Phase.JOINING, Phase.OPEN):
            return True
        return bool(self.chain.read(self.contract, "organization", self.me)["reported"])

    def await_block(self) -> None:
        """Make a block if nothing else does: the turn of a silent organization waits for it.

        On a chain that makes blocks on demand this account pays for an empty transaction.
        """
        self.chain.mine(1, self._account)

    def propose(self, report: Report) -> None:
        """Publish a proposal.

        Raises
        ------
        ChainError
            The node does not answer, the account cannot pay, or the contract refuses.
        """
        self._send("propose", report.data_ppb, report.cpu_hz)

    def contribute(self, report: Report) -> None:
        """Submit the contribution; one that was submitted meanwhile counts.

        With a verifier in the agreement nothing is submitted: the contract takes a contribution
        only with the verifier's signature, and that comes after the training.
        """
        if self.agreement.verifier != ZERO_ADDRESS:
            return
        try:
            figures = (report.data_ppb, report.cpu_hz, 0, 0)
            self._send("contributionSubmit", self._account, *figures, NO_STATEMENT, b"")
        except RevertedError as error:
            if error.name != "AlreadyReported":
                raise

    def _send(self, call: str, *arguments: object) -> None:
        data = encoded_call(call, *arguments)
        receipt = self.chain.transact(self._account, to=self.contract, data=data, call=call)
        if not receipt.succeeded:
            raise StateChangedError  # another transaction came first: look again

    @property
    def _account(self) -> str:
        if self.me is None:
            raise ValueError("me: expected an organization, got somebody who only reads")
        return self.agreement.addresses[self.me]
