"""com.microsoft operators of exported and optimised files."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.autodiff import microsoft_references as reference
from tests.autodiff.cases import Case, rand


def _case(
    op: str, forward: Any, *inputs: np.ndarray | None, outputs: int | None = None, static: tuple[int, ...] = (), **attributes: Any
) -> Case:
    return Case(op, inputs, attributes, outputs, "com.microsoft", forward=forward, static=static, second_order=False)


def _attention(*inputs: np.ndarray | None, **attributes: Any) -> Case:
    return _case("MultiHeadAttention", reference.multi_head_attention, *inputs, num_heads=2, **attributes)


_NORM = (rand(2, 3, 4), rand(2, 3, 4, seed=1), rand(4, seed=2))
_TABLES = (rand(6, 4, seed=1), rand(5, 4, seed=2), rand(2, 4, seed=3), rand(4, seed=4), rand(4, seed=5))
_IDS = np.array([[1, 5, 0], [2, 2, 3]], np.int32)
_QKV = (rand(2, 3, 4, seed=1), rand(2, 5, 4, seed=2), rand(2, 5, 4, seed=3))

_LEAKY = {"activation": "LeakyRelu", "activation_alpha": 0.2}
_ROTATION = (np.array([[0, 2, 4]]), rand(5, 2, seed=1), rand(5, 2, seed=2))

CASES = [
    _case("Gelu", reference.gelu, rand(2, 3)),
    _case("BiasGelu", lambda x, b: reference.gelu(x + b), rand(2, 3), rand(3, seed=1), static=(1,)),
    _case("FastGelu", reference.fast_gelu, rand(2, 3), rand(3, seed=1)),
    _case("QuickGelu", reference.quick_gelu, rand(2, 3), alpha=1.5),
    _case("FusedMatMul", reference.fused_matmul, rand(2, 3, 4), rand(2, 5, 4, seed=1), transB=1, alpha=0.5),
    _case("FusedMatMul", reference.fused_matmul, rand(3, 2, 4), rand(2, 3, 5, seed=1), transA=1, transBatchA=1),
    _case(
        "FusedGemm",
        reference.fused_gemm,
        rand(3, 2),
        rand(4, 3, seed=1),
        rand(4, seed=2),
        transA=1,
        transB=1,
        activation="LeakyRelu",
        activation_alpha=0.2,
    ),
    _case("FusedConv", reference.fused_conv, rand(1, 2, 5, 4), rand(3, 2, 2, 2, seed=1), rand(3, seed=2), activation="Tanh", static=(1,)),
    _case("SkipLayerNormalization", reference.skip_layer_norm, *_NORM, rand(4, seed=3), rand(4, seed=4), epsilon=1e-2),
    _case("SkipSimplifiedLayerNormalization", reference.skip_rms_norm, *_NORM, epsilon=1e-2),
    _case("EmbedLayerNormalization", reference.embed_layer_norm, _IDS, _IDS % 2, *_TABLES, epsilon=1e-2, outputs=2, static=(2, 3, 4, 5, 6)),
    _case("MultiHeadAttention", reference.multi_head_attention, *_QKV, num_heads=2),
    _case(
        "MultiHeadAttention",
        reference.multi_head_attention,
        *_QKV,
        rand(12, seed=4),
        np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32),
        rand(2, 2, 3, 5, seed=5),
        num_heads=2,
        scale=0.3,
    ),
    _attention(rand(2, 3, 2, 3, 4), None, None, rand(24, seed=4), unidirectional=1),
    _attention(rand(2, 3, 8), rand(2, 5, 2, 2, 4, seed=1), None, rand(24, seed=4), np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)),
    _attention(rand(2, 3, 8), rand(2, 2, 5, 4, seed=1), rand(2, 2, 5, 4, seed=2), rand(24, seed=4), np.array([3, 5], np.int32)),
    _attention(rand(2, 3, 8), rand(2, 5, 8, seed=1), rand(2, 5, 8, seed=2), None, np.arange(30, dtype=np.int32).reshape(2, 3, 5) % 3 % 2),
    _attention(
        rand(2, 1, 8),
        rand(2, 1, 8, seed=1),
        rand(2, 1, 8, seed=2),
        rand(24, seed=3),
        None,
        rand(1, 2, 1, 5, seed=6),
        rand(2, 2, 4, 4, seed=4),
        rand(2, 2, 4, 4, seed=5),
        outputs=3,  # without the last two ONNX Runtime leaves the past out
    ),
    _case("RotaryEmbedding", reference.rotary, rand(1, 2, 3, 4), np.array([1]), rand(5, 2, seed=1), rand(5, 2, seed=2)),
    _case(
        "RotaryEmbedding",
        reference.rotary,
        rand(1, 3, 8),
        np.array([[0, 2, 4]]),
        rand(5, 2, seed=1),
        rand(5, 2, seed=2),
        interleaved=1,
        num_heads=2,
    ),
    _case("GroupNorm", reference.group_norm, rand(2, 3, 2, 4), rand(4, seed=1), rand(4, seed=2), groups=2, activation=1),
]
