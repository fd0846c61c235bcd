"""Data files and folders: what is read is what was written, and damaged ones are refused in one line."""

from __future__ import annotations

import gzip
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxdl import data
from onnxdl.data.lazy import on_disk
from onnxdl.errors import DataError, FormatError, OnnxdlError

RNG = np.random.default_rng(0)


def idx_bytes(array: np.ndarray, code: int) -> bytes:
    head = struct.pack(">HBB", 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


IDX = {0x08: np.uint8, 0x09: np.int8, 0x0B: np.int16, 0x0C: np.int32, 0x0D: np.float32, 0x0E: np.float64}


@pytest.mark.parametrize("code", IDX)
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files(code: int, zipped: bool, tmp_path: Path) -> None:
    array = (RNG.normal(size=(3, 4, 2)) * 50).astype(IDX[code])
    file = tmp_path / ("a.idx.gz" if zipped else "a-idx3-ubyte")
    raw = idx_bytes(array, code)
    file.write_bytes(gzip.compress(raw) if zipped else raw)
    found, y = data.read_data(file)
    assert y is None and found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def mnist(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    folder.mkdir()
    images, labels = RNG.integers(0, 256, (20, 28, 28)).astype(np.uint8), RNG.integers(0, 10, 20).astype(np.uint8)
    for part, window in (("train", slice(0, 15)), ("t10k", slice(15, 20))):
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images[window], 8)))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels[window], 8))
    return images, labels


def test_a_folder_of_mnist(tmp_path: Path) -> None:
    images, labels = mnist(tmp_path / "mnist")
    (x, y), (x_test, y_test) = data.read_mnist(tmp_path / "mnist")
    np.testing.assert_array_equal(np.concatenate([x, x_test]), images)
    np.testing.assert_array_equal(np.concatenate([y, y_test]), labels)
    assert y.dtype == np.int64
    np.testing.assert_array_equal(data.read_data(tmp_path / "mnist")[0], x)


@pytest.mark.parametrize("kind", [10, 100])
def test_cifar(kind: int, tmp_path: Path) -> None:
    images, labels = RNG.integers(0, 256, (12, 3, 32, 32)).astype(np.uint8), RNG.integers(0, kind, 12).astype(np.uint8)
    heads = labels[:, None] if kind == 10 else np.stack([labels // 5, labels], 1)
    records = np.concatenate([heads, images.reshape(12, -1)], 1).astype(np.uint8)
    names = {"data_batch_1": (0, 5), "data_batch_2": (5, 9), "test_batch": (9, 12)} if kind == 10 else {"train": (0, 9), "test": (9, 12)}
    for name, (a, b) in names.items():
        (tmp_path / f"{name}.bin").write_bytes(records[a:b].tobytes())
    (x, y), (x_test, y_test) = data.read_cifar(tmp_path)
    np.testing.assert_array_equal(np.concatenate([x, x_test]), images)
    np.testing.assert_array_equal(np.concatenate([y, y_test]), labels)
    np.testing.assert_array_equal(data.read_data(tmp_path)[1], y)


def test_arrays_by_name_and_memory_mapped(tmp_path: Path) -> None:
    x, y = RNG.normal(size=(5, 2)), np.arange(5)
    np.savez(tmp_path / "d.npz", x=x, y=y)
    found = data.read_data(tmp_path / "d.npz")
    np.testing.assert_array_equal(found[0], x)
    np.testing.assert_array_equal(found[1], y)
    (tmp_path / "folder").mkdir()
    for name, array in {"left": x, "right": -x, "y": y}.items():
        np.save(tmp_path / "folder" / f"{name}.npy", array)
    by_name, targets = data.read_data(tmp_path / "folder")
    assert list(by_name) == ["left", "right"] and on_disk(by_name["left"])
    np.testing.assert_array_equal(by_name["right"], -x)
    np.testing.assert_array_equal(targets, y)
    assert on_disk(data.read_data(tmp_path / "folder" / "left.npy")[0])


def test_csv(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b,label\n1,2.5,0\n3,4,1\n")
    x, y = data.read_data(tmp_path / "d.csv")
    np.testing.assert_array_equal(x, np.array([[1, 2.5], [3, 4]], np.float32))
    np.testing.assert_array_equal(y, [0, 1])
    assert x.dtype == np.float32 and y is not None and y.dtype == np.int64


def pictures(folder: Path) -> dict[str, np.ndarray]:
    image = pytest.importorskip("PIL.Image")
    saved = {}
    for name, count in {"cat": 3, "dog": 2}.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            saved[f"{name}/{i}"] = RNG.integers(0, 256, (6, 8, 3)).astype(np.uint8)
            image.fromarray(saved[f"{name}/{i}"]).save(folder / name / f"{i}.png")
    (folder / "dog" / "notes.txt").write_text("no image")
    return saved


def test_a_folder_of_images(tmp_path: Path) -> None:
    saved = pictures(tmp_path / "p")
    x, y, classes = data.read_images(tmp_path / "p")
    assert classes == ["cat", "dog"] and x.shape == (5, 3, 6, 8) and x.dtype == np.uint8
    np.testing.assert_array_equal(y, [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(x[[3, 0]], np.stack([saved["dog/0"], saved["cat/0"]]).transpose(0, 3, 1, 2))
    last = data.read_images(tmp_path / "p", data_format="channels_last").x
    np.testing.assert_array_equal(np.asarray(last), np.asarray(x).transpose(0, 2, 3, 1))
    small, grey = (data.read_images(tmp_path / "p", (3, 4), channels=c).x for c in (4, 1))
    assert small[:2].shape == (2, 4, 3, 4) and (small[:][:, 3] == 255).all()
    weights = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(data.read_images(tmp_path / "p", channels=1).x[:1][0, 0], saved["cat/0"] @ weights, atol=1)
    assert grey.shape == (5, 1, 3, 4)
    found, labels = data.read_data(tmp_path / "p")
    np.testing.assert_array_equal(found[:], x[:])
    np.testing.assert_array_equal(labels, y)


def damaged_image(folder: Path) -> Any:
    pictures(folder / "p")
    (folder / "p" / "cat" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    return data.read_images(folder / "p").x[:]


def written(name: str, content: bytes) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        (folder / name).write_bytes(content)
        return data.read_data(folder / name)

    return read


def cut_cifar(folder: Path) -> Any:
    (folder / "train.bin").write_bytes(b"\0" * 3074 + b"1")
    return data.read_cifar(folder)


GOOD_IDX = idx_bytes(np.arange(6, dtype=np.uint8).reshape(2, 3), 8)
REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no file": (lambda folder: data.read_data(folder / "x.npz"), "no such data file"),
    "unknown kind": (written("x.dat", b"1"), "unknown kind of data file"),
    "rubbish npz": (written("x.npz", b"rubbish"), "not a readable .npz file"),
    "rubbish npy": (written("x.npy", b"rubbish"), "not a readable .npy file"),
    "ragged csv": (written("x.csv", b"a,b\n1,2\n3\n"), "not a readable .csv file"),
    "idx of another kind": (written("x.idx", b"\0\1\2\3"), "is no IDX file"),
    "idx cut in the head": (written("x.idx", GOOD_IDX[:7]), "cut short or damaged"),
    "idx cut in the data": (written("x.idx", GOOD_IDX[:-1]), "holds 17 bytes, and its head promises 18"),
    "gzip cut": (written("x.idx.gz", gzip.compress(GOOD_IDX)[:-9]), "cannot read"),
    "empty folder": (lambda folder: data.read_data(folder), "one sub-folder a class is expected"),
    "mnist without labels": (lambda folder: data.read_mnist(folder), "holds no file train-images"),
    "cifar cut": (cut_cifar, "3075 bytes are not records of 3074"),
    "no cifar": (lambda folder: data.read_cifar(folder), "neither data_batch_1.bin"),
    "damaged image": (damaged_image, "1.png is no image that can be read"),
}


@pytest.mark.parametrize(("act", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_damaged_files_are_refused_in_one_line(act: Callable[[Path], Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=words) as caught:
        act(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pictures(tmp_path / "p")
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(DataError, match=r"needs PIL.*pip install 'onnxdl\[examples\]'"):
        data.read_images(tmp_path / "p")
    assert issubclass(DataError, OnnxdlError)
