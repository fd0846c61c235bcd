"""Operators that move, repeat, join and cut elements without changing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.autodiff.registry import vjp
from onnxdl.autodiff.shapes import (
    concat_dims,
    dim_of,
    known_ints,
    positions,
    reshape_like,
    scatter_back,
    shape_of,
    static_shape,
    whole_pads,
    zeros_like,
)
from onnxdl.graph import op
from onnxdl.graph.infer import dims
from onnxdl.graph.tensor import Tensor


@vjp("Reshape", "Flatten")
def reshape(g: Tensor, y: Tensor, x: Tensor, shape: Tensor | None = None, **attributes: int) -> Any:
    return reshape_like(g, x)


@vjp("Squeeze")
def squeeze(g: Tensor, y: Tensor, x: Tensor, axes: Tensor | None = None) -> Any:
    return reshape_like(g, x) if axes is None else op.Unsqueeze(g, axes)


@vjp("Unsqueeze")
def unsqueeze(g: Tensor, y: Tensor, x: Tensor, axes: Tensor) -> Any:
    return op.Squeeze(g, axes)


@vjp("Transpose")
def transpose(g: Tensor, y: Tensor, x: Tensor, *, perm: Sequence[int] | None = None) -> Any:
    return op.Transpose(g) if perm is None else op.Transpose(g, perm=[int(i) for i in np.argsort(perm)])


@vjp("Expand")
def expand(g: Tensor, y: Tensor, x: Tensor, shape: Tensor) -> Any:
    return g


@vjp("Tile")
def tile(g: Tensor, y: Tensor, x: Tensor, repeats: Tensor) -> Any:
    """The sum over the copies: each axis split in (copies, size)."""
    times, sizes = known_ints(repeats), static_shape(x)
    if times is not None and sizes is not None:
        split: Tensor | np.ndarray = np.stack([times, sizes], axis=1).reshape(-1)
        return op.ReduceSum(op.Reshape(g, split, allowzero=1), list(range(0, len(split), 2)), keepdims=0)
    pairs = [op.Unsqueeze(repeats, [1]), op.Unsqueeze(shape_of(x), [1])]
    known = dims(x.value)
    split = op.Reshape(op.Concat(*pairs, axis=1), [-1 if known is None else 2 * len(known)])
    copies = op.Range(np.array(0), op.Size(split), np.array(2)) if known is None else list(range(0, 2 * len(known), 2))
    return op.ReduceSum(op.Reshape(g, split, allowzero=1), copies, keepdims=0)


@vjp("Concat")
def concat(g: Tensor, y: Tensor, *xs: Tensor, axis: int) -> Any:
    if len(xs) == 1:
        return g
    return op.Split(g, concat_dims(*(dim_of(x, axis) for x in xs)), axis=axis, outputs=len(xs))


@vjp("Split", multiple=True)
def split(g: tuple[Tensor | None, ...], y: tuple[Tensor, ...], x: Tensor, sizes: Tensor | None = None, *, axis: int, **count: int) -> Any:
    return op.Concat(*(zeros_like(part) if gk is None else gk for gk, part in zip(g, y, strict=True)), axis=axis)


@vjp("Slice")
def slice_(g: Tensor, y: Tensor, x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None) -> Any:
    """The cut put back among zeros; with steps other than 1 or bounds known at run time only, element by element."""
    before = _known_starts(x, starts, axes, steps)
    if before is None:
        return scatter_back(g, op.Slice(positions(x), starts, ends, axes, steps), x)
    return placed(g, x, before)


def _known_starts(x: Tensor, starts: Tensor, axes: Tensor | None, steps: Tensor | None) -> dict[int, int] | None:
    """Where each cut axis starts, if all starts are known and all steps are 1."""
    first, shape = known_ints(starts), dims(x.value)
    along = known_ints(axes) if axes is not None else list(range(len(first or ())))
    if first is None or along is None or shape is None or (steps is not None and set(known_ints(steps) or [0]) != {1}):
        return None
    before: dict[int, int] = {}
    for axis, start in zip(along, first, strict=True):
        size = shape[axis]
        if isinstance(size, int):
            start = min(max(start + size if start < 0 else start, 0), size)
        elif start != 0:
            return None
        before[axis % len(shape)] = start
    return before


def placed(g: Tensor, x: Tensor, before: dict[int, int]) -> Tensor:
    """Zeros like ``x`` around ``g``, which starts at these places of these axes."""
    axes = sorted(before)
    lead = [before[axis] for axis in axes]
    trail = [_difference(dim_of(x, axis), dim_of(g, axis), start) for axis, start in zip(axes, lead, strict=True)]
    if not any(lead) and not any(isinstance(t, Tensor) or int(t[0]) for t in trail):
        return g
    return op.Pad(g, whole_pads(concat_dims(*lead, *trail), axes, x.ndim))


def _difference(a: Tensor | np.ndarray, b: Tensor | np.ndarray, start: int) -> Tensor | np.ndarray:
    return a - b - start


@vjp("Pad")
def pad(g: Tensor, y: Tensor, x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None, *, mode: str) -> Any:
    """Negative pads cut off what constant padding added; the other modes give each copy's gradient back to its origin."""
    known = known_ints(pads)
    amounts: Tensor | np.ndarray = pads if known is None else np.array(known, np.int64)
    if axes is not None:
        along = known_ints(axes)
        amounts = whole_pads(amounts, axes if along is None else along, x.ndim)
    if mode != "constant":
        return scatter_back(g, op.Pad(positions(x), amounts, mode=mode), x)
    gx = op.Pad(g, op.Neg(amounts) if isinstance(amounts, Tensor) else -amounts)
    if value is None:
        return gx
    added = op.Pad(zeros_like(x), amounts, np.array(1).astype(x.dtype))
    return gx, None, reshape_like(op.ReduceSum(g * added, keepdims=0), value)


@vjp("DepthToSpace")
def depth_to_space(g: Tensor, y: Tensor, x: Tensor, *, blocksize: int, mode: str) -> Any:
    if mode == "DCR":
        return op.SpaceToDepth(g, blocksize=blocksize)
    n, c, h, w = (dim_of(x, axis) for axis in range(4))
    square = blocksize * blocksize
    channels = c // square if isinstance(c, np.ndarray) else op.Div(c, square)
    blocks = op.Reshape(g, concat_dims(n, channels, h, blocksize, w, blocksize))
    return reshape_like(op.Transpose(blocks, perm=[0, 1, 3, 5, 2, 4]), x)


@vjp("SpaceToDepth")
def space_to_depth(g: Tensor, y: Tensor, x: Tensor, *, blocksize: int, mode: str = "DCR") -> Any:
    return op.DepthToSpace(g, blocksize=blocksize, mode=mode)


@vjp("Trilu")
def trilu(g: Tensor, y: Tensor, x: Tensor, k: Tensor | None = None, *, upper: int) -> Any:
    return op.Trilu(g, k, upper=upper)


@vjp("ReverseSequence")
def reverse_sequence(g: Tensor, y: Tensor, x: Tensor, lengths: Tensor, *, batch_axis: int, time_axis: int) -> Any:
    return op.ReverseSequence(g, lengths, batch_axis=batch_axis, time_axis=time_axis)
