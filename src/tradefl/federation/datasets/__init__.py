"""Data sets by name: what organizations train on.

``digits`` and ``breast-cancer`` come with scikit-learn. Any other name is looked for in the folder
that the user gives (:mod:`.files`); without a folder the names of :mod:`.hub` are fetched from
their public home. A package can bring its own under the entry point group ``tradefl.datasets``: a
callable that takes the folder (or ``None``) and returns a :class:`Dataset`.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path

from tradefl.consortium.schema import suggestion
from tradefl.errors import InputError, Parameter
from tradefl.federation.datasets import embedded, files, hub
from tradefl.federation.datasets.dataset import MAX_CLASSES, Dataset
from tradefl.federation.objects import held

__all__ = [
    "DATASETS",
    "DEFAULT_DATA",
    "EMBEDDED",
    "GROUP",
    "HUB",
    "MAX_CLASSES",
    "Dataset",
    "load_dataset",
]

GROUP = "tradefl.datasets"
DEFAULT_DATA = "digits"
EMBEDDED = (DEFAULT_DATA, "breast-cancer")
HUB = ("cifar10", "fashion-mnist", "svhn", "eurosat")
DATASETS = (*EMBEDDED, *HUB)


def is_read_from(name: str, folder: Path | None) -> bool:
    """Tell whether a data set is that of the folder, or of elsewhere, and not the embedded one."""
    return name not in EMBEDDED or (folder is not None and files.holds(name, folder))


@lru_cache(maxsize=2)
def load_dataset(name: str, folder: Path | None = None, *, share: bool = False) -> Dataset:
    """Return the data set of a name; the last two are kept.

    Parameters
    ----------
    name
        One of ``DATASETS``, one of an entry point, or one that the folder holds.
    folder
        Where files are looked for; ``None``: only what is embedded or can be fetched. What is
        embedded is read from the folder only if it holds something of that name.
    share
        Whether it is an organization's own part of the data, which may lack classes; the folder
        must hold it.

    Raises
    ------
    InputError
        There is no such data set, it cannot be read, or it cannot be fetched.
    MissingExtraError
        A library for it is not installed.
    """
    given = held(name)  # a name that no other object gets
    if isinstance(given, Dataset):
        return given
    if not share and not is_read_from(name, folder):
        return embedded.embedded(name)
    others = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name in others and name not in DATASETS:
        try:
            data = others[name].load()(folder)
        except InputError:
            raise
        # Whatever another's package raises, the place is its entry point.
        except Exception as error:
            what = f"its entry point {others[name].value!r} failed: {type(error).__name__}: {error}"
            raise InputError.at(Parameter("data", name), what) from error
        if not isinstance(data, Dataset):
            what = f"expected its entry point to return a Dataset, got {type(data).__name__}"
            raise InputError.at(Parameter("data", name), what)
        return data
    if folder is not None:
        return files.from_folder(name, folder, share=share)
    if name in HUB:
        return hub.from_hub(name)
    known = (*DATASETS, *sorted(others))
    raise InputError.at(
        Parameter("data"),
        f"expected one of {', '.join(known)}, or a name that `data_dir` holds, got {name!r}"
        + suggestion(name, known),
    )
