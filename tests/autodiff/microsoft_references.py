"""com.microsoft operators in NumPy, from their documentation."""

from __future__ import annotations

from math import erf
from typing import Any

import numpy as np

from tests.autodiff import references

Array = np.ndarray


def gelu(x: Array) -> Array:
    """x times the normal distribution's cumulative function."""
    return 0.5 * x * (1 + np.vectorize(erf)(x / np.sqrt(2)))


def fast_gelu(x: Array, bias: Array) -> Array:
    """The approximation by tanh."""
    z = x + bias
    return 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


def quick_gelu(x: Array, *, alpha: float) -> Array:
    """The approximation by a sigmoid."""
    return x / (1 + np.exp(-alpha * x))


def fused_matmul(a: Array, b: Array, *, alpha: float = 1.0, transA: int = 0, transB: int = 0, transBatchA: int = 0) -> Array:
    """A product of transposed operands."""
    a = np.moveaxis(a, 0, -2) if transBatchA else a
    a, b = a.swapaxes(-1, -2) if transA else a, b.swapaxes(-1, -2) if transB else b
    return alpha * (a @ b)


def fused_gemm(a: Array, b: Array, c: Array, *, activation_alpha: float, **_: Any) -> Array:
    """Gemm of two transposed operands, then LeakyRelu."""
    y = a.T @ b.T + c
    return np.where(y > 0, y, activation_alpha * y)


def fused_conv(x: Array, w: Array, b: Array, **_: Any) -> Array:
    """Convolution, then tanh."""
    reads = references.windows(x, w.shape[2:], [1, 1], [1, 1], [0] * 4)
    return np.tanh(np.einsum("nchwk,mck->nmhw", reads, w.reshape(*w.shape[:2], -1)) + b.reshape(-1, 1, 1))


def skip_layer_norm(x: Array, skip: Array, gamma: Array, beta: Array, bias: Array, *, epsilon: float) -> Array:
    """The layer norm of a residual sum."""
    return references.layer_norm(x + skip + bias, gamma, beta, epsilon=epsilon)[0]


def skip_rms_norm(x: Array, skip: Array, gamma: Array, *, epsilon: float) -> Array:
    """The root-mean-square norm of a residual sum."""
    total = x + skip
    return total / np.sqrt((total**2).mean(-1, keepdims=True) + epsilon) * gamma


def embed_layer_norm(
    ids: Array, segments: Array, words: Array, places: Array, table: Array, gamma: Array, beta: Array, *, epsilon: float
) -> Array:
    """The layer norm of three embeddings."""
    total = words[ids] + places[: ids.shape[1]] + table[segments]
    return references.layer_norm(total, gamma, beta, epsilon=epsilon)[0]


def multi_head_attention(
    q: Array,
    k: Array,
    v: Array,
    bias: Array | None = None,
    padding: Array | None = None,
    added: Array | None = None,
    *,
    num_heads: int,
    scale: float = 0.0,
) -> Array:
    """Scaled dot-product attention, head by head."""
    width = q.shape[2]
    if bias is not None:
        q, k, v = q + bias[:width], k + bias[width : 2 * width], v + bias[2 * width :]
    y = np.zeros(q.shape)
    for head in range(num_heads):
        part = slice(head * width // num_heads, (head + 1) * width // num_heads)
        factor = scale or 1 / np.sqrt(width // num_heads)
        scores = factor * q[..., part] @ k[..., part].swapaxes(1, 2)
        if added is not None:
            scores = scores + added[:, head]
        if padding is not None:
            scores = scores - 10000.0 * (1 - padding[:, None, :])
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        y[..., part] = shares / shares.sum(-1, keepdims=True) @ v[..., part]
    return y


def rotary(x: Array, positions: Array, cosines: Array, sines: Array, *, interleaved: int = 0, num_heads: int = 0) -> Array:
    """Pairs of numbers turned by an angle that grows with the position."""
    heads = x if x.ndim == 4 else x.reshape(*x.shape[:2], num_heads, -1).swapaxes(1, 2)
    steps = positions[0] + np.arange(heads.shape[2])[None] if positions.ndim == 1 else positions
    turn = (cosines + 1j * sines)[steps][:, None]
    half = heads.shape[-1] // 2
    pairs = heads[..., ::2] + 1j * heads[..., 1::2] if interleaved else heads[..., :half] + 1j * heads[..., half:]
    turned = pairs * turn
    y = np.stack([turned.real, turned.imag], -1).reshape(heads.shape) if interleaved else np.concatenate([turned.real, turned.imag], -1)
    return y if x.ndim == 4 else y.swapaxes(1, 2).reshape(x.shape)


def group_norm(x: Array, gamma: Array, beta: Array, *, groups: int, **_: Any) -> Array:
    """Group normalisation, channels last, then x times its sigmoid."""
    y = np.moveaxis(references.group_norm(np.moveaxis(x, -1, 1), gamma, beta, num_groups=groups), 1, -1)
    return y / (1 + np.exp(-y))
