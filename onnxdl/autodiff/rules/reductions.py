"""Reductions over axes, division by a norm, and cumulative sums and products.

``axes`` is an input that may be known at run time only (an attribute in older opsets); with ``noop_with_empty_axes`` and no
axes nothing is reduced. Ties of ReduceMax and ReduceMin share the gradient out equally.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxdl.autodiff.registry import vjp
from onnxdl.autodiff.rules.elementwise import reciprocal_or_zero
from onnxdl.autodiff.shapes import expand_like, indicator, known_ints, mean_factor, ones_like
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor

Axes = Any  # a Tensor, a list of numbers (the attribute of older opsets) or None


@vjp("ReduceSum")
def reduce_sum(g: Tensor, y: Tensor, x: Tensor, axes: Axes = None, *, keepdims: int, **noop: int) -> Any:
    return expand_like(_with_axes(g, axes, keepdims), x)


@vjp("ReduceMean")
def reduce_mean(g: Tensor, y: Tensor, x: Tensor, axes: Axes = None, *, keepdims: int, noop_with_empty_axes: int = 0) -> Any:
    if noop_with_empty_axes and _is_empty(axes):
        return g
    return expand_like(_with_axes(g, axes, keepdims) * mean_factor(x, y, axes, noop_with_empty_axes), x)


@vjp("ReduceMax", "ReduceMin")
def reduce_extremum(g: Tensor, y: Tensor, x: Tensor, axes: Axes = None, *, keepdims: int, **noop: int) -> Any:
    """To the elements that reach the extremum, in equal shares."""
    reached = indicator(op.Equal(x, _with_axes(y, axes, keepdims)), g)
    return _with_axes(g, axes, keepdims) / op.ReduceSum(reached, axes, **noop) * reached


@vjp("ReduceProd")
def reduce_prod(g: Tensor, y: Tensor, x: Tensor, axes: Axes = None, *, keepdims: int, **noop: int) -> Any:
    """The product of the other elements, right for zeros too. (A second derivative is right where no element is 0.)"""
    zero = indicator(op.Equal(x, 0), g)
    nonzero = x + zero
    others = op.ReduceProd(nonzero, axes, **noop) / nonzero
    zeros_elsewhere = op.ReduceSum(zero, axes, **noop) - zero
    return _with_axes(g, axes, keepdims) * others * indicator(op.Equal(zeros_elsewhere, 0), g)


@vjp("ReduceL1")
def reduce_l1(g: Tensor, y: Tensor, x: Tensor, axes: Axes = None, *, keepdims: int, **noop: int) -> Any:
    return _with_axes(g, axes, keepdims) * op.Sign(x)


@vjp("ReduceL2")
def reduce_l2(g: Tensor, y: Tensor, x: Tensor, axes: Axes = None, *, keepdims: int, **noop: int) -> Any:
    return _with_axes(g * reciprocal_or_zero(y), axes, keepdims) * x


@vjp("LpNormalization")
def lp_normalization(g: Tensor, y: Tensor, x: Tensor, *, axis: int, p: int) -> Any:
    """``(g - d (g . y)) / ||x||_p``, d the derivative of the norm; 0 where the norm is 0."""
    norm, d = (op.ReduceL2(x, [axis]), y) if p == 2 else (op.ReduceL1(x, [axis]), op.Sign(x))
    return (g - d * op.ReduceSum(g * y, [axis])) * reciprocal_or_zero(norm)


@vjp("ReduceSumSquare")
def reduce_sum_square(g: Tensor, y: Tensor, x: Tensor, axes: Axes = None, *, keepdims: int, **noop: int) -> Any:
    return _with_axes(2 * g, axes, keepdims) * x


@vjp("ReduceLogSum")
def reduce_log_sum(g: Tensor, y: Tensor, x: Tensor, axes: Axes = None, *, keepdims: int, **noop: int) -> Any:
    return expand_like(_with_axes(g * op.Exp(-y), axes, keepdims), x)


@vjp("ReduceLogSumExp")
def reduce_log_sum_exp(g: Tensor, y: Tensor, x: Tensor, axes: Axes = None, *, keepdims: int, **noop: int) -> Any:
    finite = op.Where(op.Equal(y, -np.inf), 0, y)
    return _with_axes(g, axes, keepdims) * op.Exp(x - _with_axes(finite, axes, keepdims))


@vjp("CumSum")
def cum_sum(g: Tensor, y: Tensor, x: Tensor, axis: Tensor, *, exclusive: int, reverse: int) -> Any:
    return op.CumSum(g, axis, exclusive=exclusive, reverse=1 - reverse)


@vjp("CumProd")
def cum_prod(g: Tensor, y: Tensor, x: Tensor, axis: Tensor, *, exclusive: int, reverse: int) -> Any:
    """Each element times the products that it is part of; the first zero of a line alone revives those behind it."""

    def back(products: Tensor) -> Tensor:
        return op.CumSum(g * products, axis, exclusive=exclusive, reverse=1 - reverse)

    zero = indicator(op.Equal(x, 0), g)
    first = zero * indicator(op.Equal(op.CumSum(zero, axis, reverse=reverse), 1), g)
    revived = back(op.CumProd(x + first, axis, exclusive=exclusive, reverse=reverse))
    return back(y) / (x + zero) * (1 - zero) + revived * first


@vjp("Range")
def arange(g: Tensor, y: Tensor, start: Tensor, limit: Tensor, delta: Tensor, **_: Any) -> Any:
    steps = op.CumSum(ones_like(g), np.array(0, np.int64), exclusive=1)
    return op.ReduceSum(g, keepdims=0), None, op.ReduceSum(g * steps, keepdims=0)


def _with_axes(t: Tensor, axes: Axes, keepdims: int) -> Tensor:
    """A reduced tensor with the reduced axes back, as dimensions of size 1 that broadcast against the input."""
    return t if keepdims or _is_empty(axes) else op.Unsqueeze(t, axes)


def _is_empty(axes: Axes) -> bool:
    return axes is None or known_ints(axes) == []
