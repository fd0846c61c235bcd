"""Sliding windows: the geometry that convolution and pooling share."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onnxdl.autodiff.shapes import concat_dims, dim_of, static_shape, whole_pads
from onnxdl.errors import GradientError
from onnxdl.graph import op
from onnxdl.graph.infer import dims
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import current_trace


@dataclass(frozen=True)
class Window:
    """A window on the spatial axes: tap ``k`` of output ``p`` reads input ``stride * p + dilation * k - begin``."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return len(self.kernel)

    @property
    def extents(self) -> tuple[int, ...]:
        """How far a window reaches, dilation included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def pads(self) -> list[int]:
        """The padding as ONNX's attribute spells it: all begins, then all ends."""
        return [*self.begins, *self.ends]

    @property
    def taps(self) -> list[tuple[int, ...]]:
        """The positions in the window, row by row."""
        return list(itertools.product(*(range(k) for k in self.kernel)))

    def unpadded(self) -> Window:
        """The same window on an input that is padded already."""
        zeros = (0,) * self.rank
        return replace(self, begins=zeros, ends=zeros)


def spatial(x: Tensor) -> tuple[int | None, ...]:
    """The spatial dimensions of ``x`` [N, C, ...], None where they are symbolic."""
    known = dims(x.value)
    if known is None:
        raise GradientError(f"the gradient of a convolution or pooling needs the rank of its input {x.name or ''}".rstrip())
    return tuple(d if isinstance(d, int) else None for d in known[2:])


def window_of(x: Tensor, kernel: Sequence[int], attributes: dict[str, Any]) -> tuple[Window, Tensor | None]:
    """The window that these attributes describe on ``x``.

    Where SAME padding depends on a size known only at run time, the window has no padding and the second result holds
    the padding, an int64 vector as Pad takes it for the spatial axes.
    """
    n = len(kernel)
    strides = tuple(attributes.get("strides") or [1] * n)
    dilations = tuple(attributes.get("dilations") or [1] * n)
    pads = list(attributes.get("pads") or [0] * (2 * n))
    mode = attributes.get("auto_pad") or "NOTSET"
    window = Window(tuple(kernel), strides, dilations, tuple(pads[:n]), tuple(pads[n:]))
    if mode == "NOTSET":
        return window, None
    window = window.unpadded()
    if mode == "VALID":
        return window, None
    sizes = spatial(x)
    if all(s == 1 or size is not None for s, size in zip(strides, sizes, strict=True)):
        totals = [
            max(0, (math.ceil((z or 0) / s) - 1) * s + e - (z or 0)) if s > 1 else e - 1
            for z, s, e in zip(sizes, strides, window.extents, strict=True)
        ]
        small = [t // 2 for t in totals]
        large = [t - m for t, m in zip(totals, small, strict=True)]
        begins, ends = (small, large) if mode == "SAME_UPPER" else (large, small)
        return replace(window, begins=tuple(begins), ends=tuple(ends)), None
    size = op.Shape(x, start=2)
    steps, reach = np.array(strides, np.int64), np.array(window.extents, np.int64)
    total = op.Max((op.Div(size + (steps - 1), steps) - 1) * steps + reach - size, np.array([0], np.int64))
    half = op.Div(total, np.array([2], np.int64))
    return window, op.Concat(*((half, total - half) if mode == "SAME_UPPER" else (total - half, half)), axis=0)


def pad_spatial(x: Tensor, pads: Tensor | Sequence[int], value: float = 0.0) -> Tensor:
    """``x`` [N, C, ...] with padding on its spatial axes."""
    n = x.ndim - 2
    if not isinstance(pads, Tensor):
        if not any(pads):
            return x
        return op.Pad(x, np.array([0, 0, *pads[:n], 0, 0, *pads[n:]], np.int64), value if value else None)
    return op.Pad(x, whole_pads(pads, list(range(2, n + 2)), n + 2), value if value else None)


def crop_spatial(x: Tensor, like: Tensor, begins: Tensor | Sequence[int] | None = None) -> Tensor:
    """The part of ``x`` [N, C, ...] from ``begins`` on that has the spatial size of ``like``."""
    sizes, n = spatial(like), x.ndim - 2
    if begins is None and sizes == spatial(x) and None not in sizes:
        return x
    start: Any = np.zeros(n, np.int64) if begins is None else begins if isinstance(begins, Tensor) else np.array(begins, np.int64)
    size: Any = op.Shape(like, start=2) if None in sizes else np.array(sizes, np.int64)
    return op.Slice(x, start, start + size, np.arange(2, n + 2))


def tap_slices(padded: Tensor, window: Window, output: Tensor) -> list[Tensor]:
    """For each tap of the window, what it reads at every output position: [N, C, *output]."""
    n = window.rank
    sizes = spatial(output)
    steps = np.array(window.strides, np.int64)
    reach: Any = (op.Shape(output, start=2) - 1) * steps + 1 if None in sizes else (np.array(sizes, np.int64) - 1) * steps + 1
    axes = np.arange(2, n + 2)
    starts = [np.array([t * d for t, d in zip(tap, window.dilations, strict=True)], np.int64) for tap in window.taps]
    return [op.Slice(padded, start, reach + start, axes, steps) for start in starts]


def scatter_windows(g: Tensor, w: Tensor | np.ndarray, window: Window, like: Tensor, group: int = 1) -> Tensor:
    """Adds ``w * g`` back where each window read: the adjoint of Conv with respect to its input ``like``.

    It is ConvTranspose; its output padding is the remainder that the strides left over.
    """
    remainders: list[int | None] = []
    for size, out, s, e, b, f in zip(spatial(like), spatial(g), window.strides, window.extents, window.begins, window.ends, strict=True):
        if size is not None and out is not None:
            remainders.append(size - (s * (out - 1) + e - b - f))
        else:
            remainders.append(0 if s == 1 and b + f < e else None)
    known = None not in remainders
    # an unknown remainder lies between 0 and stride - 1: the largest, then a crop; a negative one is a last window beyond the edge
    extra = [max(0, r) if r is not None else s - 1 for r, s in zip(remainders, window.strides, strict=True)]
    ends = [f + max(0, -(r or 0)) for f, r in zip(window.ends, remainders, strict=True)]
    overhang = [max(0, x - max(s, d) + 1) for x, s, d in zip(extra, window.strides, window.dilations, strict=True)]
    trace = current_trace()
    pads = [*window.begins, *ends]
    if (
        trace is None or trace.target.device != "cpu"
    ):  # CUDA's ConvTranspose has no kernel for unequal padding, so the rest is cut off after it
        pads = [min(b, e) for b, e in zip(window.begins, ends, strict=True)] * 2
    result = op.ConvTranspose(
        g,
        w,
        strides=window.strides,
        dilations=window.dilations,
        pads=pads,
        output_padding=[x - o for x, o in zip(extra, overhang, strict=True)] if any(extra) else None,
        group=group,
    )
    cut = [wanted - done for wanted, done in zip([*window.begins, *ends], pads, strict=True)]
    if any(cut):
        n = window.rank
        result = op.Slice(result, cut[:n], [-c if c else 2**62 for c in cut[n:]], list(range(2, n + 2)))
    if any(overhang):  # rows that no window read
        result = pad_spatial(result, [0] * window.rank + overhang)
    return result if known else crop_spatial(result, like)


def merged(x: Tensor) -> Tensor:
    """``x`` [N, C, ...] as N * C images of one channel."""
    shape = static_shape(x)
    if shape is not None:
        return op.Reshape(x, np.array([shape[0] * shape[1], 1, *shape[2:]], np.int64))
    sizes = spatial(x)
    parts = [d if d is not None else dim_of(x, i + 2) for i, d in enumerate(sizes)]
    return op.Reshape(x, concat_dims(-1, 1, *parts))
