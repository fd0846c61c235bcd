"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.optimizer import Optimizer
from onnxdl.optim.weights import Options, OptionsBesideDecay, Schedule, Slots, Updated


class Adam(Optimizer):
    """p - rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon), m and v the decayed means of g and g^2.

    Source: Kingma and Ba 2015; ``epsilon`` stands where Keras has it; ``amsgrad`` takes the largest v so far (Reddi et al.
    2018). The slots hold m / (1 - beta_1) and v / (1 - beta_2): two products less a step. The powers of the betas are
    carried as State, since Pow is inexact on some devices.
    """

    def __init__(
        self, learning_rate: float | Schedule = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
        amsgrad: bool = False, **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad
        self.slots = {"m": 0.0, "v": 0.0, "v_max": 0.0} if amsgrad else {"m": 0.0, "v": 0.0}
        self.scalars = {"beta_1_power": 1.0, "beta_2_power": 1.0}

    def advance(self, scalars: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"beta_1_power": scalars["beta_1_power"] * self.beta_1, "beta_2_power": scalars["beta_2_power"] * self.beta_2}

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots, scalars: Slots) -> Updated:
        new = {"m": self.beta_1 * slots["m"] + g, "v": self.beta_2 * slots["v"] + g * g}
        v = new["v"]
        if self.amsgrad:
            v = new["v_max"] = op.Max(slots["v_max"], v)
        scale = (1 - self.beta_1) / (1 - self.beta_2) ** 0.5
        step = rate * op.Sqrt(1.0 - scalars["beta_2_power"]) / (1.0 - scalars["beta_1_power"]) * scale
        return p - step * new["m"] / (op.Sqrt(v) + self.epsilon / (1 - self.beta_2) ** 0.5), new


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    def __init__(
        self, learning_rate: float | Schedule = 0.001, weight_decay: float = 0.004, beta_1: float = 0.9, beta_2: float = 0.999,
        epsilon: float = 1e-7, amsgrad: bool = False, **options: Unpack[OptionsBesideDecay],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **options)
