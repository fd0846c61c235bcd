"""NumPy indexing: ``x[2:, None, ..., ids]`` as Slice, Squeeze, Unsqueeze, Gather and GatherND."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.errors import ShapeError
from onnxdl.graph import op
from onnxdl.graph.infer import describe
from onnxdl.graph.tensor import Operators, Tensor, as_tensor
from onnxdl.graph.trace import where

_LAST = np.iinfo(np.int64).max


def index_tensor(x: Tensor, index: Any) -> Tensor:
    """``x[index]`` after NumPy's rules: basic indexing first, then the integer arrays and masks together."""
    parts = _expanded(x, index if isinstance(index, tuple) else (index,))
    x, arrays = _basic(x, parts)
    return _advanced(x, arrays) if arrays else x


def _is_array(part: Any) -> bool:
    return isinstance(part, Operators | np.ndarray | list | np.bool_) and not (
        isinstance(part, np.ndarray) and part.ndim == 0 and part.dtype != bool
    )


def _span(part: Any) -> int:
    """How many axes of the tensor an index entry stands for; a mask stands for as many as it has."""
    if part is None:
        return 0
    if _is_array(part) and (array := as_tensor(np.asarray(part) if isinstance(part, list) else part)).dtype == bool:
        return array.ndim
    return 1


def _expanded(x: Tensor, parts: Sequence[Any]) -> list[Any]:
    used = sum(_span(p) for p in parts if p is not Ellipsis)
    if used > x.ndim or sum(p is Ellipsis for p in parts) > 1:
        raise ShapeError(f"too many indices for {describe(x.value)}: {used}{where()}")
    fill = [slice(None)] * (x.ndim - used)
    if not any(p is Ellipsis for p in parts):
        return [*parts, *fill]
    at = next(i for i, p in enumerate(parts) if p is Ellipsis)
    return [*parts[:at], *fill, *parts[at + 1 :]]


def _basic(x: Tensor, parts: Sequence[Any]) -> tuple[Tensor, list[tuple[int, Tensor]]]:
    """Applies integers, slices and None; returns the array indices with the axis each applies to afterwards."""
    beside_arrays = any(_is_array(part) for part in parts)
    cuts: list[tuple[int, int, int, int]] = []
    dropped: list[int] = []
    added: list[int] = []
    arrays: list[tuple[int, Tensor]] = []
    axis = out = 0
    for part in parts:
        if part is None:
            added.append(out)
            out += 1
        elif isinstance(part, slice):
            if part != slice(None):
                start, end, step = _bounds(part)
                cuts.append((start, end, axis, step))
            axis, out = axis + 1, out + 1
        elif _is_array(part):
            array = as_tensor(np.asarray(part) if isinstance(part, list) else part)
            for indices in _positions(array):
                arrays.append((out, indices))
                axis, out = axis + 1, out + 1
        else:
            i = int(part)
            size = x.shape[axis]
            if isinstance(size, int) and not -size <= i < size:
                raise ShapeError(f"index {i} is outside axis {axis} of {describe(x.value)}{where()}")
            if beside_arrays:  # NumPy takes the integer for an array too, which decides where the result's axes stand
                arrays.append((out, as_tensor(np.array(i, np.int64), x)))
                axis, out = axis + 1, out + 1
                continue
            cuts.append((i, i + 1 if i != -1 else _LAST, axis, 1))
            dropped.append(axis)
            axis += 1
    if cuts:
        starts, ends, axes, steps = zip(*cuts, strict=True)
        x = op.Slice(x, starts, ends, axes, steps)
    if dropped:
        x = op.Squeeze(x, dropped)
    if added:
        x = op.Unsqueeze(x, added)
    return x, arrays


def _bounds(part: slice) -> tuple[int, int, int]:
    step = 1 if part.step is None else int(part.step)
    start = (0 if step > 0 else _LAST) if part.start is None else int(part.start)
    end = (_LAST if step > 0 else -_LAST) if part.stop is None else int(part.stop)
    return start, end, step


def _positions(array: Tensor) -> list[Tensor]:
    """An integer array as it is; a mask as the positions of its True entries, one array an axis."""
    if array.dtype != bool:
        return [array]
    if array.ndim == 1:
        return [op.Squeeze(op.NonZero(array), [0])]
    return list(op.Split(op.NonZero(array), num_outputs=array.ndim, axis=0)) if array.ndim > 1 else [op.NonZero(array)]


def _advanced(x: Tensor, arrays: Sequence[tuple[int, Tensor]]) -> Tensor:
    if len(arrays) == 1:
        axis, index = arrays[0]
        return op.Gather(x, index, axis=axis)
    axes = [axis for axis, _ in arrays]
    rest = [i for i in range(x.ndim) if i not in axes]
    indices = [_flat(t) for _, t in arrays]
    rank = max(t.ndim for t in indices)
    stacked = op.Concat(*[op.Unsqueeze(t.astype("int64"), [-1]) for t in _broadcast(indices)], axis=-1)
    picked = op.GatherND(op.Transpose(x, perm=axes + rest), stacked)
    if axes != list(range(axes[0], axes[0] + len(axes))):
        return picked  # NumPy puts the result's axes first where the arrays are not side by side
    before = axes[0]
    order = [rank + i for i in range(before)] + list(range(rank)) + [rank + i for i in range(before, len(rest))]
    return op.Transpose(picked, perm=order)


def _flat(t: Tensor) -> Tensor:
    producer = t.value.producer()
    return op.Squeeze(t, [0]) if producer is not None and producer.op_type == "Split" else t


def _broadcast(arrays: Sequence[Tensor]) -> list[Tensor]:
    shape = op.Shape(arrays[0])
    for t in arrays[1:]:
        shape = op.Shape(op.Add(op.Expand(np.int64(0), shape), op.Mul(t.astype("int64"), 0)))
    return [op.Expand(t, shape) for t in arrays]
