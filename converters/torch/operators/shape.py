"""Shapes: views, permutations, pieces, padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.autodiff.custom import stop_gradient
from onnxdl.converters.torch.aten import (
    Size,
    aten,
    axes_of,
    axis_of,
    expanded,
    moved,
    promoted,
    reshaped,
    size_of,
    sizes_of,
    vector,
)
from onnxdl.errors import ConversionError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor

LAST = np.iinfo(np.int64).max


@aten("view", "reshape", "_unsafe_view", "_reshape_alias", "view_copy")
def view(x: Tensor, size: Sequence[Size] | None = None, shape: Sequence[Size] | None = None, stride: Any = None) -> Tensor:
    return reshaped(x, size if shape is None and size is not None else shape or [])


@aten("view_as", "reshape_as")
def view_as(x: Tensor, other: Tensor) -> Tensor:
    return reshaped(x, sizes_of(other))


@aten("clone", "contiguous", "alias", "lift_fresh", "lift_fresh_copy", "lift", "positive", "resolve_conj", "real")
def clone(x: Tensor) -> Tensor:
    return x


@aten("detach", "detach_copy")
def detach(x: Tensor) -> Tensor:
    return stop_gradient(x)


@aten("flatten.using_ints")
def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    if not x.ndim:
        return op.Reshape(x, [1])
    first, last = axis_of(start_dim, x), axis_of(end_dim, x)
    if first == last:
        return x
    sizes = sizes_of(x)
    together = sizes[first : last + 1]
    known = all(isinstance(s, int) for s in together)
    product = int(np.prod([int(s) for s in together])) if known else -1
    return reshaped(x, [*sizes[:first], product, *sizes[last + 1 :]])


@aten("unflatten.int")
def unflatten(x: Tensor, dim: int, sizes: Sequence[Size]) -> Tensor:
    axis, own = axis_of(dim, x), sizes_of(x)
    return reshaped(x, [*own[:axis], *sizes, *own[axis + 1 :]])


@aten("squeeze", "squeeze.dim", "squeeze.dims")
def squeeze(x: Tensor, dim: list[int] | int | None = None) -> Tensor:
    candidates = range(x.ndim) if dim is None else ([] if isinstance(dim, list) and not dim else axes_of(dim, x))
    dropped = [i for i in candidates if x.ndim and x.shape[i] == 1]
    return op.Squeeze(x, dropped) if dropped else x


@aten("unsqueeze")
def unsqueeze(x: Tensor, dim: int) -> Tensor:
    return op.Unsqueeze(x, [dim % (x.ndim + 1)])


@aten("permute")
def permute(x: Tensor, dims: Sequence[int]) -> Tensor:
    return op.Transpose(x, perm=[axis_of(d, x) for d in dims])


@aten("transpose.int", "transpose", "swapaxes", "swapdims")
def transpose(x: Tensor, dim0: int | None = None, dim1: int | None = None, axis0: int = 0, axis1: int = 1) -> Tensor:
    a, b = axis_of(axis0 if dim0 is None else dim0, x), axis_of(axis1 if dim1 is None else dim1, x)
    order = list(range(x.ndim))
    order[a], order[b] = b, a
    return op.Transpose(x, perm=order) if a != b else x


@aten("t", "numpy_T", "mT", "adjoint")
def t(x: Tensor) -> Tensor:
    return transpose(x, -2, -1) if x.ndim > 1 else x


@aten("movedim.int", "movedim.intlist", "moveaxis.int")
def movedim(x: Tensor, source: Any, destination: Any) -> Tensor:
    if isinstance(source, int):
        return moved(x, source, destination)
    sources, targets = [axis_of(s, x) for s in source], [axis_of(d, x) for d in destination]
    order: list[int] = [-1] * x.ndim
    for a, b in zip(sources, targets, strict=True):
        order[b] = a
    rest = iter(i for i in range(x.ndim) if i not in sources)
    return op.Transpose(x, perm=[next(rest) if i == -1 else i for i in order])


@aten("expand", "broadcast_to")
def expand(x: Tensor, size: Sequence[Size]) -> Tensor:
    return expanded(x, size)


@aten("expand_as")
def expand_as(x: Tensor, other: Tensor) -> Tensor:
    return expanded(x, sizes_of(other))


@aten("repeat", "tile")
def repeat(x: Tensor, repeats: Sequence[Size] | None = None, dims: Sequence[Size] | None = None) -> Tensor:
    given: list[Size] = list(repeats if repeats is not None else dims or [])
    times: list[Size] = [*[1] * (x.ndim - len(given)), *given]
    if len(times) > x.ndim:
        x = op.Unsqueeze(x, list(range(len(times) - x.ndim)))
    return op.Tile(x, vector(times)) if times else x


@aten("repeat_interleave.self_int", "repeat_interleave.self_Tensor")
def repeat_interleave(x: Tensor, repeats: Any, dim: int | None = None, output_size: Any = None) -> Tensor:
    if dim is None:
        x, dim = op.Reshape(x, [-1]), 0
    axis = axis_of(dim, x)
    if isinstance(repeats, Tensor) and repeats.ndim:
        ends = op.CumSum(repeats.astype(np.int64), np.int64(0))
        places = op.Range(np.int64(0), op.Squeeze(op.Slice(ends, [-1], [LAST]), [0]), np.int64(1))
        ids = op.ReduceSum((op.Unsqueeze(places, [1]) >= op.Unsqueeze(ends, [0])).astype(np.int64), [1], keepdims=0)
        return op.Gather(x, ids, axis=axis)
    sizes = sizes_of(x)
    copies = op.Expand(op.Unsqueeze(x, [axis + 1]), vector([*[1] * (axis + 1), repeats, *[1] * (x.ndim - axis - 1)]))
    return reshaped(copies, [*sizes[:axis], _product(sizes[axis], repeats), *sizes[axis + 1 :]])


def _product(a: Size, b: Size) -> Size:
    return a * b


@aten("cat", "concat", "concatenate")
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    kept = [x for x in tensors if not (x.ndim == 1 and x.shape[0] == 0)] or list(tensors[:1])
    kept = promoted(*kept)
    return op.Concat(*kept, axis=axis_of(dim, kept[0])) if len(kept) > 1 else kept[0]


@aten("stack")
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    same = promoted(*tensors)
    axis = dim % (same[0].ndim + 1)
    return op.Concat(*[op.Unsqueeze(x, [axis]) for x in same], axis=axis)


@aten("hstack")
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    return cat(tensors, 0 if tensors[0].ndim == 1 else 1)


@aten("vstack")
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    return cat([op.Unsqueeze(x, [0]) if x.ndim == 1 else x for x in tensors], 0)


@aten("split_with_sizes", "split.sizes", "split_with_sizes_copy", "unsafe_split_with_sizes")
def split_with_sizes(x: Tensor, split_sizes: Sequence[Size] | None = None, split_size: Any = None, dim: int = 0) -> list[Tensor]:
    sizes = list(split_sizes if split_sizes is not None else split_size)
    if len(sizes) == 1:
        return [x]
    return list(op.Split(x, vector(sizes), axis=axis_of(dim, x), outputs=len(sizes)))


@aten("split.Tensor", "unsafe_split.Tensor", "split_copy.Tensor")
def split(x: Tensor, split_size: int, dim: int = 0) -> list[Tensor]:
    length = known_length(x, dim)
    return split_with_sizes(x, [min(split_size, length - i) for i in range(0, length, split_size)] or [0], dim=dim)


@aten("chunk", "unsafe_chunk")
def chunk(x: Tensor, chunks: int, dim: int = 0) -> list[Tensor]:
    return split(x, max(-(-known_length(x, dim) // chunks), 1), dim)


@aten("tensor_split.sections")
def tensor_split(x: Tensor, sections: int, dim: int = 0) -> list[Tensor]:
    length = known_length(x, dim)
    return split_with_sizes(x, [length // sections + (i < length % sections) for i in range(sections)], dim=dim)


@aten("unbind.int", "unbind_copy.int")
def unbind(x: Tensor, dim: int = 0) -> list[Tensor]:
    axis, pieces = axis_of(dim, x), known_length(x, dim)
    return [op.Squeeze(piece, [axis]) for piece in split_with_sizes(x, [1] * pieces, dim=dim)]


def known_length(x: Tensor, dim: int) -> int:
    """The length of an axis, which must be known."""
    length = x.shape[axis_of(dim, x)]
    if not isinstance(length, int):
        raise ConversionError(
            f"axis {dim} is split into a number of pieces that depends on its size; export the module with that size fixed"
        )
    return length


@aten("slice.Tensor", "slice_copy.Tensor")
def slice_(x: Tensor, dim: int = 0, start: Size | None = None, end: Size | None = None, step: int = 1) -> Tensor:
    start, end = 0 if start is None else start, LAST if end is None else end
    if isinstance(start, int) and isinstance(end, int) and (start, step) == (0, 1) and end == LAST:
        return x
    return op.Slice(x, vector([start]), vector([end]), [axis_of(dim, x)], [step])


@aten("narrow")
def narrow(x: Tensor, dim: int, start: Size, length: Size) -> Tensor:
    return slice_(x, dim, start, start + length)


@aten("select.int", "select_copy.int")
def select(x: Tensor, dim: int, index: Size) -> Tensor:
    axis = axis_of(dim, x)
    if isinstance(index, Tensor):
        return op.Gather(x, index, axis=axis)
    return op.Squeeze(op.Slice(x, [index], [index + 1 if index != -1 else LAST], [axis], [1]), [axis])


@aten("flip")
def flip(x: Tensor, dims: Sequence[int]) -> Tensor:
    axes = [axis_of(d, x) for d in dims]
    n = len(axes)
    return op.Slice(x, [LAST] * n, [-LAST] * n, axes, [-1] * n) if n else x


@aten("rot90")
def rot90(x: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    a, b = dims
    match k % 4:
        case 0:
            return x
        case 2:
            return flip(x, dims)
        case 1:
            return transpose(flip(x, [b]), a, b)
        case _:
            return flip(transpose(x, a, b), [b])


@aten("roll")
def roll(x: Tensor, shifts: Any, dims: Any = ()) -> Tensor:
    if not dims:
        return reshaped(roll(op.Reshape(x, [-1]), shifts, [0]), sizes_of(x))
    for shift, dim in zip(shifts if isinstance(shifts, list) else [shifts], dims if isinstance(dims, list) else [dims], strict=True):
        length = x.shape[axis_of(dim, x)]
        cut = -shift if not isinstance(length, int) or not isinstance(shift, int) else -(shift % length) if length else 0
        if not isinstance(cut, int) or cut:
            x = op.Concat(slice_(x, dim, cut, LAST), slice_(x, dim, 0, cut), axis=axis_of(dim, x))
    return x


@aten("unfold")
def unfold(x: Tensor, dimension: int, size: int, step: int) -> Tensor:
    axis = axis_of(dimension, x)
    length = size_of(x, axis)
    if isinstance(length, int):
        starts: Any = np.arange(0, length - size + 1, step, dtype=np.int64)[:, None]
    else:
        starts = op.Unsqueeze(op.Range(np.int64(0), length - (size - 1), np.int64(step)), [1])
    windows = op.Gather(x, starts + np.arange(size, dtype=np.int64)[None], axis=axis)
    return moved(windows, axis + 1, -1)


@aten("tril")
def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    return op.Trilu(x, np.int64(diagonal), upper=0)


@aten("triu")
def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    return op.Trilu(x, np.int64(diagonal), upper=1)


@aten("diagonal", "diag", "diagonal_copy")
def diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1, diagonal: int = 0) -> Tensor:
    if x.ndim == 1:
        return diag_embed(x, diagonal)
    offset = offset or diagonal
    a, b = axis_of(dim1, x), axis_of(dim2, x)
    order = [*(i for i in range(x.ndim) if i not in (a, b)), a, b]
    y = op.Transpose(x, perm=order)
    rows, columns = size_of(y, -2), size_of(y, -1)
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise ConversionError("the diagonal of a matrix of unknown size has no equal here; export the module with that size fixed")
    first = (max(-offset, 0), max(offset, 0))
    n = max(min(rows - first[0], columns - first[1]), 0)
    places = (np.arange(n) + first[0]) * columns + np.arange(n) + first[1]
    return op.Gather(reshaped(y, [*sizes_of(y)[:-2], rows * columns]), places.astype(np.int64), axis=y.ndim - 2)


@aten("diag_embed")
def diag_embed(x: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    n = known_length(x, -1) + abs(offset)
    padded = op.Pad(x, [*[0] * (x.ndim - 1), max(offset, 0), *[0] * (x.ndim - 1), max(-offset, 0)])
    y = op.Unsqueeze(padded, [-2]) * np.eye(n, k=offset, dtype=x.dtype)
    a, b = axis_of(dim1, y), axis_of(dim2, y)
    order = list(range(x.ndim - 1))
    for axis, source in sorted([(a, y.ndim - 2), (b, y.ndim - 1)]):
        order.insert(axis, source)
    return op.Transpose(y, perm=order)


@aten("meshgrid", "meshgrid.indexing")
def meshgrid(tensors: Sequence[Tensor], indexing: str = "ij") -> list[Tensor]:
    flat = [op.Reshape(x, [-1]) for x in tensors]
    order = list(range(len(flat)))
    if indexing == "xy" and len(flat) > 1:
        order[0], order[1] = 1, 0
    sizes = [size_of(flat[i], 0) for i in order]
    shaped = [op.Reshape(x, [-1 if j == order.index(i) else 1 for j in range(len(flat))]) for i, x in enumerate(flat)]
    return [expanded(x, sizes) for x in shaped]


@aten("broadcast_tensors")
def broadcast_tensors(tensors: Sequence[Tensor]) -> list[Tensor]:
    sizes = sizes_of(broadcast_of(tensors))
    return [expanded(x, sizes) for x in tensors]


def broadcast_of(tensors: Sequence[Tensor]) -> Tensor:
    """A tensor of zeros in the shape that all of these broadcast to."""
    total = op.Cast(tensors[0] * 0 if tensors[0].dtype != bool else tensors[0].astype(np.int64) * 0, to=np.int64)
    for x in tensors[1:]:
        total = total + (x.astype(np.int64) * 0)
    return total
