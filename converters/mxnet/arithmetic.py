"""MXNet's arithmetic, reductions and changes of shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onnxdl.converters.mxnet.operators import operator
from onnxdl.converters.net import Use
from onnxdl.errors import ConversionError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor

Binary = Callable[[Any, Any], Tensor]

BINARY: dict[str, Binary] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "power": lambda a, b: op.Pow(a, b),
    "maximum": lambda a, b: op.Max(a, b),
    "minimum": lambda a, b: op.Min(a, b),
    "mod": lambda a, b: op.Mod(a, b, fmod=1),
    "equal": lambda a, b: op.Cast(op.Equal(a, b), to="float32"),
    "not_equal": lambda a, b: op.Cast(op.Not(op.Equal(a, b)), to="float32"),
    "greater": lambda a, b: op.Cast(op.Greater(a, b), to="float32"),
    "greater_equal": lambda a, b: op.Cast(op.GreaterOrEqual(a, b), to="float32"),
    "lesser": lambda a, b: op.Cast(op.Less(a, b), to="float32"),
    "lesser_equal": lambda a, b: op.Cast(op.LessOrEqual(a, b), to="float32"),
}
OTHER_NAMES = {"plus": "add", "minus": "sub"}
CAPITALS = {"_Plus": "add", "_Minus": "sub", "_Mul": "mul", "_Div": "div", "_Power": "power", "_Maximum": "maximum", "_Minimum": "minimum"}


def _binary_kind(kind: str) -> str:
    if kind in CAPITALS:
        return CAPITALS[kind]
    plain = kind.removeprefix("elemwise_").removeprefix("broadcast_").removeprefix("_")
    return OTHER_NAMES.get(plain, plain)


def _names(kind: str) -> list[str]:
    spelled = [kind, *(k for k, v in OTHER_NAMES.items() if v == kind)]
    return [f"{prefix}{s}" for s in spelled for prefix in ("elemwise_", "broadcast_", "_")] + [k for k, v in CAPITALS.items() if v == kind]


@operator(*(name for kind in BINARY for name in _names(kind)))
def binary(use: Use, a: Tensor, b: Tensor) -> Tensor:
    """With broadcasting."""
    return BINARY[_binary_kind(use.node.kind)](a, b)


def _scalar_names(kind: str) -> list[str]:
    spelled = [kind, *(k for k, v in OTHER_NAMES.items() if v == kind)]
    capital = [f"{r}{k.removeprefix('_')}" for k, v in CAPITALS.items() if v == kind for r in ("_", "_R")]
    return [f"_{r}{s}_scalar" for s in spelled for r in ("", "r")] + [f"{c}Scalar" for c in capital]


@operator(*(name for kind in BINARY for name in _scalar_names(kind)))
def with_scalar(use: Use, x: Tensor, *, scalar: float, is_int: bool = False, reverse: bool = False) -> Tensor:
    """A number on the right, or on the left where the name begins with r."""
    kind = use.node.kind.removesuffix("_scalar").removesuffix("Scalar")
    turned = kind.startswith("_R") or (kind.startswith("_r") and _binary_kind(kind) not in BINARY)
    if turned:
        kind = f"_{kind[2:]}"
    number = np.float32(scalar)
    apply = BINARY[_binary_kind(kind)]
    return apply(op.Identity(np.array(number)), x) if turned else apply(x, number)


@operator("add_n", "ElementWiseSum")
def add_n(use: Use, *xs: Tensor) -> Tensor:
    """Of all inputs."""
    return op.Sum(*xs)


UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": op.Relu,
    "sigmoid": op.Sigmoid,
    "tanh": op.Tanh,
    "exp": op.Exp,
    "log": op.Log,
    "sqrt": op.Sqrt,
    "abs": op.Abs,
    "negative": op.Neg,
    "erf": op.Erf,
    "floor": op.Floor,
    "ceil": op.Ceil,
    "round": op.Round,
    "sign": op.Sign,
    "sin": op.Sin,
    "cos": op.Cos,
    "softsign": op.Softsign,
    "square": lambda x: x * x,
    "rsqrt": lambda x: 1.0 / op.Sqrt(x),
    "reciprocal": lambda x: 1.0 / x,
    "log1p": lambda x: op.Log(x + 1.0),
    "expm1": lambda x: op.Exp(x) - 1.0,
    "zeros_like": lambda x: x * 0.0,
    "ones_like": lambda x: x * 0.0 + 1.0,
}


@operator(*UNARY)
def unary(use: Use, x: Tensor) -> Tensor:
    """Elementwise."""
    return UNARY[use.node.kind](x)


@operator("hard_sigmoid")
def hard_sigmoid(use: Use, x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    """max(0, min(1, alpha x + beta))."""
    return op.HardSigmoid(x, alpha=alpha, beta=beta)


@operator("clip")
def clip(use: Use, x: Tensor, *, a_min: float, a_max: float) -> Tensor:
    """Between two bounds."""
    return op.Clip(x, np.float32(a_min), np.float32(a_max))


@operator("mean", "sum", "sum_axis", "max", "max_axis", "min", "min_axis", "prod", "norm")
def reduce(
    use: Use, x: Tensor, *, axis: int | Sequence[int] | None = None, keepdims: bool = False, exclude: bool = False, ord: int = 2
) -> Tensor:
    """Over all axes by default; ``exclude`` means all others."""
    given = [axis] if isinstance(axis, int) else list(axis or ())
    axes = [a % x.ndim for a in given] or list(range(x.ndim))
    if exclude:
        axes = [i for i in range(x.ndim) if i not in axes]
    kind = use.node.kind.removesuffix("_axis")
    reduced = {"mean": op.ReduceMean, "sum": op.ReduceSum, "max": op.ReduceMax, "min": op.ReduceMin, "prod": op.ReduceProd}
    if kind == "norm":
        return (op.ReduceL1 if ord == 1 else op.ReduceL2)(x, axes, keepdims=int(keepdims))
    return reduced[kind](x, axes, keepdims=int(keepdims))


@operator("dot", "batch_dot", "_linalg_gemm2")
def dot(use: Use, a: Tensor, b: Tensor, *, transpose_a: bool = False, transpose_b: bool = False, alpha: float = 1.0) -> Tensor:
    """Matrix products; ``dot`` takes the last axis with the first."""
    if use.node.kind == "dot" and (a.ndim > 2 or b.ndim > 2):
        raise ConversionError("dot is read for vectors and matrices only")
    turned = [
        op.Transpose(x, perm=[*range(x.ndim - 2), x.ndim - 1, x.ndim - 2]) if t else x for x, t in ((a, transpose_a), (b, transpose_b))
    ]
    y = op.MatMul(*turned)
    return y * alpha if alpha != 1 else y


@operator("Flatten", "flatten")
def flatten(use: Use, x: Tensor) -> Tensor:
    """All axes but the first into one."""
    return op.Flatten(x)


@operator("Reshape", "reshape")
def reshape(
    use: Use,
    x: Tensor,
    *,
    shape: int | Sequence[int] = (),
    reverse: bool = False,
    target_shape: Sequence[int] = (),
    keep_highest: bool = False,
) -> Tensor:
    """0 keeps a dimension, -1 is the rest, -2 all that remain, -3 two in one, -4 one split in two."""
    codes = [shape] if isinstance(shape, int) else [int(d) for d in shape]
    if not codes:
        codes = [0 if keep_highest else int(target_shape[0]), *(int(d) for d in target_shape[1:])]
        codes = [-1 if d == 0 and i else d for i, d in enumerate(codes)]
    if reverse:
        raise ConversionError(f"Reshape(shape={tuple(codes)}, reverse=True) is not read")
    parts: list[Any] = []
    at = i = 0
    while i < len(codes):
        code = codes[i]
        if code == -2:
            parts.append(op.Shape(x, start=at))
            at = x.ndim
        elif code == -3:
            pair = [op.Shape(x, start=at, end=at + 1), op.Shape(x, start=at + 1, end=at + 2)]
            parts.append(pair[0] * pair[1])
            at += 2
        elif code == -4:
            parts += [np.array([codes[i + 1]], np.int64), np.array([codes[i + 2]], np.int64)]
            if -1 in codes[i + 1 : i + 3]:
                known = max(codes[i + 1 : i + 3])
                parts[-2 if codes[i + 1] == -1 else -1] = op.Shape(x, start=at, end=at + 1) / np.array([known], np.int64)
            at, i = at + 1, i + 2
        else:
            parts.append(op.Shape(x, start=at, end=at + 1) if code == 0 else np.array([code], np.int64))
            at += 1
        i += 1
    if all(isinstance(p, np.ndarray) for p in parts):
        return op.Reshape(x, np.concatenate(parts))
    if all(c in (0, -1) or c > 0 for c in codes):
        return op.Reshape(x, codes)
    return op.Reshape(x, op.Concat(*parts, axis=0))


@operator("transpose")
def transpose(use: Use, x: Tensor, *, axes: Sequence[int] = ()) -> Tensor:
    """The axes turned round by default."""
    return op.Transpose(x, perm=list(axes) or list(range(x.ndim))[::-1])


@operator("SwapAxis", "swapaxes")
def swap_axes(use: Use, x: Tensor, *, dim1: int = 0, dim2: int = 0) -> Tensor:
    """Two of them."""
    order = list(range(x.ndim))
    order[dim1], order[dim2] = order[dim2], order[dim1]
    return op.Transpose(x, perm=order)


@operator("expand_dims", "squeeze")
def axes_of_one(use: Use, x: Tensor, *, axis: int | Sequence[int] | None = None) -> Tensor:
    """An axis of size 1, put in or taken away."""
    axes = [axis] if isinstance(axis, int) else list(axis or [i for i, d in enumerate(x.shape) if d == 1])
    return op.Unsqueeze(x, axes) if use.node.kind == "expand_dims" else op.Squeeze(x, axes)


@operator("Concat", "concat")
def concat(use: Use, *xs: Tensor, dim: int = 1) -> Tensor:
    """Along an axis."""
    return op.Concat(*xs, axis=dim)


@operator("stack")
def stack(use: Use, *xs: Tensor, axis: int = 0) -> Tensor:
    """Along a new axis."""
    return op.Concat(*(op.Unsqueeze(x, [axis]) for x in xs), axis=axis)


@operator("SliceChannel", "split")
def slice_channel(use: Use, x: Tensor, *, num_outputs: int, axis: int = 1, squeeze_axis: bool = False) -> tuple[Tensor, ...]:
    """Equal parts."""
    parts = op.Split(x, axis=axis, num_outputs=num_outputs, outputs=num_outputs) if num_outputs > 1 else (x,)
    return tuple(op.Squeeze(p, [axis]) if squeeze_axis else p for p in parts)


@operator("slice_axis")
def slice_axis(use: Use, x: Tensor, *, axis: int, begin: int, end: int | None = None) -> Tensor:
    """A part of an axis."""
    return op.Slice(x, [begin], [np.iinfo(np.int64).max if end is None else end], [axis])


@operator("slice", "crop")
def slice_(use: Use, x: Tensor, *, begin: Sequence[int | None], end: Sequence[int | None], step: Sequence[int | None] = ()) -> Tensor:
    """A part of the first axes."""
    steps = [s or 1 for s in step] or [1] * len(begin)
    if min(steps) < 1:
        raise ConversionError(f"slice(step={tuple(step)}) has no equal here")
    ends = [np.iinfo(np.int64).max if e is None else e for e in end]
    return op.Slice(x, [b or 0 for b in begin], ends, list(range(len(begin))), steps)


@operator("Pad", "pad")
def pad(use: Use, x: Tensor, *, mode: str, pad_width: Sequence[int], constant_value: float = 0.0) -> Tensor:
    """Before and after each axis."""
    pads = np.array([*pad_width[::2], *pad_width[1::2]], np.int64)
    return op.Pad(x, pads, np.float32(constant_value)) if mode == "constant" else op.Pad(x, pads, mode=mode)


@operator("tile")
def tile(use: Use, x: Tensor, *, reps: Sequence[int]) -> Tensor:
    """As often along each axis."""
    return op.Tile(x, np.array([1] * (x.ndim - len(reps)) + list(reps), np.int64))


@operator("broadcast_like", "reshape_like")
def like(use: Use, x: Tensor, y: Tensor) -> Tensor:
    """The shape of another."""
    return op.Expand(x, op.Shape(y)) if use.node.kind == "broadcast_like" else op.Reshape(x, op.Shape(y))


@operator("take")
def take(use: Use, x: Tensor, indices: Tensor, *, axis: int = 0, mode: str = "clip") -> Tensor:
    """Entries by number."""
    return op.Gather(x, op.Cast(indices, to="int64"), axis=axis)


@operator("where")
def where(use: Use, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The first where the condition is not 0."""
    return op.Where(op.Cast(condition, to="bool"), a, b)


@operator("Cast", "cast", "amp_cast", also=frozenset({"dtype"}))
def cast(use: Use, x: Tensor) -> Tensor:
    """Nets are read in float32."""
    return op.Identity(x)


@operator("_zeros", "_ones")
def filled(use: Use, *, shape: Sequence[int]) -> Tensor | None:
    """None where the shape waits for the batch: such zeros are a recurrent layer's first state, which is zero anyway."""
    if 0 in shape:
        return None
    return op.Identity(np.full(tuple(shape), use.node.kind == "_ones", np.float32))
