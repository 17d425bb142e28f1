"""Mechanisms by name: who receives how much, as a function of what everybody contributes.

A mechanism is one class (:class:`Mechanism`); each built-in one is a file of this package with its
equation, its source and what deviates from it. A package can bring its own under the entry point
group ``tradefl.mechanisms``: a :class:`Mechanism`, a class of one, or a callable that accepts the
game and returns one.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points

from tradefl.consortium.schema import suggestion
from tradefl.errors import InputError, Parameter
from tradefl.game import CoopetitionGame, Mechanism, Parts, Pieces, Separable
from tradefl.game.batches import bare_payoffs, overheads

__all__ = [
    "BUILT_IN",
    "GROUP",
    "Factory",
    "Mechanism",
    "Parts",
    "Pieces",
    "Separable",
    "bare_payoffs",
    "known",
    "make_mechanism",
    "overheads",
    "title_of",
]

Factory = Callable[[CoopetitionGame], Mechanism]
GROUP = "tradefl.mechanisms"
# The file of each; ``make(game)`` there returns the mechanism, and ``TITLE`` names it.
BUILT_IN = {
    "linear": "linear",
    "efficient": "efficient",
    "truthful": "truthful",
    "shapley-profile": "shapley",
    "leave-one-out-profile": "leave_one_out",
    "by-data-profile": "by_data",
    "equal-split": "equal_split",
    "tang-wong": "tang_wong",
    "cocogen": "cocogen",
    "vcg": "vcg",
}


def known() -> tuple[str, ...]:
    """Return the names of all mechanisms: the built-in ones, then those of other packages."""
    others = {entry.name for entry in entry_points(group=GROUP)} - BUILT_IN.keys()
    return (*BUILT_IN, *sorted(others))


def title_of(name: str, mechanism: Mechanism) -> str:
    """Return a mechanism in words, for tables."""
    if name in BUILT_IN:
        return str(import_module(f"tradefl.mechanisms.{BUILT_IN[name]}").TITLE)
    return mechanism.title or mechanism.name


def make_mechanism(name: str, game: CoopetitionGame) -> Mechanism:
    """Return the mechanism of a name for a game.

    Some follow from the game: the efficient rule is designed for it, and Clarke payments need the
    values of its coalitions.

    Parameters
    ----------
    name
        One of :func:`known`.
    game
        The game; its own mechanism does not matter, apart from gamma.

    Raises
    ------
    InputError
        There is no such mechanism, or that of another package failed.
    ValueError
        It cannot be made for this game.
    """
    if name in BUILT_IN:
        make: Factory = import_module(f"tradefl.mechanisms.{BUILT_IN[name]}").make
        return make(game)
    others = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in others:
        names = known()
        what = f"expected one of {', '.join(names)}, got {name!r}{suggestion(name, names)}"
        raise InputError.at(Parameter("mechanisms"), what)
    place = Parameter("mechanisms", name)
    try:
        found = others[name].load()
        if isinstance(found, type) and issubclass(found, Mechanism):
            found = found()
        elif not isinstance(found, Mechanism):
            found = found(game)
    except InputError:
        raise
    # Whatever another's package raises, the place is its entry point.
    except Exception as error:
        what = f"its entry point {others[name].value!r} failed: {type(error).__name__}: {error}"
        raise InputError.at(place, what) from error
    if not isinstance(found, Mechanism):
        what = (
            f"expected its entry point {others[name].value!r} to bring a Mechanism, got "
            f"{type(found).__name__}"
        )
        raise InputError.at(place, what)
    return found
