"""What the server holds everybody to: the pledges of an equilibrium, and the deadline."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from tradefl.consortium import Consortium, load
from tradefl.federation.pledge import Pledge
from tradefl.game import StrategyProfile
from tradefl.solvers import DEFAULT_METHOD, solve

# "model": the time of Eq. (2) with what was really used must fit the deadline; "wall": a reply must
# arrive within it; "off": no deadline (TOS, which ignores it).
Deadline = Literal["model", "wall", "off"]
DEADLINES: tuple[Deadline, ...] = get_args(Deadline)


@dataclasses.dataclass(frozen=True)
class Terms:
    """The pledges, and the time that each contribution takes by the agreement.

    Attributes
    ----------
    pledges
        One for each organization, in the order of the consortium.
    transfer_seconds
        ``T1_i + T3_i``, to download and upload the model.
    cycles
        ``eta_i s_i``, the CPU cycles that training on all of its data takes.
    cpu_levels_hz
        ``F_i``, ascending.
    deadline_seconds
        ``tau``.
    """

    pledges: tuple[Pledge, ...]
    transfer_seconds: tuple[float, ...]
    cycles: tuple[float, ...]
    cpu_levels_hz: tuple[tuple[float, ...], ...]
    deadline_seconds: float

    @classmethod
    def of(
        cls,
        consortium: Consortium,
        profile: StrategyProfile,
        samples_held: Sequence[int] | None = None,
        seed: int = 0,
    ) -> Terms:
        """Return the terms of a strategy profile.

        Parameters
        ----------
        consortium, profile
            Who takes part, and what each contributes.
        samples_held
            How many samples each holds; by default ``|S_i|`` of the consortium.
        seed
            Of the choice of samples.
        """
        who = consortium.organizations
        held = who.samples.tolist() if samples_held is None else list(samples_held)
        return cls(
            pledges=tuple(
                Pledge(name, float(d), float(f), int(samples), seed)
                for name, d, f, samples in zip(
                    who.names, profile.data_fraction, profile.cpu_hz, held, strict=True
                )
            ),
            transfer_seconds=tuple((who.download_seconds + who.upload_seconds).tolist()),
            cycles=tuple((who.cycles_per_bit * who.data_bits).tolist()),
            cpu_levels_hz=tuple(tuple(who.levels(i)) for i in range(len(who))),
            deadline_seconds=consortium.mechanism.deadline_seconds,
        )

    @classmethod
    def load(cls, file: str | Path, method: str = DEFAULT_METHOD, seed: int = 0) -> Terms:
        """Return the terms of a consortium file, solved.

        Raises
        ------
        InputError
            The file is no valid consortium.
        """
        consortium = load(Path(file))
        return cls.of(consortium, solve(consortium, method).profile, seed=seed)

    def __len__(self) -> int:
        return len(self.pledges)

    @property
    def names(self) -> tuple[str, ...]:
        """The organizations' names, in order."""
        return tuple(pledge.organization for pledge in self.pledges)

    def modelled_seconds(self, i: int, samples_used: int, cpu_hz: float) -> float:
        """Return ``T1_i + eta_i d_i s_i / f_i + T3_i``, Eq. (2), with what was really used.

        An organization that used exactly what it owes used ``d_i``: that a number of samples is
        whole must make nobody late.
        """
        pledge = self.pledges[i]
        fraction = pledge.data_fraction * samples_used / pledge.samples_owed
        return self.transfer_seconds[i] + self.cycles[i] * fraction / cpu_hz

    def in_time(self, i: int, samples_used: int, cpu_hz: float) -> bool:
        """Tell whether a contribution fits the deadline by Eq. (2)."""
        # An equilibrium may use the deadline up to its last bit.
        slack = 1.0 + 16.0 * float(np.finfo(float).eps)
        return self.modelled_seconds(i, samples_used, cpu_hz) <= self.deadline_seconds * slack
