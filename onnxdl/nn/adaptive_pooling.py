"""Adaptive pooling: space reduced to a given size, whatever it was. Window i of an axis is [i * n / m, (i + 1) * n / m)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.convolution import channels_back, channels_first, per_axis
from onnxdl.nn.data_format import format_of
from onnxdl.nn.layer import Layer


class AdaptivePooling(Layer):
    """What the adaptive poolings share: (batch, channels, *space) -> (batch, channels, *output_size).

    Args:
        output_size: one number, or one for each spatial axis.
        data_format: ``channels_first`` (batch, channels, *space) or ``channels_last`` (batch, *space, channels).
    """

    rank = 0
    operator: ClassVar[str] = ""

    def __init__(self, output_size: int | Sequence[int], data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_size, self.data_format = per_axis(output_size, self.rank, "output_size"), format_of(data_format)

    def call(self, x: Tensor) -> Tensor:
        x = channels_first(x, self.data_format)
        sizes = [d for d in x.shape[2:] if isinstance(d, int)]
        if len(sizes) != self.rank:
            raise ShapeError(f"{type(self).__name__} needs known sizes of space, not {x.shape}")
        if all(n % m == 0 for n, m in zip(sizes, self.output_size, strict=True)):
            window = [n // m for n, m in zip(sizes, self.output_size, strict=True)]
            y = getattr(op, self.operator)(x, kernel_shape=window, strides=window)
        else:
            y = x
            for i, (n, m) in enumerate(zip(sizes, self.output_size, strict=True)):
                y = self.along(y, 2 + i, _windows(n, m))
        return channels_back(y, self.data_format)

    def along(self, x: Tensor, axis: int, windows: Sequence[range]) -> Tensor:
        """One axis reduced to a number for each window."""
        raise GraphError(f"{type(self).__name__} does not define along(self, x, axis, windows)")


def _windows(n: int, m: int) -> list[range]:
    return [range(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]


class AdaptiveAveragePooling(AdaptivePooling):
    """The mean of each window."""

    operator = "AveragePool"

    def along(self, x: Tensor, axis: int, windows: Sequence[range]) -> Tensor:
        means = np.zeros((int(x.shape[axis]), len(windows)), x.dtype)  # type: ignore[arg-type]  # call has checked it
        for i, window in enumerate(windows):
            means[window, i] = 1 / len(window)
        last = [i for i in range(x.ndim) if i != axis] + [axis]
        y = op.MatMul(op.Transpose(x, perm=last), means)
        return op.Transpose(y, perm=[last.index(i) for i in range(x.ndim)])


class AdaptiveMaxPooling(AdaptivePooling):
    """The largest value of each window."""

    full_precision = True

    operator = "MaxPool"

    def along(self, x: Tensor, axis: int, windows: Sequence[range]) -> Tensor:
        longest = max(len(w) for w in windows)
        indices = np.array([[w[min(k, len(w) - 1)] for k in range(longest)] for w in windows], np.int64)
        return op.ReduceMax(op.Gather(x, indices, axis=axis), [axis + 1], keepdims=0)


class AdaptiveAveragePooling1D(AdaptiveAveragePooling):
    """(batch, channels, length) -> (batch, channels, output_size), by means."""

    rank = 1


class AdaptiveAveragePooling2D(AdaptiveAveragePooling):
    """(batch, channels, height, width) -> (batch, channels, *output_size), by means."""

    rank = 2


class AdaptiveAveragePooling3D(AdaptiveAveragePooling):
    """(batch, channels, depth, height, width) -> (batch, channels, *output_size), by means."""

    rank = 3


class AdaptiveMaxPooling1D(AdaptiveMaxPooling):
    """(batch, channels, length) -> (batch, channels, output_size), by maxima."""

    rank = 1


class AdaptiveMaxPooling2D(AdaptiveMaxPooling):
    """(batch, channels, height, width) -> (batch, channels, *output_size), by maxima."""

    rank = 2


class AdaptiveMaxPooling3D(AdaptiveMaxPooling):
    """(batch, channels, depth, height, width) -> (batch, channels, *output_size), by maxima."""

    rank = 3
