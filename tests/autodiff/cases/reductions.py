"""Reductions over axes, and cumulative sums and products."""

import numpy as np

from tests.autodiff.cases import Case, apart, rand

_REDUCTIONS = [
    "ReduceSum",
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
    "ReduceLogSum",
    "ReduceLogSumExp",
]


def _axes(*axes: int) -> np.ndarray:
    return np.array(axes, np.int64)


def _input(op: str) -> np.ndarray:
    return apart(2, 3, 2) + 1.5 if op == "ReduceLogSum" else apart(2, 3, 2)


_AXIS = np.array(1, np.int64)

CASES = [
    *[Case(op, [_input(op)]) for op in _REDUCTIONS],
    *[Case(op, [_input(op)], {"keepdims": 0}) for op in _REDUCTIONS],
    *[Case(op, [_input(op), _axes(1)]) for op in _REDUCTIONS],
    *[Case(op, [_input(op), _axes(0, -1)], {"keepdims": 0}) for op in _REDUCTIONS],
    *[Case(op, [_input(op), _axes()], {"noop_with_empty_axes": 1}) for op in _REDUCTIONS],
    *[Case(op, [_input(op), _axes()], reason="empty axes") for op in _REDUCTIONS],
    *[Case(op, [_input(op), _axes()], {"keepdims": 0}, reason="empty axes") for op in _REDUCTIONS],
    *[Case(op, [_input(op)], {"noop_with_empty_axes": 1, "keepdims": 0}, reason="noop") for op in _REDUCTIONS],
    Case("ReduceProd", [np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 1.0], [2.0, 4.0, 1.5]]), _axes(1)], reason="zeros"),
    *[Case("CumSum", [rand(2, 3, 2), _AXIS], {"exclusive": e, "reverse": r}) for e in (0, 1) for r in (0, 1)],
    *[Case("CumProd", [rand(2, 3, 2, low=0.5, high=2), _AXIS], {"exclusive": e, "reverse": r}) for e in (0, 1) for r in (0, 1)],
    Case(
        "CumProd",
        [np.array([[2.0, 0.0, 3.0, 1.5], [0.0, 2.0, 0.0, 1.0], [2.0, 4.0, 1.5, 0.0]]), _AXIS],
        reason="zeros",
    ),
    *[Case("LpNormalization", [apart(2, 3, 2)], {"p": p, "axis": axis}) for p in (1, 2) for axis in (-1, 1)],
    Case("Range", [np.array(0.5), np.array(3.7), np.array(0.7)], second_order=False),
]
