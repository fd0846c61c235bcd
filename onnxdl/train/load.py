"""An .onnx file of any producer as a trainable Model."""

from __future__ import annotations

import os

import onnx_ir as ir

from onnxdl.graph.dtypes import to_ir
from onnxdl.graph.tensor import Tensor
from onnxdl.io import onnx_file
from onnxdl.nn.imported import Imported
from onnxdl.train.export import compile_as_saved
from onnxdl.train.model import Model


def load_onnx(path: str | os.PathLike[str]) -> Model:
    """The model in an .onnx file of any producer; inputs, outputs and weights keep the file's names."""
    imported = onnx_file.read(path)
    model = model_of(imported)
    compile_as_saved(model, imported.metadata_props)
    return model


def model_of(imported: ir.Model) -> Model:
    """A Model that computes an ONNX graph."""
    layer = Imported(imported)
    inputs = [_placeholder(name, to_ir(dtype), shape) for name, dtype, shape in layer.input_specs]
    model = Model(inputs, layer(*inputs), name=imported.graph.name)
    model.output_names = layer.output_names
    return model


def _placeholder(name: str, dtype: ir.DataType, shape: tuple[int | str | None, ...]) -> Tensor:
    """What ``Input`` makes, but with every dimension as the file has it."""
    dims = [f"{name}_dim_{i}" if d is None else d for i, d in enumerate(shape)]
    value = ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(dims))
    value.meta["symbolic"] = True
    return Tensor(value)
