"""Transposed convolutions. Kernels have ONNX's layout (channels, filters, *kernel_size)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.convolution import Convolution, channels_back, channels_first, in_keras_layout, per_axis


class ConvTranspose(Convolution):
    """The transpose of a convolution, plus bias and activation; the base of Conv1DTranspose, 2D and 3D.

    Args:
        filters: the number of output channels.
        kernel_size, strides, data_format, dilation_rate: see Convolution.
        padding: ``valid`` (output size (n - 1) * stride + max(kernel, stride)) or ``same`` (n * stride).
        output_padding: sizes added to the output's end, in place of those that make the sizes above.
        kwargs: ``activation``, ``use_bias``, the initializers, regularizers and constraints of kernel and bias.
    """

    def __init__(
        self, filters: int, kernel_size: int | Sequence[int], strides: int | Sequence[int] = 1, padding: str = "valid",
        output_padding: int | Sequence[int] | None = None, data_format: str | None = None, dilation_rate: int | Sequence[int] = 1,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(kernel_size, strides, padding, data_format, dilation_rate, **kwargs)
        self.filters = filters
        self.output_padding = None if output_padding is None else per_axis(output_padding, self.rank, "output_padding")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = (self.channels_of(input_shape), self.filters, *self.kernel_size)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=in_keras_layout(self.kernel_initializer, self.rank))
        self.bias = self.bias_of(self.filters)

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
