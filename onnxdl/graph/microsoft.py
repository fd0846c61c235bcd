"""Types and shapes of the com.microsoft operators that exported and optimised files carry; onnx has no schemas of them."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from onnxdl.graph.contents import Dim, dims

DOMAIN = "com.microsoft"

Infer = Callable[[ir.Node], None]


def infer_microsoft(node: ir.Node, infer: Infer) -> None:
    """Sets the outputs of a com.microsoft node where its operator is known; ``infer`` does so for standard nodes."""
    known = _OPERATORS.get(node.op_type)
    if known is not None and all(v is None or v.type is not None for v in node.inputs):
        known(node, infer)


def _give(output: ir.Value, like: ir.Value | None, shape: ir.Shape | None) -> None:
    if like is not None and like.type is not None:
        output.type, output.shape = ir.TensorType(like.type.dtype), shape


def _like_first(node: ir.Node, infer: Infer) -> None:
    first = node.inputs[0]
    _give(node.outputs[0], first, first.shape if first is not None else None)


def _normalised(node: ir.Node, infer: Infer) -> None:
    """Y, mean, inverse deviation, and the sum that was normalised."""
    first = node.inputs[0]
    for i, output in enumerate(node.outputs):
        shape = first.shape if first is not None else None
        if i in (1, 2) and shape is not None:
            shape = ir.Shape([*shape[:-1], 1])
        _give(output, first, shape)


def _embedded(node: ir.Node, infer: Infer) -> None:
    ids, words = node.inputs[0], node.inputs[2]
    if ids is None or words is None:
        return
    shape = None if ids.shape is None or words.shape is None else ir.Shape([*ids.shape, words.shape[-1]])
    for i, output in enumerate(node.outputs):
        _give(output, ids if i == 1 else words, None if i == 1 else shape)


def _attended(node: ir.Node, infer: Infer) -> None:
    """Of query, key and value in any of the forms that they may be packed in, see the rule."""
    query, key, value = (_dims_of(node, i) for i in range(3))
    n = node.attributes.get_int("num_heads", 1)
    if query is None:
        return
    size: Dim = None
    if len(query) == 5:
        size = query[4]
    elif key is not None and len(key) == 5:
        size = key[4]
    elif value is not None:
        size = value[3] if len(value) == 4 else value[2] // n if isinstance(value[2], int) else None
    first = node.inputs[0]
    _give(node.outputs[0], first, ir.Shape([*query[:2], size * n if isinstance(size, int) else None]))
    for output in node.outputs[1:]:
        _give(output, first, ir.Shape([query[0], n, None, None]))


def _dims_of(node: ir.Node, i: int) -> tuple[Dim, ...] | None:
    """The dimensions of an input, None where it is absent or its rank is not known."""
    value = node.inputs[i] if i < len(node.inputs) else None
    return None if value is None else dims(value)


def _as_standard(op_type: str, inputs: list[ir.Value | None], attributes: list[ir.Attr], node: ir.Node, infer: Infer) -> None:
    standard = ir.Node("", op_type, inputs, attributes)
    try:
        infer(standard)
        node.outputs[0].type, node.outputs[0].shape = standard.outputs[0].type, standard.outputs[0].shape
    finally:
        standard.resize_inputs(0)


def _flag(node: ir.Node, name: str) -> bool:
    return name in node.attributes and bool(node.attributes[name].as_int())


def _fused_matmul(node: ir.Node, infer: Infer) -> None:
    sides: list[ir.Value | None] = []
    for side, value in zip("AB", node.inputs, strict=True):
        shape = None if value is None or value.shape is None else list(value.shape)
        if shape is not None and len(shape) > 1 and _flag(node, f"transBatch{side}"):
            shape = [*shape[1:-1], shape[0], shape[-1]]
        if shape is not None and len(shape) > 1 and _flag(node, f"trans{side}"):
            shape[-1], shape[-2] = shape[-2], shape[-1]
        sides.append(None if value is None else ir.Value(type=value.type, shape=None if shape is None else ir.Shape(shape)))
    _as_standard("MatMul", sides, [], node, infer)


def _fused(op_type: str, n_inputs: int) -> Callable[[ir.Node, Infer], None]:
    def known(node: ir.Node, infer: Infer) -> None:
        attributes = [a for a in node.attributes.values() if isinstance(a, ir.Attr) and not a.name.startswith("activation")]
        _as_standard(op_type, list(node.inputs[:n_inputs]), attributes, node, infer)

    return known


def _quantized(op_type: str, places: tuple[int, ...], like: int, *ignored: str) -> Callable[[ir.Node, Infer], None]:
    """Shaped as a standard operator shapes its inputs at these places; of the type of the input at ``like``."""

    def known(node: ir.Node, infer: Infer) -> None:
        attributes = [a for a in node.attributes.values() if isinstance(a, ir.Attr) and a.name not in ("opset", *ignored)]
        if _flag(node, "channels_last"):
            return
        inputs = [_as_float(node.inputs[i]) for i in places]
        _as_standard(op_type, inputs, attributes, node, infer)
        kind = node.inputs[like] if len(node.inputs) > like else None
        shape = node.outputs[0].shape
        node.outputs[0].type = ir.TensorType(kind.dtype if kind is not None and kind.dtype is not None else ir.DataType.FLOAT)
        node.outputs[0].shape = shape

    return known


def _as_float(value: ir.Value | None) -> ir.Value | None:
    return None if value is None else ir.Value(type=ir.TensorType(ir.DataType.FLOAT), shape=value.shape)


def _concatenated(node: ir.Node, infer: Infer) -> None:
    _quantized("Concat", tuple(range(2, len(node.inputs), 3)), 1)(node, infer)


def _recurrent(node: ir.Node, infer: Infer) -> None:
    x, r = _dims_of(node, 0), _dims_of(node, 2)
    if x is None or r is None:
        return
    states = ir.Shape([r[0], x[1], r[1]])
    for output, shape in zip(node.outputs, (ir.Shape([x[0], r[0], x[1], r[1]]), states, states), strict=False):
        _give(output, node.inputs[0], shape)


_OPERATORS: dict[str, Callable[[ir.Node, Infer], None]] = {
    **dict.fromkeys(("Gelu", "BiasGelu", "FastGelu", "QuickGelu", "GroupNorm", "RotaryEmbedding"), _like_first),
    "SkipLayerNormalization": _normalised,
    "SkipSimplifiedLayerNormalization": _normalised,
    "EmbedLayerNormalization": _embedded,
    "MultiHeadAttention": _attended,
    "FusedMatMul": _fused_matmul,
    **dict.fromkeys(("QLinearAdd", "QLinearMul"), _quantized("Add", (0, 3), 0)),
    "QLinearSigmoid": _quantized("Sigmoid", (0,), 0),
    "QLinearLeakyRelu": _quantized("LeakyRelu", (0,), 0),
    "QLinearSoftmax": _quantized("Softmax", (0,), 0),
    "QLinearAveragePool": _quantized("AveragePool", (0,), 0, "channels_last"),
    "QLinearGlobalAveragePool": _quantized("GlobalAveragePool", (0,), 0, "channels_last"),
    "QLinearConcat": _concatenated,
    "QGemm": _quantized("Gemm", (0, 3), 8),
    "MatMulIntegerToFloat": _quantized("MatMul", (0, 1), 2),
    "DynamicQuantizeMatMul": _quantized("MatMul", (0, 1), 0),
    "DynamicQuantizeLSTM": _recurrent,
    "FusedConv": _fused("Conv", 3),
    "FusedGemm": _fused("Gemm", 3),
}
