"""IDX files, the form of MNIST and its kin: a type, the sizes of the axes, then the numbers, big-endian, often gzipped."""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from onnxdl.data.split import Split
from onnxdl.errors import FormatError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_LARGEST = 1 << 40
"""Elements that an array would have if none of its sizes were 0."""
_GZIP = b"\x1f\x8b"
SMALL = 1 << 26
"""Bytes that a file may unpack to, however small it is."""
EXPANSION = 100
"""How many times its size a larger file may unpack to."""


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an IDX file, plain or gzipped.

    Raises:
        FormatError: the file is missing, damaged, cut short or of another kind.
    """
    file = Path(path)
    try:
        raw = file.read_bytes()
        raw = _unpacked(raw, file) if raw[:2] == _GZIP else raw
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"cannot read {file}: {error}") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _TYPES:
        raise FormatError(f"{file} is no IDX file: it does not begin with two zeros and a type")
    dtype, axes = np.dtype(_TYPES[raw[2]]), raw[3]
    begin = 4 + 4 * axes
    shape = struct.unpack_from(f">{axes}I", raw, 4) if len(raw) >= begin else ()
    expected = begin + math.prod(shape) * dtype.itemsize
    if not axes or len(shape) != axes or len(raw) != expected or math.prod(d or 1 for d in shape) > _LARGEST:
        raise FormatError(f"{file} is cut short or damaged: it holds {len(raw)} bytes, and its head promises {expected}")
    return np.frombuffer(raw, dtype, offset=begin).reshape(shape).astype(dtype.newbyteorder("="))


def _unpacked(raw: bytes, file: Path) -> bytes:
    """The content of a gzip file, unless it would grow beyond what numbers do."""
    limit = max(SMALL, EXPANSION * len(raw))
    with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise FormatError(f"{file} would expand to more than {limit} bytes, {EXPANSION} times its size; unpack it first if it is meant to")
    return content


def read_mnist(folder: str | os.PathLike[str]) -> Split:
    """The images and labels of a folder in MNIST's form: ``train-images-idx3-ubyte``, ``t10k-labels-idx1-ubyte``, .gz or not.

    Returns:
        ``(x, y), (x_test, y_test)``: uint8 images of shape (n, 28, 28), int64 labels.
    """
    parts = []
    for part in ("train", "t10k"):
        x, y = (_one_of(Path(folder), f"{part}-{kind}") for kind in ("images*idx3*ubyte*", "labels*idx1*ubyte*"))
        images, labels = read_idx(x), read_idx(y)
        if len(images) != len(labels):
            raise FormatError(f"{x} holds {len(images)} images, but {y} holds {len(labels)} labels")
        parts.append((images, labels.astype(np.int64)))
    return parts[0], parts[1]


def _one_of(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        name = pattern.replace("*", "-", 2).rstrip("*")
        raise FormatError(f"{folder} holds no file {name}, plain or .gz; download MNIST's four from https://yann.lecun.com/exdb/mnist")
    return found[0]
