"""Convolutions, and patches of images as columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.converters.torch.aten import Size, aten, per_axis, vector
from onnxdl.errors import ConversionError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


def _convolved(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int, output_padding: Any = None
) -> Tensor:
    """A convolution, or a transposed one where ``output_padding`` is given; an input without a batch gets one meanwhile."""
    rank = weight.ndim - 2
    if x.ndim == rank + 1:
        y = _convolved(op.Unsqueeze(x, [0]), weight, bias, stride, padding, dilation, groups, output_padding)
        return op.Squeeze(y, [0])
    dilations, kernel = per_axis(dilation, rank), weight.shape[2:]
    pads = per_axis(padding, rank) * 2 if not isinstance(padding, str) else _pads(padding, kernel, dilations)
    shared: dict[str, Any] = {"strides": per_axis(stride, rank), "pads": pads, "dilations": dilations, "group": groups}
    inputs = (x, weight) if bias is None else (x, weight, bias)
    if output_padding is None:
        return op.Conv(*inputs, **shared)
    return op.ConvTranspose(*inputs, **shared, output_padding=per_axis(output_padding, rank))


def _pads(padding: str, kernel: Sequence[Any], dilations: Sequence[int]) -> list[int]:
    if padding == "valid":
        return [0] * (2 * len(kernel))
    totals = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
    return [t // 2 for t in totals] + [t - t // 2 for t in totals]


@aten("conv1d", "conv2d", "conv3d", "conv1d.padding", "conv2d.padding", "conv3d.padding")
def conv(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    return _convolved(input, weight, bias, stride, padding, dilation, groups)


@aten("conv_transpose1d", "conv_transpose2d.input", "conv_transpose3d.input")
def conv_transpose(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    return _convolved(input, weight, bias, stride, padding, dilation, groups, output_padding)


@aten("convolution")
def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Tensor:
    return _convolved(input, weight, bias, stride, padding, dilation, groups, output_padding if transposed else None)


@aten("im2col")
def im2col(x: Tensor, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Tensor:
    kernel, channels = per_axis(kernel_size, 2), x.shape[-3]
    if not isinstance(channels, int):
        raise ConversionError("the number of channels must be known; export the module with it fixed")
    area = kernel[0] * kernel[1]
    picks = np.tile(np.eye(area, dtype=x.dtype).reshape(area, 1, *kernel), (channels, 1, 1, 1))
    y = _convolved(x if x.ndim == 4 else op.Unsqueeze(x, [0]), op.Identity(picks), None, stride, padding, dilation, channels)
    columns = op.Reshape(y, [0, channels * area, -1])
    return columns if x.ndim == 4 else op.Squeeze(columns, [0])


@aten("col2im")
def col2im(x: Tensor, output_size: Sequence[Size], kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Tensor:
    pads = per_axis(padding, 2) * 2
    y = op.Col2Im(
        x if x.ndim == 3 else op.Unsqueeze(x, [0]),
        vector(output_size),
        np.array(per_axis(kernel_size, 2), np.int64),
        dilations=per_axis(dilation, 2),
        pads=pads,
        strides=per_axis(stride, 2),
    )
    return y if x.ndim == 3 else op.Squeeze(y, [0])


def with_batch(x: Tensor, rank: int) -> tuple[Tensor, bool]:
    """``x`` with a batch axis, and whether it had none."""
    lacks = x.ndim == rank + 1
    return (op.Unsqueeze(x, [0]), True) if lacks else (x, False)


def without_batch(y: Tensor, lacks: bool) -> Tensor:
    """The batch axis taken off again where it was put on."""
    return op.Squeeze(y, [0]) if lacks else y
