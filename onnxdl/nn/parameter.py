"""Parameter: a weight or running statistic of a layer, before and between the traces that use it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from onnxdl.errors import GraphError
from onnxdl.graph import op, random
from onnxdl.graph.dtypes import DTypeLike, to_numpy
from onnxdl.graph.tensor import Operators, Tensor, TensorLike, as_tensor, tensor
from onnxdl.graph.trace import current_trace, no_trace
from onnxdl.nn import precision
from onnxdl.runtime.cells import Cell

Initializer = Callable[[tuple[int, ...], DTypeLike, Tensor], Tensor]
_numbers = itertools.count()


class Adapter(Protocol):
    """What changes a weight where it is used, with weights of its own."""

    @property
    def parameters(self) -> Sequence[Parameter]:
        """Its weights; their names go on from the adapted weight's."""

    def __call__(self, weight: Tensor) -> Tensor: ...


class Parameter(Operators):
    """Shape, element type, initializer, and whether training changes it.

    It is no value of a graph: in a training trace it becomes an input, in an exported one an initializer, and in dynamic
    mode a leaf that holds its present value.

    Args:
        shape: the shape, known numbers only.
        initializer: a function ``(shape, dtype, key) -> Tensor`` that writes the first value.
        dtype: the element type.
        trainable: whether the optimizer updates it.
        name: its name within its layer.
    """

    def __init__(
        self,
        shape: Sequence[int],
        initializer: Initializer,
        *,
        dtype: DTypeLike = "float32",
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        if not all(isinstance(d, int | np.integer) and d >= 0 for d in shape):
            raise GraphError(
                f"the parameter {name!r} needs a shape of known numbers, not {tuple(shape)}; give the layer's input a fixed size there"
            )
        self.shape = tuple(int(d) for d in shape)
        self.initializer = initializer
        self.dtype = to_numpy(dtype)
        self.trainable = trainable
        self.name = name
        self.regularizer: Callable[[Tensor], Tensor] | None = None
        self.constraint: Callable[[Tensor], Tensor] | None = None
        self.frozen = False  # by whoever fine-tunes; ``trainable`` says what it is by nature
        self.adapter: Adapter | None = None
        self._number = next(_numbers)
        self._array: np.ndarray | None = None
        self._cell: Cell | None = None
        self._leaf: tuple[int, Tensor] | None = None

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def initialized(self) -> bool:
        """Whether it has a value yet; reading ``value`` gives it one."""
        return self._array is not None or self._cell is not None

    @property
    def value(self) -> np.ndarray:
        """The present value, as an array of your own."""
        if self._cell is not None:
            return self._cell.numpy()
        if self._array is None:
            with no_trace():
                key = random.make_key(tensor(np.int64(random.default_seed())), random.place(f"parameter {self._number}"))
                self._array = self.initializer(self.shape, self.dtype, key).numpy()
        return self._array.copy()

    @value.setter
    def value(self, new: Any) -> None:
        array = np.array(new, dtype=self.dtype)
        if array.shape != self.shape:
            raise GraphError(f"a value of shape {list(array.shape)} does not fit {self!r}; it needs {list(self.shape)}")
        if self._cell is not None:
            self._cell.assign(array)
        else:
            self._array = array
            self._leaf = None

    def cell(self, device: str = "cpu") -> Cell:
        """Its place on the device, where sessions read and write it."""
        if self._cell is None or self._cell.device != device:
            self._cell = Cell(self.value, device)
            self._array = None
        return self._cell

    def numpy(self) -> np.ndarray:
        """The present value, as an array of your own."""
        return self.value

    def assign(self, new: TensorLike) -> None:
        """Sets the next value: at the end of the step in a training trace, at once in dynamic mode."""
        trace = current_trace()
        if trace is not None:
            trace.root.updates[self] = as_tensor(new, as_tensor(self)).astype(self.dtype)
        else:
            self.value = as_tensor(new, as_tensor(self)).numpy()

    def replace(self, new: TensorLike) -> None:
        """Sets the value at once: in a trace, whatever reads it from here on, and the optimizer, see the new one."""
        trace = current_trace()
        if trace is not None:
            trace.root.variables[self] = as_tensor(new, as_tensor(self)).astype(self.dtype)
        else:
            self.value = as_tensor(new, as_tensor(self)).numpy()

    def lookup(self, ids: Tensor) -> Tensor:
        """The rows of a table by number; a training step then updates those rows only."""
        trace = current_trace()
        if self.adapter is not None or trace is None or trace.root is not trace or trace.declare is None or not trace.training:
            return op.Gather(self, ids)
        rows = op.Gather(trace.variable(self), ids)
        trace.lookups.setdefault(self, []).append((ids, rows))
        return rows

    def __tensor__(self) -> Tensor:
        plain = self._plain()
        return plain if self.adapter is None else self.adapter(plain)

    def _plain(self) -> Tensor:
        trace = current_trace()
        if trace is not None and (trace.root.declare is not None or not trace.over_dynamic):
            return precision.weight(trace.variable(self))
        version = self._cell.version if self._cell is not None else -1
        if self._leaf is None or self._leaf[0] != version:
            self._leaf = version, tensor(self.value, self.dtype)
        return self._leaf[1]

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, {self.dtype}{list(self.shape)}{'' if self.trainable else ', not trainable'})"
