"""Nadam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.optimizer import Optimizer
from onnxdl.optim.weights import Options, Schedule, Slots, Updated

DECAY = 0.96


class Nadam(Optimizer):
    r"""Adam with Nesterov's momentum (Dozat 2016).

    :math:`p - rate \cdot \hat m / (\sqrt{v / (1 - \beta_2^t)} + \epsilon)`, :math:`\hat m = \mu_{t+1} m / (1 -
    \prod_{i \le t+1} \mu_i) + (1 - \mu_t) g / (1 - \prod_{i \le t} \mu_i)`, :math:`\mu_t = \beta_1 (1 - 0.96^t / 2)`, m and v
    the decayed means of g and g^2. The slots hold m / (1 - beta_1) and v / (1 - beta_2).
    """

    def __init__(
        self, learning_rate: float | Schedule = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.slots = {"m": 0.0, "v": 0.0}
        self.scalars = {"decay_power": 1.0, "mu_product": 1.0, "beta_2_power": 1.0}

    def advance(self, scalars: Mapping[str, Tensor]) -> dict[str, Tensor]:
        decay = scalars["decay_power"] * DECAY
        product = scalars["mu_product"] * self._mu(decay)
        return {"decay_power": decay, "mu_product": product, "beta_2_power": scalars["beta_2_power"] * self.beta_2}

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots, scalars: Slots) -> Updated:
        m = self.beta_1 * slots["m"] + g
        v = self.beta_2 * slots["v"] + g * g
        mu, mu_next, product = self._mu(scalars["decay_power"]), self._mu(scalars["decay_power"] * DECAY), scalars["mu_product"]
        spread = op.Sqrt((1 - self.beta_2) / (1.0 - scalars["beta_2_power"]))
        of_m = rate / spread * (1 - self.beta_1) * mu_next / (1.0 - product * mu_next)
        of_g = rate / spread * (1.0 - mu) / (1.0 - product)
        return p - (of_m * m + of_g * g) / (op.Sqrt(v) + self.epsilon / spread), {"m": m, "v": v}

    def _mu(self, decay: Tensor) -> Tensor:
        return self.beta_1 * (1.0 - 0.5 * decay)
