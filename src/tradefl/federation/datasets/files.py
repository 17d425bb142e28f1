"""Data sets of the user's folder: arrays, JPEGs in an archive, or images in a folder per class.

For a name, the first of these is read; ``-`` and ``_`` are the same in names:

* ``<name>.npz`` with ``x_train``, ``y_train``, ``x_test``, ``y_test``;
* ``<name>.npz`` or ``<name>_*.npz`` with ``jpeg_S``, ``offset_S`` and ``y_S`` for S in train, test:
  image i is ``jpeg_S[offset_S[i]:offset_S[i+1]]``;
* ``<name>/train/<class>/`` and ``<name>/test/<class>/`` with PNG or JPEG files, or the same without
  ``<name>/`` when the folder itself is the data set.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from tradefl.errors import InputError, MissingExtraError, Parameter
from tradefl.federation.datasets.dataset import Dataset

SPLITS = ("train", "test")
ARRAYS = tuple(f"{kind}_{split}" for split in SPLITS for kind in ("x", "y"))
JPEGS = tuple(f"{kind}_{split}" for split in SPLITS for kind in ("jpeg", "offset", "y"))
SUFFIXES = (".png", ".jpg", ".jpeg")
FEW = 8

Reader = Callable[[str, Path, bool], Dataset]
Pixels = npt.NDArray[np.uint8]

# What NumPy and zipfile raise for an archive that is broken, encrypted, or holds objects; a broken
# header can ask for more memory than there is.
_BROKEN = (
    ValueError,
    OSError,
    EOFError,
    MemoryError,
    OverflowError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def from_folder(name: str, folder: Path, *, share: bool = False) -> Dataset:
    """Return the data set, or an organization's share of it, that a folder holds under a name.

    Raises
    ------
    InputError
        The folder holds none, several, or one that cannot be read.
    MissingExtraError
        It is made of images, and Pillow is not installed.
    """
    found = _find(name, folder, itself=True)
    if found is None:
        raise InputError.at(
            Parameter("data_dir", folder),
            f"expected {name}.npz, {name}_*.npz with JPEGs, or {name}/train/ and {name}/test/ with "
            f"a folder for each class; found {_content(folder)}",
        )
    read, path = found
    return read(name, path, share)


def holds(name: str, folder: Path) -> bool:
    """Return whether something in the folder, or the folder, is called so and can be meant.

    Raises
    ------
    InputError
        There is no such folder, or several things can be meant.
    """
    same = _plain(folder.resolve().name) == _plain(name)
    return _find(name, folder, itself=same) is not None


# --- What is where ----------------------------------------------------------------------------


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        raise InputError.at(Parameter("data_dir", folder), "no such folder") from None
    except NotADirectoryError:
        raise InputError.at(
            Parameter("data_dir", folder), "expected a folder, got a file"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError.at(Parameter("data_dir", folder), f"cannot be read: {reason}") from None


def _find(name: str, folder: Path, *, itself: bool) -> tuple[Reader, Path] | None:
    entries = _entries(folder)
    plain = _plain(name)
    archives = [path for path in entries if path.suffix == ".npz" and path.is_file()]
    exact = [path for path in archives if _plain(path.stem) == plain]
    if (path := _only(exact, name)) is not None and not _holds_jpegs(path):
        return _read_arrays, path
    # Not any name that begins so: cifar100 is not a kind of cifar10.
    longer = [path for path in archives if _plain(path.stem).startswith(plain + "_")]
    jpegs = exact or [path for path in longer if _holds_jpegs(path)]
    if (path := _only(jpegs, name)) is not None:
        return _read_jpegs, path
    folders = [path for path in entries if _plain(path.name) == plain and _has_splits(path)]
    if (path := _only(folders, name)) is not None:
        return _read_classes, path
    if itself and _has_splits(folder):
        return _read_classes, folder
    return None


def _only(paths: list[Path], name: str) -> Path | None:
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        what = f"expected one data set {name!r}, got {len(paths)}: {names}"
        raise InputError.at(Parameter("data_dir", paths[0].parent), what)
    return paths[0] if paths else None


def _has_splits(folder: Path) -> bool:
    try:
        return any((folder / split).is_dir() for split in SPLITS)
    except OSError:  # may not be looked into
        return False


def _content(folder: Path) -> str:
    names = [
        f"{path.name}/" if path.is_dir() else path.name
        for path in _entries(folder)
        if path.is_dir() or path.suffix == ".npz"
    ]
    if not names:
        return "no .npz file and no folder"
    rest = len(names) - FEW
    return ", ".join(names[:FEW]) + (f" and {rest:,} more" if rest > 0 else "")


# --- Archives ---------------------------------------------------------------------------------


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise InputError.at(path, f"cannot be read: {error.strerror}") from None
    with stream:  # ours: NumPy leaves the file open if it is no archive
        try:
            archive = np.load(stream, allow_pickle=False)
        except _BROKEN as error:
            # NumPy takes anything without a known beginning for a pickle, and says so.
            reason = "" if type(error) is ValueError else f": {error}"
            raise InputError.at(path, f"expected an .npz archive{reason}") from None
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError.at(path, "expected an .npz archive, got a single array")
        with archive:
            yield archive


def _holds_jpegs(path: Path) -> bool:
    with _opened(path) as archive:
        return "x_train" not in archive and any(f"jpeg_{split}" in archive for split in SPLITS)


def _arrays(path: Path, keys: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    arrays = {}
    with _opened(path) as archive:
        missing = [key for key in keys if key not in archive]
        if missing:
            got = ", ".join(archive.files[:FEW]) or "none"
            what = f"expected the arrays {', '.join(keys)}: {', '.join(missing)} missing, got {got}"
            raise InputError.at(path, what)
        for key in keys:
            try:
                arrays[key] = np.asarray(archive[key])
            except _BROKEN as error:
                raise InputError.at(path, f"{key}: cannot be read: {error}") from None
    return arrays


def _read_arrays(name: str, path: Path, share: bool) -> Dataset:
    x_train, y_train, x_test, y_test = _arrays(path, ARRAYS).values()
    return Dataset.checked(name, (x_train, y_train), (x_test, y_test), place=path, share=share)


def _read_jpegs(name: str, path: Path, share: bool) -> Dataset:
    arrays = _arrays(path, JPEGS)
    decode = decoder(name)
    splits = []
    for split in SPLITS:
        content, offset, y = (arrays[f"{kind}_{split}"] for kind in ("jpeg", "offset", "y"))
        if content.ndim != 1 or content.dtype != np.uint8:
            what = f"expected bytes (uint8, one axis), got {content.dtype} of shape {content.shape}"
            raise InputError.at(path, f"jpeg_{split}: {what}")
        ends = _offsets(offset, content.size, len(y) if y.ndim else 0, f"{path}: offset_{split}")
        images = (
            (
                place := f"{path}: jpeg_{split}[{i}]",
                decode(io.BytesIO(content[ends[i] : ends[i + 1]].tobytes()), place, ("JPEG",)),
            )
            for i in range(len(ends) - 1)
        )
        splits.append((stacked(images, colour=True), y))
    return Dataset.checked(name, splits[0], splits[1], place=path, share=share)


def _offsets(offset: npt.NDArray[Any], size: int, samples: int, place: str) -> list[int]:
    if offset.ndim != 1 or offset.dtype.kind not in "iu" or offset.size != samples + 1:
        raise InputError.at(
            place,
            f"expected {samples + 1:,} whole numbers, one more than labels, got {offset.dtype} of "
            f"shape {offset.shape}",
        )
    ends: list[int] = offset.tolist()
    if ends[0] < 0 or ends[-1] > size:
        what = f"expected offsets 0 .. {size:,}, the number of bytes, got {ends[0]} .. {ends[-1]}"
        raise InputError.at(place, what)
    for i in range(samples):
        if ends[i] >= ends[i + 1]:
            what = f"expected more than {ends[i]}, the one before, got {ends[i + 1]}"
            raise InputError.at(f"{place}[{i + 1}]", what)
    return ends


# --- Images -----------------------------------------------------------------------------------


def decoder(name: str) -> Callable[[IO[bytes], str, tuple[str, ...]], Pixels]:
    """Return what decodes an image, given its place for errors and the formats it may have.

    Raises
    ------
    MissingExtraError
        Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError(Parameter("data", name), "vision") from None

    def decode(stream: IO[bytes], place: str, formats: tuple[str, ...]) -> Pixels:
        try:
            with Image.open(stream, formats=formats) as image:
                image.load()
                return pixels(image, place)
        # Pillow's own for an image that is cut off, or of absurd size.
        except (OSError, SyntaxError, EOFError, Image.DecompressionBombError):
            raise InputError.at(place, f"expected a {' or '.join(formats)} image") from None

    return decode


def pixels(image: Any, place: str) -> Pixels:
    """Return the pixels of a Pillow image: ``(height, width)`` if grey, else with 3 channels."""
    if image.mode not in ("L", "RGB"):
        # Not converted: what transparency or 16 bits should become is not for us to say.
        what = f"expected RGB or greyscale of 8 bits, got Pillow's mode {image.mode!r}"
        raise InputError.at(place, what)
    return np.asarray(image, dtype=np.uint8)


def stacked(images: Iterable[tuple[str, Pixels]], *, colour: bool = False) -> Pixels:
    """Return images of one size as one array, grey only if all are (and not ``colour``)."""
    placed = list(images)
    if not placed:
        return np.empty((0, 1, 1), dtype=np.uint8)
    height, width = placed[0][1].shape[:2]
    for place, image in placed:
        if image.shape[:2] != (height, width):
            got = f"{image.shape[1]} x {image.shape[0]}"
            what = f"expected {width} x {height} pixels like the first image, got {got}"
            raise InputError.at(place, what)
    if not colour and all(image.ndim == 2 for _, image in placed):
        return np.stack([image for _, image in placed])
    whole = np.empty((len(placed), height, width, 3), dtype=np.uint8)
    for row, (_, image) in zip(whole, placed, strict=True):
        row[:] = image[:, :, np.newaxis] if image.ndim == 2 else image
    return whole


# --- A folder for each class ------------------------------------------------------------------


def _read_classes(name: str, folder: Path, share: bool) -> Dataset:
    classes = {}
    for split in SPLITS:
        if not (folder / split).is_dir():
            raise InputError.at(folder / split, "no such folder")
        classes[split] = [path.name for path in _entries(folder / split) if path.is_dir()]
    train, test = classes["train"], classes["test"]
    if not train:
        raise InputError.at(folder / "train", "expected a folder for each class, got none")
    if train != test:
        odd = sorted(set(train) ^ set(test))
        shown = ", ".join(odd[:FEW]) + (", ..." if len(odd) > FEW else "")
        raise InputError.at(
            folder, f"expected the same classes in train and test, but only one has {shown}"
        )
    decode = decoder(name)
    images, labels = [], []
    counts = dict.fromkeys(SPLITS, 0)
    for split in SPLITS:
        for label, kind in enumerate(train):
            paths = _images(folder / split / kind)
            for path in paths:
                images.append((str(path), _image(decode, path)))
                labels.append(label)
            counts[split] += len(paths)
    # Together: one coloured image makes all of them coloured, in both splits.
    x, y, cut = stacked(images), np.array(labels), counts["train"]
    return Dataset.checked(
        name,
        (x[:cut], y[:cut]),
        (x[cut:], y[cut:]),
        place=folder,
        share=share,
        labels=tuple(train),
    )


def _images(folder: Path) -> list[Path]:
    paths = [path for path in _entries(folder) if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise InputError.at(folder, f"expected images ({', '.join(SUFFIXES)}), got none")
    return paths


def _image(decode: Callable[[IO[bytes], str, tuple[str, ...]], Pixels], path: Path) -> Pixels:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise InputError.at(path, f"cannot be read: {error.strerror}") from None
    with stream:
        return decode(stream, str(path), ("PNG", "JPEG"))
