"""Operators in NumPy, straight from their definitions: what neither ONNX Runtime nor onnx.reference computes in float64."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray


def windows(
    x: Array, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], pads: Sequence[int], ceil_mode: int = 0
) -> Array:
    """What each window reads, [N, C, *output, taps]; zero outside the input."""
    n = len(kernel)
    outs = []
    for i in range(n):
        room = x.shape[i + 2] + pads[i] + pads[n + i] - (kernel[i] - 1) * dilations[i] - 1
        outs.append((-(-room // strides[i]) if ceil_mode else room // strides[i]) + 1)
    wide = np.pad(x, [(0, 0), (0, 0), *((pads[i], pads[n + i] + strides[i]) for i in range(n))])
    reads = []
    for tap in itertools.product(*map(range, kernel)):
        at = [slice(t * d, t * d + s * (o - 1) + 1, s) for t, d, s, o in zip(tap, dilations, strides, outs, strict=True)]
        reads.append(wide[(slice(None), slice(None), *at)])
    return np.stack(reads, axis=-1)


def lp_pool(
    x: Array, *, kernel_shape: Sequence[int], p: int = 2, strides: Any = None, dilations: Any = None, pads: Any = None, ceil_mode: int = 0
) -> Array:
    """The p-norm of each window."""
    n = len(kernel_shape)
    reads = windows(x, kernel_shape, strides or [1] * n, dilations or [1] * n, pads or [0] * 2 * n, ceil_mode)
    return np.sum(np.abs(reads) ** p, axis=-1) ** (1 / p)


def global_lp_pool(x: Array, *, p: int = 2) -> Array:
    """The p-norm of each channel."""
    return np.sum(np.abs(x) ** p, axis=tuple(range(2, x.ndim)), keepdims=True) ** (1 / p)


def lrn(x: Array, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Array:
    """Each element over a power of the squares of its neighbouring channels."""
    sums = np.stack([(x[:, max(0, c - (size - 1) // 2) : c + size // 2 + 1] ** 2).sum(1) for c in range(x.shape[1])], axis=1)
    return x / (bias + alpha / size * sums) ** beta


def conv_transpose(
    x: Array, w: Array, b: Array | None = None, *, group: int = 1, strides: Any = None, dilations: Any = None, pads: Any = None
) -> Array:
    """Each input element times the kernel, added where the kernel lies."""
    n = x.ndim - 2
    strides, dilations, pads = strides or [1] * n, dilations or [1] * n, pads or [0] * 2 * n
    full = [s * (z - 1) + d * (k - 1) + 1 for s, z, d, k in zip(strides, x.shape[2:], dilations, w.shape[2:], strict=True)]
    y = np.zeros((x.shape[0], w.shape[1] * group, *full))
    images = x.reshape(x.shape[0], group, -1, *x.shape[2:])
    kernels = w.reshape(group, -1, *w.shape[1:])
    for tap in np.ndindex(*w.shape[2:]):
        part = np.einsum("ngc...,gcm->ngm...", images, kernels[(slice(None), slice(None), slice(None), *tap)])
        at = [slice(t * d, t * d + s * (z - 1) + 1, s) for t, d, s, z in zip(tap, dilations, strides, x.shape[2:], strict=True)]
        y[(slice(None), slice(None), *at)] += part.reshape(x.shape[0], -1, *x.shape[2:])
    y = y[(slice(None), slice(None), *(slice(pads[i], f - pads[n + i]) for i, f in enumerate(full)))]
    return y if b is None else y + b.reshape(-1, *[1] * n)


def max_unpool(x: Array, indices: Array, output_shape: Array, **_: Any) -> Array:
    """Each element at its place in a flat array of zeros."""
    y = np.zeros(output_shape)
    y.reshape(-1)[indices.reshape(-1)] = x.reshape(-1)
    return y


def layer_norm(x: Array, scale: Array, bias: Array, *, axis: int = -1, epsilon: float = 1e-5) -> tuple[Array, Array, Array]:
    """The normalised input, its mean and one over its standard deviation."""
    axes = tuple(range(axis % x.ndim, x.ndim))
    mean = x.mean(axes, keepdims=True)
    inverse = 1 / np.sqrt(x.var(axes, keepdims=True) + epsilon)
    return (x - mean) * inverse * scale + bias, mean, inverse


def group_norm(x: Array, scale: Array, bias: Array, *, num_groups: int, epsilon: float = 1e-5) -> Array:
    """Each group of channels normalised; one scale and bias a channel."""
    grouped = x.reshape(x.shape[0], num_groups, -1)
    normal = (grouped - grouped.mean(2, keepdims=True)) / np.sqrt(grouped.var(2, keepdims=True) + epsilon)
    along = (-1, *[1] * (x.ndim - 2))
    return normal.reshape(x.shape) * scale.reshape(along) + bias.reshape(along)


def max_roi_pool(x: Array, rois: Array, pooled_shape: Sequence[int]) -> Array:
    """The largest element of each bin of each region, its borders rounded to whole elements."""
    y = np.zeros((len(rois), x.shape[1], *pooled_shape))
    for r, (batch, *corners) in enumerate(rois):
        left, top, right, bottom = (int(np.floor(c + 0.5)) for c in corners)
        for ph, pw in np.ndindex(*pooled_shape):
            high, wide = max(bottom - top + 1, 1) / pooled_shape[0], max(right - left + 1, 1) / pooled_shape[1]
            rows = slice(max(int(np.floor(ph * high)) + top, 0), int(np.ceil((ph + 1) * high)) + top)
            columns = slice(max(int(np.floor(pw * wide)) + left, 0), int(np.ceil((pw + 1) * wide)) + left)
            part = x[int(batch), :, rows, columns]
            y[r, :, ph, pw] = part.max(axis=(1, 2)) if part.size else 0
    return y
