"""Data sets in people's own forms, as training and test samples."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from onnxdl import data
from onnxdl.errors import DataError, FormatError

RNG = np.random.default_rng(0)


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.astype(np.uint8).tobytes()


def mnist(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    images, labels = RNG.integers(0, 256, (12, 28, 28)).astype(np.uint8), np.arange(12) % 10
    for part, window in (("train", slice(8)), ("t10k", slice(8, None))):
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images[window])))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels[window]))
    return images, labels


def cifar(folder: Path) -> np.ndarray:
    records = RNG.integers(0, 10, (7, 3073)).astype(np.uint8)
    (folder / "data_batch_1.bin").write_bytes(records[:5].tobytes())
    (folder / "test_batch.bin").write_bytes(records[5:].tobytes())
    return records


def pictures(folder: Path, count: int = 5) -> None:
    image = pytest.importorskip("PIL.Image")
    for k, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            image.fromarray(np.full((6, 8, 3), 50 * k + i, np.uint8)).save(folder / name / f"{i}.png")


def test_mnist_keeps_its_test_images(tmp_path: Path) -> None:
    images, labels = mnist(tmp_path)
    (x, y), (x_test, y_test) = data.read_image_split(tmp_path, (7, 14), channels=1)
    assert x.shape == (8, 1, 7, 14) and x.dtype == np.float32
    expected = images.reshape(12, 1, 7, 4, 14, 2).mean((3, 5)) / 255
    np.testing.assert_allclose(np.concatenate([x, x_test]), expected, rtol=1e-4)
    np.testing.assert_array_equal(np.concatenate([y, y_test]), labels)
    assert data.read_image_split(tmp_path, channels=3)[0][0].shape == (8, 3, 28, 28)


def test_cifar_keeps_its_test_images(tmp_path: Path) -> None:
    records = cifar(tmp_path)
    (x, y), (x_test, y_test) = data.read_image_split(tmp_path)
    np.testing.assert_allclose(np.concatenate([x, x_test]).reshape(7, -1), records[:, 1:] / np.float32(255), rtol=1e-5)
    np.testing.assert_array_equal(np.concatenate([y, y_test]), records[:, 0])
    grey = data.read_image_split(tmp_path, channels=1)[0][0]
    np.testing.assert_allclose(grey[:, 0], np.einsum("nchw,c->nhw", x, [0.299, 0.587, 0.114]), rtol=1e-4)


def test_folders_of_images(tmp_path: Path) -> None:
    pictures(tmp_path / "one")
    (x, y), (x_test, y_test) = data.read_image_split(tmp_path / "one", (3, 4))
    assert x.shape == (8, 3, 3, 4) and x_test.shape == (2, 3, 3, 4)
    np.testing.assert_array_equal(np.concatenate([x, x_test])[:, 0, 0, 0] * 255 >= 49, np.concatenate([y, y_test]) == 1)
    for part, count in (("train", 3), ("val", 2)):
        pictures(tmp_path / "two" / part, count)
    (x, y), (x_test, y_test) = data.read_image_split(tmp_path / "two")
    assert x.shape == (6, 3, 6, 8) and len(x_test) == 4 and y_test.tolist() == [0, 0, 1, 1]


def test_images_from_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.arange(40, dtype=np.float32).reshape(10, 2, 2), y=np.arange(10))
    (x, _), (x_test, _) = data.read_image_split(tmp_path / "d.npz", (3, 1), channels=1)
    first = np.concatenate([x, x_test])[np.concatenate([x, x_test])[:, 0, 0, 0].argmin(), 0, :, 0]
    np.testing.assert_allclose(first, [0.5, 1.5, 2.5])  # rows of means 0.5 and 2.5; the middle one covers half of each
    np.save(tmp_path / "x.npy", np.zeros((3, 2, 2)))
    with pytest.raises(DataError, match="not their classes"):
        data.read_image_split(tmp_path / "x.npy")


def test_texts(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("test", 2)):
        for name in ("neg", "pos"):
            (tmp_path / "imdb" / part / name).mkdir(parents=True)
            for i in range(count):
                (tmp_path / "imdb" / part / name / f"{i}.txt").write_text(f"{name} {i}")
    train, test = data.read_text_split(tmp_path / "imdb")
    assert train.classes == ["neg", "pos"] and len(train.x) == 8 and test.x == ["neg 0", "neg 1", "pos 0", "pos 1"]
    (tmp_path / "t.csv").write_text('text,label\n"a, or ""b""",good\n' + "c\nd,bad\n".replace("\n", " ", 1) * 9)
    train, test = data.read_text_split(tmp_path / "t.csv")
    assert sorted([*train.x, *test.x]) == ['a, or "b"', *["c d"] * 9] and train.classes == ["bad", "good"] and len(test.x) == 2
    assert [train.classes[k] for k in train.y] == ["good" if "b" in text else "bad" for text in train.x]


def uneven(folder: Path) -> None:
    pictures(folder / "train", 1)
    pictures(folder / "test", 1)
    (folder / "test" / "dog").rename(folder / "test" / "wolf")


REFUSED: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "nothing there": (lambda folder: None, "none", "no such data file"),
    "no classes": (lambda folder: None, "", "one sub-folder a class is expected"),
    "mnist without labels": (lambda f: (f / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((1, 2, 2)))), "", "https://yann.lecun.com"),
    "cifar of another kind": (lambda f: (f / "x.bin").write_bytes(b"0"), "", "https://www.cs.toronto.edu"),
    "other classes held out": (uneven, "", "cat, dog, but those held out cat, wolf"),
}


@pytest.mark.parametrize(("make", "name", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_missing_is_told(make: Callable[[Path], object], name: str, words: str, tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(FormatError, match=words):
        data.read_image_split(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "words"),
    [("a,b\n1,2\n", "columns text and label"), ("text,label\na\n", "record 2 lacks"), ("text,label\n", "lines after it")],
)
def test_tables_of_texts_that_are_none(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(FormatError, match=words):
        data.read_text_split(tmp_path / "t.csv")
