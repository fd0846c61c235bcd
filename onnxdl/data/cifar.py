"""CIFAR's binary files: records of one or two label bytes and 3 x 32 x 32 bytes of an image, channels first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from onnxdl.data.split import Arrays, Split
from onnxdl.errors import FormatError

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32


def read_cifar(folder: str | os.PathLike[str]) -> Split:
    """The images and labels of CIFAR-10 (``data_batch_1.bin`` ..., ``test_batch.bin``) or CIFAR-100 (``train.bin``, ``test.bin``).

    Returns:
        ``(x, y), (x_test, y_test)``: uint8 images of shape (n, 3, 32, 32), int64 labels, CIFAR-100's fine ones.
    """
    place = Path(folder)
    ten = sorted(place.glob("data_batch_*.bin"))
    if ten:
        return _read(ten, labels=1), _read([place / "test_batch.bin"], labels=1)
    if (place / "train.bin").exists():
        return _read([place / "train.bin"], labels=2), _read([place / "test.bin"], labels=2)
    raise FormatError(
        f"{place} holds neither data_batch_1.bin (CIFAR-10) nor train.bin (CIFAR-100); "
        "download the binary version from https://www.cs.toronto.edu/~kriz/cifar.html and unpack it"
    )


def _read(files: Sequence[Path], labels: int) -> Arrays:
    parts = []
    for file in files:
        try:
            raw = np.fromfile(file, np.uint8)
        except OSError as error:
            raise FormatError(f"cannot read {file}: {error.strerror or error}") from error
        if not raw.size or raw.size % (labels + _PIXELS):
            raise FormatError(f"{file} is cut short or damaged: {raw.size} bytes are not records of {labels + _PIXELS}")
        parts.append(raw.reshape(-1, labels + _PIXELS))
    records = np.concatenate(parts)
    return np.ascontiguousarray(records[:, labels:]).reshape(-1, *_SHAPE), records[:, labels - 1].astype(np.int64)
