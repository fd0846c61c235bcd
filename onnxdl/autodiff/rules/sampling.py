"""Sampling at fractional positions: GridSample, AffineGrid, DeformConv, each written out by gathers and weights."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.autodiff.registry import lowering
from onnxdl.autodiff.rules.windows import spatial
from onnxdl.autodiff.shapes import concat_dims, dim_of
from onnxdl.errors import GradientError
from onnxdl.graph import op
from onnxdl.graph.infer import content
from onnxdl.graph.tensor import Tensor

CUBIC = -0.75


@lowering("GridSample")
def grid_sample(x: Tensor, grid: Tensor, *, mode: str, padding_mode: str, align_corners: int) -> Tensor:
    n = x.ndim - 2
    positions = []
    for d in range(n):
        g = op.Squeeze(op.Slice(grid, [n - 1 - d], [n - d], [-1]), [-1])  # the last axis first: x, y, z
        size = _size(x, d)
        place = (g + 1) / 2 * (size - 1) if align_corners else ((g + 1) * size - 1) / 2
        positions.append(op.Reshape(place, concat_dims(dim_of(x, 0), -1)))
    kind = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    if padding_mode != "zeros" and kind == "linear":
        positions = [_into_range(p, _size(x, d), padding_mode, align_corners) for d, p in enumerate(positions)]
    flat = sample(x, positions, kind, padding_mode, align_corners)
    return op.Reshape(flat, concat_dims(dim_of(x, 0), dim_of(x, 1), *(dim_of(grid, 1 + d) for d in range(n))))


def _size(x: Tensor, d: int) -> Tensor | float:
    """A spatial dimension as a float."""
    known = spatial(x)[d]
    return float(known) if known is not None else op.Cast(op.Shape(x, start=d + 2, end=d + 3), to=x.dtype)


def _into_range(p: Tensor, size: Tensor | float, padding: str, align_corners: int) -> Tensor:
    """A position outside the image moved to the border, or reflected there."""
    if padding == "border":
        return _clamp(p, size)
    low = 0.0 if align_corners else -0.5
    width = size - 1 if align_corners else size
    if isinstance(width, float) and width == 0:
        return p * 0
    distance = op.Abs(p - low)
    turned = distance - op.Floor(distance / (width * 2)) * (width * 2)
    return width - op.Abs(turned - width) + low


def _clamp(p: Tensor, size: Tensor | float) -> Tensor:
    return op.Max(op.Min(p, size - 1), 0)


def sample(x: Tensor, positions: Sequence[Tensor], mode: str = "linear", padding: str = "zeros", align_corners: int = 0) -> Tensor:
    """The values [N, C, Q] of ``x`` [N, C, ...] at positions [N, Q], one tensor a spatial axis, in elements from the first."""
    taps = [_taps(p, mode) for p in positions]
    image = op.Reshape(x, concat_dims(dim_of(x, 0), dim_of(x, 1), -1))
    total: Tensor | None = None
    for corner in itertools.product(*taps):
        weight: Tensor | None = None
        index: Tensor | None = None
        for d, (place, share) in enumerate(corner):
            size = _size(x, d)
            at = place if padding == "zeros" else _into_range(place, size, padding, align_corners)
            inside = _clamp(at, size)
            if padding == "zeros":
                within = op.CastLike(op.Equal(inside, at), at)
                share = within if share is None else share * within
            if share is not None:
                weight = share if weight is None else weight * share
            index = inside if index is None else index * size + inside
        assert index is not None
        whole = op.Unsqueeze(op.Cast(op.Round(index), to=np.int64), [1])
        values = op.GatherElements(image, op.Expand(whole, concat_dims(1, dim_of(x, 1), 1)), axis=2)
        part = values if weight is None else values * op.Unsqueeze(weight, [1])
        total = part if total is None else total + part
    assert total is not None
    return total


def _taps(p: Tensor, mode: str) -> list[tuple[Tensor, Tensor | None]]:
    """The neighbours that count along one axis: place and share."""
    if mode == "nearest":
        return [(op.Round(p), None)]
    low = op.Floor(p)
    t = p - low
    if mode == "linear":
        return [(low, 1 - t), (low + 1, t)]
    if mode != "cubic":
        raise GradientError(f"GridSample has no mode {mode!r}")
    return [(low + (k - 1), _cubic(op.Abs(t - (k - 1)), near=k in (1, 2))) for k in range(4)]


def _cubic(distance: Tensor, *, near: bool) -> Tensor:
    """Keys' kernel at a distance below one, or between one and two."""
    a, s = CUBIC, distance
    if near:
        return ((a + 2) * s - (a + 3)) * s * s + 1
    return ((a * s - 5 * a) * s + 8 * a) * s - 4 * a


@lowering("AffineGrid")
def affine_grid(theta: Tensor, size: Tensor, *, align_corners: int) -> Tensor:
    n = theta.shape[1]
    if not isinstance(n, int):
        raise GradientError("the gradient of AffineGrid needs to know whether it is 2-D or 3-D; give theta its shape")
    lengths = [_entry(size, 2 + d) for d in range(n)]
    axes = []
    for d, length in enumerate(lengths):
        steps = op.Cast(op.Range(0, length, 1), to=theta.dtype)
        count = op.Cast(length, to=theta.dtype) if isinstance(length, Tensor) else np.array(length, theta.dtype)
        line = steps * 2 / (count - 1) - 1 if align_corners else (steps * 2 + 1) / count - 1
        axes.append(op.Reshape(line, np.array([-1 if i == d else 1 for i in range(n)] + [1], np.int64)))
    shape = concat_dims(*(op.Unsqueeze(v, [0]) if isinstance(v, Tensor) else v for v in lengths), 1)
    wide = [op.Expand(a, shape) for a in reversed(axes)]
    base = op.Concat(*wide, op.Expand(np.ones(1, theta.dtype), shape), axis=-1)
    flat = op.MatMul(op.Reshape(base, np.array([1, -1, n + 1], np.int64)), op.Transpose(theta, perm=[0, 2, 1]))
    return op.Reshape(flat, concat_dims(dim_of(theta, 0), *(op.Unsqueeze(v, [0]) if isinstance(v, Tensor) else v for v in lengths), n))


def _entry(vector: Tensor, i: int) -> Tensor | int:
    known = content(vector.value)
    value = known[i] if known is not None else None
    return value if isinstance(value, int) else op.Squeeze(op.Slice(vector, [i], [i + 1]), [0])


@lowering("DeformConv")
def deform_conv(
    x: Tensor,
    w: Tensor,
    offset: Tensor,
    b: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    group: int,
    offset_group: int,
    strides: list[int] | None = None,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    **_: Any,
) -> Tensor:
    kernel = [k for k in spatial(w) if k is not None]
    n = len(kernel)
    if n != w.ndim - 2:
        raise GradientError("the gradient of DeformConv needs the kernel size; give the weight its shape")
    strides, dilations, pads = strides or [1] * n, dilations or [1] * n, pads or [0] * (2 * n)
    taps = int(np.prod(kernel))
    batch, outs = dim_of(x, 0), [dim_of(offset, 2 + d) for d in range(n)]
    moves = op.Reshape(offset, concat_dims(batch, offset_group, taps, n, *outs))
    positions = []
    for d in range(n):
        length = outs[d]
        steps = op.Cast(op.Range(0, op.Squeeze(length, [0]) if isinstance(length, Tensor) else int(length[0]), 1), to=x.dtype)
        start = op.Reshape(steps * strides[d] - pads[d], np.array([-1 if i == d else 1 for i in range(n)], np.int64))
        at_tap = np.array([tap[d] * dilations[d] for tap in itertools.product(*map(range, kernel))], x.dtype).reshape(-1, *[1] * n)
        shift = op.Squeeze(op.Slice(moves, [d], [d + 1], [3]), [3])
        positions.append(op.Reshape(shift + start + at_tap, concat_dims(op.Mul(batch, offset_group), -1)))
    images = op.Reshape(x, concat_dims(op.Mul(batch, offset_group), -1, *(dim_of(x, 2 + d) for d in range(n))))
    values = op.Reshape(sample(images, positions), concat_dims(batch, offset_group, -1, taps, *outs))
    if mask is not None:
        values = values * op.Reshape(mask, concat_dims(batch, offset_group, 1, taps, *outs))
    columns = op.Reshape(values, concat_dims(batch, group, op.Mul(op.Div(dim_of(x, 1), group), taps), -1))
    rows = op.Reshape(w, concat_dims(group, op.Div(dim_of(w, 0), group), -1))
    y = op.Reshape(op.MatMul(rows, columns), concat_dims(batch, dim_of(w, 0), *outs))
    return y if b is None else y + op.Reshape(b, np.array([-1, *[1] * n], np.int64))
