"""Attention and rotary embedding, differentiated through their function bodies."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.autodiff.cases import Case, rand


def _attention(*extra: np.ndarray | None, q: tuple[int, ...], k: tuple[int, ...], outputs: int | None = None, static: tuple[int, ...] = (), **attributes: Any) -> Case:
    inputs = [rand(*q, seed=1), rand(*k, seed=2), rand(*k, seed=3), *extra]
    return Case("Attention", inputs, attributes, outputs=outputs, static=static, second_order=False)


CASES = [
    _attention(q=(2, 2, 3, 4), k=(2, 2, 5, 4)),
    _attention(q=(1, 4, 3, 4), k=(1, 2, 3, 4), is_causal=1, scale=0.3),
    _attention(rand(3, 5, seed=4), q=(1, 2, 3, 4), k=(1, 2, 5, 4), softcap=2.0),
    _attention(q=(2, 3, 8), k=(2, 5, 8), q_num_heads=2, kv_num_heads=2, static=(0, 1, 2)),
    _attention(np.tri(3, 5) > 0, q=(1, 2, 3, 4), k=(1, 2, 5, 4)),
    _attention(None, rand(1, 2, 2, 4, seed=5), rand(1, 2, 2, 4, seed=6), q=(1, 2, 3, 4), k=(1, 2, 3, 4), outputs=3, is_causal=1),
    Case(
        "RotaryEmbedding",
        [rand(1, 2, 3, 4), rand(5, 2, seed=1), rand(5, 2, seed=2), np.array([[0, 2, 4]])],
    ),
    Case(
        "RotaryEmbedding",
        [rand(1, 3, 8), rand(5, 1, seed=1), rand(5, 1, seed=2), np.array([[0, 2, 4]])],
        {"num_heads": 2, "rotary_embedding_dim": 2, "interleaved": 1},
    ),
    Case("RotaryEmbedding", [rand(1, 2, 3, 4), rand(1, 3, 2, seed=1), rand(1, 3, 2, seed=2)]),
]
