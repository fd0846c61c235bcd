"""Attention, differentiated through its function body in the standard."""

import numpy as np

from tests.autodiff.cases import Case, rand

_QKV = [rand(1, 2, 3, 4), rand(1, 2, 5, 4), rand(1, 2, 5, 3)]
_PAST = [rand(1, 2, 2, 4, seed=1), rand(1, 2, 2, 3, seed=1)]

CASES = [
    Case("Attention", _QKV),
    Case("Attention", _QKV, {"is_causal": 1, "softcap": 2.0}),
    Case("Attention", [*_QKV, rand(3, 5, seed=2)], {"scale": 0.3}, reason="mask to add"),
    Case("Attention", [*_QKV, np.tri(3, 5, 1, dtype=bool)], reason="boolean mask"),
    Case("Attention", [*_QKV, None, *_PAST], outputs=3, reason="absent mask before the past"),
    # onnx infers an output of size 0 where the hidden sizes of three-dimensional inputs are symbolic: they stay known
    Case("Attention", [rand(1, 3, 8), rand(1, 5, 4), rand(1, 5, 4, seed=1)], {"q_num_heads": 4, "kv_num_heads": 2}, static=(0, 1, 2)),
]
