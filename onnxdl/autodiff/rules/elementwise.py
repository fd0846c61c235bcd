"""Element-wise functions of one and two variables."""

from __future__ import annotations

from typing import Any

from onnxdl.autodiff.registry import no_gradient, vjp
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


@vjp("Add")
def add(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Any:
    return g, g


@vjp("Mul")
def mul(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Any:
    return g * b, g * a


@vjp("Sin")
def sin(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return g * op.Cos(x)


@vjp("Cos")
def cos(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return -g * op.Sin(x)


@vjp("Tanh")
def tanh(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return g * (1 - y * y)


no_gradient("Shape", "Size")
