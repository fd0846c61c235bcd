"""Data files and folders as arrays."""

from __future__ import annotations

import io
import math
import os
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from onnxdl.data.cifar import read_cifar
from onnxdl.data.idx import EXPANSION, SMALL, read_idx, read_mnist
from onnxdl.data.images import read_images
from onnxdl.errors import DataError, FormatError

Path_ = str | os.PathLike[str]

_DAMAGE = (
    ValueError, TypeError, LookupError, EOFError, OSError, SyntaxError, OverflowError, RuntimeError, NotImplementedError,
    struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error, MemoryError,
)  # fmt: skip
"""What NumPy and zipfile raise on damaged files."""
_LARGEST_HEAD = 1 << 16
"""Bytes of an array's head, more than NumPy itself believes."""


def read_data(path: Path_) -> tuple[Any, np.ndarray | None]:
    """Inputs and targets of a data file or folder.

    ``.npz`` holds ``x`` and, for training, ``y``; other names are inputs of those names. ``.npy`` holds inputs only and is
    memory-mapped. ``.csv`` has a header line; its last column is the target where it is called y, label, class or target.
    IDX files (``-ubyte``, ``.idx``, ``.gz``) hold inputs only. A folder holds .npy files, named as the arrays of an .npz are and
    memory-mapped; the training files of MNIST or CIFAR; or images in one sub-folder a class.

    Raises:
        FormatError: the file is missing, damaged or of another kind.
    """
    file = Path(path)
    if not file.exists():
        raise FormatError(f"{file}: no such data file")
    if file.is_dir():
        return _read_folder(file)
    if file.suffix in (".idx", ".gz") or file.name.endswith("ubyte"):
        return read_idx(file), None
    readers = {".npz": _read_npz, ".npy": _read_npy, ".csv": _read_csv}
    if file.suffix not in readers:
        raise FormatError(f"{file}: unknown kind of data file; use {', '.join(readers)}, an IDX file or a folder")
    try:
        return readers[file.suffix](file)
    except _DAMAGE as error:
        raise FormatError(f"{file}: not a readable {file.suffix} file: {error}") from error


def _read_folder(folder: Path) -> tuple[Any, np.ndarray | None]:
    if arrays := {file.stem: _read_npy(file)[0] for file in sorted(folder.glob("*.npy"))}:
        return _inputs_and_targets(arrays, folder)
    if list(folder.glob("train-images*")):
        return read_mnist(folder)[0]
    if list(folder.glob("*.bin")):
        return read_cifar(folder)[0]
    images = read_images(folder)
    return images.x, images.y


def _inputs_and_targets(arrays: dict[str, np.ndarray], where: Path) -> tuple[Any, np.ndarray | None]:
    y = arrays.pop("y", None)
    if not arrays:
        raise DataError(f"{where} holds no inputs; store them as x")
    return (arrays["x"] if list(arrays) == ["x"] else arrays), y


def _read_npz(file: Path) -> tuple[Any, np.ndarray | None]:
    with zipfile.ZipFile(file) as members:
        for member in members.infolist():
            _check_size(members, member)
    with np.load(file, allow_pickle=False) as archive:
        return _inputs_and_targets({name: archive[name] for name in archive.files}, file)


def _check_size(members: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Refuses an array that claims more than its member holds, and a member that would expand to more than numbers do."""
    if member.file_size > max(SMALL, EXPANSION * member.compress_size):
        raise ValueError(f"{member.filename} would expand to {member.file_size} bytes from {member.compress_size}; store it uncompressed")
    with members.open(member) as stream:
        _check_claim(stream, member.file_size)


def _check_claim(stream: IO[bytes], held: int) -> None:
    """Raises ValueError where an array's head promises more bytes than there are, for NumPy would allocate them."""
    head = io.BytesIO(stream.read(_LARGEST_HEAD))
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(head)
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > held:
        raise ValueError(f"an array of shape {shape} needs {claimed} bytes, and the file holds {held}")


def _read_npy(file: Path) -> tuple[np.ndarray, None]:
    with file.open("rb") as stream:
        _check_claim(stream, file.stat().st_size)
    return np.load(file, mmap_mode="r", allow_pickle=False), None


def _read_csv(file: Path) -> tuple[np.ndarray, np.ndarray | None]:
    with file.open() as lines:
        header = [name.strip().lower() for name in lines.readline().split(",")]
        table = np.loadtxt(lines, delimiter=",", ndmin=2, dtype=np.float64)
    if table.shape[1] != len(header):
        raise ValueError(f"{len(header)} names but {table.shape[1]} columns")
    if header[-1] not in ("y", "label", "class", "target"):
        return table.astype(np.float32), None
    y = table[:, -1]
    whole = np.all(y == np.round(y))
    return table[:, :-1].astype(np.float32), y.astype(np.int64) if whole else y.astype(np.float32)


def write_table(path: Path_, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays by name as ``.npz``, or one array of two axes as ``.csv`` with a header line."""
    file = Path(path)
    if file.suffix == ".npz":
        np.savez(file, **arrays)  # type: ignore[arg-type]
        return
    if file.suffix != ".csv" or len(arrays) != 1:
        raise FormatError(f"{file}: predictions are written as .npz, or as .csv if there is one output")
    ((name, array),) = arrays.items()
    rows = array.reshape(len(array), -1)
    header = ",".join(name if rows.shape[1] == 1 else f"{name}_{i}" for i in range(rows.shape[1]))
    np.savetxt(file, rows, delimiter=",", header=header, comments="", fmt="%.9g")
