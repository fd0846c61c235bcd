"""Activation functions, under Keras's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from onnxdl.errors import ShapeError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.names import resolve

Activation = Callable[[Tensor], Tensor]


def linear(x: Tensor) -> Tensor:
    """x."""
    return x


def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return op.Relu(x)


def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6)."""
    return op.Clip(x, 0.0, 6.0)


def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """x where positive, negative_slope * x elsewhere."""
    return op.LeakyRelu(x, alpha=negative_slope)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where positive, alpha * (exp(x) - 1) elsewhere (Clevert et al. 2015)."""
    return op.Elu(x, alpha=alpha)


def selu(x: Tensor) -> Tensor:
    """The scaled ELU (Klambauer et al. 2017)."""
    return op.Selu(x)


def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1)) (Barron 2017)."""
    return op.Celu(x, alpha=alpha)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return op.Sigmoid(x)


def log_sigmoid(x: Tensor) -> Tensor:
    """log(sigmoid(x))."""
    return -op.Softplus(-x)


def hard_sigmoid(x: Tensor) -> Tensor:
    """relu6(x + 3) / 6."""
    return op.HardSigmoid(x, alpha=1 / 6, beta=0.5)


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return op.Tanh(x)


def hard_tanh(x: Tensor) -> Tensor:
    """x cut off at -1 and 1."""
    return op.Clip(x, -1.0, 1.0)


def tanh_shrink(x: Tensor) -> Tensor:
    """x - tanh(x)."""
    return x - op.Tanh(x)


def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x where |x| > threshold, 0 elsewhere."""
    return op.Shrink(x, lambd=threshold, bias=0.0)


def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x moved towards 0 by threshold, 0 between."""
    return op.Shrink(x, lambd=threshold, bias=threshold)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along an axis."""
    return op.Softmax(x, axis=axis)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """log(softmax(x)) along an axis."""
    return op.LogSoftmax(x, axis=axis)


def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    """The point of the simplex that is nearest to x along an axis: max(x - tau, 0) (Martins and Astudillo 2016)."""
    n = x.shape[axis]
    if not isinstance(n, int):
        raise ShapeError(f"sparsemax needs a known size on axis {axis} of {x.shape}")
    highest, _ = op.TopK(x, [n], axis=axis)
    counts = np.arange(1, n + 1, dtype=x.dtype).reshape([n if i == axis % x.ndim else 1 for i in range(x.ndim)])
    inside = op.Cast(1.0 + highest * counts > op.CumSum(highest, np.int64(axis)), to=x.dtype)
    tau = (op.ReduceSum(highest * inside, [axis]) - 1.0) / op.ReduceSum(inside, [axis])
    return op.Relu(x - tau)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x))."""
    return op.Softplus(x)


def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return op.Softsign(x)


def exponential(x: Tensor) -> Tensor:
    """exp(x)."""
    return op.Exp(x)


def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x), also called swish (Ramachandran et al. 2017)."""
    return x * op.Sigmoid(x)


def hard_silu(x: Tensor) -> Tensor:
    """x * relu6(x + 3) / 6 (Howard et al. 2019)."""
    return op.HardSwish(x)


def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """x times the normal distribution function of x (Hendrycks and Gimpel 2016)."""
    return op.Gelu(x, approximate="tanh" if approximate else "none")


def mish(x: Tensor) -> Tensor:
    """x * tanh(softplus(x)) (Misra 2019)."""
    return op.Mish(x)


def threshold(x: Tensor, threshold: float = 0.0, default_value: float = 0.0) -> Tensor:
    """x where x > threshold, default_value elsewhere."""
    return op.Where(x > threshold, x, default_value)


def sparse_plus(x: Tensor) -> Tensor:
    """0 up to -1, (x + 1)^2 / 4 up to 1, x beyond."""
    middle = op.Clip(x, -1.0, 1.0)
    return (middle + 1.0) * (middle + 1.0) * 0.25 + op.Relu(x - 1.0)


def sparse_sigmoid(x: Tensor) -> Tensor:
    """0 up to -1, (x + 1) / 2 up to 1, 1 beyond."""
    return (op.Clip(x, -1.0, 1.0) + 1.0) * 0.5


def squareplus(x: Tensor, b: float = 4.0) -> Tensor:
    """(x + sqrt(x^2 + b)) / 2."""
    return (x + op.Sqrt(x * x + b)) * 0.5


def glu(x: Tensor, axis: int = -1) -> Tensor:
    """The first half of an axis times the sigmoid of the second (Dauphin et al. 2016)."""
    a, b = op.Split(x, num_outputs=2, axis=axis)
    return op.Mul(a, op.Sigmoid(b))


swish, hard_swish = silu, hard_silu


def get(activation: Any) -> Activation:
    """An activation by Keras's name, or the function given; None is linear."""
    found: Activation = resolve("activation", activation or "linear", NAMES)
    return found


NAMES: Mapping[str, Activation] = {
    f.__name__: f
    for f in (
        linear, relu, relu6, leaky_relu, elu, selu, celu, sigmoid, log_sigmoid, hard_sigmoid, tanh, hard_tanh, tanh_shrink, hard_shrink,
        soft_shrink, softmax, log_softmax, sparsemax, softplus, softsign, exponential, silu, hard_silu, gelu, mish, threshold, sparse_plus,
        sparse_sigmoid, squareplus, glu,
    )
} | {"swish": silu, "hard_swish": hard_silu}  # fmt: skip
