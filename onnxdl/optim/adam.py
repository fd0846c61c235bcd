"""Adam."""

from __future__ import annotations

from collections.abc import Mapping

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.optimizer import Optimizer, Schedule


class Adam(Optimizer):
    """p - rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon), m and v the decayed means of g and g^2.

    Source: Kingma and Ba 2015; ``epsilon`` stands where Keras has it. The powers of the betas are carried as State,
    since Pow is inexact on some devices.
    """

    slots = ("m", "v")

    def __init__(self, learning_rate: float | Schedule = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7) -> None:
        super().__init__(learning_rate)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.scalars = {"beta_1_power": 1.0, "beta_2_power": 1.0}

    def advance(self, scalars: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"beta_1_power": scalars["beta_1_power"] * self.beta_1, "beta_2_power": scalars["beta_2_power"] * self.beta_2}

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Mapping[str, Tensor], scalars: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        m = self.beta_1 * slots["m"] + (1 - self.beta_1) * g
        v = self.beta_2 * slots["v"] + (1 - self.beta_2) * (g * g)
        corrected = rate * op.Sqrt(1.0 - scalars["beta_2_power"]) / (1.0 - scalars["beta_1_power"])
        return p - corrected * m / (op.Sqrt(v) + self.epsilon), {"m": m, "v": v}
