"""Errors of the input: where they are, and what was expected there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from tradefl.text import printable

SHOWN = 20
# A place or a message may hold foreign text; beyond this it helps nobody.
MOST_CHARACTERS = 2_000
# Readers stop after so many problems: only the first are shown, and millions fill the memory.
MOST_PROBLEMS = 100_000


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the place (file, key path, line) and what was expected."""

    place: str
    message: str

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
        """Return the error of a reader that stopped at :data:`MOST_PROBLEMS`; it says so."""
        what = f"has more than {len(problems) - 1:,} errors; the rest was not looked at"
        return cls([Problem(str(place), what), *problems])

    @classmethod
    def at(cls, place: object, message: str) -> InputError:
        """Return the error of a single problem."""
        return cls([Problem(str(place), message)])

    def lines(self) -> list[str]:
        """Return a line for each of the first 20 problems, and one that counts the rest."""
        lines = [str(problem) for problem in self.problems[:SHOWN]]
        rest = len(self.problems) - SHOWN
        if rest > 0:
            lines.append(f"... and {rest:,} more")
        return lines


class MissingExtraError(InputError):
    """An optional part is not installed; the message holds the line that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__([Problem(what, f"needs an extra: pip install 'tradefl[{extra}]'")])
