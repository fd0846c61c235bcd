"""Gradients kept within bounds (Pascanu, Mikolov and Bengio 2013)."""

from __future__ import annotations

from collections.abc import Sequence

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.weights import Options, Weight


def clipped(weights: Sequence[Weight], options: Options) -> list[Weight]:
    """The weights with the gradients that the options allow."""
    gradients = [w.gradient for w in weights]
    if bound := options.get("clipvalue"):
        gradients = [op.Clip(g, -bound, bound) for g in gradients]
    elif bound := options.get("clipnorm"):
        gradients = [g * _shrinking(squared_norm([g]), bound) for g in gradients]
    elif bound := options.get("global_clipnorm"):
        factor = _shrinking(squared_norm(gradients), bound)
        gradients = [g * factor for g in gradients]
    return [w._replace(gradient=g) for w, g in zip(weights, gradients, strict=True)]


def squared_norm(gradients: Sequence[Tensor]) -> Tensor:
    """The sum of the squares of all elements; not finite if one of them is not."""
    squares = [op.ReduceSumSquare(g, keepdims=0) for g in gradients]
    return squares[0] if len(squares) == 1 else op.Sum(*squares)


def _shrinking(squared: Tensor, bound: float) -> Tensor:
    """bound / max(norm, bound): 1 for a short gradient."""
    return bound / op.Max(op.Sqrt(squared), bound)
