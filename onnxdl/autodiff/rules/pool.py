"""Pooling. Averages spread their gradient over the window; a maximum passes it to the element that won, the first among equals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.autodiff.registry import vjp
from onnxdl.autodiff.rules.windows import Window, crop_spatial, merged, pad_spatial, scatter_windows, spatial, tap_slices, window_of
from onnxdl.autodiff.shapes import concat_dims, dim_of, expand_like, reshape_like, scatter_back
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor

MASKED_TAPS = 9


@vjp("MaxPool", multiple=True)
def max_pool(g: Sequence[Tensor | None], y: Sequence[Tensor], x: Tensor, *, storage_order: int, **attributes: Any) -> Any:
    incoming = g[0]
    assert incoming is not None  # the indices are integers
    window, pads = window_of(x, attributes["kernel_shape"], attributes)
    if pads is None and _tiles(window, x, incoming):
        return _to_first_winner(incoming, y[0], x, window)
    indices = y[1] if len(y) == 2 and not storage_order else op.MaxPool(x, outputs=2, **attributes)[1]
    return scatter_back(incoming, indices, x)


def _tiles(window: Window, x: Tensor, g: Tensor) -> bool:
    """Whether few-tap windows lie side by side, at sizes that are known."""
    side_by_side = (
        window.kernel == window.strides and not any(window.pads) and set(window.dilations) == {1} and len(window.taps) <= MASKED_TAPS
    )
    return side_by_side and all(
        z is not None and o is not None and o * k <= z for z, o, k in zip(spatial(x), spatial(g), window.kernel, strict=True)
    )


def _to_first_winner(g: Tensor, y: Tensor, x: Tensor, window: Window) -> Tensor:
    """Without Indices, which WebGPU lacks and whose scatter is slower: tap by tap, the first that equals the maximum takes all."""
    free: Tensor | None = None
    parts = []
    for part in tap_slices(x, window, y)[:-1]:
        wins = op.CastLike(op.Equal(part, y), g)
        won = wins if free is None else wins * free
        free = 1 - won if free is None else free - won
        parts.append(won * g)
    parts.append(g if free is None else free * g)
    interleaved = _interleave(parts, window.kernel, [o or 0 for o in spatial(g)])
    rest = [(z or 0) - (o or 0) * k for z, o, k in zip(spatial(x), spatial(g), window.kernel, strict=True)]
    return pad_spatial(interleaved, [0] * window.rank + rest)


def _interleave(parts: list[Tensor], kernel: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """Images of one tap each put together into the image that they were sliced from."""
    done = list(sizes)
    for axis in reversed(range(len(kernel))):
        k = kernel[axis]
        done[axis] = sizes[axis] * k
        shape = np.array([0, 0, *done], np.int64)
        groups = [parts[i : i + k] for i in range(0, len(parts), k)]
        parts = [op.Reshape(op.Concat(*(op.Unsqueeze(p, [axis + 3]) for p in group), axis=axis + 3), shape) for group in groups]
    return parts[0]


def gather_flat(x: Tensor, indices: Tensor) -> Tensor:
    """The elements of ``x`` at indices into its flattened elements."""
    return reshape_like(op.Gather(op.Reshape(x, [-1]), op.Reshape(indices, [-1])), indices)


@vjp("MaxUnpool")
def max_unpool(g: Tensor, y: Tensor, x: Tensor, indices: Tensor, output_shape: Tensor | None = None, **attributes: Any) -> Any:
    return gather_flat(g, indices)


@vjp("AveragePool")
def average_pool(g: Tensor, y: Tensor, x: Tensor, *, kernel_shape: list[int], count_include_pad: int, **attributes: Any) -> Any:
    window, pads = window_of(x, kernel_shape, attributes)
    share = g / _counts(g, x, window, pads, count_include_pad)
    if pads is None:
        return spread(share, x, window)
    padded = pad_spatial(x, pads)
    return crop_spatial(spread(share, padded, window), x, op.Slice(pads, [0], [window.rank]))


def spread(g: Tensor, x: Tensor, window: Window) -> Tensor:
    """Adds ``g`` to each element of ``x`` that its window reads: the adjoint of a sum over windows."""
    sizes, outs = spatial(x), spatial(g)
    exact = window.kernel == window.strides and not any(window.pads) and set(window.dilations) == {1}
    if exact and None not in sizes and all(z == (o or 0) * k for z, o, k in zip(sizes, outs, window.kernel, strict=True)):
        return repeat(g, window.kernel)
    images, like = merged(g), merged(x)
    weight = np.ones((1, 1, *window.kernel), g.dtype)
    return reshape_like(scatter_windows(images, weight, window, like), x)


def repeat(g: Tensor, times: Sequence[int]) -> Tensor:
    """Each element of ``g`` [N, C, ...] repeated along its spatial axes, neighbours first."""
    sizes = [d if d is not None else dim_of(g, i + 2) for i, d in enumerate(spatial(g))]
    n, c = dim_of(g, 0), dim_of(g, 1)
    wide = op.Unsqueeze(g, [3 + 2 * i for i in range(len(times))])
    filled = op.Expand(wide, np.array([1, 1, *(v for k in times for v in (1, k))], np.int64))
    lengths = [s * k if isinstance(s, int) else op.Mul(s, np.array([k], np.int64)) for s, k in zip(sizes, times, strict=True)]
    lead: list[Any] = [0, 0] if isinstance(n, Tensor) or isinstance(c, Tensor) else [n, c]
    return op.Reshape(filled, concat_dims(*lead, *lengths))


def _counts(g: Tensor, x: Tensor, window: Window, pads: Tensor | None, include_pad: int) -> Tensor | np.ndarray:
    """How many elements each output of an average was divided by, broadcastable to ``g``."""
    sizes, outs = spatial(x), spatial(g)
    if None in sizes or None in outs:
        return _counts_at_run_time(g, x, window, window.pads if pads is None else pads, include_pad)
    total = np.ones([1] * len(sizes))
    for axis, (z, out) in enumerate(zip(sizes, outs, strict=True)):
        begin, end = (window.begins[axis], window.ends[axis]) if include_pad else (0, 0)
        reads = np.arange(out or 0)[:, None] * window.strides[axis] + np.arange(window.kernel[axis]) * window.dilations[axis]
        reads = reads - window.begins[axis]
        count = ((reads >= -begin) & (reads < (z or 0) + end)).sum(axis=1)
        total = total * count.reshape([-1 if i == axis else 1 for i in range(len(sizes))])
    if total.size and (total == total.flat[0]).all():
        return np.array(total.flat[0], g.dtype)
    return total[None, None].astype(g.dtype)


def _counts_at_run_time(g: Tensor, x: Tensor, window: Window, pads: Tensor | Sequence[int], include_pad: int) -> Tensor:
    """Sums windows over ones; a window that ceil_mode lets reach past the edge counts what lies inside."""
    shape = op.Concat(np.array([1, 1], np.int64), op.Shape(x, start=2), axis=0)
    ones = pad_spatial(op.Expand(np.ones([1] * x.ndim, x.dtype), shape), pads, float(include_pad))
    wide = pad_spatial(ones, [0] * window.rank + [s - 1 for s in window.strides])
    weight = np.ones((1, 1, *window.kernel), g.dtype)
    return crop_spatial(op.Conv(wide, weight, strides=window.strides, dilations=window.dilations), g)


@vjp("LpPool")
def lp_pool(g: Tensor, y: Tensor, x: Tensor, *, kernel_shape: list[int], p: int, **attributes: Any) -> Any:
    window, pads = window_of(x, kernel_shape, attributes)
    share = _lp_share(g, y, p)
    padded = x if pads is None else pad_spatial(x, pads)
    back = spread(share, padded, window)
    return (back if pads is None else crop_spatial(back, x, op.Slice(pads, [0], [window.rank]))) * _lp_slope(x, p)


def _lp_share(g: Tensor, y: Tensor, p: int) -> Tensor:
    """``g * y^(1-p)``, zero where the norm is zero."""
    if p == 1:
        return g
    safe = op.Where(op.Equal(y, 0), 1, y)
    return g * op.Where(op.Equal(y, 0), 0, op.Pow(safe, 1 - p))


def _lp_slope(x: Tensor, p: int) -> Tensor:
    """``sign(x) * |x|^(p-1)``."""
    match p:
        case 1:
            return op.Sign(x)
        case 2:
            return x
        case _ if p % 2 == 0:
            return op.Pow(x, p - 1)
        case _:
            return op.Sign(x) * op.Pow(x, p - 1)


@vjp("GlobalLpPool")
def global_lp_pool(g: Tensor, y: Tensor, x: Tensor, *, p: int) -> Any:
    return _lp_share(g, y, p) * _lp_slope(x, p)


@vjp("GlobalAveragePool")
def global_average_pool(g: Tensor, y: Tensor, x: Tensor) -> Any:
    sizes = spatial(x)
    count: Any = np.array(np.prod([z or 0 for z in sizes]), x.dtype)
    if None in sizes:
        count = op.Cast(op.ReduceProd(op.Shape(x, start=2), keepdims=0), to=x.dtype)
    return expand_like(g / count, x)


@vjp("GlobalMaxPool")
def global_max_pool(g: Tensor, y: Tensor, x: Tensor) -> Any:
    winners = op.CastLike(op.Equal(x, y), x)
    return g * winners / op.ReduceSum(winners, list(range(2, x.ndim)))
