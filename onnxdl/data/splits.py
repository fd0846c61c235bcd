"""Data sets in the forms that people have them in, as training and test samples: images in folders, MNIST, CIFAR, texts in folders."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np

from onnxdl.data.cifar import read_cifar
from onnxdl.data.files import read_data
from onnxdl.data.idx import read_mnist
from onnxdl.data.images import ImageFolder, read_images
from onnxdl.data.split import Arrays, Split, hold_out
from onnxdl.data.text import TextFolder, read_texts
from onnxdl.errors import DataError, FormatError

PARTS = (("train", "test"), ("train", "val"), ("train", "validation"))
_GREY = (0.299, 0.587, 0.114)


def read_image_split(path: str | os.PathLike[str], size: tuple[int, int] | None = None, channels: int = 3) -> Split:
    """Images with the numbers of their classes, to train with and held out.

    Args:
        path: a folder of images with one sub-folder a class, or one of those each in ``train`` and ``test`` (or ``val``); a
            folder with the files of MNIST or CIFAR; an .npz with x and y. Where nothing is held out already, a fifth is.
        size: height and width that all are resized to; by default those of the first.
        channels: 1 grey, 3 colours.

    Returns:
        ``(x, y), (x_test, y_test)``: float32 images (n, channels, height, width), of bytes in [0, 1].
    """
    folder = Path(path)
    parts = _parts(folder)
    if parts is not None:
        train, test = (read_images(part, size, channels=channels) for part in parts)
        _same_classes(train, test, folder)
        return _images(train.x, train.y, size, channels), _images(test.x, test.y, size or train.x.size, channels)
    if list(folder.glob("train-images*")):
        (x, y), (x_test, y_test) = read_mnist(folder)
        return _images(x, y, size, channels), _images(x_test, y_test, size, channels)
    if list(folder.glob("*.bin")):
        (x, y), (x_test, y_test) = read_cifar(folder)
        return _images(x, y, size, channels), _images(x_test, y_test, size, channels)
    if folder.is_dir() and not list(folder.glob("*.npy")):
        images = read_images(folder, size, channels=channels)
        return hold_out(*_images(images.x, images.y, size, channels))
    x, targets = read_data(path)
    if targets is None:
        raise DataError(f"{path} holds images but not their classes, y")
    return hold_out(*_images(x, targets, size, channels))


def read_text_split(path: str | os.PathLike[str], encoding: str = "utf-8") -> tuple[TextFolder, TextFolder]:
    """Texts with the numbers of their classes, to train with and held out.

    Args:
        path: a folder of .txt files with one sub-folder a class, or one of those each in ``train`` and ``test``, as IMDB comes;
            or a .csv with the columns ``text`` and ``label``. Where nothing is held out already, a fifth is.
        encoding: of the texts.
    """
    place = Path(path)
    parts = _parts(place)
    if parts is not None:
        train, test = (read_texts(part, encoding) for part in parts)
        _same_classes(train, test, place)
        return train, test
    texts, labels, classes = _read_table(place, encoding) if place.suffix == ".csv" else read_texts(place, encoding)
    (a, y), (b, y_test) = hold_out(np.arange(len(texts)), labels)
    return TextFolder([texts[i] for i in a], y, classes), TextFolder([texts[i] for i in b], y_test, classes)


def _read_table(file: Path, encoding: str) -> TextFolder:
    try:
        with file.open(encoding=encoding, newline="") as lines:
            rows = list(csv.DictReader(lines, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"cannot read {file}: {error}") from error
    if not rows or not {"text", "label"} <= set(rows[0]):
        raise FormatError(f"{file} needs a header line with the columns text and label, and lines after it")
    if short := next((i for i, row in enumerate(rows, 2) if row["text"] is None or row["label"] is None), None):
        raise FormatError(f"{file}: record {short} lacks a text or a label")
    classes, numbers = np.unique([row["label"] for row in rows], return_inverse=True)
    return TextFolder([row["text"] for row in rows], numbers.astype(np.int64), [str(c) for c in classes])


def _parts(folder: Path) -> tuple[Path, Path] | None:
    """The two folders that hold what to train with and what is held out, if it comes so parted."""
    found = ((folder / train, folder / test) for train, test in PARTS)
    return next(((train, test) for train, test in found if train.is_dir() and test.is_dir()), None)


def _same_classes(train: ImageFolder | TextFolder, test: ImageFolder | TextFolder, folder: Path) -> None:
    if train.classes != test.classes:
        names = ", ".join(train.classes), ", ".join(test.classes)
        raise FormatError(f"{folder}: the classes to train with are {names[0]}, but those held out {names[1]}")


def _images(x: Any, y: np.ndarray, size: tuple[int, int] | None, channels: int) -> Arrays:
    pixels = np.asarray(x)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    if pixels.ndim != 4:
        raise FormatError(f"images have the shape (n, channels, height, width), not {pixels.shape}")
    images = pixels.astype(np.float32) / (255 if pixels.dtype == np.uint8 else 1)
    if images.shape[1] == 3 and channels == 1:
        images = np.tensordot(images, np.array(_GREY, np.float32), ((1,), (0,)))[:, None]
    if images.shape[1] != channels:
        images = np.broadcast_to(images[:, :1], (len(images), channels, *images.shape[2:]))
    return _resized(images, size or images.shape[2:]), y


def _resized(images: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Each new pixel is the mean of what it covers."""
    if images.shape[2:] == size:
        return np.ascontiguousarray(images)
    rows, columns = (_covering(new, old) for new, old in zip(size, images.shape[2:], strict=True))
    return np.ascontiguousarray(rows @ images @ columns.T)


def _covering(new: int, old: int) -> np.ndarray:
    """(new, old): the part of each new pixel that each old one makes up."""
    begin, end = np.arange(new)[:, None] * old / new, np.arange(1, new + 1)[:, None] * old / new
    covered = np.clip(np.minimum(end, np.arange(1, old + 1)) - np.maximum(begin, np.arange(old)), 0, None)
    parts: np.ndarray = (covered / (old / new)).astype(np.float32)
    return parts
