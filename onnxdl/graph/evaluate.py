"""The dynamic graph: evaluates expressions over leaves that hold arrays.

Sessions are kept by the structure of the expression, not by its values or sizes, so a loop of small expressions creates
one session only. What was asked for is remembered in its value, so later expressions start from there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from onnxdl import runtime
from onnxdl.errors import GraphError
from onnxdl.graph.trace import DEFAULT_OPSET, IR_VERSION
from onnxdl.graph.walk import ancestry, bodies

if TYPE_CHECKING:
    from onnxdl.graph.tensor import Tensor

_SESSIONS_KEPT = 512
_sessions: OrderedDict[Hashable, Any] = OrderedDict()


def evaluate(tensors: Sequence[Tensor]) -> list[np.ndarray]:
    """The values of dynamic tensors, computed together; the arrays are the graph's own and must not be written to."""
    wanted = list(dict.fromkeys(t.value for t in tensors if t.value.const_value is None))
    if wanted:
        nodes, leaves = _needs(wanted)
        session = _session_for(wanted, nodes, leaves)
        results = runtime.run(session, None, {f"${i}": _array(leaf) for i, leaf in enumerate(leaves)})
        for value, array in zip(wanted, results, strict=True):
            value.const_value = ir.tensor(np.asarray(array)) if not isinstance(array, list) else _refuse_sequence(value)
            value.shape = ir.Shape(array.shape)
    return [_array(t.value) for t in tensors]


def _refuse_sequence(value: ir.Value) -> ir.TensorProtocol:
    raise GraphError(f"{value.producer().op_type} gives a sequence, which has no array; take elements with op.SequenceAt")  # type: ignore[union-attr]


def _array(value: ir.Value) -> np.ndarray:
    assert value.const_value is not None
    return value.const_value.numpy()


def _needs(wanted: Sequence[ir.Value]) -> tuple[list[ir.Node], list[ir.Value]]:
    """The nodes still to be run for these values, in order, and the values that they start from."""
    nodes, leaves = ancestry(wanted, lambda value: value.const_value is not None)
    for leaf in leaves:
        if leaf.const_value is None:
            name = leaf.name or "an Input"
            raise GraphError(f"the expression hangs on {name!r}, which holds no data; build a Model from it, or use ox.tensor")
    return nodes, leaves


def _session_for(wanted: Sequence[ir.Value], nodes: Sequence[ir.Node], leaves: Sequence[ir.Value]) -> Any:
    number = {leaf: i for i, leaf in enumerate(leaves)}
    parts: list[Hashable] = [tuple((leaf.dtype, len(leaf.shape or ()), _fixed_length(leaf)) for leaf in leaves)]
    has_body = False
    for node in nodes:
        has_body = has_body or bool(bodies(node))
        parts.append(_signature(node, number))
        for output in node.outputs:
            number.setdefault(output, len(number))
    parts.append(tuple(number[v] for v in wanted))
    key: Hashable = _serialized(wanted, nodes, leaves) if has_body else tuple(parts)
    session = _sessions.get(key)
    if session is None:
        session = _sessions[key] = runtime.create_session(_serialized(wanted, nodes, leaves), threads=0)
        if len(_sessions) > _SESSIONS_KEPT:
            _sessions.popitem(last=False)
    _sessions.move_to_end(key)
    return session


def _fixed_length(leaf: ir.Value) -> int | None:
    """The length of a short vector, which may be a list of sizes or axes: the standard's checks of Resize and others want it known."""
    shape = leaf.shape
    return int(shape[0]) if shape is not None and len(shape) == 1 and isinstance(shape[0], int) and shape[0] <= 8 else None


def _signature(node: ir.Node, number: dict[ir.Value, int]) -> Hashable:
    inputs = tuple(-1 if v is None else number[v] for v in node.inputs)
    attributes = tuple((a.name, _frozen(a)) for a in node.attributes.values() if isinstance(a, ir.Attr))
    return node.domain, node.op_type, node.version, inputs, attributes, len(node.outputs)


def _frozen(attribute: ir.Attr) -> Hashable:
    if attribute.type == ir.AttributeType.TENSOR:
        tensor = attribute.as_tensor()
        return tensor.dtype, tuple(tensor.shape), tensor.tobytes()
    value = attribute.value
    return tuple(value) if isinstance(value, list | tuple) else value if isinstance(value, Hashable) else id(value)


def _serialized(wanted: Sequence[ir.Value], nodes: Sequence[ir.Node], leaves: Sequence[ir.Value]) -> bytes:
    """The expression as a model; leaves are inputs of any size, so that the session serves other sizes too."""
    named = {leaf: f"${i}" for i, leaf in enumerate(leaves)}
    outputs: dict[ir.Value, None] = dict.fromkeys(wanted)
    renamed = [v for n in nodes for v in n.outputs]
    saved = [(v, v.name, v.const_value) for v in (*leaves, *renamed)]
    try:
        for leaf, name in named.items():
            leaf.name = name
        for i, value in enumerate(renamed):
            value.name = f"${len(leaves) + i}"
        proto_graph = _graph_proto(list(outputs), nodes, leaves)
    finally:
        for value, original, const in saved:
            value.name, value.const_value = original, const
    return proto_graph


def _graph_proto(wanted: Sequence[ir.Value], nodes: Sequence[ir.Node], leaves: Sequence[ir.Value]) -> bytes:
    import onnx

    opset = max([DEFAULT_OPSET, *(n.version or 0 for n in nodes if n.domain == "")])
    model = onnx.ModelProto(ir_version=IR_VERSION, opset_import=[onnx.helper.make_opsetid("", opset)])
    for domain in {n.domain for n in nodes if n.domain}:
        model.opset_import.append(onnx.helper.make_opsetid(domain, max(n.version or 1 for n in nodes if n.domain == domain)))
    graph = model.graph
    graph.name = "expression"
    for node in nodes:
        ir.serde.serialize_node_into(graph.node.add(), node)
    for leaf in leaves:
        info = graph.input.add(name=leaf.name)
        info.type.tensor_type.elem_type = leaf.dtype.value  # type: ignore[union-attr]
        for _ in leaf.shape or ():
            dim = info.type.tensor_type.shape.dim.add()
            if (length := _fixed_length(leaf)) is not None:
                dim.dim_value = length
        info.type.tensor_type.shape.SetInParent()
    for value in wanted:
        info = graph.output.add(name=value.name)
        if value.type is not None:
            ir.serde.serialize_type_into(info.type, value.type)
    return bytes(model.SerializeToString())
