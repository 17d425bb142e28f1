"""Errors of the input: where they are, and what was expected there."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Self

from tradefl.text import printable

SHOWN = 20
# A place or a message may hold foreign text; beyond this it helps nobody.
MOST_CHARACTERS = 2_000
# Readers stop after so many problems: only the first are shown, and millions fill the memory.
MOST_PROBLEMS = 100_000


class Parameter(str):
    """A parameter of the library as the place of a problem; a command line puts its flag there.

    It is the text of the place: the parameter's name as in Python, and the value that it was
    given where that belongs to the place.
    """

    name: str

    def __new__(cls, name: str, value: object = None) -> Self:
        """Return the place, as text: the name, and the value after it."""
        place = super().__new__(cls, name if value is None else f"{name} {value}")
        place.name = name
        return place

    def __reduce__(self) -> tuple[type[Parameter], tuple[str, str | None]]:
        """Return what makes it again in another process."""
        return Parameter, (self.name, self[len(self.name) + 1 :] or None)


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the place (file, key path, line) and what was expected.

    A message names parameters between backticks.
    """

    place: str
    message: str

    def rewritten(self, change: Callable[[str], str]) -> Problem:
        """Return the problem with other words; a place that does not change remains what it is."""
        place = change(self.place)
        return Problem(self.place if place == self.place else place, change(self.message))

    def __str__(self) -> str:
        """Return one printable line, whatever the place and the message hold."""
        place = printable(self.place, MOST_CHARACTERS)
        return f"{place}: {printable(self.message, MOST_CHARACTERS)}"


class InputError(ValueError):
    """Bad input; all problems that were found at once, the first 20 in the message."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.lines()))

    @classmethod
    def many(cls, place: object, problems: Sequence[Problem]) -> InputError:
        """Return the error of a reader that may have stopped at :data:`MOST_PROBLEMS`."""
        if len(problems) <= MOST_PROBLEMS:
            return cls(problems)
        what = f"has more than {len(problems) - 1:,} errors; the rest was not looked at"
        return cls([Problem(str(place), what), *problems])

    @classmethod
    def at(cls, place: object, message: str) -> InputError:
        """Return the error of a single problem."""
        return cls([Problem(place_of(place), message)])

    def lines(self) -> list[str]:
        """Return a line for each of the first 20 problems, and one that counts the rest."""
        lines = [str(problem) for problem in self.problems[:SHOWN]]
        rest = len(self.problems) - SHOWN
        if rest > 0:
            lines.append(f"... and {rest:,} more")
        return lines


def place_of(place: object) -> str:
    """Return a place as text; a parameter remains one."""
    return place if isinstance(place, Parameter) else str(place)


# What an extra brings: where one of these cannot be found, it is not installed.
EXTRAS: dict[str, tuple[str, ...]] = {
    "charts": ("altair", "jinja2", "pandas", "vl_convert"),
    "federation": ("flwr", "sklearn"),
    "settlement": ("web3", "eth_tester"),
    "sweep": ("ray",),
    "tables": ("pyarrow",),
    "ui": ("streamlit",),
    "vision": ("torch", "PIL"),
}


class MissingExtraError(InputError, ImportError):
    """Optional parts are not installed; the message has the line that installs all of them.

    It is an :class:`ImportError` too, as importing what is not there raises everywhere else.
    """

    def __init__(self, what: str, *extras: str) -> None:
        noun = "an extra" if len(extras) == 1 else "extras"
        line = f"needs {noun}: pip install 'tradefl[{','.join(extras)}]'"
        super().__init__([Problem(what, line)])


def require_extras(what: str, *extras: str) -> None:
    """Refuse to begin what needs extras that are not installed; all of them are named at once.

    Raises
    ------
    MissingExtraError
        One or more are missing.
    """
    missing = [extra for extra in extras if not all(map(_is_there, EXTRAS[extra]))]
    if missing:
        raise MissingExtraError(what, *missing)


def require_docstrings(what: str) -> None:
    """Refuse to begin what draws charts in an interpreter that drops docstrings.

    Altair copies docstrings when it is imported, and fails where there are none.

    Raises
    ------
    InputError
        Python runs with ``-OO`` or ``PYTHONOPTIMIZE=2``.
    """
    if sys.flags.optimize >= 2:
        how = (
            "python -OO or PYTHONOPTIMIZE=2 drops the docstrings that Altair needs; use -O at most"
        )
        raise InputError.at(what, how)


def _is_there(module: str) -> bool:
    if module in sys.modules:
        return sys.modules[module] is not None
    return importlib.util.find_spec(module) is not None
