"""Element-wise functions of one, two and more variables.

Where a derivative is infinite or undefined (``Sqrt`` and ``Log`` at 0, ``Div`` by 0) the rules give 0 there: the branch of a
``Where`` that was not taken then adds no NaN, and a norm has the subgradient 0 at the origin. Ties of ``Max`` and
``Min`` share the gradient out equally.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onnxdl.autodiff.registry import vjp
from onnxdl.autodiff.shapes import constant_of, indicator
from onnxdl.graph import op
from onnxdl.graph.dtypes import is_float
from onnxdl.graph.tensor import Tensor


@vjp("Add")
def add(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Any:
    return g, g


@vjp("Sub")
def sub(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Any:
    return g, -g


@vjp("Mul")
def mul(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Any:
    return g * b, g * a


@vjp("Div")
def div(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Any:
    if _never_zero(b):
        ga = g / b
        return ga, -ga * y
    r = reciprocal_or_zero(b)
    ga = g * r
    return ga, -ga * a * r


@vjp("Neg")
def neg(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return -g


@vjp("Abs")
def absolute(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return g * op.Sign(x)


@vjp("Reciprocal")
def reciprocal(g: Tensor, y: Tensor, x: Tensor) -> Any:
    r = reciprocal_or_zero(x)
    return -g * r * r


@vjp("Sqrt")
def sqrt(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return g * op.Where(y > 0, 0.5 / y, 0)


@vjp("Exp")
def exp(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return g * y


@vjp("Log")
def log(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return g * reciprocal_or_zero(x)


@vjp("Sin")
def sin(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return g * op.Cos(x)


@vjp("Cos")
def cos(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return -g * op.Sin(x)


@vjp("Tan")
def tan(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return g * (1 + y * y)


@vjp("Asin")
def asin(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return g * reciprocal_or_zero(op.Sqrt(1 - x * x))


@vjp("Acos")
def acos(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return -g * reciprocal_or_zero(op.Sqrt(1 - x * x))


@vjp("Atan")
def atan(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return g / (1 + x * x)


@vjp("Sinh")
def sinh(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return g * op.Cosh(x)


@vjp("Cosh")
def cosh(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return g * op.Sinh(x)


@vjp("Tanh")
def tanh(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return g * (1 - y * y)


@vjp("Asinh")
def asinh(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return g / op.Sqrt(x * x + 1)


@vjp("Acosh")
def acosh(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return g * reciprocal_or_zero(op.Sqrt(x * x - 1))


@vjp("Atanh")
def atanh(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return g * reciprocal_or_zero(1 - x * x)


@vjp("Erf")
def erf(g: Tensor, y: Tensor, x: Tensor) -> Any:
    return g * (2 / math.sqrt(math.pi)) * op.Exp(-x * x)


@vjp("Pow")
def power(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Any:
    """``b a^(b-1)`` and ``log(a) a^b``; 0 where these are infinite (a = 0) or undefined (a negative base)."""
    exponent = constant_of(b)
    b_like_a = b.astype(a.dtype)
    if exponent is not None and b.trace is not None and bool(np.all(exponent == 2)):
        ga = g * (2 * a)
    elif exponent is not None and bool(np.all((exponent >= 1) & (exponent == np.floor(exponent)))):
        ga = g * (b_like_a * op.Pow(a, b - 1))
    else:
        regular = op.And(op.Not(op.IsNaN(y)), op.Or(op.Not(op.Equal(a, 0)), b_like_a >= 1))
        ga = g * (b_like_a * op.Where(regular, op.Pow(a, b - 1), 0))
    return ga, g * op.Where(a > 0, y * op.Log(a), 0) if is_float(b.value.dtype) else None


@vjp("Mod")
def mod(g: Tensor, y: Tensor, a: Tensor, b: Tensor, *, fmod: int) -> Any:
    """``g`` and ``-g`` times the whole quotient; 0 where that does not exist (b = 0, an infinite a)."""
    quotient = op.Round((a - y) / b)
    return g, -g * op.Where(op.Or(op.IsNaN(quotient), op.IsInf(quotient)), 0, quotient)


@vjp("Max", "Min")
def extremum(g: Tensor, y: Tensor, *xs: Tensor) -> Any:
    """To the inputs that reach the extremum, in equal shares."""
    reached = [indicator(op.Equal(x, y), g) for x in xs]
    share = g / op.Sum(*reached) if len(xs) > 1 else g
    return tuple(share * r for r in reached)


@vjp("Mean")
def mean(g: Tensor, y: Tensor, *xs: Tensor) -> Any:
    return (g * (1 / len(xs)),) * len(xs)


@vjp("Sum")
def total(g: Tensor, y: Tensor, *xs: Tensor) -> Any:
    return (g,) * len(xs)


@vjp("Where")
def where(g: Tensor, y: Tensor, condition: Tensor, a: Tensor, b: Tensor) -> Any:
    return None, op.Where(condition, g, 0), op.Where(condition, 0, g)


@vjp("Clip")
def clip(g: Tensor, y: Tensor, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Any:
    """To x where it passed through unchanged (the bounds included), else to the bound that took its place."""
    if low is None and high is None:
        return g
    kept = indicator(op.Equal(x, y), g)
    moved = g * (1 - kept)
    if high is None:
        return g * kept, moved
    at_high = indicator(op.Equal(y, high), g)
    return g * kept, moved * (1 - at_high), moved * at_high


@vjp("Identity", "Cast", "CastLike")
def identity(g: Tensor, y: Tensor, x: Tensor, like: Tensor | None = None, **to: int) -> Any:
    return g


def reciprocal_or_zero(x: Tensor) -> Tensor:
    """``1 / x``, and 0 where x is 0 or no number."""
    return 1 / x if _never_zero(x) else op.Where(op.Abs(x) > 0, 1 / x, 0)


def _never_zero(x: Tensor) -> bool:
    known = constant_of(x)
    return known is not None and bool(np.all(known != 0))
