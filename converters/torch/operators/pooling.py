"""Pooling, adaptive pooling included."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onnxdl.converters.torch.aten import Lacking, Size, aten, per_axis, size_of, vector
from onnxdl.converters.torch.operators.convolution import with_batch, without_batch
from onnxdl.errors import ConversionError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


def _enter_pools(rank: int) -> None:
    @aten(f"max_pool{rank}d")
    def max_pool(x: Tensor, kernel_size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False) -> Tensor:
        x, lacks = with_batch(x, rank)
        return without_batch(
            op.MaxPool(x, **_windows(rank, kernel_size, stride, padding, ceil_mode), dilations=per_axis(dilation, rank)), lacks
        )

    @aten(f"max_pool{rank}d_with_indices")
    def max_pool_with_indices(
        x: Tensor, kernel_size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
    ) -> tuple[Tensor, Tensor]:
        x, lacks = with_batch(x, rank)
        y, places = op.MaxPool(x, **_windows(rank, kernel_size, stride, padding, ceil_mode), dilations=per_axis(dilation, rank), outputs=2)
        area = _area(x)
        return without_batch(y, lacks), without_batch(op.Mod(places, area), lacks)

    @aten(f"avg_pool{rank}d")
    def avg_pool(
        x: Tensor,
        kernel_size: Any,
        stride: Any = (),
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Tensor:
        x, lacks = with_batch(x, rank)
        windows = _windows(rank, kernel_size, stride, padding, ceil_mode)
        if divisor_override:
            y = op.AveragePool(x, **windows, count_include_pad=1) * (math.prod(windows["kernel_shape"]) / divisor_override)
            if ceil_mode:
                raise ConversionError("divisor_override together with ceil_mode has no equal here")
        else:
            y = op.AveragePool(x, **windows, count_include_pad=int(count_include_pad))
        return without_batch(y, lacks)

    @aten(f"adaptive_avg_pool{rank}d", f"_adaptive_avg_pool{rank}d") if rank > 1 else aten("adaptive_avg_pool1d")
    def adaptive_avg_pool(x: Tensor, output_size: Sequence[Size]) -> Tensor:
        x, lacks = with_batch(x, rank)
        if all(n == 1 for n in output_size):
            return without_batch(op.ReduceMean(x, list(range(2, x.ndim)), keepdims=1), lacks)
        return without_batch(_adaptive(x, output_size, "AveragePool", _means), lacks)

    @aten(f"adaptive_max_pool{rank}d")
    def adaptive_max_pool(x: Tensor, output_size: Sequence[Size]) -> tuple[Tensor, Lacking]:
        x, lacks = with_batch(x, rank)
        return without_batch(_adaptive(x, output_size, "MaxPool", _maxima), lacks), Lacking("the indices of adaptive max pooling")


def _windows(rank: int, kernel: Any, stride: Any, padding: Any, ceil_mode: bool) -> dict[str, Any]:
    size = per_axis(kernel, rank)
    strides = per_axis(stride, rank) if stride or isinstance(stride, int) else size
    return {"kernel_shape": size, "strides": strides, "pads": per_axis(padding, rank) * 2, "ceil_mode": int(ceil_mode)}


def _area(x: Tensor) -> Any:
    known = [d for d in x.shape[2:] if isinstance(d, int)]
    return np.int64(math.prod(known)) if len(known) == x.ndim - 2 else op.ReduceProd(op.Shape(x, start=2), keepdims=0)


def _adaptive(x: Tensor, output_size: Sequence[Size], operator: str, along: Callable[[Tensor, int, list[range]], Tensor]) -> Tensor:
    """Window i of an axis of n places is [i n / m, (i + 1) n / m); equal ones are a plain pooling."""
    wanted = [size_of(x, i + 2) if m is None else m for i, m in enumerate(output_size)]
    changed = [
        (axis, m) for axis, m in enumerate(wanted, 2) if not (isinstance(m, int) and x.shape[axis] == m) and not isinstance(m, Tensor)
    ]
    if not changed:
        return x
    if any(not isinstance(x.shape[axis], int) for axis, m in changed if m != 1):
        raise ConversionError(f"pooling {x.shape} to {list(output_size)} needs known sizes of space; export the module with those fixed")
    sizes = {axis: x.shape[axis] for axis, _ in changed}
    window = [n // m for n, (_, m) in zip(sizes.values(), changed, strict=True) if isinstance(n, int) and n % m == 0]
    if len(window) == x.ndim - 2:
        y: Tensor = getattr(op, operator)(x, kernel_shape=window, strides=window)
        return y
    for axis, m in changed:
        n = x.shape[axis]
        if not isinstance(n, int):
            x = op.ReduceMean(x, [axis]) if operator == "AveragePool" else op.ReduceMax(x, [axis])
        else:
            x = along(x, axis, [range(i * n // m, -(-(i + 1) * n // m)) for i in range(m)])
    return x


def _means(x: Tensor, axis: int, windows: list[range]) -> Tensor:
    weights = np.zeros((windows[-1].stop, len(windows)), x.dtype)
    for i, window in enumerate(windows):
        weights[window, i] = 1 / len(window)
    last = [i for i in range(x.ndim) if i != axis] + [axis]
    y = op.MatMul(op.Transpose(x, perm=last), weights)
    return op.Transpose(y, perm=[last.index(i) for i in range(x.ndim)])


def _maxima(x: Tensor, axis: int, windows: list[range]) -> Tensor:
    longest = max(len(w) for w in windows)
    places = np.array([[w[min(k, len(w) - 1)] for k in range(longest)] for w in windows], np.int64)
    return op.ReduceMax(op.Gather(x, places, axis=axis), [axis + 1], keepdims=0)


for _rank in (1, 2, 3):
    _enter_pools(_rank)


@aten("max_unpool2d")
def max_unpool2d(x: Tensor, indices: Tensor, output_size: Sequence[Size]) -> Tensor:
    x, lacks = with_batch(x, 2)
    indices = op.Unsqueeze(indices, [0]) if lacks else indices
    lead = [size_of(x, 0), size_of(x, 1)]
    area = output_size[0] * output_size[1]
    flat = op.Expand(np.zeros(1, x.dtype), vector([*lead, area]))
    shape = vector([*lead, -1])
    y = op.ScatterElements(flat, op.Reshape(indices, shape), op.Reshape(x, shape), axis=2)
    return without_batch(op.Reshape(y, vector([*lead, *output_size])), lacks)
