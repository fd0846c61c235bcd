"""Adagrad."""

from __future__ import annotations

from typing import Unpack

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.optimizer import Optimizer
from onnxdl.optim.weights import Options, Schedule, Slots, Updated


class Adagrad(Optimizer):
    """p - rate * g / sqrt(a + epsilon), a the sum of g^2 so far (Duchi, Hazan and Singer 2011)."""

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.epsilon = epsilon
        self.slots = {"accumulator": initial_accumulator_value}

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots, scalars: Slots) -> Updated:
        a = slots["accumulator"] + g * g
        return p - rate * g / op.Sqrt(a + self.epsilon), {"accumulator": a}
