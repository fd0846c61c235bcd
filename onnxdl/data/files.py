"""Data files: .npz, .npy and .csv as arrays."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from onnxdl.errors import DataError, FormatError

Path_ = str | os.PathLike[str]


def read_data(path: Path_) -> tuple[np.ndarray | dict[str, np.ndarray], np.ndarray | None]:
    """Inputs and targets of a data file.

    ``.npz`` holds ``x`` and, for training, ``y``; other names are inputs of those names. ``.npy`` holds inputs only.
    ``.csv`` has a header line; its last column is the target where it is called y, label, class or target.

    Raises:
        FormatError: the file is missing, damaged or of another kind.
    """
    file = Path(path)
    if not file.exists():
        raise FormatError(f"{file}: no such data file")
    readers = {".npz": _read_npz, ".npy": _read_npy, ".csv": _read_csv}
    if file.suffix not in readers:
        raise FormatError(f"{file}: unknown kind of data file; use {', '.join(readers)}")
    try:
        return readers[file.suffix](file)
    except (ValueError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise FormatError(f"{file}: not a readable {file.suffix} file: {error}") from error


def _read_npz(file: Path) -> tuple[np.ndarray | dict[str, np.ndarray], np.ndarray | None]:
    with np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    y = arrays.pop("y", None)
    if not arrays:
        raise DataError(f"{file} holds no inputs; store them as x")
    return (arrays["x"] if list(arrays) == ["x"] else arrays), y


def _read_npy(file: Path) -> tuple[np.ndarray, None]:
    return np.load(file, allow_pickle=False), None


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
