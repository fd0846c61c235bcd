"""Keras: .keras archives and HDF5 files of Keras 2 and 3, read and written with h5py and json alone."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxdl.converters.contract import Converter
from onnxdl.errors import ConversionError
from onnxdl.train.model import Model

_HDF5_MARK = b"\x89HDF\r\n\x1a\n"


def read(source: Any, model: Model | None = None, *, custom_objects: Mapping[str, Any] | None = None, compile: bool = True) -> Model:
    """The model of a Keras file, compiled as it was saved; or ``model`` with the file's weights.

    Args:
        source: a .keras archive, or an HDF5 file of Keras 2 or 3, of a model or of weights alone.
        model: the architecture that weights alone go into.
        custom_objects: classes and functions by the names that the file knows them by; the function of a Lambda layer by the
            layer's name.
        compile: whether to compile the model as the saved one was, with its optimizer's state.
    """
    from onnxdl.converters.keras.reading import read_file

    if not isinstance(source, str | os.PathLike):
        raise ConversionError(f"a Keras model is read from its file, not from a {type(source).__name__}: save it as .keras first")
    return read_file(Path(source), model, custom_objects, compile)


def write(model: Model, path: Path) -> None:
    """A .keras archive, or an .h5 file, that stock Keras opens."""
    from onnxdl.converters.keras.writing import write_file

    write_file(model, path)


def recognises(source: Any) -> bool:
    """Whether a path is a .keras archive or an HDF5 file."""
    if not isinstance(source, str | os.PathLike) or not Path(source).is_file():
        return False
    with Path(source).open("rb") as file:
        mark = file.read(len(_HDF5_MARK))
        if mark == _HDF5_MARK:
            return True
        if mark[:4] != b"PK\x03\x04":
            return False
        try:
            with zipfile.ZipFile(file) as members:
                return {"config.json", "model.weights.h5"} <= set(members.namelist())
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
            return False


CONVERTER = Converter("keras", (".keras", ".h5", ".hdf5"), recognises, read, write, writes=(".keras",))
