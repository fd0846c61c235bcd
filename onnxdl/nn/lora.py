"""Low-rank adapters: a weight that stays, plus a product of two thin matrices that training changes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.initializers import HeUniform, Zeros
from onnxdl.nn.parameter import Parameter


class LowRank:
    """W + alpha / r * A B, where A is (rows, r) and B is (r, columns); B begins at zero, so nothing changes at first.

    Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021. A weight of more than two dimensions counts as a matrix
    with its first dimension as the rows.

    Args:
        weight: the weight that is adapted.
        rank: r.
        alpha: how much the product counts.
    """

    def __init__(self, weight: Parameter, rank: int, alpha: float) -> None:
        rows, columns = weight.shape[0], math.prod(weight.shape[1:])
        self.scale = alpha / rank
        self.a = Parameter((rows, rank), HeUniform(), dtype=weight.dtype, name="lora_a")
        self.b = Parameter((rank, columns), Zeros(), dtype=weight.dtype, name="lora_b")

    @property
    def parameters(self) -> Sequence[Parameter]:
        """A and B."""
        return self.a, self.b

    def __call__(self, weight: Tensor) -> Tensor:
        product = op.MatMul(self.a, self.b) * self.scale
        return weight + op.Reshape(product, [int(d) for d in weight.shape])  # type: ignore[arg-type]
