"""RMSprop."""

from __future__ import annotations

from collections.abc import Mapping

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.optimizer import Optimizer, Schedule


class RMSprop(Optimizer):
    """p - rate * g / sqrt(v + epsilon), v the decayed mean of g^2; momentum adds to it (Tieleman and Hinton 2012)."""

    def __init__(self, learning_rate: float | Schedule = 0.001, rho: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-7) -> None:
        super().__init__(learning_rate)
        self.rho, self.momentum, self.epsilon = rho, momentum, epsilon
        self.slots = ("velocity", "momentum") if momentum else ("velocity",)

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Mapping[str, Tensor], scalars: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        v = self.rho * slots["velocity"] + (1 - self.rho) * (g * g)
        step = rate * g / op.Sqrt(v + self.epsilon)
        if not self.momentum:
            return p - step, {"velocity": v}
        m = self.momentum * slots["momentum"] + step
        return p - m, {"velocity": v, "momentum": m}
