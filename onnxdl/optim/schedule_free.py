"""ScheduleFreeAdamW."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.optimizer import Optimizer
from onnxdl.optim.weights import Options, Schedule, Shape, Slots, Updated


class ScheduleFreeAdamW(Optimizer):
    r"""Adam whose averaging stands for a schedule (Defazio et al. 2024): the weights are :math:`y = (1 - \beta_1) z + \beta_1 x`.

    :math:`z' = z - rate \min(t / warmup, 1) g / (\sqrt{v / (1 - \beta_2^t)} + \epsilon)`, x' the mean of all z'. The slot
    ``offset`` holds z - y, so that it starts at zero.
    """

    def __init__(
        self, learning_rate: float | Schedule = 0.0025, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8,
        warmup_steps: int = 0, **options: Unpack[Options],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon, self.warmup_steps = beta_1, beta_2, epsilon, warmup_steps
        self.slots = {"offset": 0.0, "v": 0.0}

    def decay_of(self, name: str, shape: Shape) -> float:
        return 0.0  # it is part of the update, for z does not decay

    def exclude_from_weight_decay(self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None) -> None:
        raise GraphError("ScheduleFreeAdamW decays all weights or none")

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots, scalars: Slots) -> Updated:
        t, z = scalars["t"], p + slots["offset"]
        y = p * (1.0 - rate * (self.options.get("weight_decay") or 0.0))
        warm = op.Min(t / float(self.warmup_steps), 1.0) * rate if self.warmup_steps else rate
        v = self.beta_2 * slots["v"] + (1 - self.beta_2) * g * g
        x = (y - (1 - self.beta_1) * z) / self.beta_1
        z = z - warm * g / (op.Sqrt(v / (1.0 - op.Pow(self.beta_2, t))) + self.epsilon)
        x = (1.0 - 1.0 / t) * x + z / t
        y = (1 - self.beta_1) * z + self.beta_1 * x
        return y, {"offset": z - y, "v": v}
