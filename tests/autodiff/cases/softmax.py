"""Softmax, and the losses that are made with it."""

from typing import Any

import numpy as np

from tests.autodiff.cases import Case, rand

_LABELS = np.array([2, 0, 1, 2], np.int64)
_WEIGHT = rand(3, low=0.5, high=2)
_MAP = np.array([[0, 2], [1, 1]], np.int64)


def _losses(op: str, **more: Any) -> list[Case]:
    cases = [Case(op, [rand(4, 3), _LABELS], {"reduction": r}, **more) for r in ("mean", "sum", "none")]
    cases += [Case(op, [rand(4, 3), _LABELS, _WEIGHT], {"reduction": r}, **more) for r in ("mean", "sum", "none")]
    cases += [Case(op, [rand(2, 3, 2), _MAP, _WEIGHT], {"reduction": r, "ignore_index": 1}, **more) for r in ("mean", "sum", "none")]
    cases += [Case(op, [rand(4, 3), np.array([2, 0, -1, 2], np.int64)], {"ignore_index": -1}, **more)]
    return cases


CASES = [
    *[Case(op, [rand(2, 3, low=-3, high=3)]) for op in ("Softmax", "LogSoftmax")],
    *[Case(op, [rand(2, 3, 2)], {"axis": 1}) for op in ("Softmax", "LogSoftmax")],
    *[Case(op, [rand(3)], {"axis": 0}) for op in ("Softmax", "LogSoftmax")],
    *_losses("NegativeLogLikelihoodLoss"),
    *_losses("SoftmaxCrossEntropyLoss"),
    *_losses("SoftmaxCrossEntropyLoss", outputs=2, reason="with log-probabilities"),
]
