"""Operators that the standard itself defines by a graph of simpler ones: their bodies, written into the trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
import onnx.inliner
import onnx_ir as ir
from onnx_ir.passes.common import AddDefaultAttributesPass

from onnxdl.graph.infer import schema_of, type_proto
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import DEFAULT_OPSET, IR_VERSION, Trace
from onnxdl.graph.walk import copy_nodes

_BODIES = "onnxdl.bodies"


def function_body(node: ir.Node, inputs: Sequence[Tensor | None], trace: Trace | None) -> list[Tensor] | None:
    """The outputs of ``node`` computed by its function body on ``inputs``; None where the standard gives no body."""
    opset = max(trace.root.opset if trace is not None else DEFAULT_OPSET, node.version or 0)
    schema = schema_of(node.op_type, opset, node.domain)
    if schema is None or not (schema.has_function or schema.has_context_dependent_function):  # type: ignore[attr-defined]  # onnx's stub lacks them
        return None
    inlined = _inlined(node, opset, schema)
    known: dict[ir.Value, Tensor | None] = {}
    given = [t for t in inputs if t is not None]
    known.update(zip(inlined.graph.inputs, given, strict=True))
    copy_nodes(inlined.graph, known, trace)
    return [t for v in inlined.graph.outputs if (t := known[v]) is not None]


def _inlined(node: ir.Node, opset: int, schema: onnx.defs.OpSchema) -> ir.Model:
    proto = onnx.NodeProto(op_type=node.op_type, domain=node.domain)
    graph = onnx.GraphProto(name=node.op_type)
    types: list[onnx.TypeProto] = []
    for i, value in enumerate(node.inputs):
        proto.input.append("" if value is None else f"x{i}")
        types.append(onnx.TypeProto() if value is None else type_proto(value))
        if value is not None:
            graph.input.add(name=f"x{i}").type.CopyFrom(types[-1])
    for i, value in enumerate(node.outputs):
        proto.output.append(f"y{i}")
        graph.output.add(name=f"y{i}").type.CopyFrom(type_proto(value))
    for attribute in node.attributes.values():
        if isinstance(attribute, ir.Attr):
            ir.serde.serialize_attribute_into(proto.attribute.add(), attribute)
    graph.node.append(proto)
    model = onnx.ModelProto(ir_version=IR_VERSION, graph=graph, opset_import=[onnx.helper.make_opsetid("", opset)])
    if node.domain:
        model.opset_import.append(onnx.helper.make_opsetid(node.domain, schema.since_version))
    with_defaults = ir.from_proto(model)
    AddDefaultAttributesPass()(with_defaults)
    model = ir.to_proto(with_defaults)
    model.functions.append(_function(schema, model.graph.node[0], types, opset))
    model.graph.node[0].domain = _BODIES
    model.opset_import.append(onnx.helper.make_opsetid(_BODIES, 1))
    return ir.from_proto(onnx.inliner.inline_local_functions(model))


def _function(schema: Any, node: onnx.NodeProto, types: Sequence[onnx.TypeProto], opset: int) -> onnx.FunctionProto:
    """The newest body that an opset may use, as a function of a model; onnx's own inlining of it stops at an absent input."""
    fixed, by_call = schema.function_opset_versions, schema.context_dependent_function_opset_versions
    version = max(v for v in (*fixed, *by_call) if v <= opset)
    if version in fixed:
        encoded = schema.get_function_with_opset_version(version)
    else:
        serialized = [t.SerializeToString() for t in types]
        encoded = schema.get_context_dependent_function_with_opset_version(version, node.SerializeToString(), serialized)
    function = onnx.FunctionProto()
    function.ParseFromString(encoded)
    function.name, function.domain = schema.name, _BODIES
    for imported in function.opset_import:
        imported.version = opset  # bodies are renewed whenever an operator in them changes
    return function
