r"""What the server notices about the updates of a round: lengths, directions, copies.

Every update is compared with the round's own median, which a minority cannot move far. The figures
are recorded for every update; a *flag* says that one of them is unusual, and how sure that is.
Flags inform the verifier and the arbiter. They change no credit.

With :math:`u_i = w_i - w` the step of organization i from the model that was sent, and
:math:`m` the coordinate-wise median of the steps:

* ``norm`` :math:`\lVert w_i \rVert`, ``distance`` :math:`\lVert u_i \rVert`,
* ``cosine`` :math:`u_i \cdot m / (\lVert u_i \rVert \lVert m \rVert)`,
* ``ratio`` :math:`\lVert u_i \rVert / (\operatorname{med}_k \lVert u_k \rVert \cdot
  \max(1, n_i / \operatorname{med}_k n_k))`: an organization with more samples takes more steps of
  gradient descent, and may go as many times as far.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tradefl.federation.ledger import Confidence, Flag
from tradefl.federation.medians import median_of_columns
from tradefl.federation.updates import Update

# How long is unusual. In 90 honest trainings (logistic and mlp on digits, logistic on
# breast-cancer; even and uneven splits; ten seeds) updates stayed below 7, and below 3 against the
# median's direction. tests/federation/test_honest_runs.py tries 200 more.
OUTLIER_RATIO = 20.0
# So short a step is as good as none: what rounding leaves of the model that was sent.
IDLE_RATIO = 1e-6
# What is certain: so many times as long as is usual in any round so far, and so many times as long
# as the model. Where the others have converged, an honest organization that brings what the model
# lacks goes thousands of times as far as they do in that round.
CERTAIN_RATIO = 1000.0
CERTAIN_LENGTHS = 50.0
OPPOSED_RATIO = 5.0
OPPOSED_COSINE = -0.3
# The loss must rise on every class by this much before a step counts as no descent.
RISE = 0.05
FITTED = (
    "so is honest training on a class, or on so few samples, that the model has learned completely"
)
# Two updates are nearly equal if their steps differ by less than this part of their length.
NEARLY = 1e-3
# Fewer updates have no median that a single one could not move.
FEWEST = 3
# Directions are compared on so many coordinates at most, evenly spread, and copies on fewer.
COORDINATES = 8_192
COPY_COORDINATES = 4_096
# Small models are looked at together; so many numbers in all.
AT_ONCE = 1_000_000
# Squares of single precision overflow above 1e19.
MODERATE = 1e15
# So many numbers are converted at a time; libraries take no second thread for so few.
BLOCK = 8_192

Vector = npt.NDArray[np.floating[Any]]


class Measures(NamedTuple):
    """The figures of an update; ``cosine`` and ``ratio`` are NaN where there is nothing to compare.

    Attributes
    ----------
    norm, distance, cosine, ratio
        As in this module's description.
    lasting
        ``ratio``, against the longest median of all rounds so far.
    certain
        Whether the step is longer than any honest training explains.
    unchanged
        Whether the update equals the model that was sent, to the last bit.
    twin
        The first other update that is equal or nearly equal, as an index; ``None`` if there is
        none. ``exact`` says which.
    exact
        Whether the twin is equal to the last bit.
    """

    norm: float
    distance: float
    cosine: float
    ratio: float
    unchanged: bool
    lasting: float = math.nan
    certain: bool = False
    twin: int | None = None
    exact: bool = False

    @property
    def opposed(self) -> bool:
        """Whether the step goes against the median direction."""
        return self.cosine <= OPPOSED_COSINE

    @property
    def outlier(self) -> bool:
        """Whether the step is too long for its direction."""
        return self.ratio >= (OPPOSED_RATIO if self.opposed else OUTLIER_RATIO)


def measured(
    updates: Sequence[Update],
    sent: Mapping[str, npt.NDArray[Any]],
    samples: Sequence[float],
    former: float = 0.0,
) -> list[Measures]:
    """Return the figures of the updates of a round.

    Parameters
    ----------
    updates
        The usable updates, finite.
    sent
        The model that was sent, by name.
    samples
        How many samples each update was trained on, for the length that is usual.
    former
        The longest median step of the rounds before this one.
    """
    if not updates:
        return []
    norms, distances, steps, whole = _lengths(updates, sent)
    unchanged = [moved == 0.0 for moved in distances]
    usual = _usual(distances, samples)
    middle = median_step(distances)
    slower = 1.0 if middle >= former else middle / former
    lasting = [ratio * slower for ratio in usual]
    far = [ratio >= CERTAIN_RATIO for ratio in lasting]
    least = CERTAIN_LENGTHS * _model_length(sent) if any(far) else math.inf
    cosines = _cosines(steps, distances if whole else None).tolist()
    twins = _twins(updates, steps, unchanged, distances, cosines)
    return [
        Measures(
            norms[k],
            distances[k],
            cosines[k],
            usual[k],
            unchanged[k],
            lasting[k],
            far[k] and distances[k] >= least,
            *twins[k],
        )
        for k in range(len(updates))
    ]


def _lengths(
    updates: Sequence[Update], sent: Mapping[str, npt.NDArray[Any]]
) -> tuple[list[float], list[float], Vector, bool]:
    """Return the length of each update, that of its step, and the coordinates to compare.

    The last says whether these are all coordinates, of moderate numbers: then the lengths are
    theirs too.
    """
    names = _Names.of(sent)
    size = sum(value.size for value in sent.values())
    stride = _stride(size)
    if not names.others and (len(updates) + 1) * size <= AT_ONCE:
        models = [*(update.values for update in updates), sent]
        arrays = [model[name].ravel() for model in models for name in names.single]
        rows = np.concatenate(arrays).reshape(len(models), size)
        lengths = _row_lengths(rows)
        # No number of a row is larger than its length.
        if max(lengths) < MODERATE:
            moves = np.subtract(rows[:-1], rows[-1], out=rows[:-1])
            some = moves if stride == 1 else np.ascontiguousarray(moves[:, ::stride])
            return lengths[:-1], _row_lengths(moves), some, stride == 1
    start = names.flat(sent)
    top = _largest(start)
    norms, distances = [], []
    steps = np.empty((len(updates), sum(-(-part.size // stride) for part in names.parts(sent))))
    for row, update in enumerate(updates):
        after = names.flat(update.values)
        high = _largest(after)
        step = _step(after, start, max(high, top))
        sizes, ways = [_length(after, high)], [_length(step)]
        at = -(-step.size // stride)
        steps[row, :at] = step[::stride]
        for name in names.others:
            own, before = np.ravel(update.values[name]), np.ravel(sent[name])
            step = _step(own, before)
            sizes.append(_length(own))
            ways.append(_length(step))
            some = step[::stride]
            steps[row, at : at + len(some)] = some
            at += len(some)
        norms.append(_finite(math.hypot(*sizes)))
        distances.append(_finite(math.hypot(*ways)))
    return norms, distances, steps, False


def _row_lengths(rows: npt.NDArray[np.float32]) -> list[float]:
    """Return the Euclidean length of each row; no square of single precision overflows double."""
    if rows.shape[1] <= BLOCK:
        squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64).tolist()
    else:
        squares = [_square(row) for row in rows]
    return [math.sqrt(square) for square in squares]


def _square(row: npt.NDArray[np.float32]) -> float:
    """Return the squared length: dot products in double precision that fit into the cache."""
    parts = (row[k : k + BLOCK].astype(np.float64) for k in range(0, len(row), BLOCK))
    return math.fsum(float(part @ part) for part in parts)


def distance(
    after: Mapping[str, npt.NDArray[Any]], before: Mapping[str, npt.NDArray[Any]]
) -> float:
    """Return the Euclidean distance of two models, without overflow."""
    names = _Names.of(before)
    pairs = zip(names.parts(after), names.parts(before), strict=True)
    return _finite(math.hypot(*(_length(_step(new, old)) for new, old in pairs)))


def _model_length(model: Mapping[str, npt.NDArray[Any]]) -> float:
    """Return the Euclidean length of a model, without overflow."""
    return _finite(math.hypot(*(_length(part) for part in _Names.of(model).parts(model))))


def flags_of(
    measures: Sequence[Measures],
    names: Sequence[str],
    rises: Mapping[int, float],
    fitted: Sequence[bool] | bool = False,
) -> list[tuple[Flag, ...]]:
    """Return what is unusual about each update.

    Parameters
    ----------
    measures, names
        The figures, and whose they are.
    rises
        By index, for updates that were tried on the server's validation part: the least rise of
        the loss over its classes.
    fitted
        For each update whether the model that was sent may have learned all of its samples so well
        that training on them leaves it as it is.
    """
    every = [fitted] * len(measures) if isinstance(fitted, bool) else fitted
    return [_flags(measures, names, k, rises.get(k), every[k]) for k in range(len(measures))]


def _flags(
    measures: Sequence[Measures],
    names: Sequence[str],
    k: int,
    rise: float | None,
    fitted: bool,
) -> tuple[Flag, ...]:
    one = measures[k]
    if one.unchanged:
        text = "equal to the model that was sent, to the last bit"
        if not fitted:
            return (Flag("unchanged", "certain", text),)
        return (Flag("unchanged", "possible", f"{text}; {FITTED}"),)
    found = []
    if one.twin is not None:
        how = "equal" if one.exact else f"equal within {NEARLY:g} of its length"
        sure: Confidence = "certain" if one.exact else "likely"
        text = f"{how} to the update of {names[one.twin]!r}; which of them is the copy is not known"
        found.append(Flag("copied", sure, text))
    if 0.0 < one.ratio < IDLE_RATIO and one.twin is None:
        text = f"{one.ratio:.3g} times as long as is usual in its round; limit {IDLE_RATIO:g}"
        found.append(Flag("unchanged", "possible" if fitted else "likely", text))
    if one.outlier:
        limit = OPPOSED_RATIO if one.opposed else OUTLIER_RATIO
        sure = "likely" if one.lasting >= 2.0 * limit else "possible"
        if one.certain:
            sure = "certain"
        against = f", at cosine {one.cosine:.2f} to their median direction" * one.opposed
        text = f"{one.ratio:.3g} times as long as is usual in its round{against}; limit {limit:g}"
        if one.lasting < one.ratio:
            text += f"; {one.lasting:.3g} times what was usual in an earlier round"
        found.append(Flag("outlier", sure, text))
    if rise is not None and rise > RISE:
        text = f"raises the validation loss of every class, by {rise:.3g} at least; limit {RISE:g}"
        found.append(Flag("no descent", "possible", text))
    return tuple(found)


class _Names(NamedTuple):
    """A model's arrays: those in single precision as one vector, the others by themselves.

    One vector, because a model may have hundreds of small arrays, and each operation has its price.
    """

    single: list[str]
    others: list[str]

    @classmethod
    def of(cls, model: Mapping[str, npt.NDArray[Any]]) -> _Names:
        single = [name for name, value in model.items() if value.dtype == np.float32]
        return cls(single, [name for name, value in model.items() if value.dtype != np.float32])

    def flat(self, model: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
        arrays = [np.ravel(model[name]) for name in self.single]
        return np.concatenate(arrays) if arrays else np.zeros(0, np.float32)

    def parts(self, model: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        return [self.flat(model), *(np.ravel(model[name]) for name in self.others)]


def _stride(total: int) -> int:
    """Return which coordinates are compared: all, or every so many-th, an odd number.

    Rows of arrays have even lengths; an even stride would meet the same columns again and again.
    """
    stride = max(1, math.ceil(total / COORDINATES))
    return stride if stride == 1 else stride | 1


def _step(
    after: npt.NDArray[Any], before: npt.NDArray[Any], largest: float | None = None
) -> npt.NDArray[Any]:
    """Return the difference; in double precision where single would overflow."""
    if after.dtype == before.dtype == np.float32:
        if largest is None:
            largest = max(_largest(after), _largest(before))
        if largest < MODERATE:
            return np.asarray(after - before)
    with np.errstate(over="ignore"):
        wide = after.astype(np.float64) - before.astype(np.float64)
    limit = np.finfo(np.float64).max
    return np.asarray(np.clip(wide, -limit, limit))


def _length(values: npt.NDArray[Any], largest: float | None = None) -> float:
    """Return the Euclidean length, without overflow."""
    if largest is None:
        largest = _largest(values)
    if largest == 0.0:
        return 0.0
    if values.dtype == np.float32 and largest < MODERATE:
        return float(np.linalg.norm(values))
    return largest * float(np.linalg.norm(values.astype(np.float64) / largest))


def _largest(values: npt.NDArray[Any]) -> float:
    if values.size == 0:
        return 0.0
    return max(float(values.max()), -float(values.min()))


def _finite(value: float) -> float:
    """Return a length that a JSON document can hold."""
    return min(value, sys.float_info.max)


def _usual(distances: Sequence[float], samples: Sequence[float]) -> list[float]:
    """Return each step's length over the length that is usual for its number of samples."""
    middle = median_step(distances)
    if len(distances) < FEWEST or not 0.0 < middle < math.inf:
        return [math.nan] * len(distances)
    usual = max(1.0, _middle(samples))
    return [
        _finite(distance / middle / max(1.0, count / usual))
        for distance, count in zip(distances, samples, strict=True)
    ]


def median_step(distances: Sequence[float]) -> float:
    """Return the median length of the steps that lead anywhere; 0 if there are none."""
    moved = [distance for distance in distances if distance > 0.0]
    return _middle(moved) if moved else 0.0


def _middle(values: Sequence[float]) -> float:
    """Return the median; the standard library's takes several times as long."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _cosines(steps: Vector, lengths: Sequence[float] | None = None) -> npt.NDArray[np.float64]:
    """Return the cosine of each step with the coordinate-wise median of all.

    Parameters
    ----------
    steps
        One a row.
    lengths
        Of the steps, where they are known, and no square overflows.
    """
    if len(steps) < FEWEST:
        return np.full(len(steps), math.nan)
    middle = median_of_columns(steps)
    steps = steps.astype(np.float64, copy=False)
    if lengths is None and _largest(steps) < MODERATE:
        lengths = np.sqrt(np.einsum("ij,ij->i", steps, steps)).tolist()
    if lengths is not None and (square := float(middle @ middle)) > MODERATE**-2:
        long = math.sqrt(square)
        dots = (steps @ middle).tolist()
        return np.array(
            [
                max(-1.0, min(1.0, dot / (length * long))) if length > 0.0 else math.nan
                for dot, length in zip(dots, lengths, strict=True)
            ]
        )
    # Scaled, so that no square of a finite step overflows.
    largest = np.max(np.abs(steps), axis=1, keepdims=True, initial=0.0)
    scale = float(np.max(np.abs(middle), initial=0.0))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        units = steps / largest
        middle = middle / scale
        dots = units @ middle
        both = np.linalg.norm(units, axis=1) * float(np.linalg.norm(middle))
        cosines: npt.NDArray[np.float64] = np.clip(dots / both, -1.0, 1.0)
    return cosines


def _twins(
    updates: Sequence[Update],
    steps: Vector,
    unchanged: Sequence[bool],
    distances: Sequence[float],
    cosines: Sequence[float],
) -> list[tuple[int | None, bool]]:
    """Return for each update the first other one that is equal or nearly equal."""
    twins: list[tuple[int | None, bool]] = [(None, False)] * len(updates)
    moved = [k for k, same in enumerate(unchanged) if not same]
    candidates = _alike(moved, distances, cosines)
    if not candidates:
        return twins
    by_hash: dict[str, list[int]] = {}
    for k in candidates:
        by_hash.setdefault(updates[k].sha256, []).append(k)
    for group in by_hash.values():
        for k in group:
            if len(group) > 1:
                twins[k] = (group[1] if k == group[0] else group[0], True)
    # A model of a few numbers has updates that are nearly equal by chance.
    if steps.shape[1] < 64:
        return twins
    stride = max(1, math.ceil(steps.shape[1] / COPY_COORDINATES))
    some = steps[candidates][:, ::stride].astype(np.float64)
    largest = np.max(np.abs(some), axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        units = some / largest
        lengths = np.linalg.norm(units, axis=1)
        similar = (units / lengths[:, None]) @ (units / lengths[:, None]).T
        sizes = lengths * largest[:, 0]
        equal_size = np.abs(sizes[:, None] / sizes[None, :] - 1.0) < NEARLY
    # |a - b| < NEARLY |a| for unit vectors: 1 - cosine < NEARLY^2 / 2, at the limit of rounding.
    near = (similar > 1.0 - NEARLY**2 / 2.0) & equal_size
    np.fill_diagonal(near, val=False)
    for row, k in enumerate(candidates):
        if twins[k][0] is None and near[row].any():
            twins[k] = (candidates[int(np.argmax(near[row]))], False)
    return twins


def _alike(moved: Sequence[int], distances: Sequence[float], cosines: Sequence[float]) -> list[int]:
    """Return which updates another one may equal nearly: mostly nobody's.

    Steps a and b with |a - b| < NEARLY |a| have lengths whose ratio, and cosines to the median
    whose difference, are within twice as much; twice that again leaves room for rounding, and for
    coordinates that are left out.
    """
    limit, found = 1.0 + 4.0 * NEARLY, set()
    ordered = sorted(moved, key=distances.__getitem__)
    for at, k in enumerate(ordered):
        longest, cosine = distances[k] * limit, cosines[k]
        for other in ordered[at + 1 :]:
            if distances[other] > longest:
                break
            # Where there is no median, there is no cosine either: then lengths decide alone.
            if not abs(cosines[other] - cosine) > 4.0 * NEARLY:
                found |= {k, other}
    return sorted(found)
