"""An .onnx file of any producer as a trainable Model."""

from __future__ import annotations

import json
import os

import onnx
import onnx.numpy_helper
import onnx_ir as ir

from onnxdl.config import deserialize
from onnxdl.errors import OnnxdlError
from onnxdl.graph.dtypes import to_numpy
from onnxdl.graph.imports import import_model
from onnxdl.io import onnx_file, training_info
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
    proto = onnx_file.read_proto(path)
    metadata = {p.key: p.value for p in proto.metadata_props}
    model = _of_layers(proto, metadata[MODEL]) if MODEL in metadata else None
    as_graph = model is None
    if model is None:
        model = model_of(import_model(proto, os.fspath(path)))
    compile_as_saved(model, metadata)
    if model.is_compiled and proto.training_info:
        model.target_specs = _targets(proto)
        model.load_state({**model.state, **training_info.state_of(proto)})
        if as_graph:
            model.stored_step = training_info.extract(proto)[0]
    return model


def _of_layers(proto: onnx.ModelProto, text: str) -> Model | None:
    """The model as its layers; None where they do not give the file's very graph: a tool changed it, or a class is not known."""
    held = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    if proto.training_info:
        held |= training_info.state_of(proto)
    try:
        model = deserialize(json.loads(text), Model)
        if not model.input_specs:
            model._specify([_spec(v) for v in proto.graph.input])
        parameters = dict(model.named_parameters())
        if set(parameters) - set(held):
            return None
        for name, parameter in parameters.items():
            parameter.value = held[name]
        again = ir.to_proto(inference_of(model))
    except (OnnxdlError, TypeError, ValueError, LookupError):
        return None
    written = [(list(g.node), [v.name for v in g.input], [v.name for v in g.output]) for g in (again.graph, proto.graph)]
    return model if written[0] == written[1] else None


def _targets(proto: onnx.ModelProto) -> list[Spec]:
    """The targets of the file's training algorithm."""
    algorithm = proto.training_info[0].algorithm
    names = next((p.value.split("\n") for p in algorithm.metadata_props if p.key == "onnxdl.targets"), [])
    inputs = {training_info.plain(v.name): v for v in algorithm.input}
    return [_spec(inputs[name])._replace(name=name) for name in names]


def _spec(value: onnx.ValueInfoProto) -> Spec:
    kind = value.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else training_info.plain(d.dim_param) for d in kind.shape.dim)
    return Spec(value.name, to_numpy(ir.DataType(kind.elem_type)), shape)


def model_of(imported: ir.Model) -> Model:
    """A Model that computes an ONNX graph."""
    layer = Imported(imported)
    inputs = [placeholder(name, dtype, shape) for name, dtype, shape in layer.input_specs]
    model = Model(inputs, layer(*inputs), name=imported.graph.name)
    model.output_names = layer.output_names
    return model
