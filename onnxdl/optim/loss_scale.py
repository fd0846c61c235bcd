"""Dynamic loss scaling, for gradients computed in float16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.optim.accumulation import either
from onnxdl.optim.clipping import squared_norm
from onnxdl.optim.optimizer import Optimizer, OptimizerWrapper
from onnxdl.optim.weights import Shaped, Update, Weight

if TYPE_CHECKING:
    from onnxdl.runtime.cells import Cell

SCALE, GOOD = "loss_scale", "good_steps"


class LossScaleOptimizer(OptimizerWrapper):
    """Another optimizer, given the gradients of the scaled loss divided by the scale (Micikevicius et al. 2018).

    The scale doubles after ``dynamic_growth_steps`` steps in a row with finite gradients. At a step with one that is not
    finite it is halved, and nothing else moves.
    """

    def __init__(self, inner_optimizer: Optimizer, initial_scale: float = 2.0**15, dynamic_growth_steps: int = 2000) -> None:
        self.inner_optimizer, self.initial_scale, self.dynamic_growth_steps = inner_optimizer, initial_scale, dynamic_growth_steps
        super().__init__(inner_optimizer)

    def follow(self, cells: Mapping[str, Cell]) -> None:
        self.inner_optimizer.follow(cells)

    @property
    def iterations(self) -> int:
        """How many updates the other one has made."""
        return self.inner_optimizer.iterations

    def start(self, weights: Mapping[str, Shaped]) -> dict[str, np.ndarray]:
        own: dict[str, np.ndarray] = {SCALE: np.full((), self.initial_scale, np.float32), GOOD: np.zeros((), np.int64)}
        return {**self.inner_optimizer.start(weights), **own}

    def loss_scale(self, state: Mapping[str, Tensor]) -> Tensor:
        return state[SCALE]

    def apply(self, weights: Sequence[Weight], state: Mapping[str, Tensor], step: Tensor) -> Update:
        scale, good = state[SCALE], state[GOOD]
        finite = op.Less(squared_norm([w.gradient for w in weights]), np.float32(np.inf))
        inner = {name: t for name, t in state.items() if name not in (SCALE, GOOD)}

        def moved() -> Update:
            return self.inner_optimizer.apply([w._replace(gradient=w.gradient * (1.0 / scale)) for w in weights], inner, step)

        update = either(finite, moved, lambda: Update({w.name: w.value for w in weights}, inner))
        grown = op.Equal(good, self.dynamic_growth_steps - 1)
        factor = op.Where(finite, op.Where(grown, np.float32(2.0), np.float32(1.0)), np.float32(0.5))
        return Update(update.weights, {**update.state, SCALE: scale * factor, GOOD: op.Where(op.And(finite, op.Not(grown)), good + 1, 0)})
