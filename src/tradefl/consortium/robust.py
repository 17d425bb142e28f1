"""How many hostile organizations an aggregation can bear."""

from __future__ import annotations

from collections.abc import Callable

from tradefl.consortium.schema import Training
from tradefl.errors import InputError

# As many as each is set up for by default, of n; ...
BEARABLE: dict[str, Callable[[int], int]] = {
    "trimmed-mean": lambda n: (n - 1) // 3,
    "krum": lambda n: (n - 3) // 2,
    "bulyan": lambda n: (n - 3) // 4,
}
# ... and at most.
MOST: dict[str, Callable[[int], int]] = {
    "trimmed-mean": lambda n: (n - 1) // 2,
    "krum": lambda n: (n - 3) // 2,
    "bulyan": lambda n: (n - 3) // 4,
}


def unbearable(name: str, organizations: int, hostile: int | None) -> tuple[str, str] | None:
    """Return the setting that an aggregation cannot work with, and why; ``None`` if it can.

    Parameters
    ----------
    name
        One of ``AGGREGATIONS`` of :mod:`tradefl.consortium.schema`.
    organizations
        How many take part.
    hostile
        How many of them may be hostile; ``None``: as many as it can bear.
    """
    if name not in MOST:
        return None
    most = MOST[name](organizations)
    if most < 1:
        least = next(n for n in range(1, 100) if MOST[name](n) >= 1)
        return "aggregation", (
            f"{name} needs {least} organizations to bear a hostile one, got {organizations}; "
            "use fedmedian"
        )
    if hostile is not None and hostile > most:
        return "assumed_hostile", (
            f"{name} bears {most} hostile organizations of {organizations} at most, got {hostile}"
        )
    return None


def require_bearable(section: Training, organizations: int, path: str) -> None:
    """Refuse a ``[training]`` by which these organizations could not train.

    Raises
    ------
    InputError
        Names the setting.
    """
    found = unbearable(section.aggregation, organizations, section.assumed_hostile)
    if found is not None:
        key, what = found
        raise InputError.at(f"{path}: training.{key}", what)
