"""New tensors: ranges, constants of a shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.converters.torch.aten import Size, aten, cast, sizes_of, vector
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, as_tensor


def filled(size: Sequence[Size], value: Any, dtype: Any) -> Tensor:
    """A tensor of a shape with one value everywhere."""
    if all(isinstance(s, int) for s in size) and int(np.prod([int(s) for s in size] or [1])) <= 64 and not isinstance(value, Tensor):
        return as_tensor(np.full([int(s) for s in size], value, dtype))
    return op.Expand(cast(value, dtype), vector(size)) if size else cast(value, dtype)


def _of_number(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.dtype
    return np.bool_ if isinstance(value, bool) else np.int64 if isinstance(value, int) else np.float32


@aten("full")
def full(size: Sequence[Size], fill_value: Any, dtype: Any = None) -> Tensor:
    return filled(size, fill_value, dtype or _of_number(fill_value))


@aten("zeros", "empty.memory_format")
def zeros(size: Sequence[Size], dtype: Any = None) -> Tensor:
    return filled(size, 0, dtype or np.float32)


@aten("ones")
def ones(size: Sequence[Size], dtype: Any = None) -> Tensor:
    return filled(size, 1, dtype or np.float32)


@aten("zeros_like", "empty_like")
def zeros_like(x: Tensor, dtype: Any = None) -> Tensor:
    return filled(sizes_of(x), 0, dtype or x.dtype)


@aten("ones_like")
def ones_like(x: Tensor, dtype: Any = None) -> Tensor:
    return filled(sizes_of(x), 1, dtype or x.dtype)


@aten("full_like")
def full_like(x: Tensor, fill_value: Any, dtype: Any = None) -> Tensor:
    return filled(sizes_of(x), fill_value, dtype or x.dtype)


@aten("new_zeros", "new_empty", "new_empty_strided")
def new_zeros(x: Tensor, size: Sequence[Size], dtype: Any = None, stride: Any = None) -> Tensor:
    return filled(size, 0, dtype or x.dtype)


@aten("new_ones")
def new_ones(x: Tensor, size: Sequence[Size], dtype: Any = None) -> Tensor:
    return filled(size, 1, dtype or x.dtype)


@aten("new_full")
def new_full(x: Tensor, size: Sequence[Size], fill_value: Any, dtype: Any = None) -> Tensor:
    return filled(size, fill_value, dtype or x.dtype)


@aten("scalar_tensor")
def scalar_tensor(s: Any, dtype: Any = None) -> Tensor:
    return cast(s, dtype or (s.dtype if isinstance(s, Tensor) else np.float32))


@aten("arange", "arange.start", "arange.start_step")
def arange(end: Any, start: Any = 0, step: Any = 1, dtype: Any = None) -> Tensor:
    numbers = (start, end, step)
    whole = all(isinstance(n, int) or (isinstance(n, Tensor) and n.dtype.kind in "iu") for n in numbers)
    dtype = dtype or (np.int64 if whole else np.float32)
    if not any(isinstance(n, Tensor) for n in numbers):
        return as_tensor(np.arange(*numbers).astype(dtype))
    return op.Range(*[cast(n, np.int64 if whole else dtype) for n in numbers]).astype(dtype)


@aten("linspace")
def linspace(start: float, end: float, steps: Size, dtype: Any = None) -> Tensor:
    dtype = dtype or np.float32
    if isinstance(steps, int):
        return as_tensor(np.linspace(start, end, steps).astype(dtype))
    places = op.Range(np.int64(0), steps, np.int64(1)).astype(dtype)
    return places * (cast(end - start, dtype) / op.Max(steps - 1, np.int64(1)).astype(dtype)) + start


@aten("eye", "eye.m")
def eye(n: Size, m: Size | None = None, dtype: Any = None) -> Tensor:
    columns = n if m is None else m
    dtype = dtype or np.float32
    if isinstance(n, int) and isinstance(columns, int):
        return as_tensor(np.eye(n, columns, dtype=dtype))
    rows, across = (op.Range(np.int64(0), s, np.int64(1)) for s in (n, columns))
    return (op.Unsqueeze(rows, [1]) == op.Unsqueeze(across, [0])).astype(dtype)


@aten("tril_indices")
def tril_indices(row: int, col: int, offset: int = 0, dtype: Any = None) -> Tensor:
    return as_tensor(np.stack(np.tril_indices(row, offset, col)).astype(dtype or np.int64))


@aten("triu_indices")
def triu_indices(row: int, col: int, offset: int = 0, dtype: Any = None) -> Tensor:
    return as_tensor(np.stack(np.triu_indices(row, offset, col)).astype(dtype or np.int64))
