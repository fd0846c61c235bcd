"""Shape and type of one node, while the user's line is still on the stack.

The standard's own inference function of each operator does the work. Two things are added: dimensions that it leaves
unknown get a fresh symbol, so that two values of the same unknown size are still known to be equal; and the contents of
small integer tensors are followed, symbols included, so that ``Reshape(x, Shape(y))`` has the shape of ``y``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable
from functools import cache

import onnx
import onnx_ir as ir

from onnxdl.errors import ShapeError
from onnxdl.graph.contents import CONTENT_LIMIT, Content, Dim, content, dims, follow_contents
from onnxdl.graph.microsoft import DOMAIN, infer_microsoft
from onnxdl.graph.ranks import demand_ranks, name_unknown_dims, open_shape


def describe(value: ir.Value | None) -> str:
    """``float32[N, 3]``, as error messages print a value."""
    if value is None:
        return "none"
    dtype = value.dtype.name.lower() if value.dtype is not None else "unknown"
    dtype = {"float": "float32", "double": "float64"}.get(dtype, dtype)
    shape = dims(value)
    if shape is None:
        return f"{dtype}[...]"
    return f"{dtype}[{', '.join('?' if d is None else str(d) for d in shape)}]"


def infer(node: ir.Node, opset: int, domain_version: int = 1) -> None:
    """Sets type and shape of every output of ``node``; raises ShapeError where the standard refuses its inputs."""
    demand_ranks(node)
    if node.domain == "" and node.op_type in _CONTROL_FLOW:
        _CONTROL_FLOW[node.op_type](node)
    elif node.domain == DOMAIN:
        infer_microsoft(node, lambda standard: _infer_by_schema(standard, opset, domain_version))
    else:
        _infer_by_schema(node, opset, domain_version)
    if node.op_type == "Resize" and node.domain == "":
        _scale_known_dims(node)
    follow_contents(node)
    for output in node.outputs:
        name_unknown_dims(output)


@cache
def schema_of(op_type: str, opset: int, domain: str = "") -> onnx.defs.OpSchema | None:
    """The schema of an operator as of an opset, None where the standard has none."""
    try:
        return onnx.defs.get_schema(op_type, opset, domain)
    except onnx.defs.SchemaError:
        return None


def _infer_by_schema(node: ir.Node, opset: int, domain_version: int) -> None:
    if node.op_type == "Constant" and "value" in node.attributes:
        tensor = node.attributes["value"].as_tensor()
        node.outputs[0].type, node.outputs[0].shape = ir.TensorType(tensor.dtype), ir.Shape(tensor.shape.numpy())
        return
    version = node.version or (opset if node.domain == "" else domain_version)
    if node.domain == "":
        version = max(version, _INFERRED_AS.get(node.op_type, 0))
    key = _memo_key(node, version)
    found = _memo.get(key) if key is not None else None
    if found is None:
        found = _ask_schema(node, version, max(opset, version) if node.domain == "" else opset)
        if key is not None:
            if len(_memo) >= _MEMO_SIZE:
                _memo.clear()
            _memo[key] = found
    for output, inferred in zip(node.outputs, found, strict=True):
        if inferred is not None:
            kind, shape = inferred
            output.type = copy.copy(kind)  # its own: setting a value's dtype changes the type in place
            output.shape = None if shape is None else ir.Shape(shape)
    for output in node.outputs:
        if output.shape is None and (isinstance(output.type, ir.TensorType) or output.type is None):
            only_rank = open_shape(node)
            if only_rank is not None and node.inputs[0] is not None:
                output.type = output.type or copy.copy(node.inputs[0].type)
                output.shape = only_rank


# Their functions of earlier opsets count windows that ceil_mode would begin beyond the input, which ONNX Runtime leaves out.
_INFERRED_AS = {"AveragePool": 22, "LpPool": 22, "MaxPool": 22}

# Real graphs repeat themselves: a layer's nodes recur in every such layer, and a rule's in its gradient.
_MEMO_SIZE = 4096
_Inferred = tuple[ir.TypeProtocol, tuple[Dim, ...] | None]
_memo: dict[Hashable, list[_Inferred | None]] = {}
_READS_FLOATS = {"Range", "Resize", "Upsample"}


def _memo_key(node: ir.Node, version: int) -> Hashable | None:
    """All that the inferred outputs depend on; None where that is more than is worth keeping."""
    attributes: list[Hashable] = []
    for a in node.attributes.values():
        if not isinstance(a, ir.Attr) or a.is_ref() or a.type not in _PLAIN:
            return None
        attributes.append((a.name, tuple(a.value) if isinstance(a.value, list | tuple) else a.value))
    inputs = tuple(None if v is None else (v.type, dims(v), content(v), _floats(node, v)) for v in node.inputs)
    return node.domain, node.op_type, version, len(node.outputs), tuple(attributes), inputs


_PLAIN = {ir.AttributeType[t] for t in ("INT", "INTS", "FLOAT", "FLOATS", "STRING", "STRINGS")}


def _floats(node: ir.Node, value: ir.Value) -> bytes | None:
    known = _constant(value) if node.op_type in _READS_FLOATS else None
    return known.tobytes() if known is not None and known.size <= CONTENT_LIMIT else None


def _constant(value: ir.Value) -> ir.TensorProtocol | None:
    """The data of an initializer, or of what a Constant node gives."""
    producer = value.producer()
    if value.const_value is None and producer is not None and producer.op_type == "Constant" and "value" in producer.attributes:
        return producer.attributes["value"].as_tensor()
    return value.const_value


def _ask_schema(node: ir.Node, version: int, opset: int) -> list[_Inferred | None]:
    """The standard's own inference of the outputs' types and shapes."""
    schema = schema_of(node.op_type, version, node.domain)
    if schema is None:
        return [None] * len(node.outputs)
    proto = onnx.NodeProto(op_type=node.op_type, domain=node.domain)
    types: dict[str, onnx.TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    for i, value in enumerate(node.inputs):
        name = "" if value is None else f"i{i}"
        proto.input.append(name)
        if value is None:
            continue
        types[name] = type_proto(value)
        known = content(value)
        if known is not None and all(isinstance(d, int) for d in known):
            data[name] = _as_proto(value, known)
        elif _floats(node, value) is not None and (constant := _constant(value)) is not None:
            data[name] = ir.serde.serialize_tensor(constant)
    proto.output.extend(f"o{i}" for i in range(len(node.outputs)))
    for attribute in node.attributes.values():
        if not isinstance(attribute, ir.Attr) or attribute.is_ref():
            return [None] * len(node.outputs)
        ir.serde.serialize_attribute_into(proto.attribute.add(), attribute)
    imports = [onnx.helper.make_opsetid("", opset)]
    if node.domain:
        imports.append(onnx.helper.make_opsetid(node.domain, version))
    try:
        inferred = onnx.shape_inference.infer_node_outputs(schema, proto, types, data, opset_imports=imports)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError) as error:
        raise ShapeError(_reason(error)) from None
    found = [_read(inferred.get(f"o{i}")) for i in range(len(node.outputs))]
    for shape in (each[1] for each in found if each is not None):
        if any(isinstance(d, int) and d < 0 for d in shape or ()):
            raise ShapeError(f"the result would have the shape {list(shape or ())}: the input is too small")
    return found


def _read(found: onnx.TypeProto | None) -> _Inferred | None:
    if found is None or found.WhichOneof("value") is None:
        return None
    type_ = ir.serde.deserialize_type_proto_for_type(found)
    shape = ir.serde.deserialize_type_proto_for_shape(found)
    assert type_ is not None  # the proto holds a type
    return type_, None if shape is None else tuple(d if isinstance(d, int) else d.value for d in shape)


def type_proto(value: ir.Value) -> onnx.TypeProto:
    """The ONNX type of a value, shape included."""
    proto = onnx.TypeProto()
    if value.type is None:
        return proto
    ir.serde.serialize_type_into(proto, value.type)
    if value.shape is not None and isinstance(value.type, ir.TensorType):
        ir.serde.serialize_shape_into(proto, value.shape)
        for dim in proto.tensor_type.shape.dim:
            if dim.dim_value < 0:  # some files say so of a size that is open; the standard's inference ends the process on a few
                dim.Clear()
    return proto


def _reason(error: Exception) -> str:
    """The standard's own words without their C++ location."""
    text = str(error).strip().splitlines()[-1]
    for marker in ("[ShapeInferenceError]", "[TypeInferenceError]"):
        text = text.split(marker)[-1]
    return text.strip(" :")


def _as_proto(value: ir.Value, known: Content) -> onnx.TensorProto:
    dtype = value.dtype or ir.DataType.INT64
    numbers = [d for d in known if isinstance(d, int)]
    return onnx.helper.make_tensor("", dtype.value, [len(numbers)] if dims(value) else [], numbers)


def _scale_known_dims(node: ir.Node) -> None:
    """The standard's function gives up every axis of Resize where the size of one is unknown; the others are known still."""
    x, scales, sizes = (node.inputs[i] if i < len(node.inputs) else None for i in (0, 2, 3))
    output = node.outputs[0]
    if x is None or x.shape is None or output.shape is None or "axes" in node.attributes or not output.shape.has_unknown_dim():
        return
    known = _constant(scales) if scales is not None else None
    factors = known.numpy().tolist() if known is not None else []
    wanted = content(sizes)
    if len(factors) == len(x.shape):
        output.shape = ir.Shape(
            [d if f == 1 else int(d * f) if isinstance(d, int) else None for d, f in zip(x.shape, factors, strict=True)]
        )
    elif wanted is not None and "keep_aspect_ratio_policy" not in node.attributes:
        output.shape = ir.Shape(wanted)


# ---- control flow: the types of the bodies' outputs ----------------------------------------------------------------


def _body(node: ir.Node, name: str) -> ir.Graph:
    return node.attributes[name].as_graph()


def _copy_type(source: ir.Value, target: ir.Value, shape: ir.Shape | None) -> None:
    target.type, target.shape = source.type, shape


def _common(a: ir.Shape | None, b: ir.Shape | None) -> ir.Shape | None:
    if a is None or b is None or len(a) != len(b):
        return None
    return ir.Shape([x if x == y else None for x, y in zip(a, b, strict=True)])


def _infer_if(node: ir.Node) -> None:
    then, other = _body(node, "then_branch"), _body(node, "else_branch")
    if len(then.outputs) != len(other.outputs):
        raise ShapeError(f"then_branch gives {len(then.outputs)} outputs and else_branch {len(other.outputs)}; they must agree")
    for output, a, b in zip(node.outputs, then.outputs, other.outputs, strict=True):
        if a.type != b.type:
            raise ShapeError(f"then_branch gives {describe(a)} where else_branch gives {describe(b)}; their types must agree")
        _copy_type(a, output, _common(a.shape, b.shape))


def _infer_loop(node: ir.Node) -> None:
    body = _body(node, "body")
    carried = len(node.inputs) - 2
    for i, output in enumerate(node.outputs):
        inner = body.outputs[i + 1]
        if i < carried:
            initial = node.inputs[i + 2]
            _copy_type(inner, output, _common(inner.shape, initial.shape if initial is not None else None))
        else:
            _copy_type(inner, output, None if inner.shape is None else ir.Shape([None, *inner.shape]))


def _infer_scan(node: ir.Node) -> None:
    body = _body(node, "body")
    carried = len(node.inputs) - node.attributes.get_int("num_scan_inputs", 1)
    first = node.inputs[carried]
    directions = node.attributes.get_ints("scan_input_axes", ())
    axis = directions[0] if directions else 0
    length = first.shape[axis] if first is not None and first.shape is not None else None
    axes = node.attributes.get_ints("scan_output_axes", ())
    for i, output in enumerate(node.outputs):
        inner = body.outputs[i]
        if i < carried:
            initial = node.inputs[i]
            _copy_type(inner, output, _common(inner.shape, initial.shape if initial is not None else None))
        elif inner.shape is None:
            _copy_type(inner, output, None)
        else:
            at = axes[i - carried] if axes else 0
            shape = list(inner.shape)
            shape.insert(at if at >= 0 else len(shape) + 1 + at, length)  # type: ignore[arg-type]
            _copy_type(inner, output, ir.Shape(shape))


def _infer_sequence_map(node: ir.Node) -> None:
    for output, inner in zip(node.outputs, _body(node, "body").outputs, strict=True):
        if inner.type is not None:
            output.type = ir.SequenceType(inner.type)


_CONTROL_FLOW: dict[str, Callable[[ir.Node], None]] = {
    "If": _infer_if,
    "Loop": _infer_loop,
    "Scan": _infer_scan,
    "SequenceMap": _infer_sequence_map,
}


__all__ = ["Content", "Dim", "content", "describe", "dims", "infer", "schema_of", "type_proto"]
