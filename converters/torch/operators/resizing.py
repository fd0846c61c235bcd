"""Resizing and sampling of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.converters.torch.aten import Size, aten, size_of, vector
from onnxdl.errors import ConversionError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor

_Sizes = Sequence[Size] | None


def _resized(x: Tensor, output_size: _Sizes, factors: Sequence[float | None] | None, **how: Any) -> Tensor:
    """``x`` in another size of space, by the factors where torch was given some, else by the sizes."""
    known = [f for f in factors or [] if f is not None]
    if len(known) == x.ndim - 2:
        scales = np.array([1, 1, *known], np.float32)
        return op.Resize(x, None, scales, **how)
    assert output_size is not None  # torch has one or the other
    return op.Resize(x, None, None, vector([size_of(x, 0), size_of(x, 1), *output_size]), **how)


def _place(align_corners: bool) -> str:
    return "align_corners" if align_corners else "half_pixel"


def _scales(scales: dict[str, float | None], factors: Sequence[float] | None) -> Sequence[float | None] | None:
    given = [s for s in scales.values() if s is not None]
    return factors if factors is not None else (given or None)


@aten("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d")
@aten("upsample_nearest1d.vec", "upsample_nearest2d.vec", "upsample_nearest3d.vec")
@aten("_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d")
@aten("_upsample_nearest_exact1d.vec", "_upsample_nearest_exact2d.vec", "_upsample_nearest_exact3d.vec")
def upsample_nearest(
    x: Tensor | None = None,
    output_size: _Sizes = None,
    scales: float | None = None,
    scales_d: float | None = None,
    scales_h: float | None = None,
    scales_w: float | None = None,
    input: Tensor | None = None,
    scale_factors: Sequence[float] | None = None,
    *,
    run: Any,
) -> Tensor:
    image = x if x is not None else input
    assert image is not None
    factors = _scales({"d": scales_d, "h": scales_h, "w": scales_w, "": scales}, scale_factors)
    exact = "exact" in run.node.op
    rounding, place = ("round_prefer_ceil", "half_pixel") if exact else ("floor", "asymmetric")
    return _resized(image, output_size, factors, mode="nearest", nearest_mode=rounding, coordinate_transformation_mode=place)


@aten("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")
@aten("upsample_linear1d.vec", "upsample_bilinear2d.vec", "upsample_trilinear3d.vec")
def upsample_linear(
    x: Tensor | None = None,
    output_size: _Sizes = None,
    align_corners: bool = False,
    scales: float | None = None,
    scales_d: float | None = None,
    scales_h: float | None = None,
    scales_w: float | None = None,
    input: Tensor | None = None,
    scale_factors: Sequence[float] | None = None,
) -> Tensor:
    image = x if x is not None else input
    assert image is not None
    factors = _scales({"d": scales_d, "h": scales_h, "w": scales_w, "": scales}, scale_factors)
    return _resized(image, output_size, factors, mode="linear", coordinate_transformation_mode=_place(align_corners))


@aten("upsample_bicubic2d", "upsample_bicubic2d.vec")
def upsample_bicubic(
    x: Tensor | None = None,
    output_size: _Sizes = None,
    align_corners: bool = False,
    scales_h: float | None = None,
    scales_w: float | None = None,
    input: Tensor | None = None,
    scale_factors: Sequence[float] | None = None,
) -> Tensor:
    image = x if x is not None else input
    assert image is not None
    factors = _scales({"h": scales_h, "w": scales_w}, scale_factors)
    return _resized(image, output_size, factors, mode="cubic", cubic_coeff_a=-0.75, coordinate_transformation_mode=_place(align_corners))


def _antialiased(n: int, m: int, align_corners: bool, dtype: Any) -> np.ndarray:
    """The weights by which m places are made of n: a triangle around each, as wide as a step where that is more than one."""
    step = ((n - 1) / (m - 1) if m > 1 else 0.0) if align_corners else n / m
    reach = max(step, 1.0)
    weights = np.zeros((n, m), np.float64)
    for i in range(m):
        centre = step * (i + 0.5)
        places = np.arange(max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), n))
        share = np.maximum(0.0, 1 - np.abs(places - centre + 0.5) / reach)
        weights[places, i] = share / share.sum()
    return weights.astype(dtype)


@aten("_upsample_bilinear2d_aa", "_upsample_bilinear2d_aa.vec")
def upsample_bilinear_antialiased(
    x: Tensor | None = None,
    output_size: _Sizes = None,
    align_corners: bool = False,
    scales_h: float | None = None,
    scales_w: float | None = None,
    input: Tensor | None = None,
    scale_factors: Sequence[float] | None = None,
) -> Tensor:
    image = x if x is not None else input
    before = [n for n in image.shape[2:] if isinstance(n, int)] if image is not None else []
    after = [n for n in output_size or () if isinstance(n, int)]
    if image is None or len(before) != 2 or len(after) != 2:
        raise ConversionError("antialias=True needs known sizes, given as numbers; export the module with those fixed")
    height, width = (_antialiased(n, m, align_corners, image.dtype) for n, m in zip(before, after, strict=True))
    return op.MatMul(height.T.copy(), op.MatMul(image, width))


_MODES = {0: "linear", 1: "nearest", 2: "cubic"}
_PADDINGS = {0: "zeros", 1: "border", 2: "reflection"}


@aten("grid_sampler", "grid_sampler_2d", "grid_sampler_3d")
def grid_sampler(input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Tensor:
    if interpolation_mode not in _MODES or padding_mode not in _PADDINGS:
        raise ConversionError(f"interpolation_mode={interpolation_mode} with padding_mode={padding_mode} has no equal here")
    return op.GridSample(
        input, grid, mode=_MODES[interpolation_mode], padding_mode=_PADDINGS[padding_mode], align_corners=int(align_corners)
    )


@aten("affine_grid_generator")
def affine_grid(theta: Tensor, size: Sequence[Size], align_corners: bool) -> Tensor:
    return op.AffineGrid(theta, vector(size), align_corners=int(align_corners))
