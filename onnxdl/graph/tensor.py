"""Tensor: a handle on one value of a graph, with NumPy's operators.

In a static trace it stands for a value that a session will compute. Without one it is dynamic: a leaf holds an array,
and any expression over leaves evaluates on demand (``.numpy()``, ``float()``, ``bool()``), so Python control flow works.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import onnx_ir as ir

from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.dtypes import DTypeLike, is_float, to_ir, to_numpy
from onnxdl.graph.infer import Dim, describe, dims
from onnxdl.graph.trace import Trace, current_trace, discard, where

TensorLike = Any  # a Tensor, a Parameter, a NumPy array, a Python number or nested list
T = TypeVar("T")


class Operators:
    """NumPy's operators for whatever ``as_tensor`` accepts: Tensors and Parameters share them."""

    __array_priority__ = 1000  # NumPy arrays on the left leave the operation to us
    __array_ufunc__ = None

    def __add__(self, other: TensorLike) -> Tensor:
        return op.Add(*_promoted(self, other))

    def __radd__(self, other: TensorLike) -> Tensor:
        return op.Add(*_promoted(other, self))

    def __sub__(self, other: TensorLike) -> Tensor:
        return op.Sub(*_promoted(self, other))

    def __rsub__(self, other: TensorLike) -> Tensor:
        return op.Sub(*_promoted(other, self))

    def __mul__(self, other: TensorLike) -> Tensor:
        return op.Mul(*_promoted(self, other))

    def __rmul__(self, other: TensorLike) -> Tensor:
        return op.Mul(*_promoted(other, self))

    def __truediv__(self, other: TensorLike) -> Tensor:
        return op.Div(*_promoted(self, other, true_division=True))

    def __rtruediv__(self, other: TensorLike) -> Tensor:
        return op.Div(*_promoted(other, self, true_division=True))

    def __floordiv__(self, other: TensorLike) -> Tensor:
        return _floor_divide(*_promoted(self, other))

    def __rfloordiv__(self, other: TensorLike) -> Tensor:
        return _floor_divide(*_promoted(other, self))

    def __mod__(self, other: TensorLike) -> Tensor:
        return _modulo(*_promoted(self, other))

    def __rmod__(self, other: TensorLike) -> Tensor:
        return _modulo(*_promoted(other, self))

    def __pow__(self, other: TensorLike) -> Tensor:
        return op.Pow(*_promoted(self, other))

    def __rpow__(self, other: TensorLike) -> Tensor:
        return op.Pow(*_promoted(other, self))

    def __matmul__(self, other: TensorLike) -> Tensor:
        return op.MatMul(*_promoted(self, other))

    def __rmatmul__(self, other: TensorLike) -> Tensor:
        return op.MatMul(*_promoted(other, self))

    def __neg__(self) -> Tensor:
        return op.Neg(self)

    def __pos__(self) -> Tensor:
        return as_tensor(self)

    def __abs__(self) -> Tensor:
        return op.Abs(self)

    def __invert__(self) -> Tensor:
        return op.Not(self) if as_tensor(self).dtype == bool else op.BitwiseNot(self)

    def __and__(self, other: TensorLike) -> Tensor:
        return _logical("And", "BitwiseAnd", self, other)

    def __or__(self, other: TensorLike) -> Tensor:
        return _logical("Or", "BitwiseOr", self, other)

    def __xor__(self, other: TensorLike) -> Tensor:
        return _logical("Xor", "BitwiseXor", self, other)

    def __lt__(self, other: TensorLike) -> Tensor:
        return op.Less(*_promoted(self, other))

    def __le__(self, other: TensorLike) -> Tensor:
        return op.LessOrEqual(*_promoted(self, other))

    def __gt__(self, other: TensorLike) -> Tensor:
        return op.Greater(*_promoted(self, other))

    def __ge__(self, other: TensorLike) -> Tensor:
        return op.GreaterOrEqual(*_promoted(self, other))

    def __eq__(self, other: TensorLike) -> Tensor:  # type: ignore[override]
        return op.Equal(*_promoted(self, other))

    def __ne__(self, other: TensorLike) -> Tensor:  # type: ignore[override]
        return op.Not(op.Equal(*_promoted(self, other)))

    __hash__ = object.__hash__

    def __getitem__(self, index: Any) -> Tensor:
        from onnxdl.graph.indexing import index_tensor

        return index_tensor(as_tensor(self), index)


class Tensor(Operators):
    """A value of a graph.

    ``mask``, where a layer has set it, says which steps of a (batch, time, ...) tensor count: bool, (batch, time).

    Args:
        value: the onnx_ir Value.
        trace: the static trace that owns it, None for a dynamic value.
    """

    def __init__(self, value: ir.Value, trace: Trace | None = None) -> None:
        self.value = value
        self.trace = trace
        self.mask: Tensor | None = None
        if trace is None:
            value.meta["handles"] = value.meta.get("handles", 0) + 1

    def __del__(self) -> None:
        if self.trace is None:
            self.value.meta["handles"] -= 1
            _release(self.value)

    @property
    def shape(self) -> tuple[Dim, ...]:
        """The dimensions: an int where known, a name where symbolic. A dynamic tensor always knows them."""
        if self.trace is None and not self.symbolic and (self.value.shape is None or self.value.shape.is_dynamic()):
            return self.numpy().shape
        known = dims(self.value)
        if known is None:
            raise GraphError(f"the rank of {self._name} is not known before it runs; give its input a shape{where()}")
        return known

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type as NumPy's."""
        if self.value.dtype is None:
            raise GraphError(f"the element type of {self._name} is not known{where()}")
        return to_numpy(self.value.dtype)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape) if self.value.shape is None else len(self.value.shape)

    @property
    def symbolic(self) -> bool:
        """Whether the expression hangs on an ``Input`` that holds no data."""
        return bool(self.value.meta.get("symbolic", False))

    @property
    def name(self) -> str | None:
        """The value's name in its graph; None for a dynamic value."""
        return self.value.name

    @property
    def _name(self) -> str:
        producer = self.value.producer()
        return self.value.name or (f"a result of {producer.op_type}" if producer is not None else "a leaf")

    @property
    def T(self) -> Tensor:
        """The transpose: all axes reversed."""
        return op.Transpose(self)

    def astype(self, dtype: DTypeLike) -> Tensor:
        """The same values in another element type."""
        return self if to_ir(dtype) == self.value.dtype else op.Cast(self, to=dtype)

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        """The same elements in another shape; one dimension may be -1."""
        target = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        return op.Reshape(self, np.asarray(target, np.int64))

    def transpose(self, *axes: int) -> Tensor:
        """The axes in another order; reversed when none is given."""
        return op.Transpose(self, perm=list(axes)) if axes else op.Transpose(self)

    def sum(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        """The sum over an axis, several, or all."""
        return op.ReduceSum(self, _axes(axis), keepdims=int(keepdims))

    def mean(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        """The mean over an axis, several, or all."""
        return op.ReduceMean(self, _axes(axis), keepdims=int(keepdims))

    def max(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        """The largest value over an axis, several, or all."""
        return op.ReduceMax(self, _axes(axis), keepdims=int(keepdims))

    def min(self, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        """The smallest value over an axis, several, or all."""
        return op.ReduceMin(self, _axes(axis), keepdims=int(keepdims))

    def numpy(self) -> np.ndarray:
        """The value as an array of your own; evaluates the expression if it has not been yet."""
        return self._evaluated().copy()

    def _evaluated(self) -> np.ndarray:
        from onnxdl.graph.evaluate import evaluate

        if self.trace is not None:
            raise GraphError(
                f"{self._name} has no value while a graph is being traced; "
                f"compare and branch with op.Where or op.If, or evaluate outside the trace{where()}"
            )
        return evaluate([self])[0]

    def item(self) -> Any:
        """The one element as a Python number."""
        return self._evaluated().item()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self._evaluated()
        return np.array(array, dtype=dtype, copy=True)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise TypeError("only an integer tensor can be an index")
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a tensor without dimensions")
        length = self.shape[0]
        if not isinstance(length, int):
            raise GraphError(f"the length of {self._name} is symbolic ({length}); use op.Shape{where()}")
        return length

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        held = self.value.const_value
        data = f", {np.array2string(held.numpy(), threshold=20, precision=6)}" if held is not None and self.trace is None else ""
        name = f"{self.value.name!r}, " if self.value.name else ""
        return f"Tensor({name}{describe(self.value)}{data})"


def tensor(data: Any, dtype: DTypeLike | None = None) -> Tensor:
    """A dynamic leaf that holds a copy of ``data``; Python floats become float32, the field's default."""
    array = np.array(data, dtype=to_numpy(dtype) if dtype is not None else _default_dtype(data))
    value = ir.Value(type=ir.TensorType(to_ir(array.dtype)), shape=ir.Shape(array.shape), const_value=ir.tensor(array))
    return Tensor(value)


def as_tensor(x: TensorLike, like: Tensor | None = None) -> Tensor:
    """``x`` as a Tensor: a Parameter through the current trace, data as a constant (of ``like``'s type if a Python number)."""
    if isinstance(x, Tensor):
        return x
    convert = getattr(x, "__tensor__", None)
    if convert is not None:
        return convert()  # type: ignore[no-any-return]
    if x is None:
        raise GraphError(f"None is not a tensor{where()}")
    array = to_array(x, like)
    trace = current_trace() or (like.trace if like is not None else None)
    return tensor(array, array.dtype) if trace is None else trace.constant(array)


def to_array(x: Any, like: Tensor | None = None) -> np.ndarray:
    """Data as an array: Python numbers and lists take ``like``'s element type, arrays keep their own."""
    if isinstance(x, np.ndarray):
        return x
    if like is None:
        return np.asarray(x, dtype=_default_dtype(x))
    array = np.asarray(x)
    if array.dtype == object or (array.dtype.kind in "US" and like.dtype.kind not in "OUST"):
        raise GraphError(f"{type(x).__name__} {str(x)[:40]!r} is no tensor data{where()}")
    if array.dtype.kind == "f" and not is_float(like.value.dtype) and like.dtype != np.dtype(object):
        return array.astype(np.float32)
    return array.astype(like.dtype)


def _default_dtype(data: Any) -> np.dtype[Any] | None:
    if isinstance(data, np.ndarray | np.generic):
        return np.dtype(data.dtype)
    guess = np.asarray(data).dtype
    defaults: dict[str, np.dtype[Any]] = {"f": np.dtype(np.float32), "i": np.dtype(np.int64), "u": np.dtype(np.int64)}
    return defaults.get(guess.kind)


def _promoted(a: TensorLike, b: TensorLike, *, true_division: bool = False) -> tuple[Tensor, Tensor]:
    """Both operands as tensors of NumPy's common element type; a Python number never widens a tensor."""
    if isinstance(a, Operators):
        left = as_tensor(a)
        right = as_tensor(b, left)
    else:
        right = as_tensor(b)
        left = as_tensor(a, right)
    common = left.dtype if left.dtype == right.dtype else np.result_type(left.dtype, right.dtype)
    if true_division and common.kind in "biu":
        common = np.dtype(np.float32 if common.itemsize < 4 else np.float64)
    return left.astype(common), right.astype(common)


def _floor_divide(a: Tensor, b: Tensor) -> Tensor:
    if is_float(a.value.dtype):
        return op.Floor(a / b)
    return op.Div(a - _modulo(a, b), b)


def _modulo(a: Tensor, b: Tensor) -> Tensor:
    """The remainder with the divisor's sign, as NumPy and Python have it."""
    return a - op.Floor(a / b) * b if is_float(a.value.dtype) else op.Mod(a, b)


def _logical(boolean: str, bitwise: str, a: TensorLike, b: TensorLike) -> Tensor:
    left, right = _promoted(a, b)
    return getattr(op, boolean if left.dtype == bool else bitwise)(left, right)  # type: ignore[no-any-return]


def _axes(axis: int | Sequence[int] | None) -> list[int] | None:
    return None if axis is None else [axis] if isinstance(axis, int) else list(axis)


def _release(value: ir.Value) -> None:
    """Drops the dynamic nodes that neither a handle nor another node can reach any more."""
    pending = [value]
    while pending:
        node = pending.pop().producer()
        if node is None or node.graph is not None or any(o.uses() or o.meta.get("handles") for o in node.outputs):
            continue
        for output in node.outputs:
            output.const_value = None
        pending.extend(discard(node))
