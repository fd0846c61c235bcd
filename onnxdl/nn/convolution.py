"""What layers over space share: sizes, paddings and data formats; and the base of all convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import op
from onnxdl.graph.dtypes import DTypeLike
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import activations, initializers
from onnxdl.nn.data_format import format_of
from onnxdl.nn.layer import Layer
from onnxdl.nn.parameter import Parameter


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


def sizes_after(
    padding: str, kernel_size: Sequence[int], space: Sequence[int], strides: Sequence[int], dilation_rate: Sequence[int]
) -> list[int]:
    """The sizes of space that a convolution leaves, with the padding ``valid`` or ``same``."""
    reach = [0 if padding == "same" else (k - 1) * d for k, d in zip(kernel_size, dilation_rate, strict=True)]
    return [-(-(n - r) // s) for n, r, s in zip(space, reach, strides, strict=True)]


def known_channels(layer: Layer, input_shape: tuple[int | None, ...], rank: int, before: int, data_format: str) -> int:
    """The number of channels of a layer's input, which lie before ``rank`` axes of space or behind them, and after ``before`` others."""
    axes = before + 1 + rank
    channels = input_shape[before if data_format == "channels_first" else -1] if len(input_shape) == axes else None
    if channels is None:
        raise ShapeError(f"{type(layer).__name__} takes {axes} axes and a known number of channels, not {input_shape}")
    return channels


class Convolution(Layer):
    """The base of all convolutions: windows of ``kernel_size`` over space, then bias and activation.

    Args:
        kernel_size, strides, dilation_rate: one number, or one for each spatial axis.
        padding: ``valid`` (none), ``same`` (output size = ceil(input / stride)) or, in 1-D, ``causal``.
        data_format: ``channels_first`` (batch, channels, *space) or ``channels_last`` (batch, *space, channels).
        activation, use_bias, kernel_initializer, bias_initializer: as Dense's.
    """

    weight_options: ClassVar[tuple[str, ...]] = ("kernel", "bias")
    rank = 0
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")

    def __init__(
        self, kernel_size: int | Sequence[int], strides: int | Sequence[int] = 1, padding: str = "valid",
        data_format: str | None = None, dilation_rate: int | Sequence[int] = 1, activation: Any = None, use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.kernel_size = per_axis(kernel_size, self.rank, "kernel_size")
        self.strides = per_axis(strides, self.rank, "strides")
        self.dilation_rate = per_axis(dilation_rate, self.rank, "dilation_rate")
        self.padding, self.data_format = padding, format_of(data_format)
        self.activation, self.use_bias = activations.get(activation), use_bias
        self.kernel_initializer, self.bias_initializer = kernel_initializer, bias_initializer
        if padding not in self.paddings or (padding == "causal" and self.rank != 1):
            raise GraphError(f"padding is 'valid', 'same' or, in 1-D convolutions, 'causal', not {padding!r}")

    def channels_of(self, input_shape: tuple[int | None, ...]) -> int:
        """The number of input channels."""
        return known_channels(self, input_shape, self.rank, 1, self.data_format)

    def bias_of(self, size: int) -> Parameter | None:
        """The bias, None if the layer has none."""
        return self.add_weight(name="bias", shape=(size,), initializer=self.bias_initializer) if self.use_bias else None

    def convolved(self, x: Tensor, kernel: Parameter, bias: Parameter | None, groups: int) -> Tensor:
        """The convolution itself, channels first."""
        pads = padding_attributes(self.padding, self.kernel_size, x.shape[2:], self.strides, self.dilation_rate)
        return op.Conv(x, kernel, bias, strides=self.strides, dilations=self.dilation_rate, group=groups, **pads)
