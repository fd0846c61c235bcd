"""Caffe2's nets, from their files alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxdl.converters.contract import Converter
from onnxdl.errors import ConversionError
from onnxdl.train.model import Model


def read(source: Any, model: Model | None = None, input_shapes: Mapping[str, Sequence[int | None]] | None = None) -> Model:
    """The model in a folder of ``init_net`` and ``predict_net``, or beside either of them.

    Args:
        source: the folder, or one of its two files, .pb or .pbtxt.
        model: none: the nets hold the architecture too.
        input_shapes: the inputs' shapes without the batch, where the files do not say.
    """
    from onnxdl.converters.caffe2.reading import read_nets

    if model is not None:
        raise ConversionError(f"{source} holds a whole model, not weights alone: leave the model argument out")
    return read_nets(Path(source), input_shapes)


def recognises(source: Any) -> bool:
    """A folder of the two nets, or a file of either's usual name."""
    if not isinstance(source, str | os.PathLike):
        return False
    path = Path(source)
    if path.is_dir():
        return any((path / f"predict_net{suffix}").exists() for suffix in (".pb", ".pbtxt", ".prototxt"))
    return path.suffix in (".pb", ".pbtxt", ".prototxt") and path.name != "saved_model.pb"


CONVERTER = Converter("caffe2", (".pb", ".pbtxt", ".prototxt", ""), recognises, read)
