"""What a data set is: labelled samples, checked."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.errors import InputError
from tradefl.federation.models.model import Shape

# More than any image collection has: a label beyond is an identifier taken for a label.
MAX_CLASSES = 65_536


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled samples, split for training and testing.

    Attributes
    ----------
    name
        What it is called in documents.
    x_train, x_test
        Shape ``(n, ...)``: ``uint8`` images (``(n, height, width)`` or with channels last) or
        floating-point features ``(n, features)``.
    y_train, y_test
        Shape ``(n,)``, ``int64``: labels 0 .. classes - 1.
    classes
        The number of classes.
    labels
        The classes' names in the order of their numbers, where they have names.
    """

    name: str
    x_train: npt.NDArray[Any]
    y_train: npt.NDArray[np.int64]
    x_test: npt.NDArray[Any]
    y_test: npt.NDArray[np.int64]
    classes: int
    labels: tuple[str, ...] = ()

    @property
    def shape(self) -> Shape:
        """What a model must fit."""
        return Shape(tuple(self.x_train.shape[1:]), self.classes)

    @classmethod
    def checked(
        cls,
        name: str,
        train: tuple[Any, Any],
        test: tuple[Any, Any],
        *,
        place: object,
        share: bool = False,
        labels: tuple[str, ...] = (),
    ) -> Dataset:
        """Return the data set of arrays from outside.

        Parameters
        ----------
        name, labels
            What it and its classes are called.
        train, test
            Samples and labels.
        place
            Where they are from, for messages.
        share
            An organization's part of a larger data set: it may have a single class.

        Raises
        ------
        InputError
            The arrays do not fit together: ranks, lengths, shapes, kinds, labels, no samples.
        """
        x_train = _samples(train[0], "x_train", place)
        x_test = _samples(test[0], "x_test", place)
        if x_train.shape[1:] != x_test.shape[1:]:
            raise InputError.at(
                place,
                f"x_test: expected samples of shape {x_train.shape[1:]} as in x_train, "
                f"got {x_test.shape[1:]}",
            )
        if x_train.dtype != x_test.dtype:
            raise InputError.at(
                place, f"x_test: expected {x_train.dtype} as in x_train, got {x_test.dtype}"
            )
        y_train = _labels(train[1], "y_train", len(x_train), place)
        y_test = _labels(test[1], "y_test", len(x_test), place)
        classes = int(max(y_train.max(), y_test.max())) + 1
        if classes < 2 and not share:
            raise InputError.at(place, "y_train, y_test: expected at least 2 classes, got 1")
        return cls(name, x_train, y_train, x_test, y_test, classes, labels)


def _samples(values: Any, what: str, place: object) -> npt.NDArray[Any]:
    """Return samples as ``uint8`` or ``float32``, checked."""
    x = np.asarray(values)
    if x.ndim not in (2, 3, 4):
        raise InputError.at(
            place,
            f"{what}: expected shape (n, features), (n, height, width) or "
            f"(n, height, width, channels), got {x.shape}",
        )
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] > 4:
        raise InputError.at(
            place, f"{what}: expected (n, height, width, channels), got channels first: {x.shape}"
        )
    if x.shape[0] == 0:
        raise InputError.at(place, f"{what}: expected at least 1 sample, got none")
    if 0 in x.shape:
        raise InputError.at(place, f"{what}: expected samples that hold numbers, got {x.shape}")
    if x.dtype == np.uint8:
        return np.ascontiguousarray(x)
    if x.dtype.kind != "f":
        raise InputError.at(
            place, f"{what}: expected uint8 images or floating-point features, got {x.dtype}"
        )
    with np.errstate(over="ignore"):  # what does not fit float32 becomes infinite, and is reported
        x = np.ascontiguousarray(x, dtype=np.float32)
    wrong = ~np.isfinite(x)
    if wrong.any():
        first = int(np.argmax(wrong.reshape(len(x), -1).any(axis=1)))
        raise InputError.at(place, f"{what}[{first}]: expected finite numbers that fit float32")
    return x


def _labels(values: Any, what: str, samples: int, place: object) -> npt.NDArray[np.int64]:
    """Return labels as ``int64``, checked against the number of samples."""
    y = np.asarray(values)
    if y.ndim == 2 and y.shape[1] == 1:  # a column, as MATLAB writes it
        y = y[:, 0]
    if y.ndim != 1:
        raise InputError.at(place, f"{what}: expected shape (n,), got {y.shape}")
    if len(y) != samples:
        x = what.replace("y", "x")
        raise InputError.at(
            place, f"{what}: expected {samples:,} labels, one for each of {x}, got {len(y):,}"
        )
    if y.dtype.kind not in "iu":
        raise InputError.at(place, f"{what}: expected whole numbers, got {y.dtype}")
    wrong = (y < 0) | (y >= MAX_CLASSES)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise InputError.at(
            place, f"{what}[{first}]: expected a label 0 .. {MAX_CLASSES - 1:,}, got {y[first]}"
        )
    return np.ascontiguousarray(y, dtype=np.int64)
