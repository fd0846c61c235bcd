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
    k: Array | None = None,
    v: Array | None = None,
    bias: Array | None = None,
    padding: Array | None = None,
    added: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    *,
    num_heads: int,
    scale: float = 0.0,
    unidirectional: int = 0,
) -> Array | tuple[Array, ...]:
    """Scaled dot-product attention, head by head."""
    heads = [x if x is None or x.ndim > 3 else x.reshape(*x.shape[:2], num_heads, -1) for x in (q, k, v)]
    if q.ndim == 5:
        heads = [q[:, :, :, i] for i in range(3)]
    elif k is not None and k.ndim == 5:
        heads[1:] = [k[:, :, :, i] for i in range(2)]
    elif k is not None and k.ndim == 4:
        heads[1:] = [x.swapaxes(1, 2) for x in (k, v)]
    if bias is not None:
        parts = bias.reshape(3, num_heads, -1) * (np.array([1, 0, 0]).reshape(3, 1, 1) if k is not None and k.ndim == 4 else 1)
        heads = [x + part for x, part in zip(heads, parts, strict=True)]
    whole = [x.swapaxes(1, 2) for x in heads]
    if past_key is not None:
        whole[1:] = [np.concatenate([past, x], 2) for past, x in zip((past_key, past_value), whole[1:], strict=True)]
    q, k, v = whole
    scores = (scale or 1 / np.sqrt(q.shape[-1])) * q @ k.swapaxes(2, 3) + (0 if added is None else added)
    if padding is not None:
        counts = np.arange(k.shape[2]) < padding[:, None] if padding.ndim == 1 else padding
        scores = scores - 10000.0 * (1 - counts[:, None, None] if counts.ndim == 2 else 1 - counts[:, None])
    if unidirectional:
        scores = scores - 10000.0 * (1 - np.tri(*scores.shape[2:], k=scores.shape[3] - scores.shape[2]))
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    y = shares / shares.sum(-1, keepdims=True) @ v
    y = y.swapaxes(1, 2).reshape(len(y), y.shape[2], -1)
    return y if past_key is None else (y, k, v)


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
