"""Sizes known at run time and what is computed of them, and the checks that torch leaves in a program."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from onnxdl.converters.torch.aten import Size, aten, axis_of, size_of, sizes_of
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


@aten("sym_size.int")
def sym_size(x: Tensor, dim: int) -> Size:
    return size_of(x, axis_of(dim, x))


@aten("sym_numel")
def sym_numel(x: Tensor) -> Size:
    total: Size = 1
    for size in sizes_of(x):
        total = total * size
    return total


def _float(value: Any) -> Any:
    return value.astype(np.float32) if isinstance(value, Tensor) else float(value)


def _any_tensor(*values: Any) -> bool:
    return any(isinstance(v, Tensor) for v in values)


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "pow": operator.pow,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "and_": operator.and_,
    "or_": operator.or_,
    "truediv": lambda a, b: _float(a) / _float(b),
}


def _enter(name: str, function: Callable[[Any, Any], Any]) -> None:
    @aten(f"_operator.{name}")
    def binary(a: Any, b: Any) -> Any:
        return function(a, b)


for _name, _function in _BINARY.items():
    _enter(_name, _function)


@aten("_operator.neg")
def neg(a: Any) -> Any:
    return -a


@aten("sym.sym_max")
def sym_max(a: Any, b: Any) -> Any:
    return op.Max(a, b) if _any_tensor(a, b) else max(a, b)


@aten("sym.sym_min")
def sym_min(a: Any, b: Any) -> Any:
    return op.Min(a, b) if _any_tensor(a, b) else min(a, b)


@aten("sym.sym_float")
def sym_float(a: Any) -> Any:
    return _float(a)


@aten("sym.sym_not")
def sym_not(a: Any) -> Any:
    return op.Not(a) if _any_tensor(a) else not a


@aten("sym.sym_ite")
def sym_ite(b: Any, t: Any, f: Any) -> Any:
    return op.Where(b, t, f) if _any_tensor(b) else t if b else f


@aten("math.ceil")
def ceil(a: Any) -> Any:
    return op.Ceil(a).astype(np.int64) if _any_tensor(a) else math.ceil(a)


@aten("math.floor", "math.trunc")
def floor(a: Any) -> Any:
    return op.Floor(a).astype(np.int64) if _any_tensor(a) else math.floor(a)


@aten("item", "_local_scalar_dense")
def item(x: Tensor) -> Tensor:
    return op.Reshape(x, np.array([], np.int64)) if x.ndim else x


@aten(
    "_assert_scalar",
    "_assert_async",
    "_assert_async.msg",
    "_assert_tensor_metadata",
    "sym_constrain_range",
    "sym_constrain_range_for_size",
)
def checked(
    x: Any = None,
    a: Any = None,
    size: Any = None,
    stride: Any = None,
    dtype: Any = None,
    assert_msg: str | None = None,
    min: Any = None,
    max: Any = None,
) -> None:
    """What torch has checked when the program was exported needs no node."""
