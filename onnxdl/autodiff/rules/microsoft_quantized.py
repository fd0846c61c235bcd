"""com.microsoft's operators on quantized numbers: what they compute on the real ones, rounded again; gradients go straight through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onnxdl.autodiff.registry import lowering, straight_through
from onnxdl.autodiff.rules.quantization import quantized, real, shifted
from onnxdl.errors import GradientError
from onnxdl.graph import op
from onnxdl.graph.microsoft import DOMAIN
from onnxdl.graph.tensor import Tensor

straight_through("QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax", domain=DOMAIN)
straight_through("QLinearAveragePool", "QLinearGlobalAveragePool", "QLinearConcat", "QGemm", domain=DOMAIN)

Zero = Tensor | None


def _binary(combine: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def rule(
        a: Tensor, a_scale: Tensor, a_zero: Zero, b: Tensor, b_scale: Tensor, b_zero: Zero, y_scale: Tensor, y_zero: Zero = None
    ) -> Tensor:
        return quantized(combine(real(a, a_scale, a_zero, 0), real(b, b_scale, b_zero, 0)), y_scale, y_zero)

    return rule


def _unary(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def rule(x: Tensor, x_scale: Tensor, x_zero: Zero, y_scale: Tensor, y_zero: Zero = None, **attributes: Any) -> Tensor:
        return quantized(function(real(x, x_scale, x_zero, 0), **attributes), y_scale, y_zero)

    return rule


def _softmax(x: Tensor, *, axis: int = -1, opset: int = 13) -> Tensor:
    if opset >= 13:
        return op.Softmax(x, axis=axis)
    rows = op.Flatten(x, axis=axis)
    return op.Reshape(op.Softmax(rows, axis=-1), op.Shape(x))


def _last_to_front(pool: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The pool of images whose channels come last, where it is told so."""

    def pooled(x: Tensor, *, channels_last: int = 0, **attributes: Any) -> Tensor:
        if not channels_last:
            return pool(x, **attributes)
        n = x.ndim
        return op.Transpose(pool(op.Transpose(x, perm=[0, n - 1, *range(1, n - 1)]), **attributes), perm=[0, *range(2, n), 1])

    return pooled


lowering("QLinearAdd", domain=DOMAIN)(_binary(lambda a, b: a + b))
lowering("QLinearMul", domain=DOMAIN)(_binary(lambda a, b: a * b))
lowering("QLinearSigmoid", domain=DOMAIN)(_unary(lambda x: op.Sigmoid(x)))
lowering("QLinearLeakyRelu", domain=DOMAIN)(_unary(lambda x, alpha=0.01: op.LeakyRelu(x, alpha=alpha)))
lowering("QLinearSoftmax", domain=DOMAIN)(_unary(_softmax))
lowering("QLinearAveragePool", domain=DOMAIN)(_unary(_last_to_front(lambda x, **attributes: op.AveragePool(x, **attributes))))
lowering("QLinearGlobalAveragePool", domain=DOMAIN)(_unary(_last_to_front(lambda x: op.GlobalAveragePool(x))))


@lowering("QLinearConcat", domain=DOMAIN)
def qlinear_concat(y_scale: Tensor, y_zero: Tensor, *parts: Tensor, axis: int) -> Tensor:
    joined = [real(x, scale, zero, 0) for x, scale, zero in zip(parts[::3], parts[1::3], parts[2::3], strict=True)]
    return quantized(op.Concat(*joined, axis=axis), y_scale, y_zero)


@lowering("QGemm", domain=DOMAIN)
def qgemm(
    a: Tensor,
    a_scale: Tensor,
    a_zero: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Tensor,
    c: Tensor | None = None,
    y_scale: Tensor | None = None,
    y_zero: Tensor | None = None,
    *,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    left, right = real(a, a_scale, a_zero, 0), real(b, b_scale, b_zero, 0 if transB else 1)
    y = op.MatMul(left.T if transA else left, right.T if transB else right)
    if c is not None:
        y = y + c.astype(y.dtype) * a_scale * b_scale
    y = y if alpha == 1 else y * alpha
    return y if y_scale is None else quantized(y, y_scale, y_zero)


@lowering("MatMulIntegerToFloat", domain=DOMAIN)
def matmul_integer_to_float(
    a: Tensor, b: Tensor, a_scale: Tensor, b_scale: Tensor, a_zero: Zero = None, b_zero: Zero = None, bias: Tensor | None = None
) -> Tensor:
    y = op.MatMul(real(a, a_scale, a_zero, -2), real(b, b_scale, b_zero, -1))
    return y if bias is None else y + bias


@lowering("DynamicQuantizeMatMul", domain=DOMAIN)
def dynamic_quantize_matmul(a: Tensor, b: Tensor, b_scale: Tensor, b_zero: Zero = None, bias: Tensor | None = None) -> Tensor:
    """The rounding of ``a`` is left out."""
    y = op.MatMul(a, real(b, b_scale, b_zero, -1))
    return y if bias is None else y + bias


@lowering("DynamicQuantizeLSTM", domain=DOMAIN)
def dynamic_quantize_lstm(x: Tensor, w: Tensor, r: Tensor, *rest: Tensor | None, **attributes: Any) -> Any:
    """The LSTM of the real weights, which stand transposed; the rounding of what they multiply is left out."""
    optional, (w_scale, w_zero, r_scale, r_zero) = rest[:-4], rest[-4:]
    if w_scale is None or w_zero is None or r_scale is None or r_zero is None:
        raise GradientError("DynamicQuantizeLSTM needs the scales and zero points of its weights to have a gradient")
    weights = [op.Transpose(_of_directions(t, s, z), perm=[0, 2, 1]) for t, s, z in ((w, w_scale, w_zero), (r, r_scale, r_zero))]
    return op.LSTM(x, *weights, *optional, outputs=3, **attributes)


def _of_directions(weights: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """[directions, in, out], with a scale for each direction or for each of its columns."""
    columns = np.array([1, 1] if scale.ndim < 2 else [1, -1], np.int64)
    shape = np.concatenate([[-1 if scale.ndim < 2 else scale.shape[0]], columns]).astype(np.int64)
    return (shifted(weights, None, 0) - op.Reshape(zero_point.astype(np.float32), shape)) * op.Reshape(scale, shape)
