"""Lion."""

from __future__ import annotations

from typing import Unpack

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.optimizer import Optimizer
from onnxdl.optim.weights import Options, Schedule, Slots, Updated


class Lion(Optimizer):
    """p - rate * sign(beta_1 * m + (1 - beta_1) * g), then m' = beta_2 * m + (1 - beta_2) * g (Chen et al. 2023)."""

    def __init__(
        self, learning_rate: float | Schedule = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **options: Unpack[Options]
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2 = beta_1, beta_2
        self.slots = {"m": 0.0}

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots, scalars: Slots) -> Updated:
        m = slots["m"]
        direction = op.Sign(self.beta_1 * m + (1 - self.beta_1) * g)
        return p - rate * direction, {"m": self.beta_2 * m + (1 - self.beta_2) * g}
