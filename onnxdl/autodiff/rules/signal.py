"""Fourier transforms: linear, so the gradient is the adjoint, the transform in the other direction."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxdl.autodiff.registry import lowering, vjp
from onnxdl.autodiff.shapes import dim_of, whole_pads
from onnxdl.errors import GradientError
from onnxdl.graph import op
from onnxdl.graph.infer import content, dims
from onnxdl.graph.tensor import Tensor


@vjp("DFT")
def dft(
    g: Tensor,
    y: Tensor,
    x: Tensor,
    length: Tensor | None = None,
    axis: Tensor | None = None,
    *,
    inverse: int,
    onesided: int,
    **attributes: Any,
) -> Any:
    which: Any = np.array([attributes.get("axis", -2)], np.int64) if axis is None else op.Reshape(axis, [1])
    place = which % np.array(x.ndim, np.int64) if isinstance(which, np.ndarray) else op.Mod(which, np.array([x.ndim], np.int64))
    size = op.Gather(op.Shape(x), place)
    scalar = op.Reshape(place, np.zeros(0, np.int64))
    if inverse and onesided:
        return _half_spectrum(g, size, place, scalar)
    bins = size if length is None else op.Reshape(op.Cast(length, to=np.int64), [1])
    if onesided:
        g = _fit(g, op.Gather(op.Shape(g), place), bins, place)
    count = op.Cast(bins, to=g.dtype)
    back = op.DFT(g, None, scalar) / count if inverse else op.DFT(g, None, scalar, inverse=1) * count
    dx = _fit(back, bins, size, place)
    known = dims(x.value)
    if known is None or not isinstance(known[-1], int):
        return op.Slice(dx, [0], op.Shape(x, start=x.ndim - 1), [-1])
    return op.Slice(dx, [0], [1], [-1]) if known[-1] == 1 else dx


def _half_spectrum(g: Tensor, size: Tensor, place: Any, scalar: Tensor) -> Tensor:
    """For the inverse of a half spectrum, whose inner bins stand for two each."""
    length = op.Gather(op.Shape(g), place)
    spectrum = op.DFT(op.Slice(g, [0], [1], [-1]), None, scalar, onesided=1)
    bins = op.Gather(op.Shape(spectrum), place)
    k = op.Range(0, op.Squeeze(bins, [0]), 1)
    inner = op.And(op.Greater(k, 0), op.Less(k * 2, length))
    share = (op.CastLike(inner, g) + 1) / op.Cast(length, to=g.dtype)
    rank = np.arange(g.ndim)
    along = op.Where(op.Equal(rank, place), op.Expand(bins, np.array([g.ndim], np.int64)), np.array([1], np.int64))
    return _fit(spectrum * op.Reshape(share, along), bins, size, place)


def _fit(x: Tensor, have: Tensor, want: Tensor, axis: Any) -> Tensor:
    """Cut or filled up with zeros along one axis."""
    zero = np.zeros(1, np.int64)
    cut = op.Slice(x, zero, op.Min(have, want), axis)
    pads = op.Concat(zero, op.Max(want - have, zero), axis=0)
    return op.Pad(cut, whole_pads(pads, axis if isinstance(axis, Tensor) else axis.tolist(), x.ndim))


@lowering("STFT")
def stft(signal: Tensor, step: Tensor, window: Tensor | None = None, length: Tensor | None = None, *, onesided: int) -> Tensor:
    width = _number(length) if length is not None else dim_of(window, 0) if window is not None else None
    if width is None:
        raise GradientError("STFT needs a window or a frame length")
    hop, size = _number(step), dim_of(signal, 1)
    frames = op.Div(op.Sub(size, width), hop) + 1
    starts = op.Range(0, op.Squeeze(frames, [0]), 1) * hop
    index = op.Unsqueeze(starts, [1]) + op.Range(0, op.Squeeze(width, [0]), 1)
    parts = op.Gather(signal, index, axis=1)  # [B, frames, width, 1 or 2]
    if window is not None:
        parts = parts * op.Unsqueeze(window, [1])
    return op.DFT(parts, None, np.array(2, np.int64), onesided=onesided)


def _number(t: Tensor) -> Tensor | np.ndarray:
    """A scalar as a vector of one int64, constant where it is known."""
    known = content(t.value)
    return op.Reshape(op.Cast(t, to=np.int64), [1]) if known is None or not isinstance(known[0], int) else np.array(known, np.int64)
