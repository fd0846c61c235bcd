"""Follow the regularized leader."""

from __future__ import annotations

from typing import Unpack

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.optimizer import Optimizer
from onnxdl.optim.weights import Options, Schedule, Slots, Updated


class Ftrl(Optimizer):
    r"""FTRL-Proximal with shrinkage (McMahan et al. 2013).

    With :math:`n' = n + g^2`, :math:`q(n) = n^{-power} / rate` and :math:`z' = z + g + 2 \cdot shrinkage \cdot p -
    (q(n') - q(n)) p`, the next p is :math:`(clip(z', -l1, l1) - z') / (q(n') + 2 l2 + \beta / rate)`.
    """

    def __init__(
        self, learning_rate: float | Schedule = 0.001, learning_rate_power: float = -0.5, initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0, l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0, beta: float = 0.0, **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, **options)
        self.power, self.beta, self.shrinkage = learning_rate_power, beta, l2_shrinkage_regularization_strength
        self.l1, self.l2 = l1_regularization_strength, l2_regularization_strength
        self.slots = {"n": initial_accumulator_value, "z": 0.0}

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots, scalars: Slots) -> Updated:
        n = slots["n"] + g * g
        q = self._powered(n) / rate
        z = slots["z"] + (g + 2 * self.shrinkage * p if self.shrinkage else g) - (q - self._powered(slots["n"]) / rate) * p
        q = q + (2 * self.l2 + self.beta / rate) if self.l2 or self.beta else q
        return ((op.Clip(z, -self.l1, self.l1) if self.l1 else 0.0) - z) / q, {"n": n, "z": z}

    def _powered(self, n: Tensor) -> Tensor:
        return op.Sqrt(n) if self.power == -0.5 else op.Pow(n, -self.power)
