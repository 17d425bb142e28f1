"""Autonomous organizations: best responses between processes that keep their figures private.

``protocol`` says whose turn it is and when it is over, ``knowledge`` what one organization knows,
``agent`` what it does, ``in_process`` is a board to try it on.
"""

from tradefl.negotiation.agent import Board, OrganizationAgent, Outlook
from tradefl.negotiation.knowledge import PrivateFigures, known_game, load_private, private_figures
from tradefl.negotiation.protocol import Proposal, Ruling, Standing, replay

__all__ = [
    "Board",
    "OrganizationAgent",
    "Outlook",
    "PrivateFigures",
    "Proposal",
    "Ruling",
    "Standing",
    "known_game",
    "load_private",
    "private_figures",
    "replay",
]
