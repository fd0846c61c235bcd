"""Keras's bare operations, ``keras.ops``, as functions of tensors: by the names of their classes, with NumPy's arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import op
from onnxdl.graph.dtypes import to_numpy
from onnxdl.graph.tensor import Tensor, as_tensor
from onnxdl.nn import activations
from onnxdl.nn.images import resized

Axis = int | Sequence[int] | None
Function = Callable[..., Any]


def _tensor(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        return x
    array = np.asarray(x)
    return as_tensor(array.astype({"f": np.float32, "i": np.int32}.get(array.dtype.kind, array.dtype)))


def _axes(x: Tensor, axis: Axis) -> list[int] | None:
    if axis is None:
        return None
    return [a % x.ndim for a in ([axis] if isinstance(axis, int) else axis)]


def _one(x: Tensor, axis: int | None) -> tuple[Tensor, int]:
    """A tensor and an axis: of all elements in a row where it is None."""
    return (op.Reshape(x, [-1]), 0) if axis is None else (x, axis % x.ndim)


def _float(x: Any) -> Tensor:
    x = _tensor(x)
    return x if x.dtype.kind == "f" else op.Cast(x, to="float32")


def _bool(x: Any) -> Tensor:
    x = _tensor(x)
    return x if x.dtype == bool else op.Cast(x, to="bool")


def _unary(name: str) -> Function:
    def function(x: Any) -> Any:
        return getattr(op, name)(_float(x))

    return function


def _same(name: str) -> Function:
    """An operator of whole numbers as well."""

    def function(x: Any) -> Any:
        return getattr(op, name)(_tensor(x))

    return function


def _pair(apply: Callable[[Any, Any], Any]) -> Function:
    def function(x1: Any, x2: Any) -> Any:
        return apply(x1 if isinstance(x1, Tensor) else _number(x1), x2 if isinstance(x2, Tensor) else _number(x2))

    return function


def _number(x: Any) -> Any:
    return x if isinstance(x, int | float) else _tensor(x)


def _extreme(name: str) -> Function:
    def apply(a: Any, b: Any) -> Any:
        like = a if isinstance(a, Tensor) else b
        return getattr(op, name)(as_tensor(a, like), as_tensor(b, like))

    return _pair(apply)


def _logical(apply: Callable[[Tensor, Tensor], Any]) -> Function:
    return lambda x1, x2: apply(_bool(x1), _bool(x2))


def _reduce(name: str, convert: Function = _tensor) -> Function:
    def function(x: Any, axis: Axis = None, keepdims: bool = False, initial: Any = None, dtype: Any = None) -> Any:
        x = convert(x if dtype is None else op.Cast(_tensor(x), to=dtype))
        y = getattr(op, name)(x, _axes(x, axis), keepdims=int(keepdims))
        if initial is None:
            return y
        return (op.Max if name == "ReduceMax" else op.Min)(y, as_tensor(initial, y))

    return function


def variance(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The biased variance."""
    x = _float(x)
    centred = x - op.ReduceMean(x, _axes(x, axis))
    return op.ReduceMean(centred * centred, _axes(x, axis), keepdims=int(keepdims))


def _any(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    x = _bool(x)
    return op.Cast(op.ReduceMax(op.Cast(x, to="int32"), _axes(x, axis), keepdims=int(keepdims)), to="bool")


def _all(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    x = _bool(x)
    return op.Cast(op.ReduceMin(op.Cast(x, to="int32"), _axes(x, axis), keepdims=int(keepdims)), to="bool")


def _arg(name: str) -> Function:
    def function(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        flat, at = _one(_tensor(x), axis)
        return op.Cast(getattr(op, name)(flat, axis=at, keepdims=int(keepdims)), to="int32")

    return function


def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Sums up to each element along an axis."""
    flat, at = _one(_tensor(x if dtype is None else cast(x, dtype)), axis)
    return op.CumSum(flat, np.int64(at))


def cast(x: Any, dtype: Any = "float32") -> Tensor:
    """``x`` in another element type."""
    x = _tensor(x)
    to = to_numpy(dtype)
    return op.Cast(op.Cast(x, to="float32"), to=to) if x.dtype == bool and to.kind == "f" else op.Cast(x, to=to)


def clip(x: Any, x_min: Any, x_max: Any) -> Tensor:
    """``x`` cut off at both ends."""
    x = _tensor(x)
    low = x if x_min is None else op.Max(x, as_tensor(x_min, x))
    return low if x_max is None else op.Min(low, as_tensor(x_max, low))


def concatenate(xs: Sequence[Any], axis: int = 0) -> Tensor:
    """Tensors side by side."""
    return op.Concat(*[_tensor(x) for x in xs], axis=axis)


def stack(xs: Sequence[Any], axis: int = 0) -> Tensor:
    """Tensors side by side along a new axis."""
    tensors = [_tensor(x) for x in xs]
    at = axis % (tensors[0].ndim + 1)
    return op.Concat(*[op.Unsqueeze(x, [at]) for x in tensors], axis=at)


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Parts of an axis: so many, or those between places."""
    x = _tensor(x)
    size = x.shape[axis]
    if not isinstance(size, int):
        raise ShapeError(f"Split needs a known size on axis {axis} of {x.shape}")
    if isinstance(indices_or_sections, int):
        sizes = [size // indices_or_sections] * indices_or_sections
    else:
        edges = [0, *(int(i) for i in indices_or_sections), size]
        sizes = [b - a for a, b in zip(edges, edges[1:], strict=False)]
    parts = op.Split(x, sizes, axis=axis, outputs=len(sizes))
    return [parts] if isinstance(parts, Tensor) else list(parts)


def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The members of an axis."""
    x = _tensor(x)
    n = num or x.shape[axis]
    if not isinstance(n, int):
        raise ShapeError(f"Unstack needs a known size on axis {axis} of {x.shape}")
    return [op.Gather(x, i, axis=axis) for i in range(n)]


def reshape(x: Any, newshape: Any) -> Tensor:
    """The same elements in another shape; one size may be -1 or None."""
    x = _tensor(x)
    sizes = [newshape] if isinstance(newshape, int | Tensor) else list(newshape)
    if all(isinstance(d, int) or d is None for d in sizes):
        return op.Reshape(x, [-1 if d is None else d for d in sizes])
    return op.Reshape(x, _shape(sizes))


def _shape(sizes: Sequence[Any]) -> Any:
    """Sizes, some of them tensors, as one."""
    if len(sizes) == 1 and isinstance(sizes[0], Tensor) and sizes[0].ndim == 1:
        return op.Cast(sizes[0], to="int64")
    parts = [
        op.Reshape(op.Cast(d, to="int64"), [1]) if isinstance(d, Tensor) else np.array([-1 if d is None else d], np.int64) for d in sizes
    ]
    return op.Concat(*parts, axis=0)


def transpose(x: Any, axes: Sequence[int] | None = None) -> Tensor:
    """The axes in another order, reversed by default."""
    x = _tensor(x)
    return op.Transpose(x, perm=_axes(x, axes) if axes is not None else list(range(x.ndim))[::-1])


def moveaxis(x: Any, source: Any, destination: Any) -> Tensor:
    """Axes moved to other places, the rest in order."""
    x = _tensor(x)
    given, wanted = _axes(x, source) or [], _axes(x, destination) or []
    order = [i for i in range(x.ndim) if i not in given]
    for to, a in sorted(zip(wanted, given, strict=True)):
        order.insert(to, a)
    return op.Transpose(x, perm=order)


def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    x = _tensor(x)
    order = list(range(x.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return op.Transpose(x, perm=order)


def expand_dims(x: Any, axis: Any) -> Tensor:
    """New axes of size 1."""
    x = _tensor(x)
    axes = [axis] if isinstance(axis, int) else list(axis)
    return op.Unsqueeze(x, axes)


def squeeze(x: Any, axis: Any = None) -> Tensor:
    """Without axes of size 1: those given, or all."""
    x = _tensor(x)
    return op.Squeeze(x, _axes(x, axis) if axis is not None else [i for i, d in enumerate(x.shape) if d == 1])


def get_item(x: Any, key: Any) -> Tensor:
    """``x[key]``."""
    return _tensor(x)[
        tuple(key) if isinstance(key, list) and any(isinstance(k, slice | list) or k is Ellipsis or k is None for k in key) else key
    ]


def take(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """Members of an axis by number."""
    flat, at = _one(_tensor(x), axis)
    return op.Gather(flat, indices if isinstance(indices, Tensor) else np.asarray(indices, np.int64), axis=at)


def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """Elements by number, each along the axis."""
    flat, at = _one(_tensor(x), axis)
    return op.GatherElements(flat, _tensor(indices), axis=at)


def tile(x: Any, repeats: Any) -> Tensor:
    """``x`` repeated along each axis."""
    x = _tensor(x)
    counts = [repeats] if isinstance(repeats, int) else list(repeats)
    counts = [1] * (x.ndim - len(counts)) + counts
    x = op.Unsqueeze(x, list(range(len(counts) - x.ndim))) if len(counts) > x.ndim else x
    return op.Tile(x, _shape(counts) if any(isinstance(c, Tensor) for c in counts) else np.array(counts, np.int64))


def repeat(x: Any, repeats: int, axis: int | None = None) -> Tensor:
    """Each member of an axis several times."""
    flat, at = _one(_tensor(x), axis)
    size = flat.shape[at]
    if not isinstance(repeats, int) or not isinstance(size, int):
        raise ShapeError(f"Repeat needs one number of times, and a known size on axis {at} of {flat.shape}")
    return op.Gather(flat, np.repeat(np.arange(size), repeats), axis=at)


def pad(x: Any, pad_width: Any = 0, mode: str = "constant", constant_values: Any = None) -> Tensor:
    """Margins around ``x``: zeros or another number, or ``reflect`` and ``edge``."""
    x = _tensor(x)
    pairs = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2))
    modes = {"constant": "constant", "reflect": "reflect", "edge": "edge", "wrap": "wrap", "symmetric": None}
    if modes.get(mode) is None:
        raise GraphError(f"Pad has the mode {mode!r}, which is not supported")
    value = [] if mode != "constant" or constant_values is None else [as_tensor(constant_values, x)]
    return op.Pad(x, [*pairs[:, 0].tolist(), *pairs[:, 1].tolist()], *value, mode=modes[mode])


def broadcast_to(x: Any, shape: Any) -> Tensor:
    """``x`` stretched to a shape."""
    return op.Expand(_tensor(x), _shape(list(shape)))


def flip(x: Any, axis: Axis = None) -> Tensor:
    """``x`` with axes turned round."""
    x = _tensor(x)
    turned = _axes(x, axis) if axis is not None else list(range(x.ndim))
    return x[tuple(slice(None, None, -1) if i in (turned or ()) else slice(None) for i in range(x.ndim))]


def roll(x: Any, shift: int, axis: int | None = None) -> Tensor:
    """``x`` moved round along an axis."""
    x = _tensor(x)
    if not isinstance(shift, int) or not isinstance(axis, int):
        raise GraphError("Roll takes one shift and one axis")
    at = axis % x.ndim
    size = x.shape[at]
    k = shift % size if isinstance(size, int) else shift
    if not k:
        return x
    cut = [slice(None)] * at
    return op.Concat(x[(*cut, slice(-k, None))], x[(*cut, slice(None, -k))], axis=at)


def matmul(x1: Any, x2: Any) -> Tensor:
    """The matrix product."""
    return op.MatMul(_tensor(x1), _tensor(x2))


def dot(x1: Any, x2: Any) -> Tensor:
    """NumPy's dot: the last axis of the first with the last but one of the second."""
    a, b = _tensor(x1), _tensor(x2)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    return op.MatMul(a, b) if b.ndim <= 2 else tensordot(a, b, [[a.ndim - 1], [b.ndim - 2]])


def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Tensor:
    """The product summed over axes of both."""
    a, b = _tensor(x1), _tensor(x2)
    left, right = (list(range(a.ndim - axes, a.ndim)), list(range(axes))) if isinstance(axes, int) else axes
    left, right = _axes(a, left) or [], _axes(b, right) or []
    letters = "abcdefghijklmnopqrstuvwxyz"
    first, second = list(letters[: a.ndim]), list(letters[a.ndim : a.ndim + b.ndim])
    for i, j in zip(left, right, strict=True):
        second[j] = first[i]
    made = [c for i, c in enumerate(first) if i not in left] + [c for j, c in enumerate(second) if j not in right]
    return op.Einsum(a, b, equation=f"{''.join(first)},{''.join(second)}->{''.join(made)}")


def einsum(subscripts: str, *operands: Any) -> Tensor:
    """Einstein's sum."""
    return op.Einsum(*[_tensor(x) for x in operands], equation=subscripts.replace(" ", ""))


def where(condition: Any, x1: Any = None, x2: Any = None) -> Tensor:
    """The first where the condition holds, else the second."""
    like = x1 if isinstance(x1, Tensor) else x2
    if not isinstance(like, Tensor):
        return op.Where(_bool(condition), _tensor(x1), _tensor(x2))
    return op.Where(_bool(condition), as_tensor(x1, like), as_tensor(x2, like))


def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = "float32", sparse: bool = False) -> Tensor:
    """Class numbers as vectors."""
    if sparse:
        raise GraphError("OneHot makes no sparse tensors here")
    x = op.Cast(_tensor(x), to="int64")
    hot = cast(op.Equal(op.Unsqueeze(x, [-1]), np.arange(num_classes, dtype=np.int64)), dtype or "float32")
    return hot if axis in (-1, x.ndim) else moveaxis(hot, -1, axis)


def top_k(x: Any, k: int, sorted: bool = True) -> list[Tensor]:
    """The largest elements of the last axis, and their places."""
    values, places = op.TopK(_tensor(x), [k], sorted=int(sorted))
    return [values, op.Cast(places, to="int32")]


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x)))."""
    x = _float(x)
    return op.ReduceLogSumExp(x, _axes(x, axis), keepdims=int(keepdims))


def norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The Euclidean norm, or that of order 1 or 2 of vectors."""
    x = _float(x)
    axes = _axes(x, axis)
    if ord == 1 and axes is not None and len(axes) == 1:
        return op.ReduceL1(x, axes, keepdims=int(keepdims))
    if ord not in (None, "euclidean", "fro") and not (ord == 2 and axes is not None and len(axes) == 1):
        raise GraphError(f"Norm has the order {ord!r}, which is not supported")
    return op.ReduceL2(x, axes, keepdims=int(keepdims))


def normalize(x: Any, axis: int = -1, order: int = 2, epsilon: float | None = None) -> Tensor:
    """``x`` divided by its Euclidean norm along an axis."""
    if order != 2:
        raise GraphError(f"Normalize has the order {order!r}, which is not supported")
    x = _float(x)
    return x / op.Sqrt(op.Max(op.ReduceSum(x * x, _axes(x, axis)), max(epsilon or 1e-12, 1e-12)))


def moments(x: Any, axes: Axis, keepdims: bool = False, synchronized: bool = False) -> list[Tensor]:
    """Mean and biased variance."""
    x = _float(x)
    return [op.ReduceMean(x, _axes(x, axes), keepdims=int(keepdims)), variance(x, axes, keepdims)]


def resize(
    images: Any, size: Any, interpolation: str = "bilinear", antialias: bool = False, crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False, fill_mode: str = "constant", fill_value: float = 0.0, data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Images stretched to a size."""
    if crop_to_aspect_ratio or pad_to_aspect_ratio or interpolation not in ("bilinear", "nearest", "bicubic"):
        raise GraphError("Resize keeps no aspect ratio here, and interpolates bilinear, nearest or bicubic")
    x = _float(images)
    last = data_format != "channels_first"
    y = resized(moveaxis(x, -1, 1) if last else x, *(int(n) for n in size), interpolation, antialias)
    return moveaxis(y, 1, -1) if last else y


def slice_(x: Any, start_indices: Any, shape: Any) -> Tensor:
    """The part of a shape that begins at given places."""
    x = _tensor(x)
    cuts = zip(start_indices, shape, x.shape, strict=True)
    return x[tuple(slice(int(b), None if n == -1 or (n == d and not b) else int(b) + int(n)) for b, n, d in cuts)]


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """A number in the shape of ``x``."""
    x = _tensor(x)
    value = np.asarray(fill_value, to_numpy(dtype) if dtype else x.dtype)
    return op.Expand(as_tensor(value), list(x.shape) if all(isinstance(d, int) for d in x.shape) else op.Shape(x))


def _activation(name: str) -> Function:
    function = activations.NAMES[name]

    def applied(x: Any, *args: Any, **kwargs: Any) -> Any:
        return function(_float(x), *args, **kwargs)

    return applied


def divide_no_nan(x1: Any, x2: Any) -> Tensor:
    """x1 / x2, 0 where x2 is 0."""
    a = _float(x1)
    b = as_tensor(x2, a)
    none = op.Equal(b, 0.0)
    return op.Where(none, 0.0, a / op.Where(none, 1.0, b))


def power(x1: Any, x2: Any) -> Tensor:
    """x1 to the power of x2."""
    x = x1 if isinstance(x1, Tensor) else as_tensor(x1, x2)
    return x * x if isinstance(x2, int | float) and x2 == 2 else x**x2  # type: ignore[operator]


def _log_base(base: float) -> Function:
    return lambda x: op.Log(_float(x)) * (1.0 / math.log(base))


FUNCTIONS: dict[str, Function] = {
    **{n: _same(o) for n, o in {
        "Absolute": "Abs", "Abs": "Abs", "Fabs": "Abs", "Negative": "Neg", "Sign": "Sign", "Copy": "Identity", "StopGradient": "StopGradient",
    }.items() if o != "StopGradient"},
    **{n: _unary(n) for n in ("Ceil", "Floor", "Round", "Exp", "Log", "Sin", "Cos", "Tan", "Sinh", "Cosh", "Tanh", "Sqrt", "Erf", "Reciprocal")},
    **{f"Arc{n}": _unary(f"A{n}") for n in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{n: _reduce(f"Reduce{n}") for n in ("Sum", "Max", "Min", "Prod")},
    **{n: _activation(a) for n, a in {
        "Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "SparseSigmoid": "sparse_sigmoid", "Softplus": "softplus", "Softsign": "softsign",
        "SoftShrink": "soft_shrink", "SparsePlus": "sparse_plus", "Silu": "silu", "Squareplus": "squareplus", "LogSigmoid": "log_sigmoid",
        "LeakyRelu": "leaky_relu", "HardSigmoid": "hard_sigmoid", "HardSilu": "hard_silu", "Elu": "elu", "Selu": "selu", "Gelu": "gelu",
        "Celu": "celu", "Glu": "glu", "TanhShrink": "tanh_shrink", "HardTanh": "hard_tanh", "HardShrink": "hard_shrink",
        "Threshold": "threshold", "Softmax": "softmax", "LogSoftmax": "log_softmax", "Sparsemax": "sparsemax",
    }.items()},
    "Add": _pair(lambda a, b: a + b), "Subtract": _pair(lambda a, b: a - b), "Multiply": _pair(lambda a, b: a * b),
    "Divide": _pair(lambda a, b: a / b), "TrueDivide": _pair(lambda a, b: a / b), "FloorDivide": _pair(lambda a, b: a // b),
    "Mod": _pair(lambda a, b: a % b), "Power": power, "DivideNoNan": divide_no_nan, "Maximum": _extreme("Max"), "Minimum": _extreme("Min"),
    "Equal": _pair(lambda a, b: a == b), "NotEqual": _pair(lambda a, b: a != b), "Greater": _pair(lambda a, b: a > b),
    "GreaterEqual": _pair(lambda a, b: a >= b), "Less": _pair(lambda a, b: a < b), "LessEqual": _pair(lambda a, b: a <= b),
    "LogicalAnd": _logical(lambda a, b: a & b), "LogicalOr": _logical(lambda a, b: a | b), "LogicalXor": _logical(lambda a, b: a ^ b),
    "LogicalNot": lambda x: ~_bool(x), "Any": _any, "All": _all, "Amax": _reduce("ReduceMax"), "Amin": _reduce("ReduceMin"),
    "Mean": _reduce("ReduceMean", _float), "Var": variance, "Std": lambda x, axis=None, keepdims=False: op.Sqrt(variance(x, axis, keepdims)),
    "Argmax": _arg("ArgMax"), "Argmin": _arg("ArgMin"), "Cumsum": cumsum, "Square": lambda x: _tensor(x) * _tensor(x),
    "Rsqrt": lambda x: 1.0 / op.Sqrt(_float(x)), "Log1p": lambda x: op.Log(_float(x) + 1.0), "Expm1": lambda x: op.Exp(_float(x)) - 1.0,
    "Log2": _log_base(2.0), "Log10": _log_base(10.0), "Exp2": lambda x: op.Exp(_float(x) * math.log(2.0)), "Clip": clip, "Cast": cast,
    "Concatenate": concatenate, "Stack": stack, "Hstack": lambda xs: concatenate(xs, 1), "Vstack": lambda xs: concatenate(xs, 0),
    "Split": split, "Unstack": unstack, "Reshape": reshape, "Ravel": lambda x: op.Reshape(_tensor(x), [-1]), "Transpose": transpose,
    "Moveaxis": moveaxis, "Swapaxes": swapaxes, "ExpandDims": expand_dims, "Squeeze": squeeze, "GetItem": get_item, "Take": take,
    "TakeAlongAxis": take_along_axis, "Tile": tile, "Repeat": repeat, "Pad": pad, "BroadcastTo": broadcast_to, "Flip": flip, "Roll": roll,
    "Matmul": matmul, "Dot": dot, "Tensordot": tensordot, "Einsum": einsum, "Where": where, "OneHot": one_hot, "TopK": top_k,
    "Logsumexp": logsumexp, "Norm": norm, "Normalize": normalize, "Moments": moments, "Resize": resize, "Slice": slice_,
    "ZerosLike": lambda x, dtype=None: full_like(x, 0, dtype), "OnesLike": lambda x, dtype=None: full_like(x, 1, dtype), "FullLike": full_like,
    "Isnan": lambda x: op.IsNaN(_float(x)), "Isinf": lambda x: op.IsInf(_float(x)), "Tril": lambda x, k=0: op.Trilu(_tensor(x), k, upper=0),
    "Triu": lambda x, k=0: op.Trilu(_tensor(x), k, upper=1), "SquaredDifference": _pair(lambda a, b: (a - b) * (a - b)),
}  # fmt: skip
"""By the names of Keras's classes of operations."""
