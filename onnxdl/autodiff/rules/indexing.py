"""Operators that pick elements by index and put them at indices.

Gradients that meet at one element are added by ScatterElements, never by ScatterND(reduction="add"), which is silently
wrong for repeated indices on more than one thread of ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onnxdl.autodiff.registry import vjp
from onnxdl.autodiff.rules.reductions import Factors
from onnxdl.autodiff.rules.shape import placed
from onnxdl.autodiff.shapes import (
    concat_dims,
    constant_of,
    dim_of,
    flat,
    indicator,
    ones_like,
    positions,
    reshape_like,
    scatter,
    scatter_back,
    shape_of,
    static_shape,
    zeros_like,
)
from onnxdl.graph import op
from onnxdl.graph.infer import dims
from onnxdl.graph.tensor import Tensor


@vjp("Gather")
def gather(g: Tensor, y: Tensor, x: Tensor, indices: Tensor, *, axis: int) -> Any:
    """Each slice of g added at its index; one known index is put back by padding alone."""
    if dims(x.value) is None:
        return scatter_back(g, op.Gather(positions(x), indices, axis=axis), x)
    axis %= x.ndim
    known, size = constant_of(indices), dim_of(x, axis)
    if known is not None and known.size == 1 and isinstance(size, np.ndarray):
        one = reshape_like_axis(g, x, axis, 1)
        return placed(one, x, {axis: int(known.item()) % int(size[0])})
    rows = reshape_like_axis(g, x, axis, _count(indices, x, axis))
    column = op.Reshape(indices, [-1 if i == axis else 1 for i in range(x.ndim)])
    return scatter(zeros_like(x), op.Expand(column, shape_of(rows)), rows, "add", axis)


def _count(indices: Tensor, x: Tensor, axis: int) -> int | Tensor:
    """How many indices there are; -1 where a Reshape finds that out, which it cannot where another size is 0."""
    known, sizes = static_shape(indices), [d for i, d in enumerate(x.shape) if i != axis]
    if known is not None:
        return int(np.prod(known))
    return -1 if all(isinstance(d, int) and d > 0 for d in sizes) else op.Reshape(op.Size(indices), [1])


def reshape_like_axis(g: Tensor, x: Tensor, axis: int, size: int | Tensor) -> Tensor:
    """The elements of ``g`` in the shape of ``x`` but for one axis."""
    if isinstance(size, int) and size == 1 and g.ndim == x.ndim - 1:
        return op.Unsqueeze(g, [axis])
    return op.Reshape(g, concat_dims(*(size if i == axis else dim_of(x, i) for i in range(x.ndim))), allowzero=0 if _is_open(size) else 1)


def _is_open(size: int | Tensor) -> bool:
    return isinstance(size, int) and size == -1


@vjp("GatherElements")
def gather_elements(g: Tensor, y: Tensor, x: Tensor, indices: Tensor, *, axis: int) -> Any:
    return scatter(zeros_like(x), indices, g, "add", axis)


@vjp("GatherND")
def gather_nd(g: Tensor, y: Tensor, x: Tensor, indices: Tensor, *, batch_dims: int) -> Any:
    return scatter_back(g, op.GatherND(positions(x), indices, batch_dims=batch_dims), x)


@vjp("Compress")
def compress(g: Tensor, y: Tensor, x: Tensor, condition: Tensor, *, axis: int | None = None) -> Any:
    return scatter_back(g, op.Compress(positions(x), condition, axis=axis), x)


@vjp("TopK", multiple=True)
def top_k(g: tuple[Tensor | None, ...], y: tuple[Tensor, ...], x: Tensor, k: Tensor, *, axis: int, **order: int) -> Any:
    return op.ScatterElements(zeros_like(x), y[1], g[0], axis=axis)


@vjp("Unique", multiple=True)
def unique(g: tuple[Tensor | None, ...], y: tuple[Tensor, ...], x: Tensor, *, axis: int | None = None, sorted: int) -> Any:
    """To all elements of one value, in equal shares."""
    _, _, inverse, counts = op.Unique(x, axis=axis, sorted=sorted, outputs=4)
    sizes = [-1 if axis is None or i == axis % x.ndim else 1 for i in range(1 if axis is None else x.ndim)]
    share = g[0] / op.Reshape(counts.astype(x.dtype), sizes)
    return reshape_like(op.Gather(share, inverse, axis=0 if axis is None else axis), x)


@vjp("OneHot")
def one_hot(g: Tensor, y: Tensor, indices: Tensor, depth: Tensor, values: Tensor, *, axis: int) -> Any:
    """To the on-value where the class is, to the off-value elsewhere."""
    on = op.ReduceSum(g * op.OneHot(indices, depth, np.array([0, 1]).astype(g.dtype), axis=axis), keepdims=0)
    off = op.ReduceSum(g, keepdims=0) - on
    return None, None, op.Concat(op.Reshape(off, [1]), op.Reshape(on, [1]), axis=0)


@vjp("ScatterElements")
def scatter_elements(g: Tensor, y: Tensor, x: Tensor, indices: Tensor, updates: Tensor, *, axis: int, reduction: str) -> Any:
    def take(t: Tensor) -> Tensor:
        return op.GatherElements(t, indices, axis=axis)

    def put(base: Tensor, values: Tensor, how: str) -> Tensor:
        return scatter(base, indices, values, how, axis)

    return _scatter(g, y, x, updates, reduction, take, put)


@vjp("ScatterND")
def scatter_nd(g: Tensor, y: Tensor, x: Tensor, indices: Tensor, updates: Tensor, *, reduction: str) -> Any:
    def take(t: Tensor) -> Tensor:
        return op.GatherND(t, indices)

    def put(base: Tensor, values: Tensor, how: str) -> Tensor:
        if how == "none":
            return op.ScatterND(base, indices, values)
        places = flat(op.GatherND(positions(x), indices))
        return reshape_like(scatter(flat(base), places, flat(values), how), x)

    return _scatter(g, y, x, updates, reduction, take, put)


def _scatter(
    g: Tensor,
    y: Tensor,
    x: Tensor,
    updates: Tensor,
    reduction: str,
    take: Callable[[Tensor], Tensor],
    put: Callable[[Tensor, Tensor, str], Tensor],
) -> tuple[Tensor, None, Tensor]:
    """The gradients of the base and of the updates put into it, for every reduction; ties of max and min share equally."""
    match reduction:
        case "none":
            return put(g, zeros_like(updates), "none"), None, take(g)
        case "add":
            return g, None, take(g)
        case "mul":
            base, parts = Factors.of(x), Factors.of(updates)
            product = take(put(base.nonzero, parts.nonzero, "mul"))
            zeros, epsilon = (take(put(b, u, "add")) for b, u in zip(base.zeros, parts.zeros, strict=True))
            return put(g, updates, "mul"), None, take(g) * parts.others(product, zeros, epsilon)
        case _:
            base_reached = indicator(op.Equal(x, y), g)
            reached = indicator(op.Equal(updates, take(y)), g)
            share = g / put(base_reached, reached, "add")
            return share * base_reached, None, take(share) * reached


@vjp("TensorScatter")
def tensor_scatter(g: Tensor, y: Tensor, x: Tensor, update: Tensor, write_indices: Tensor | None = None, *, axis: int, mode: str) -> Any:
    """What the update overwrote gets nothing; the update gets what stands at its places."""
    gx = op.TensorScatter(g, zeros_like(update), write_indices, axis=axis, mode=mode)
    axis %= x.ndim
    step = op.CumSum(ones_like(update).astype(np.int64), np.array(axis, np.int64), exclusive=1)
    place = step if write_indices is None else step + op.Reshape(write_indices, [-1] + [1] * (x.ndim - 1))
    if mode == "circular":
        place = op.Mod(place, dim_of(x, axis))
    return gx, op.GatherElements(g, place, axis=axis)
