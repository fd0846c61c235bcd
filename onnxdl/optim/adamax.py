"""Adamax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.optimizer import Optimizer
from onnxdl.optim.weights import Options, Schedule, Slots, Updated


class Adamax(Optimizer):
    """p - rate / (1 - beta_1^t) * m / (u + epsilon), m the decayed mean of g, u' = max(beta_2 * u, |g|) (Kingma and Ba 2015).

    The slot of m holds m / (1 - beta_1).
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.slots = {"m": 0.0, "u": 0.0}
        self.scalars = {"beta_1_power": 1.0}

    def advance(self, scalars: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"beta_1_power": scalars["beta_1_power"] * self.beta_1}

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots, scalars: Slots) -> Updated:
        m = self.beta_1 * slots["m"] + g
        u = op.Max(self.beta_2 * slots["u"], op.Abs(g))
        step = rate * (1 - self.beta_1) / (1.0 - scalars["beta_1_power"])
        return p - step * m / (u + self.epsilon), {"m": m, "u": u}
