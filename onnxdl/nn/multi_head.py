"""MultiHeadAttention and GroupedQueryAttention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.activation_layers import masked_softmax
from onnxdl.nn.attention import both_true, causal_mask, joint_mask, window_mask
from onnxdl.nn.core import EinsumDense
from onnxdl.nn.layer import Layer
from onnxdl.nn.regularization import dropout

_LETTERS = "abcdefghijklm"


class MultiHeadAttention(Layer):
    """Attention by several heads, each with projections of its own (Vaswani et al. 2017).

    ``layer(query, value, key=value)``: each is projected to (batch, time, heads, key_dim), the heads' softmax(q k^T /
    sqrt(key_dim)) v are put side by side and projected to the output. The kernels keep Keras's layout.

    Args:
        num_heads, key_dim: how many heads, and their size for query and key.
        value_dim: their size for the value; by default key_dim.
        dropout: the fraction of the weights that training drops.
        output_shape: the output's last size, or sizes; by default the query's.
        attention_axes: the axes attended over; by default all between batch and features.
        sliding_window: steps attend only to those fewer than this many away.
        use_gate: whether the heads' outputs are multiplied by a sigmoid of a projection of the query.
        flash_attention: Keras's; the runtime decides how attention is computed.
    """

    weight_options = ("kernel", "bias")
    supports_masking = True

    def __init__(
        self, num_heads: int, key_dim: int, value_dim: int | None = None, dropout: float = 0.0, use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None, attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None, kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        use_gate: bool = False, seed: int | None = None, flash_attention: bool | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.num_heads, self.num_key_heads, self.key_dim, self.value_dim = num_heads, num_heads, key_dim, value_dim or key_dim
        self.dropout, self.use_bias, self.use_gate, self.seed = dropout, use_bias, use_gate, seed
        self.output_shape = [output_shape] if isinstance(output_shape, int) else output_shape
        self.attention_axes = [attention_axes] if isinstance(attention_axes, int) else attention_axes
        self.sliding_window, self.kernel_initializer, self.bias_initializer = sliding_window, kernel_initializer, bias_initializer

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        rank, features = len(input_shape), input_shape[-1]
        if features is None:
            raise ShapeError(f"{type(self).__name__} needs a last axis of known size; the query has the shape {input_shape}")
        self.query_dense = self._projection("query", rank, 1, [self.num_heads, self.key_dim])
        self.key_dense = self._projection("key", rank, 1, [self.num_key_heads, self.key_dim])
        self.gate_dense = self._projection("gate", rank, 1, [self.num_heads, self.value_dim], "sigmoid") if self.use_gate else None
        self.value_dense = self._projection("value", rank, 1, [self.num_key_heads, self.value_dim])
        self.output_dense = self._projection("attention_output", rank, 2, list(self.output_shape or [features]))

    def _projection(self, name: str, rank: int, summed: int, sizes: list[int], activation: str | None = None) -> EinsumDense:
        """A dense layer over the last ``summed`` axes that makes axes of the given sizes."""
        rows, inner = _LETTERS[: rank - 1], "uvw"[:summed]
        made = "xyz"[: len(sizes)]
        return EinsumDense(
            f"{rows}{inner},{inner}{made}->{rows}{made}", [*[None] * (rank - 2), *sizes], activation, made if self.use_bias else None,
            self.kernel_initializer, self.bias_initializer, name=name, dtype=self.dtype, **self._options,
        )  # fmt: skip

    def call(
        self, query: Tensor, value: Tensor, key: Tensor | None = None, query_mask: Tensor | None = None,
        value_mask: Tensor | None = None, key_mask: Tensor | None = None, attention_mask: Tensor | None = None,
        return_attention_scores: bool = False, training: bool = False, use_causal_mask: bool = False,
    ) -> Any:  # fmt: skip
        mask = joint_mask(attention_mask, query_mask, value_mask, key_mask, causal_mask(query, value) if use_causal_mask else None)
        mask = both_true(mask, None if self.sliding_window is None else window_mask(query, value, self.sliding_window))
        q = self.query_dense(query) * (1 / math.sqrt(self.key_dim))
        k, v = self.key_dense(value if key is None else key), self.value_dense(value)
        dropped = self.dropout if training else 0.0
        if query.ndim == 3:
            y, weights = attend(q, k, v, mask, dropped, self.seed)
        else:
            y, weights = attend_over_axes(q, k, v, mask, dropped, self.seed, self.attention_axes)
        if self.gate_dense is not None:
            y = y * self.gate_dense(query)
        y = self.output_dense(y)
        return (y, weights) if return_attention_scores else y


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, rate: float = 0.0, seed: int | None = None) -> tuple[Tensor, Tensor]:
    """softmax(q k^T) v by heads, of (batch, time, heads, size) each; q may have several heads for each of k and v.

    Returns:
        The heads' outputs, as q, and the weights (batch, heads, query time, key time).
    """
    heads = int(q.shape[2])  # type: ignore[arg-type]  # the projection has fixed it
    scores = op.Transpose(q, perm=[0, 2, 1, 3]) @ _for_all_heads(op.Transpose(k, perm=[0, 2, 3, 1]), heads)
    weights = masked_softmax(scores, mask if mask is None or mask.ndim == 4 else op.Unsqueeze(mask, [1]))
    y = (dropout(weights, rate, None, seed) if rate else weights) @ _for_all_heads(op.Transpose(v, perm=[0, 2, 1, 3]), heads)
    return op.Transpose(y, perm=[0, 2, 1, 3]), weights


def _for_all_heads(x: Tensor, heads: int) -> Tensor:
    """(batch, key heads, ...) with each head repeated for its group of query heads."""
    group = heads // int(x.shape[1])  # type: ignore[arg-type]
    if group == 1:
        return x
    sizes = [d if isinstance(d, int) else -1 for d in x.shape[2:]]
    return op.Reshape(op.Expand(op.Unsqueeze(x, [2]), [1, 1, group, 1, 1]), [0, heads, *sizes])


def attend_over_axes(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, rate: float, seed: int | None, axes: Sequence[int] | None
) -> tuple[Tensor, Tensor]:
    """As ``attend``, over the given axes between batch and heads, by default all; the others go with the batch."""
    attended = [a % (q.ndim - 1) for a in axes] if axes is not None else list(range(1, q.ndim - 2))
    letters = _LETTERS[: q.ndim]
    others = "".join(letters[i] for i in range(q.ndim - 1) if i not in attended)
    targets = "".join(letters[i] for i in attended)
    made = others + targets + targets.upper()
    source = "".join(c.upper() if i in attended else c for i, c in enumerate(letters))
    scores = op.Einsum(q, k, equation=f"{letters},{source}->{made}")
    if mask is not None and mask.ndim < scores.ndim:
        at = scores.ndim - 2 * len(attended) - 1
        mask = op.Unsqueeze(mask, list(range(at, at + scores.ndim - mask.ndim)))
    weights = masked_softmax(scores, mask, list(range(scores.ndim - len(attended), scores.ndim)))
    y = op.Einsum(dropout(weights, rate, None, seed) if rate else weights, v, equation=f"{made},{source}->{letters}")
    return y, weights


class GroupedQueryAttention(MultiHeadAttention):
    """MultiHeadAttention whose query heads share key and value heads in groups (Ainslie et al. 2023).

    Args:
        head_dim: the size of each head.
        num_query_heads, num_key_value_heads: how many heads; the second divides the first.
        kwargs: ``dropout``, ``use_bias``, ``sliding_window``, ``use_gate`` and the initializers, as MultiHeadAttention's.
    """

    def __init__(self, head_dim: int, num_query_heads: int, num_key_value_heads: int, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(num_query_heads, head_dim, dropout=dropout, **kwargs)
        if num_query_heads % num_key_value_heads:
            raise GraphError(f"{num_key_value_heads} key heads do not divide {num_query_heads} query heads")
        self.num_key_heads = num_key_value_heads
