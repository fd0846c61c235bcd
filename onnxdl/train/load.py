"""An .onnx file of any producer as a trainable Model."""

from __future__ import annotations

import json
import os

import onnx_ir as ir

from onnxdl.config import deserialize
from onnxdl.errors import OnnxdlError
from onnxdl.io.saved import Saved
from onnxdl.nn.imported import Imported
from onnxdl.train.composition import placeholder
from onnxdl.train.export import MODEL, inference_of
from onnxdl.train.model import Model
from onnxdl.train.settings import compile_as_saved
from onnxdl.train.step import Spec


def load_onnx(path: str | os.PathLike[str]) -> Model:
    """The model in an .onnx file of any producer; inputs, outputs and weights keep the file's names.

    A file that ``Model.save`` wrote gives the same layers again, compiled alike, and training goes on where it stood.
    """
    saved = Saved(path)
    model = _of_layers(saved)
    as_graph = model is None
    if model is None:
        model = model_of(saved.graph())
    compile_as_saved(model, saved.metadata)
    if model.is_compiled and saved.has_training:
        model.target_specs = [Spec(*target) for target in saved.targets()]
        model.load_state({**model.state, **saved.state()})
        model.stored_step = saved.step() if as_graph else None
    return model


def _of_layers(saved: Saved) -> Model | None:
    """The model as its layers; None where they do not give the file's very graph: a tool changed it, or a class is not known."""
    if MODEL not in saved.metadata:
        return None
    held = {**saved.weights(), **saved.state()}
    try:
        model = deserialize(json.loads(saved.metadata[MODEL]), Model)
        if not isinstance(model, Model):
            return None
        if not model.input_specs:
            model._specify([Spec(*described) for described in saved.inputs()])
        parameters = dict(model.named_parameters())
        if set(parameters) - set(held):
            return None
        for name, parameter in parameters.items():
            parameter.value = held[name]
        return model if saved.holds(inference_of(model)) else None
    except (OnnxdlError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError):
        return None


def model_of(imported: ir.Model) -> Model:
    """A Model that computes an ONNX graph."""
    layer = Imported(imported)
    inputs = [placeholder(name, dtype, shape) for name, dtype, shape in layer.input_specs]
    model = Model(inputs, layer(*inputs), name=imported.graph.name)
    model.output_names = layer.output_names
    return model
