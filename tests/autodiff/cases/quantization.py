"""Quantized tensors: the gradient of their scale, and gradients that go straight through rounding.

The latter are compared with the same computation without rounding; scales are constants there.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from onnxdl.graph import op
from tests.autodiff.cases import Case, apart, rand

_X = np.array([[3, -5, 7, 1, 2], [0, 9, -2, 4, 6]], np.int8)
_W = np.array([[3, -5, 7], [0, 9, -2], [1, 2, 3], [4, -4, 5]], np.int8)
_FILTERS = np.random.default_rng(0).integers(-9, 9, (4, 2, 2, 2)).astype(np.int8)
_FINE, _COARSE = np.float32(0.1), np.float32(4.0)
_ZERO, _MIDDLE = np.int8(0), np.uint8(128)


def _quantized(x: Any, scale: Any = _FINE, zero: Any = _ZERO, **attributes: Any) -> Any:
    return op.QuantizeLinear(x, np.asarray(scale, x.dtype), np.asarray(zero), **attributes)


def _real(x: Any, like: Any, scale: Any = _FINE, zero: Any = _ZERO, **attributes: Any) -> Any:
    return op.DequantizeLinear(x, np.asarray(scale, like.dtype), np.asarray(zero), **attributes)


def _through(zero: Any, scale: Any = _FINE, move: Callable[[Any], Any] = lambda q: q, **attributes: Any) -> Callable[[Any], Any]:
    return lambda x: _real(move(_quantized(x, scale, zero, **attributes)), x, scale, zero, **attributes)


def _cut(x: np.ndarray, low: int = -128, high: int = 127, scale: Any = _FINE, zero: int = 0) -> np.ndarray:
    return (np.clip(x / scale + zero, low - 0.5, high + 0.5) - zero) * scale


def _matmul_integer(x: Any) -> Any:
    whole = op.MatMulInteger(_quantized(x, zero=_MIDDLE), _W, _MIDDLE, np.int8(2))
    return op.Cast(whole, to=x.dtype) * float(_FINE)


def _conv_integer(x: Any) -> Any:
    return op.Cast(op.ConvInteger(_quantized(x, zero=_MIDDLE), _FILTERS, _MIDDLE, strides=[2, 1]), to=x.dtype) * float(_FINE)


def _qlinear_matmul(x: Any) -> Any:
    scale = np.array([0.5, 1.0, 2.0], np.float32)
    zeros = np.zeros(3, np.int8)
    return _real(op.QLinearMatMul(_quantized(x), _FINE, np.int8(0), _W, scale, zeros, _COARSE, np.int8(0)), x, _COARSE)


def _qlinear_conv(x: Any) -> Any:
    scale, zeros = np.array([0.5, 1.0, 2.0, 1.5], np.float32), np.zeros(4, np.int8)
    bias = np.array([5, -3, 2, 1], np.int32)
    return _real(
        op.QLinearConv(_quantized(x), _FINE, np.int8(0), _FILTERS, scale, zeros, _COARSE, np.int8(0), bias, pads=[1, 0, 1, 0]), x, _COARSE
    )


def _conv(x: np.ndarray) -> np.ndarray:
    """The convolution of ``_qlinear_conv`` in float64, but for its bias."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2, 2), (2, 3))
    return np.einsum("ncijkl,ockl->noij", windows, _FILTERS * np.array([0.5, 1.0, 2.0, 1.5]).reshape(4, 1, 1, 1))


def _valid(x: np.ndarray) -> np.ndarray:
    """The convolution of ``_conv_integer``."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 2), (2, 3))[:, :, ::2]
    return np.einsum("ncijkl,ockl->noij", windows, _FILTERS.astype(float))


def _straight(op_type: str, x: np.ndarray, call: Callable[..., Any], forward: Callable[..., Any], reason: str = "") -> Case:
    return Case(op_type, [x], call=call, forward=forward, second_order=False, reason=reason)


_WIDE = rand(2, 6, low=-20, high=20)
_SCALES = np.array([0.1, 0.02], np.float32)

CASES = [
    Case("DequantizeLinear", [_X, rand(low=0.5, high=2)], second_order=False),
    Case("DequantizeLinear", [_X, rand(5, low=0.5, high=2), np.array([1, 0, 2, -1, 3], np.int8)], second_order=False),
    Case("DequantizeLinear", [_X, rand(2, low=0.5, high=2)], {"axis": 0}, second_order=False),
    Case(
        "DequantizeLinear", [_X, rand(2, 3, low=0.5, high=2)], {"axis": 1, "block_size": 2}, second_order=False, reason="last block short"
    ),
    _straight("QuantizeLinear", _WIDE, _through(np.int8(0)), _cut, "cut off at both ends"),
    _straight("QuantizeLinear", _WIDE, _through(np.uint8(7)), lambda x: _cut(x, 0, 255, zero=7), "unsigned with a zero point"),
    _straight(
        "QuantizeLinear",
        rand(2, 6, low=-3, high=3),
        _through(np.zeros(2, np.int8), _SCALES, axis=0),
        lambda x: _cut(x, scale=_SCALES[:, None]),
        "a scale each row",
    ),
    _straight(
        "QuantizeLinear",
        rand(2, 6, low=-3, high=3),
        _through(np.zeros((2, 2), np.int8), np.array([[0.1, 0.01], [0.2, 0.05]], np.float32), axis=1, block_size=4),
        lambda x: _cut(x, scale=np.array([[0.1] * 4 + [0.01] * 2, [0.2] * 4 + [0.05] * 2])),
        "a scale each block",
    ),
    _straight(
        "QuantizeLinear",
        _WIDE,
        _through(np.int8(0), move=lambda q: op.Reshape(op.Transpose(op.Concat(q, q, axis=1)), [4, -1])),
        lambda x: _cut(np.concatenate([x, x], 1).T.reshape(4, -1)),
        "moved about as integers",
    ),
    _straight(
        "QuantizeLinear",
        apart(1, 1, 4, 4),
        _through(np.int8(0), move=lambda q: op.MaxPool(q, kernel_shape=[2, 2], strides=[2, 2])),
        lambda x: x.reshape(1, 1, 2, 2, 2, 2).max((3, 5)),
        "pooled as integers",
    ),
    _straight(
        "MatMulInteger", rand(3, 4, low=-9, high=9), _matmul_integer, lambda x: _cut(x, 0, 255, zero=128) @ (_W - 2.0), "both zero points"
    ),
    _straight("ConvInteger", rand(2, 2, 5, 4, low=-9, high=9), _conv_integer, lambda x: _valid(_cut(x, 0, 255, zero=128)), "strides"),
    _straight(
        "QLinearMatMul",
        rand(3, 4, low=-9, high=9),
        _qlinear_matmul,
        lambda x: _cut(x @ (_W * np.array([0.5, 1.0, 2.0])), scale=_COARSE),
        "a scale each column",
    ),
    _straight("QLinearConv", rand(2, 2, 3, 4, low=-9, high=9), _qlinear_conv, lambda x: _cut(_conv(x), scale=_COARSE), "a bias"),
]
