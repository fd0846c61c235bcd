"""Muon."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Unpack

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.adam import Adam
from onnxdl.optim.optimizer import Optimizer
from onnxdl.optim.weights import OptionsBesideDecay, Schedule, Shape, Slots, Updated, shape_of


class Muon(Optimizer):
    """Matrices move along their orthogonalized momentum, p - rate * rms_rate * sqrt(max(rows, columns)) * orthogonal(m).

    Source: Jordan et al. 2024; the factor is that of Liu et al. 2025, and None leaves it out. Whatever is no matrix,
    embeddings, and weights whose name a pattern of ``exclude_layers`` is found in, are trained by Adam.
    """

    elementwise = False

    def __init__(
        self, learning_rate: float | Schedule = 0.001, adam_beta_1: float = 0.9, adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004, epsilon: float = 1e-7, weight_decay: float | None = 0.004, *,
        exclude_layers: Sequence[str] = (), exclude_embeddings: bool = True, adam_lr_ratio: float = 1.0, momentum: float = 0.95,
        muon_a: float = 3.4445, muon_b: float = -4.775, muon_c: float = 2.0315, ns_steps: int = 5, nesterov: bool = True,
        rms_rate: float | None = 0.2, **options: Unpack[OptionsBesideDecay],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay=weight_decay, **options)
        self.adam = Adam(learning_rate, adam_beta_1, adam_beta_2, epsilon, weight_decay=adam_weight_decay)
        self.scalars, self.adam_lr_ratio = self.adam.scalars, adam_lr_ratio
        self.excluded = [*exclude_layers, *(["(?i)embedding"] if exclude_embeddings else [])]
        self.coefficients = muon_a, muon_b, muon_c
        self.momentum, self.ns_steps, self.nesterov, self.rms_rate = momentum, ns_steps, nesterov, rms_rate

    def slots_for(self, name: str, shape: Shape) -> dict[str, tuple[Shape, float]]:
        return self.adam.slots_for(name, shape) if self._by_adam(name, shape) else {"momentum": (shape, 0.0)}

    def decay_of(self, name: str, shape: Shape) -> float:
        return self.adam.decay_of(name, shape) if self._by_adam(name, shape) else super().decay_of(name, shape)

    def _by_adam(self, name: str, shape: Shape) -> bool:
        return len(shape) != 2 or any(re.search(pattern, name) for pattern in self.excluded)

    def advance(self, scalars: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.adam.advance(scalars)

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Slots, scalars: Slots) -> Updated:
        if "momentum" not in slots:
            return self.adam.update(p, g, rate * self.adam_lr_ratio, slots, scalars)
        m = self.momentum * slots["momentum"] + g
        direction = orthogonalized(g + self.momentum * m if self.nesterov else m, self.ns_steps, *self.coefficients)
        factor = max(shape_of(p)) ** 0.5 * self.rms_rate if self.rms_rate is not None else 1.0
        return p - rate * factor * direction, {"momentum": m}


def orthogonalized(x: Tensor, steps: int, a: float = 3.4445, b: float = -4.775, c: float = 2.0315) -> Tensor:
    """About U V^T of x = U S V^T, by Newton and Schulz's iteration x' = a x + (b x x^T + c (x x^T)^2) x of the fifth order."""
    rows, columns = shape_of(x)
    x = op.Transpose(x) if rows > columns else x
    x = x / (op.ReduceL2(x, keepdims=0) + 1e-7)
    for _ in range(steps):
        square = x @ op.Transpose(x)
        x = a * x + (b * square + c * square @ square) @ x
    return op.Transpose(x) if rows > columns else x
