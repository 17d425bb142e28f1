"""Data sets: what is embedded, read from files, fetched, or brought by another package."""

import importlib.metadata
import io
import os
import sys

import numpy as np
import pytest

from tradefl.errors import InputError, MissingExtraError
from tradefl.federation import datasets
from tradefl.federation.datasets import Dataset, files, hub, load_dataset
from tradefl.federation.telemetry import without_telemetry

Image = pytest.importorskip("PIL.Image")
rng = np.random.default_rng(0)

X_TRAIN = rng.integers(0, 256, (6, 8, 8), dtype=np.uint8)
Y_TRAIN = np.array([0, 1, 2, 0, 1, 2], dtype=np.uint8)
X_TEST = rng.integers(0, 256, (3, 8, 8), dtype=np.uint8)
Y_TEST = np.array([2, 1, 0], dtype=np.uint8)
DIGITS_TRAIN = [0, 1, 4, 5, 6, 7, 8, 9, 0, 2, 4, 6]
DIGITS_TEST = [2, 3, 1, 3, 5, 0, 1, 5, 0, 8, 0, 3]
PLAIN = {"x_train": X_TRAIN, "y_train": Y_TRAIN, "x_test": X_TEST, "y_test": Y_TEST}


@pytest.fixture(autouse=True)
def forgetful():
    load_dataset.cache_clear()
    yield
    load_dataset.cache_clear()


def checked(**changes):
    arrays = PLAIN | changes
    return Dataset.checked(
        "some",
        (arrays["x_train"], arrays["y_train"]),
        (arrays["x_test"], arrays["y_test"]),
        place="here",
    )


def jpeg(pixels, kind="JPEG"):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def flat(value, size=(8, 8, 3)):
    """Of one colour: JPEG keeps those to a unit or two."""
    return np.full(size, value, dtype=np.uint8)


def jpegs(**changes):
    arrays = {}
    for split, values in (("train", [10, 100, 200, 50]), ("test", [30, 240])):
        content = [jpeg(flat(value)) for value in values]
        arrays[f"jpeg_{split}"] = np.frombuffer(b"".join(content), dtype=np.uint8)
        arrays[f"offset_{split}"] = np.cumsum([0, *map(len, content)], dtype=np.uint64)
        arrays[f"y_{split}"] = np.arange(len(values), dtype=np.uint8) % 2
    return arrays | changes


def class_folders(folder, *, suffix=".png", size=(8, 8, 3)):
    for split, n in (("train", 3), ("test", 2)):
        for label, kind in enumerate(("ant", "bee")):
            place = folder / split / kind
            place.mkdir(parents=True)
            for k in range(n):
                Image.fromarray(flat(100 * label + k, size)).save(place / f"{k}{suffix}")
    return folder


# --- Dataset.checked --------------------------------------------------------------------------


def test_arrays_are_taken():
    data = checked()
    assert (data.name, data.classes) == ("some", 3)
    assert (data.shape.inputs, data.shape.classes) == ((8, 8), 3)
    assert data.x_train.dtype == np.uint8
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    assert np.array_equal(data.x_train, X_TRAIN)
    assert data.y_test.tolist() == [2, 1, 0]


@pytest.mark.parametrize("kind", ["f2", "<f4", ">f4", "f8"])
def test_floats_become_float32(kind):
    data = checked(x_train=(X_TRAIN / 2).astype(kind), x_test=(X_TEST / 2).astype(kind))
    assert data.x_train.dtype == data.x_test.dtype == np.float32
    assert data.x_train.dtype.isnative
    assert np.array_equal(data.x_train, X_TRAIN / 2)


def test_classes_count_those_of_the_test_too():
    assert checked(y_test=np.array([4, 0, 0])).classes == 5


def test_labels_in_a_column():
    data = checked(y_train=Y_TRAIN[:, None], y_test=Y_TEST[:, None])
    assert data.y_train.tolist() == Y_TRAIN.tolist()
    assert data.y_test.shape == (3,)


def test_memory_is_in_one_piece():
    data = checked(x_train=np.asfortranarray(X_TRAIN))
    assert data.x_train.flags.c_contiguous
    assert np.array_equal(data.x_train, X_TRAIN)


FLOATS = {"x_train": X_TRAIN / 1.0, "x_test": X_TEST / 1.0}


def spoiled(value):
    x = X_TRAIN / 1.0
    x[4, 1, 1] = value
    return FLOATS | {"x_train": x}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": X_TRAIN[:, 0, 0]}, r"x_train: expected shape \(n, features\)"),
        ({"x_train": X_TRAIN[:, :, :, None, None]}, "x_train: expected shape"),
        ({"x_train": np.zeros((6, 3, 8, 8), np.uint8)}, r"x_train: .*got channels first: \(6, 3,"),
        ({"x_train": X_TRAIN[:0], "y_train": Y_TRAIN[:0]}, "x_train: expected at least 1 sample"),
        ({"x_test": X_TEST[:0], "y_test": Y_TEST[:0]}, "x_test: expected at least 1 sample"),
        ({"x_train": X_TRAIN[:, :0]}, r"x_train: expected samples that hold numbers"),
        ({"x_test": X_TEST[:, :5]}, r"x_test: expected samples of shape \(8, 8\) .* got \(5, 8\)"),
        ({"x_test": X_TEST / 1.0}, "x_test: expected uint8 as in x_train, got float32"),
        ({"x_train": X_TRAIN.astype(np.int64)}, "x_train: expected uint8 images .* got int64"),
        ({"x_train": X_TRAIN > 9}, "x_train: expected uint8 images .* got bool"),
        ({"x_train": X_TRAIN.astype(object)}, "x_train: expected uint8 images .* got object"),
        (spoiled(np.nan), r"x_train\[4\]: expected finite numbers"),
        (spoiled(-np.inf), r"x_train\[4\]: expected finite numbers"),
        (spoiled(1e39), r"x_train\[4\]: expected finite numbers that fit float32"),
        ({"y_train": Y_TRAIN[:5]}, "y_train: expected 6 labels, one for each of x_train, got 5"),
        ({"y_test": np.arange(9)}, "y_test: expected 3 labels, one for each of x_test, got 9"),
        ({"y_train": Y_TRAIN.reshape(3, 2)}, r"y_train: expected shape \(n,\), got \(3, 2\)"),
        ({"y_train": np.array(3)}, r"y_train: expected shape \(n,\), got \(\)"),
        ({"y_train": Y_TRAIN / 1.0}, "y_train: expected whole numbers, got float64"),
        ({"y_train": Y_TRAIN > 0}, "y_train: expected whole numbers, got bool"),
        ({"y_test": np.array([0, 1, -1])}, r"y_test\[2\]: expected a label 0 \.\. 65,535, got -1"),
        (
            {"y_train": np.array([0, 2**63, 1, 1, 1, 1], dtype=np.uint64)},
            r"y_train\[1\]: expected a label 0 \.\. 65,535, got 9223372036854775808",
        ),
        (
            {"y_train": np.zeros(6, int), "y_test": np.zeros(3, int)},
            "y_train, y_test: expected at least 2 classes, got 1",
        ),
    ],
)
def test_arrays_that_do_not_fit(changes, message):
    with pytest.raises(InputError, match=f"^here: {message}"):
        checked(**changes)


# --- Embedded ---------------------------------------------------------------------------------


def test_digits():
    sklearn = pytest.importorskip("sklearn.datasets")
    data = load_dataset("digits")
    assert data.x_train.shape == (1438, 8, 8)
    assert data.x_test.shape == (359, 8, 8)
    assert (data.classes, data.x_train.dtype) == (10, np.float32)
    assert (data.x_train.min(), data.x_train.max()) == (0.0, 1.0)
    # Every image once, each with its label.
    whole = sklearn.load_digits()
    theirs = sorted(
        zip(map(bytes, whole.images.astype(np.float32) / 16), whole.target, strict=True)
    )
    images = np.concatenate([data.x_train, data.x_test])
    ours = sorted(zip(map(bytes, images), np.concatenate([data.y_train, data.y_test]), strict=True))
    assert ours == theirs
    parts = np.bincount(data.y_test) / np.bincount(whole.target)
    assert np.all(np.abs(parts - 0.2) < 0.006)


def test_breast_cancer():
    pytest.importorskip("sklearn")
    data = load_dataset("breast-cancer")
    assert data.x_train.shape == (455, 30)
    assert data.x_test.shape == (114, 30)
    assert (data.classes, data.x_train.dtype) == (2, np.float32)
    # By the mean and deviation of the training part alone.
    assert np.allclose(data.x_train.mean(axis=0), 0.0, atol=1e-5)
    assert np.allclose(data.x_train.std(axis=0), 1.0, atol=1e-5)
    assert not np.allclose(data.x_test.mean(axis=0), 0.0, atol=1e-2)


def test_embedded_split_is_the_same_for_everybody():
    pytest.importorskip("sklearn")
    data = load_dataset("digits")
    # The first training and test images of the split that everybody has.
    assert data.y_train[:12].tolist() == DIGITS_TRAIN
    assert data.y_test[:12].tolist() == DIGITS_TEST


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r"^data digits: .*tradefl\[federation\]"):
        load_dataset("digits")


def test_embedded_unless_the_folder_holds_it(tmp_path):
    pytest.importorskip("sklearn")
    (tmp_path / "train" / "a").mkdir(parents=True)  # of a data set without a name
    assert load_dataset("digits", tmp_path).x_train.shape == (1438, 8, 8)
    load_dataset.cache_clear()
    np.savez(tmp_path / "digits.npz", **PLAIN)
    assert load_dataset("digits", tmp_path).x_train.shape == (6, 8, 8)


def test_folder_called_like_an_embedded_one(tmp_path):
    class_folders(tmp_path / "breast_cancer")
    assert load_dataset("breast-cancer", tmp_path / "breast_cancer").shape.inputs == (8, 8, 3)


# --- Names ------------------------------------------------------------------------------------


def test_unknown_name():
    with pytest.raises(InputError) as error:
        load_dataset("fashion_mnist")
    assert str(error.value) == (
        "data: expected one of digits, breast-cancer, cifar10, fashion-mnist, svhn, eurosat, "
        "or a name that `data_dir` holds, got 'fashion_mnist' (did you mean 'fashion-mnist'?)"
    )


class Entry:
    def __init__(self, name, make):
        self.name, self.load = name, lambda: make


@pytest.fixture
def entries(monkeypatch):
    """Data sets of other packages, by name; several can be added."""
    known = []

    def entry_points(*, group):
        return known if group == "tradefl.datasets" else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    monkeypatch.setattr(datasets, "entry_points", entry_points)
    return known


def test_entry_point(entries, tmp_path):
    seen = []

    def make(folder):
        seen.append(folder)
        return checked()

    entries.append(Entry("scans", make))
    assert load_dataset("scans").classes == 3
    assert load_dataset("scans", tmp_path).classes == 3
    assert seen == [None, tmp_path]
    with pytest.raises(InputError, match=r"eurosat, scans, or a name .*mean 'scans'"):
        load_dataset("scan")


def test_entry_point_does_not_replace_what_is_ours(entries):
    pytest.importorskip("sklearn")
    entries.append(Entry("digits", lambda _: checked()))
    assert load_dataset("digits").name == "digits"


def test_entry_point_that_returns_something_else(entries):
    entries.append(Entry("scans", lambda _: (X_TRAIN, Y_TRAIN)))
    with pytest.raises(InputError, match=r"^data scans: .*return a Dataset, got tuple"):
        load_dataset("scans")


def test_last_ones_are_kept(tmp_path):
    np.savez(tmp_path / "some.npz", **PLAIN)
    assert load_dataset("some", tmp_path) is load_dataset("some", tmp_path)


# --- Archives of arrays -----------------------------------------------------------------------


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    ("name", "file"),
    [("fashion-mnist", "fashion_mnist"), ("fashion_mnist", "fashion-mnist"), ("my.v2", "my.v2")],
)
def test_arrays(tmp_path, save, name, file):
    save(tmp_path / f"{file}.npz", **PLAIN)
    data = load_dataset(name, tmp_path)
    assert data.name == name
    assert np.array_equal(data.x_train, X_TRAIN)
    assert np.array_equal(data.y_test, Y_TEST)


def test_arrays_come_first(tmp_path):
    np.savez(tmp_path / "some.npz", **(jpegs() | PLAIN))
    np.savez(tmp_path / "some_jpeg.npz", **jpegs())
    class_folders(tmp_path / "some")
    assert np.array_equal(load_dataset("some", tmp_path).x_train, X_TRAIN)


def test_two_archives_of_a_name(tmp_path):
    np.savez(tmp_path / "some-data.npz", **PLAIN)
    np.savez(tmp_path / "some_data.npz", **PLAIN)
    with pytest.raises(InputError, match=r"got 2: some-data.npz, some_data.npz"):
        load_dataset("some-data", tmp_path)


def test_arrays_are_checked(tmp_path):
    np.savez(tmp_path / "some.npz", **(PLAIN | {"y_train": Y_TRAIN[:4]}))
    with pytest.raises(InputError, match=r"some.npz: y_train: expected 6 labels"):
        load_dataset("some", tmp_path)


def test_arrays_missing(tmp_path):
    np.savez(tmp_path / "some.npz", x_train=X_TRAIN, y_test=Y_TEST, extra=Y_TEST)
    with pytest.raises(InputError, match=r"some.npz: .*: y_train, x_test missing, got x_train, y_"):
        load_dataset("some", tmp_path)


def test_objects_are_not_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.savez(tmp_path / "some.npz", **(PLAIN | {"x_test": np.array([Trap()], dtype=object)}))
    with pytest.raises(InputError, match=r"some.npz: x_test: cannot be read: Object arrays"):
        load_dataset("some", tmp_path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"junk", b"PK\x03\x04junk", b"\x80\x04junk", jpeg(flat(1))],
    ids=["empty", "junk", "zip", "pickle", "jpeg"],
)
def test_no_archive(tmp_path, content):
    (tmp_path / "some.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"some.npz: expected an .npz archive"):
        load_dataset("some", tmp_path)


def test_single_array(tmp_path):
    with (tmp_path / "some.npz").open("wb") as stream:
        np.save(stream, X_TRAIN)
    with pytest.raises(InputError, match=r"some.npz: expected an .npz archive, got a single array"):
        load_dataset("some", tmp_path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archive_with_a_broken_member(tmp_path, save):
    path = tmp_path / "some.npz"
    save(path, **PLAIN)
    content = bytearray(path.read_bytes())
    # Within the numbers of the first array, beyond its names and headers.
    content[300] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"some.npz: x_train: cannot be read"):
        load_dataset("some", tmp_path)


def test_archive_cut_off(tmp_path):
    path = tmp_path / "some.npz"
    np.savez(path, **PLAIN)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"some.npz: expected an .npz archive: File is not a zip"):
        load_dataset("some", tmp_path)


# --- Archives of JPEGs ------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["some", "some_full_jpeg", "some-q75"])
def test_jpegs(tmp_path, file):
    np.savez(tmp_path / f"{file}.npz", **jpegs())
    data = load_dataset("some", tmp_path)
    assert data.x_train.shape == (4, 8, 8, 3)
    assert data.x_test.shape == (2, 8, 8, 3)
    assert data.y_train.tolist() == [0, 1, 0, 1]
    for image, value in zip(data.x_train, [10, 100, 200, 50], strict=True):
        assert np.abs(image.astype(int) - value).max() <= 2


def test_grey_jpegs_become_rgb(tmp_path):
    content = [jpeg(flat(value, (8, 8))) for value in (10, 200)]
    grey = {
        "jpeg_test": np.frombuffer(b"".join(content), dtype=np.uint8),
        "offset_test": np.cumsum([0, *map(len, content)]),
    }
    np.savez(tmp_path / "some.npz", **jpegs(**grey))
    data = load_dataset("some", tmp_path)
    assert data.x_test.shape == (2, 8, 8, 3)
    assert np.abs(data.x_test[1].astype(int) - 200).max() <= 2


def test_bytes_between_images_are_skipped(tmp_path):
    arrays = jpegs()
    arrays["jpeg_train"] = np.concatenate([np.zeros(5, np.uint8), arrays["jpeg_train"]])
    arrays["offset_train"] = arrays["offset_train"] + np.uint64(5)
    np.savez(tmp_path / "some.npz", **arrays)
    assert abs(int(load_dataset("some", tmp_path).x_train[1, 0, 0, 0]) - 100) <= 2


def test_longer_name_is_another(tmp_path):
    np.savez(tmp_path / "cifar100_jpeg.npz", **jpegs())
    np.savez(tmp_path / "cifar10_notes.npz", notes=Y_TEST)  # no images
    with pytest.raises(InputError, match=r"^data_dir .*: expected cifar10.npz"):
        load_dataset("cifar10", tmp_path)


def test_two_archives_of_jpegs(tmp_path):
    np.savez(tmp_path / "some_a.npz", **jpegs())
    np.savez(tmp_path / "some_b.npz", **jpegs())
    with pytest.raises(InputError, match=r"got 2: some_a.npz, some_b.npz"):
        load_dataset("some", tmp_path)


def broken_jpegs():
    whole = jpegs()
    content, offset = whole["jpeg_train"], whole["offset_train"].astype(np.int64)
    second = content.copy()
    second[offset[1] : offset[2]] = 0
    short = offset.copy()
    short[3:] = offset[2] + 200  # image 2 is cut off
    small = [jpeg(flat(1)), jpeg(flat(2, (4, 6, 3)))]
    png = [jpeg(flat(1)), jpeg(flat(2), "PNG")]
    descending = offset.copy()
    descending[2] = offset[1] - 1
    empty = offset.copy()
    empty[2] = offset[1]
    return {
        "undecodable": (r"jpeg_train\[1\]: expected a JPEG image", {"jpeg_train": second}),
        "cut off": (
            r"jpeg_train\[2\]: expected a JPEG image",
            {"offset_train": short[:4], "y_train": np.arange(3)},
        ),
        "sizes": (
            r"jpeg_test\[1\]: expected 8 x 8 pixels like the first image, got 6 x 4",
            {
                "jpeg_test": np.frombuffer(b"".join(small), np.uint8),
                "offset_test": np.cumsum([0, *map(len, small)]),
            },
        ),
        "png": (
            r"jpeg_test\[1\]: expected a JPEG image",
            {
                "jpeg_test": np.frombuffer(b"".join(png), np.uint8),
                "offset_test": np.cumsum([0, *map(len, png)]),
            },
        ),
        "descending": (
            r"offset_train\[2\]: expected more than \d+, the one before",
            {"offset_train": descending.astype(np.uint64)},
        ),
        "empty": (
            r"offset_train\[2\]: expected more than \d+, the one before",
            {"offset_train": empty},
        ),
        "beyond": (
            r"offset_train: expected offsets 0 \.\. [\d,]+, the number of bytes, got 0 \.\.",
            {"jpeg_train": content[:-1]},
        ),
        "negative": (r"offset_train: expected offsets 0 \.\.", {"offset_train": offset - 1}),
        "too few": (
            r"offset_train: expected 5 whole numbers, one more than labels, got int64 of shape",
            {"offset_train": offset[:-1]},
        ),
        "floats": (
            r"offset_train: expected 5 whole numbers, one more than labels, got float64",
            {"offset_train": offset / 1.0},
        ),
        "wide": (
            r"jpeg_train: expected bytes \(uint8, one axis\), got int64",
            {"jpeg_train": content.astype(np.int64)},
        ),
        "no labels": (r"y_test: expected shape", {"y_test": np.zeros((2, 2), int)}),
        "no images": (
            r"x_train: expected at least 1 sample",
            {
                "jpeg_train": content[:0],
                "offset_train": np.zeros(1, int),
                "y_train": np.zeros(0, int),
            },
        ),
    }


@pytest.mark.parametrize("case", broken_jpegs())
def test_broken_jpegs(tmp_path, case):
    message, changes = broken_jpegs()[case]
    np.savez(tmp_path / "some.npz", **jpegs(**changes))
    with pytest.raises(InputError, match=r"some\.npz: " + message):
        load_dataset("some", tmp_path)


def test_jpegs_missing(tmp_path):
    arrays = jpegs()
    del arrays["offset_test"]
    np.savez(tmp_path / "some.npz", **arrays)
    with pytest.raises(InputError, match=r"some.npz: .*: offset_test missing"):
        load_dataset("some", tmp_path)


def test_without_pillow(tmp_path, monkeypatch):
    np.savez(tmp_path / "some.npz", **jpegs())
    class_folders(tmp_path / "other")
    monkeypatch.setitem(sys.modules, "PIL", None)
    for name in ("some", "other"):
        with pytest.raises(MissingExtraError, match=rf"^data {name}: .*tradefl\[vision\]"):
            load_dataset(name, tmp_path)


# --- A folder for each class ------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".PNG"])
@pytest.mark.parametrize("size", [(8, 8, 3), (8, 6)])
def test_class_folders(tmp_path, suffix, size):
    folder = class_folders(tmp_path / "some-data", suffix=suffix, size=size)
    (folder / "train" / "ant" / "notes.txt").write_text("not an image")
    (folder / "train" / ".hidden").mkdir()
    data = load_dataset("some_data", tmp_path)
    assert (data.shape.inputs, data.classes) == (size, 2)
    assert data.y_train.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.y_test.tolist() == [0, 0, 1, 1]
    for image, value in zip(data.x_train, [0, 1, 2, 100, 101, 102], strict=True):
        assert np.abs(image.astype(int) - value).max() <= 2


def test_folder_is_the_data_set(tmp_path):
    class_folders(tmp_path)
    assert load_dataset("cifar10", tmp_path).name == "cifar10"


def test_one_coloured_image_makes_all_coloured(tmp_path):
    class_folders(tmp_path, size=(8, 8))
    Image.fromarray(flat([1, 2, 3])).save(tmp_path / "test" / "bee" / "0.png")
    data = load_dataset("some", tmp_path)
    assert data.shape.inputs == (8, 8, 3)
    assert (data.x_train[1] == 1).all()
    assert data.x_test[2, 0, 0].tolist() == [1, 2, 3]


def test_classes_differ(tmp_path):
    class_folders(tmp_path)
    (tmp_path / "test" / "bee").rename(tmp_path / "test" / "wasp")
    with pytest.raises(
        InputError, match=r"same classes in train and test, .* only one has bee, wa"
    ):
        load_dataset("some", tmp_path)


def test_split_missing(tmp_path):
    (class_folders(tmp_path / "some") / "test").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"some.test: no such folder$"):
        load_dataset("some", tmp_path)


def test_no_classes(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    with pytest.raises(InputError, match=r"train: expected a folder for each class, got none"):
        load_dataset("some", tmp_path)


def test_class_without_images(tmp_path):
    class_folders(tmp_path)
    for split in ("train", "test"):
        (tmp_path / split / "cat").mkdir()
    with pytest.raises(
        InputError, match=r"train.cat: expected images \(.png, .jpg, .jpeg\), got n"
    ):
        load_dataset("some", tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(b"junk"), "expected a PNG or JPEG image"),
        (lambda path: path.write_bytes(path.read_bytes()[:45]), "expected a PNG or JPEG image"),
        (lambda path: Image.new("RGB", (9, 8)).save(path), "expected 8 x 8 pixels .* got 9 x 8"),
        (lambda path: Image.new("RGBA", (8, 8)).save(path), "expected RGB or .* mode 'RGBA'"),
        (lambda path: Image.new("I;16", (8, 8)).save(path), "expected RGB or .* mode 'I;16'"),
        (lambda path: Image.new("RGB", (8, 8)).save(path, "GIF"), "expected a PNG or JPEG image"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be read: Is a directory"),
    ],
    ids=["junk", "cut", "size", "transparent", "16 bits", "gif", "folder"],
)
def test_bad_image(tmp_path, spoil, message):
    class_folders(tmp_path)
    spoil(tmp_path / "test" / "ant" / "1.png")
    with pytest.raises(InputError, match=rf"test.ant.1\.png: {message}"):
        load_dataset("some", tmp_path)


# --- What the folder does not hold ------------------------------------------------------------


def test_nothing_found(tmp_path):
    with pytest.raises(InputError, match=r"found no .npz file and no folder$"):
        load_dataset("some", tmp_path)
    for k in range(10):
        np.savez(tmp_path / f"other{k}.npz", **PLAIN)
    (tmp_path / "afolder").mkdir()
    (tmp_path / "some").mkdir()  # without train or test
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError) as error:
        load_dataset("some", tmp_path)
    assert str(error.value) == (
        f"data_dir {tmp_path}: expected some.npz, some_*.npz with JPEGs, or some/train/ and "
        "some/test/ with a folder for each class; found afolder/, other0.npz, other1.npz, "
        "other2.npz, other3.npz, other4.npz, other5.npz, other6.npz and 4 more"
    )


def test_hub_is_not_asked_when_a_folder_is_given(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "from_hub", lambda _: pytest.fail("asked"))
    with pytest.raises(InputError, match=r"^data_dir"):
        load_dataset("cifar10", tmp_path)


@pytest.mark.parametrize("name", ["some", "digits"])
def test_no_folder(tmp_path, name):
    with pytest.raises(InputError, match="nowhere: no such folder"):
        load_dataset(name, tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: expected a folder, got a file"):
        load_dataset(name, tmp_path / "file")


# --- The hub ----------------------------------------------------------------------------------


@pytest.fixture
def library(monkeypatch, tmp_path):
    """The libraries, with a cache that is empty and nobody told."""
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "0")
    library = pytest.importorskip("datasets")
    federated = pytest.importorskip("flwr_datasets.federated_dataset")
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(federated, "event", lambda *_: None)
    return library


@pytest.fixture
def online(monkeypatch, library):
    """A hub that answers, and whatever is put there by (repository, subset)."""
    import huggingface_hub

    there = {}
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: None)
    monkeypatch.setattr(library, "load_dataset", lambda path, name: there[path, name])
    return there


def table(library, n, *, image="image", size=(8, 8, 3), classes=3, start=0):
    features = library.Features(
        {image: library.Image(), "label": library.ClassLabel(num_classes=classes)}
    )
    pictures = [Image.fromarray(flat((start + k) % 256, size)) for k in range(n)]
    labels = [k % classes for k in range(n)]
    return library.Dataset.from_dict({image: pictures, "label": labels}, features=features)


@pytest.mark.parametrize("size", [(8, 8, 3), (8, 6)])
def test_conversion(library, size):
    x, y = hub.arrays(table(library, 7, size=size), "image", "label", "there")
    assert (x.shape, x.dtype) == ((7, *size), np.uint8)
    assert x.reshape(7, -1)[:, 0].tolist() == list(range(7))
    assert y.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert y.dtype.kind == "i"


def test_conversion_of_other_columns(library):
    with pytest.raises(InputError, match=r"^there: expected a column 'img', got image, label"):
        hub.arrays(table(library, 2), "img", "label", "there")


def test_conversion_of_images_of_two_sizes(library):
    both = library.concatenate_datasets([table(library, 2), table(library, 2, size=(9, 8, 3))])
    with pytest.raises(InputError, match=r"^there\[2\]: expected 8 x 8 pixels"):
        hub.arrays(both, "image", "label", "there")


@pytest.mark.parametrize(
    ("name", "repository", "subset", "image"),
    [
        ("cifar10", "uoft-cs/cifar10", None, "img"),
        ("fashion-mnist", "zalando-datasets/fashion_mnist", None, "image"),
        ("svhn", "ufldl-stanford/svhn", "cropped_digits", "image"),
    ],
)
def test_fetched(library, online, name, repository, subset, image):
    online[repository, subset] = library.DatasetDict(
        train=table(library, 6, image=image),
        test=table(library, 3, image=image, start=50),
        extra=table(library, 3),
    )
    data = load_dataset(name)
    assert (data.name, data.classes) == (name, 3)
    assert data.x_train[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert data.x_test[:, 0, 0, 0].tolist() == [50, 51, 52]
    assert data.y_train.tolist() == [0, 1, 2, 0, 1, 2]


def test_eurosat_is_split_here(library, online):
    online["timm/eurosat-rgb", None] = library.DatasetDict(
        train=table(library, 60),
        validation=table(library, 20, start=60),
        test=table(library, 20, start=80),
    )
    data = load_dataset("eurosat")
    train, test = (set(x[:, 0, 0, 0].tolist()) for x in (data.x_train, data.x_test))
    assert (len(train), len(test)) == (80, 20)
    assert train | test == set(range(100))
    assert np.bincount(data.y_test).tolist() in ([7, 7, 6], [7, 6, 7], [6, 7, 7])


def test_every_name_has_a_home():
    assert tuple(hub.HOMES) == datasets.HUB


def test_no_network(library, monkeypatch, tmp_path):
    import httpx
    import huggingface_hub

    def refuse(*_, **__):
        raise httpx.ConnectError("[Errno -2] Name or service not known")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)
    # Everything from here on is the libraries' own: no second attempt, no cache, no data.
    monkeypatch.setattr(huggingface_hub.HfApi, "hf_hub_download", lambda *_: pytest.fail("asked"))
    with pytest.raises(InputError) as error:
        load_dataset("cifar10")
    assert str(error.value) == (
        "data cifar10: could not be fetched from the Hugging Face Hub ([Errno -2] Name or "
        "service not known); `data_dir` names a folder that has it"
    )
    assert library.config.HF_HUB_OFFLINE is False


def test_network_switched_off(library, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", True)
    for what in ("dataset_info", "hf_hub_download"):
        monkeypatch.setattr(huggingface_hub.HfApi, what, lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(InputError, match=r"^data svhn: .*\(HF_HUB_OFFLINE is set\); `data_dir`"):
        load_dataset("svhn")


def test_lost_on_the_way(library, online, monkeypatch):
    def lose(path, name):
        raise ConnectionError("Couldn't reach 'uoft-cs/cifar10' on the Hub (ConnectTimeout)\nmore")

    monkeypatch.setattr(library, "load_dataset", lose)
    with pytest.raises(InputError, match=r"^data cifar10: .*\(Couldn't reach .*ConnectTimeout\)\)"):
        load_dataset("cifar10")


def test_kept_from_an_earlier_time(library, monkeypatch):
    """Without a network, what is in the cache serves."""
    import huggingface_hub

    def refuse(*_, **__):
        raise TimeoutError("timed out")

    offline = []

    def cached(path, name):
        offline.append(library.config.HF_HUB_OFFLINE)
        return library.DatasetDict(
            train=table(library, 6, image="img"), test=table(library, 3, image="img")
        )

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)
    monkeypatch.setattr(library, "load_dataset", cached)
    assert len(load_dataset("cifar10").x_train) == 6
    assert offline == [True]
    assert library.config.HF_HUB_OFFLINE is False


@pytest.mark.parametrize("missing", ["flwr_datasets", "PIL"])
def test_without_flwr_datasets(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=r"^data cifar10: .*tradefl\[vision\]"):
        load_dataset("cifar10")


def test_telemetry_is_off_unless_the_user_wants_it(monkeypatch):
    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "1")
    without_telemetry()
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert os.environ["FLWR_TELEMETRY_ENABLED"] == "1"
    monkeypatch.delenv("FLWR_TELEMETRY_ENABLED")
    without_telemetry()
    assert os.environ["FLWR_TELEMETRY_ENABLED"] == "0"


def test_holds(tmp_path):
    assert not files.holds("digits", tmp_path)
    np.savez(tmp_path / "digits.npz", **PLAIN)
    assert files.holds("digits", tmp_path)
