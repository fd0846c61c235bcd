"""Keras's bare operations, ``keras.ops``, as functions of tensors: by the names of their classes, with NumPy's arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from onnxdl.converters.keras.arguments import Axis, axes_of, bool_of, float_of, in_a_row, tensor_of
from onnxdl.converters.keras.moving import (
    broadcast_to,
    concatenate,
    expand_dims,
    flip,
    get_item,
    moveaxis,
    pad,
    repeat,
    reshape,
    roll,
    slice_,
    split,
    squeeze,
    stack,
    swapaxes,
    take,
    take_along_axis,
    tile,
    transpose,
    unstack,
)
from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.dtypes import to_numpy
from onnxdl.graph.tensor import Tensor, as_tensor
from onnxdl.nn import activations
from onnxdl.nn.images import resized

Function = Callable[..., Any]


def _unary(name: str) -> Function:
    def function(x: Any) -> Any:
        return getattr(op, name)(float_of(x))

    return function


def _same(name: str) -> Function:
    """An operator of whole numbers as well."""

    def function(x: Any) -> Any:
        return getattr(op, name)(tensor_of(x))

    return function


def _pair(apply: Callable[[Any, Any], Any]) -> Function:
    def function(x1: Any, x2: Any) -> Any:
        return apply(x1 if isinstance(x1, Tensor) else _number(x1), x2 if isinstance(x2, Tensor) else _number(x2))

    return function


def _number(x: Any) -> Any:
    return x if isinstance(x, int | float) else tensor_of(x)


def _extreme(name: str) -> Function:
    def apply(a: Any, b: Any) -> Any:
        like = a if isinstance(a, Tensor) else b
        return getattr(op, name)(as_tensor(a, like), as_tensor(b, like))

    return _pair(apply)


def _logical(apply: Callable[[Tensor, Tensor], Any]) -> Function:
    return lambda x1, x2: apply(bool_of(x1), bool_of(x2))


def _reduce(name: str, convert: Function = tensor_of) -> Function:
    def function(x: Any, axis: Axis = None, keepdims: bool = False, initial: Any = None, dtype: Any = None) -> Any:
        x = convert(x if dtype is None else op.Cast(tensor_of(x), to=dtype))
        y = getattr(op, name)(x, axes_of(x, axis), keepdims=int(keepdims))
        if initial is None:
            return y
        return (op.Max if name == "ReduceMax" else op.Min)(y, as_tensor(initial, y))

    return function


def variance(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The biased variance."""
    x = float_of(x)
    centred = x - op.ReduceMean(x, axes_of(x, axis))
    return op.ReduceMean(centred * centred, axes_of(x, axis), keepdims=int(keepdims))


def _any(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    x = bool_of(x)
    return op.Cast(op.ReduceMax(op.Cast(x, to="int32"), axes_of(x, axis), keepdims=int(keepdims)), to="bool")


def _all(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    x = bool_of(x)
    return op.Cast(op.ReduceMin(op.Cast(x, to="int32"), axes_of(x, axis), keepdims=int(keepdims)), to="bool")


def _arg(name: str) -> Function:
    def function(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        flat, at = in_a_row(tensor_of(x), axis)
        return op.Cast(getattr(op, name)(flat, axis=at, keepdims=int(keepdims)), to="int32")

    return function


def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Sums up to each element along an axis."""
    flat, at = in_a_row(tensor_of(x if dtype is None else cast(x, dtype)), axis)
    return op.CumSum(flat, np.int64(at))


def cast(x: Any, dtype: Any = "float32") -> Tensor:
    """``x`` in another element type."""
    x = tensor_of(x)
    to = to_numpy(dtype)
    return op.Cast(op.Cast(x, to="float32"), to=to) if x.dtype == bool and to.kind == "f" else op.Cast(x, to=to)


def clip(x: Any, x_min: Any, x_max: Any) -> Tensor:
    """``x`` cut off at both ends."""
    x = tensor_of(x)
    low = x if x_min is None else op.Max(x, as_tensor(x_min, x))
    return low if x_max is None else op.Min(low, as_tensor(x_max, low))


def matmul(x1: Any, x2: Any) -> Tensor:
    """The matrix product."""
    return op.MatMul(tensor_of(x1), tensor_of(x2))


def dot(x1: Any, x2: Any) -> Tensor:
    """NumPy's dot: the last axis of the first with the last but one of the second."""
    a, b = tensor_of(x1), tensor_of(x2)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    return op.MatMul(a, b) if b.ndim <= 2 else tensordot(a, b, [[a.ndim - 1], [b.ndim - 2]])


def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Tensor:
    """The product summed over axes of both."""
    a, b = tensor_of(x1), tensor_of(x2)
    left, right = (list(range(a.ndim - axes, a.ndim)), list(range(axes))) if isinstance(axes, int) else axes
    left, right = axes_of(a, left) or [], axes_of(b, right) or []
    letters = "abcdefghijklmnopqrstuvwxyz"
    first, second = list(letters[: a.ndim]), list(letters[a.ndim : a.ndim + b.ndim])
    for i, j in zip(left, right, strict=True):
        second[j] = first[i]
    made = [c for i, c in enumerate(first) if i not in left] + [c for j, c in enumerate(second) if j not in right]
    return op.Einsum(a, b, equation=f"{''.join(first)},{''.join(second)}->{''.join(made)}")


def einsum(*operands: Any, subscripts: str | None = None) -> Tensor:
    """Einstein's sum; TensorFlow gives its subscripts first."""
    if subscripts is None:
        subscripts, *operands = operands  # type: ignore[assignment]
    return op.Einsum(*[tensor_of(x) for x in operands], equation=str(subscripts).replace(" ", ""))


def round_(x: Any, decimals: int = 0) -> Tensor:
    """The nearest number of so many decimals, of two the even one."""
    x = float_of(x)
    return op.Round(x * 10.0**decimals) / 10.0**decimals if decimals else op.Round(x)


def where(condition: Any, x1: Any = None, x2: Any = None) -> Tensor:
    """The first where the condition holds, else the second."""
    like = x1 if isinstance(x1, Tensor) else x2
    if not isinstance(like, Tensor):
        return op.Where(bool_of(condition), tensor_of(x1), tensor_of(x2))
    return op.Where(bool_of(condition), as_tensor(x1, like), as_tensor(x2, like))


def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = "float32", sparse: bool = False) -> Tensor:
    """Class numbers as vectors."""
    if sparse:
        raise GraphError("OneHot makes no sparse tensors here")
    x = op.Cast(tensor_of(x), to="int64")
    hot = cast(op.Equal(op.Unsqueeze(x, [-1]), np.arange(num_classes, dtype=np.int64)), dtype or "float32")
    return hot if axis in (-1, x.ndim) else moveaxis(hot, -1, axis)


def top_k(x: Any, k: int, sorted: bool = True) -> list[Tensor]:
    """The largest elements of the last axis, and their places."""
    values, places = op.TopK(tensor_of(x), [k], sorted=int(sorted))
    return [values, op.Cast(places, to="int32")]


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x)))."""
    x = float_of(x)
    return op.ReduceLogSumExp(x, axes_of(x, axis), keepdims=int(keepdims))


def norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The Euclidean norm, or that of order 1 or 2 of vectors."""
    x = float_of(x)
    axes = axes_of(x, axis)
    if ord == 1 and axes is not None and len(axes) == 1:
        return op.ReduceL1(x, axes, keepdims=int(keepdims))
    if ord not in (None, "euclidean", "fro") and not (ord == 2 and axes is not None and len(axes) == 1):
        raise GraphError(f"Norm has the order {ord!r}, which is not supported")
    return op.ReduceL2(x, axes, keepdims=int(keepdims))


def normalize(x: Any, axis: int = -1, order: int = 2, epsilon: float | None = None) -> Tensor:
    """``x`` divided by its Euclidean norm along an axis."""
    if order != 2:
        raise GraphError(f"Normalize has the order {order!r}, which is not supported")
    x = float_of(x)
    length = op.Sqrt(op.Max(op.ReduceSum(x * x, axes_of(x, axis)), max(epsilon or 1e-12, 1e-12)))
    return tensor_of(x / length)


def moments(x: Any, axes: Axis, keepdims: bool = False, synchronized: bool = False) -> list[Tensor]:
    """Mean and biased variance."""
    x = float_of(x)
    return [op.ReduceMean(x, axes_of(x, axes), keepdims=int(keepdims)), variance(x, axes, keepdims)]


def resize(
    images: Any, size: Any, interpolation: str = "bilinear", antialias: bool = False, crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False, fill_mode: str = "constant", fill_value: float = 0.0, data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Images stretched to a size."""
    if crop_to_aspect_ratio or pad_to_aspect_ratio or interpolation not in ("bilinear", "nearest", "bicubic"):
        raise GraphError("Resize keeps no aspect ratio here, and interpolates bilinear, nearest or bicubic")
    x = float_of(images)
    last = data_format != "channels_first"
    height, width = size
    y = resized(moveaxis(x, -1, 1) if last else x, int(height), int(width), interpolation, antialias)
    return moveaxis(y, 1, -1) if last else y


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """A number in the shape of ``x``."""
    x = tensor_of(x)
    value = np.asarray(fill_value, to_numpy(dtype) if dtype else x.dtype)
    return op.Expand(as_tensor(value), list(x.shape) if all(isinstance(d, int) for d in x.shape) else op.Shape(x))


def _activation(name: str) -> Function:
    function = activations.NAMES[name]

    def applied(x: Any, *args: Any, **kwargs: Any) -> Any:
        return function(float_of(x), *args, **kwargs)

    return applied


def divide_no_nan(x1: Any, x2: Any) -> Tensor:
    """x1 / x2, 0 where x2 is 0."""
    a = float_of(x1)
    b = as_tensor(x2, a)
    none = op.Equal(b, 0.0)
    return op.Where(none, 0.0, a / op.Where(none, 1.0, b))


def power(x1: Any, x2: Any) -> Tensor:
    """x1 to the power of x2."""
    x = x1 if isinstance(x1, Tensor) else as_tensor(x1, x2)
    return x * x if isinstance(x2, int | float) and x2 == 2 else x**x2


def _log_base(base: float) -> Function:
    return lambda x: op.Log(float_of(x)) * (1.0 / math.log(base))


FUNCTIONS: dict[str, Function] = {
    **{n: _same(o) for n, o in {
        "Absolute": "Abs", "Abs": "Abs", "Fabs": "Abs", "Negative": "Neg", "Sign": "Sign", "Copy": "Identity",
    }.items()},
    **{n: _unary(n) for n in ("Ceil", "Floor", "Exp", "Log", "Sin", "Cos", "Tan", "Sinh", "Cosh", "Tanh", "Sqrt", "Erf", "Reciprocal")},
    **{f"Arc{n}": _unary(f"A{n}") for n in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{n: _reduce(f"Reduce{n}") for n in ("Sum", "Max", "Min", "Prod")},
    **{n: _activation(a) for n, a in {
        "Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "SparseSigmoid": "sparse_sigmoid", "Softplus": "softplus",
        "Softsign": "softsign",
        "SoftShrink": "soft_shrink", "SparsePlus": "sparse_plus", "Silu": "silu", "Squareplus": "squareplus", "LogSigmoid": "log_sigmoid",
        "LeakyRelu": "leaky_relu", "HardSigmoid": "hard_sigmoid", "HardSilu": "hard_silu", "Elu": "elu", "Selu": "selu", "Gelu": "gelu",
        "Celu": "celu", "Glu": "glu", "TanhShrink": "tanh_shrink", "HardTanh": "hard_tanh", "HardShrink": "hard_shrink",
        "Threshold": "threshold", "Softmax": "softmax", "LogSoftmax": "log_softmax", "Sparsemax": "sparsemax",
    }.items()},
    "Round": round_, "Add": _pair(lambda a, b: a + b), "Subtract": _pair(lambda a, b: a - b), "Multiply": _pair(lambda a, b: a * b),
    "Divide": _pair(lambda a, b: a / b), "TrueDivide": _pair(lambda a, b: a / b), "FloorDivide": _pair(lambda a, b: a // b),
    "Mod": _pair(lambda a, b: a % b), "Power": power, "DivideNoNan": divide_no_nan, "Maximum": _extreme("Max"), "Minimum": _extreme("Min"),
    "Equal": _pair(lambda a, b: a == b), "NotEqual": _pair(lambda a, b: a != b), "Greater": _pair(lambda a, b: a > b),
    "GreaterEqual": _pair(lambda a, b: a >= b), "Less": _pair(lambda a, b: a < b), "LessEqual": _pair(lambda a, b: a <= b),
    "LogicalAnd": _logical(lambda a, b: a & b), "LogicalOr": _logical(lambda a, b: a | b), "LogicalXor": _logical(lambda a, b: a ^ b),
    "LogicalNot": lambda x: ~bool_of(x), "Any": _any, "All": _all, "Amax": _reduce("ReduceMax"), "Amin": _reduce("ReduceMin"),
    "Mean": _reduce("ReduceMean", float_of),
    "Var": variance, "Std": lambda x, axis=None, keepdims=False: op.Sqrt(variance(x, axis, keepdims)),
    "Argmax": _arg("ArgMax"), "Argmin": _arg("ArgMin"), "Cumsum": cumsum, "Square": lambda x: tensor_of(x) * tensor_of(x),
    "Rsqrt": lambda x: 1.0 / op.Sqrt(float_of(x)), "Log1p": lambda x: op.Log(float_of(x) + 1.0),
    "Expm1": lambda x: op.Exp(float_of(x)) - 1.0,
    "Log2": _log_base(2.0), "Log10": _log_base(10.0), "Exp2": lambda x: op.Exp(float_of(x) * math.log(2.0)), "Clip": clip, "Cast": cast,
    "Concatenate": concatenate, "Stack": stack, "Hstack": lambda xs: concatenate(xs, 1), "Vstack": lambda xs: concatenate(xs, 0),
    "Split": split, "Unstack": unstack, "Reshape": reshape, "Ravel": lambda x: op.Reshape(tensor_of(x), [-1]), "Transpose": transpose,
    "Moveaxis": moveaxis, "Swapaxes": swapaxes, "ExpandDims": expand_dims, "Squeeze": squeeze, "GetItem": get_item, "Take": take,
    "TakeAlongAxis": take_along_axis, "Tile": tile, "Repeat": repeat, "Pad": pad, "BroadcastTo": broadcast_to, "Flip": flip, "Roll": roll,
    "Matmul": matmul, "Dot": dot, "Tensordot": tensordot, "Einsum": einsum, "Where": where, "OneHot": one_hot, "TopK": top_k,
    "Logsumexp": logsumexp, "Norm": norm, "Normalize": normalize, "Moments": moments, "Resize": resize, "Slice": slice_,
    "ZerosLike": lambda x, dtype=None: full_like(x, 0, dtype), "OnesLike": lambda x, dtype=None: full_like(x, 1, dtype),
    "FullLike": full_like,
    "Isnan": lambda x: op.IsNaN(float_of(x)), "Isinf": lambda x: op.IsInf(float_of(x)),
    "Tril": lambda x, k=0: op.Trilu(tensor_of(x), k, upper=0),
    "Triu": lambda x, k=0: op.Trilu(tensor_of(x), k, upper=1), "SquaredDifference": _pair(lambda a, b: (a - b) * (a - b)),
}  # fmt: skip
"""By the names of Keras's classes of operations."""
