"""The activation functions that LSTM, GRU and RNN name in their attributes: value and slope."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from onnxdl.errors import GradientError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor

Slope = Callable[[Tensor, Tensor], Tensor]  # of the argument and the value
Gate = Callable[[Tensor], tuple[Tensor, Tensor]]
_Kind = Callable[[float, float], tuple[Callable[[Tensor], Tensor], Slope]]


def _positive(z: Tensor, threshold: float = 0.0) -> Tensor:
    return op.CastLike(op.Greater(z, np.array(threshold, z.dtype)), z)


# name: (default alpha, default beta, the function and its slope given both); None for a coefficient that it does not have
_KINDS: dict[str, tuple[float | None, float | None, _Kind]] = {
    "affine": (1.0, 0.0, lambda a, b: (lambda z: z * a + b, lambda z, y: z * 0 + a)),
    "relu": (None, None, lambda a, b: (lambda z: op.Relu(z), lambda z, y: _positive(z))),
    "leakyrelu": (0.01, None, lambda a, b: (lambda z: op.LeakyRelu(z, alpha=a), lambda z, y: _positive(z) * (1 - a) + a)),
    "thresholdedrelu": (1.0, None, lambda a, b: (lambda z: z * _positive(z, a), lambda z, y: _positive(z, a))),
    "tanh": (None, None, lambda a, b: (lambda z: op.Tanh(z), lambda z, y: 1 - y * y)),
    "scaledtanh": (1.0, 1.0, lambda a, b: (lambda z: op.Tanh(z * b) * a, lambda z, y: b * (a - y * y / a))),
    "sigmoid": (None, None, lambda a, b: (lambda z: op.Sigmoid(z), lambda z, y: y * (1 - y))),
    "hardsigmoid": (
        0.2,
        0.5,
        lambda a, b: (lambda z: op.Clip(z * a + b, 0, 1), lambda z, y: _positive(y) * _positive(1 - y) * a),
    ),
    "elu": (1.0, None, lambda a, b: (lambda z: op.Elu(z, alpha=a), lambda z, y: _positive(z) + (1 - _positive(z)) * (op.Min(y, 0) + a))),
    "softsign": (None, None, lambda a, b: (lambda z: z / (1 + op.Abs(z)), lambda z, y: (1 - op.Abs(y)) * (1 - op.Abs(y)))),
    "softplus": (None, None, lambda a, b: (lambda z: op.Softplus(z), lambda z, y: op.Sigmoid(z))),
}


def gates(names: Sequence[str], clips: Sequence[float | None], alphas: Sequence[float], betas: Sequence[float]) -> list[Gate]:
    """For each name a function that gives value and slope; alphas and betas go, in order, to those that have one."""
    alpha, beta = iter(alphas), iter(betas)
    return [_gate(name, alpha, beta, clip) for name, clip in zip(names, clips, strict=True)]


def _gate(name: str, alphas: Iterator[float], betas: Iterator[float], clip: float | None) -> Gate:
    if name.lower() not in _KINDS:
        raise GradientError(f"recurrent operators have no activation {name!r}; they have {', '.join(_KINDS)}")
    a, b, kind = _KINDS[name.lower()]
    function, slope = kind(next(alphas, a) if a is not None else 0.0, next(betas, b) if b is not None else 0.0)

    def gate(z: Tensor) -> tuple[Tensor, Tensor]:
        if not clip:
            y = function(z)
            return y, slope(z, y)
        inside = op.Clip(z, -clip, clip)
        y = function(inside)
        return y, slope(inside, y) * op.CastLike(op.LessOrEqual(op.Abs(z), np.array(clip, z.dtype)), z)

    return gate
