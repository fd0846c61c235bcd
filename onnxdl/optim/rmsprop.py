"""RMSprop."""

from __future__ import annotations

from typing import Unpack

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.optimizer import Optimizer
from onnxdl.optim.weights import Options, Schedule, Slots, Updated


class RMSprop(Optimizer):
    """p - rate * g / sqrt(v + epsilon), v the decayed mean of g^2, less that of g squared if ``centered``; momentum adds to it.

    Source: Tieleman and Hinton 2012. The slots hold v / (1 - rho) and the mean of g / (1 - rho): one product less a step.
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered
        self.slots = {"velocity": 0.0} | ({"momentum": 0.0} if momentum else {}) | ({"mean": 0.0} if centered else {})

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots, scalars: Slots) -> Updated:
        new = {"velocity": self.rho * slots["velocity"] + g * g}
        spread = new["velocity"]
        if self.centered:
            new["mean"] = self.rho * slots["mean"] + g
            spread = spread - (1 - self.rho) * (new["mean"] * new["mean"])
        step = rate * (1 - self.rho) ** -0.5 * g / op.Sqrt(spread + self.epsilon / (1 - self.rho))
        if self.momentum:
            step = new["momentum"] = self.momentum * slots["momentum"] + step
        return p - step, new
