"""Strategy profiles: what each organization contributes."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from tradefl.game.arrays import floats

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class StrategyProfile:
    """One strategy ``pi_i = (d_i, f_i)`` for every organization.

    Parameters
    ----------
    data_fraction
        ``d``, shape ``(N,)``: the fraction of its data that each organization contributes.
    cpu_hz
        ``f``, shape ``(N,)``: the CPU frequency that each contributes, in Hz.
    """

    data_fraction: Array
    cpu_hz: Array

    def __post_init__(self) -> None:
        d = np.array(floats("data_fraction", self.data_fraction))
        f = np.array(floats("cpu_hz", self.cpu_hz))
        if d.ndim != 1 or d.shape != f.shape:
            raise ValueError(
                "data_fraction, cpu_hz: expected two arrays of shape (N,), "
                f"got {d.shape} and {f.shape}"
            )
        d.flags.writeable = f.flags.writeable = False
        object.__setattr__(self, "data_fraction", d)
        object.__setattr__(self, "cpu_hz", f)

    def replaced(self, i: int, data_fraction: float, cpu_hz: float) -> StrategyProfile:
        """Return the profile in which organization ``i`` plays another strategy."""
        d, f = self.data_fraction.copy(), self.cpu_hz.copy()
        d[i], f[i] = data_fraction, cpu_hz
        return StrategyProfile(d, f)
