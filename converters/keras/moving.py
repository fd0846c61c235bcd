"""Operations that move elements: shapes, parts and orders, by the names and arguments of ``keras.ops``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from onnxdl.converters.keras.arguments import Axis, axes_of, in_a_row, tensor_of
from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, as_tensor


def concatenate(xs: Sequence[Any], axis: int = 0) -> Tensor:
    """Tensors side by side."""
    return op.Concat(*[tensor_of(x) for x in xs], axis=axis)


def stack(xs: Sequence[Any], axis: int = 0) -> Tensor:
    """Tensors side by side along a new axis."""
    tensors = [tensor_of(x) for x in xs]
    at = axis % (tensors[0].ndim + 1)
    return op.Concat(*[op.Unsqueeze(x, [at]) for x in tensors], axis=at)


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Parts of an axis: so many, or those between places."""
    x = tensor_of(x)
    size = x.shape[axis]
    if not isinstance(size, int):
        raise ShapeError(f"Split needs a known size on axis {axis} of {x.shape}")
    if isinstance(indices_or_sections, int):
        sizes = [size // indices_or_sections] * indices_or_sections
    else:
        edges = [0, *(int(i) for i in indices_or_sections), size]
        sizes = [b - a for a, b in pairwise(edges)]
    parts = op.Split(x, sizes, axis=axis, outputs=len(sizes))
    return [parts] if isinstance(parts, Tensor) else list(parts)


def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The members of an axis."""
    x = tensor_of(x)
    n = num or x.shape[axis]
    if not isinstance(n, int):
        raise ShapeError(f"Unstack needs a known size on axis {axis} of {x.shape}")
    return [op.Gather(x, i, axis=axis) for i in range(n)]


def reshape(x: Any, newshape: Any) -> Tensor:
    """The same elements in another shape; one size may be -1 or None."""
    x = tensor_of(x)
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
    x = tensor_of(x)
    return op.Transpose(x, perm=axes_of(x, axes) if axes is not None else list(range(x.ndim))[::-1])


def moveaxis(x: Any, source: Any, destination: Any) -> Tensor:
    """Axes moved to other places, the rest in order."""
    x = tensor_of(x)
    given, wanted = axes_of(x, source) or [], axes_of(x, destination) or []
    order = [i for i in range(x.ndim) if i not in given]
    for to, a in sorted(zip(wanted, given, strict=True)):
        order.insert(to, a)
    return op.Transpose(x, perm=order)


def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    x = tensor_of(x)
    order = list(range(x.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return op.Transpose(x, perm=order)


def expand_dims(x: Any, axis: Any) -> Tensor:
    """New axes of size 1."""
    x = tensor_of(x)
    axes = [axis] if isinstance(axis, int) else list(axis)
    return op.Unsqueeze(x, axes)


def squeeze(x: Any, axis: Any = None) -> Tensor:
    """Without axes of size 1: those given, or all."""
    x = tensor_of(x)
    return op.Squeeze(x, axes_of(x, axis) if axis is not None else [i for i, d in enumerate(x.shape) if d == 1])


def get_item(x: Any, key: Any) -> Tensor:
    """``x[key]``."""
    return tensor_of(x)[
        tuple(key) if isinstance(key, list) and any(isinstance(k, slice | list) or k is Ellipsis or k is None for k in key) else key
    ]


def take(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """Members of an axis by number."""
    flat, at = in_a_row(tensor_of(x), axis)
    return op.Gather(flat, indices if isinstance(indices, Tensor) else np.asarray(indices, np.int64), axis=at)


def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """Elements by number, each along the axis."""
    flat, at = in_a_row(tensor_of(x), axis)
    return op.GatherElements(flat, tensor_of(indices), axis=at)


def tile(x: Any, repeats: Any) -> Tensor:
    """``x`` repeated along each axis."""
    x = tensor_of(x)
    counts = [repeats] if isinstance(repeats, int) else list(repeats)
    counts = [1] * (x.ndim - len(counts)) + counts
    x = op.Unsqueeze(x, list(range(len(counts) - x.ndim))) if len(counts) > x.ndim else x
    return op.Tile(x, _shape(counts) if any(isinstance(c, Tensor) for c in counts) else np.array(counts, np.int64))


def repeat(x: Any, repeats: int, axis: int | None = None) -> Tensor:
    """Each member of an axis several times."""
    flat, at = in_a_row(tensor_of(x), axis)
    size = flat.shape[at]
    if not isinstance(repeats, int) or not isinstance(size, int):
        raise ShapeError(f"Repeat needs one number of times, and a known size on axis {at} of {flat.shape}")
    return op.Gather(flat, np.repeat(np.arange(size), repeats), axis=at)


def pad(x: Any, pad_width: Any = 0, mode: str = "constant", constant_values: Any = None) -> Tensor:
    """Margins around ``x``: zeros or another number, or ``reflect`` and ``edge``."""
    x = tensor_of(x)
    pairs = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2))
    modes = {"constant": "constant", "reflect": "reflect", "edge": "edge", "wrap": "wrap", "symmetric": None}
    if modes.get(mode) is None:
        raise GraphError(f"Pad has the mode {mode!r}, which is not supported")
    value = [] if mode != "constant" or constant_values is None else [as_tensor(constant_values, x)]
    return op.Pad(x, [*pairs[:, 0].tolist(), *pairs[:, 1].tolist()], *value, mode=modes[mode])


def broadcast_to(x: Any, shape: Any) -> Tensor:
    """``x`` stretched to a shape."""
    return op.Expand(tensor_of(x), _shape(list(shape)))


def flip(x: Any, axis: Axis = None) -> Tensor:
    """``x`` with axes turned round."""
    x = tensor_of(x)
    turned = axes_of(x, axis)
    return tensor_of(x[tuple(slice(None, None, -1) if turned is None or i in turned else slice(None) for i in range(x.ndim))])


def roll(x: Any, shift: int, axis: int | None = None) -> Tensor:
    """``x`` moved round along an axis."""
    x = tensor_of(x)
    if not isinstance(shift, int) or not isinstance(axis, int):
        raise GraphError("Roll takes one shift and one axis")
    at = axis % x.ndim
    size = x.shape[at]
    k = shift % size if isinstance(size, int) else shift
    if not k:
        return tensor_of(x)
    cut: list[Any] = [slice(None)] * at
    rolled: Tensor = op.Concat(x[(*cut, slice(-k, None))], x[(*cut, slice(None, -k))], axis=at)
    return rolled


def slice_(x: Any, start_indices: Any, shape: Any) -> Tensor:
    """The part of a shape that begins at given places."""
    x = tensor_of(x)
    cuts = zip(start_indices, shape, x.shape, strict=True)
    parts = [slice(int(b), None if n == -1 or (n == d and not b) else int(b) + int(n)) for b, n, d in cuts]
    return tensor_of(x[tuple(parts)])
