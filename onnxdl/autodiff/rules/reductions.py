"""Reductions over axes, division by a norm, and cumulative sums and products.

``axes`` is an input that may be known at run time only (an attribute in older opsets); with ``noop_with_empty_axes`` and no
axes nothing is reduced. Ties of ReduceMax and ReduceMin share the gradient out equally.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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
    parts = Factors.of(x)
    product, zeros, epsilon = op.ReduceProd(parts.nonzero, axes, **noop), *(op.ReduceSum(t, axes, **noop) for t in parts.zeros)
    return _with_axes(g, axes, keepdims) * parts.others(product, zeros, epsilon)


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
    """The sum over the products that an element is part of of g times their other factors."""

    def back(products: Tensor) -> Tensor:
        return op.CumSum(g * products, axis, exclusive=exclusive, reverse=1 - reverse)

    parts = Factors.of(x)
    product = op.CumProd(parts.nonzero, axis, exclusive=exclusive, reverse=reverse)
    zeros, epsilon = (op.CumSum(t, axis, exclusive=exclusive, reverse=reverse) for t in parts.zeros)
    none, one, two = (product * indicator(op.Equal(zeros, k), x) for k in range(3))
    return op.Where(parts.is_zero, back(one + two * epsilon) - back(two) * parts.zeros[1], back(none + one * epsilon) / parts.nonzero)


@vjp("Range")
def arange(g: Tensor, y: Tensor, start: Tensor, limit: Tensor, delta: Tensor, **_: Any) -> Any:
    steps = op.CumSum(ones_like(g), np.array(0, np.int64), exclusive=1)
    return op.ReduceSum(g, keepdims=0), None, op.ReduceSum(g * steps, keepdims=0)


class Factors(NamedTuple):
    """The factors of a product, told apart by whether they are 0, so that each order of its derivatives divides by none that is.

    With N the product of the others, a product is N where no factor is 0, N e where one is (e that factor, the number 0 still to
    be differentiated), N e e' where two are; more zeros vanish from its first and second derivatives.
    """

    is_zero: Tensor
    nonzero: Tensor  # 1 for a factor that is 0
    zeros: tuple[Tensor, Tensor]  # 1 for a factor that is 0, and that factor itself; 0 for the others

    @classmethod
    def of(cls, x: Tensor) -> Factors:
        """The factors in ``x``."""
        is_zero = op.Equal(x, 0)
        return cls(is_zero, op.Where(is_zero, 1, x), (indicator(is_zero, x), op.Where(is_zero, x, 0)))

    def others(self, product: Tensor, zeros: Tensor, epsilon: Tensor) -> Tensor:
        """For each factor the product of the others, from the product of those that are not 0 and the sums of both ``zeros``."""
        none, one, two = (indicator(op.Equal(zeros, k), product) for k in range(3))
        return product * op.Where(self.is_zero, one + two * (epsilon - self.zeros[1]), (none + one * epsilon) / self.nonzero)


def _with_axes(t: Tensor, axes: Axes, keepdims: int) -> Tensor:
    """A reduced tensor with the reduced axes back, as dimensions of size 1 that broadcast against the input."""
    return t if keepdims or _is_empty(axes) else op.Unsqueeze(t, axes)


def _is_empty(axes: Axes) -> bool:
    return axes is None or known_ints(axes) == []
