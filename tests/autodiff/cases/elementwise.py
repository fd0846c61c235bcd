"""Element-wise functions of one, two and more variables."""

import numpy as np

from tests.autodiff.cases import Case, apart, rand

_SMOOTH = ["Neg", "Exp", "Sin", "Cos", "Tan", "Atan", "Sinh", "Cosh", "Tanh", "Asinh", "Erf", "Identity"]
_POSITIVE = ["Log", "Sqrt", "Reciprocal"]
_UNIT = ["Asin", "Acos", "Atanh"]

CASES = [
    *[Case(op, [rand(2, 3)]) for op in _SMOOTH],
    *[Case(op, [rand(2, 3, low=0.5, high=2)]) for op in _POSITIVE],
    *[Case(op, [rand(2, 3, low=-0.8, high=0.8)]) for op in _UNIT],
    Case("Acosh", [rand(2, 3, low=1.5, high=3)]),
    Case("Abs", [apart(2, 3)]),
    Case("Reciprocal", [rand(2, 3, low=-2, high=-0.5)], reason="negative"),
    Case("Cast", [rand(2, 3)], {"to": "float64"}),
    Case("CastLike", [rand(2, 3), np.zeros((), np.float64)]),
    *[Case(op, [rand(2, 3), rand(2, 3, seed=1)]) for op in ("Add", "Sub", "Mul")],
    *[Case(op, [rand(2, 3), rand(3, seed=1)], reason="row") for op in ("Add", "Sub", "Mul")],
    *[Case(op, [rand(3, 1), rand(2, 1, 4, seed=1)], reason="both broadcast") for op in ("Add", "Sub", "Mul")],
    Case("Add", [rand(2, 3), rand(seed=1)], reason="scalar"),
    Case("Div", [rand(2, 3), rand(2, 3, low=0.5, high=2)]),
    Case("Div", [rand(2, 3), rand(2, 1, low=-2, high=-0.5)], reason="broadcast"),
    Case("Pow", [rand(2, 3, low=0.5, high=2), rand(2, 3, seed=1)]),
    Case("Pow", [rand(2, 3, low=0.5, high=2), rand(3, low=1.5, high=3)], reason="broadcast"),
    Case("Pow", [rand(2, 3), np.array(2, np.int64)], reason="integer exponent"),
    Case("Pow", [rand(2, 3), np.array([3, 2, 0], np.int64)], reason="negative base"),
    Case("Pow", [rand(2, 3, low=0.5, high=2), np.array(-1, np.int64)], reason="negative exponent"),
    Case("Mod", [np.array([[5.3, -5.3, 7.1]]), np.array([[2.0, 3.0, -2.5]])], {"fmod": 1}),
    Case("Mod", [np.array([[5.3], [-5.3]]), np.array([2.2, -3.0])], {"fmod": 1}, reason="broadcast"),
    *[Case(op, [apart(2, 3)]) for op in ("Max", "Min", "Sum", "Mean")],
    *[Case(op, [apart(2, 3), apart(2, 3, seed=1) + 0.03]) for op in ("Max", "Min", "Sum", "Mean")],
    *[
        Case(op, [apart(2, 3), apart(3, seed=1) + 0.03, apart(2, 1, seed=2) + 0.06], reason="broadcast")
        for op in ("Max", "Min", "Sum", "Mean")
    ],
    Case("Where", [np.array([[True, False, True], [False, True, False]]), rand(2, 3), rand(2, 3, seed=1)]),
    Case("Where", [np.array([True, False, True]), rand(2, 1), rand(seed=1)], reason="broadcast"),
    Case("Clip", [apart(3, 4), np.array(-0.3), np.array(0.2)]),
    Case("Clip", [apart(3, 4), np.array(-0.3)], reason="low"),
    Case("Clip", [apart(3, 4), None, np.array(0.2)], reason="high"),
    Case("Clip", [apart(3, 4), np.array(0.4), np.array(-0.2)], reason="low above high"),
    Case("Clip", [apart(3, 4)], reason="no bounds"),
]
