"""The contract as a board: proposals are its events, the time is that of its blocks."""

from __future__ import annotations

from collections.abc import Sequence

from tradefl.negotiation.protocol import Proposal
from tradefl.settlement.agreement import ZERO_ADDRESS, Agreement, Report
from tradefl.settlement.chain import Chain
from tradefl.settlement.contract import Phase, RevertedError, encoded_call, topic
from tradefl.settlement.settle import NO_STATEMENT, read_phase

# How many of the latest blocks may still be undone: their times are read again.
UNSETTLED_BLOCKS = 12


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
        self.first_block = first_block
        self._times: dict[int, int] = {}

    def opened(self) -> int | None:
        """Return when everybody had joined; ``None`` as long as somebody is missing."""
        events = self.chain.events(self.contract, self.first_block, [topic("ReportingOpened")])
        return self._time(events[0].block) if events else None

    def now(self) -> int:
        """Return the time of the chain's next block; nobody's own clock counts."""
        return self.chain.now()

    def proposals(self) -> Sequence[Proposal]:
        """Return everybody's proposals, oldest first."""
        events = self.chain.events(self.contract, self.first_block, [topic("Proposed")])
        newest = max((event.block for event in events), default=0)
        for block in [one for one in self._times if one > newest - UNSETTLED_BLOCKS]:
            del self._times[block]
        return [
            Proposal(
                block=event.block,
                position=event.index,
                seconds=self._time(event.block),
                account=str(event.arguments["account"]),
                report=Report(
                    data_ppb=int(event.arguments["dataPpb"]), cpu_hz=int(event.arguments["cpuHz"])
                ),
            )
            for event in events
        ]

    def contributed(self) -> bool:
        """Tell whether this organization has submitted, or nobody can any more."""
        if read_phase(self.chain, self.contract) not in (Phase.DRAFTING, Phase.JOINING, Phase.OPEN):
            return True
        return bool(self.chain.read(self.contract, "organization", self.me)["reported"])

    def propose(self, report: Report) -> None:
        """Publish a proposal.

        Raises
        ------
        ChainError
            The node does not answer, the account cannot pay, or the contract refuses.
        """
        self._send("propose", report.data_ppb, report.cpu_hz)

    def contribute(self, report: Report) -> None:
        """Submit the contribution; one that was submitted meanwhile stands.

        With a verifier in the agreement nothing is submitted: the contract takes a contribution
        only with the verifier's signature, and that comes after the training.
        """
        if self.agreement.verifier != ZERO_ADDRESS:
            return
        try:
            self._send("contributionSubmit", report.data_ppb, report.cpu_hz, NO_STATEMENT, b"")
        except RevertedError as error:
            if error.name != "AlreadyReported":
                raise

    def _send(self, call: str, *arguments: object) -> None:
        if self.me is None:
            raise ValueError("me: expected an organization, got somebody who only reads")
        data = encoded_call(call, *arguments)
        account = self.agreement.addresses[self.me]
        self.chain.transact(account, to=self.contract, data=data, call=call)

    def _time(self, block: int) -> int:
        if block not in self._times:
            self._times[block] = self.chain.block_time(block)
        return self._times[block]
