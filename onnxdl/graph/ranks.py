"""Ranks that the standard's own inference leaves open where axes or sizes are known at run time only."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from onnxdl.graph.contents import content


def open_shape(node: ir.Node) -> ir.Shape | None:
    """The shape of the first output, with unknown dimensions where only its rank follows; None where not even that does."""
    first = node.inputs[0] if node.inputs else None
    if node.domain or first is None:
        return None
    if node.op_type in _SAME_SHAPE:
        return first.shape
    found = _RANKS[node.op_type](node) if node.op_type in _RANKS else None
    return None if found is None or found < 0 else ir.Shape([None] * found)


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
