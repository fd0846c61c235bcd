"""com.microsoft's operators on quantized numbers, compared with the same computation without rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxdl.graph import op
from onnxdl.graph.operator import write
from onnxdl.graph.tensor import as_tensor
from onnxdl.graph.trace import current_trace
from tests.autodiff.cases import Case, rand

_DOMAIN = "com.microsoft"
_FINE, _OUT = np.float32(0.05), np.float32(0.23)
_ZERO, _MIDDLE = np.int8(0), np.uint8(128)
_OTHER = np.random.default_rng(1).integers(-40, 40, (2, 6)).astype(np.int8)
_W = np.random.default_rng(2).integers(-40, 40, (6, 3)).astype(np.int8)
_LSTM = [np.random.default_rng(3).integers(-90, 90, (2, n, 20)).astype(np.int8) for n in (3, 5)]
_BIAS = rand(2, 40, seed=4).astype(np.float32)


def _own(op_type: str, *inputs: Any, **attributes: Any) -> Any:
    tensors = [None if x is None else as_tensor(np.asarray(x) if isinstance(x, np.generic) else x) for x in inputs]
    given = {a.name: a for a in ir.convenience.convert_attributes(attributes)}
    return write(op_type, tensors, given, 1, trace=current_trace(), domain=_DOMAIN)[0]


def _q(x: Any, zero: Any = _ZERO) -> list[Any]:
    """An input with its scale and zero point."""
    return [op.QuantizeLinear(x, np.asarray(_FINE, x.dtype), np.asarray(zero)), _FINE, zero]


def _case(
    op_type: str, x: np.ndarray, call: Callable[[Any], Any], forward: Callable[[Any], Any], quantized: bool = True, reason: str = ""
) -> Case:
    def whole(x: Any) -> Any:
        y = call(x)
        return op.DequantizeLinear(y, np.asarray(_OUT, x.dtype), np.asarray(_ZERO)) if quantized else op.CastLike(y, x)

    return Case(op_type, [x], domain=_DOMAIN, call=whole, forward=forward, second_order=False, reason=reason)


def _joined(x: Any) -> Any:
    return _own("QLinearConcat", _OUT, _ZERO, *_q(x), _OTHER, _FINE, _ZERO, axis=1)


def _lstm(x: Any) -> Any:
    scales, zeros = np.full(2, 0.01, np.float32), np.zeros(2, np.int8)
    given = [op.Cast(x, to=np.float32), *_LSTM, _BIAS, None, None, None, None, scales, zeros, scales, zeros]
    return _own("DynamicQuantizeLSTM", *given, hidden_size=5, direction="bidirectional")


def _plain_lstm(x: np.ndarray) -> np.ndarray:
    w, r = (t.swapaxes(1, 2) * 0.01 for t in _LSTM)
    y = np.zeros((4, 2, 2, 5))
    for d, steps in enumerate((range(4), range(3, -1, -1))):
        h, c = np.zeros((2, 5)), np.zeros((2, 5))
        for t in steps:
            gates = x[t] @ w[d].T + h @ r[d].T + _BIAS[d, :20] + _BIAS[d, 20:]
            i, o, f = (1 / (1 + np.exp(-gates[:, 5 * k : 5 * k + 5])) for k in range(3))
            c = f * c + i * np.tanh(gates[:, 15:])
            h = o * np.tanh(c)
            y[t, d] = h
    return y


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


_X, _IMAGE = (np.round(rand(*shape, low=-80, high=80)) * float(_FINE) for shape in ((2, 6), (1, 2, 4, 4)))
_REAL, _WEIGHTS = _OTHER * float(_FINE), _W * float(_FINE)
_TO_OUT = (_OUT, _ZERO)

CASES = [
    _case("QLinearAdd", _X, lambda x: _own("QLinearAdd", *_q(x), _OTHER, _FINE, _ZERO, *_TO_OUT), lambda x: x + _REAL),
    _case("QLinearMul", _X, lambda x: _own("QLinearMul", *_q(x), _OTHER, _FINE, _ZERO, *_TO_OUT), lambda x: x * _REAL),
    _case("QLinearSigmoid", _X, lambda x: _own("QLinearSigmoid", *_q(x), *_TO_OUT), lambda x: 1 / (1 + np.exp(-x))),
    _case("QLinearLeakyRelu", _X, lambda x: _own("QLinearLeakyRelu", *_q(x), *_TO_OUT, alpha=0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    _case("QLinearSoftmax", _X, lambda x: _own("QLinearSoftmax", *_q(x), *_TO_OUT, axis=-1, opset=13), _softmax),
    _case(
        "QLinearAveragePool",
        _IMAGE,
        lambda x: _own("QLinearAveragePool", *_q(x), *_TO_OUT, kernel_shape=[2, 2], strides=[2, 2]),
        lambda x: x.reshape(1, 2, 2, 2, 2, 2).mean((3, 5)),
    ),
    _case(
        "QLinearGlobalAveragePool",
        _IMAGE,
        lambda x: _own("QLinearGlobalAveragePool", *_q(x), *_TO_OUT),
        lambda x: x.mean((2, 3), keepdims=True),
    ),
    _case("QLinearConcat", _X, _joined, lambda x: np.concatenate([x, _REAL], 1)),
    _case(
        "QGemm",
        _X,
        lambda x: _own("QGemm", *_q(x), _W, _FINE, _ZERO, np.array([40, -90, 7], np.int32), *_TO_OUT),
        lambda x: x @ _WEIGHTS,
    ),
    _case(
        "MatMulIntegerToFloat",
        _X,
        lambda x: _own("MatMulIntegerToFloat", _q(x, _MIDDLE)[0], _W, _FINE, _FINE, _MIDDLE, _ZERO, np.ones(3, np.float32)),
        lambda x: np.clip(x, -128.5 * float(_FINE), 127.5 * float(_FINE)) @ _WEIGHTS,
        quantized=False,
    ),
    _case(
        "DynamicQuantizeMatMul",
        _X,
        lambda x: _own("DynamicQuantizeMatMul", op.Cast(x, to=np.float32), _W, _FINE, _ZERO, np.ones(3, np.float32)),
        lambda x: x @ _WEIGHTS,
        quantized=False,
    ),
    _case("DynamicQuantizeLSTM", rand(4, 2, 3), _lstm, _plain_lstm, quantized=False),
]
