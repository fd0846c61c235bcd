"""TensorFlow's SavedModels, and the layers models of TensorFlow.js."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxdl.converters.contract import Converter
from onnxdl.errors import ConversionError
from onnxdl.train.model import Model


def read(source: Any, model: Model | None = None, *, custom_objects: Mapping[str, Any] | None = None) -> Model:
    """The model in a SavedModel folder or in a model.json of TensorFlow.js.

    A SavedModel of Keras 2 becomes layers, without TensorFlow; any other becomes a graph, by tf2onnx.

    Args:
        source: the folder, or the .json file.
        model: none: the files hold the architecture.
        custom_objects: classes of yours by the names that the file knows them by.
    """
    from onnxdl.converters.tensorflow.reading import read_saved_model, read_tfjs

    if model is not None:
        raise ConversionError(f"{source} holds a whole model, not weights alone: leave the model argument out")
    path = Path(source)
    if path.is_dir():
        return read_saved_model(path, custom_objects)
    return read_saved_model(path.parent, custom_objects) if path.suffix == ".pb" else read_tfjs(path, custom_objects)


def recognises(source: Any) -> bool:
    """A folder with saved_model.pb, that file, or a model.json with a manifest of weights."""
    if not isinstance(source, str | os.PathLike):
        return False
    path = Path(source)
    if path.is_dir() or path.name == "saved_model.pb":
        return ((path if path.is_dir() else path.parent) / "saved_model.pb").is_file()
    if path.suffix != ".json" or not path.is_file():
        return False
    text = path.read_bytes()
    return b'"weightsManifest"' in text and b'"layers-model"' in text


CONVERTER = Converter("tensorflow", ("", ".json", "saved_model.pb"), recognises, read)
