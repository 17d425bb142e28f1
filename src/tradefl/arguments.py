"""What a verb accepts: its arguments are checked by name before any work begins.

A verb declares the kind of each parameter with :func:`accepts`. A wrong argument raises an
:class:`~tradefl.errors.InputError` at that parameter, never an error from deep inside. Types of
the package are named by their place, so that checking an argument imports nothing: what was never
imported has no instances.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import numbers
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import ParamSpec, TypeVar

import numpy as np

from tradefl.errors import InputError, Parameter

P = ParamSpec("P")
T = TypeVar("T")

# Values of these types are shown in an error; of others, the type.
SHOWN = (bool, int, float, str, bytes, np.generic)
MOST_SHOWN = 60


class WrongTypeError(InputError, TypeError):
    """An argument is of a type that the parameter does not accept."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a parameter accepts.

    Attributes
    ----------
    expected
        The words of the error: a noun phrase with its range.
    fits
        Whether a value is of the right type.
    within
        Whether a value of the right type is in range.
    """

    expected: str
    fits: Callable[[object], bool]
    within: Callable[[object], bool] = lambda _value: True

    def require(self, name: str, value: object) -> None:
        """Refuse a value that the parameter of this name does not accept.

        Raises
        ------
        InputError
            It is out of range; :class:`WrongTypeError`, a :class:`TypeError` too: of a wrong type.
        """
        if not self.fits(value):
            raise WrongTypeError.at(
                Parameter(name), f"expected {self.expected}, got {_said(value)}"
            )
        if not self.within(value):
            raise InputError.at(Parameter(name), f"expected {self.expected}, got {_said(value)}")


def _said(value: object) -> str:
    if value is not None and not isinstance(value, SHOWN):
        return type(value).__name__
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def optional(kind: Kind) -> Kind:
    """Return a kind that accepts ``None`` too: the parameter's default."""
    return Kind(
        kind.expected,
        lambda value: value is None or kind.fits(value),
        lambda value: value is None or kind.within(value),
    )


def either(*kinds: Kind) -> Kind:
    """Return a kind that accepts what any of several accept."""
    return Kind(
        " or ".join(kind.expected for kind in kinds),
        lambda value: any(kind.fits(value) for kind in kinds),
        lambda value: any(kind.fits(value) and kind.within(value) for kind in kinds),
    )


def whole(least: int = 0, most: float = math.inf) -> Kind:
    """Return the kind of integers from ``least`` to ``most``; truth values are no integers."""
    limit = f"from {least:,} to {most:,}" if math.isfinite(most) else f">= {least:,}"
    return Kind(f"an integer {limit}", _is_whole, lambda value: least <= value <= most)  # type: ignore[operator]


def number(words: str, within: Callable[[float], bool]) -> Kind:
    """Return the kind of real numbers that satisfy a condition; ``words`` are its range."""
    return Kind(f"a number {words}".rstrip(), _is_number, lambda value: within(float(value)))  # type: ignore[arg-type]


def choice(known: Collection[str]) -> Kind:
    """Return the kind of names of a list."""
    expected = f"one of {', '.join(known)}"
    return Kind(expected, lambda value: isinstance(value, str), lambda value: value in known)


def instance(*homes: str) -> Kind:
    """Return the kind of instances of classes, each named by its module and its name."""
    names = [home.rpartition(".")[2] for home in homes]
    articles = ["an" if name[0] in "AEIOU" else "a" for name in names]
    wanted = set(homes)
    return Kind(
        " or ".join(map(" ".join, zip(articles, names, strict=True))),
        lambda value: any(
            f"{of.__module__}.{of.__qualname__}" in wanted for of in type(value).__mro__
        ),
    )


def many(what: str, kind: Kind) -> Kind:
    """Return the kind of lists of a kind; a text is not a list of its letters."""
    return Kind(
        f"a list of {what}",
        lambda value: (
            isinstance(value, Iterable)
            and not isinstance(value, str | bytes | Mapping)
            and (iter(value) is value or all(kind.fits(each) for each in value))
        ),
    )


def _is_whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_figures(value: object) -> bool:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return False
    try:
        found = np.asarray(value)
    except ValueError:  # rows of different lengths
        return False
    return found.dtype.kind in "iuf"


TRUTH = Kind("True or False", lambda value: isinstance(value, bool | np.bool_))
TEXT = Kind("a text", lambda value: isinstance(value, str))
FUNCTION = Kind("a function", callable)
PATH = Kind("a path", lambda value: isinstance(value, str | os.PathLike))
MAPPING = Kind("a mapping", lambda value: isinstance(value, Mapping))
FIGURES = Kind("an array of numbers", _is_figures)
ANYTHING = Kind("a value", lambda _value: True)
FRAME = Kind(
    "a pandas data frame", lambda value: hasattr(value, "columns") and hasattr(value, "iloc")
)
NAMES = many("names", TEXT)
NUMBER = number("", lambda _value: True)
SHARE = number("in (0, 1)", lambda value: 0.0 < value < 1.0)
POSITIVE = number("> 0", lambda value: 0.0 < value < math.inf)
NOT_NEGATIVE = number(">= 0", lambda value: 0.0 <= value < math.inf)
SECONDS = number("> 0", lambda value: value > 0.0)

_CONSORTIUM = "tradefl.consortium.consortium.Consortium"
_GAME = "tradefl.game.coopetition.CoopetitionGame"
_SOLUTION = "tradefl.solvers.solution.Solution"
CONSORTIUM = instance(_CONSORTIUM)
GAME = instance(_CONSORTIUM, _GAME)
ONE_GAME = instance(_GAME)
# For what needs no more than the game: a consortium of one's own will do.
WITH_A_GAME = Kind(
    GAME.expected,
    lambda value: GAME.fits(value) or ONE_GAME.fits(getattr(value, "game", None)),
)
SOLUTION = instance(_SOLUTION)
PROFILE = instance("tradefl.game.strategy.StrategyProfile", _SOLUTION)

MODEL = Kind(
    "a model with initial, train and evaluate, or a function that makes one",
    lambda value: callable(value) or hasattr(value, "initial"),
)
DOCUMENT = either(
    PATH, MAPPING, Kind("an object with to_dict()", lambda value: hasattr(value, "to_dict"))
)
CONTRIBUTIONS = either(PROFILE, DOCUMENT)


def accepts(**kinds: Kind) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator that checks the arguments of a verb, and names parameters in its errors.

    A :class:`ValueError` of the mathematics that begins with the name of a parameter becomes an
    :class:`~tradefl.errors.InputError` at that parameter.

    Raises
    ------
    TypeError
        When the verb is defined: a parameter has no kind, or a kind no parameter.
    """

    def decorate(verb: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(verb)
        if set(kinds) != set(signature.parameters):
            wrong = sorted(set(kinds) ^ set(signature.parameters))
            raise TypeError(f"{verb.__qualname__}: kinds and parameters differ in {wrong}")

        @functools.wraps(verb)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                given = signature.bind(*args, **kwargs).arguments
            except TypeError as error:
                raise TypeError(f"{verb.__name__}() {error}") from None
            for name, value in given.items():
                kinds[name].require(name, value)
            try:
                return verb(*args, **kwargs)
            except ValueError as error:
                name, colon, what = str(error).partition(": ")
                if type(error) is not ValueError or not colon or name not in kinds:
                    raise
                raise InputError.at(Parameter(name), what) from None

        return checked

    return decorate
