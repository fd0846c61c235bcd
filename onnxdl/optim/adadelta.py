"""Adadelta."""

from __future__ import annotations

from typing import Unpack

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.optimizer import Optimizer
from onnxdl.optim.weights import Options, Schedule, Slots, Updated


class Adadelta(Optimizer):
    """p - rate * d, d = g * sqrt(x + epsilon) / sqrt(v + epsilon), v and x the decayed means of g^2 and d^2 (Zeiler 2012)."""

    def __init__(
        self, learning_rate: float | Schedule = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **options: Unpack[Options]
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho, self.epsilon = rho, epsilon
        self.slots = {"velocity": 0.0, "delta": 0.0}

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots, scalars: Slots) -> Updated:
        v = self.rho * slots["velocity"] + (1 - self.rho) * (g * g)
        d = g * op.Sqrt((slots["delta"] + self.epsilon) / (v + self.epsilon))
        x = self.rho * slots["delta"] + (1 - self.rho) * (d * d)
        return p - rate * d, {"velocity": v, "delta": x}
