"""A negotiation from the consortium to the solution in which it ends: the verb."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from tradefl.arguments import FUNCTION, GAME, TEXT, TRUTH, accepts, optional
from tradefl.consortium import Consortium
from tradefl.consortium.playing import consortium_of
from tradefl.game import CoopetitionGame
from tradefl.negotiation.agent import profile_of
from tradefl.negotiation.in_process import negotiate as in_process
from tradefl.negotiation.processes import negotiate as in_processes
from tradefl.negotiation.processes import unhurried
from tradefl.negotiation.protocol import TOLERANCE, Standing
from tradefl.settlement.agreed import agreed_game
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.stand_ins import addresses_or_stand_ins
from tradefl.solvers import Solution

METHOD = "negotiation"


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Negotiation(Solution):
    """The solution in which a negotiation has ended, judged by the whole file as agreed.

    Attributes
    ----------
    agreement
        What was agreed on, in the contract's integers.
    standing
        The state of the negotiation: every proposal, and which of them counted.
    """

    agreement: Agreement
    standing: Standing

    @property
    def is_equilibrium(self) -> bool:
        """Whether nobody gains by deviating, to the nine digits of proposals."""
        return self.certificate.is_equilibrium(TOLERANCE)

    @property
    def shortfall(self) -> str:
        """Why it did not end in an equilibrium; empty if it did."""
        if self.is_equilibrium:
            return ""
        skipped = self.standing.skipped
        if not skipped:
            return "not an equilibrium: the negotiation ended before everybody had stopped moving"
        size = self.agreement.players
        names = ", ".join(
            self.agreement.names[i] for i in sorted({turn % size for turn in skipped})
        )
        return f"not an equilibrium: turns passed unused, of {names}"


@accepts(
    consortium=GAME,
    processes=TRUTH,
    rpc=optional(TEXT),
    deployed=FUNCTION,
    watch=FUNCTION,
)
def negotiate(
    consortium: Consortium | CoopetitionGame,
    *,
    processes: bool = False,
    rpc: str | None = None,
    deployed: Callable[[str, str], None] = lambda _contract, _place: None,
    watch: Callable[[Agreement, Standing], None] = lambda _agreement, _standing: None,
) -> Negotiation:
    """Let each organization answer the others' proposals with what is best for itself.

    The file is dealt out: each agent gets its own figures. It ends in an equilibrium although
    nobody knows all figures.

    Parameters
    ----------
    consortium
        Who negotiates.
    processes
        Whether each organization has a process of its own, on a real chain; otherwise all agents
        are in this process.
    rpc
        With ``processes``: a development node; default: an anvil, started and ended here.
    deployed
        With ``processes``: called with the contract's address and the node's.
    watch
        With ``processes``: called with the agreement and the state of the negotiation.

    Raises
    ------
    NoAnvilError
        With ``processes``: no node is given, and there is no anvil.
    InputError
        A figure does not fit the contract's integers, the node does not answer, or an agent fails.
    """
    consortium = consortium_of(consortium)
    began = time.perf_counter()
    if processes:
        standing, agreement = in_processes(consortium, rpc, deployed=deployed, watch=watch)
    else:
        addresses = addresses_or_stand_ins(consortium.accounts)
        agreement = Agreement.of(unhurried(consortium), addresses)
        standing, _ = in_process(consortium, agreement)
    return Negotiation.certified(
        agreed_game(consortium, agreement),
        profile_of(standing.reports),
        finished=standing.over,
        method=METHOD,
        iterations=standing.moves,
        runtime_seconds=time.perf_counter() - began,
        remarks=("proposals have nine digits: a regret of that size remains",),
        agreement=agreement,
        standing=standing,
    )
