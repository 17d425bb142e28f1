"""Shared builders: random games, feasible profiles, and Eq. (6)-(11) written a second time.

:class:`Eq11` is the judge of the tests. It shares nothing with ``tradefl.game`` but the input
arrays: sums run over a dense rho in the order of the printed formulas, and ``P`` is written
down again.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from tradefl.game import (
    Competition,
    CoopetitionGame,
    DenseCompetition,
    EfficientRule,
    Empirical,
    PowerLaw,
    Schedule,
    SectorCompetition,
    SparseCompetition,
    SqrtLoss,
    StrategyProfile,
)
from tradefl.game.user_accuracy import complete

ACCURACIES = ("sqrt-loss", "power-law", "empirical", "user")
COMPETITIONS = ("dense", "sparse", "sector")


def examples(count: int) -> settings:
    """The settings of every property test: the same examples on every run."""
    return settings(max_examples=count, deadline=None, derandomize=True)


# --- P of a user --------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class LogAccuracy:
    """P = height log(1 + Omega / scale): arrays accepted, the inverse brought along."""

    height: float
    scale: float

    def value(self, omega: Any) -> Any:
        return self.height * np.log1p(omega / self.scale)

    def derivative(self, omega: Any) -> Any:
        return self.height / (self.scale + omega)

    def inverse_derivative(self, slope: float) -> float:
        return max(0.0, self.height / slope - self.scale) if slope > 0.0 else math.inf


@dataclasses.dataclass(frozen=True)
class ScalarExpAccuracy:
    """P = height (1 - exp(-Omega / scale)): numbers only, no inverse."""

    height: float
    scale: float

    def value(self, omega: float) -> float:
        return -self.height * math.expm1(-omega / self.scale)

    def derivative(self, omega: float) -> float:
        return self.height / self.scale * math.exp(-omega / self.scale)


@dataclasses.dataclass(frozen=True)
class WithoutInverse:
    """A built-in model as a user would hand it in: value, derivative and onset only."""

    model: Any

    @property
    def onset(self) -> float:
        return self.model.onset

    def value(self, omega: Any) -> Any:
        return self.model.value(omega)

    def derivative(self, omega: Any) -> Any:
        return self.model.derivative(omega)


# --- random games -------------------------------------------------------------------------------


def random_accuracy(rng: np.random.Generator, kind: str, total: float, onset: float) -> Any:
    """Return a P that leaves zero at ``onset`` and still bends at ``total`` units of data."""
    if kind == "sqrt-loss":
        epochs = float(rng.uniform(1.0, 20.0))
        # 1/sqrt(onset G) + 1/G = A(0)
        return SqrtLoss(epochs, 1.0 / math.sqrt(onset * epochs) + 1.0 / epochs)
    if kind == "power-law":
        exponent, floor = float(rng.uniform(0.2, 1.3)), float(rng.choice([0.0, 0.1]))
        headroom = float(rng.uniform(0.2, 2.0))
        return PowerLaw(headroom + floor, headroom * onset**exponent, exponent, floor)
    if kind == "empirical":
        pieces = int(rng.integers(1, 7))
        knots = np.append(0.0, np.cumsum(rng.uniform(0.05, 1.0, pieces)))
        knots *= rng.uniform(0.3, 1.5) * total / knots[-1]
        slopes = np.sort(rng.uniform(0.0, 1.0, pieces))[::-1] / total
        return Empirical(knots, np.append(0.0, np.cumsum(slopes * np.diff(knots))))
    height, scale = float(rng.uniform(0.2, 2.0)), total * float(rng.uniform(0.05, 1.0))
    if kind == "user":
        kind = str(rng.choice(["user-log", "user-exp", "user-with-onset"]))
    if kind == "user-log":
        return LogAccuracy(height, scale)
    if kind == "user-exp":
        return ScalarExpAccuracy(height, scale)
    # Where P barely leaves zero, rounding hides its shape from the check of Eq. (5).
    return WithoutInverse(random_accuracy(rng, "sqrt-loss", total, min(onset, 0.8 * total)))


def drawn_model(kind: str, seed: int) -> tuple[Any, float]:
    """Return a random P of that kind, complete, and the data at which it still bends."""
    rng = np.random.default_rng(seed)
    total = float(np.exp(rng.uniform(-2.0, 12.0)))
    return complete(random_accuracy(rng, kind, total, total * rng.uniform(0.001, 0.5))), total


def random_competition(rng: np.random.Generator, kind: str, profitability: Any) -> Competition:
    """Return a random rho of one of the three forms, small enough that every z_i > 0."""
    p = np.asarray(profitability)
    n = p.size
    if kind == "sector":
        sectors = rng.integers(0, 3, n)
        within, across = float(rng.uniform(0.0, 1.0)), float(rng.choice([0.0, 0.1, 0.3]))
        pairs = np.argwhere(np.triu(rng.random((n, n)) < 0.2, 1))
        exceptions = None
        if len(pairs):
            flip = rng.random(len(pairs)) < 0.5  # either order is allowed
            i, j = np.where(flip, pairs[:, 1], pairs[:, 0]), np.where(flip, *pairs.T)
            exceptions = (i, j, rng.choice([0.0, 0.2, 1.0], len(pairs)))
        competition: Any = SectorCompetition(sectors, within, across, exceptions)
        largest = np.max(dense_rho(competition) @ p / p)
        share = float(rng.uniform(0.1, 0.95))
        return competition if largest < share else competition.scaled(share / largest)
    rho = np.triu(rng.random((n, n)), 1) * (rng.random((n, n)) < rng.choice([0.3, 1.0]))
    rho += rho.T
    largest = np.max(rho @ p / p)
    rho *= min(1.0, float(rng.uniform(0.1, 0.95)) / largest) if largest > 0.0 else 1.0
    rho = np.triu(rho) + np.triu(rho).T  # scaling keeps symmetry, but let it be beyond doubt
    return DenseCompetition(rho) if kind == "dense" else SparseCompetition(csr_array(rho))


def random_game(
    seed: int | np.random.Generator,
    organizations: int = 5,
    *,
    levels: int | None = None,
    accuracy: str | None = None,
    competition: str | None = None,
    gamma: float | None = None,
    deadline: str | None = None,
    start: str | None = None,
    equal: bool = False,
) -> CoopetitionGame:
    """Return a valid game; what is not given is drawn.

    Parameters
    ----------
    levels
        The most CPU levels that an organization has; rows with fewer are padded with NaN.
    accuracy
        One of :data:`ACCURACIES`, ``user-log`` or ``user-exp``.
    competition
        One of :data:`COMPETITIONS`.
    gamma
        In units in which 1 balances what data is worth: 0 for no redistribution.
    deadline
        ``tight``: some levels are capped or infeasible; ``loose``: none is.
    start
        Where Omega lies when everybody contributes D_min: ``flat``, below the onset of P, or
        ``concave``, above it. Only sqrt-loss and power-law have an onset.
    equal
        Whether all organizations are equal (but not necessarily their competition).
    """
    rng = np.random.default_rng(seed)
    n, distinct = organizations, 1 if equal else organizations
    levels = int(rng.integers(1, 5)) if levels is None else levels
    accuracy = str(rng.choice(ACCURACIES)) if accuracy is None else accuracy
    competition = str(rng.choice(COMPETITIONS)) if competition is None else competition
    deadline = str(rng.choice(["tight", "loose"])) if deadline is None else deadline
    start = str(rng.choice(["flat", "concave"])) if start is None else start

    def draw(low: float, high: float) -> Any:  # log-uniform, one for each organization
        return np.resize(np.exp(rng.uniform(math.log(low), math.log(high), distinct)), n)

    def number(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(math.log(low), math.log(high))))

    p, s, eta = draw(100.0, 3000.0), draw(2e9, 5e10), draw(5.0, 50.0)
    counted = rng.choice(["bits", "gigabits", "samples"])
    u = {"bits": s, "gigabits": s / 1e9, "samples": np.round(draw(500.0, 50_000.0))}[counted]
    download, upload = draw(0.5, 20.0), draw(0.5, 20.0)
    ladder = np.sort(np.resize(rng.uniform(5e8, 5e9, (distinct, levels)), (n, levels)), axis=1)
    has = np.resize(rng.integers(1, levels + 1, distinct), n)
    has[int(rng.integers(n))] = levels
    fastest = ladder[np.arange(n), has - 1]
    ladder = np.where(np.arange(levels) < has[:, None], ladder, np.nan)

    d_min = float(rng.choice([0.01, 0.05, 0.2]))
    needed = eta * s / fastest  # seconds for all data at the fastest level
    if deadline == "tight":
        tau = np.max(download + upload + needed * d_min * number(1.001, 1.5 / d_min))
    else:
        tau = rng.choice([np.inf, np.max(download + upload + eta * s / np.nanmin(ladder)) * 2.0])

    total = float(u.sum())
    if start == "flat":
        onset = total * number(d_min * 1.001, 1.2)
    else:
        onset = total * d_min * number(1e-3, 0.999)
    model = random_accuracy(rng, accuracy, total, onset)
    worth = float(np.mean(p)) * abs(float(model.value(total)))  # about one revenue
    worth = worth if worth > 0.0 else float(np.mean(p))

    rho = random_competition(rng, competition, p)
    row_sum = float(np.mean(dense_rho(rho).sum(axis=1)))
    if gamma is None:
        gamma = 0.0 if rng.random() < 0.25 else number(1e-3, 3.0)
    capacitance = 1e-27
    joules = float(np.mean(capacitance * fastest**2 * eta * s))
    return CoopetitionGame(
        profitability=p,
        data_bits=s,
        cycles_per_bit=eta,
        cpu_levels_hz=ladder,
        competition=rho,
        accuracy=model,
        data_units=u,
        download_seconds=download,
        upload_seconds=upload,
        incentive_intensity=gamma * worth / (row_sum * float(np.mean(s))) if row_sum else gamma,
        compute_weight=number(0.01, 5.0),
        overhead_weight=0.0 if rng.random() < 0.05 else number(0.02, 5.0) * worth / joules,
        min_data_fraction=d_min,
        deadline_seconds=float(tau),
        capacitance=capacitance,
        download_watts=float(rng.uniform(0.0, 5.0)),
        upload_watts=float(rng.uniform(0.0, 5.0)),
    )


def costly(game: CoopetitionGame, seed: int | np.random.Generator) -> CoopetitionGame:
    """Return a game whose organizations bear costs and differ in machines and data, at random.

    Costs are of the size of what data is worth, so that they change contributions.
    """
    rng = np.random.default_rng(seed)
    n = game.size
    worth = game.potential_weights * abs(float(game.accuracy.value(float(game.data_units.sum()))))
    return dataclasses.replace(
        game,
        data_cost=worth
        * np.exp(rng.uniform(-6.0, 0.5, n))
        * rng.choice([0.0, 1.0], n, p=[0.2, 0.8]),
        joining_cost=worth * rng.uniform(0.0, 1.0, n) * rng.choice([0.0, 1.0], n),
        capacitance=game.capacitance * np.exp(rng.uniform(-1.5, 1.5, n)),
        quality=np.exp(rng.uniform(-0.7, 0.7, n)),
    )


def costly_games(max_organizations: int = 5, **fixed: Any) -> Any:
    """A hypothesis strategy over :func:`costly` games."""
    return st.builds(costly, games(max_organizations, **fixed), st.integers(0, 2**31))


def games(max_organizations: int = 6, min_organizations: int = 1, **fixed: Any) -> Any:
    """A hypothesis strategy over :func:`random_game`; ``fixed`` names what is not drawn."""
    drawn: dict[str, Any] = {
        "seed": st.integers(0, 2**32 - 1),
        "organizations": st.integers(min_organizations, max_organizations),
        "levels": st.integers(1, 4),
        "accuracy": st.sampled_from(ACCURACIES),
        "competition": st.sampled_from(COMPETITIONS),
        "gamma": st.sampled_from([None, 0.0]),
        "deadline": st.sampled_from(["loose", "tight"]),
        "start": st.sampled_from(["concave", "flat"]),
        "equal": st.booleans(),
    }
    drawn |= {name: st.just(value) for name, value in fixed.items()}
    return st.builds(random_game, **drawn)


# --- random rules -------------------------------------------------------------------------------


def random_schedule(
    game: CoopetitionGame, i: int, rng: np.random.Generator, pieces: int | None = None
) -> Schedule:
    """Return a schedule of which data is worth about what it is worth through P, or much less.

    Breakpoints fall anywhere, on D_min, and where the deadline ends a level. Some pieces go on
    as the one before, some are level.
    """
    pieces = int(rng.integers(1, 5)) if pieces is None else pieces
    marks = [game.min_data_fraction, *(h for _, h in Eq11(game).levels(i))]
    inside = {
        round(float(rng.choice(marks) if rng.random() < 0.3 else rng.random()), 9)
        for _ in range(pieces - 1)
    }
    shares = np.array([0.0, *sorted(inside - {0.0, 1.0}), 1.0])
    worth = float(game.potential_weights[i]) * abs(
        float(game.accuracy.value(float(game.data_units.sum())))
    )
    worth = worth if worth > 0.0 else float(game.profitability[i])
    slopes = worth * np.exp(rng.uniform(-6.0, 2.0, shares.size - 1))
    slopes[rng.random(slopes.size) < 0.1] = 0.0
    slopes = np.sort(slopes)[::-1]
    if slopes.size > 1 and rng.random() < 0.2:
        slopes[1] = slopes[0]
    values = np.append(0.0, np.cumsum(slopes * np.diff(shares)))
    return Schedule(shares, values - rng.choice(values))


def random_rule(
    game: CoopetitionGame,
    seed: int | np.random.Generator,
    *,
    pieces: int | None = None,
    equal: bool = False,
) -> EfficientRule:
    """Return an efficient rule of no design: any schedules, constants, and extra payments."""
    rng = np.random.default_rng(seed)
    n = game.size
    schedules = [random_schedule(game, 0 if equal else i, rng, pieces) for i in range(n)]
    money = float(np.mean(game.profitability))
    extra = [
        (*((i, j) if rng.random() < 0.5 else (j, i)), float(rng.normal(0.0, 0.1 * money)))
        for i in range(n)
        for j in range(i + 1, n)
        if rng.random() < 0.3
    ]
    constants = rng.normal(0.0, 0.1 * money, n) * rng.choice([0.0, 1.0])
    return EfficientRule(tuple(schedules[:1] * n if equal else schedules), constants, tuple(extra))


def efficient_game(
    seed: int, organizations: int = 4, *, pieces: int | None = None, **fixed: Any
) -> CoopetitionGame:
    """Return a :func:`random_game` under a :func:`random_rule`."""
    game = random_game(seed, organizations, **fixed)
    equal = bool(fixed.get("equal", False))
    return game.with_compensation(random_rule(game, seed + 1, pieces=pieces, equal=equal))


def efficient_games(max_organizations: int = 5, **fixed: Any) -> Any:
    """A hypothesis strategy over :func:`efficient_game`; there are always two or more."""
    drawn: dict[str, Any] = {
        "seed": st.integers(0, 2**31),
        "organizations": st.integers(2, max_organizations),
        "levels": st.integers(1, 4),
        "accuracy": st.sampled_from(ACCURACIES),
        "competition": st.sampled_from(COMPETITIONS),
        "deadline": st.sampled_from(["loose", "tight"]),
        "start": st.sampled_from(["concave", "flat"]),
        "equal": st.booleans(),
    }
    drawn |= {name: st.just(value) for name, value in fixed.items()}
    return st.builds(efficient_game, **drawn)


def heterogeneous_game(
    seed: int,
    organizations: int,
    *,
    spread: float = 0.8,
    within: float = 0.1,
    across: float = 0.02,
    levels: int = 5,
) -> CoopetitionGame:
    """Return a consortium of firms of log-normal sizes in three sectors, in Gbit."""
    rng = np.random.default_rng(seed)
    n = organizations
    size = np.exp(spread * rng.standard_normal(n))
    p = 1500.0 * np.exp(spread * rng.standard_normal(n))
    sector = rng.integers(0, 3, n)
    rho = np.where(sector[:, None] == sector[None, :], within, across) * 10.0 / n
    rho = np.triu(rho * np.exp(0.2 * rng.standard_normal((n, n))), 1)
    rho += rho.T
    rho *= min(1.0, 0.8 / max(float(np.max(rho @ p / p)), 0.1))
    fastest = rng.uniform(3e9, 5e9, n) * np.maximum(size, 0.3)
    return CoopetitionGame(
        profitability=p,
        data_bits=2e10 * size,
        data_units=20.0 * size,
        cycles_per_bit=2.0,
        cpu_levels_hz=fastest[:, None] * np.arange(1, levels + 1) / levels,
        competition=DenseCompetition(np.minimum(rho, 1.0)),
        accuracy=SqrtLoss(5.2, 0.79),
        download_seconds=1.0,
        upload_seconds=1.0,
        incentive_intensity=5e-9,
        compute_weight=2.25,
        overhead_weight=0.32,
        min_data_fraction=0.01,
        deadline_seconds=22.6,
        download_watts=0.1,
        upload_watts=0.1,
    )


def seeds() -> Any:
    """A hypothesis strategy: seeds of whatever else a test draws."""
    return st.integers(0, 2**32 - 1)


def random_profile(
    game: CoopetitionGame, seed: int | np.random.Generator, kind: str = "any"
) -> StrategyProfile:
    """Return a feasible profile.

    ``any``: d anywhere and at the ends; ``low``: everybody within 1% of D_min, which leaves
    Omega below the onset of P in a game that starts there.
    """
    rng = np.random.default_rng(seed)
    d, f = np.empty(game.size), np.empty(game.size)
    for i in range(game.size):
        choices = Eq11(game).levels(i)
        f[i], high = choices[int(rng.integers(len(choices)))]
        low = game.min_data_fraction
        if kind == "low":
            d[i] = min(high, low * rng.uniform(1.0, 1.01))
        else:
            d[i] = rng.choice([low, high, rng.uniform(low, high), rng.uniform(low, high)])
    return StrategyProfile(d, f)


def permuted(game: CoopetitionGame, order: Any) -> CoopetitionGame:
    """Return the game whose organization k is ``order[k]`` of the given one."""
    order = np.asarray(order)
    rho = game.competition
    if isinstance(rho, DenseCompetition):
        rho = DenseCompetition(rho.matrix[np.ix_(order, order)])
    elif isinstance(rho, SparseCompetition):
        rho = SparseCompetition(rho.matrix[order][:, order])
    else:
        place = np.argsort(order)
        exceptions = rho.exceptions
        if exceptions is not None:
            exceptions = (place[exceptions[0]], place[exceptions[1]], exceptions[2])
        rho = SectorCompetition(rho.sectors[order], rho.within, rho.across, exceptions)
    arrays = (
        "profitability", "data_bits", "cycles_per_bit", "cpu_levels_hz", "data_units",
        "download_seconds", "upload_seconds", "data_cost", "joining_cost",
    )  # fmt: skip
    moved = {name: getattr(game, name)[order] for name in arrays}
    if np.ndim(game.capacitance):
        moved["capacitance"] = game.capacitance[order]
    return dataclasses.replace(game, competition=rho, **moved)


# --- Eq. (6)-(11), written a second time --------------------------------------------------------


def dense_rho(competition: Competition) -> Any:
    """Return rho as a matrix, read off the fields of its class."""
    if isinstance(competition, DenseCompetition):
        return np.array(competition.matrix)
    if isinstance(competition, SparseCompetition):
        return competition.matrix.toarray()
    n = competition.sectors.size
    rho = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                together = competition.sectors[i] == competition.sectors[j]
                rho[i, j] = competition.within if together else competition.across
    for i, j, own in zip(*(competition.exceptions or ((), (), ())), strict=True):
        rho[i, j] = rho[j, i] = own
    return rho


def plain_performance(model: Any, omega: Any) -> Any:
    """P(Omega) = A(0) - A(Omega), Eq. (4), from the formulas of A; arrays accepted."""
    omega = np.maximum(omega, 1e-300)
    if isinstance(model, SqrtLoss):
        loss = 1.0 / np.sqrt(omega * model.epochs) + 1.0 / model.epochs
        return model.untrained_loss - np.minimum(model.untrained_loss, loss)
    if isinstance(model, PowerLaw):
        with np.errstate(over="ignore"):
            loss = model.scale * omega**-model.exponent + model.floor
        return model.untrained_loss - np.minimum(model.untrained_loss, loss)
    if isinstance(model, Empirical):
        value = np.zeros(np.shape(omega))
        for k in range(model.knots.size - 1):  # what each piece adds
            left, right = model.knots[k : k + 2]
            rise = model.values[k + 1] - model.values[k]
            value = value + rise * (np.clip(omega, left, right) - left) / (right - left)
        return value
    if hasattr(model, "model"):  # wrapped, by the game or by WithoutInverse
        return plain_performance(model.model, omega)
    if isinstance(model, LogAccuracy):
        return model.height * np.log(1.0 + omega / model.scale)
    assert isinstance(model, ScalarExpAccuracy)
    return model.height * (1.0 - np.exp(-omega / model.scale))


class Eq11:
    """The payoff of a game, and the search for its best deviation, from the formulas alone."""

    def __init__(self, game: CoopetitionGame) -> None:
        self.game = game
        self.n = game.profitability.size
        self.rho = dense_rho(game.competition)

    def performance(self, omega: Any) -> Any:
        return plain_performance(self.game.accuracy, omega)

    def levels(self, i: int) -> list[tuple[float, float]]:
        """Return i's feasible ``(f, h_i(f))``, from Eq. (2) and the deadline."""
        g = self.game
        seconds = g.deadline_seconds - g.download_seconds[i] - g.upload_seconds[i]
        reach = [
            (float(f), min(1.0, float(seconds * f / (g.cycles_per_bit[i] * g.data_bits[i]))))
            for f in g.cpu_levels_hz[i]
            if not math.isnan(f)
        ]
        return [(f, h) for f, h in reach if h >= g.min_data_fraction]

    def terms(self, profile: StrategyProfile, i: int, d: Any, f: float) -> tuple[Any, ...]:
        """Return revenue, overhead, damage and every r_ij of i if it alone plays ``(d, f)``."""
        g = self.game
        rest = math.fsum(
            profile.data_fraction[j] * g.data_units[j] for j in range(self.n) if j != i
        )
        with_i = self.performance(rest + d * g.data_units[i])
        revenue = g.profitability[i] * with_i
        kappa = g.capacitance if np.ndim(g.capacitance) == 0 else g.capacitance[i]
        training = kappa * f**2 * g.cycles_per_bit[i] * d * g.data_bits[i]
        transfer = g.download_watts * g.download_seconds[i] + g.upload_watts * g.upload_seconds[i]
        overhead = g.overhead_weight * (training + transfer)
        overhead = overhead + g.data_cost[i] * d + g.joining_cost[i]
        competitors = math.fsum(self.rho[i, j] * g.profitability[j] for j in range(self.n))
        damage = competitors * (with_i - self.performance(rest))
        received = self.received(profile, i, d, f)
        return revenue, overhead, damage, received

    def received(self, profile: StrategyProfile, i: int, d: Any, f: float) -> list[Any]:
        """Return r_ij for every j: Eq. (9), or the efficient rule, Eq. (9e)."""
        g, rule = self.game, self.game.compensation
        received = []
        if rule is None:
            x_i = d * g.data_bits[i] + g.compute_weight * f
            for j in range(self.n):
                x_j = profile.data_fraction[j] * g.data_bits[j]
                x_j += g.compute_weight * profile.cpu_hz[j]
                received.append(g.incentive_intensity * self.rho[i, j] * (x_i - x_j))
            return received
        for j in range(self.n):
            if j == i:
                received.append(0.0 * d)
                continue
            phi_i, phi_j = self.phi(i, d), self.phi(j, profile.data_fraction[j])
            received.append((phi_i - phi_j) / (self.n - 1) + self.constant(i, j))
        return received

    def phi(self, i: int, d: Any) -> Any:
        """Return what lies between i's breakpoints at d."""
        schedule = self.game.compensation.schedules[i]
        return np.interp(d, schedule.shares, schedule.values)

    def constant(self, i: int, j: int) -> float:
        """Return k_ij of the efficient rule."""
        rule = self.game.compensation
        k = (rule.constants[i] - rule.constants[j]) / self.n
        for to, by, amount in rule.extra:
            k += amount * ((to, by) == (i, j)) - amount * ((to, by) == (j, i))
        return float(k)

    def payoff0(self, profile: StrategyProfile, i: int, d: Any = None, f: Any = None) -> Any:
        """Return C_i without redistribution."""
        d = profile.data_fraction[i] if d is None else d
        f = profile.cpu_hz[i] if f is None else f
        revenue, overhead, damage, _ = self.terms(profile, i, d, f)
        return revenue - overhead - damage

    def welfare(self, profile: StrategyProfile) -> float:
        """Return the sum of all payoffs; what is redistributed cancels."""
        return math.fsum(float(self.payoff0(profile, i)) for i in range(self.n))

    def payoff(self, profile: StrategyProfile, i: int, d: Any = None, f: Any = None) -> Any:
        """Return C_i of Eq. (11), where i alone plays ``(d, f)`` if given; d may be an array."""
        d = profile.data_fraction[i] if d is None else d
        f = profile.cpu_hz[i] if f is None else f
        revenue, overhead, damage, received = self.terms(profile, i, d, f)
        return revenue - overhead - damage + sum(received)

    def payoffs(self, profile: StrategyProfile) -> Any:
        return np.array([float(self.payoff(profile, i)) for i in range(self.n)])

    def scale(self, profile: StrategyProfile, i: int, d: Any = None, f: Any = None) -> float:
        """Return the size of the terms that make C_i: what rounding is relative to."""
        d = profile.data_fraction[i] if d is None else d
        f = profile.cpu_hz[i] if f is None else f
        revenue, overhead, damage, received = self.terms(profile, i, d, f)
        gross = float(np.abs(received).sum())
        if self.game.compensation is not None:  # phi and k may cancel in what is received
            others = [j for j in range(self.n) if j != i]
            gross = abs(float(self.phi(i, d))) + sum(abs(self.constant(i, j)) for j in others)
            own = [abs(float(self.phi(j, profile.data_fraction[j]))) for j in others]
            gross += sum(own) / (self.n - 1)
        return float(revenue + overhead + abs(damage) + gross)

    def best_gain(self, profile: StrategyProfile, i: int, points: int = 101) -> tuple[float, float]:
        """Return the most that i can gain by deviating alone, and the scale of that payoff.

        Every level is searched on a grid over [D_min, h], with the points where P kinks as
        extra points; then the part from the onset of P on, where the payoff is concave, on
        grids that narrow around their best point to 1e-8 of the interval.
        """
        g = self.game
        now = float(self.payoff(profile, i))
        rest = math.fsum(
            profile.data_fraction[j] * g.data_units[j] for j in range(self.n) if j != i
        )
        model = g.accuracy
        bends = model.knots if isinstance(model, Empirical) else np.array([model.onset])
        bends = (bends - rest) / g.data_units[i]
        if g.compensation is not None:
            bends = np.append(bends, g.compensation.schedules[i].shares)
        best, scale = 0.0, self.scale(profile, i)
        for f, high in self.levels(i):
            low = g.min_data_fraction
            inside = np.clip(bends, low, high)
            grid = np.concatenate([np.linspace(low, high, points), inside])
            payoff = self.payoff(profile, i, grid, f)
            k = int(np.argmax(payoff))
            level_best, at = float(payoff[k]), float(grid[k])
            left, right = float(np.clip((model.onset - rest) / g.data_units[i], low, high)), high
            for _ in range(5):
                grid = np.linspace(left, right, points)
                payoff = self.payoff(profile, i, grid, f)
                k = int(np.argmax(payoff))
                if payoff[k] > level_best:
                    level_best, at = float(payoff[k]), float(grid[k])
                left, right = grid[max(k - 1, 0)], grid[min(k + 1, points - 1)]
            if level_best - now > best:
                best = level_best - now
                scale = max(scale, self.scale(profile, i, at, f))
        return best, scale
