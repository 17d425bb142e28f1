"""What the verbs accept: a consortium, or a game without one."""

from __future__ import annotations

from tradefl.consortium.consortium import Consortium
from tradefl.game import CoopetitionGame


def consortium_of(given: Consortium | CoopetitionGame) -> Consortium:
    """Return a consortium as it is, and the consortium of a game.

    Raises
    ------
    InputError
        The game has no consortium (:meth:`~tradefl.consortium.Consortium.from_game` says why).
    TypeError
        It is neither.
    """
    if isinstance(given, Consortium):
        return given
    if isinstance(given, CoopetitionGame):
        return Consortium.from_game(given)
    raise TypeError(
        f"consortium: expected a Consortium or a CoopetitionGame, got {type(given).__name__}"
    )
