"""MXNet's symbols and weights, from their files alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxdl.converters.contract import Converter
from onnxdl.errors import ConversionError
from onnxdl.train.model import Model


def read(source: Any, model: Model | None = None, input_shapes: Mapping[str, Sequence[int | None]] | None = None) -> Model:
    """The model in PREFIX-symbol.json and PREFIX-0000.params, of MXNet 0.8 to 1.9, saved by Module or exported by Gluon.

    Args:
        source: either file; of several epochs the last is taken, unless it is named.
        model: none: the symbol holds the architecture.
        input_shapes: the inputs' shapes without the batch, where the files do not say.
    """
    from onnxdl.converters.mxnet.reading import read_files

    if model is not None:
        raise ConversionError(f"{source}: weights of MXNet are read with the symbol beside them; leave the model argument out")
    return read_files(Path(source), input_shapes)


def recognises(source: Any) -> bool:
    """A symbol by its nodes and heads, weights by their first bytes."""
    if not isinstance(source, str | os.PathLike) or not Path(source).is_file():
        return False
    path = Path(source)
    with path.open("rb") as stream:
        head = stream.read(4096)
    if path.suffix == ".json":
        return b'"nodes"' in head and b'"op"' in head
    return head[:8] == (0x112).to_bytes(8, "little")


CONVERTER = Converter("mxnet", ("-symbol.json", ".params", ".json"), recognises, read)
