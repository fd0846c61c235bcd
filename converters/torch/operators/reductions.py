"""Sums, means, extremes and other reductions, and running ones along an axis."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onnxdl.converters.torch.aten import aten, axes_of, axis_of, cast, floating, size_of
from onnxdl.graph import op
from onnxdl.graph.dtypes import is_float
from onnxdl.graph.tensor import Tensor

_Dims = list[int] | int | None


@aten("sum", "sum.dim_IntList")
def sum_(x: Tensor, dim: _Dims = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    x = x.astype(dtype if dtype is not None else x.dtype if is_float(x.value.dtype) else np.int64)
    return op.ReduceSum(x, axes_of(dim, x), keepdims=int(keepdim)) if x.ndim else x


@aten("mean", "mean.dim")
def mean(x: Tensor, dim: _Dims = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    x = x.astype(dtype or x.dtype)
    return op.ReduceMean(x, axes_of(dim, x), keepdims=int(keepdim)) if x.ndim else x


@aten("prod", "prod.dim_int")
def prod(x: Tensor, dim: _Dims = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    x = x.astype(dtype if dtype is not None else x.dtype if is_float(x.value.dtype) else np.int64)
    return op.ReduceProd(x, axes_of(dim, x), keepdims=int(keepdim)) if x.ndim else x


@aten("amax", "max")
def amax(x: Tensor, dim: _Dims = None, keepdim: bool = False) -> Tensor:
    return op.ReduceMax(x, axes_of(dim, x), keepdims=int(keepdim)) if x.ndim else x


@aten("amin", "min")
def amin(x: Tensor, dim: _Dims = None, keepdim: bool = False) -> Tensor:
    return op.ReduceMin(x, axes_of(dim, x), keepdims=int(keepdim)) if x.ndim else x


@aten("max.dim")
def max_dim(x: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    indices = op.ArgMax(x, axis=axis_of(dim, x), keepdims=1)
    return _picked(x, indices, dim, keepdim)


@aten("min.dim")
def min_dim(x: Tensor, dim: int, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    indices = op.ArgMin(x, axis=axis_of(dim, x), keepdims=1)
    return _picked(x, indices, dim, keepdim)


def _picked(x: Tensor, indices: Tensor, dim: int, keepdim: bool) -> tuple[Tensor, Tensor]:
    values = op.GatherElements(x, indices, axis=axis_of(dim, x))
    if keepdim:
        return values, indices
    return op.Squeeze(values, [axis_of(dim, x)]), op.Squeeze(indices, [axis_of(dim, x)])


@aten("aminmax")
def aminmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    return amin(x, dim, keepdim), amax(x, dim, keepdim)


@aten("argmax")
def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    if dim is None:
        return op.ArgMax(op.Reshape(x, [-1]), axis=0, keepdims=0)
    return op.ArgMax(x, axis=axis_of(dim, x), keepdims=int(keepdim))


@aten("argmin")
def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    if dim is None:
        return op.ArgMin(op.Reshape(x, [-1]), axis=0, keepdims=0)
    return op.ArgMin(x, axis=axis_of(dim, x), keepdims=int(keepdim))


def _as_int(x: Tensor) -> Tensor:
    return op.Cast(x if x.dtype == bool else x != 0, to=np.int32)


@aten("any", "any.dim", "any.dims")
def any_(x: Tensor, dim: _Dims = None, keepdim: bool = False) -> Tensor:
    return op.Cast(op.ReduceMax(_as_int(x), axes_of(dim, x), keepdims=int(keepdim)), to=bool)


@aten("all", "all.dim", "all.dims")
def all_(x: Tensor, dim: _Dims = None, keepdim: bool = False) -> Tensor:
    return op.Cast(op.ReduceMin(_as_int(x), axes_of(dim, x), keepdims=int(keepdim)), to=bool)


@aten("count_nonzero", "count_nonzero.dim_IntList")
def count_nonzero(x: Tensor, dim: _Dims = None) -> Tensor:
    return op.ReduceSum(_as_int(x).astype(np.int64), axes_of(dim, x), keepdims=0)


def count(x: Tensor, axes: list[int]) -> Any:
    """How many elements a reduction over these axes takes together: a number, or a float scalar of ``x``'s type."""
    total: Any = 1
    for axis in axes:
        total = total * size_of(x, axis)
    return total.astype(x.dtype) if isinstance(total, Tensor) else total


def _moments(x: Tensor, dim: _Dims, correction: float, keepdim: bool) -> tuple[Tensor, Tensor]:
    axes = axes_of(dim, x)
    centre = op.ReduceMean(x, axes, keepdims=1)
    squares = op.ReduceSum((x - centre) * (x - centre), axes, keepdims=int(keepdim))
    n = count(x, axes) - correction
    n = op.Max(n, 0.0) if isinstance(n, Tensor) else max(n, 0)
    variance = squares / n if isinstance(n, Tensor) or n else squares * cast(math.inf, x.dtype)
    return variance, centre if keepdim else op.Squeeze(centre, axes)


@aten("var.correction", "var.dim", "var")
def var(x: Tensor, dim: _Dims = None, correction: float | None = None, unbiased: bool = True, keepdim: bool = False) -> Tensor:
    return _moments(x, dim, float(unbiased) if correction is None else correction, keepdim)[0]


@aten("std.correction", "std.dim", "std")
def std(x: Tensor, dim: _Dims = None, correction: float | None = None, unbiased: bool = True, keepdim: bool = False) -> Tensor:
    return op.Sqrt(var(x, dim, correction, unbiased, keepdim))


@aten("var_mean.correction", "var_mean.dim", "var_mean")
def var_mean(
    x: Tensor, dim: _Dims = None, correction: float | None = None, unbiased: bool = True, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    return _moments(x, dim, float(unbiased) if correction is None else correction, keepdim)


@aten("std_mean.correction", "std_mean.dim", "std_mean")
def std_mean(
    x: Tensor, dim: _Dims = None, correction: float | None = None, unbiased: bool = True, keepdim: bool = False
) -> tuple[Tensor, Tensor]:
    variance, centre = var_mean(x, dim, correction, unbiased, keepdim)
    return op.Sqrt(variance), centre


@aten("logsumexp")
def logsumexp(x: Tensor, dim: _Dims, keepdim: bool = False) -> Tensor:
    return op.ReduceLogSumExp(floating(x), axes_of(dim, x), keepdims=int(keepdim))


@aten("linalg_vector_norm", "norm.ScalarOpt_dim", "norm.Scalar", "norm.ScalarOpt_dim_dtype")
def vector_norm(x: Tensor, ord: float = 2, dim: _Dims = None, keepdim: bool = False, dtype: Any = None, p: float | None = None) -> Tensor:
    x, order = x.astype(dtype or x.dtype), float(ord if p is None else p)
    axes, keepdims = axes_of(dim, x), int(keepdim)
    if order == 2:
        return op.ReduceL2(x, axes, keepdims=keepdims)
    if order == 1:
        return op.ReduceL1(x, axes, keepdims=keepdims)
    if order == math.inf:
        return op.ReduceMax(op.Abs(x), axes, keepdims=keepdims)
    if order == -math.inf:
        return op.ReduceMin(op.Abs(x), axes, keepdims=keepdims)
    if order == 0:
        return op.ReduceSum((x != 0.0).astype(x.dtype), axes, keepdims=keepdims)
    return op.Pow(op.ReduceSum(op.Pow(op.Abs(x), order), axes, keepdims=keepdims), 1 / order)


@aten("cumsum")
def cumsum(x: Tensor, dim: int, dtype: Any = None) -> Tensor:
    x = x.astype(dtype if dtype is not None else x.dtype if is_float(x.value.dtype) else np.int64)
    return op.CumSum(x, np.int64(axis_of(dim, x))) if x.ndim else x


def _up_to_each(x: Tensor, dim: int, fill: float) -> Tensor:
    """For each place i along an axis, the elements up to i and ``fill`` after it, along a new axis right behind."""
    axis = axis_of(dim, x)
    places = op.Range(np.int64(0), size_of(x, axis), np.int64(1))
    reached = op.Unsqueeze(places, [0]) <= op.Unsqueeze(places, [1])
    reached = op.Unsqueeze(reached, list(range(2, x.ndim - axis + 1))) if x.ndim - axis > 1 else reached
    return op.Where(reached, op.Unsqueeze(x, [axis]), cast(fill, x.dtype))


@aten("cumprod")
def cumprod(x: Tensor, dim: int, dtype: Any = None) -> Tensor:
    x = x.astype(dtype if dtype is not None else x.dtype if is_float(x.value.dtype) else np.int64)
    return op.ReduceProd(_up_to_each(x, dim, 1), [axis_of(dim, x) + 1], keepdims=0)


@aten("logcumsumexp")
def logcumsumexp(x: Tensor, dim: int) -> Tensor:
    return op.ReduceLogSumExp(_up_to_each(x, dim, -math.inf), [axis_of(dim, x) + 1], keepdims=0)


@aten("cummax")
def cummax(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    axis = axis_of(dim, x)
    seen = _up_to_each(x, dim, -math.inf if is_float(x.value.dtype) else float(np.iinfo(x.dtype).min))
    indices = op.ArgMax(seen, axis=axis + 1, keepdims=1, select_last_index=1)
    return op.Squeeze(op.GatherElements(seen, indices, axis=axis + 1), [axis + 1]), op.Squeeze(indices, [axis + 1])
