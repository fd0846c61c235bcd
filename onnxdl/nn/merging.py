"""Layers of several inputs: Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate, Dot."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.layer import Layer


class Merge(Layer):
    """What the layers share that take a list of tensors; its mask is True where any input's is, if all have one."""

    supports_masking = True

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        if not isinstance(inputs, list | tuple) or len(inputs) < 2:
            raise GraphError(f"{type(self).__name__} takes a list of two tensors or more")
        rank = max(x.ndim for x in inputs)
        return self.merge([_with_rank(x, rank) for x in inputs])

    def merge(self, inputs: Sequence[Tensor]) -> Tensor:
        """The result for inputs of equal rank."""
        raise GraphError(f"{type(self).__name__} does not define merge(self, inputs)")

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None or any(m is None for m in mask):
            return None
        return reduce(lambda a, b: a | b, mask)


def _with_rank(x: Tensor, rank: int) -> Tensor:
    """``x`` with axes of size 1 after the batch's, up to ``rank`` axes."""
    return x if x.ndim == rank else op.Unsqueeze(x, list(range(1, 1 + rank - x.ndim)))


class Add(Merge):
    """The sum of its inputs."""

    def merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return op.Add(*inputs) if len(inputs) == 2 else op.Sum(*inputs)


class Subtract(Merge):
    """The first input minus the second."""

    def merge(self, inputs: Sequence[Tensor]) -> Tensor:
        if len(inputs) != 2:
            raise GraphError(f"Subtract takes two tensors, not {len(inputs)}")
        return inputs[0] - inputs[1]


class Multiply(Merge):
    """The product of its inputs."""

    def merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return reduce(lambda a, b: a * b, inputs)


class Average(Merge):
    """The mean of its inputs."""

    def merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return op.Mean(*inputs)


class Maximum(Merge):
    """The largest of its inputs, element by element."""

    full_precision = True

    def merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return op.Max(*inputs)


class Minimum(Merge):
    """The smallest of its inputs, element by element."""

    full_precision = True

    def merge(self, inputs: Sequence[Tensor]) -> Tensor:
        return op.Min(*inputs)


class Concatenate(Layer):
    """Its inputs side by side along ``axis`` (channels are on axis 1 in ``channels_first``; the default is the last)."""

    supports_masking = True

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        return op.Concat(*inputs, axis=self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Along time the masks side by side; along any other axis a step counts where it counts in any input."""
        if mask is None:
            return None
        if self.axis % inputs[0].ndim == 1:
            return op.Concat(*[_all_true(x) if m is None else m for x, m in zip(inputs, mask, strict=True)], axis=1)
        return reduce(lambda a, b: a | b, mask) if all(m is not None for m in mask) else None


def _all_true(x: Tensor) -> Tensor:
    return op.Expand(True, op.Shape(x, start=0, end=2))


class Dot(Layer):
    """The batched product of two tensors, summed over one axis of each.

    Args:
        axes: the axis summed over, one for both or one each; the batch axis is 0.
        normalize: whether to divide by the norms before, which gives the cosine.
    """

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axes, self.normalize = axes, normalize

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        a, b = inputs
        i, j = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        i, j = i % a.ndim, j % b.ndim
        if not i or not j or a.shape[i] != b.shape[j]:
            raise ShapeError(f"Dot cannot sum over axes {i} and {j} of the shapes {a.shape} and {b.shape}")
        if self.normalize:
            a, b = _unit(a, i), _unit(b, j)
        letters = iter("ijklmnop")
        left = ["b" if k == 0 else "s" if k == i else next(letters) for k in range(a.ndim)]
        right = ["b" if k == 0 else "s" if k == j else next(letters) for k in range(b.ndim)]
        made = [c for c in left + right[1:] if c != "s"]
        y = op.Einsum(a, b, equation=f"{''.join(left)},{''.join(right)}->{''.join(made)}")
        return op.Unsqueeze(y, [1]) if y.ndim == 1 else y


def _unit(x: Tensor, axis: int) -> Tensor:
    return x / op.Sqrt(op.Max(op.ReduceSum(x * x, [axis]), 1e-12))


def add(inputs: Sequence[Tensor], **kwargs: Any) -> Any:
    """``Add`` as a function."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Tensor], **kwargs: Any) -> Any:
    """``Subtract`` as a function."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Tensor], **kwargs: Any) -> Any:
    """``Multiply`` as a function."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Tensor], **kwargs: Any) -> Any:
    """``Average`` as a function."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Tensor], **kwargs: Any) -> Any:
    """``Maximum`` as a function."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Tensor], **kwargs: Any) -> Any:
    """``Minimum`` as a function."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[Tensor], axis: int = -1, **kwargs: Any) -> Any:
    """``Concatenate`` as a function."""
    return Concatenate(axis, **kwargs)(inputs)


def dot(inputs: Sequence[Tensor], axes: Any = -1, **kwargs: Any) -> Any:
    """``Dot`` as a function."""
    return Dot(axes, **kwargs)(inputs)
