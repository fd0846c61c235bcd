"""Regions of interest, and the shuffles of images that stand beside them: RoiAlign, MaxRoiPool, Col2Im, CenterCropPad."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from onnxdl.autodiff.registry import lowering, vjp
from onnxdl.autodiff.rules.windows import pad_spatial
from onnxdl.autodiff.shapes import dim_of, reshape_like, whole_pads
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


def _line(count: Tensor | np.ndarray, dtype: Any) -> Tensor:
    """0, 1, 2, ... as floats; ``count`` is a vector of one element."""
    size: Any = op.Squeeze(count, [0]) if isinstance(count, Tensor) else int(count[0])
    return op.Cast(op.Range(0, size, 1), to=dtype)


def _column(rois: Tensor, i: int) -> Tensor:
    return op.Slice(rois, [i], [i + 1], [1])  # [R, 1]


@lowering("RoiAlign")
def roi_align(
    x: Tensor,
    rois: Tensor,
    batch_indices: Tensor,
    *,
    mode: str,
    output_height: int,
    output_width: int,
    sampling_ratio: int,
    spatial_scale: float,
    coordinate_transformation_mode: str = "half_pixel",
) -> Tensor:
    if x.dtype.itemsize == 2 and mode == "max":  # ONNX Runtime's CPU rounds to float16 here and there, so equals are no longer equal
        x, rois = op.Cast(x, to=np.float32), op.Cast(rois, to=np.float32)
    images = op.Gather(x, batch_indices, axis=0)
    half = coordinate_transformation_mode == "half_pixel"
    rows = _samples(rois, 1, 3, output_height, sampling_ratio, spatial_scale, half)
    columns = _samples(rois, 0, 2, output_width, sampling_ratio, spatial_scale, half)
    tall, wide = _hats(*rows, dim_of(x, 2)), _hats(*columns, dim_of(x, 3))
    if mode == "avg":
        down = op.Unsqueeze(op.ReduceSum(tall, [2], keepdims=0) / op.Unsqueeze(rows[2], [2]), [1])
        across = op.Unsqueeze(op.ReduceSum(wide, [2], keepdims=0) / op.Unsqueeze(columns[2], [2]), [1])
        return op.MatMul(op.MatMul(down, images), op.Transpose(across, perm=[0, 1, 3, 2]))
    return _largest_corner(images, rows, columns, x)


def _samples(rois: Tensor, low: int, high: int, bins: int, ratio: int, scale: float, half: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Along one axis: the sampled places [R, bins, S], which of them count [R, 1, S], and how many do [R, 1]."""
    start, end = _column(rois, low) * scale - 0.5 * half, _column(rois, high) * scale - 0.5 * half
    length = end - start if half else op.Max(end - start, 1)
    size = length / bins
    if ratio > 0:
        count = op.Expand(np.full((1, 1), ratio, rois.dtype), op.Shape(start))
        steps = op.Cast(op.Range(0, ratio, 1), to=rois.dtype)
    else:
        count = op.Ceil(size)
        most = op.Cast(op.ReduceMax(op.Concat(op.Reshape(count, [-1]), np.ones(1, rois.dtype), axis=0), keepdims=0), to=np.int64)
        steps = op.Cast(op.Range(0, most, 1), to=rois.dtype)
        count = op.Max(count, 1)
    at_bin = op.Unsqueeze(start, [2]) + op.Unsqueeze(size, [2]) * op.Unsqueeze(op.Cast(op.Range(0, bins, 1), to=rois.dtype), [0, 2])
    places = at_bin + (op.Unsqueeze(steps, [0, 1]) + 0.5) * op.Unsqueeze(size / count, [2])
    counts = op.CastLike(op.Less(op.Unsqueeze(steps, [0, 1]), op.Unsqueeze(count, [2])), rois)
    return places, counts, count


def _near(places: Tensor, counts: Tensor, size: Tensor | np.ndarray) -> tuple[Tensor, Tensor]:
    """Places moved onto the image, and which of them lie on it or within one element of it."""
    length = op.Cast(size, to=places.dtype) if isinstance(size, Tensor) else size.astype(places.dtype)
    inside = op.And(op.GreaterOrEqual(places, -1), op.LessOrEqual(places, length))
    return op.Max(op.Min(places, length - 1), 0), op.CastLike(inside, places) * counts


def _hats(places: Tensor, counts: Tensor, count: Tensor, size: Tensor | np.ndarray) -> Tensor:
    """The share of each element of one axis in each sample: [R, bins, S, size]."""
    at, valid = _near(places, counts, size)
    distance = op.Abs(op.Unsqueeze(at, [3]) - _line(size, places.dtype))
    return op.Max(1 - distance, 0) * op.Unsqueeze(valid, [3])


def _largest_corner(images: Tensor, rows: tuple[Tensor, Tensor, Tensor], columns: tuple[Tensor, Tensor, Tensor], x: Tensor) -> Tensor:
    """Mode ``max``: the largest of the weighted corner values of all samples, as ONNX defines it."""
    tall, wide = _corners(rows, dim_of(x, 2)), _corners(columns, dim_of(x, 3))
    best: Tensor | None = None
    for a, b in itertools.product(tall, wide):
        part = op.Einsum(images, a, b, equation="rchw,rpsh,rqtw->rcpqst")
        best = part if best is None else op.Max(best, part)
    counted = op.Unsqueeze(rows[1], [3]) * op.Unsqueeze(columns[1], [2])  # [R, 1, S, T]
    lowest = op.Unsqueeze((1 - counted) * _lowest(x), [2, 3])
    return op.ReduceMax(best + lowest, [4, 5], keepdims=0)


def _corners(samples: tuple[Tensor, Tensor, Tensor], size: Tensor | np.ndarray) -> list[Tensor]:
    places, counts, _ = samples
    at, valid = _near(places, counts, size)
    length = op.Cast(size, to=places.dtype) if isinstance(size, Tensor) else size.astype(places.dtype)
    low = op.Min(op.Floor(at), length - 1)
    t = at - low
    line = _line(size, places.dtype)

    def one_hot(place: Tensor) -> Tensor:
        return op.CastLike(op.Equal(op.Unsqueeze(place, [3]), line), places)

    return [
        one_hot(low) * op.Unsqueeze((1 - t) * valid, [3]),
        one_hot(op.Min(low + 1, length - 1)) * op.Unsqueeze(t * valid, [3]),
    ]


@lowering("MaxRoiPool")
def max_roi_pool(x: Tensor, rois: Tensor, *, pooled_shape: list[int], spatial_scale: float) -> Tensor:
    images = op.Gather(x, op.Cast(op.Squeeze(_column(rois, 0), [1]), to=np.int64), axis=0)
    tall = _bins(rois, 2, 4, pooled_shape[0], spatial_scale, dim_of(x, 2))
    wide = _bins(rois, 1, 3, pooled_shape[1], spatial_scale, dim_of(x, 3))
    by_row = op.ReduceMax(_or_lowest(op.Unsqueeze(images, [2]), op.Unsqueeze(tall, [1, 4])), [3], keepdims=0)  # [R, C, PH, W]
    both = op.ReduceMax(_or_lowest(op.Unsqueeze(by_row, [3]), op.Unsqueeze(wide, [1, 2])), [4], keepdims=0)
    return op.Where(op.Less(both, _lowest(x) / 2), 0, both)  # an empty bin gives zero


def _lowest(x: Tensor) -> float:
    """A number below all that an image holds, and still finite in its type."""
    return -6e4 if x.dtype.itemsize == 2 else -1e37


def _or_lowest(x: Tensor, mask: Tensor) -> Tensor:
    return op.Where(mask, x, np.array(_lowest(x), x.dtype))


def _bins(rois: Tensor, low: int, high: int, bins: int, scale: float, size: Tensor | np.ndarray) -> Tensor:
    """Which elements of one axis lie in which bin: bool [R, bins, size]."""
    start, end = op.Floor(_column(rois, low) * scale + 0.5), op.Floor(_column(rois, high) * scale + 0.5)
    width = op.Max(end - start + 1, 1) / bins
    line = op.Unsqueeze(op.Cast(op.Range(0, bins, 1), to=rois.dtype), [0])
    first, last = op.Floor(line * width) + start, op.Ceil((line + 1) * width) + start
    at = _line(size, rois.dtype)
    return op.And(op.GreaterOrEqual(at, op.Unsqueeze(first, [2])), op.Less(at, op.Unsqueeze(last, [2])))


@vjp("Col2Im")
def col2im(
    g: Tensor,
    y: Tensor,
    x: Tensor,
    image_shape: Tensor,
    block_shape: Tensor,
    *,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Any:
    n = g.ndim - 2
    dilations, strides, pads = dilations or [1] * n, strides or [1] * n, pads or [0] * (2 * n)
    padded = pad_spatial(g, pads)
    sizes = op.Shape(padded, start=2)
    reach = (block_shape - 1) * np.array(dilations, np.int64)
    outs = op.Div(sizes - 1 - reach, np.array(strides, np.int64)) + 1
    index: Tensor | None = None
    for d in range(n):  # taps of all axes first, then places of all axes
        taps, places = (op.Range(0, op.Squeeze(op.Slice(v, [d], [d + 1]), [0]), 1) for v in (block_shape, outs))
        tap = op.Unsqueeze(taps * dilations[d], [i for i in range(2 * n) if i != d])
        place = op.Unsqueeze(places * strides[d], [i for i in range(2 * n) if i != n + d])
        reads = tap + place
        index = reads if index is None else index * op.Slice(sizes, [d], [d + 1]) + reads
    assert index is not None
    flat = op.Reshape(padded, np.array([0, 0, -1], np.int64))
    return reshape_like(op.Gather(flat, op.Reshape(index, [-1]), axis=2), x)


@lowering("CenterCropPad")
def center_crop_pad(x: Tensor, shape: Tensor, *, axes: list[int] | None = None) -> Tensor:
    which = np.array([a % x.ndim for a in axes] if axes else range(x.ndim), np.int64)
    wanted = op.Cast(shape, to=np.int64)
    zero, two = np.zeros(1, np.int64), np.array([2], np.int64)
    size = op.Gather(op.Shape(x), which)
    start = op.Div(op.Max(size - wanted, zero), two)
    cropped = op.Slice(x, start, start + op.Min(size, wanted), which)
    missing = op.Max(wanted - size, zero)
    before = op.Div(missing, two)
    return op.Pad(cropped, whole_pads(op.Concat(before, missing - before, axis=0), which.tolist(), x.ndim))
