"""The Dropout operator of imported graphs. (Layers write their own, whose random numbers are part of the State.)"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from onnxdl.autodiff.registry import vjp
from onnxdl.autodiff.rules.elementwise import reciprocal_or_zero
from onnxdl.autodiff.shapes import constant_of, indicator
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, as_tensor


@vjp("Dropout", multiple=True)
def dropout(
    g: tuple[Tensor | None, ...],
    y: tuple[Tensor, ...],
    x: Tensor,
    ratio: Tensor | None = None,
    training_mode: Tensor | None = None,
    **seed: int,
) -> Any:
    """``g mask / (1 - ratio)`` in training mode, g otherwise."""
    if training_mode is None or ((known := constant_of(training_mode)) is not None and not known.item()):
        return g[0]
    kept = 1 - (as_tensor(0.5, x) if ratio is None else ratio.astype(x.dtype))
    scale = op.Where(training_mode, reciprocal_or_zero(kept), as_tensor(1, x))
    return g[0] * indicator(_mask(y), x) * scale


def _mask(y: tuple[Tensor, ...]) -> Tensor:
    """The node's own mask: asked for now, if it was not yet; another node would draw another one."""
    if len(y) > 1:
        return y[1]
    node = y[0].value.producer()
    assert node is not None
    node.resize_outputs(2)
    mask, trace = node.outputs[1], y[0].trace
    mask.type, mask.shape = ir.TensorType(ir.DataType.BOOL), y[0].value.shape
    mask.name = trace.unique(f"{node.name}:1") if trace is not None else None
    return Tensor(mask, trace)
