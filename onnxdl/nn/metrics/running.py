"""Running numbers of anything, outside a program: Mean and Sum."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, as_tensor
from onnxdl.nn.metrics.metric import Metric, no_nan


class Sum(Metric):
    """The sum of all values given to ``update_state(values, sample_weight)``, as a custom loop uses it."""

    joined = staticmethod(op.ReduceSum)
    """How the values of one sample become one."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.total = self.add_variable(name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]  # Keras's names
        """Takes values in, each times its weight."""
        values = as_tensor(values).astype(np.float32)
        weight = as_tensor(1.0 if sample_weight is None else sample_weight).astype(np.float32)
        if 0 < weight.ndim < values.ndim:
            values = self._joined(values, weight.ndim)
        weight = weight + values * 0.0
        self.take(self._joined(values * weight, 1), self._joined(weight, 1))

    def _joined(self, x: Tensor, kept: int) -> Tensor:
        return self.joined(x, list(range(kept, x.ndim)), keepdims=0) if x.ndim > kept else x

    def take(self, values: Tensor, weights: Tensor) -> None:
        """Takes in one number for each sample, and its weight."""
        self.total.assign((self.total + op.ReduceSum(values, keepdims=0)).numpy())

    def result(self) -> Tensor:
        """The sum."""
        return as_tensor(self.total)


class Mean(Sum):
    """The weighted mean of all values given to ``update_state(values, sample_weight)``, 0 before the first."""

    joined = staticmethod(op.ReduceMean)

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.count = self.add_variable(name="count")

    def take(self, values: Tensor, weights: Tensor) -> None:
        """Takes in one number for each sample, and its weight."""
        super().take(values, weights)
        self.count.assign((self.count + op.ReduceSum(weights, keepdims=0)).numpy())

    def result(self) -> Tensor:
        """The mean."""
        return no_nan(as_tensor(self.total), as_tensor(self.count))
