"""Quantized tensors: gradients go straight through rounding, and stop where a number was cut off at the end of its range.

Bengio et al., Estimating or Propagating Gradients Through Stochastic Neurons, 2013; the scale's gradient is that of Esser
et al., Learned Step Size Quantization, 2020. Integers between QuantizeLinear and DequantizeLinear carry the gradient of the
real numbers that they stand for; here they come as floats.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from onnxdl.autodiff.custom import stop_gradient
from onnxdl.autodiff.registry import lowering, straight_through
from onnxdl.autodiff.shapes import dim_of
from onnxdl.graph import op
from onnxdl.graph.infer import dims
from onnxdl.graph.tensor import Tensor

straight_through("QuantizeLinear", "DynamicQuantizeLinear", "QLinearMatMul", "QLinearConv", "MatMulInteger", "ConvInteger")


@lowering("DequantizeLinear")
def dequantize_linear(
    x: Tensor, scale: Tensor, zero_point: Tensor | None = None, *, axis: int, block_size: int = 0, output_dtype: int = 0
) -> Tensor:
    """``(x - zero_point) scale``"""
    number = x.astype(scale.dtype)
    if zero_point is not None:
        number = number - _spread(zero_point.astype(scale.dtype), x, axis, block_size)
    return _cast(number * _spread(scale, x, axis, block_size), output_dtype)


@lowering("QuantizeLinear")
def quantize_linear(
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    *,
    axis: int,
    block_size: int = 0,
    output_dtype: int = 0,
    saturate: int = 1,
    precision: int = 0,
) -> Tensor:
    """``x / scale + zero_point``, cut off where rounding would leave the integers' range."""
    kind = zero_point.value.dtype if zero_point is not None else ir.DataType(output_dtype or ir.DataType.UINT8)
    number = x / _spread(scale.astype(x.dtype), x, axis, block_size)
    if zero_point is not None:
        number = number + _spread(zero_point.astype(x.dtype), x, axis, block_size)
    return cut(number, kind)


@lowering("QLinearMatMul")
def qlinear_matmul(
    a: Tensor, a_scale: Tensor, a_zero: Tensor, b: Tensor, b_scale: Tensor, b_zero: Tensor, y_scale: Tensor, y_zero: Tensor
) -> Tensor:
    product = op.MatMul(real(a, a_scale, a_zero, -2), real(b, b_scale, b_zero, -1))
    return quantized(product, y_scale, y_zero)


@lowering("QLinearConv")
def qlinear_conv(
    x: Tensor,
    x_scale: Tensor,
    x_zero: Tensor,
    w: Tensor,
    w_scale: Tensor,
    w_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
    b: Tensor | None = None,
    **attributes: Any,
) -> Tensor:
    y = op.Conv(real(x, x_scale, x_zero, 1), real(w, w_scale, w_zero, 0), **attributes)
    if b is not None:
        y = y + op.Reshape(b.astype(y.dtype) * x_scale * w_scale, [-1] + [1] * (y.ndim - 2))
    return quantized(y, y_scale, y_zero)


@lowering("MatMulInteger")
def matmul_integer(a: Tensor, b: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None) -> Tensor:
    return op.MatMul(shifted(a, a_zero, -2), shifted(b, b_zero, -1))


@lowering("ConvInteger")
def conv_integer(x: Tensor, w: Tensor, x_zero: Tensor | None = None, w_zero: Tensor | None = None, **attributes: Any) -> Tensor:
    return op.Conv(shifted(x, x_zero, 1), shifted(w, w_zero, 0), **attributes)


def quantized(number: Tensor, scale: Tensor, zero_point: Tensor | None) -> Tensor:
    """Real numbers as the integers of one scale."""
    whole = number / scale
    if zero_point is None:
        return cut(whole, ir.DataType.UINT8)
    return cut(whole + zero_point.astype(number.dtype), zero_point.value.dtype)


def cut(number: Tensor, kind: ir.DataType | None) -> Tensor:
    """Rounded and cut off to the range of integers of this kind; the gradient goes through where rounding stays in the range."""
    if kind not in _RANGES:
        return number  # eight-bit floats
    low, high = _RANGES[kind]
    inside = op.Clip(number, np.array(low - 0.5).astype(number.dtype), np.array(high + 0.5).astype(number.dtype))
    whole = op.Clip(op.Round(number), np.array(low).astype(number.dtype), np.array(high).astype(number.dtype))
    return inside + stop_gradient(whole - inside)


def _ranges() -> dict[ir.DataType, tuple[int, int]]:
    ranges = {}
    for bits in (2, 4, 8, 16):
        for name, low in ((f"INT{bits}", -(2 ** (bits - 1))), (f"UINT{bits}", 0)):
            if name in ir.DataType.__members__:
                ranges[ir.DataType[name]] = low, low + 2**bits - 1
    return ranges


_RANGES = _ranges()


def real(x: Tensor, scale: Tensor, zero_point: Tensor | None, axis: int) -> Tensor:
    """The real numbers that quantized ones stand for, whose scales are one or those of an axis."""
    return shifted(x, zero_point, axis) * _spread(scale, x, axis, 0)


def shifted(x: Tensor, zero_point: Tensor | None, axis: int) -> Tensor:
    number = x.astype(np.float32)
    return number if zero_point is None else number - _spread(zero_point.astype(np.float32), x, axis, 0)


def _spread(values: Tensor, x: Tensor, axis: int, block_size: int) -> Tensor:
    """One number, one for each index of an axis, or one for each block along it, in a shape that broadcasts against ``x``."""
    if block_size:
        length = op.Squeeze(dim_of(x, axis), [0])
        return op.Gather(values, op.Div(op.Range(np.array(0), length, np.array(1)), np.array(block_size)), axis=axis)
    if values.ndim != 1 or dims(values.value) == (1,):
        return values if values.ndim == 0 or values.ndim == x.ndim else op.Reshape(values, [1] * x.ndim)
    return op.Reshape(values, [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]) if x.ndim > 1 else values


def _cast(x: Tensor, dtype: int) -> Tensor:
    return op.Cast(x, to=dtype) if dtype else x
