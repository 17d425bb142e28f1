"""Random consortia, with our calibration of what the paper leaves out (erratum E9).

Those of Table II are alike: nobody is much larger or richer than another, and all compete equally.
The heterogeneous ones are not: their sizes are log-normal, and rivals sit in the same sector.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tradefl.game import CoopetitionGame, DenseCompetition, SqrtLoss

# The paper's incentive intensity of highest welfare, payoff per bit.
GAMMA_STAR = 5.12e-9
# Heterogeneous consortia: sectors, and how much weaker competition is across them than within.
SECTORS = 3
ACROSS = 0.2
INTENSITY_SPREAD = 0.2  # of the logarithms of the intensities
# Table II: what is drawn uniformly, by the name of the game's array; levels by the fastest of them.
TABLE_II: Mapping[str, tuple[float, float]] = {
    "data_bits": (15e9, 25e9),
    "fastest_hz": (3e9, 5e9),
    "profitability": (500.0, 2500.0),
}
# After so many draws of profitabilities without z > 0 no further one is worth waiting for.
DRAWS = 100_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """What the paper does not give. The values are ours, and ``examples/paper.toml`` has them too.

    Attributes
    ----------
    epochs, untrained_loss
        G and A(0) of footnote 7.
    unit
        Bits in one unit of Omega.
    compute_weight
        lambda.
    overhead_weight
        varpi_e.
    cycles_per_bit
        eta, the same for everybody.
    deadline_seconds
        tau.
    levels
        m: equal steps up to F^(m).
    mean_intensity
        mu.
    transfer_seconds, transfer_watts
        T1 = T3, and E_DL = E_UL.
    """

    epochs: float = 5.2
    untrained_loss: float = 0.79
    unit: float = 1e9
    compute_weight: float = 2.25
    overhead_weight: float = 0.32
    cycles_per_bit: float = 2.0
    deadline_seconds: float = 22.6
    levels: int = 5
    mean_intensity: float = 0.05
    transfer_seconds: float = 1.0
    transfer_watts: float = 0.1


OURS = Calibration()


def draw(
    seed: int,
    calibration: Calibration = OURS,
    *,
    incentive_intensity: float = GAMMA_STAR,
    largest_mean_intensity: float | None = None,
    organizations: int = 10,
    ranges: Mapping[str, tuple[float, float]] = TABLE_II,
) -> CoopetitionGame:
    """Return a consortium of Table II's ranges.

    The competition intensities are ``mu + (mu / 5) e_ij`` with standard normal ``e_ij = e_ji``
    (errata E2 and E11), clipped to [0, 1]. Profitabilities are drawn again until every ``z_i`` is
    positive, without which there is no weighted potential (erratum E1).

    Parameters
    ----------
    seed
        The same seed gives the same sizes, levels and ``e_ij`` under any calibration.
    calibration
        What the paper leaves out.
    incentive_intensity
        gamma.
    largest_mean_intensity
        The ``mu`` up to which every ``z_i`` must be positive; default the calibration's. A figure
        that varies ``mu`` gives its largest, so that all its points are of one consortium.
    organizations
        N.
    ranges
        What is drawn uniformly, as :data:`TABLE_II`.

    Raises
    ------
    ValueError
        Competition is so strong that no draw has every ``z_i`` positive.
    """
    mu = calibration.mean_intensity
    largest = mu if largest_mean_intensity is None else largest_mean_intensity
    rng = np.random.default_rng(seed)
    bits = rng.uniform(*ranges["data_bits"], organizations)
    fastest = rng.uniform(*ranges["fastest_hz"], organizations)
    noise = np.triu(rng.standard_normal((organizations, organizations)), 1)
    noise += noise.T

    def intensities(mean: float) -> Any:
        rho = np.clip(mean + mean / 5.0 * noise, 0.0, 1.0)
        np.fill_diagonal(rho, 0.0)
        return rho

    for _ in range(DRAWS):
        profitability = rng.uniform(*ranges["profitability"], organizations)
        if np.all(profitability > intensities(largest) @ profitability):
            break
    else:
        raise ValueError(f"mean_intensity: no draw has every z_i > 0 at mu = {largest:g}")
    return _game(
        calibration,
        incentive_intensity,
        profitability=profitability,
        bits=bits,
        fastest=fastest,
        rho=intensities(mu),
        title=f"table-ii-{seed}",
    )


def draw_heterogeneous(
    seed: int,
    calibration: Calibration = OURS,
    *,
    spread: float,
    rivalry: float,
    incentive_intensity: float = GAMMA_STAR,
    organizations: int = 10,
) -> CoopetitionGame:
    """Return a consortium of unequal organizations in sectors.

    Data and profitability are log-normal and independent, scaled so that their means are those of
    Table II: consortia of any spread have as much of both. CPUs grow as the square root of the
    data, so that the large ones cannot train all of theirs in time. Each organization is in one of
    three sectors; competition across sectors is a fifth of that within, times ``exp(0.2 e_ij)``
    with standard normal ``e_ij = e_ji``, all scaled so that the rivalry is the one asked for.

    Parameters
    ----------
    seed
        The same seed gives the same deviates under any spread and rivalry.
    calibration
        What the paper leaves out; its mean intensity does not matter.
    spread
        ``sigma``: the standard deviation of the logarithms, at least 0; 0: all are equally large.
    rivalry
        ``max_i sum_j rho_ij p_j / p_i``, above 0; below 1 every ``z_i`` is positive (erratum E1).
    incentive_intensity
        gamma.
    organizations
        N, at least 2.

    Raises
    ------
    ValueError
        An option is out of range.
    """
    if not spread >= 0.0:
        raise ValueError(f"spread: expected a number >= 0, got {spread!r}")
    if not 0.0 < rivalry < 1.0:
        raise ValueError(f"rivalry: expected a number between 0 and 1, got {rivalry!r}")
    rng = np.random.default_rng(seed)
    size = _log_normal(rng, spread, organizations)
    profitability = 1500.0 * _log_normal(rng, spread, organizations)
    fastest = rng.uniform(3e9, 5e9, organizations) * np.sqrt(size)
    sector = rng.integers(0, SECTORS, organizations)
    noise = np.triu(rng.standard_normal((organizations, organizations)), 1)
    rho = np.where(sector[:, None] == sector, 1.0, ACROSS)
    rho *= np.exp(INTENSITY_SPREAD * (noise + noise.T))
    np.fill_diagonal(rho, 0.0)
    # No intensity exceeds the rivalry: the poorer of two rivals suffers at least that much.
    rho *= rivalry / rivalry_of(rho, profitability)
    return _game(
        calibration,
        incentive_intensity,
        profitability=profitability,
        bits=20e9 * size,
        fastest=fastest,
        rho=rho,
        title=f"heterogeneous-{seed}",
    )


def table2(
    seed: int,
    n: int = 10,
    *,
    incentive_intensity: float = GAMMA_STAR,
    largest_mean_intensity: float | None = None,
    **changes: float | tuple[float, float],
) -> CoopetitionGame:
    """Return a random consortium of Table II's ranges, or of others.

    Parameters
    ----------
    seed
        Seed of the draw. The same seed draws the same deviates under any ranges.
    n
        N, the number of organizations, at least 1.
    incentive_intensity
        gamma, payoff per bit.
    largest_mean_intensity
        As in :func:`draw`: for a figure that varies ``mu``, the largest.
    **changes
        A range ``(low, high)`` for ``data_bits``, ``fastest_hz`` or ``profitability``
        (:data:`TABLE_II`), or a number for a field of :class:`Calibration`; ``mu`` is
        ``mean_intensity``.

    Raises
    ------
    ValueError
        An option is unknown or out of range, or no draw has every ``z_i`` positive.

    Examples
    --------
    >>> from tradefl.experiments import draws
    >>> draws.table2(0, 5, mu=0.08, data_bits=(1e9, 2e9)).size
    5
    """
    ranges, calibration = dict(TABLE_II), _calibration(changes, dict(TABLE_II))
    for name in ranges:
        if name in changes:
            ranges[name] = _range(name, changes[name])
    _require_organizations(n, 1)
    return draw(
        seed,
        calibration,
        incentive_intensity=incentive_intensity,
        largest_mean_intensity=largest_mean_intensity,
        organizations=n,
        ranges=ranges,
    )


def heterogeneous(
    seed: int,
    n: int = 10,
    *,
    spread: float = 0.8,
    rivalry: float = 0.5,
    incentive_intensity: float = GAMMA_STAR,
    **changes: float,
) -> CoopetitionGame:
    """Return a random consortium of unequal organizations in sectors.

    Parameters
    ----------
    seed, n, incentive_intensity
        As in :func:`table2`; ``n`` is at least 2.
    spread, rivalry
        As in :func:`draw_heterogeneous`.
    **changes
        Numbers for fields of :class:`Calibration`; its mean intensity does not matter.

    Raises
    ------
    ValueError
        An option is unknown or out of range.
    """
    _require_organizations(n, 2)
    return draw_heterogeneous(
        seed,
        _calibration(changes, {}),
        spread=spread,
        rivalry=rivalry,
        incentive_intensity=incentive_intensity,
        organizations=n,
    )


def _require_organizations(n: int, least: int) -> None:
    if isinstance(n, bool) or not isinstance(n, int) or n < least:
        raise ValueError(f"n: expected an integer >= {least}, got {n!r}")


def _range(name: str, given: Any) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in given)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected a range (low, high), got {given!r}") from None
    if not 0.0 < low <= high < np.inf:
        raise ValueError(f"{name}: expected 0 < low <= high, got {given!r}")
    return low, high


def _calibration(changes: Mapping[str, Any], ranges: Mapping[str, Any]) -> Calibration:
    """Return our calibration with some fields changed; the names of ranges are left alone."""
    fields = {field.name for field in dataclasses.fields(Calibration)}
    changed: dict[str, Any] = {}
    for given, value in changes.items():
        name = "mean_intensity" if given == "mu" else given
        if name in ranges:
            continue
        if name not in fields:
            known = ", ".join(sorted({*fields, *ranges, "mu"}))
            raise ValueError(f"{given}: expected one of {known}")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not np.isfinite(value) or value < 0.0:
            raise ValueError(f"{given}: expected a number >= 0, got {value!r}")
        if name == "levels" and value != int(value):
            raise ValueError(f"{given}: expected an integer, got {value!r}")
        changed[name] = int(value) if name == "levels" else float(value)
    return dataclasses.replace(OURS, **changed)


def rivalry_of(rho: Any, profitability: Any) -> float:
    """Return ``max_i sum_j rho_ij p_j / p_i``: the largest part of a gain that rivals undo."""
    return float(np.max(rho @ profitability / profitability))


def _log_normal(rng: np.random.Generator, spread: float, count: int) -> Any:
    """Return log-normal numbers whose mean is 1."""
    numbers = np.exp(spread * rng.standard_normal(count))
    return numbers / numbers.mean()


def _game(
    calibration: Calibration,
    incentive_intensity: float,
    *,
    profitability: Any,
    bits: Any,
    fastest: Any,
    rho: Any,
    title: str,
) -> CoopetitionGame:
    """Return the game of drawn organizations."""
    steps = np.arange(1, calibration.levels + 1) / calibration.levels
    return CoopetitionGame(
        profitability=profitability,
        data_bits=bits,
        data_units=bits / calibration.unit,
        cycles_per_bit=np.full(bits.size, calibration.cycles_per_bit),
        cpu_levels_hz=fastest[:, None] * steps,
        competition=DenseCompetition(rho),
        accuracy=SqrtLoss(epochs=calibration.epochs, untrained_loss=calibration.untrained_loss),
        download_seconds=calibration.transfer_seconds,
        upload_seconds=calibration.transfer_seconds,
        incentive_intensity=incentive_intensity,
        compute_weight=calibration.compute_weight,
        overhead_weight=calibration.overhead_weight,
        min_data_fraction=0.01,
        deadline_seconds=calibration.deadline_seconds,
        capacitance=1e-27,
        download_watts=calibration.transfer_watts,
        upload_watts=calibration.transfer_watts,
        title=title,
    )
