"""How many samples each organization holds of a data set that the consortium shares."""

from __future__ import annotations

from collections.abc import Sequence

from tradefl.errors import InputError, Parameter


def shares(samples: Sequence[int], available: int) -> list[int]:
    """Return how many of the available samples each organization holds.

    As many as it says if all fit. Otherwise in proportion, rounded by largest remainder (of equal
    ones the earlier organization first), but at least one each.

    Parameters
    ----------
    samples
        ``|S_i|`` of each organization, >= 1.
    available
        How many samples there are.

    Raises
    ------
    InputError
        There are fewer samples than organizations.
    """
    held = [int(number) for number in samples]
    if any(number < 1 for number in held):
        raise ValueError("samples: expected whole numbers >= 1")
    if sum(held) <= available:
        return held
    if available < len(held):
        raise InputError.at(
            Parameter("data"),
            f"expected at least {len(held):,} training samples, one for each organization, "
            f"got {available:,}",
        )
    # Who would get less than one gets one; that leaves less for the others, so once more.
    result = [1] * len(held)
    rest, left, total = list(range(len(held))), available, sum(held)
    while small := {i for i in rest if held[i] * left < total}:
        left -= len(small)
        total -= sum(held[i] for i in small)
        rest = [i for i in rest if i not in small]
    # Whole numbers throughout: |S_i| goes up to 2^53.
    for i in rest:
        result[i] = held[i] * left // total
    unplaced = left - sum(result[i] for i in rest)
    for i in sorted(rest, key=lambda i: (-(held[i] * left % total), i))[:unplaced]:
        result[i] += 1
    return result
