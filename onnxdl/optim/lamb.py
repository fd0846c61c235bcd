"""Lamb."""

from __future__ import annotations

from typing import Unpack

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.adam import Adam
from onnxdl.optim.weights import Options, Schedule, Slots, Updated


class Lamb(Adam):
    r"""p - rate * |p| / |u| * u, u Adam's direction :math:`\hat m / (\sqrt{\hat v} + \epsilon)` (You et al. 2020).

    The ratio of the norms is 1 where one of them is 0.
    """

    elementwise = False

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, False, **options)

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots, scalars: Slots) -> Updated:
        m, v = self.beta_1 * slots["m"] + g, self.beta_2 * slots["v"] + g * g
        spread = op.Sqrt((1 - self.beta_2) / (1.0 - scalars["beta_2_power"]))
        step = (1 - self.beta_1) / (1.0 - scalars["beta_1_power"]) / spread
        u = step * m / (op.Sqrt(v) + self.epsilon / spread)
        weight, update = op.ReduceL2(p, keepdims=0), op.ReduceL2(u, keepdims=0)
        ratio = op.Where(op.Greater(op.Min(weight, update), 0.0), weight / update, 1.0)
        return p - ratio * rate * u, {"m": m, "v": v}
