"""Depthwise and separable convolutions.

Depthwise kernels have ONNX's layout (channels * depth_multiplier, 1, *kernel_size), pointwise ones (filters, channels *
depth_multiplier, 1, ...).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxdl.graph import op
from onnxdl.graph.dtypes import DTypeLike
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import initializers
from onnxdl.nn.convolution import Convolution, channels_back, channels_first, in_keras_layout
from onnxdl.nn.parameter import Parameter


class Depthwise(Convolution):
    """What depthwise and separable convolutions share: each channel is convolved with ``depth_multiplier`` kernels of its own."""

    paddings = ("valid", "same", "causal")

    def __init__(self, *args: Any, depth_multiplier: int = 1, depthwise_initializer: Any = "glorot_uniform", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.depth_multiplier, self.depthwise_initializer = depth_multiplier, depthwise_initializer

    def depthwise_weight(self, name: str, channels: int) -> Parameter:
        """The kernels of all channels."""
        return self.add_weight(
            name=name,
            shape=(channels * self.depth_multiplier, 1, *self.kernel_size),
            initializer=_per_channel(self.depthwise_initializer, channels),
            regularizer=self._options.get("depthwise_regularizer"),
            constraint=self._options.get("depthwise_constraint"),
        )


def _per_channel(initializer: Any, channels: int) -> Any:
    """An initializer for (channels * multiplier, 1, *kernel) whose fans are those of Keras's (*kernel, channels, multiplier)."""
    inner = initializers.get(initializer)

    def initialize(shape: tuple[int, ...], dtype: DTypeLike, key: Tensor) -> Tensor:
        rank = len(shape) - 2
        drawn = inner((*shape[2:], channels, shape[0] // channels), dtype, key)
        return op.Reshape(op.Transpose(drawn, perm=[rank, rank + 1, *range(rank)]), shape)

    return initialize


class DepthwiseConv(Depthwise):
    """Each channel convolved with ``depth_multiplier`` kernels of its own; the base of DepthwiseConv1D and 2D.

    Args:
        kernel_size, strides, padding, data_format, dilation_rate: see Convolution.
        depth_multiplier: how many kernels each channel has.
        kwargs: ``activation``, ``use_bias``, ``depthwise_`` and ``bias_initializer``, their regularizers and constraints.
    """

    weight_options = ("depthwise", "bias")

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(kernel_size, strides, padding, data_format, dilation_rate, depth_multiplier=depth_multiplier, **kwargs)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.channels = self.channels_of(input_shape)
        self.kernel = self.depthwise_weight("kernel", self.channels)
        self.bias = self.bias_of(self.channels * self.depth_multiplier)

    def call(self, x: Tensor) -> Tensor:
        y = self.convolved(channels_first(x, self.data_format), self.kernel, self.bias, self.channels)
        return self.activation(channels_back(y, self.data_format))


class DepthwiseConv1D(DepthwiseConv):
    """Depthwise 1-D convolution: (batch, channels, length) -> (batch, channels * depth_multiplier, new length)."""

    rank = 1


class DepthwiseConv2D(DepthwiseConv):
    """Depthwise 2-D convolution: (batch, channels, height, width) -> (batch, channels * depth_multiplier, ...)."""

    rank = 2


class SeparableConv(Depthwise):
    """A depthwise convolution, then a pointwise one that mixes the channels; the base of SeparableConv1D and 2D.

    Args:
        filters: the number of output channels.
        kernel_size, strides, padding, data_format, dilation_rate, depth_multiplier: as DepthwiseConv's.
        kwargs: ``activation``, ``use_bias``, ``depthwise_``, ``pointwise_`` and ``bias_initializer``, their regularizers and constraints.
    """

    weight_options = ("depthwise", "pointwise", "bias")

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        pointwise_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(kernel_size, strides, padding, data_format, dilation_rate, depth_multiplier=depth_multiplier, **kwargs)
        self.filters, self.pointwise_initializer = filters, pointwise_initializer

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.channels = self.channels_of(input_shape)
        self.depthwise_kernel = self.depthwise_weight("depthwise_kernel", self.channels)
        self.pointwise_kernel = self.add_weight(
            name="pointwise_kernel",
            shape=(self.filters, self.channels * self.depth_multiplier, *[1] * self.rank),
            initializer=in_keras_layout(self.pointwise_initializer, self.rank),
        )
        self.bias = self.bias_of(self.filters)

    def call(self, x: Tensor) -> Tensor:
        y = self.convolved(channels_first(x, self.data_format), self.depthwise_kernel, None, self.channels)
        y = op.Conv(y, self.pointwise_kernel, self.bias)
        return self.activation(channels_back(y, self.data_format))


class SeparableConv1D(SeparableConv):
    """Separable 1-D convolution: (batch, channels, length) -> (batch, filters, new length)."""

    rank = 1


class SeparableConv2D(SeparableConv):
    """Separable 2-D convolution: (batch, channels, height, width) -> (batch, filters, new height, new width)."""

    rank = 2
