"""com.microsoft operators that exported and optimised files carry, by standard ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxdl.autodiff.registry import lowering
from onnxdl.autodiff.shapes import concat_dims, dim_of, reshape_like
from onnxdl.errors import GradientError
from onnxdl.graph import op
from onnxdl.graph.microsoft import DOMAIN
from onnxdl.graph.tensor import Tensor


@lowering("Gelu", domain=DOMAIN)
def gelu(x: Tensor) -> Tensor:
    return op.Gelu(x)


@lowering("BiasGelu", domain=DOMAIN)
def bias_gelu(x: Tensor, bias: Tensor) -> Tensor:
    return op.Gelu(x + bias)


@lowering("FastGelu", domain=DOMAIN)
def fast_gelu(x: Tensor, bias: Tensor | None = None) -> Tensor:
    return op.Gelu(x if bias is None else x + bias, approximate="tanh")


@lowering("QuickGelu", domain=DOMAIN)
def quick_gelu(x: Tensor, *, alpha: float = 1.702) -> Tensor:
    return x * op.Sigmoid(x * alpha)


@lowering("FusedMatMul", domain=DOMAIN)
def fused_matmul(
    a: Tensor, b: Tensor, *, alpha: float = 1.0, transA: int = 0, transB: int = 0, transBatchA: int = 0, transBatchB: int = 0
) -> Tensor:
    product = op.MatMul(_turned(a, transA, transBatchA), _turned(b, transB, transBatchB))
    return product if alpha == 1 else product * alpha


def _turned(x: Tensor, last_two: int, batch: int) -> Tensor:
    order = list(range(x.ndim))
    if len(order) < 2:
        return x
    if batch:
        order = [*order[1:-1], 0, order[-1]]
    if last_two:
        order[-1], order[-2] = order[-2], order[-1]
    return op.Transpose(x, perm=order) if order != sorted(order) else x


@lowering("FusedGemm", domain=DOMAIN)
def fused_gemm(a: Tensor, b: Tensor, c: Tensor | None = None, *, activation: str = "", **attributes: Any) -> Tensor:
    own = {k.removeprefix("activation_"): attributes.pop(k) for k in list(attributes) if k.startswith("activation_")}
    return _activated(op.Gemm(a, b, c, **attributes), activation, [own[k] for k in ("alpha", "beta", "gamma") if k in own])


@lowering("FusedConv", domain=DOMAIN)
def fused_conv(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    z: Tensor | None = None,
    *,
    activation: str = "",
    activation_params: list[float] | None = None,
    **attributes: Any,
) -> Tensor:
    y = op.Conv(x, w, b, **attributes)
    return _activated(y if z is None else y + z, activation, activation_params or [])


def _activated(x: Tensor, name: str, parameters: list[float]) -> Tensor:
    match name:
        case "":
            return x
        case "Relu" | "Tanh" | "Sigmoid":
            return getattr(op, name)(x)  # type: ignore[no-any-return]
        case "LeakyRelu":
            return op.LeakyRelu(x, alpha=parameters[0])
        case "Clip":
            return op.Clip(x, *parameters)
        case "HardSigmoid":
            return op.HardSigmoid(x, alpha=parameters[0], beta=parameters[1])
        case _:
            raise GradientError(f"com.microsoft's fused operators with the activation {name!r} have no gradient here")


@lowering("SkipLayerNormalization", domain=DOMAIN)
def skip_layer_normalization(
    x: Tensor, skip: Tensor, gamma: Tensor, beta: Tensor | None = None, bias: Tensor | None = None, *, epsilon: float = 1e-12
) -> Any:
    total = x + skip if bias is None else x + skip + bias
    return (*op.LayerNormalization(total, gamma, beta, epsilon=epsilon, outputs=3), total)


@lowering("SkipSimplifiedLayerNormalization", domain=DOMAIN)
def skip_simplified_layer_normalization(
    x: Tensor, skip: Tensor, gamma: Tensor, bias: Tensor | None = None, *, epsilon: float = 1e-12
) -> Any:
    total = x + skip if bias is None else x + skip + bias
    inverse = 1 / op.Sqrt(op.ReduceMean(total * total, [-1]) + epsilon)
    return total * inverse * gamma, inverse * 0, inverse, total


@lowering("EmbedLayerNormalization", domain=DOMAIN)
def embed_layer_normalization(
    ids: Tensor,
    segments: Tensor | None,
    words: Tensor,
    places: Tensor,
    segment_table: Tensor | None,
    gamma: Tensor,
    beta: Tensor,
    mask: Tensor | None = None,
    positions: Tensor | None = None,
    *,
    epsilon: float = 1e-12,
    **_: Any,
) -> Any:
    place = op.Slice(places, [0], dim_of(ids, 1), [0]) if positions is None else op.Gather(places, positions, axis=0)
    total = op.Gather(words, ids, axis=0) + place
    if segments is not None and segment_table is not None:
        total = total + op.Gather(segment_table, segments, axis=0)
    return op.LayerNormalization(total, gamma, beta, epsilon=epsilon), op.ReduceSum(ids, [1], keepdims=0), total


@lowering("MultiHeadAttention", domain=DOMAIN)
def multi_head_attention(
    query: Tensor,
    key: Tensor | None = None,
    value: Tensor | None = None,
    bias: Tensor | None = None,
    padding: Tensor | None = None,
    added: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    *rest: Tensor | None,
    num_heads: int,
    scale: float = 0.0,
    mask_filter_value: float = -10000.0,
    unidirectional: int = 0,
) -> Any:
    if any(t is not None for t in rest):
        raise GradientError("MultiHeadAttention that shares its past's buffer or searches beams has no gradient here")
    q, k, v = _projections(query, key, value, bias, num_heads)
    if past_key is not None and past_value is not None:
        k, v = op.Concat(past_key, k, axis=2), op.Concat(past_value, v, axis=2)
    factor: Any = scale or 1 / op.Sqrt(op.Cast(dim_of(q, 3), to=q.dtype))
    scores = op.MatMul(q * factor, op.Transpose(k, perm=[0, 1, 3, 2]))
    if added is not None:
        scores = scores + added
    if padding is not None:
        scores = scores + (1 - op.Cast(_counted(padding, scores), to=q.dtype)) * mask_filter_value
    if unidirectional:
        rows, columns = op.Shape(scores, start=2, end=3), op.Shape(scores, start=3)
        allowed = op.Trilu(op.Expand(np.ones((1, 1), q.dtype), op.Concat(rows, columns, axis=0)), op.Sub(columns, rows), upper=0)
        scores = scores + (1 - allowed) * mask_filter_value
    y = op.Transpose(op.MatMul(op.Softmax(scores, axis=-1), v), perm=[0, 2, 1, 3])
    return op.Reshape(y, np.array([0, 0, -1], np.int64)), k, v


def _projections(query: Tensor, key: Tensor | None, value: Tensor | None, bias: Tensor | None, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value as [batch, heads, steps, size], however they were packed, their biases added."""
    biases: list[Tensor | None] = [None, None, None]
    if query.ndim == 5:  # [batch, steps, heads, 3, size]
        parts = [op.Transpose(op.Gather(query, np.array(i), axis=3), perm=[0, 2, 1, 3]) for i in range(3)]
    elif key is not None and key.ndim == 5:  # [batch, steps, heads, 2, size]
        parts = [_heads(query, n), *(op.Transpose(op.Gather(key, np.array(i), axis=3), perm=[0, 2, 1, 3]) for i in range(2))]
    elif key is not None and value is not None:
        parts = [_heads(query, n), *(t if t.ndim == 4 else _heads(t, n) for t in (key, value))]
    else:
        raise GradientError("MultiHeadAttention needs a key and a value, or packs them into the query")
    if bias is not None:
        width = op.Mul(dim_of(parts[0], 3), np.array([n], np.int64))
        biases = [op.Slice(bias, [0], width), op.Slice(bias, width, op.Mul(width, np.array([2], np.int64)))]
        biases.append(op.Slice(bias, op.Mul(width, np.array([2], np.int64)), [2**31]))
        if key is not None and key.ndim == 4:  # of another layer, complete
            biases[1:] = [None, None]
    q, k, v = (t if b is None else t + op.Reshape(b, np.array([n, 1, -1], np.int64)) for t, b in zip(parts, biases, strict=True))
    return q, k, v


def _counted(padding: Tensor, scores: Tensor) -> Tensor:
    """The mask of the keys that count, from their number, or from a mask that may differ from query to query."""
    if padding.ndim == 1:
        steps = op.Range(np.array(0), op.Squeeze(dim_of(scores, 3), [0]), np.array(1))
        return op.Less(steps, op.Reshape(padding.astype(np.int64), np.array([-1, 1, 1, 1], np.int64)))
    return op.Unsqueeze(op.Cast(padding, to=bool), [1, 2] if padding.ndim == 2 else [1])


def _heads(x: Tensor, n: int) -> Tensor:
    return op.Transpose(op.Reshape(x, np.array([0, 0, n, -1], np.int64)), perm=[0, 2, 1, 3])


@lowering("RotaryEmbedding", domain=DOMAIN)
def rotary_embedding(
    x: Tensor,
    positions: Tensor,
    cosines: Tensor,
    sines: Tensor,
    *,
    interleaved: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
    scale: float = 1.0,
    **_: Any,
) -> Tensor:
    if num_heads:
        heads: Tensor = _heads(x, num_heads) if x.ndim == 3 else x
    elif x.ndim == 3:
        size = rotary_embedding_dim or op.Mul(dim_of(cosines, 1), np.array([2], np.int64))
        heads = op.Transpose(op.Reshape(x, concat_dims(0, 0, -1, size)), perm=[0, 2, 1, 3])
    else:
        heads = x
    steps: Tensor = positions
    if positions.ndim == 1:
        length = dim_of(heads, 2)
        steps = op.Unsqueeze(op.Range(0, op.Squeeze(length, [0]), 1) + positions, [0])
    cos, sin = (op.Unsqueeze(op.Gather(t, steps, axis=0), [1]) for t in (cosines, sines))  # [B, 1, S, half]
    half = dim_of(cosines, 1)
    whole = op.Mul(half, np.array([2], np.int64))
    turned, rest = op.Slice(heads, [0], whole, [3]), op.Slice(heads, whole, [2**31], [3])
    if interleaved:
        a, b = op.Slice(turned, [0], [2**31], [3], [2]), op.Slice(turned, [1], [2**31], [3], [2])
    else:
        a, b = op.Slice(turned, [0], half, [3]), op.Slice(turned, half, [2**31], [3])
    real, imaginary = a * cos - b * sin, b * cos + a * sin
    if interleaved:
        pairs = op.Concat(op.Unsqueeze(real, [4]), op.Unsqueeze(imaginary, [4]), axis=4)
        mixed = reshape_like(pairs, turned)
    else:
        mixed = op.Concat(real, imaginary, axis=3)
    y = op.Concat(mixed, rest, axis=3)
    return reshape_like(op.Transpose(y, perm=[0, 2, 1, 3]), x) if x.ndim == 3 else y


@lowering("GroupNorm", domain=DOMAIN)
def group_norm(
    x: Tensor, gamma: Tensor, beta: Tensor, *, groups: int, epsilon: float = 1e-5, activation: int = 0, channels_last: int = 1, **_: Any
) -> Tensor:
    n = x.ndim
    images = op.Transpose(x, perm=[0, n - 1, *range(1, n - 1)]) if channels_last else x
    y = op.GroupNormalization(images, op.Cast(gamma, to=x.dtype), op.Cast(beta, to=x.dtype), num_groups=groups, epsilon=epsilon)
    if activation:
        y = y * op.Sigmoid(y)
    return op.Transpose(y, perm=[0, *range(2, n), 1]) if channels_last else y
