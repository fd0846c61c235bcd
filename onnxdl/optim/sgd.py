"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Unpack

from onnxdl.graph.tensor import Tensor
from onnxdl.optim.optimizer import Optimizer
from onnxdl.optim.weights import Options, Schedule, Slots, Updated


class SGD(Optimizer):
    """p - rate * g; with momentum v' = momentum * v - rate * g and p + v', or p + momentum * v' - rate * g (Nesterov)."""

    def __init__(
        self, learning_rate: float | Schedule = 0.01, momentum: float = 0.0, nesterov: bool = False, **options: Unpack[Options]
    ) -> None:
        super().__init__(learning_rate, **options)
        self.momentum, self.nesterov = momentum, nesterov
        self.slots = {"momentum": 0.0} if momentum else {}

    def added(self, g: Tensor, rate: Tensor) -> Tensor | None:
        return None if self.momentum else -rate * g

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots, scalars: Slots) -> Updated:
        step = rate * g
        if not self.momentum:
            return p - step, {}
        v = self.momentum * slots["momentum"] - step
        return (p + self.momentum * v - step if self.nesterov else p + v), {"momentum": v}
