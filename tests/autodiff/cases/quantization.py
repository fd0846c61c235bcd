"""Quantised tensors: the gradient of their scale."""

import numpy as np

from tests.autodiff.cases import Case, rand

_X = np.array([[3, -5, 7, 1, 2], [0, 9, -2, 4, 6]], np.int8)

CASES = [
    Case("DequantizeLinear", [_X, rand(low=0.5, high=2)], second_order=False),
    Case("DequantizeLinear", [_X, rand(5, low=0.5, high=2), np.array([1, 0, 2, -1, 3], np.int8)], second_order=False),
    Case("DequantizeLinear", [_X, rand(2, low=0.5, high=2)], {"axis": 0}, second_order=False),
    Case(
        "DequantizeLinear", [_X, rand(2, 3, low=0.5, high=2)], {"axis": 1, "block_size": 2}, second_order=False, reason="last block short"
    ),
]
