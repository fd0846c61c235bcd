"""What small integer tensors hold, symbols included, so that ``Reshape(x, Shape(y))`` has the shape of ``y``."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import onnx_ir as ir

Dim = int | str | None
Content = tuple[Dim, ...]

CONTENT_LIMIT = 64


def dims(value: ir.Value) -> tuple[Dim, ...] | None:
    """The dimensions of a value: an int where known, a name where symbolic, None for an unknown rank."""
    if value.shape is None:
        return None
    return tuple(d if isinstance(d, int) else d.value for d in value.shape)


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
    if len(constant.shape) > 1 or constant.size > CONTENT_LIMIT:
        return None
    return tuple(int(v) for v in constant.numpy().reshape(-1))


def follow_contents(node: ir.Node) -> None:
    """Notes what the node's output holds, if that can be told, and the shape that a known content gives it."""
    if node.domain or len(node.outputs) != 1:
        return
    output = node.outputs[0]
    if node.op_type in _CONTENTS:
        known = _CONTENTS[node.op_type](node)
        if known is not None and len(known) <= CONTENT_LIMIT:
            output.meta["content"] = known
    elif node.op_type in _SHAPED_BY and output.shape is not None:
        wanted = _SHAPED_BY[node.op_type](node)
        if wanted is not None and len(wanted) == len(output.shape):
            merged = [o if w is None or isinstance(o, int) else w for o, w in zip(output.shape, wanted, strict=True)]
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
        if tensor.dtype in (ir.DataType.INT64, ir.DataType.INT32) and len(tensor.shape) <= 1 and tensor.size <= CONTENT_LIMIT:
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
        return tuple(apply(x, y) if isinstance(x, int) and isinstance(y, int) else None for x, y in zip(a, b, strict=True))

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
