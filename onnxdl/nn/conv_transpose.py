"""Transposed convolutions. Kernels have ONNX's layout (channels, filters, *kernel_size)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import activations
from onnxdl.nn.conv import channels_back, channels_first, in_keras_layout, per_axis
from onnxdl.nn.layer import Layer


class ConvTranspose(Layer):
    """The transpose of a convolution, plus bias and activation; the base of Conv1DTranspose, 2D and 3D.

    Args:
        filters: the number of output channels.
        kernel_size, strides, dilation_rate: one number, or one for each spatial axis.
        padding: ``valid`` (output size (n - 1) * stride + max(kernel, stride)) or ``same`` (n * stride).
        output_padding: sizes added to the output's end, in place of those that make the sizes above.
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
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters, self.use_bias = filters, use_bias
        self.kernel_size = per_axis(kernel_size, self.rank, "kernel_size")
        self.strides = per_axis(strides, self.rank, "strides")
        self.dilation_rate = per_axis(dilation_rate, self.rank, "dilation_rate")
        self.output_padding = None if output_padding is None else per_axis(output_padding, self.rank, "output_padding")
        self.padding, self.data_format = padding, data_format or "channels_first"
        self.activation = activations.get(activation)
        self.kernel_initializer, self.bias_initializer = kernel_initializer, bias_initializer
        if padding not in ("valid", "same"):
            raise GraphError(f"padding is 'valid' or 'same', not {padding!r}")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = input_shape[1 if self.data_format == "channels_first" else -1]
        if channels is None or len(input_shape) != self.rank + 2:
            raise ShapeError(f"{type(self).__name__} takes {self.rank + 2} axes and a known number of channels, not {input_shape}")
        shape = (channels, self.filters, *self.kernel_size)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=in_keras_layout(self.kernel_initializer, self.rank))
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer=self.bias_initializer) if self.use_bias else None

    def call(self, x: Tensor) -> Tensor:
        before, after, beyond = zip(*[self._pads(axis) for axis in range(self.rank)], strict=True)
        y = op.ConvTranspose(
            channels_first(x, self.data_format),
            self.kernel,
            self.bias,
            strides=self.strides,
            dilations=self.dilation_rate,
            pads=[*before, *after],
            output_padding=list(beyond),
        )
        return self.activation(channels_back(y, self.data_format))

    def _pads(self, axis: int) -> tuple[int, int, int]:
        """What is cut off at both ends of an axis, and what is added at its end."""
        stride = self.strides[axis]
        reach = (self.kernel_size[axis] - 1) * self.dilation_rate[axis]
        given = None if self.output_padding is None else self.output_padding[axis]
        if self.padding == "valid":
            return 0, 0, max(stride - reach - 1, 0) if given is None else given
        kept = stride + reach - 1 if given is None else reach + (reach + 1) % 2 - 1 + given
        left = min(kept - kept // 2, reach)
        right = kept - left
        return reach - left, max(reach - right, 0), max(right - reach, 0)


class Conv1DTranspose(ConvTranspose):
    """Transposed 1-D convolution: (batch, channels, length) -> (batch, filters, new length)."""

    rank = 1


class Conv2DTranspose(ConvTranspose):
    """Transposed 2-D convolution: (batch, channels, height, width) -> (batch, filters, new height, new width)."""

    rank = 2


class Conv3DTranspose(ConvTranspose):
    """Transposed 3-D convolution: (batch, channels, depth, height, width) -> (batch, filters, ...)."""

    rank = 3
