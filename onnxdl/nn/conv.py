"""Convolutions. Kernels have ONNX's layout (filters, channels / groups, *kernel_size)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import op
from onnxdl.graph.dtypes import DTypeLike
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import activations, initializers
from onnxdl.nn.layer import Layer


def per_axis(value: int | Sequence[int], rank: int, name: str) -> list[int]:
    """One number for each spatial axis, from one for all or one each."""
    values = [value] * rank if isinstance(value, int) else list(value)
    if len(values) != rank:
        raise GraphError(f"{name} needs one number or {rank}, not {value!r}")
    return [int(v) for v in values]


def channels_first(x: Tensor, data_format: str) -> Tensor:
    """``x`` with its channels on axis 1."""
    return x if data_format == "channels_first" else op.Transpose(x, perm=[0, x.ndim - 1, *range(1, x.ndim - 1)])


def channels_back(x: Tensor, data_format: str) -> Tensor:
    """``x``, whose channels are on axis 1, in ``data_format``."""
    return x if data_format == "channels_first" else op.Transpose(x, perm=[0, *range(2, x.ndim), 1])


def in_keras_layout(initializer: Any, rank: int) -> Any:
    """An initializer for (out, in, *kernel) whose fans are those of Keras's (*kernel, in, out)."""
    inner = initializers.get(initializer)
    perm = [rank + 1, rank, *range(rank)]

    def initialize(shape: tuple[int, ...], dtype: DTypeLike, key: Tensor) -> Tensor:
        return op.Transpose(inner((*shape[2:], shape[1], shape[0]), dtype, key), perm=perm)

    return initialize


class Conv(Layer):
    """Cross-correlation with ``filters`` kernels, plus bias and activation; the base of Conv1D, Conv2D and Conv3D.

    Args:
        filters: the number of output channels.
        kernel_size, strides, dilation_rate: one number, or one for each spatial axis.
        padding: ``valid`` (none), ``same`` (output size = ceil(input / stride)) or, in 1-D, ``causal``.
        groups: the number of groups that channels and filters are split into.
        data_format: ``channels_first`` (batch, channels, *space) or ``channels_last`` (batch, *space, channels).
    """

    weight_options = ("kernel", "bias")
    rank = 0

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters, self.groups, self.use_bias = filters, groups, use_bias
        self.kernel_size = per_axis(kernel_size, self.rank, "kernel_size")
        self.strides = per_axis(strides, self.rank, "strides")
        self.dilation_rate = per_axis(dilation_rate, self.rank, "dilation_rate")
        self.padding, self.data_format = padding, data_format or "channels_first"
        self.activation = activations.get(activation)
        self.kernel_initializer, self.bias_initializer = kernel_initializer, bias_initializer
        if padding not in ("valid", "same", "causal"):
            raise GraphError(f"padding is 'valid', 'same' or, in 1-D, 'causal', not {padding!r}")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if len(input_shape) != self.rank + 2:
            raise ShapeError(f"{type(self).__name__} takes {self.rank + 2} axes (batch, channels, {self.rank} of space), not {input_shape}")
        channels = input_shape[1 if self.data_format == "channels_first" else -1]
        if channels is None or channels % self.groups:
            raise ShapeError(
                f"{type(self).__name__} cannot split the channels of {input_shape} ({self.data_format}) into {self.groups} groups"
            )
        shape = (self.filters, channels // self.groups, *self.kernel_size)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=in_keras_layout(self.kernel_initializer, self.rank))
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer=self.bias_initializer) if self.use_bias else None

    def call(self, x: Tensor) -> Tensor:
        x = channels_first(x, self.data_format)
        pads = padding_attributes(self.padding, self.kernel_size, x.shape[2:], self.strides, self.dilation_rate)
        y = op.Conv(x, self.kernel, self.bias, strides=self.strides, dilations=self.dilation_rate, group=self.groups, **pads)
        return self.activation(channels_back(y, self.data_format))


def padding_attributes(
    padding: str, kernel_size: Sequence[int], space: Sequence[Any], strides: Sequence[int], dilation_rate: Sequence[int]
) -> dict[str, Any]:
    """The attributes of Conv and the pools for Keras's paddings; ``same`` is worked out here wherever sizes are known."""
    if padding == "causal":
        return {"pads": [dilation_rate[0] * (kernel_size[0] - 1), 0]}
    if padding == "valid":
        return {}
    totals = []
    for k, size, stride, dilation in zip(kernel_size, space, strides, dilation_rate, strict=True):
        reach = (k - 1) * dilation
        if stride == 1:
            totals.append(reach)
        elif isinstance(size, int):
            totals.append(max((-(-size // stride) - 1) * stride + reach + 1 - size, 0))
        else:
            return {"auto_pad": "SAME_UPPER"}
    return {"pads": [t // 2 for t in totals] + [t - t // 2 for t in totals]}


class Conv1D(Conv):
    """1-D convolution: (batch, channels, length) -> (batch, filters, new length)."""

    rank = 1


class Conv2D(Conv):
    """2-D convolution: (batch, channels, height, width) -> (batch, filters, new height, new width)."""

    rank = 2


class Conv3D(Conv):
    """3-D convolution: (batch, channels, depth, height, width) -> (batch, filters, ...)."""

    rank = 3
