"""Writing by index: values put into, or added to, a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.converters.torch.aten import Size, aten, axis_of, cast, expanded, moved, reshaped, size_of, sizes_of, vector
from onnxdl.converters.torch.operators.shape import LAST
from onnxdl.errors import ConversionError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


@aten("index_put", "_unsafe_index_put")
def index_put(x: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    given = [(axis, i) for axis, i in enumerate(indices) if i is not None]
    values = values.astype(x.dtype)
    if len(given) == 1 and given[0][1].dtype == bool and not accumulate and values.ndim == 0:
        axis, mask = given[0]
        return op.Where(op.Unsqueeze(mask, list(range(mask.ndim, x.ndim - axis))) if x.ndim - axis > mask.ndim else mask, values, x)
    axes: list[int] = []
    places: list[Tensor] = []
    axis = 0
    for i in indices:
        if i is not None and i.dtype == bool:
            found = op.NonZero(i)
            places += [op.Squeeze(op.Slice(found, [k], [k + 1], [0]), [0]) for k in range(i.ndim)]
            axes += range(axis, axis + i.ndim)
        elif i is not None:
            places.append(i.astype(np.int64))
            axes.append(axis)
        axis += i.ndim if i is not None and i.dtype == bool else 1
    rest = [i for i in range(x.ndim) if i not in axes]
    common = places[0]
    for place in places[1:]:
        common = common + place * 0
    common = op.Shape(common * 0)
    stacked = op.Concat(*[op.Unsqueeze(op.Expand(p, common), [-1]) for p in places], axis=-1)
    rank = stacked.ndim - 1
    adjacent = axes == list(range(axes[0], axes[0] + len(axes)))
    before = axes[0] if adjacent else 0
    sizes = sizes_of(x)
    lead, tail = [sizes[i] for i in rest[:before]], [sizes[i] for i in rest[before:]]
    shape = op.Concat(np.array([], np.int64), *([vector(lead)] if lead else []), common, *([vector(tail)] if tail else []), axis=0)
    updates = op.Expand(values, shape)
    if before:
        updates = op.Transpose(updates, perm=[*range(before, before + rank), *range(before), *range(before + rank, updates.ndim)])
    order = axes + rest
    written = op.ScatterND(op.Transpose(x, perm=order), stacked, updates, reduction="add" if accumulate else "none")
    return op.Transpose(written, perm=[order.index(i) for i in range(x.ndim)])


def _cut(src: Tensor, index: Tensor) -> Tensor:
    """The part of ``src`` that an index of fewer elements names."""
    if src.shape == index.shape:
        return src
    return op.Slice(src, np.zeros(src.ndim, np.int64), op.Shape(index), list(range(src.ndim)))


@aten("scatter.src", "scatter.value", "scatter.reduce", "scatter.value_reduce")
def scatter(x: Tensor, dim: int, index: Tensor, src: Tensor | None = None, value: Any = None, reduce: str | None = None) -> Tensor:
    source = _cut(src, index) if src is not None else op.Expand(cast(value, x.dtype), op.Shape(index))
    reduction = {None: "none", "add": "add", "multiply": "mul"}[reduce]
    return op.ScatterElements(x, index, source, axis=axis_of(dim, x), reduction=reduction)


@aten("scatter_add")
def scatter_add(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    return op.ScatterElements(x, index, _cut(src, index), axis=axis_of(dim, x), reduction="add")


@aten("scatter_reduce.two")
def scatter_reduce(x: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool = True) -> Tensor:
    axis, source = axis_of(dim, x), _cut(src, index)
    ones = op.Expand(cast(1, x.dtype), op.Shape(index))
    if not include_self:
        neutral = {"sum": 0, "mean": 0, "prod": 1}.get(reduce)
        if neutral is None:
            raise ConversionError(f"reduce={reduce!r} without include_self has no equal here")
        x = op.ScatterElements(x, index, op.Expand(cast(neutral, x.dtype), op.Shape(index)), axis=axis)
    if reduce == "mean":
        counts = op.ScatterElements(x * 0 + int(include_self), index, ones, axis=axis, reduction="add")
        return op.ScatterElements(x, index, source, axis=axis, reduction="add") / op.Max(counts, 1.0)
    return op.ScatterElements(x, index, source, axis=axis, reduction={"sum": "add", "prod": "mul", "amax": "max", "amin": "min"}[reduce])


def _along_rows(x: Tensor, dim: int, index: Tensor, rows: Tensor, reduction: str) -> Tensor:
    axis = axis_of(dim, x)
    written = op.ScatterND(moved(x, axis, 0), op.Reshape(index, [-1, 1]).astype(np.int64), moved(rows, axis, 0), reduction=reduction)
    return moved(written, 0, axis)


@aten("index_add")
def index_add(x: Tensor, dim: int, index: Tensor, source: Tensor, alpha: Any = 1) -> Tensor:
    return _along_rows(x, dim, index, source if alpha == 1 else source * alpha, "add")


@aten("index_copy")
def index_copy(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    return _along_rows(x, dim, index, source, "none")


@aten("index_fill.int_Scalar", "index_fill.int_Tensor")
def index_fill(x: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    axis = axis_of(dim, x)
    sizes: list[Size] = sizes_of(x)
    sizes[axis] = size_of(op.Reshape(index, [-1]), 0)
    return _along_rows(x, dim, index, op.Expand(cast(value, x.dtype), vector(sizes)), "none")


@aten("masked_scatter")
def masked_scatter(x: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    mask = expanded(mask, sizes_of(x))
    order = op.CumSum(op.Reshape(mask, [-1]).astype(np.int64), np.int64(0)) - 1
    taken = op.Gather(op.Reshape(source, [-1]), op.Max(order, np.int64(0)))
    return op.Where(mask, reshaped(taken, sizes_of(x)), x)


@aten("slice_scatter")
def slice_scatter(x: Tensor, src: Tensor, dim: int = 0, start: Size | None = None, end: Size | None = None, step: int = 1) -> Tensor:
    start, end = 0 if start is None else start, LAST if end is None else end
    src = src.astype(x.dtype)
    if isinstance(start, int) and isinstance(end, int) and (start, step) == (0, 1) and end >= LAST:
        return expanded(src, sizes_of(x))
    axis = axis_of(dim, x)
    length = size_of(x, axis)
    places = op.Range(np.int64(0), length, np.int64(1)) if isinstance(length, Tensor) else np.arange(length, dtype=np.int64)
    if isinstance(places, np.ndarray) and isinstance(start, int) and isinstance(end, int):
        chosen: Any = places[start:end:step]
    else:
        chosen = op.Slice(places, vector([start]), vector([end]), [0], [step])
    return _along_rows(x, axis, chosen if isinstance(chosen, Tensor) else op.Identity(chosen), src, "none")


@aten("select_scatter")
def select_scatter(x: Tensor, src: Tensor, dim: int, index: Size) -> Tensor:
    place = op.Unsqueeze(index, [0]) if isinstance(index, Tensor) else op.Identity(np.array([index], np.int64))
    return _along_rows(x, dim, place, op.Unsqueeze(src.astype(x.dtype), [axis_of(dim, x)]), "none")


@aten("copy", "fill.Tensor", "fill.Scalar")
def copy(x: Tensor, src: Any = None, value: Any = None, non_blocking: bool = False) -> Tensor:
    return expanded(cast(src if src is not None else value, x.dtype), sizes_of(x))


@aten("zero")
def zero(x: Tensor) -> Tensor:
    return expanded(cast(0, x.dtype), sizes_of(x))
