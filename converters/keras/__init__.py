"""Keras: .keras archives and HDF5 files of Keras 2 and 3, read and written with h5py and json alone."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onnxdl.converters.contract import Converter
from onnxdl.train.model import Model

SUFFIXES = (".keras", ".h5", ".hdf5")
_HDF5_MARK = b"\x89HDF\r\n\x1a\n"


def read(source: Any, model: Model | None = None, *, custom_objects: Mapping[str, Any] | None = None, compile: bool = True) -> Model:
    """The model of a Keras file, compiled as it was saved; or ``model`` with the file's weights.

    Args:
        source: a .keras archive, or an HDF5 file of Keras 2 or 3, of a model or of weights alone; or a ``keras.Model``.
        model: the architecture that weights alone go into.
        custom_objects: classes and functions by the names that the file knows them by; the function of a Lambda layer by the
            layer's name.
        compile: whether to compile the model as the saved one was, with its optimizer's state.
    """
    from onnxdl.converters.keras.reading import read_file

    if isinstance(source, str | os.PathLike):
        return read_file(Path(source), model, custom_objects, compile)
    from onnxdl.converters.keras.running import saved

    path = saved(source)
    try:
        return read_file(path, model, custom_objects, compile)
    finally:
        path.unlink()


def write(model: Model, path: Path) -> None:
    """A .keras archive, an .h5 file or .weights.h5, that stock Keras opens."""
    from onnxdl.converters.keras.writing import write_file

    write_file(model, path)


def activations(source: Any, inputs: Mapping[str, np.ndarray], **options: Any) -> Mapping[str, np.ndarray]:
    """What Keras itself computes, where it is installed."""
    from onnxdl.converters.keras import running

    return running.activations(source, inputs, **options)


def recognises(source: Any) -> bool:
    """Whether a path is a .keras archive or an HDF5 file, or an object a Keras model."""
    if not isinstance(source, str | os.PathLike):
        from onnxdl.converters.keras.running import is_model

        return is_model(source)
    if not Path(source).is_file():
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


CONVERTER = Converter("keras", SUFFIXES, recognises, read, write, writes=SUFFIXES, activations=activations)
