"""Fourier transforms: real and complex, one-sided, inverse, cut and filled up, along any axis."""

from __future__ import annotations

import numpy as np

from tests.autodiff.cases import Case, rand

_REAL = {"inverse": 1, "onesided": 1}  # ONNX Runtime computes these to 1e-8 only: too coarse for second differences

CASES = [
    Case("DFT", [rand(2, 5, 1), None, np.array(1)]),
    Case("DFT", [rand(2, 5, 2)]),
    Case("DFT", [rand(2, 5, 1), None, np.array(1)], {"onesided": 1}),
    Case("DFT", [rand(2, 6, 3, 1), None, np.array(1)], {"onesided": 1}),
    Case("DFT", [rand(2, 4, 2), None, np.array(1)], {"inverse": 1}),
    Case("DFT", [rand(2, 4, 2), None, np.array(1)], _REAL, reason="half spectrum", second_order=False),
    Case("DFT", [rand(3, 3, 2), np.array(5), np.array(0)], _REAL, reason="half spectrum", second_order=False),
    Case("DFT", [rand(2, 5, 2), np.array(3), np.array(1)], reason="cut"),
    Case("DFT", [rand(3, 5, 1), np.array(8), np.array(-2)], {"onesided": 1}, reason="filled up"),
    Case("DFT", [rand(3, 2, 2), None, np.array(0)], reason="first axis"),
    Case("STFT", [rand(1, 12, 1), np.array(3), rand(4, seed=1)]),
    Case("STFT", [rand(2, 9, 1), np.array(2), rand(5, seed=1), np.array(5)], {"onesided": 0}),
]
