"""MXNet's .params files: a list of named arrays; layouts V1 to V3, and the one before them."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from onnxdl.errors import ConversionError, FormatError

MAGIC = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_DTYPES = {0: np.float32, 1: np.float64, 2: np.float16, 3: np.uint8, 4: np.int32, 5: np.int8, 6: np.int64, 7: np.bool_}
_LARGEST_RANK, _LARGEST_SIZE = 32, 1 << 40


class _Reader:
    """A file's bytes, read in order; what asks for more than there is finds out before anything is allocated."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.at = path, path.read_bytes(), 0

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            raise FormatError(f"{self.path} ends in the middle of an array, at byte {len(self.data)}; it is cut short or damaged")
        self.at += size
        return self.data[self.at - size : self.at]

    def numbers(self, kind: str, count: int = 1) -> tuple[int, ...]:
        return struct.unpack(f"<{count}{kind}", self.take(count * struct.calcsize(f"<{kind}")))


def read_params(path: Path) -> dict[str, np.ndarray]:
    """The arrays by name, ``arg:`` and ``aux:`` before the names where the file has them.

    Raises:
        FormatError: the file is no .params file, or is damaged.
        ConversionError: it holds sparse arrays.
    """
    reader = _Reader(path)
    magic, _, count = reader.numbers("Q", 3)
    if magic != MAGIC:
        raise FormatError(f"{path} is no MXNet .params file: it begins with {magic:#x}, not {MAGIC:#x}")
    if count > len(reader.data):
        raise FormatError(f"{path} claims {count} arrays in {len(reader.data)} bytes; it is damaged")
    arrays = [_array(reader) for _ in range(count)]
    (named,) = reader.numbers("Q")
    if named != count:
        raise FormatError(f"{path} names {named} of its {count} arrays; it is damaged" if named else f"{path} holds arrays without names")
    names = []
    for _ in range(named):
        (length,) = reader.numbers("Q")
        try:
            names.append(reader.take(length).decode("utf-8"))
        except UnicodeDecodeError:
            raise FormatError(f"{path} holds a name that is no text; it is damaged") from None
    return dict(zip(names, arrays, strict=True))


def _array(reader: _Reader) -> np.ndarray:
    (magic,) = reader.numbers("I")
    if magic in (_V2, _V3):
        (storage,) = reader.numbers("i")
        if storage not in (0, -1):
            raise ConversionError(f"{reader.path} holds a sparse array; save it with .tostype('default')")
    rank = reader.numbers("I")[0] if magic in (_V1, _V2, _V3) else magic
    if rank > _LARGEST_RANK:
        raise FormatError(f"{reader.path} claims an array of {rank} dimensions; it is damaged")
    shape = reader.numbers("q" if magic in (_V1, _V2, _V3) else "I", rank)
    if any(d < 0 for d in shape) or math.prod(d or 1 for d in shape) > _LARGEST_SIZE:  # beside a 0, too
        raise FormatError(f"{reader.path} claims an array of shape {list(shape)}; it is damaged")
    if rank == 0 and magic != _V3:
        return np.zeros(0, np.float32)
    reader.numbers("i", 2)  # where it was: device and its number
    (kind,) = reader.numbers("i")
    if kind not in _DTYPES:
        raise FormatError(f"{reader.path} holds an array of type {kind}, which is not known; it is damaged")
    dtype = np.dtype(_DTYPES[kind])
    return np.frombuffer(reader.take(math.prod(shape) * dtype.itemsize), dtype.newbyteorder("<")).reshape(shape).astype(dtype)
