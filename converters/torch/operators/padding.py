"""Padding, and pixels moved between channels and space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.converters.torch.aten import Size, aten, cast, reshaped, sizes_of, vector
from onnxdl.converters.torch.operators.shape import LAST, known_length, slice_
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


@aten("constant_pad_nd")
def constant_pad_nd(x: Tensor, pad: Sequence[Size], value: Any = 0) -> Tensor:
    return padded(x, pad, "constant", value)


@aten("reflection_pad1d", "reflection_pad2d", "reflection_pad3d")
def reflection_pad(x: Tensor, padding: Sequence[Size]) -> Tensor:
    return padded(x, padding, "reflect")


@aten("replication_pad1d", "replication_pad2d", "replication_pad3d")
def replication_pad(x: Tensor, padding: Sequence[Size]) -> Tensor:
    return padded(x, padding, "edge")


@aten("pad")
def pad_(x: Tensor, pad: Sequence[Size], mode: str = "constant", value: float | None = None) -> Tensor:
    return padded(x, pad, {"replicate": "edge", "circular": "wrap"}.get(mode, mode), value or 0)


def padded(x: Tensor, pad: Sequence[Size], mode: str, value: Any = 0) -> Tensor:
    """``x`` padded as torch says it, the last axis first; what is below 0 is cut off."""
    pairs = [(pad[2 * i], pad[2 * i + 1]) for i in range(len(pad) // 2)]
    before: list[Size] = [0] * x.ndim
    after: list[Size] = [0] * x.ndim
    for i, (low, high) in enumerate(pairs):
        axis = x.ndim - 1 - i
        if (isinstance(low, int) and low < 0) or (isinstance(high, int) and high < 0):
            start = -low if isinstance(low, int) and low < 0 else 0
            end = high if isinstance(high, int) and high < 0 else LAST
            x = slice_(x, axis, start, end)
        before[axis] = max(low, 0) if isinstance(low, int) else low
        after[axis] = max(high, 0) if isinstance(high, int) else high
    if all(isinstance(p, int) and p == 0 for p in (*before, *after)):
        return x
    fill = (cast(value, x.dtype),) if mode == "constant" and value else ()
    return op.Pad(x, vector([*before, *after]), *fill, mode=mode)


# ---- pixels and channels -------------------------------------------------------------------------------------------------


@aten("pixel_shuffle")
def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    if x.ndim != 4:
        lead, rest = sizes_of(x)[:-3], sizes_of(x)[-3:]
        y = pixel_shuffle(reshaped(x, [-1, *rest]), upscale_factor)
        return reshaped(y, [*lead, *sizes_of(y)[1:]])
    return op.DepthToSpace(x, blocksize=upscale_factor, mode="CRD")


@aten("pixel_unshuffle")
def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    r = downscale_factor
    *lead, c, h, w = sizes_of(x)
    down = [s // r if isinstance(s, int) else op.Div(s, np.int64(r)) for s in (h, w)]
    y = reshaped(x, [*lead, c, down[0], r, down[1], r])
    n = len(lead)
    y = op.Transpose(y, perm=[*range(n + 1), n + 2, n + 4, n + 1, n + 3])
    return reshaped(y, [*lead, c * (r * r), *down])


@aten("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    sizes, channels = sizes_of(x), known_length(x, 1)
    y = reshaped(x, [sizes[0], groups, channels // groups, *sizes[2:]])
    return reshaped(op.Transpose(y, perm=[0, 2, 1, *range(3, y.ndim)]), sizes)
