"""Any producer's ModelProto into the one form that everything here works on: checked, flat, of a known opset, with shapes.

What changes in memory, and never in the file: weights that old files list among the inputs are inputs no more, model-local
functions are inlined, opsets below 21 are upgraded by onnx's converter and ``graph.upgrades``. Weights stand aside meanwhile, since those
tools pass the whole model through one message of at most 2 GB.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import onnx
import onnx.checker
import onnx.inliner
import onnx.shape_inference
import onnx.version_converter
import onnx_ir as ir
from google.protobuf.message import EncodeError

from onnxdl.errors import FormatError
from onnxdl.graph.files import byte_size, check_tensor, copied_without, read_proto, tensors_of
from onnxdl.graph.trace import DEFAULT_OPSET, IR_VERSION
from onnxdl.graph.upgrades import (
    asymmetric_resizes,
    match_pad_values,
    restore_asymmetric,
    rewrite_batch_scans,
    rewrite_group_norms,
    show_scans,
)

T = TypeVar("T")

_ASIDE = 1024  # bytes; smaller tensors are shapes and axes, which shape inference wants to see
_REFUSALS = (
    RuntimeError,
    ValueError,
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
    onnx.version_converter.ConvertError,
)


def read_model(path: str | os.PathLike[str]) -> ir.Model:
    """The model in an .onnx file, ready to be traced; ``meta["opset"]`` remembers the file's own opset.

    Raises:
        FormatError: the file cannot be read or used; the message says why and what to do.
    """
    return import_model(read_proto(path), os.fspath(path))


def import_model(proto: onnx.ModelProto, source: str = "the model") -> ir.Model:
    """A ModelProto as an ir.Model of opset 21 or later, without functions, with the types and shapes of its values.

    Args:
        proto: the model, all data inside; it stays as it is.
        source: what error messages call it.
    """
    try:
        return _imported(proto, source)
    except UnicodeDecodeError:
        raise FormatError(f"{source} holds text that is no UTF-8; it is damaged") from None


def _imported(proto: onnx.ModelProto, source: str) -> ir.Model:
    for tensor in tensors_of(proto):
        check_tensor(tensor, source)
    model, weights = weights_aside(proto)
    _drop_held_inputs(model.graph)
    original = _mend(model, source)
    if 18 <= original < DEFAULT_OPSET:
        rewrite_group_norms(model)
    _refuse_unusable(model, original, source)
    if model.functions:
        with_functions = model
        model = _guarded(lambda: onnx.inliner.inline_local_functions(with_functions, True), source, "its functions cannot be inlined")
    hidden = original < 9 and rewrite_batch_scans(model)
    model = _with_shapes(model, source)
    if original < DEFAULT_OPSET:
        asymmetric = asymmetric_resizes(model, original)
        model = _upgraded(model, source)
        restore_asymmetric(model, asymmetric)
        match_pad_values(model)
        if hidden:
            show_scans(model)
        model = _with_shapes(model, source)
    final = model
    imported = _guarded(lambda: ir.from_proto(final), source, "it cannot be read")
    _put_back(imported.graph, weights)
    imported.meta["opset"] = original
    return imported


def weights_aside(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, onnx.TensorProto]]:
    """A copy small enough for onnx's tools, in which the large initializers are inputs, and those initializers."""
    aside = {t.name: t for t in proto.graph.initializer if byte_size(t) > _ASIDE}
    model = copied_without(proto, "graph", "training_info")
    model.graph.CopyFrom(copied_without(proto.graph, "initializer"))
    model.graph.initializer.extend(t for t in proto.graph.initializer if t.name not in aside)
    inputs = {v.name for v in proto.graph.input}
    model.graph.input.extend(onnx.helper.make_tensor_value_info(n, t.data_type, list(t.dims)) for n, t in aside.items() if n not in inputs)
    return model, aside


def _put_back(graph: ir.Graph, weights: dict[str, onnx.TensorProto]) -> None:
    """Makes the inputs that stand for weights initializers again; the data is shared, not copied."""
    for value in [v for v in graph.inputs if v.name in weights]:
        graph.inputs.remove(value)
        value.const_value = ir.serde.deserialize_tensor(weights[value.name or ""])
        graph.register_initializer(value)


def _drop_held_inputs(graph: onnx.GraphProto) -> None:
    """Takes inputs that have an initializer off the inputs, as files of IR version 3 had to list them."""
    held = {t.name for t in graph.initializer}
    free = [v for v in graph.input if v.name not in held]
    del graph.input[:]
    graph.input.extend(free)


def _mend(model: onnx.ModelProto, source: str) -> int:
    """Brings spellings that mean the same to one; returns the ai.onnx opset."""
    model.ir_version = max(model.ir_version, IR_VERSION)
    model.graph.name = model.graph.name or "main"
    for entry in model.opset_import:
        entry.domain = "" if entry.domain == "ai.onnx" else entry.domain
    for node in model.graph.node:
        node.domain = "" if node.domain == "ai.onnx" else node.domain
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and dim.dim_value < 0:
                dim.Clear()
    versions = [entry.version for entry in model.opset_import if entry.domain == ""]
    if not versions:
        if not any(node.domain for node in model.graph.node):
            raise FormatError(f"{source} does not say which opset it uses; export it again")
        model.opset_import.append(onnx.helper.make_opsetid("", DEFAULT_OPSET))
    return max(versions, default=DEFAULT_OPSET)


def _refuse_unusable(model: onnx.ModelProto, opset: int, source: str) -> None:
    newest = onnx.defs.onnx_opset_version()
    if opset > newest:
        raise FormatError(f"{source} uses opset {opset}, but the installed onnx knows opsets up to {newest}; upgrade onnx")
    if model.graph.sparse_initializer:
        raise FormatError(f"{source} holds sparse initializers, which ONNX Runtime cannot train; export it with dense weights")
    if opset < 9 and (scan := _scan_with_lengths(model.graph)) is not None:
        raise FormatError(
            f"{source} holds Scan of opset 8 with sequence_lens (node {scan.name!r}), which none has now; export it with opset 9 or later"
        )
    kinds = [v.type.tensor_type for v in model.graph.output if v.type.HasField("tensor_type")]
    unshaped = [kind for kind in kinds if not kind.HasField("shape")]
    for kind in unshaped:
        kind.shape.SetInParent()  # the checker wants a shape, which ONNX Runtime does not
    _guarded(lambda: onnx.checker.check_model(model), source, "it breaks the ONNX standard")
    for kind in unshaped:
        kind.ClearField("shape")


def _scan_with_lengths(graph: onnx.GraphProto) -> onnx.NodeProto | None:
    node: onnx.NodeProto
    for node in graph.node:
        if node.op_type == "Scan" and node.domain == "" and node.input[0]:
            return node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                if (found := _scan_with_lengths(body)) is not None:
                    return found
    return None


def _with_shapes(model: onnx.ModelProto, source: str) -> onnx.ModelProto:
    return _guarded(lambda: onnx.shape_inference.infer_shapes(model, data_prop=True), source, "its shapes do not fit together")


def _upgraded(model: onnx.ModelProto, source: str) -> onnx.ModelProto:
    try:
        return onnx.version_converter.convert_version(model, DEFAULT_OPSET)
    except _REFUSALS as error:
        node = _not_upgradable(model)
        named = f"{node.op_type} (node {node.name!r})" if node is not None else "an operator"
        raise FormatError(
            f"{source}: onnx cannot upgrade {named} to opset {DEFAULT_OPSET}: {one_line(error)}; export the model with a later opset"
        ) from None


def _not_upgradable(model: onnx.ModelProto) -> onnx.NodeProto | None:
    """The first node that the converter refuses when it stands alone."""
    graph = model.graph
    types = {v.name: v for v in (*graph.input, *graph.value_info, *graph.output)}
    node: onnx.NodeProto
    for node in graph.node:
        alone = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
        alone.graph.name = "one node"
        alone.graph.node.append(node)
        alone.graph.input.extend(types[name] for name in dict.fromkeys(node.input) if name in types)
        alone.graph.initializer.extend(t for t in graph.initializer if t.name in node.input)
        alone.graph.output.extend(types.get(name) or onnx.ValueInfoProto(name=name) for name in node.output if name)
        try:
            onnx.version_converter.convert_version(alone, DEFAULT_OPSET)
        except _REFUSALS:
            return node
    return None


def _guarded(action: Callable[[], T], source: str, complaint: str) -> T:
    try:
        return action()
    except (*_REFUSALS, EncodeError, ir.serde.SerdeError) as error:
        raise FormatError(f"{source}: {complaint}: {one_line(error)}") from None


def one_line(error: Exception) -> str:
    """A message of onnx's C++ code without its location and line breaks."""
    text = " ".join(str(error).split()).split("` failed: ")[-1]
    return text if len(text) <= 300 else f"{text[:300]} ..."
