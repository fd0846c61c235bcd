"""Depthwise and separable convolutions.

Depthwise kernels have ONNX's layout (channels * depth_multiplier, 1, *kernel_size), pointwise ones (filters, channels *
depth_multiplier, 1, ...).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import op
from onnxdl.graph.dtypes import DTypeLike
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import activations, initializers
from onnxdl.nn.conv import channels_back, channels_first, in_keras_layout, padding_attributes, per_axis
from onnxdl.nn.layer import Layer
from onnxdl.nn.parameter import Parameter


class Depthwise(Layer):
    """What depthwise and separable convolutions share: each channel is convolved with kernels of its own."""

    rank = 0

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = per_axis(kernel_size, self.rank, "kernel_size")
        self.strides = per_axis(strides, self.rank, "strides")
        self.dilation_rate = per_axis(dilation_rate, self.rank, "dilation_rate")
        self.padding, self.data_format = padding, data_format or "channels_first"
        self.depth_multiplier, self.use_bias = depth_multiplier, use_bias
        self.activation = activations.get(activation)
        self.depthwise_initializer, self.bias_initializer = depthwise_initializer, bias_initializer
        if padding not in ("valid", "same", "causal"):
            raise GraphError(f"padding is 'valid', 'same' or, in 1-D, 'causal', not {padding!r}")

    def _channels(self, input_shape: tuple[int | None, ...]) -> int:
        channels = input_shape[1 if self.data_format == "channels_first" else -1]
        if channels is None or len(input_shape) != self.rank + 2:
            raise ShapeError(f"{type(self).__name__} takes {self.rank + 2} axes and a known number of channels, not {input_shape}")
        return channels

    def _depthwise_weight(self, name: str, channels: int) -> Parameter:
        initializer = _per_channel(self.depthwise_initializer, channels)
        return self.add_weight(
            name=name,
            shape=(channels * self.depth_multiplier, 1, *self.kernel_size),
            initializer=initializer,
            regularizer=self._options.get("depthwise_regularizer"),
            constraint=self._options.get("depthwise_constraint"),
        )

    def _depthwise(self, x: Tensor, kernel: Parameter, bias: Parameter | None = None) -> Tensor:
        pads = padding_attributes(self.padding, self.kernel_size, x.shape[2:], self.strides, self.dilation_rate)
        groups = kernel.shape[0] // self.depth_multiplier
        return op.Conv(x, kernel, bias, strides=self.strides, dilations=self.dilation_rate, group=groups, **pads)


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
        kernel_size, strides, dilation_rate: one number, or one for each spatial axis.
        padding: ``valid`` (none), ``same`` (output size = ceil(input / stride)) or, in 1-D, ``causal``.
        depth_multiplier: how many kernels each channel has.
        data_format: ``channels_first`` (batch, channels, *space) or ``channels_last`` (batch, *space, channels).
    """

    weight_options = ("depthwise", "bias")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = self._channels(input_shape)
        self.kernel = self._depthwise_weight("kernel", channels)
        size = channels * self.depth_multiplier
        self.bias = self.add_weight(name="bias", shape=(size,), initializer=self.bias_initializer) if self.use_bias else None

    def call(self, x: Tensor) -> Tensor:
        y = self._depthwise(channels_first(x, self.data_format), self.kernel, self.bias)
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
        kernel_size, strides, padding, dilation_rate, depth_multiplier, data_format: as DepthwiseConv's.
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
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, depth_multiplier, data_format, dilation_rate, activation, use_bias,
            depthwise_initializer, bias_initializer, **kwargs,
        )  # fmt: skip
        self.filters, self.pointwise_initializer = filters, pointwise_initializer

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = self._channels(input_shape)
        self.depthwise_kernel = self._depthwise_weight("depthwise_kernel", channels)
        self.pointwise_kernel = self.add_weight(
            name="pointwise_kernel",
            shape=(self.filters, channels * self.depth_multiplier, *[1] * self.rank),
            initializer=in_keras_layout(self.pointwise_initializer, self.rank),
        )
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer=self.bias_initializer) if self.use_bias else None

    def call(self, x: Tensor) -> Tensor:
        y = self._depthwise(channels_first(x, self.data_format), self.depthwise_kernel)
        y = op.Conv(y, self.pointwise_kernel, self.bias)
        return self.activation(channels_back(y, self.data_format))


class SeparableConv1D(SeparableConv):
    """Separable 1-D convolution: (batch, channels, length) -> (batch, filters, new length)."""

    rank = 1


class SeparableConv2D(SeparableConv):
    """Separable 2-D convolution: (batch, channels, height, width) -> (batch, filters, new height, new width)."""

    rank = 2
