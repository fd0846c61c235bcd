"""PyTorch's zip archives, and arrays out of raw storages: sizes are checked before anything is allocated."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from onnxdl.errors import FormatError

_LARGEST_COMPRESSED = 2**28  # torch stores weights as they are; what is compressed is text


class Archive:
    """A zip file whose members all lie in one folder, as torch writes it."""

    def __init__(self, source: str | os.PathLike[str] | BinaryIO, origin: str) -> None:
        self.origin = origin
        try:
            self._zip = zipfile.ZipFile(source)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise FormatError(f"{origin} is no archive of torch, or is damaged or cut short ({error})") from None
        self._members = {i.filename: i for i in self._zip.infolist()}
        assert self._zip.fp is not None  # it is open
        self._held = self._zip.fp.seek(0, 2)
        folders = {n.split("/", 1)[0] + "/" if "/" in n else "" for n in self._members}
        self._folder = folders.pop() if len(folders) == 1 else ""
        if "little" not in (self.text("byteorder") or "little"):
            raise FormatError(f"{origin} has big-endian numbers; save it again on a little-endian machine")

    def __contains__(self, name: str) -> bool:
        return self._folder + name in self._members

    def names(self) -> list[str]:
        """The members, without their common folder."""
        return [n.removeprefix(self._folder) for n in self._members]

    def size(self, name: str) -> int:
        """The size of a member in bytes."""
        return self._member(name).file_size

    def read(self, name: str) -> bytes:
        """A member's bytes; never a file of any path."""
        member = self._member(name)
        if member.compress_size > self._held:
            raise FormatError(f"{self.origin} claims {member.compress_size} bytes for {name!r}, and has {self._held}; it is cut short")
        if member.compress_type != zipfile.ZIP_STORED and member.file_size > _LARGEST_COMPRESSED:
            raise FormatError(f"{self.origin} claims {member.file_size} bytes for {name!r}, more than torch would compress")
        try:
            return self._zip.read(member)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, RuntimeError, zlib.error) as error:
            raise FormatError(f"{self.origin} is damaged: {name!r} cannot be read ({error})") from None

    def text(self, name: str) -> str | None:
        """A small text member, None where there is none."""
        return self.read(name).decode("utf-8", "replace") if name in self and self.size(name) < 4096 else None

    def _member(self, name: str) -> zipfile.ZipInfo:
        found = self._members.get(self._folder + name)
        if found is None:
            raise FormatError(f"{self.origin} lacks {name!r}; it is cut short, or no file of torch")
        return found


def is_zip(path: Path) -> bool:
    """Whether a file begins as zip archives do."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def strided(
    storage: bytes | memoryview, dtype: Any, sizes: Sequence[int], strides: Sequence[int] | None, offset: int, who: str
) -> np.ndarray:
    """The array that lies in a storage with these sizes and strides, counted in elements.

    Raises:
        FormatError: it reaches beyond the storage.
    """
    dtype = np.dtype(dtype)
    if any(s < 0 for s in sizes) or offset < 0 or (strides is not None and (len(strides) != len(sizes) or any(s < 0 for s in strides))):
        raise FormatError(f"{who} has impossible sizes {list(sizes)} or strides; the file is damaged")
    dense = _dense(sizes)
    strides = dense if strides is None else list(strides)
    reach = 0 if 0 in sizes else offset + 1 + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))
    if reach * dtype.itemsize > len(storage):
        raise FormatError(f"{who} needs {reach * dtype.itemsize} bytes, but {len(storage)} are there; the file is damaged or cut short")
    if 0 in sizes:
        return np.zeros(sizes, dtype)
    count = 1
    for n in sizes:
        count *= n
    if count > len(storage) // dtype.itemsize:  # an expanded tensor, which torch saves only once
        raise FormatError(f"{who} has more elements than its storage; save a clone of it")
    flat = np.frombuffer(storage, dtype, reach - offset, offset * dtype.itemsize)
    if [s for s, n in zip(strides, sizes, strict=True) if n != 1] == [s for s, n in zip(dense, sizes, strict=True) if n != 1]:
        return flat.reshape(sizes)
    view = np.lib.stride_tricks.as_strided(flat, sizes, [s * dtype.itemsize for s in strides])
    return np.ascontiguousarray(view)


def _dense(sizes: Sequence[int]) -> list[int]:
    strides = [1] * len(sizes)
    for i in range(len(sizes) - 2, -1, -1):
        strides[i] = strides[i + 1] * sizes[i + 1]
    return strides
