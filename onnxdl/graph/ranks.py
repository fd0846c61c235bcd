"""Ranks that the standard's own inference leaves open where axes or sizes are known at run time only, or a branch decides."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import onnx_ir as ir

from onnxdl.graph.contents import content

_fresh = itertools.count()


def open_shape(node: ir.Node) -> ir.Shape | None:
    """The shape of the first output, with unknown dimensions where only its rank follows; None where not even that does."""
    first = node.inputs[0] if node.inputs else None
    if node.domain or first is None:
        return None
    if node.op_type in _SAME_SHAPE:
        return first.shape
    found = _RANKS[node.op_type](node) if node.op_type in _RANKS else None
    return None if found is None or found < 0 else ir.Shape([None] * found)


def demand_ranks(node: ir.Node) -> None:
    """Gives inputs the rank that the operator demands of them, where nothing is known of their shape."""
    if node.domain or node.op_type not in _DEMANDS:
        return
    rank = _DEMANDS[node.op_type](node)
    for i in (0, 5, 6) if node.op_type in _RECURRENT else (0,):  # 5 and 6: the initial states
        value = node.inputs[i] if i < len(node.inputs) else None
        if rank is not None and value is not None and value.shape is None and isinstance(value.type, ir.TensorType):
            value.shape = ir.Shape([None] * rank)
            name_unknown_dims(value)


def name_unknown_dims(value: ir.Value) -> None:
    """Fresh symbols for the unknown dimensions of a value, so that two values of the same unknown size are known to be equal."""
    if value.shape is None or not value.shape.has_unknown_dim():
        return
    value.shape = ir.Shape([f"_d{next(_fresh)}" if isinstance(d, ir.SymbolicDim) and d.value is None else d for d in value.shape])


def _rank_of_weights(node: ir.Node) -> int | None:
    weights = node.inputs[1]
    return None if weights is None or weights.shape is None else len(weights.shape)


def _rank_of_window(node: ir.Node) -> int | None:
    return len(node.attributes.get_ints("kernel_shape", [])) + 2


_RECURRENT = ("GRU", "LSTM", "RNN")
_DEMANDS: dict[str, Callable[[ir.Node], int | None]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "DeformConv"), _rank_of_weights),
    **dict.fromkeys(("AveragePool", "MaxPool", "LpPool"), _rank_of_window),
    **dict.fromkeys(_RECURRENT, lambda node: 3),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), lambda node: 4),
    "Gemm": lambda node: 2,
}

_SAME_SHAPE = {"GroupNormalization", "MeanVarianceNormalization"}


def _rank(node: ir.Node) -> int | None:
    """The rank of the first input."""
    first = node.inputs[0]
    return None if first is None or first.shape is None else len(first.shape)


def _axes(node: ir.Node) -> int | None:
    """How many axes the second input names; None where that is open."""
    axes = node.inputs[1] if len(node.inputs) > 1 else None
    if axes is None:
        return 0
    known = content(axes)
    if known is not None:
        return len(known)
    size = axes.shape[0] if axes.shape is not None and len(axes.shape) == 1 else None
    return size if isinstance(size, int) else None


def _squeezed(node: ir.Node) -> int | None:
    rank, axes = _rank(node), _axes(node)
    return None if rank is None or not axes else rank - axes  # without axes, all of size 1 go


def _unsqueezed(node: ir.Node) -> int | None:
    rank, axes = _rank(node), _axes(node)
    return None if rank is None or axes is None else rank + axes


def _reduced(node: ir.Node) -> int | None:
    rank, axes = _rank(node), _axes(node)
    keepdims: int = node.attributes.get_int("keepdims", 1)
    noop: int = node.attributes.get_int("noop_with_empty_axes", 0)
    if rank is None or keepdims or (axes == 0 and noop):
        return rank
    return None if axes is None else 0 if axes == 0 else rank - axes


_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
_RANKS: dict[str, Callable[[ir.Node], int | None]] = {
    "CenterCropPad": _rank,
    "MaxUnpool": _rank,
    "Pad": _rank,
    "Split": _rank,
    "STFT": lambda node: 4,
    "Squeeze": _squeezed,
    "Unsqueeze": _unsqueezed,
    **{f"Reduce{name}": _reduced for name in _REDUCTIONS},
}
