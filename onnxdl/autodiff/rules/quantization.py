"""Quantised tensors. QuantizeLinear gives integers, so no gradient goes through it; the scale of DequantizeLinear has one."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxdl.autodiff.registry import vjp
from onnxdl.autodiff.shapes import dim_of, ones_like, reshape_like, scatter, shape_of, zeros_like
from onnxdl.graph import op
from onnxdl.graph.infer import dims
from onnxdl.graph.tensor import Tensor


@vjp("DequantizeLinear")
def dequantize_linear(
    g: Tensor, y: Tensor, x: Tensor, scale: Tensor, zero_point: Tensor | None = None, *, axis: int, block_size: int, **dtype: int
) -> Any:
    """``g (x - zero_point)``, summed over the elements that share a scale: all, those of one index of the axis, or a block."""
    steps = op.DequantizeLinear(x, ones_like(scale), zero_point, axis=axis, block_size=block_size, **dtype)
    products = g * steps.astype(g.dtype)
    if block_size:
        place = op.Div(op.Range(np.array(0), op.Squeeze(dim_of(x, axis)), np.array(1)), block_size)
        column = op.Reshape(place, [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
        return None, scatter(zeros_like(scale), op.Expand(column, shape_of(x)), products.astype(scale.dtype), "add", axis)
    if scale.ndim == 0 or dims(scale.value) == (1,):
        return None, reshape_like(op.ReduceSum(products, keepdims=0), scale)
    return None, op.ReduceSum(products, [i for i in range(x.ndim) if i != axis % x.ndim], keepdims=0)
