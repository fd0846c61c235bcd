"""Regularizers: what a weight, or a layer's output, adds to the loss. Keras's names and arguments."""

from __future__ import annotations

from typing import Any

from onnxdl.config import Configurable
from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.names import resolve


class Regularizer(Configurable):
    """A function of a tensor that gives a number; write your own by ``__call__``."""

    def __call__(self, x: Tensor) -> Tensor:
        raise GraphError(f"{type(self).__name__} does not define __call__(self, x)")


class L1L2(Regularizer):
    """l1 * sum(|x|) + l2 * sum(x^2)."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = l1, l2

    def __call__(self, x: Tensor) -> Tensor:
        parts = []
        if self.l1 or not self.l2:
            parts.append(op.ReduceSum(op.Abs(x), keepdims=0) * self.l1)
        if self.l2:
            parts.append(op.ReduceSum(x * x, keepdims=0) * self.l2)
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]


class L1(L1L2):
    """l1 * sum(|x|)."""

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)


class L2(L1L2):
    """l2 * sum(x^2)."""

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)


class OrthogonalRegularizer(Regularizer):
    """factor times the mean |cosine| between the rows of a matrix, or between its columns.

    Args:
        factor: the weight of the term.
        mode: ``rows`` or ``columns``.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        if mode not in ("rows", "columns"):
            raise GraphError(f"mode is 'rows' or 'columns', not {mode!r}")
        self.factor, self.mode = factor, mode

    def __call__(self, x: Tensor) -> Tensor:
        if x.ndim != 2:
            raise GraphError(f"OrthogonalRegularizer is for matrices, not for {x.ndim} axes")
        x = x if self.mode == "rows" else x.T
        n = int(x.shape[0])  # type: ignore[arg-type]  # a weight's sizes are known
        x = x / op.Sqrt(op.Max(op.ReduceSum(x * x, [1]), 1e-12))
        above = op.Trilu(op.Abs(x @ x.T), 1, upper=1)
        return op.ReduceSum(above, keepdims=0) * (self.factor / max(1, n * (n - 1) // 2))


def get(regularizer: Any) -> Any:
    """A regularizer by Keras's name, or the object given; None is none."""
    return resolve("regularizer", regularizer, NAMES)


NAMES: dict[str, Any] = {
    "l1": L1,
    "l2": L2,
    "l1_l2": L1L2,
    "L1": L1,
    "L2": L2,
    "L1L2": L1L2,
    "orthogonal": OrthogonalRegularizer,
    "orthogonal_regularizer": OrthogonalRegularizer,
}
