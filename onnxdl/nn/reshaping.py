"""Layers that only move elements: Flatten, Reshape, Permute, RepeatVector, cropping, zero padding and up-sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.convolution import channels_back, channels_first, per_axis
from onnxdl.nn.data_format import format_of
from onnxdl.nn.layer import Layer


class Flatten(Layer):
    """(batch, a, b, ...) -> (batch, a * b * ...).

    Args:
        data_format: ``channels_first`` moves the channels last before, so that the order is that of ``channels_last``, as
            in Keras; by default the order stays.
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format

    def call(self, x: Tensor) -> Tensor:
        if x.ndim == 1:
            return op.Unsqueeze(x, [1])
        return op.Flatten(channels_back(x, "channels_last") if self.data_format == "channels_first" and x.ndim > 2 else x)


class Reshape(Layer):
    """(batch, ...) -> (batch, *target_shape); one size may be -1."""

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)

    def call(self, x: Tensor) -> Tensor:
        if -1 not in self.target_shape:
            return op.Reshape(x, [-1, *self.target_shape])
        return op.Reshape(x, op.Concat(op.Shape(x, start=0, end=1), np.array(self.target_shape, np.int64), axis=0))


class Permute(Layer):
    """The axes in another order, counted from 1 without the batch's: ``dims=(2, 1)`` swaps the two."""

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise GraphError(f"dims is an order of 1 to {len(self.dims)}, not {self.dims}")

    def call(self, x: Tensor) -> Tensor:
        return op.Transpose(x, perm=[0, *self.dims])


class RepeatVector(Layer):
    """(batch, features) -> (batch, n, features)."""

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = n

    def call(self, x: Tensor) -> Tensor:
        return op.Expand(op.Unsqueeze(x, [1]), [1, self.n, 1])


Margins = int | Sequence[int | Sequence[int]]


def margins(value: Margins, rank: int, name: str) -> list[tuple[int, int]]:
    """(before, after) for each axis of space, from one number for all, one an axis, or a pair an axis.

    In one dimension a pair is the one axis's, as in Keras.
    """
    if isinstance(value, int):
        return [(value, value)] * rank
    if rank == 1 and len(value) == 2:
        value = [value]  # type: ignore[list-item]
    pairs = [(v, v) if isinstance(v, int) else (int(v[0]), int(v[1])) for v in value]
    if len(pairs) != rank:
        raise GraphError(f"{name} needs one number, {rank} numbers or {rank} pairs, not {value!r}")
    return pairs


def _space(rank: int, data_format: str) -> list[int]:
    first = 2 if data_format == "channels_first" else 1
    return list(range(first, first + rank))


class ZeroPadding(Layer):
    """Zeros added around space; the base of ZeroPadding1D, 2D and 3D.

    Args:
        padding: one number, one an axis of space, or a pair (before, after) an axis.
        data_format: ``channels_first`` (batch, channels, *space) or ``channels_last``.
    """

    rank = 0

    def __init__(self, padding: Margins = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding, self.data_format = margins(padding, self.rank, "padding"), format_of(data_format)

    def call(self, x: Tensor) -> Tensor:
        before, after = [0] * x.ndim, [0] * x.ndim
        for axis, (b, a) in zip(_space(self.rank, self.data_format), self.padding, strict=True):
            before[axis], after[axis] = b, a
        return op.Pad(x, [*before, *after])


class ZeroPadding1D(ZeroPadding):
    """Zeros before and after (batch, channels, length)."""

    rank = 1


class ZeroPadding2D(ZeroPadding):
    """Zeros around (batch, channels, height, width)."""

    rank = 2


class ZeroPadding3D(ZeroPadding):
    """Zeros around (batch, channels, depth, height, width)."""

    rank = 3


class Cropping(Layer):
    """Margins of space cut away; the base of Cropping1D, 2D and 3D.

    Args:
        cropping: one number, one an axis of space, or a pair (before, after) an axis.
        data_format: ``channels_first`` (batch, channels, *space) or ``channels_last``.
    """

    rank = 0

    def __init__(self, cropping: Margins = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping, self.data_format = margins(cropping, self.rank, "cropping"), format_of(data_format)

    def call(self, x: Tensor) -> Tensor:
        starts = [b for b, _ in self.cropping]
        ends = [-a if a else np.iinfo(np.int64).max for _, a in self.cropping]
        return op.Slice(x, starts, ends, _space(self.rank, self.data_format))


class Cropping1D(Cropping):
    """(batch, channels, length) with its ends cut away."""

    rank = 1


class Cropping2D(Cropping):
    """(batch, channels, height, width) with its margins cut away."""

    rank = 2


class Cropping3D(Cropping):
    """(batch, channels, depth, height, width) with its margins cut away."""

    rank = 3


class UpSampling(Layer):
    """Space made ``size`` times as large by repeating elements; the base of UpSampling1D, 2D and 3D."""

    rank = 0
    interpolation = "nearest"

    def __init__(self, size: int | Sequence[int] = 2, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.data_format = per_axis(size, self.rank, "size"), format_of(data_format)

    def call(self, x: Tensor) -> Tensor:
        x = channels_first(x, self.data_format)
        scales = np.array([1, 1, *self.size], np.float32)
        if self.interpolation == "nearest":
            y = op.Resize(x, None, scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        else:
            mode = {"bilinear": "linear", "bicubic": "cubic"}[self.interpolation]
            y = op.Resize(x, None, scales, mode=mode, cubic_coeff_a=-0.5, exclude_outside=int(mode == "cubic"))
        return channels_back(y, self.data_format)


class UpSampling1D(UpSampling):
    """(batch, channels, length) -> (batch, channels, size * length)."""

    rank = 1


class UpSampling2D(UpSampling):
    """(batch, channels, height, width) -> (batch, channels, size[0] * height, size[1] * width).

    Args:
        size: one number or one an axis.
        data_format: ``channels_first`` or ``channels_last``.
        interpolation: ``nearest``, ``bilinear`` or ``bicubic``.
    """

    rank = 2

    def __init__(
        self, size: int | Sequence[int] = 2, data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any
    ) -> None:
        super().__init__(size, data_format, **kwargs)
        if interpolation not in ("nearest", "bilinear", "bicubic"):
            raise GraphError(f"interpolation is 'nearest', 'bilinear' or 'bicubic', not {interpolation!r}")
        self.interpolation = interpolation


class UpSampling3D(UpSampling):
    """(batch, channels, depth, height, width) with each axis of space ``size`` times as long."""

    rank = 3
