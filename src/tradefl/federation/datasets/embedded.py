"""Data sets that come with scikit-learn: nothing is fetched, and everybody has the same split."""

from __future__ import annotations

import numpy as np

from tradefl.errors import MissingExtraError, Parameter
from tradefl.federation.datasets.dataset import Dataset
from tradefl.federation.partition import stratified_split


def embedded(name: str) -> Dataset:
    """Return ``digits`` or ``breast-cancer``, a fifth of each class for testing.

    Raises
    ------
    MissingExtraError
        scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_breast_cancer, load_digits
    except ImportError:
        raise MissingExtraError(Parameter("data", name), "federation") from None
    bunch = load_digits() if name == "digits" else load_breast_cancer()
    train, test = stratified_split(bunch.target)
    if name == "digits":
        x = bunch.images / 16.0
    else:
        # What is tested on must not have a say, not even in the mean.
        mean, deviation = bunch.data[train].mean(axis=0), bunch.data[train].std(axis=0)
        x = (bunch.data - mean) / deviation
    x, y = x.astype(np.float32), bunch.target
    place = f"scikit-learn's {name}"
    return Dataset.checked(name, (x[train], y[train]), (x[test], y[test]), place=place)
