"""Arithmetic and functions of each element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from onnxdl.converters.torch.aten import aten, cast, common_dtype, floating, promoted
from onnxdl.errors import ConversionError
from onnxdl.graph import op
from onnxdl.graph.dtypes import is_float
from onnxdl.graph.tensor import Tensor

_OF_FLOATS: dict[str, Callable[[Tensor], Tensor]] = {
    "exp": op.Exp,
    "exp2": lambda x: op.Exp(x * math.log(2)),
    "expm1": lambda x: op.Exp(x) - 1.0,
    "log": op.Log,
    "log2": lambda x: op.Log(x) * (1 / math.log(2)),
    "log10": lambda x: op.Log(x) * (1 / math.log(10)),
    "log1p": lambda x: op.Log(1.0 + x),
    "sqrt": op.Sqrt,
    "rsqrt": lambda x: 1.0 / op.Sqrt(x),
    "reciprocal": op.Reciprocal,
    "sin": op.Sin,
    "cos": op.Cos,
    "tan": op.Tan,
    "asin": op.Asin,
    "acos": op.Acos,
    "atan": op.Atan,
    "sinh": op.Sinh,
    "cosh": op.Cosh,
    "tanh": op.Tanh,
    "asinh": op.Asinh,
    "acosh": op.Acosh,
    "atanh": op.Atanh,
    "erf": op.Erf,
    "erfc": lambda x: 1.0 - op.Erf(x),
    "sigmoid": op.Sigmoid,
    "deg2rad": lambda x: x * (math.pi / 180),
    "rad2deg": lambda x: x * (180 / math.pi),
    "sinc": lambda x: op.Where(x == 0.0, 1.0, op.Sin(x * math.pi) / op.Where(x == 0.0, 1.0, x * math.pi)),
}


def _enter(name: str, function: Callable[[Tensor], Tensor]) -> None:
    @aten(name)
    def unary(x: Tensor) -> Tensor:
        return function(floating(x))


for _name, _function in _OF_FLOATS.items():
    _enter(_name, _function)


@aten("logit")
def logit(x: Tensor, eps: float | None = None) -> Tensor:
    x = floating(x)
    x = x if eps is None else op.Clip(x, np.asarray(eps, x.dtype), np.asarray(1 - eps, x.dtype))
    return op.Log(x / (1.0 - x))


@aten("abs")
def abs_(x: Tensor) -> Tensor:
    return op.Abs(x)


@aten("neg")
def neg(x: Tensor) -> Tensor:
    return op.Neg(x)


@aten("square")
def square(x: Tensor) -> Tensor:
    return x * x


@aten("floor")
def floor(x: Tensor) -> Tensor:
    return op.Floor(x) if is_float(x.value.dtype) else x


@aten("ceil")
def ceil(x: Tensor) -> Tensor:
    return op.Ceil(x) if is_float(x.value.dtype) else x


@aten("trunc", "fix")
def trunc(x: Tensor) -> Tensor:
    return op.Sign(x) * op.Floor(op.Abs(x)) if is_float(x.value.dtype) else x


@aten("frac")
def frac(x: Tensor) -> Tensor:
    return x - trunc(x)


@aten("round", "round.decimals")
def round_(x: Tensor, decimals: int = 0) -> Tensor:
    if not is_float(x.value.dtype):
        return x
    return op.Round(x) if not decimals else op.Round(x * 10.0**decimals) / 10.0**decimals


@aten("sign", "sgn")
def sign(x: Tensor) -> Tensor:
    return op.Sign(x)


@aten("add.Tensor", "add.Scalar")
def add(x: Any, other: Any, alpha: Any = 1) -> Tensor:
    a, b = promoted(x, other)
    if a.dtype == bool:
        return op.Or(a, b)
    return a + b if alpha == 1 else a + b * alpha


@aten("sub.Tensor", "sub.Scalar")
def sub(x: Any, other: Any, alpha: Any = 1) -> Tensor:
    a, b = promoted(x, other)
    return a - b if alpha == 1 else a - b * alpha


@aten("rsub.Tensor", "rsub.Scalar")
def rsub(x: Any, other: Any, alpha: Any = 1) -> Tensor:
    return sub(other, x, alpha)


@aten("mul.Tensor", "mul.Scalar")
def mul(x: Any, other: Any) -> Tensor:
    a, b = promoted(x, other)
    return op.And(a, b) if a.dtype == bool else a * b


@aten("div.Tensor", "div.Scalar", "true_divide.Tensor", "true_divide.Scalar")
def div(x: Any, other: Any) -> Tensor:
    a, b = promoted(x, other, floating=True)
    return a / b


@aten("div.Tensor_mode", "div.Scalar_mode")
def div_mode(x: Any, other: Any, rounding_mode: str | None = None) -> Tensor:
    if rounding_mode is None:
        return div(x, other)
    a, b = promoted(x, other)
    if rounding_mode == "floor":
        return a // b
    return trunc(a / b) if is_float(a.value.dtype) else op.Div(a, b)


@aten("floor_divide", "floor_divide.Scalar", "floor_divide.Tensor")
def floor_divide(x: Any, other: Any) -> Tensor:
    return div_mode(x, other, "floor")


@aten("remainder.Tensor", "remainder.Scalar", "remainder.Scalar_Tensor")
def remainder(x: Any, other: Any) -> Tensor:
    a, b = promoted(x, other)
    return a % b


@aten("fmod.Tensor", "fmod.Scalar")
def fmod(x: Any, other: Any) -> Tensor:
    a, b = promoted(x, other)
    return op.Mod(a, b, fmod=1)


@aten("pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar", "pow.Tensor")
def pow_(x: Any, exponent: Any) -> Tensor:
    a, b = promoted(x, exponent)
    if isinstance(exponent, int | float):
        if exponent == 2:
            return a * a
        if exponent == 0.5:
            return op.Sqrt(a)
        if exponent == 1:
            return a
        if exponent == -0.5:
            return 1.0 / op.Sqrt(a)
    return op.Pow(a, b)


@aten("maximum")
def maximum(x: Tensor, other: Tensor) -> Tensor:
    return op.Max(*promoted(x, other))


@aten("minimum")
def minimum(x: Tensor, other: Tensor) -> Tensor:
    return op.Min(*promoted(x, other))


@aten("fmax")
def fmax(x: Tensor, other: Tensor) -> Tensor:
    a, b = promoted(x, other, floating=True)
    return op.Where(op.IsNaN(a), b, op.Where(op.IsNaN(b), a, op.Max(a, b)))


@aten("fmin")
def fmin(x: Tensor, other: Tensor) -> Tensor:
    a, b = promoted(x, other, floating=True)
    return op.Where(op.IsNaN(a), b, op.Where(op.IsNaN(b), a, op.Min(a, b)))


@aten("clamp", "clip", "clamp.Tensor", "clip.Tensor")
def clamp(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    bounds = [b for b in (min, max) if b is not None]
    dtype = common_dtype([x, *bounds])
    x = cast(x, dtype)
    if not any(isinstance(b, Tensor) for b in bounds):
        low, high = (None if b is None else np.asarray(b, dtype) for b in (min, max))
        return op.Clip(x, low, high) if max is not None else op.Clip(x, low)
    for bound, beyond in ((min, op.Less), (max, op.Greater)):
        if bound is not None:  # by Where: at a bound that it equals, x gets the whole gradient
            bound = cast(bound, dtype)
            x = op.Where(beyond(x, bound), bound, x)
    return x


@aten("clamp_min", "clamp_min.Tensor")
def clamp_min(x: Tensor, min: Any) -> Tensor:
    return clamp(x, min=min)


@aten("clamp_max", "clamp_max.Tensor")
def clamp_max(x: Tensor, max: Any) -> Tensor:
    return clamp(x, max=max)


@aten("atan2")
def atan2(x: Tensor, other: Tensor) -> Tensor:
    y, x = promoted(x, other, floating=True)
    steep = op.Abs(y) > op.Abs(x)
    flat = op.Atan(op.Where(steep, 0.0, y) / op.Where(steep, 1.0, op.Where(x == 0.0, 1.0, x)))
    upright = op.Sign(y) * (math.pi / 2) - op.Atan(op.Where(steep, x, 0.0) / op.Where(steep, y, 1.0))
    behind = op.Where(x < 0.0, op.Where(y < 0.0, -math.pi, math.pi), op.Cast(0.0, to=x.dtype)).astype(x.dtype)
    return op.Where(steep, upright, flat + behind)


@aten("hypot")
def hypot(x: Tensor, other: Tensor) -> Tensor:
    a, b = promoted(x, other)
    return op.Sqrt(a * a + b * b)


@aten("logaddexp")
def logaddexp(x: Tensor, other: Tensor) -> Tensor:
    a, b = promoted(x, other)
    return op.Max(a, b) + op.Log(1.0 + op.Exp(-op.Abs(a - b)))


@aten("xlogy.Tensor", "xlogy.Scalar_Other", "xlogy.Scalar_Self")
def xlogy(x: Any, other: Any) -> Tensor:
    a, b = promoted(x, other, floating=True)
    return a * op.Log(op.Where(a == 0.0, 1.0, b))


@aten("copysign.Tensor", "copysign.Scalar")
def copysign(x: Any, other: Any) -> Tensor:
    a, b = promoted(x, other, floating=True)
    return op.Where(b < 0.0, -op.Abs(a), op.Abs(a))


@aten("lerp.Scalar", "lerp.Tensor")
def lerp(x: Tensor, end: Tensor, weight: Any) -> Tensor:
    return x + (end - x) * cast(weight, x.dtype)


@aten("addcmul")
def addcmul(x: Tensor, tensor1: Tensor, tensor2: Tensor, value: float = 1) -> Tensor:
    return x + tensor1 * tensor2 * value


@aten("addcdiv")
def addcdiv(x: Tensor, tensor1: Tensor, tensor2: Tensor, value: float = 1) -> Tensor:
    return x + tensor1 / tensor2 * value


@aten("nan_to_num")
def nan_to_num(x: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    if not is_float(x.value.dtype):
        return x
    limits = np.finfo(np.float32) if x.dtype.name == "bfloat16" else np.finfo(x.dtype)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    x = op.Where(op.IsNaN(x), cast(nan or 0.0, x.dtype), x)
    x = op.Where(x == cast(math.inf, x.dtype), cast(high, x.dtype), x)
    return op.Where(x == cast(-math.inf, x.dtype), cast(low, x.dtype), x)


@aten("_to_copy", "to.dtype", "to.device", "to.dtype_layout", "to.other", "type_as")
def to(x: Tensor, dtype: Any = None, other: Tensor | None = None, copy: bool = False) -> Tensor:
    if isinstance(dtype, str):
        raise ConversionError(f"it gives {dtype}, which has no equal here")
    wanted = dtype if dtype is not None else other.dtype if other is not None else x.dtype
    if np.dtype(wanted) == bool and x.dtype != bool:
        return x != 0
    if is_float(x.value.dtype) and np.dtype(wanted).kind in "iu":
        return op.Cast(trunc(x), to=wanted)  # torch cuts off, whatever a provider's Cast does
    return x.astype(wanted)
