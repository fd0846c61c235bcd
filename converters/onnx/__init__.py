"""ONNX: the format of the house itself, from any producer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from onnxdl.converters.contract import Converter
from onnxdl.errors import ConversionError
from onnxdl.train.load import load_onnx
from onnxdl.train.model import Model


def read(source: Any, model: Model | None = None) -> Model:
    """The model in an .onnx file."""
    if model is not None:
        raise ConversionError(f"{source} holds a whole model, not weights alone: leave the model argument out")
    return load_onnx(source)


def write(model: Model, path: Path) -> None:
    """One .onnx file that holds everything."""
    model.save(path)


def recognises(source: Any) -> bool:
    """Whether the suffix says so: a protobuf message has no mark of its own."""
    return isinstance(source, str | os.PathLike) and Path(source).suffix.lower() == ".onnx"


CONVERTER = Converter("onnx", (".onnx",), recognises, read, write, writes=(".onnx",))
