"""Optimizer: declares what it keeps for each parameter, and writes the update. It only writes graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor

Schedule = Callable[[Tensor], Tensor]


class Optimizer:
    """The base of all optimizers.

    ``slots`` names what is kept for each parameter, in its shape, starting at ``slot_start``. ``scalars`` names what is
    kept once, with its first value, and ``advance`` moves it on at each step.

    Args:
        learning_rate: a number, which stays a State entry that may be changed while training, or a function that writes
            the rate from ``step`` (float32, 0 at the first).
    """

    slots: tuple[str, ...] = ()
    slot_start: float = 0.0

    def __init__(self, learning_rate: float | Schedule = 0.001) -> None:
        if not callable(learning_rate) and not learning_rate > 0:
            raise GraphError(f"the learning rate must be above 0, not {learning_rate}")
        self.learning_rate = learning_rate
        self.scalars: dict[str, float] = {}

    def advance(self, scalars: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The scalars of this step, from those of the last."""
        return dict(scalars)

    def update(self, p: Tensor, g: Tensor, rate: Tensor, slots: Mapping[str, Tensor], scalars: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The parameter's next value and its next slots."""
        raise GraphError(f"{type(self).__name__} does not define update()")

    def rate(self, step: Tensor, current: Tensor | None) -> Tensor:
        """The learning rate of a step: the schedule's, or the State's entry."""
        if callable(self.learning_rate):
            return self.learning_rate(op.Cast(step, to="float32"))
        assert current is not None
        return current


def get(optimizer: Any) -> Optimizer:
    """An optimizer by Keras's name, or as given."""
    from onnxdl.nn.names import resolve
    from onnxdl.optim import NAMES

    found = resolve("optimizer", optimizer, NAMES)
    if not isinstance(found, Optimizer):
        raise GraphError(f"{found!r} is no optimizer; give a name such as 'adam' or an object of onnxdl.optim")
    return found
