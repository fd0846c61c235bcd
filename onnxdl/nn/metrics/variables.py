"""What a metric in Keras's style keeps: variables that its ``update_state`` assigns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.graph import op
from onnxdl.graph.tensor import Operators, Tensor, TensorLike, as_tensor, tensor


class MetricVariable(Operators):
    """A float32 array that starts at zero. In a program it is an entry of the State, outside one it holds its value itself."""

    def __init__(self, name: str, shape: Sequence[int] = ()) -> None:
        self.name, self.shape = name, tuple(shape)
        self.current: Tensor | None = None

    def assign(self, value: TensorLike) -> None:
        """Sets the value."""
        new = as_tensor(value, as_tensor(self)).astype(np.float32)
        self.current = new if new.shape == self.shape else op.Expand(new, np.array(self.shape, np.int64))

    def assign_add(self, value: TensorLike) -> None:
        """Adds to the value."""
        self.assign(as_tensor(self) + as_tensor(value, as_tensor(self)).astype(np.float32))

    def assign_sub(self, value: TensorLike) -> None:
        """Takes from the value."""
        self.assign(as_tensor(self) - as_tensor(value, as_tensor(self)).astype(np.float32))

    @property
    def value(self) -> Tensor:
        """The present value."""
        return as_tensor(self)

    def numpy(self) -> Any:
        """The present value as an array."""
        return as_tensor(self).numpy()

    def __tensor__(self) -> Tensor:
        return self.current if self.current is not None else tensor(np.zeros(self.shape, np.float32))
