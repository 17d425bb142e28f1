"""What travels between the server and an organization in addition to the model.

The server tells each organization its *pledge*: how much of its data and which CPU level the
equilibrium asks of it. The organization answers with a *receipt*: how long it took, and at which
level it says it ran. Both are plain records of numbers and text; no parameter that an organization
keeps to itself (profitability, costs) is in either.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.sweep.identity import PACKAGE, here

# The prefix of the pledge's keys in the configuration of a message, the names of the ConfigRecords
# in replies, and of the query that asks who a node is.
PLEDGE = "tradefl.pledge"
RECEIPT = "tradefl.receipt"
PROFILE = "tradefl.profile"
PROFILE_QUERY = "query.tradefl_profile"


def own_code() -> dict[str, str]:
    """Return which code this process runs, as it travels: the package's version and digest."""
    identity = here()
    return {"package-version": identity[PACKAGE], "package-digest": identity["code"]}


@dataclasses.dataclass(frozen=True)
class Pledge:
    """What one organization has to contribute in every round.

    Attributes
    ----------
    organization
        Its name.
    data_fraction
        ``d_i``, the share of its samples.
    cpu_hz
        ``f_i``, the CPU frequency.
    samples_held
        The number of its samples by the agreement, of which ``d_i`` is the share.
    seed
        Fixes which of its samples it trains on.
    """

    organization: str
    data_fraction: float
    cpu_hz: float
    samples_held: int
    seed: int

    @property
    def samples_owed(self) -> int:
        """The number of samples that the share amounts to."""
        return samples_owed(self.data_fraction, self.samples_held)

    def to_record(self) -> dict[str, Any]:
        """Return the pledge as a message carries it, without the prefix ``PLEDGE``."""
        return {
            "organization": self.organization,
            "data-fraction": self.data_fraction,
            "cpu-hz": self.cpu_hz,
            "samples-held": self.samples_held,
            "samples-owed": self.samples_owed,
            "seed": self.seed,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Pledge:
        """Return the pledge of a message."""
        return cls(
            organization=str(record["organization"]),
            data_fraction=float(record["data-fraction"]),
            cpu_hz=float(record["cpu-hz"]),
            samples_held=int(record["samples-held"]),
            seed=int(record["seed"]),
        )


def samples_owed(data_fraction: float, samples_held: int) -> int:
    """Return the samples of a share, rounded up: an organization that delivers keeps its pledge.

    A product that exceeds a whole number only by the rounding of doubles counts as it.
    """
    if data_fraction >= 1.0:
        return samples_held
    rounding = 4.0 * float(np.finfo(float).eps)
    owed = math.ceil(data_fraction * samples_held * (1.0 - rounding))
    return min(samples_held, max(1, owed))


@lru_cache(maxsize=4096)
def chosen_samples(pledge: Pledge, available: int) -> npt.NDArray[np.int64]:
    """Return which of its samples an organization trains on, ascending; read-only.

    A random choice that depends on the pledge's seed and organization only: the same samples in
    every round, and after a restart.

    Parameters
    ----------
    pledge
        Whose ``samples_owed`` are chosen.
    available
        The number of samples that are really there. If they are fewer than the agreement says, the
        same number is owed of them.
    """
    name = int.from_bytes(pledge.organization.encode(), "big")
    rng = np.random.default_rng([pledge.seed, *_words(name)])
    chosen = rng.permutation(available)[: pledge.samples_owed]
    result = np.sort(chosen).astype(np.int64)
    result.flags.writeable = False  # it is kept: the same samples in every round
    return result


def _words(number: int) -> list[int]:
    """Return a number of any length as 32-bit words, for a seed sequence."""
    words = []
    while number:
        words.append(number & 0xFFFFFFFF)
        number >>= 32
    return words or [0]
