"""Constraints: what a weight is made to hold to after each update. Keras's names and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxdl.config import Configurable
from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.names import resolve

EPSILON = 1e-7


class Constraint(Configurable):
    """A function that maps a weight to an allowed one; write your own by ``__call__``."""

    def __call__(self, w: Tensor) -> Tensor:
        raise GraphError(f"{type(self).__name__} does not define __call__(self, w)")


class NonNeg(Constraint):
    """max(w, 0)."""

    def __call__(self, w: Tensor) -> Tensor:
        return op.Relu(w)


class MaxNorm(Constraint):
    """Norms over ``axis`` of at most ``max_value``. Axes count in the weight's own layout: ONNX's for convolutions."""

    def __init__(self, max_value: float = 2.0, axis: int | Sequence[int] = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Tensor) -> Tensor:
        norm = _norm(w, self.axis)
        return w * (op.Clip(norm, 0.0, self.max_value) / (norm + EPSILON))


class UnitNorm(Constraint):
    """Norms over ``axis`` of 1."""

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        return w / (_norm(w, self.axis) + EPSILON)


class MinMaxNorm(Constraint):
    """Norms over ``axis`` brought towards [min_value, max_value] by the share ``rate``."""

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: int | Sequence[int] = 0) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Tensor) -> Tensor:
        norm = _norm(w, self.axis)
        wanted = op.Clip(norm, self.min_value, self.max_value) * self.rate + norm * (1 - self.rate)
        return w * (wanted / (norm + EPSILON))


def _norm(w: Tensor, axis: int | Sequence[int]) -> Tensor:
    return op.Sqrt(op.ReduceSum(w * w, [axis] if isinstance(axis, int) else list(axis)))


def get(constraint: Any) -> Any:
    """A constraint by Keras's name, or the object given; None is none."""
    return resolve("constraint", constraint, NAMES)


NAMES: dict[str, Any] = {
    "non_neg": NonNeg,
    "max_norm": MaxNorm,
    "unit_norm": UnitNorm,
    "min_max_norm": MinMaxNorm,
}
