"""Many games of the same size as arrays: the input of :func:`tradefl.solve_many`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar, TypedDict

import numpy as np
import numpy.typing as npt

from tradefl.errors import MOST_PROBLEMS, InputError, Problem
from tradefl.game.accuracy import AccuracyModel
from tradefl.game.competition import Competition, DenseCompetition
from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.mechanism import Mechanism
from tradefl.game.user_accuracy import complete
from tradefl.game.validity import ARRAYS, NONNEGATIVE, NUMBERS
from tradefl.solvers.accuracies import Accuracies

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# Fields with one number for each game; all others have one for each organization.
OF_A_GAME = tuple(NUMBERS)
OF_AN_ORGANIZATION = (*ARRAYS, "capacitance")


class GameArrays(TypedDict, total=False):
    """The figures of many games by name: the parameters of :class:`Games`."""

    profitability: npt.ArrayLike
    data_bits: npt.ArrayLike
    cycles_per_bit: npt.ArrayLike
    cpu_levels_hz: npt.ArrayLike
    competition: npt.ArrayLike | Competition
    accuracy: AccuracyModel | Sequence[AccuracyModel]
    data_units: npt.ArrayLike
    download_seconds: npt.ArrayLike
    upload_seconds: npt.ArrayLike
    incentive_intensity: npt.ArrayLike
    compute_weight: npt.ArrayLike
    overhead_weight: npt.ArrayLike
    min_data_fraction: npt.ArrayLike
    deadline_seconds: npt.ArrayLike
    capacitance: npt.ArrayLike
    download_watts: npt.ArrayLike
    upload_watts: npt.ArrayLike
    data_cost: npt.ArrayLike
    joining_cost: npt.ArrayLike
    quality: npt.ArrayLike
    compensation: Mechanism | None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Games:
    """K games of N organizations each.

    The names, meanings, units and defaults are those of
    :class:`~tradefl.game.CoopetitionGame`. A figure of an organization is a number, of shape
    ``(N,)`` (the same in every game) or of shape ``(K, N)``; a figure of a game is a number or of
    shape ``(K,)``. K is the only length of these first axes that is not 1.

    Parameters
    ----------
    profitability, data_bits, cycles_per_bit, data_units, download_seconds, upload_seconds
        A figure of each organization.
    capacitance, data_cost, joining_cost, quality
        A figure of each organization. ``quality`` multiplies ``data_units``, and the games keep the
        product.
    cpu_levels_hz
        Shape ``(m,)``, ``(N, m)`` or ``(K, N, m)``, ascending; NaN pads rows at the end.
    competition
        ``rho``: shape ``(N, N)`` or ``(K, N, N)``, or a :class:`~tradefl.game.Competition`.
    accuracy
        One model for all games, or a sequence of K models. Built-in models of one class are
        compiled; with others all games are solved in plain Python.
    incentive_intensity, compute_weight, overhead_weight, min_data_fraction, deadline_seconds
        A figure of each game.
    download_watts, upload_watts
        A figure of each game.
    compensation
        The efficient rule, the same in every game; without it the rule is the paper's.

    Raises
    ------
    InputError
        An argument has a shape that does not fit the others, or is not a number. Values are judged
        by :meth:`problems`.
    """

    profitability: Any
    data_bits: Any
    cycles_per_bit: Any
    cpu_levels_hz: Any
    competition: Any
    accuracy: Any
    data_units: Any = None
    download_seconds: Any = 0.0
    upload_seconds: Any = 0.0
    incentive_intensity: Any = 0.0
    compute_weight: Any = 1.0
    overhead_weight: Any = 1.0
    min_data_fraction: Any = 0.01
    deadline_seconds: Any = np.inf
    capacitance: Any = 1e-27
    download_watts: Any = 0.0
    upload_watts: Any = 0.0
    data_cost: Any = 0.0
    joining_cost: Any = 0.0
    quality: dataclasses.InitVar[Any] = 1.0
    compensation: Mechanism | None = None

    def __post_init__(self, quality: Any) -> None:
        given = {name: _numbers(name, getattr(self, name)) for name in OF_A_GAME}
        if self.data_units is None:  # Omega counts bits
            object.__setattr__(self, "data_units", self.data_bits)
        own = {name: _numbers(name, getattr(self, name)) for name in OF_AN_ORGANIZATION}
        weights = _numbers("quality", quality)
        levels = np.atleast_1d(_numbers("cpu_levels_hz", self.cpu_levels_hz))
        rho = _intensities(self.competition)
        n = _size(rho)
        counts: dict[str, int] = {}
        for name, array in given.items():
            _fit(name, array, ((), ("K",)), n, counts)
        for name, array in own.items():
            _fit(name, array, ((), ("N",), ("K", "N")), n, counts)
        _fit("quality", weights, ((), ("N",), ("K", "N")), n, counts)
        if not (np.isfinite(weights).all() and (weights > 0.0).all()):
            _refuse("quality", "expected finite numbers > 0")
        own["data_units"] = own["data_units"] * weights
        _fit("cpu_levels_hz", levels, (("m",), ("N", "m"), ("K", "N", "m")), n, counts)
        _fit("competition", rho, (("N", "N"), ("K", "N", "N")), n, counts)
        models = self._models(counts)
        k = _count(counts)
        for name, array in given.items():
            column = array.reshape(-1, 1) if array.ndim else array
            object.__setattr__(self, name, np.broadcast_to(column, (k, 1)))
        for name, array in own.items():
            object.__setattr__(self, name, np.broadcast_to(array, (k, n)))
        shape = (k, n, levels.shape[-1])
        object.__setattr__(self, "cpu_levels_hz", np.broadcast_to(levels, shape))
        object.__setattr__(self, "competition", Intensities(np.broadcast_to(rho, (k, n, n))))
        if isinstance(models, Accuracies):
            accuracies = models
        elif len(models) == 1:
            accuracies = Accuracies((models[0],), np.zeros(k, dtype=np.intp))
        else:
            accuracies = Accuracies.of(models)
        object.__setattr__(self, "accuracy", accuracies)
        rule: object = self.compensation
        if not isinstance(rule, Mechanism | None):
            _refuse("compensation", f"expected a rule, got {type(rule).__name__}")
        if self.compensation is not None and (what := self.compensation.misfit(n)):
            _refuse("compensation", what)

    def _models(self, counts: dict[str, int]) -> Any:
        if isinstance(self.accuracy, Accuracies):
            counts["accuracy"] = self.accuracy.which.size
            return self.accuracy
        single = isinstance(self.accuracy, AccuracyModel)
        if not single and not isinstance(self.accuracy, Iterable):
            what = "expected an accuracy model, or one for each game"
            _refuse("accuracy", f"{what}, got {type(self.accuracy).__name__}")
        given: Sequence[Any] = (self.accuracy,) if single else tuple(self.accuracy)
        try:
            known = {id(model): complete(model) for model in given}
        except TypeError as error:
            raise InputError.at("accuracy", str(error).removeprefix("accuracy: ")) from None
        if len(given) != 1:
            counts["accuracy"] = len(given)
        return [known[id(model)] for model in given]

    @classmethod
    def of(cls, games: Sequence[CoopetitionGame]) -> Games:
        """Return games that are given one by one as arrays.

        Raises
        ------
        InputError
            There is no game, their sizes differ, or only some of them have an efficient rule.
        """
        if not games:
            _refuse("games", "expected at least one game, found none")
        sizes = sorted({game.size for game in games})
        if len(sizes) > 1:
            _refuse("games", f"expected games of one size, found {sizes[0]} to {sizes[-1]}")
        if len({id(game.compensation) for game in games}) > 1:
            _refuse("games", "expected the same efficient rule in all of them")
        names = (*ARRAYS, *OF_A_GAME)
        fields: dict[str, Any] = {
            name: np.array([getattr(game, name) for game in games]) for name in names
        }
        fields["capacitance"] = np.array([game.capacitances for game in games])
        most = max(game.cpu_levels_hz.shape[1] for game in games)
        fields["cpu_levels_hz"] = np.array(
            [
                np.pad(
                    game.cpu_levels_hz,
                    ((0, 0), (0, most - game.cpu_levels_hz.shape[1])),
                    constant_values=np.nan,
                )
                for game in games
            ]
        )
        if len({id(game.competition) for game in games}) == 1:
            fields["competition"] = games[0].competition
        else:
            fields["competition"] = np.array([_intensities(game.competition) for game in games])
        fields["accuracy"] = Accuracies.of([game.accuracy for game in games])
        return cls(**fields, compensation=games[0].compensation)

    @property
    def count(self) -> int:
        """K, the number of games."""
        return int(self.profitability.shape[0])

    @property
    def size(self) -> int:
        """N, the number of organizations of each."""
        return int(self.profitability.shape[1])

    def __len__(self) -> int:
        return self.count

    def some(self, games: Any) -> Games:
        """Return some of the games: a slice, indices, or a mask of shape ``(K,)``."""
        picked = object.__new__(Games)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in ("competition", "accuracy"):
                value = value.some(games)
            elif field.name != "compensation":
                value = np.ascontiguousarray(value[games])
            object.__setattr__(picked, field.name, value)
        return picked

    def game(self, k: int) -> CoopetitionGame:
        """Return one of them by itself.

        Raises
        ------
        InvalidGameError
            It is not a game: see :meth:`problems`.
        """
        numbers = {name: getattr(self, name)[k] for name in OF_AN_ORGANIZATION}
        numbers |= {name: float(getattr(self, name)[k, 0]) for name in OF_A_GAME}
        return CoopetitionGame(
            **numbers,
            cpu_levels_hz=self.cpu_levels_hz[k],
            competition=DenseCompetition(self.competition.matrix[k]),
            accuracy=self.accuracy[k],
            compensation=self.compensation,
        )

    def without_redistribution(self) -> Games:
        """Return the games with ``gamma = 0``, under the paper's rule."""
        return self.changed(incentive_intensity=np.zeros((self.count, 1)), compensation=None)

    def repeated(self, times: int) -> Games:
        """Return every game several times, one game's copies after another's."""
        return self.some(np.repeat(np.arange(self.count), times))

    def at_intensities(self, gammas: Any) -> Games:
        """Return every game at each gamma under the paper's rule.

        ``gammas`` has shape ``(G,)`` or ``(K, G)``; the games are then ``K G``, one game's after
        another's.
        """
        gammas = np.asarray(gammas, dtype=float)
        gammas = np.broadcast_to(gammas, (self.count, gammas.shape[-1]))
        every = self.repeated(gammas.shape[1])
        return every.changed(incentive_intensity=gammas.reshape(-1, 1), compensation=None)

    def changed(self, **fields: Any) -> Games:
        """Return the games with fields replaced by arrays of the same shape, unchecked."""
        other = object.__new__(Games)
        for field in dataclasses.fields(self):
            value = fields.get(field.name, getattr(self, field.name))
            object.__setattr__(other, field.name, value)
        return other

    # The formulas of the game: written once, for arrays with or without a first axis of games.
    _formulas: ClassVar[Any] = CoopetitionGame
    mechanism = _formulas.mechanism
    separable = _formulas.separable
    rule = _formulas.rule
    competitors_profitability = _formulas.competitors_profitability
    total_intensity = _formulas.total_intensity
    potential_weights = _formulas.potential_weights
    data_fraction_per_hz = _formulas.data_fraction_per_hz
    max_data_fraction = _formulas.max_data_fraction
    resource = _formulas.resource

    @property
    def capacitances(self) -> Any:
        """``kappa_i`` of each game, shape ``(K, N)``."""
        return self.capacitance

    def omega(self, profile: Any) -> Array:
        """Return ``Omega`` of each game, shape ``(K, 1)``."""
        return np.asarray((profile.data_fraction * self.data_units).sum(axis=1, keepdims=True))

    @cached_property
    def fastest_hz(self) -> Array:
        """The highest level of each organization, shape ``(K, N)``."""
        return np.asarray(np.fmax.reduce(self.cpu_levels_hz, axis=2))

    def problems(self) -> tuple[Flags, list[Problem]]:
        """Return, shape ``(K,)``, which are games, and what is wrong with the others.

        The same conditions as for :class:`~tradefl.game.CoopetitionGame`: numbers in range,
        ``z_i > 0``, and a level at which each organization trains D_min before the deadline.
        """
        valid = np.ones(self.count, dtype=bool)
        found: list[Problem] = []
        with np.errstate(all="ignore"):
            for name, wrong, said in self._conditions():
                if not wrong.any():
                    continue
                valid &= ~wrong.reshape(self.count, -1).any(axis=1)
                for at in np.argwhere(wrong)[: MOST_PROBLEMS - len(found)]:
                    place = ", ".join(map(str, at.tolist()))
                    found.append(Problem(f"{name}[{place}]", said(tuple(at))))
        return valid, found

    def _conditions(self) -> Iterator[tuple[str, Flags, Any]]:
        """Yield the name of a figure, where it is out of range, and what to say there."""
        for name, allowed in {**ARRAYS, **NUMBERS, "capacitance": NONNEGATIVE}.items():
            values = getattr(self, name)

            def said(at: Any, values: Array = values, allowed: Any = allowed) -> str:
                return f"expected {allowed}, got {values[at]:g}"

            yield name, ~allowed.holds(values), said
        levels = self.cpu_levels_hz
        padding = np.isnan(levels)
        wrong = padding[..., 0] | ~np.all((levels > 0.0) & np.isfinite(levels) | padding, axis=2)
        wrong |= ~np.all((np.diff(levels, axis=2) > 0.0) | padding[..., 1:], axis=2)
        wrong |= ~np.all(padding[..., 1:] | ~padding[..., :-1], axis=2)
        yield "cpu_levels_hz", wrong, lambda _: "expected ascending frequencies > 0"
        yield from self.competition.conditions()
        z = self.potential_weights
        yield (
            "profitability",
            ~(z > 0.0),
            lambda at: f"z = p - sum_j rho_ij p_j = {z[at]:.6g} must be > 0",
        )
        for name in ("profitability", "data_bits", "data_units"):
            total = getattr(self, name).sum(axis=1)
            infinite = ~np.isfinite(2.0 * total)
            yield name, infinite, lambda _: "too large: their sum must be finite"
        reach = self.max_data_fraction(self.fastest_hz)
        yield (
            "cpu_levels_hz",
            ~(reach >= self.min_data_fraction),
            lambda at: (
                "no feasible level: before the deadline even the fastest trains only "
                f"{max(float(reach[at]), 0.0):.6g} of the data, below the minimum fraction"
            ),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Intensities:
    """rho of K games, shape ``(K, N, N)``; where all share one, the array has no copies of it."""

    matrix: Array

    def dot(self, vector: Array) -> Array:
        """Return ``rho @ vector`` of each game, shape ``(K, N)``."""
        if self._shared:
            return np.asarray(vector @ self.matrix[0])  # rho is symmetric
        return np.asarray(np.matmul(self.matrix, vector[:, :, None])[:, :, 0])

    def row_sums(self) -> Array:
        """Return ``rho_i.`` of each game, shape ``(K, N)``."""
        sums = self.matrix[:1].sum(axis=2) if self._shared else self.matrix.sum(axis=2)
        return np.broadcast_to(sums, self.matrix.shape[:2])

    def some(self, games: Any) -> Intensities:
        """Return those of some of the games."""
        if not self._shared:
            return Intensities(self.matrix[games])
        count = np.empty(self.matrix.shape[0], dtype=bool)[games].size
        return Intensities(np.broadcast_to(self.matrix[0], (count, *self.matrix.shape[1:])))

    @property
    def _shared(self) -> bool:
        return self.matrix.strides[0] == 0

    def conditions(self) -> Iterator[tuple[str, Flags, Any]]:
        """Yield where rho is not a competition matrix, as :meth:`Games.problems` asks."""
        rho = self.matrix[:1] if self._shared else self.matrix

        def whole(wrong: Flags) -> Flags:
            return np.broadcast_to(wrong, self.matrix.shape[: wrong.ndim])

        outside = ~((rho >= 0.0) & (rho <= 1.0))
        yield "competition", whole(outside), lambda at: self._said(at, "an intensity in [0, 1]")
        diagonal = np.zeros(rho.shape, dtype=bool)
        np.einsum("kii->ki", diagonal)[...] = np.einsum("kii->ki", rho) != 0.0
        yield "competition", whole(diagonal), lambda at: self._said(at, "0 on the diagonal")
        unequal = (rho != rho.transpose(0, 2, 1)) & ~outside
        yield "competition", whole(unequal), lambda at: self._said(at, "a symmetric matrix")

    def _said(self, at: Any, expected: str) -> str:
        return f"expected {expected}, got {self.matrix[at]:g}"


def _refuse(name: str, what: str) -> None:
    raise InputError.at(name, what)


def _numbers(name: str, value: Any) -> Array:
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise InputError.at(name, "expected an array of numbers") from None


def _intensities(rho: Any) -> Array:
    if isinstance(rho, DenseCompetition):
        return rho.matrix
    if isinstance(rho, Competition) and not hasattr(rho, "tocsr"):
        dense = np.zeros((rho.size, rho.size))
        for i in range(rho.size):
            rivals, values = rho.row(i)
            dense[i, rivals] = values
        return dense
    if hasattr(rho, "toarray"):
        rho = rho.toarray()
    return _numbers("competition", rho)


def _size(rho: Array) -> int:
    if rho.ndim not in (2, 3) or rho.shape[-1] != rho.shape[-2] or not rho.size:
        raise InputError.at(
            "competition", f"expected shape (N, N) or (K, N, N), found {_shown(rho)}"
        )
    return int(rho.shape[-1])


def _fit(
    name: str, array: Array, shapes: Sequence[tuple[str, ...]], n: int, counts: dict[str, int]
) -> None:
    """Check the shape of an argument and note its K."""
    for shape in shapes:
        if len(shape) == array.ndim:
            known = {"N": n, "m": array.shape[-1] if array.ndim else 0}
            if all(
                length == known.get(axis, length) and length > 0
                for axis, length in zip(shape, array.shape, strict=True)
            ):
                if "K" in shape and array.shape[0] != 1:
                    counts[name] = array.shape[0]
                return
    wanted = " or ".join(
        "a number" if not shape else f"shape ({', '.join(shape)}{',' * (len(shape) == 1)})"
        for shape in shapes
    )
    size = f"N = {n} (as in competition)"
    _refuse(name, f"expected {wanted} with {size}, found shape {_shown(array)}")


def _count(counts: dict[str, int]) -> int:
    if not counts:
        return 1
    first = next(iter(counts))
    for name, count in counts.items():
        if count != counts[first]:
            _refuse(name, f"expected {counts[first]} games, as {first} has, found {count}")
    return counts[first]


def _shown(array: Array) -> str:
    return str(array.shape)
