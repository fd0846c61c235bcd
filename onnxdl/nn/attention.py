"""Dot-product and additive attention: Attention and AdditiveAttention; the masks that attention uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.activation_layers import masked_softmax
from onnxdl.nn.layer import Layer
from onnxdl.nn.regularization import dropout


class Attention(Layer):
    """softmax(score(query, key)) @ value, on a list [query, value] or [query, value, key] of (batch, time, features).

    Args:
        use_scale: whether the scores are multiplied by a learned number.
        score_mode: ``dot`` (query @ key^T; Luong et al. 2015) or ``concat`` (the sum of tanh(query + key)).
        dropout: the fraction of the weights that training drops.
    """

    supports_masking = True

    def __init__(
        self, use_scale: bool = False, score_mode: str = "dot", dropout: float = 0.0, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if score_mode not in ("dot", "concat"):
            raise GraphError(f"score_mode is 'dot' or 'concat', not {score_mode!r}")
        self.use_scale, self.score_mode, self.dropout, self.seed = use_scale, score_mode, dropout, seed

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones") if self.use_scale else None
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(name="concat_score_weight", shape=(), initializer="ones")

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """(batch, query time, key time)."""
        if self.score_mode == "concat":
            both = op.Unsqueeze(query, [2]) + op.Unsqueeze(key, [1])
            both = op.Tanh(both * self.scale if self.scale is not None else both)
            return op.ReduceSum(both, [-1], keepdims=0) * self.concat_score_weight
        dot = query @ op.Transpose(key, perm=[0, 2, 1])
        return dot * self.scale if self.scale is not None else dot

    def call(
        self, inputs: Sequence[Tensor], mask: Sequence[Tensor | None] | None = None, training: bool = False,
        return_attention_scores: bool = False, use_causal_mask: bool = False,
    ) -> Any:  # fmt: skip
        if not isinstance(inputs, list | tuple) or not 2 <= len(inputs) <= 3:
            raise GraphError(f"{type(self).__name__} takes a list [query, value] or [query, value, key]")
        query, value = inputs[:2]
        query_mask, value_mask = mask[:2] if mask is not None else (None, None)
        scores = self.scores(query, inputs[-1] if len(inputs) == 3 else value)
        allowed = None if value_mask is None else op.Unsqueeze(value_mask, [1])
        allowed = both_true(allowed, causal_mask(query, value) if use_causal_mask else None)
        weights = masked_softmax(scores, allowed)
        dropped = dropout(weights, self.dropout, None, self.seed) if training and self.dropout else weights
        y = dropped @ value
        if query_mask is not None:
            y = op.Where(op.Unsqueeze(query_mask, [2]), y, 0.0)
        return (y, weights) if return_attention_scores else y

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None if mask is None else mask[0]


class AdditiveAttention(Attention):
    """softmax(sum(scale * tanh(query + key))) @ value (Bahdanau et al. 2015), on inputs as Attention's.

    Args:
        use_scale: whether ``scale`` is a learned vector over the features, or 1.
        dropout: the fraction of the weights that training drops.
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(name="scale", shape=(input_shape[0][-1],)) if self.use_scale else None

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        both = op.Tanh(op.Unsqueeze(query, [2]) + op.Unsqueeze(key, [1]))
        return op.ReduceSum(both * self.scale if self.scale is not None else both, [-1], keepdims=0)


def both_true(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """The conjunction of two masks, either of which may be absent."""
    if a is None or b is None:
        return b if a is None else a
    return a & b


def joint_mask(
    attention: Tensor | None, query: Tensor | None, value: Tensor | None, key: Tensor | None, causal: Tensor | None
) -> Tensor | None:
    """Masks (batch, query time, key time) and those of the steps of query, value and key as one; None if all are absent."""
    mask = both_true(None if attention is None else op.Cast(attention, to="bool"), causal)
    mask = both_true(mask, None if query is None else op.Unsqueeze(query, [2]))
    for steps in (value, key):
        mask = both_true(mask, None if steps is None else op.Unsqueeze(steps, [1]))
    return mask


def causal_mask(query: Tensor, key: Tensor) -> Tensor:
    """(1, query time, key time): True where the key is no later than the query."""
    return op.LessOrEqual(op.Unsqueeze(_steps(key), [0, 1]), op.Unsqueeze(_steps(query), [0, 2]))


def window_mask(query: Tensor, key: Tensor, window: int) -> Tensor:
    """(1, query time, key time): True where both are fewer than ``window`` steps apart."""
    distance = op.Unsqueeze(_steps(query), [0, 2]) - op.Unsqueeze(_steps(key), [0, 1])
    return op.Less(op.Abs(distance), np.int64(window))


def _steps(x: Tensor) -> Any:
    """0, 1, ... along the time axis of (batch, time, ...)."""
    if isinstance(x.shape[1], int):
        return np.arange(x.shape[1])
    return op.Range(np.int64(0), op.Squeeze(op.Shape(x, start=1, end=2), [0]), np.int64(1))
