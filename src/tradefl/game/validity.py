"""Which numbers a game may have, each alone and all of them together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.game.arrays import floats
from tradefl.game.user_accuracy import UserAccuracy, violation_of_eq5

if TYPE_CHECKING:
    from tradefl.game.coopetition import CoopetitionGame

Array = npt.NDArray[np.float64]


class InvalidGameError(ValueError):
    """A game without a meaning; ``problems`` holds ``(organization or None, field, what)``."""

    def __init__(self, problems: list[tuple[int | None, str, str]]) -> None:
        self.problems = problems
        shown = [
            f"{field}: {what}" if i is None else f"organization {i}: {field}: {what}"
            for i, field, what in problems[:20]
        ]
        if len(problems) > 20:
            shown.append(f"and {len(problems) - 20} more")
        super().__init__("; ".join(shown))


class Range(NamedTuple):
    """A range of numbers, open below if ``exclusive``."""

    low: float
    exclusive: bool = False
    high: float = float(np.finfo(float).max)

    def holds(self, value: Any) -> Any:
        """Return, elementwise, whether the value is in the range; NaN never is."""
        return ((value > self.low) if self.exclusive else (value >= self.low)) & (
            value <= self.high
        )

    def __str__(self) -> str:
        low = f"a finite number {'>' if self.exclusive else '>='} {self.low:g}"
        return low if self.high >= Range(0.0).high else f"{low} and <= {self.high:g}"


POSITIVE, NONNEGATIVE = Range(0.0, exclusive=True), Range(0.0)
ARRAYS = {
    "profitability": POSITIVE,
    "data_bits": POSITIVE,
    "cycles_per_bit": POSITIVE,
    "data_units": POSITIVE,
    "download_seconds": NONNEGATIVE,
    "upload_seconds": NONNEGATIVE,
    "data_cost": NONNEGATIVE,
    "joining_cost": NONNEGATIVE,
}
NUMBERS = {
    "incentive_intensity": NONNEGATIVE,
    "compute_weight": POSITIVE,
    "overhead_weight": NONNEGATIVE,
    "min_data_fraction": Range(0.0, exclusive=True, high=1.0),
    "deadline_seconds": Range(0.0, exclusive=True, high=np.inf),
    "download_watts": NONNEGATIVE,
    "upload_watts": NONNEGATIVE,
}


def each(
    field: str,
    given: Any,
    n: int,
    allowed: Range,
    problems: list[tuple[int | None, str, str]],
) -> Array | None:
    """Return a read-only array of shape ``(n,)``; ``None`` if the shape is another."""
    try:
        array = np.array(np.broadcast_to(floats(field, given), (n,)))
    except ValueError:
        problems.append((None, field, f"expected shape ({n},), got {np.shape(given)}"))
        return None
    masked = np.broadcast_to(np.ma.getmaskarray(given), (n,))
    for i in np.flatnonzero(~allowed.holds(array)):
        got = "a masked entry" if masked[i] else f"{array[i]:g}"
        problems.append((int(i), field, f"expected {allowed}, got {got}"))
    array.flags.writeable = False
    return array


def meaningless(game: CoopetitionGame) -> list[tuple[int | None, str, str]]:
    """Return what is wrong with a game whose numbers are each in range."""
    problems: list[tuple[int | None, str, str]] = []
    with np.errstate(over="ignore"):
        problems += [
            (None, field, "too large: their sum must be finite")
            for field in ("profitability", "data_bits", "data_units")
            if not np.isfinite(2.0 * getattr(game, field).sum())
        ]
    if problems:
        return problems
    for i in np.flatnonzero(~(game.potential_weights > 0.0)):
        shrink = game.profitability[i] / game.competitors_profitability[i]
        problems.append(
            (
                int(i),
                "competition",
                f"z = p - sum_j rho_ij p_j = {game.potential_weights[i]:.6g} must be > 0: "
                f"rho would have to shrink to less than {shrink:.6g} times its size",
            )
        )
    reach = game.max_data_fraction(np.fmax.reduce(game.cpu_levels_hz, axis=1))
    problems += [
        (
            int(i),
            "cpu_levels_hz",
            "no feasible level: before the deadline even the fastest trains only "
            f"{max(reach[i], 0.0):.6g} of the data, below the minimum fraction "
            f"{game.min_data_fraction:g}",
        )
        for i in np.flatnonzero(reach < game.min_data_fraction)
    ]
    if not problems:
        problems = _overflowing(game)
    if isinstance(game.accuracy, UserAccuracy):
        violation = violation_of_eq5(game.accuracy, float(game.data_units.sum()))
        if violation is not None:
            problems.append((None, "accuracy", violation))
    return problems


def _overflowing(game: CoopetitionGame) -> list[tuple[int | None, str, str]]:
    """Return which terms of the payoffs are beyond double precision at their largest."""
    fastest = np.fmax.reduce(game.cpu_levels_hz, axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        best = game.accuracy.value(float(game.data_units.sum()))
        cycles = game.cycles_per_bit * game.data_bits
        weight = game.overhead_weight * game.capacitances
        resource = game.data_bits + game.compute_weight * fastest
        terms = {
            "revenue": game.profitability * best,
            "overhead": weight * fastest**2 * cycles + game.data_cost + game.joining_cost,
            "redistribution": game.incentive_intensity * game.total_intensity * resource,
        }
        return [
            (None, name, "too large: its terms are beyond the range of double precision")
            for name, term in terms.items()
            if not np.isfinite(4.0 * np.sum(np.abs(term) * (1.0 + 1.0 / game.potential_weights)))
        ]
