"""Activations."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxdl.converters.torch.aten import aten, axis_of, cast, floating
from onnxdl.graph import op, random
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.regularization import shape_of_noise


@aten("relu")
def relu(x: Tensor) -> Tensor:
    return op.Relu(x)


@aten("relu6")
def relu6(x: Tensor) -> Tensor:
    return op.Clip(x, 0.0, 6.0)


@aten("hardtanh")
def hardtanh(x: Tensor, min_val: float = -1, max_val: float = 1) -> Tensor:
    return op.Clip(x, np.asarray(min_val, x.dtype), np.asarray(max_val, x.dtype))


@aten("leaky_relu")
def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    return op.LeakyRelu(x, alpha=negative_slope)


@aten("elu")
def elu(x: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Tensor:
    if input_scale != 1:
        return op.Where(x > 0.0, x, op.Elu(op.Min(x, 0.0) * input_scale, alpha=alpha)) * scale
    y = op.Elu(x, alpha=alpha)
    return y * scale if scale != 1 else y


@aten("selu")
def selu(x: Tensor) -> Tensor:
    return op.Selu(x)


@aten("celu")
def celu(x: Tensor, alpha: float = 1) -> Tensor:
    return op.Where(x > 0.0, x, op.Elu(op.Min(x, 0.0) / alpha, alpha=alpha))


@aten("gelu")
def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    return op.Gelu(x, approximate=approximate)


@aten("silu")
def silu(x: Tensor) -> Tensor:
    return x * op.Sigmoid(x)


@aten("mish")
def mish(x: Tensor) -> Tensor:
    return x * op.Tanh(op.Softplus(x))


@aten("hardswish")
def hardswish(x: Tensor) -> Tensor:
    return op.HardSwish(x)


@aten("hardsigmoid")
def hardsigmoid(x: Tensor) -> Tensor:
    return op.HardSigmoid(x, alpha=1 / 6, beta=0.5)


@aten("softplus")
def softplus(x: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    return op.Where(x * beta > threshold, x, op.Softplus(x * beta) / beta)


@aten("log_sigmoid")
def log_sigmoid(x: Tensor) -> Tensor:
    return -op.Softplus(-x)


@aten("threshold")
def threshold(x: Tensor, threshold: float, value: float) -> Tensor:
    return op.Where(x > threshold, x, cast(value, x.dtype))


@aten("softshrink")
def softshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    return op.Shrink(x, lambd=lambd, bias=lambd)


@aten("hardshrink")
def hardshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    return op.Shrink(x, lambd=lambd, bias=0.0)


@aten("glu")
def glu(x: Tensor, dim: int = -1) -> Tensor:
    a, b = list[Tensor](op.Split(x, axis=axis_of(dim, x), num_outputs=2))
    return a * op.Sigmoid(b)


@aten("prelu", "_prelu_kernel")
def prelu(x: Tensor, weight: Tensor) -> Tensor:
    if weight.ndim == 1 and x.ndim > 1:
        weight = op.Reshape(weight, [1, -1, *[1] * (x.ndim - 2)])
    return op.PRelu(x, op.Reshape(weight, [1]) if weight.ndim > x.ndim else weight)


@aten("rrelu", "rrelu_with_noise")
def rrelu(
    x: Tensor, lower: float = 0.125, upper: float = 0.3333333333333333, training: bool = False, noise: Any = None, *, run: Any
) -> Tensor:
    if not (run.training and training):
        return op.LeakyRelu(x, alpha=(lower + upper) / 2)
    slope = random.uniform(shape_of_noise(x, None), lower, upper).astype(x.dtype)
    return op.Where(x < 0.0, x * slope, x)


@aten("softmax.int", "_softmax")
def softmax(x: Tensor, dim: int, dtype: Any = None, half_to_float: bool = False) -> Tensor:
    x = x.astype(dtype or (np.float32 if half_to_float else x.dtype))
    return op.Softmax(x, axis=axis_of(dim, x)) if x.ndim else op.Exp(x - x)


@aten("log_softmax.int", "_log_softmax")
def log_softmax(x: Tensor, dim: int, dtype: Any = None, half_to_float: bool = False) -> Tensor:
    x = floating(x.astype(dtype or (np.float32 if half_to_float else x.dtype)))
    return op.LogSoftmax(x, axis=axis_of(dim, x)) if x.ndim else x - x
