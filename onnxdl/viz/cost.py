"""What one node costs by its shapes: floating-point operations and bytes.

A multiplication and the addition that follows it count as 2, so a figure quoted in multiply-adds (MACs), as in the tables
of He et al. (CVPR 2016), is half of ours. Any elementwise function, be it a comparison or a tanh, counts 1 an element.
A symbolic dimension, such as the batch, counts 1: figures are for one sample.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from onnxdl.graph.infer import dims
from onnxdl.graph.walk import bodies


@dataclass(frozen=True)
class Cost:
    """The cost of one node.

    Attributes:
        flops: floating-point operations; None for an unknown operator or rank.
        read: bytes of the inputs; None where a shape or element type is unknown.
        written: bytes of the outputs that are used, None likewise; 0 for an operator that only looks at its input in another shape.
    """

    flops: int | None
    read: int | None
    written: int | None


class _Unknown(Exception):
    """A shape or type that the cost depends on is not known."""


def node_cost(node: ir.Node) -> Cost:
    """The cost of a node, its branch and loop bodies included; shapes must have been inferred."""
    used = [v for v in node.outputs if v.uses() or v.is_graph_output()] if not _is_view(node) else []
    given = [v for v in node.inputs if v is not None]
    return Cost(
        flops=_attempt(lambda: _flops(node)),
        read=_attempt(lambda: sum(map(_bytes, given))),
        written=_attempt(lambda: sum(map(_bytes, used))),
    )


def _is_view(node: ir.Node) -> bool:
    in_inference = node.op_type == "Dropout" and not _given(node, 2)
    return node.domain == "" and (in_inference or node.op_type in _VIEWS)


def _attempt(count: Callable[[], int]) -> int | None:
    try:
        return count()
    except _Unknown:
        return None


def _flops(node: ir.Node) -> int:
    count = _COUNTS.get(node.op_type) if node.domain == "" else None
    if count is None:
        raise _Unknown
    return count(node)


def _shape(value: ir.Value | None) -> tuple[int, ...]:
    known = dims(value) if value is not None else None
    if known is None:
        raise _Unknown
    return tuple(d if isinstance(d, int) else 1 for d in known)


def _elements(value: ir.Value | None) -> int:
    return math.prod(_shape(value))


def _bytes(value: ir.Value) -> int:
    if value.dtype is None or value.dtype == ir.DataType.STRING:
        raise _Unknown
    return math.ceil(_elements(value) * value.dtype.bitwidth / 8)


def _given(node: ir.Node, i: int) -> bool:
    return len(node.inputs) > i and node.inputs[i] is not None


# ---- products ------------------------------------------------------------------------------------------------------


def _conv(node: ir.Node) -> int:
    """Each output element sums over one group's input channels and the kernel."""
    y = _elements(node.outputs[0])
    return 2 * y * math.prod(_shape(node.inputs[1])[1:]) + (y if _given(node, 2) else 0)


def _conv_transpose(node: ir.Node) -> int:
    """Each input element is spread over one group's output channels and the kernel."""
    spread = math.prod(_shape(node.inputs[1])[1:])
    return 2 * _elements(node.inputs[0]) * spread + (_elements(node.outputs[0]) if _given(node, 2) else 0)


def _gemm(node: ir.Node) -> int:
    y = _elements(node.outputs[0])
    inner = _shape(node.inputs[0])[0 if node.attributes.get_int("transA", 0) else 1]
    return 2 * y * inner + (y if _given(node, 2) else 0)


def _matmul(node: ir.Node) -> int:
    return 2 * _elements(node.outputs[0]) * _shape(node.inputs[0])[-1]


def _einsum(node: ir.Node) -> int:
    """One product and one sum at each point of the joint index space: n operands take n - 1 multiplications and 1 addition."""
    equation = node.attributes.get_string("equation", "").replace(" ", "")
    terms, arrow, result = equation.partition("->")
    sizes: dict[str, int] = {}
    for term, value in zip(terms.split(","), node.inputs, strict=True):
        shape = _shape(value)
        for label, size in zip(_labels(term, len(shape)), shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    kept = len(_labels(result, len(_shape(node.outputs[0])))) if arrow else len(_shape(node.outputs[0]))
    return math.prod(sizes.values()) * (len(node.inputs) - 1 + (kept < len(sizes)))


def _labels(term: str, rank: int) -> str:
    """The term with its ellipsis, which stands for the leading broadcast dimensions counted from the right, spelled out."""
    hidden = rank - len(term.replace("...", ""))
    return term.replace("...", string.digits[:hidden][::-1])


def _attention(node: ir.Node) -> int:
    """Two products with each pair of a query and a key, and the softmax between them (5 an element)."""
    q, k, v = (_shape(x) for x in node.inputs[:3])
    heads = q[1] if len(q) == 4 else node.attributes.get_int("q_num_heads", 1)
    kv_heads = k[1] if len(k) == 4 else node.attributes.get_int("kv_num_heads", 1)
    width = [x[-1] if len(x) == 4 else x[-1] // n for x, n in ((q, heads), (v, kv_heads))]
    keys = k[-2] + (_shape(node.inputs[4])[-2] if _given(node, 4) else 0)
    return q[0] * heads * q[-2] * keys * (2 * sum(width) + 5)


# ---- recurrent layers ----------------------------------------------------------------------------------------------

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_STATE_UPDATE = {"LSTM": 9, "GRU": 8, "RNN": 1}  # an element of the state: activations, and what joins the gates


def _recurrent(node: ir.Node) -> int:
    """At each step and direction: both products, their sum, both biases, then activations and the state's update."""
    x, w = _shape(node.inputs[0]), _shape(node.inputs[1])
    hidden = _shape(node.inputs[2])[-1]
    directions, features = w[0], w[-1]
    gates = _GATES[node.op_type] * hidden
    step = gates * (2 * (features + hidden) + 1 + (2 if _given(node, 3) else 0)) + _STATE_UPDATE[node.op_type] * hidden
    return x[0] * x[1] * directions * step


# ---- pools, norms, reductions, elementwise ---------------------------------------------------------------------------


def _pool(node: ir.Node) -> int:
    return _elements(node.outputs[0]) * math.prod(node.attributes.get_ints("kernel_shape", ()))


def _batch_norm(node: ir.Node) -> int:
    """Scale and shift, folded a channel; in training also the batch's mean (1), centring (1), variance (2) and scaling (1)."""
    training = node.attributes.get_int("training_mode", 0) or len(node.outputs) > 1
    return (7 if training else 2) * _elements(node.inputs[0])


def _dropout(node: ir.Node) -> int:
    """Mask and scale in training; nothing in inference."""
    return 2 * _elements(node.inputs[0]) if _given(node, 2) else 0


def _lrn(node: ir.Node) -> int:
    """Square, a sum over the window, scale, bias, power, division."""
    return (node.attributes.get_int("size", 1) + 4) * _elements(node.inputs[0])


def _per_input(n: int) -> Callable[[ir.Node], int]:
    return lambda node: n * _elements(node.inputs[0])


def _per_output(node: ir.Node) -> int:
    return _elements(node.outputs[0])


def _variadic(node: ir.Node) -> int:
    return _elements(node.outputs[0]) * max(len(node.inputs) - 1, 1)


def _nothing(node: ir.Node) -> int:
    return 0


# ---- control flow --------------------------------------------------------------------------------------------------


def _body(graph: ir.Graph) -> int:
    return sum(_flops(node) for node in graph)


def _if(node: ir.Node) -> int:
    return max(map(_body, bodies(node)))


def _loop(node: ir.Node) -> int:
    """The body times the trip count where that is fixed, else once."""
    fixed = ir.convenience.get_const_tensor(node.inputs[0]) if node.inputs[0] is not None else None
    return (int(fixed.numpy().item()) if fixed is not None else 1) * sum(map(_body, bodies(node)))


def _scan(node: ir.Node) -> int:
    scanned = node.attributes.get_int("num_scan_inputs", 1)
    axes = node.attributes.get_ints("scan_input_axes", ()) or (0,)
    return _shape(node.inputs[len(node.inputs) - scanned])[axes[0]] * sum(map(_body, bodies(node)))


# ---- the operators -------------------------------------------------------------------------------------------------


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_VIEWS = _names("Reshape Flatten Squeeze Unsqueeze Identity")
_MOVES = _VIEWS | _names(
    """Cast CastLike Compress Concat Constant ConstantOfShape DepthToSpace EyeLike Expand Gather GatherElements GatherND
    NonZero OneHot Pad Range ReverseSequence ScatterElements ScatterND SequenceAt SequenceConstruct SequenceEmpty
    SequenceInsert ConcatFromSequence SplitToSequence SequenceLength Shape Size Slice SpaceToDepth Split Tile
    Transpose Trilu"""
)
_ELEMENTWISE = _names(
    """Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Ceil Celu Clip Cos
    Cosh Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish IsInf IsNaN LeakyRelu Less
    LessOrEqual Log Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus
    Softsign Sqrt Sub Swish Tan Tanh ThresholdedRelu Where Xor"""
)
_REDUCTIONS = _names("ArgMax ArgMin CumSum ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum")
_TWO_STEP_REDUCTIONS = _names("ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare")

_COUNTS: dict[str, Callable[[ir.Node], int]] = {
    **dict.fromkeys(_MOVES, _nothing),
    **dict.fromkeys(_ELEMENTWISE, _per_output),
    **dict.fromkeys(_REDUCTIONS, _per_input(1)),
    **dict.fromkeys(_TWO_STEP_REDUCTIONS, _per_input(2)),
    **dict.fromkeys(("Sum", "Max", "Min", "Mean"), _variadic),
    **dict.fromkeys(("AveragePool", "MaxPool", "LpPool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), _per_input(1)),
    **dict.fromkeys(_GATES, _recurrent),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Einsum": _einsum,
    "Attention": _attention,
    "BatchNormalization": _batch_norm,
    # mean 1, centring 1, variance 2, scaling by its root 1, weight and bias 2
    **dict.fromkeys(("LayerNormalization", "InstanceNormalization", "GroupNormalization"), _per_input(7)),
    "RMSNormalization": _per_input(4),
    "MeanVarianceNormalization": _per_input(5),
    "LpNormalization": _per_input(3),
    "LRN": _lrn,
    # largest 1, difference 1, exponential 1, sum 1, quotient or difference 1
    **dict.fromkeys(("Softmax", "LogSoftmax"), _per_input(5)),
    "SoftmaxCrossEntropyLoss": _per_input(5),
    "NegativeLogLikelihoodLoss": _per_input(1),
    "Dropout": _dropout,
    "If": _if,
    "Loop": _loop,
    "Scan": _scan,
}
