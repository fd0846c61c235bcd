"""Convolutions. Kernels have ONNX's layout (filters, channels / groups, *kernel_size)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxdl.errors import ShapeError
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.convolution import Convolution, channels_back, channels_first, in_keras_layout


class Conv(Convolution):
    """Cross-correlation with ``filters`` kernels, plus bias and activation; the base of Conv1D, Conv2D and Conv3D.

    Args:
        filters: the number of output channels.
        kernel_size, strides, padding, data_format, dilation_rate: see Convolution.
        groups: the number of groups that channels and filters are split into.
        kwargs: ``activation``, ``use_bias``, the initializers, regularizers and constraints of kernel and bias.
    """

    paddings = ("valid", "same", "causal")

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(kernel_size, strides, padding, data_format, dilation_rate, **kwargs)
        self.filters, self.groups = filters, groups

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = self.channels_of(input_shape)
        if channels % self.groups or self.filters % self.groups:
            raise ShapeError(f"{type(self).__name__} cannot split {channels} channels and {self.filters} filters into {self.groups} groups")
        shape = (self.filters, channels // self.groups, *self.kernel_size)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=in_keras_layout(self.kernel_initializer, self.rank))
        self.bias = self.bias_of(self.filters)

    def call(self, x: Tensor) -> Tensor:
        y = self.convolved(channels_first(x, self.data_format), self.kernel, self.bias, self.groups)
        return self.activation(channels_back(y, self.data_format))


class Conv1D(Conv):
    """1-D convolution: (batch, channels, length) -> (batch, filters, new length)."""

    rank = 1


class Conv2D(Conv):
    """2-D convolution: (batch, channels, height, width) -> (batch, filters, new height, new width)."""

    rank = 2


class Conv3D(Conv):
    """3-D convolution: (batch, channels, depth, height, width) -> (batch, filters, ...)."""

    rank = 3
