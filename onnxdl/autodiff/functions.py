"""Operators that the standard itself defines by a graph of simpler ones: their bodies, written into the trace."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnx.inliner
import onnx_ir as ir
from onnx_ir.passes.common import AddDefaultAttributesPass

from onnxdl.graph.infer import schema_of, type_proto
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import DEFAULT_OPSET, IR_VERSION, Trace
from onnxdl.graph.walk import copy_nodes


def function_body(node: ir.Node, inputs: Sequence[Tensor | None], trace: Trace | None) -> list[Tensor] | None:
    """The outputs of ``node`` computed by its function body on ``inputs``; None where the standard gives no body."""
    opset = max(trace.root.opset if trace is not None else DEFAULT_OPSET, node.version or 0)
    schema = schema_of(node.op_type, opset, node.domain)
    if schema is None or not (schema.has_function or schema.has_context_dependent_function):  # type: ignore[attr-defined]  # onnx's stub lacks them
        return None
    inlined = _inlined(node, opset)
    known: dict[ir.Value, Tensor | None] = {}
    given = [t for t in inputs if t is not None]
    known.update(zip(inlined.graph.inputs, given, strict=True))
    copy_nodes(inlined.graph, known, trace)
    return [t for v in inlined.graph.outputs if (t := known[v]) is not None]


def _inlined(node: ir.Node, opset: int) -> ir.Model:
    proto = onnx.NodeProto(op_type=node.op_type, domain=node.domain)
    graph = onnx.GraphProto(name=node.op_type)
    for i, value in enumerate(node.inputs):
        proto.input.append("" if value is None else f"x{i}")
        if value is not None:
            graph.input.add(name=f"x{i}").type.CopyFrom(type_proto(value))
    for i, value in enumerate(node.outputs):
        proto.output.append(f"y{i}")
        graph.output.add(name=f"y{i}").type.CopyFrom(type_proto(value))
    for attribute in node.attributes.values():
        if isinstance(attribute, ir.Attr):
            ir.serde.serialize_attribute_into(proto.attribute.add(), attribute)
    graph.node.append(proto)
    model = onnx.ModelProto(ir_version=IR_VERSION, graph=graph, opset_import=[onnx.helper.make_opsetid("", opset)])
    with_defaults = ir.from_proto(model)
    AddDefaultAttributesPass()(with_defaults)
    return ir.from_proto(
        onnx.inliner.inline_selected_functions(ir.to_proto(with_defaults), [(node.domain, node.op_type)], inline_schema_functions=True)
    )
