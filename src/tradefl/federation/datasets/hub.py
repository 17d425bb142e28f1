"""Data sets from their public home, the Hugging Face Hub, through flwr-datasets.

What was fetched once is kept in the library's cache, and read from there without a network.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tradefl.errors import InputError, MissingExtraError, Parameter
from tradefl.federation.datasets.dataset import Dataset
from tradefl.federation.datasets.files import pixels, stacked
from tradefl.federation.partition import stratified_split
from tradefl.federation.telemetry import without_telemetry

PROBE_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Home:
    """Where a data set lives, and what its columns are called.

    Without ``test`` there is no official split: a fifth of each class is set apart.
    """

    repository: str
    image: str
    train: tuple[str, ...] = ("train",)
    test: tuple[str, ...] = ("test",)
    subset: str | None = None


HOMES = {
    "cifar10": Home("uoft-cs/cifar10", "img"),
    "fashion-mnist": Home("zalando-datasets/fashion_mnist", "image"),
    "svhn": Home("ufldl-stanford/svhn", "image", subset="cropped_digits"),
    # The splits that it has there are one of several in use; none comes from its authors.
    "eurosat": Home("timm/eurosat-rgb", "image", ("train", "validation", "test"), ()),
}


def from_hub(name: str) -> Dataset:
    """Return one of ``HUB``, fetched unless it is in the cache.

    Raises
    ------
    InputError
        It is in no cache and cannot be fetched, or is not what it was.
    MissingExtraError
        flwr-datasets is not installed.
    """
    home = HOMES[name]
    place = Parameter("data", name)
    splits = {}
    for split, data in _fetched(name, home).items():
        splits[split] = arrays(data, home.image, "label", f"{place}: {home.repository} {split}")
    train = _joined([splits[split] for split in home.train])
    if home.test:
        test = _joined([splits[split] for split in home.test])
    else:
        x, y = train
        kept, apart = stratified_split(y)
        train, test = (x[kept], y[kept]), (x[apart], y[apart])
    return Dataset.checked(name, train, test, place=f"{place}: {home.repository}")


def arrays(
    data: Any, image: str, label: str, place: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
    """Return the images and labels of a ``datasets.Dataset``.

    Raises
    ------
    InputError
        A column is missing, or the images differ in size or are neither RGB nor grey.
    """
    for column in (image, label):
        if column not in data.column_names:
            got = ", ".join(data.column_names)
            raise InputError.at(place, f"expected a column {column!r}, got {got}")
    placed = (
        (where := f"{place}[{i}]", pixels(picture, where)) for i, picture in enumerate(data[image])
    )
    return stacked(placed), np.asarray(data[label][:])


def _fetched(name: str, home: Home) -> dict[str, Any]:
    without_telemetry()
    try:
        from flwr_datasets import FederatedDataset
        from PIL import Image  # noqa: F401  what datasets decodes with
    except ImportError:
        raise MissingExtraError(Parameter("data", name), "vision") from None
    unreachable = _unreachable(home.repository)
    try:
        with _offline() if unreachable else contextlib.nullcontext():
            whole = FederatedDataset(
                dataset=home.repository, subset=home.subset, partitioners={}, shuffle=False
            )
            return {split: whole.load_split(split) for split in (*home.train, *home.test)}
    # Whatever goes wrong on the way: the library of the day for HTTP has its own exceptions.
    except Exception as error:
        raise InputError.at(
            Parameter("data", name),
            f"could not be fetched from the Hugging Face Hub ({unreachable or _reason(error)}); "
            "`data_dir` names a folder that has it",
        ) from None


def _unreachable(repository: str) -> str:
    """Return why the hub cannot be asked, or nothing.

    Asked first because a download without a network tries for 20 seconds and more.
    """
    from datasets import config

    if config.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    from huggingface_hub import HfApi

    try:
        HfApi().dataset_info(repository, timeout=PROBE_SECONDS)
    except Exception as error:  # see _fetched
        return _reason(error)
    return ""


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Have ``datasets`` look into its cache only."""
    from datasets import config

    before = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = before


def _joined(
    parts: list[tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def _reason(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
