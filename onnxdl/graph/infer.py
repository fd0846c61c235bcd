"""Shape and type of one node, while the user's line is still on the stack.

The standard's own inference function of each operator does the work. Two things are added: dimensions that it leaves
unknown get a fresh symbol, so that two values of the same unknown size are still known to be equal; and the contents of
small integer tensors are followed, symbols included, so that ``Reshape(x, Shape(y))`` has the shape of ``y``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import cache

import onnx
import onnx_ir as ir

from onnxdl.errors import ShapeError

Dim = int | str | None
Content = tuple[Dim, ...]

_CONTENT_LIMIT = 64
_fresh = itertools.count()


def dims(value: ir.Value) -> tuple[Dim, ...] | None:
    """The dimensions of a value: an int where known, a name where symbolic, None for an unknown rank."""
    if value.shape is None:
        return None
    return tuple(d if isinstance(d, int) else d.value for d in value.shape)


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
    if node.domain == "" and node.op_type in _CONTROL_FLOW:
        _CONTROL_FLOW[node.op_type](node)
    else:
        _infer_by_schema(node, opset, domain_version)
    _follow_contents(node)
    for output in node.outputs:
        _name_unknown_dims(output)


@cache
def schema_of(op_type: str, opset: int, domain: str = "") -> onnx.defs.OpSchema | None:
    """The schema of an operator as of an opset, None where the standard has none."""
    try:
        return onnx.defs.get_schema(op_type, opset, domain)
    except onnx.defs.SchemaError:
        return None


def _infer_by_schema(node: ir.Node, opset: int, domain_version: int) -> None:
    version = opset if node.domain == "" else domain_version
    schema = schema_of(node.op_type, node.version or version, node.domain)
    if schema is None:
        return
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
        elif value.const_value is not None and value.const_value.size <= _CONTENT_LIMIT:
            data[name] = ir.serde.serialize_tensor(value.const_value)
    proto.output.extend(f"o{i}" for i in range(len(node.outputs)))
    for attribute in node.attributes.values():
        if not isinstance(attribute, ir.Attr) or attribute.is_ref():
            return
        ir.serde.serialize_attribute_into(proto.attribute.add(), attribute)
    imports = [onnx.helper.make_opsetid("", max(opset, node.version or 0))]
    if node.domain:
        imports.append(onnx.helper.make_opsetid(node.domain, domain_version))
    try:
        inferred = onnx.shape_inference.infer_node_outputs(schema, proto, types, data, opset_imports=imports)
    except (onnx.shape_inference.InferenceError, RuntimeError) as error:
        raise ShapeError(_reason(error)) from None
    for i, output in enumerate(node.outputs):
        found = inferred.get(f"o{i}")
        if found is not None and found.WhichOneof("value") is not None:
            typed = ir.serde.deserialize_type_proto_for_type(found)
            output.type = typed
            output.shape = ir.serde.deserialize_type_proto_for_shape(found)
    first = node.inputs[0] if node.inputs else None
    if (
        node.domain == ""
        and node.op_type in _UNINFERRED
        and node.outputs[0].shape is None
        and first is not None
        and first.shape is not None
    ):
        node.outputs[0].type = first.type
        node.outputs[0].shape = first.shape if _UNINFERRED[node.op_type] else ir.Shape([None] * len(first.shape))


# what the standard's functions leave without a rank: is its shape that of the first input, or the rank only?
_UNINFERRED = {"GroupNormalization": True, "MaxUnpool": False}


def type_proto(value: ir.Value) -> onnx.TypeProto:
    """The ONNX type of a value, shape included."""
    proto = onnx.TypeProto()
    if value.type is None:
        return proto
    ir.serde.serialize_type_into(proto, value.type)
    if value.shape is not None and isinstance(value.type, ir.TensorType):
        ir.serde.serialize_shape_into(proto, value.shape)
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


# ---- the contents of small integer tensors ------------------------------------------------------------------------


def content(value: ir.Value | None) -> Content | None:
    """What a small integer tensor of rank 0 or 1 holds, symbols included; None where it is not known."""
    if value is None:
        return None
    known = value.meta.get("content")
    if known is not None:
        return known  # type: ignore[no-any-return]
    constant = value.const_value
    if constant is None or constant.dtype not in (ir.DataType.INT64, ir.DataType.INT32):
        return None
    if len(constant.shape) > 1 or constant.size > _CONTENT_LIMIT:
        return None
    return tuple(int(v) for v in constant.numpy().reshape(-1))


def _follow_contents(node: ir.Node) -> None:
    if node.domain or len(node.outputs) != 1:
        return
    output = node.outputs[0]
    if node.op_type in _CONTENTS:
        known = _CONTENTS[node.op_type](node)
        if known is not None and len(known) <= _CONTENT_LIMIT:
            output.meta["content"] = known
    elif node.op_type in _SHAPED_BY and output.shape is not None:
        wanted = _SHAPED_BY[node.op_type](node)
        if wanted is not None and len(wanted) == len(output.shape):
            merged = [w if isinstance(o, ir.SymbolicDim) else o for o, w in zip(output.shape, wanted, strict=True)]
            output.shape = ir.Shape(merged)


def _shape_content(node: ir.Node) -> Content | None:
    shape = dims(node.inputs[0]) if node.inputs[0] is not None else None
    if shape is None:
        return None
    start = node.attributes.get_int("start", 0)
    end = node.attributes.get_int("end", len(shape))
    return shape[start:end]


def _constant_content(node: ir.Node) -> Content | None:
    if "value" in node.attributes:
        tensor = node.attributes["value"].as_tensor()
        if tensor.dtype in (ir.DataType.INT64, ir.DataType.INT32) and len(tensor.shape) <= 1 and tensor.size <= _CONTENT_LIMIT:
            return tuple(int(v) for v in tensor.numpy().reshape(-1))
    if "value_ints" in node.attributes:
        return tuple(node.attributes["value_ints"].as_ints())
    if "value_int" in node.attributes:
        return (node.attributes["value_int"].as_int(),)
    return None


def _same_content(node: ir.Node) -> Content | None:
    output = node.outputs[0]
    if output.dtype not in (ir.DataType.INT64, ir.DataType.INT32) or (output.shape is not None and len(output.shape) > 1):
        return None
    return content(node.inputs[0])


def _gather_content(node: ir.Node) -> Content | None:
    data, indices = (content(v) for v in node.inputs)
    if data is None or indices is None or len(node.outputs[0].shape or ()) > 1:
        return None
    if not all(isinstance(i, int) and -len(data) <= i < len(data) for i in indices):
        return None
    return tuple(data[i] for i in indices if isinstance(i, int))


def _concat_content(node: ir.Node) -> Content | None:
    parts = [content(v) for v in node.inputs]
    if any(p is None for p in parts):
        return None
    return tuple(itertools.chain.from_iterable(p for p in parts if p is not None))


def _slice_content(node: ir.Node) -> Content | None:
    data, *rest = (content(v) for v in node.inputs)
    bounds = [r[0] for r in rest if r is not None and len(r) == 1 and isinstance(r[0], int)]
    if data is None or len(bounds) < len(rest):
        return None
    start, end = bounds[:2]
    step = bounds[3] if len(bounds) == 4 else 1
    return data[start : end if end != -(2**63) else None : step]


def _arithmetic_content(apply: Callable[[int, int], int]) -> Callable[[ir.Node], Content | None]:
    def known(node: ir.Node) -> Content | None:
        a, b = (content(v) for v in node.inputs)
        if a is None or b is None or (len(a) != len(b) and 1 not in (len(a), len(b))):
            return None
        n = max(len(a), len(b))
        a, b = a * (n // len(a)) if a else a, b * (n // len(b)) if b else b
        result: list[int] = []
        for x, y in zip(a, b, strict=True):
            if not isinstance(x, int) or not isinstance(y, int):
                return None
            result.append(apply(x, y))
        return tuple(result)

    return known


def _truncated(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


_CONTENTS: dict[str, Callable[[ir.Node], Content | None]] = {
    "Shape": _shape_content,
    "Constant": _constant_content,
    "Identity": _same_content,
    "Cast": _same_content,
    "Squeeze": _same_content,
    "Unsqueeze": _same_content,
    "Gather": _gather_content,
    "Concat": _concat_content,
    "Slice": _slice_content,
    "Add": _arithmetic_content(lambda a, b: a + b),
    "Sub": _arithmetic_content(lambda a, b: a - b),
    "Mul": _arithmetic_content(lambda a, b: a * b),
    "Div": _arithmetic_content(_truncated),
}


def _reshaped(node: ir.Node) -> Sequence[Dim] | None:
    source, target = dims(node.inputs[0]), content(node.inputs[1])  # type: ignore[arg-type]
    if target is None:
        return None
    wanted: list[Dim] = list(target)
    if source is not None and not node.attributes.get_int("allowzero", 0):
        wanted = [source[i] if d == 0 and i < len(source) else d for i, d in enumerate(wanted)]
    if -1 in wanted:
        at = wanted.index(-1)
        wanted[at] = _left_over(source, [d for i, d in enumerate(wanted) if i != at])
    return wanted


def _left_over(source: Sequence[Dim] | None, others: list[Dim]) -> Dim:
    """The one dimension that a -1 stands for, by cancelling what both sides share."""
    rest: list[Dim] = list(source) if source is not None else [None]
    known = 1
    for d in others:
        if isinstance(d, str) and d in rest:
            rest.remove(d)
        elif isinstance(d, int):
            known *= d
        else:
            return None
    numbers = [d for d in rest if isinstance(d, int)]
    symbols = [d for d in rest if not isinstance(d, int)]
    size = 1
    for n in numbers:
        size *= n
    if not symbols:
        return size // known if known and size % known == 0 else None
    if len(symbols) == 1 and size == known:
        return symbols[0]
    return None


def _expanded(node: ir.Node) -> Sequence[Dim] | None:
    source, target = dims(node.inputs[0]), content(node.inputs[1])  # type: ignore[arg-type]
    if source is None or target is None:
        return None
    rank = max(len(source), len(target))
    a, b = (1,) * (rank - len(source)) + source, (1,) * (rank - len(target)) + target
    return [y if x == 1 else x if y == 1 or x == y or isinstance(x, int) else None for x, y in zip(a, b, strict=True)]


_SHAPED_BY: dict[str, Callable[[ir.Node], Sequence[Dim] | None]] = {
    "Reshape": _reshaped,
    "Expand": _expanded,
    "ConstantOfShape": lambda node: content(node.inputs[0]),
}


def _name_unknown_dims(value: ir.Value) -> None:
    if value.shape is None or not value.shape.has_unknown_dim():
        return
    value.shape = ir.Shape([f"_d{next(_fresh)}" if isinstance(d, ir.SymbolicDim) and d.value is None else d for d in value.shape])


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


_CONTROL_FLOW: dict[str, Callable[[ir.Node], None]] = {"If": _infer_if, "Loop": _infer_loop, "Scan": _infer_scan}
