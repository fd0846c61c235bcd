"""Pooling: windows of space reduced to their maximum or mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.convolution import channels_back, channels_first, padding_attributes, per_axis
from onnxdl.nn.data_format import format_of
from onnxdl.nn.layer import Layer


class Pooling(Layer):
    """What the poolings share: a window of ``pool_size`` moves by ``strides`` (its own size by default)."""

    rank = 0
    operator: ClassVar[str] = ""

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = per_axis(pool_size, self.rank, "pool_size")
        self.strides = self.pool_size if strides is None else per_axis(strides, self.rank, "strides")
        self.padding, self.data_format = padding, format_of(data_format)

    def call(self, x: Tensor) -> Tensor:
        pool = getattr(op, self.operator)
        x = channels_first(x, self.data_format)
        pads = padding_attributes(self.padding, self.pool_size, x.shape[2:], self.strides, [1] * self.rank)
        return channels_back(pool(x, kernel_shape=self.pool_size, strides=self.strides, **pads), self.data_format)


class MaxPooling1D(Pooling):
    """The largest value of each window of (batch, channels, length)."""

    rank, operator = 1, "MaxPool"
    full_precision = True


class MaxPooling2D(Pooling):
    """The largest value of each window of (batch, channels, height, width)."""

    rank, operator = 2, "MaxPool"
    full_precision = True


class MaxPooling3D(Pooling):
    """The largest value of each window of (batch, channels, depth, height, width)."""

    rank, operator = 3, "MaxPool"
    full_precision = True


class AveragePooling1D(Pooling):
    """The mean of each window of (batch, channels, length)."""

    rank, operator = 1, "AveragePool"


class AveragePooling2D(Pooling):
    """The mean of each window of (batch, channels, height, width)."""

    rank, operator = 2, "AveragePool"


class AveragePooling3D(Pooling):
    """The mean of each window of (batch, channels, depth, height, width)."""

    rank, operator = 3, "AveragePool"


class GlobalPooling(Layer):
    """What the global poolings share: all of space is reduced, (batch, channels, *space) -> (batch, channels)."""

    operator: ClassVar[str] = ""

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format, self.keepdims = format_of(data_format), keepdims

    def call(self, x: Tensor) -> Tensor:
        space = list(range(2, x.ndim)) if self.data_format == "channels_first" else list(range(1, x.ndim - 1))
        return getattr(op, self.operator)(x, space, keepdims=int(self.keepdims))  # type: ignore[no-any-return]


class GlobalAveragePooling1D(GlobalPooling):
    """The mean over the length: over the steps that count, where the input has a mask."""

    operator = "ReduceMean"

    def call(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return super().call(x)
        time = 2 if self.data_format == "channels_first" else 1
        counts = op.Cast(op.Unsqueeze(mask, [3 - time]), to=x.dtype)
        keep = int(self.keepdims)
        return op.ReduceSum(x * counts, [time], keepdims=keep) / op.ReduceSum(counts, [time], keepdims=keep)


class GlobalAveragePooling2D(GlobalPooling):
    """The mean over height and width."""

    operator = "ReduceMean"


class GlobalAveragePooling3D(GlobalPooling):
    """The mean over depth, height and width."""

    operator = "ReduceMean"


class GlobalMaxPooling1D(GlobalPooling):
    """The largest value over the length."""

    full_precision = True

    operator = "ReduceMax"


class GlobalMaxPooling2D(GlobalPooling):
    """The largest value over height and width."""

    full_precision = True

    operator = "ReduceMax"


class GlobalMaxPooling3D(GlobalPooling):
    """The largest value over depth, height and width."""

    full_precision = True

    operator = "ReduceMax"
