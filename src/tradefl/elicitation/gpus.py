r"""From GPUs to the figures of the game: effort, levels and capacitance.

The game's energy of a cycle is ``kappa f^2``, and training on a bit takes ``eta`` cycles. A device
that trains on ``b`` bits a second at its highest clock ``F``, with ``W`` watts, and ``k`` of them:

    eta   = passes F / (k b)        so that k devices need passes s / (k b) seconds for s bits
    kappa = k W / F^3               so that they draw k W watts at F

and half the clock takes an eighth of the power, as the cube says; a real device saves less.
"""

from __future__ import annotations

import dataclasses
import re

from tradefl.consortium.schema import suggestion
from tradefl.foreign import normalized

# Clocks at which a device can be run, as shares of its highest.
SHARES = (0.5, 0.625, 0.75, 0.875, 1.0)
# Forward and backward pass of ResNet-50 on an image of 224 x 224 pixels with three bytes each:
# 3 x 8.2 GFLOP for 1.2 Mbit.
FLOP_PER_BIT = 3.0 * 8.2e9 / (224 * 224 * 3 * 8)
# The part of the peak that training reaches.
UTILIZATION = 0.3


@dataclasses.dataclass(frozen=True)
class Device:
    """A GPU as its data sheet describes it.

    Attributes
    ----------
    name
        Its model.
    teraflops
        Peak of dense 16-bit tensor arithmetic, TFLOP/s.
    watts
        Board power.
    clock_hz
        Boost clock.
    """

    name: str
    teraflops: float
    watts: float
    clock_hz: float

    @property
    def bits_per_second(self) -> float:
        """Data that it trains on in a second, bit/s: the peak times :data:`UTILIZATION`."""
        return self.teraflops * 1e12 * UTILIZATION / FLOP_PER_BIT


# Of the vendors' data sheets.
DEVICES = tuple(
    Device(name, teraflops, watts, ghz * 1e9)
    for name, teraflops, watts, ghz in (
        ("P100", 21.2, 300.0, 1.48),
        ("V100", 125.0, 300.0, 1.53),
        ("T4", 65.0, 70.0, 1.59),
        ("A10", 125.0, 150.0, 1.695),
        ("A30", 165.0, 165.0, 1.44),
        ("A40", 149.7, 300.0, 1.74),
        ("A100", 312.0, 400.0, 1.41),
        ("L4", 121.0, 72.0, 2.04),
        ("L40", 181.0, 300.0, 2.49),
        ("L40S", 362.0, 350.0, 2.52),
        ("H100", 989.0, 700.0, 1.98),
        ("H200", 989.0, 700.0, 1.98),
        ("B200", 2250.0, 1000.0, 1.965),
        ("RTX 3090", 71.0, 350.0, 1.695),
        ("RTX 4090", 165.0, 450.0, 2.52),
        ("RTX A6000", 154.8, 300.0, 1.80),
        ("MI250X", 383.0, 560.0, 1.70),
        ("MI300X", 1307.0, 750.0, 2.10),
    )
)
_WORDS = re.compile(r"nvidia|amd|tesla|geforce|instinct|quadro|sxm\d?|pcie|nvl|\d+ ?gb|[\s_\-]+")


@dataclasses.dataclass(frozen=True)
class Machine:
    """What an organization trains with, in the figures of the file.

    Attributes
    ----------
    cycles_per_bit
        eta.
    cpu_levels_hz
        F, ascending.
    capacitance
        kappa, J s^2 per cycle.
    """

    cycles_per_bit: float
    cpu_levels_hz: tuple[float, ...]
    capacitance: float


def device(name: str) -> Device:
    """Return the device of a name: ``A100``, ``NVIDIA A100-SXM4-80GB``, ``rtx4090``.

    Raises
    ------
    KeyError
        It is not in the table; the message suggests a close one.
    """
    wanted = _WORDS.sub("", normalized(name).lower())
    for device in DEVICES:
        if wanted in (_WORDS.sub("", device.name.lower()), device.name.lower().replace(" ", "")):
            return device
    raise KeyError(suggestion(name, [device.name for device in DEVICES]))


def gpu(
    bits_per_second: float, watts: float, clock_hz: float, *, count: int = 1, passes: float = 10.0
) -> Machine:
    """Return the figures of a machine from its throughput and power.

    Parameters
    ----------
    bits_per_second
        Data that one device trains on in a second, bit/s.
    watts
        Power of one device under load.
    clock_hz
        Its clock there; what it is matters little, as only products with it count.
    count
        How many devices train together.
    passes
        How often training goes through the data.

    Raises
    ------
    ValueError
        A figure is not a finite number > 0.
    """
    given = {
        "bits_per_second": bits_per_second,
        "watts": watts,
        "clock_hz": clock_hz,
        "count": count,
        "passes": passes,
    }
    for name, value in given.items():
        if not 0.0 < value < float("inf"):
            raise ValueError(f"{name}: expected a finite number > 0, got {value!r}")
    return Machine(
        cycles_per_bit=passes * clock_hz / (count * bits_per_second),
        cpu_levels_hz=tuple(round(share * clock_hz) * 1.0 for share in SHARES),
        capacitance=count * watts / clock_hz**3,
    )
