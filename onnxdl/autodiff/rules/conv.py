r"""Convolution and transposed convolution.

The gradient of the input is the other one of the two. The gradient of the weights,
:math:`dW_{mck} = \sum_{n,p} g_{nmp} x_{nc,sp+dk-b}`, is one of several equal graphs; which one is fast depends on the shape.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from onnxdl.autodiff.registry import vjp
from onnxdl.autodiff.rules.windows import Window, crop_spatial, pad_spatial, scatter_windows, spatial, tap_slices, window_of
from onnxdl.autodiff.shapes import concat_dims, dim_of
from onnxdl.errors import GradientError
from onnxdl.graph import blocked, op, winograd
from onnxdl.graph.infer import dims
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import current_trace

FEW_CHANNELS = 4
SHIFTED_CHANNELS_TIMES_KERNEL = 96
SHIFTED_AREA = 196


@vjp("Conv")
def conv(g: Tensor, y: Tensor, x: Tensor, w: Tensor, b: Tensor | None = None, *, group: int, **attributes: Any) -> Any:
    window, pads = window_of(x, _kernel(w), attributes)
    db = None if b is None else _channel_sum(g)
    if pads is None:
        return _conv_dx(g, x, w, window, group), weight_gradient(g, x, window, group), db
    padded = pad_spatial(x, pads)
    begins = op.Slice(pads, [0], [window.rank])
    return crop_spatial(_conv_dx(g, padded, w, window, group), x, begins), weight_gradient(g, padded, window, group), db


def _conv_dx(g: Tensor, x: Tensor, w: Tensor, window: Window, group: int) -> Tensor:
    unit = set(window.strides) == {1}
    if unit and group == 1 and set(window.kernel) == {1} and not any(window.pads):
        return op.Conv(g, op.Transpose(w, perm=[1, 0, *range(2, w.ndim)]))
    fits = all(e - 1 >= p for e, p in zip(window.extents * 2, window.pads, strict=True))
    if unit and fits and group > 1 and _channels(x) == group == _channels(g):
        n = window.rank
        flipped = op.Slice(w, [-1] * n, [-(2**31)] * n, list(range(2, n + 2)), [-1] * n)
        pads = [e - 1 - p for e, p in zip(window.extents * 2, window.pads, strict=True)]
        return op.Conv(g, flipped, pads=pads, dilations=window.dilations, group=group)
    return scatter_windows(g, w, window, x, group)


@vjp("ConvTranspose")
def conv_transpose(g: Tensor, y: Tensor, x: Tensor, w: Tensor, b: Tensor | None = None, *, group: int, **attributes: Any) -> Any:
    window, pads = _transposed_window(x, w, attributes)
    db = None if b is None else _channel_sum(g)
    if pads is not None:
        g = pad_spatial(g, pads)
    dx = op.Conv(g, w, strides=window.strides, dilations=window.dilations, pads=window.pads, group=group)
    return crop_spatial(dx, x) if _may_overhang(attributes, window) else dx, weight_gradient(x, g, window, group), db


def _may_overhang(attributes: dict[str, Any], window: Window) -> bool:
    """Whether the output may reach a stride or more past the last window."""
    extra = attributes.get("output_padding") or [0] * window.rank
    return bool(attributes.get("output_shape")) or any(e >= s for e, s in zip(extra, window.strides, strict=True))


def _transposed_window(x: Tensor, w: Tensor, attributes: dict[str, Any]) -> tuple[Window, Tensor | None]:
    mode, shape = attributes.get("auto_pad") or "NOTSET", attributes.get("output_shape")
    window, _ = window_of(x, _kernel(w), {**attributes, "auto_pad": mode if mode == "VALID" else "NOTSET"})
    if not shape and mode in ("NOTSET", "VALID"):
        return window, None
    extra = attributes.get("output_padding") or [0] * window.rank
    sizes = spatial(x)
    if not shape:  # SAME: the output is stride times the input, whatever that is
        totals = [max(0, e + o - s) for e, o, s in zip(window.extents, extra, window.strides, strict=True)]
    elif None in sizes:
        return window.unpadded(), _pads_for_shape(x, window, shape[-window.rank :], extra, mode)
    else:
        full = [s * ((z or 0) - 1) + o + e for s, z, o, e in zip(window.strides, sizes, extra, window.extents, strict=True)]
        totals = [max(0, f - z) for f, z in zip(full, shape[-window.rank :], strict=True)]
    small = tuple(t // 2 for t in totals)
    large = tuple(t - s for t, s in zip(totals, small, strict=True))
    begins, ends = (small, large) if mode == "SAME_UPPER" else (large, small)
    return replace(window, begins=begins, ends=ends), None


def _pads_for_shape(x: Tensor, window: Window, shape: list[int], extra: list[int], mode: str) -> Tensor:
    reach = np.array([o + e for o, e in zip(extra, window.extents, strict=True)], np.int64)
    full = (op.Shape(x, start=2) - 1) * np.array(window.strides, np.int64) + reach
    total = op.Max(full - np.array(shape, np.int64), np.array([0], np.int64))
    half = op.Div(total, np.array([2], np.int64))
    return op.Concat(*((half, total - half) if mode == "SAME_UPPER" else (total - half, half)), axis=0)


def _kernel(w: Tensor) -> tuple[int, ...]:
    known = spatial(w)
    if None in known:
        raise GradientError(f"the gradient of a convolution needs the kernel size; the weight {w.name or ''} has the shape {w.shape}")
    return tuple(k for k in known if k is not None)


def _channels(x: Tensor) -> int | None:
    known = dims(x.value)
    return known[1] if known is not None and isinstance(known[1], int) else None


def _channel_sum(g: Tensor) -> Tensor:
    return op.ReduceSum(g, [0, *range(2, g.ndim)], keepdims=0)


# ---- the gradient of the weights ---------------------------------------------------------------------------------------


def weight_gradient(g: Tensor, x: Tensor, window: Window, group: int) -> Tensor:
    """The gradient [M, C / group, *kernel] of the weights of ``Conv(x)``, given the gradient ``g`` of its output.

    The choice among equal forms follows measurements on the CPU provider, by what is known of the shape.
    """
    channels, out_channels = _channels(x), _channels(g)
    unit = set(window.strides) == {1} and set(window.dilations) == {1}
    if group == 1 and unit and (form := _winograd_form(g, x, window)) is not None:
        return winograd.weight_gradient(g, x, window.pads, form)
    if group > 1:
        if channels == group == out_channels:
            if blocks := _blocks(g, x, window):
                pads, strides, dilations = window.pads, window.strides, window.dilations
                return blocked.depthwise_weight_gradient(
                    g, x, blocks, kernel=window.kernel, pads=pads, strides=strides, dilations=dilations
                )
            return _by_taps(g, x, window)
        return _by_convolution(g, x, window, group)
    if channels is None or out_channels is None:
        return _by_convolution(g, x, window, group)
    if unit and set(window.kernel) == {1} and not any(window.pads):
        return _pointwise(g, x)
    static = None not in spatial(x) and None not in spatial(g)
    if channels <= FEW_CHANNELS and math.prod(window.kernel) < 49:
        return _by_columns(g, x, window, channels, out_channels)
    if not static or channels <= FEW_CHANNELS:
        return _by_convolution(g, x, window, group)
    large = math.prod(z or 0 for z in spatial(g)) >= SHIFTED_AREA or channels <= 2 * FEW_CHANNELS
    if unit and window.rank == 2 and large and channels * max(window.kernel) <= SHIFTED_CHANNELS_TIMES_KERNEL:
        return _by_separable_shifts(g, x, window, channels, out_channels)
    return _by_gather(g, x, window, channels, out_channels)


def _blocks(g: Tensor, x: Tensor, window: Window) -> int:
    """The channels in a block of the CPU's own kernels, 0 where those do not serve a depthwise convolution."""
    trace, channels = current_trace(), _channels(x) or 0
    if trace is None or trace.target.device != "cpu" or x.dtype != np.float32 or window.rank != 2 or None in (*spatial(x), *spatial(g)):
        return 0
    sizes = ([channels, *(d or 0 for d in spatial(t))] for t in (x, g))
    return blocked.block_size() if blocked.is_worth_it(next(sizes), [channels, 1, *window.kernel], next(sizes), channels, (1,)) else 0


def _winograd_form(g: Tensor, x: Tensor, window: Window) -> winograd.Form | None:
    """How the forward pass will be written on the CPU (see ``graph.passes.convolutions``): its transform of x then serves here too."""
    trace, sizes = current_trace(), [_channels(x), *spatial(x), _channels(g), *spatial(g)]
    if trace is None or trace.target.device != "cpu" or window.kernel not in [(r, r) for r in winograd.KERNELS] or x.dtype != np.float32:
        return None
    channels, _, _, filters, *space = (d or 0 for d in sizes)
    return None if 0 in sizes or None in sizes else winograd.best_form(window.kernel[0], channels, filters, space, trace.target.exact)


def _flat(x: Tensor, *lead: int) -> Tensor:
    """The spatial axes of ``x`` [N, C, ...] made one, C written as ``lead`` where known."""
    return op.Reshape(x, np.array([0, *(lead or (0,)), -1], np.int64))


def _pointwise(g: Tensor, x: Tensor) -> Tensor:
    product = op.ReduceSum(op.MatMul(_flat(g), op.Transpose(_flat(x), perm=[0, 2, 1])), [0], keepdims=0)
    return op.Unsqueeze(product, list(range(2, x.ndim)))


def _by_taps(g: Tensor, x: Tensor, window: Window) -> Tensor:
    """Depthwise: each tap's weight meets its own channel only."""
    axes = [0, *range(2, x.ndim)]
    sums = [op.ReduceSum(g * part, axes, keepdims=0) for part in tap_slices(pad_spatial(x, window.pads), window, g)]
    return op.Reshape(op.Concat(*(op.Unsqueeze(s, [1]) for s in sums), axis=1), np.array([-1, 1, *window.kernel], np.int64))


def _by_columns(g: Tensor, x: Tensor, window: Window, channels: int, out_channels: int) -> Tensor:
    """The input unrolled into columns [N, K * C, P], times the gradient [N, P, M], summed over the batch."""
    parts = tap_slices(pad_spatial(x, window.pads), window, g)
    columns = _flat(op.Concat(*parts, axis=1) if len(parts) > 1 else parts[0], len(parts) * channels)
    product = op.ReduceSum(op.MatMul(columns, op.Transpose(_flat(g, out_channels), perm=[0, 2, 1])), [0], keepdims=0)
    taps_first = op.Reshape(product, np.array([len(parts), channels, out_channels], np.int64))
    return op.Reshape(op.Transpose(taps_first, perm=[2, 1, 0]), np.array([out_channels, channels, *window.kernel], np.int64))


def _by_separable_shifts(g: Tensor, x: Tensor, window: Window, channels: int, out_channels: int) -> Tensor:
    """Two dimensions, stride 1: shifts along the width of ``x`` and along the height of ``g`` meet in one product."""
    height, width = window.kernel
    out_width = spatial(g)[1] or 0
    padded = pad_spatial(x, window.pads)
    rows = (spatial(g)[0] or 0) + height - 1
    wide = [op.Slice(padded, [0, j], [rows, j + out_width], [2, 3]) for j in range(width)]
    tall = [pad_spatial(g, [i, 0, height - 1 - i, 0]) for i in range(height)]
    a = _flat(op.Concat(*tall, axis=1) if height > 1 else tall[0], height * out_channels)
    b = _flat(op.Concat(*wide, axis=1) if width > 1 else wide[0], width * channels)
    product = op.ReduceSum(op.MatMul(a, op.Transpose(b, perm=[0, 2, 1])), [0], keepdims=0)
    split = op.Reshape(product, np.array([height, out_channels, width, channels], np.int64))
    return op.Transpose(split, perm=[1, 3, 0, 2])


def _by_gather(g: Tensor, x: Tensor, window: Window, channels: int, out_channels: int) -> Tensor:
    """Channels last: a gather of rows of C numbers makes [N * P, K * C], one Gemm the rest."""
    n = window.rank
    last = [0, *range(2, n + 2), 1]
    padded = op.Transpose(pad_spatial(x, window.pads), perm=last)
    sizes = [(z or 0) + b + e for z, b, e in zip(spatial(x), window.begins, window.ends, strict=True)]
    reads = []
    for out, k, s, d in zip(spatial(g), window.kernel, window.strides, window.dilations, strict=True):
        reads.append(np.arange(out or 0)[:, None] * s + np.arange(k) * d)
    index = np.zeros([1] * (2 * n), np.int64)
    for axis, read in enumerate(reads):
        shape = [1] * (2 * n)
        shape[axis], shape[n + axis] = read.shape
        index = index * sizes[axis] + read.reshape(shape)
    rows = op.Reshape(padded, np.array([0, math.prod(sizes), channels], np.int64))
    taps = math.prod(window.kernel)
    columns = op.Reshape(op.Gather(rows, index.reshape(-1), axis=1), np.array([-1, taps * channels], np.int64))
    gradient = op.Reshape(op.Transpose(g, perm=last), np.array([-1, out_channels], np.int64))
    product = op.Reshape(op.Gemm(gradient, columns, transA=1), np.array([out_channels, taps, channels], np.int64))
    return op.Reshape(op.Transpose(product, perm=[0, 2, 1]), np.array([out_channels, channels, *window.kernel], np.int64))


def _by_convolution(g: Tensor, x: Tensor, window: Window, group: int) -> Tensor:
    """Any case: a convolution of the transposed tensors, the batch as channels, strides and dilations exchanged."""
    inputs, kernels = _batch_as_channels(x, group, (2, 1, 0)), _batch_as_channels(g, group, (1, 2, 0))
    found = op.Conv(inputs, kernels, strides=window.dilations, dilations=window.strides, pads=window.pads, group=group)
    n = window.rank
    found = op.Slice(found, [0] * n, window.kernel, list(range(2, n + 2)))
    if group == 1:
        return op.Transpose(found, perm=[1, 0, *range(2, n + 2)])
    split = op.Reshape(found, np.array([0, group, -1, *window.kernel], np.int64))
    swapped = op.Transpose(split, perm=[1, 2, 0, *range(3, n + 3)])
    return op.Reshape(swapped, concat_dims(-1, dim_of(inputs, 0), *window.kernel))


def _batch_as_channels(x: Tensor, group: int, order: tuple[int, int, int]) -> Tensor:
    """``x`` [N, G * C, ...] as [C, G * N, ...] for the input, [G * C, N, ...] for the kernels."""
    n = x.ndim - 2
    if group == 1:
        return op.Transpose(x, perm=[1, 0, *range(2, n + 2)])
    sizes = [d if d is not None else dim_of(x, i + 2) for i, d in enumerate(spatial(x))]
    known = dims(x.value)
    channels: Any = dim_of(x, 1) if known is None or not isinstance(known[1], int) else np.array([known[1]], np.int64)
    each = op.Div(channels, np.array([group], np.int64)) if isinstance(channels, Tensor) else channels // group
    split = op.Reshape(x, concat_dims(dim_of(x, 0), group, each, *sizes))
    axes = {"n": 0, "g": 1, "c": 2}
    perm = [axes["c"], axes["g"], axes["n"]] if order == (2, 1, 0) else [axes["g"], axes["c"], axes["n"]]
    swapped = op.Transpose(split, perm=[*perm, *range(3, n + 3)])
    shape = concat_dims(each, -1, *sizes) if order == (2, 1, 0) else concat_dims(-1, dim_of(x, 0), *sizes)
    return op.Reshape(swapped, shape)
