"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping

from onnxdl.graph.tensor import Tensor
from onnxdl.optim.optimizer import Optimizer, Schedule


class SGD(Optimizer):
    """p - rate * g; with momentum v' = momentum * v - rate * g and p + v', or p + momentum * v' - rate * g (Nesterov)."""

    def __init__(self, learning_rate: float | Schedule = 0.01, momentum: float = 0.0, nesterov: bool = False) -> None:
        super().__init__(learning_rate)
        self.momentum, self.nesterov = momentum, nesterov
        self.slots = ("momentum",) if momentum else ()

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Mapping[str, Tensor], scalars: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        step = rate * g
        if not self.momentum:
            return p - step, {}
        v = self.momentum * slots["momentum"] - step
        return (p + self.momentum * v - step if self.nesterov else p + v), {"momentum": v}
