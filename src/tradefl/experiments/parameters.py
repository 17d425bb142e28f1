"""What can be varied in a figure: the names of its parameters, their meaning, and their limits.

A figure lists its parameters, and ``compute`` accepts each as a keyword. Values come from Python
(``frames("fig6", mu=0.08)``) or from the command line (``--set mu=0.08``); both are checked here.
A value that is the default is left out, so that it is the same unit of work as none.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from tradefl.consortium.schema import suggestion
from tradefl.errors import InputError, Parameter, Problem
from tradefl.experiments.draws import GAMMA_STAR, OURS

if TYPE_CHECKING:
    from tradefl.experiments.figure import Figure

Value = int | float | tuple[float, ...]
# Beyond this many values in a list a figure takes hours, and shows nothing more.
MOST_VALUES = 500


@dataclasses.dataclass(frozen=True, kw_only=True)
class FigureParameter:
    """Something that can be varied in a figure.

    Attributes
    ----------
    name
        Its name in ``compute`` and after ``--set``.
    meaning
        What it is, with its unit.
    default
        Its value where none is given; ``None``: the figure has another for each unit of work.
    least, most
        The limits of the value, or of every value of a list.
    positive
        ``least`` itself is not allowed.
    kind
        What values are. Default: that of ``default``; a number where there is none.
    """

    name: str
    meaning: str
    default: Value | None
    least: float = 0.0
    most: float = math.inf
    positive: bool = False
    kind: Literal["", "integer"] = ""

    @property
    def many(self) -> bool:
        """Whether the value is a list."""
        return isinstance(self.default, tuple)

    @property
    def whole(self) -> bool:
        """Whether the value is an integer."""
        return self.kind == "integer" or isinstance(self.default, int)

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        kind = "an integer" if self.whole else "numbers" if self.many else "a number"
        limits = f"{'>' if self.positive else '>='} {self.least:g}"
        if self.most < math.inf:
            limits += f" and <= {self.most:g}"
        return f"{kind} {limits}" + (", 2 or more, ascending" if self.many else "")

    def checked(self, value: object) -> Value:
        """Return a value as ``compute`` receives it.

        Raises
        ------
        ValueError
            It is of another kind or out of its limits; the message says what was expected.
        """
        wrong = ValueError(f"expected {self.expected}, got {str(value)[:80]!r}")
        if self.many:
            if isinstance(value, str) or not isinstance(value, Iterable):
                raise wrong
            values = tuple(self._number(entry) for entry in value)
            if not 2 <= len(values) <= MOST_VALUES or None in values:
                raise wrong
            found = tuple(float(entry) for entry in values if entry is not None)
            if any(after <= before for before, after in itertools.pairwise(found)):
                raise wrong
            return found
        number = self._number(value)
        if number is None:
            raise wrong
        return int(number) if self.whole else float(number)

    def _number(self, value: object) -> float | None:
        """Return a number that is within the limits, or nothing."""
        try:
            number = float(value)  # type: ignore[arg-type]  # text and NumPy scalars too
        except (TypeError, ValueError, OverflowError):
            return None
        low = number > self.least if self.positive else number >= self.least
        if isinstance(value, bool) or not low or not number <= self.most or math.isinf(number):
            return None
        return None if self.whole and number != int(number) else number

    def __str__(self) -> str:
        """Return its name, meaning and default."""
        if self.default is None:
            given = "the draw's or the profile's"
        elif isinstance(self.default, tuple):
            first, last = self.default[0], self.default[-1]
            given = f"{len(self.default)} values from {first:g} to {last:g}"
        else:
            given = f"{self.default:g}"
        return f"{self.name} ({self.meaning}; default {given})"


def checked(figure: Figure, given: Mapping[str, object]) -> dict[str, Value]:
    """Return the values for a figure's ``compute``; those that are the default are left out.

    Parameters
    ----------
    figure
        The figure.
    given
        Values by the names of its parameters. Text is read: numbers, lists with commas.

    Raises
    ------
    InputError
        A name is unknown or a value is bad. Each problem lists the figure's parameters.
    """
    known = {parameter.name: parameter for parameter in figure.parameters}
    listed = "; ".join(map(str, figure.parameters)) or "none"
    found: dict[str, Value] = {}
    problems = []
    for name, value in given.items():
        if name not in known:
            what = f"{figure.name} has no parameter {name[:80]!r}{suggestion(name, known)}"
        else:
            parameter = known[name]
            entries = value.split(",") if isinstance(value, str) and parameter.many else value
            try:
                right = parameter.checked(entries)
            except ValueError as error:
                what = f"{name}: {error}"
            else:
                if right != parameter.default:
                    found[name] = right
                continue
        problems.append(Problem(Parameter("set"), f"{what}; parameters of {figure.name}: {listed}"))
    if problems:
        raise InputError(problems)
    return found


def assignments(texts: Sequence[str]) -> dict[str, str]:
    """Return the values of texts ``NAME=VALUE``, by name.

    Raises
    ------
    InputError
        A text has another form, or a name occurs twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise InputError.at(Parameter("set"), f"expected NAME=VALUE, got {text[:80]!r}")
        if name in found:
            raise InputError.at(Parameter("set"), f"{name} is given twice; give it once")
        found[name] = value
    return found


def written(values: Mapping[str, Value]) -> list[str]:
    """Return values as texts ``NAME=VALUE``, every digit of every number."""
    return [
        f"{name}={','.join(map(repr, value)) if isinstance(value, tuple) else repr(value)}"
        for name, value in values.items()
    ]


# --- those that several figures share ------------------------------------------------------------

CALIBRATION = (
    FigureParameter(
        name="mu",
        meaning="mean competition intensity",
        default=OURS.mean_intensity,
        most=1.0,
    ),
    FigureParameter(name="epochs", meaning="G", default=OURS.epochs, positive=True),
    FigureParameter(
        name="untrained_loss", meaning="A(0)", default=OURS.untrained_loss, positive=True
    ),
    FigureParameter(
        name="unit", meaning="bits in a unit of Omega", default=OURS.unit, positive=True
    ),
    FigureParameter(name="compute_weight", meaning="lambda, bit/Hz", default=OURS.compute_weight),
    FigureParameter(
        name="overhead_weight", meaning="varpi_e, payoff/J", default=OURS.overhead_weight
    ),
    FigureParameter(
        name="cycles_per_bit", meaning="eta", default=OURS.cycles_per_bit, positive=True
    ),
    FigureParameter(
        name="deadline_seconds", meaning="tau", default=OURS.deadline_seconds, positive=True
    ),
    FigureParameter(name="levels", meaning="m", default=OURS.levels, least=1, most=100),
    FigureParameter(name="transfer_seconds", meaning="T1 and T3", default=OURS.transfer_seconds),
    FigureParameter(name="transfer_watts", meaning="E_DL and E_UL", default=OURS.transfer_watts),
)
SIZE = FigureParameter(name="n", meaning="organizations", default=10, least=2, most=200)
GAMMA = FigureParameter(name="gamma", meaning="incentive intensity, payoff/bit", default=GAMMA_STAR)
# A consortium of Table II at one gamma.
AT_GAMMA = (GAMMA, SIZE, *CALIBRATION)


def gammas(default: tuple[float, ...]) -> FigureParameter:
    """Return the parameter of the gammas of a sweep; gamma* is always one of them."""
    return FigureParameter(
        name="gammas",
        meaning="incentive intensities, payoff/bit; gamma* is added",
        default=default,
        positive=True,
    )


def without(name: str) -> tuple[FigureParameter, ...]:
    """Return the calibration's parameters but one, which the figure varies itself."""
    return tuple(parameter for parameter in CALIBRATION if parameter.name != name)


def with_star(given: Iterable[float]) -> tuple[float, ...]:
    """Return gammas with the paper's gamma*, at which figures are judged, ascending.

    Raises
    ------
    ValueError
        A gamma is not positive.
    """
    found = tuple(sorted({*map(float, given), GAMMA_STAR}))
    if not all(0.0 < gamma < math.inf for gamma in found):
        raise ValueError("gammas: expected positive numbers")
    return found
