"""Attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onnxdl.converters.torch.aten import Size, aten, cast, size_of
from onnxdl.converters.torch.operators.randomness import dropped
from onnxdl.converters.torch.operators.shape import repeat_interleave
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


@aten("scaled_dot_product_attention")
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    run: Any,
) -> Tensor:
    return _attended(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, run)[0]


@aten("_scaled_dot_product_flash_attention_for_cpu")
def flash_attention_for_cpu(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    attn_mask: Tensor | None = None,
    scale: float | None = None,
    *,
    run: Any,
) -> tuple[Tensor, Tensor]:
    y, scores = _attended(query, key, value, attn_mask, dropout_p, is_causal, scale, False, run)
    return y, op.ReduceLogSumExp(scores, [-1], keepdims=0)


def _attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout_p: float,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
    run: Any,
) -> tuple[Tensor, Tensor]:
    """softmax(q k^T scale + mask) v and the scores; a row with nothing to attend to gives zeros, as torch has it."""
    if enable_gqa and key.shape[-3] != query.shape[-3]:
        groups = _known(query.shape[-3]) // _known(key.shape[-3])
        key, value = (repeat_interleave(t, groups, -3) for t in (key, value))
    factor = 1 / math.sqrt(_known(query.shape[-1])) if scale is None else scale
    order = [*range(key.ndim - 2), key.ndim - 1, key.ndim - 2]
    scores = op.MatMul(query * factor, op.Transpose(key, perm=order))
    lowest = cast(float(np.finfo(np.float16 if query.dtype == np.float16 else np.float32).min), query.dtype)
    allowed = _causal(size_of(query, -2), size_of(key, -2)) if is_causal else None
    if mask is not None and mask.dtype == bool:
        allowed = mask if allowed is None else op.And(mask, allowed)
    elif mask is not None:
        scores = scores + mask.astype(scores.dtype)
    if allowed is not None:
        scores = op.Where(allowed, scores, lowest)
    weights = op.Softmax(scores, axis=-1)
    if mask is not None and mask.dtype == bool and allowed is not None:
        some = op.ReduceMax(allowed.astype(np.int32), [-1], keepdims=1) > 0
        weights = op.Where(some, weights, cast(0.0, weights.dtype))
    if dropout_p and run.training:
        weights = dropped(weights, dropout_p)
    return op.MatMul(weights, value), scores


def _known(size: Any) -> int:
    assert isinstance(size, int)  # a weight has made the heads
    return size


def _causal(rows: Size, columns: Size) -> Any:
    if isinstance(rows, int) and isinstance(columns, int):
        return np.tril(np.ones((rows, columns), bool))
    down, across = (op.Range(np.int64(0), s, np.int64(1)) for s in (rows, columns))
    return op.Unsqueeze(across, [0]) <= op.Unsqueeze(down, [1])
