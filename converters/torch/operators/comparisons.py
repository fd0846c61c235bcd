"""Comparisons, logic and choices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onnxdl.converters.torch.aten import aten, cast, promoted
from onnxdl.graph import op
from onnxdl.graph.dtypes import is_float
from onnxdl.graph.tensor import Tensor

_COMPARISONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}


def _enter_comparison(name: str, function: Callable[[Tensor, Tensor], Tensor]) -> None:
    @aten(f"{name}.Tensor", f"{name}.Scalar")
    def compare(x: Any, other: Any) -> Tensor:
        a, b = promoted(x, other)
        if a.dtype == bool and name not in ("eq", "ne"):
            a, b = a.astype(np.int32), b.astype(np.int32)
        return function(a, b)


for _name, _function in _COMPARISONS.items():
    _enter_comparison(_name, _function)


def _truth(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) and x.dtype == bool else cast(x, bool) if not isinstance(x, Tensor) else x != 0


@aten("logical_and")
def logical_and(x: Tensor, other: Tensor) -> Tensor:
    return op.And(_truth(x), _truth(other))


@aten("logical_or")
def logical_or(x: Tensor, other: Tensor) -> Tensor:
    return op.Or(_truth(x), _truth(other))


@aten("logical_xor")
def logical_xor(x: Tensor, other: Tensor) -> Tensor:
    return op.Xor(_truth(x), _truth(other))


@aten("logical_not")
def logical_not(x: Tensor) -> Tensor:
    return op.Not(_truth(x))


@aten("bitwise_and.Tensor", "bitwise_and.Scalar", "__and__.Tensor", "__and__.Scalar")
def bitwise_and(x: Any, other: Any) -> Tensor:
    a, b = promoted(x, other)
    return a & b


@aten("bitwise_or.Tensor", "bitwise_or.Scalar", "__or__.Tensor", "__or__.Scalar")
def bitwise_or(x: Any, other: Any) -> Tensor:
    a, b = promoted(x, other)
    return a | b


@aten("bitwise_xor.Tensor", "bitwise_xor.Scalar", "__xor__.Tensor")
def bitwise_xor(x: Any, other: Any) -> Tensor:
    a, b = promoted(x, other)
    return a ^ b


@aten("bitwise_not")
def bitwise_not(x: Tensor) -> Tensor:
    return ~x


@aten("isnan")
def isnan(x: Tensor) -> Tensor:
    return op.IsNaN(x) if is_float(x.value.dtype) else op.Cast(x * 0, to=bool)


@aten("isinf")
def isinf(x: Tensor) -> Tensor:
    return op.IsInf(x) if is_float(x.value.dtype) else op.Cast(x * 0, to=bool)


@aten("isfinite")
def isfinite(x: Tensor) -> Tensor:
    return op.Not(op.Or(isnan(x), isinf(x)))


@aten("isclose")
def isclose(x: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    close = op.Or(x == other, op.Abs(x - other) <= op.Abs(other) * rtol + atol)
    return op.Or(close, op.And(isnan(x), isnan(other))) if equal_nan else close


@aten("where.self", "where.ScalarOther", "where.ScalarSelf", "where.Scalar")
def where(condition: Tensor, x: Any, other: Any) -> Tensor:
    return op.Where(_truth(condition), *promoted(x, other))


@aten("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(x: Tensor, mask: Tensor, value: Any) -> Tensor:
    return op.Where(mask, cast(value, x.dtype), x)
