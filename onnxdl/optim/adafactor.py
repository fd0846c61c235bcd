"""Adafactor."""

from __future__ import annotations

from typing import Unpack

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.optimizer import Optimizer
from onnxdl.optim.weights import Options, Schedule, Shape, Slots, Updated


class Adafactor(Optimizer):
    r"""Adam without the memory: of a matrix only the means of g^2 by row and by column are kept (Shazeer and Stern 2018).

    :math:`p - \alpha u / \max(1, rms(u) / d)`, :math:`u = g / \sqrt v`, :math:`v = r c^T / mean(r)`, r and c the means by row
    and column of :math:`g^2 + \epsilon_1`, decayed by :math:`1 - t^{-0.8}`; :math:`\alpha = \max(\epsilon_2, rms(p))
    \min(rate, 1 / \sqrt t)`. Of more than two axes the last two are factored.
    Without ``relative_step``, :math:`\alpha = \max(\epsilon_2, rms(p)) rate`.
    """

    elementwise = False

    def __init__(
        self, learning_rate: float | Schedule = 0.001, beta_2_decay: float = -0.8, epsilon_1: float = 1e-30, epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0, relative_step: bool = True, **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, **options)
        self.beta_2_decay, self.epsilon_1, self.epsilon_2, self.clip_threshold = beta_2_decay, epsilon_1, epsilon_2, clip_threshold
        self.relative_step = relative_step

    def slots_for(self, name: str, shape: Shape) -> dict[str, tuple[Shape, float]]:
        return {"r": (shape[:-1], 0.0), "c": (shape[:-2] + shape[-1:], 0.0)} if len(shape) > 1 else {"v": (shape, 0.0)}

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots, scalars: Slots) -> Updated:
        beta_2 = 1.0 - op.Pow(scalars["t"], self.beta_2_decay)
        square = g * g + self.epsilon_1
        factored = "r" in slots
        seen = {"r": op.ReduceMean(square, [-1], keepdims=0), "c": op.ReduceMean(square, [-2], keepdims=0)} if factored else {"v": square}
        new = {slot: beta_2 * slots[slot] + (1.0 - beta_2) * mean for slot, mean in seen.items()}
        if factored:
            by_row = op.Sqrt(op.ReduceMean(new["r"], [-1], keepdims=1) / new["r"])
            u = g * op.Unsqueeze(by_row, [-1]) * op.Unsqueeze(1.0 / op.Sqrt(new["c"]), [-2])
        else:
            u = g / op.Sqrt(new["v"])
        rate = op.Min(rate, 1.0 / op.Sqrt(scalars["t"])) if self.relative_step else rate
        alpha = op.Max(_rms(p), self.epsilon_2) * rate
        return p - alpha / op.Max(_rms(u) / self.clip_threshold, 1.0) * u, new


def _rms(x: Tensor) -> Tensor:
    return op.Sqrt(op.ReduceMean(x * x, keepdims=0))
