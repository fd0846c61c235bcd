"""Losses of regions, embeddings and sequences: Dice, Tversky, Circle and CTC."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxdl.errors import ShapeError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.losses.loss import EPSILON, NamedLoss

NEVER = -1e9
"""The logarithm of the probability of what cannot happen; finite, so that its gradient is 0 and not NaN."""


def dice(y_true: Tensor, y_pred: Tensor, axis: int | Sequence[int] | None = None) -> Tensor:
    """1 - 2 * sum(y_true * y_pred) / (sum(y_true) + sum(y_pred)), over all or the given axes (Milletari et al. 2016)."""
    y_true = y_true.astype(y_pred.dtype)
    return 1.0 - 2.0 * (y_true * y_pred).sum(axis) / (y_true.sum(axis) + y_pred.sum(axis) + EPSILON)


def tversky(y_true: Tensor, y_pred: Tensor, alpha: float = 0.5, beta: float = 0.5, axis: int | Sequence[int] | None = None) -> Tensor:
    """1 - c / (c + alpha * sum((1 - y_pred) * y_true) + beta * sum(y_pred * (1 - y_true))), c = sum(y_true * y_pred).

    Over all or the given axes (Salehi et al. 2017).
    """
    y_true = y_true.astype(y_pred.dtype)
    common = (y_true * y_pred).sum(axis)
    missed, wrong = ((1.0 - y_pred) * y_true).sum(axis), (y_pred * (1.0 - y_true)).sum(axis)
    return 1.0 - common / (common + missed * alpha + wrong * beta + EPSILON)


def circle(y_true: Tensor, y_pred: Tensor, gamma: float = 80.0, margin: float = 0.4, remove_diagonal: bool = True) -> Tensor:
    """Embeddings of one class drawn together, those of others pushed apart (Sun et al. 2020).

    ``y_true`` holds class numbers (batch), ``y_pred`` embeddings of norm 1 (batch, n). Samples with the loss 0 do not count
    in a mean.
    """
    labels = y_true.reshape(-1, 1)
    distance = op.Max(1.0 - y_pred @ op.Transpose(y_pred), 0.0)
    same = op.Equal(labels, op.Transpose(labels))
    positive = same
    if remove_diagonal:
        place = op.Cast(op.CumSum(op.Cast(op.Equal(labels, labels), to="int32"), np.array(0)), to="float32")
        positive = op.And(same, op.Not(op.Equal(place, op.Transpose(place))))
    near = -gamma * op.Max(margin + distance, 0.0) * (margin - distance)
    far = gamma * op.Max(1.0 + margin - distance, 0.0) * (1.0 - margin - distance)
    near, far = op.Where(positive, near, NEVER), op.Where(op.Not(same), far, NEVER)
    values = op.Softplus(op.ReduceLogSumExp(near, [1], keepdims=0) + op.ReduceLogSumExp(far, [1], keepdims=0))
    values.mask = op.Greater(values, 0.0)
    return values


def ctc(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """-log of the probability of all ways to spell ``y_true``, blanks and repetitions taken out (Graves et al. 2006).

    ``y_true`` holds labels (batch, length), padded with 0, which is the blank; ``y_pred`` logits (batch, time, classes).
    """
    if y_true.ndim != 2 or y_pred.ndim != 3:
        raise ShapeError(f"ctc needs y_true (batch, length) and y_pred (batch, time, classes), not {y_true.shape} and {y_pred.shape}")
    labels = op.Cast(y_true, to="int64")
    between = op.Unsqueeze(labels, [2])
    spelled = op.Pad(op.Reshape(op.Concat(between * 0, between, axis=2), [0, -1]), [0, 0, 0, 1])  # 0, l1, 0, l2, ..., 0
    logs = op.LogSoftmax(y_pred, axis=-1)
    one_hot = op.Cast(op.Equal(op.Unsqueeze(spelled, [1]), op.Reshape(np.arange(_size(y_pred)), [1, -1, 1])), to=y_pred.dtype)
    emitted = op.Transpose(logs @ one_hot, perm=[1, 0, 2])
    before = op.Pad(spelled, [0, 2, 0, 0])[:, :-2]
    leap = op.Where(op.Or(op.Equal(spelled, 0), op.Equal(spelled, before)), np.array(NEVER, y_pred.dtype), np.array(0.0, y_pred.dtype))
    never = emitted[0] * 0.0 + NEVER
    first = op.Concat(never[:, :1] * 0.0, never[:, 1:], axis=1)

    def advance(reached: Tensor, now: Tensor) -> Tensor:
        one, two = _shifted(reached, 1), _shifted(reached, 2) + leap
        return op.Max(now + _log_sum(reached, one, two), NEVER)

    # before the first step only the place in front of the first blank is reached: as if one blank had gone before
    start = op.Max(_log_sum(first, _shifted(first, 1)) + emitted[0], NEVER)
    last = op.Scan(start, emitted[1:], body=advance, num_scan_inputs=1)
    length = op.ReduceSum(op.Cast(op.Not(op.Equal(labels, 0)), to="int64"), [1], keepdims=1)
    ends = op.Concat(2 * length, op.Max(2 * length - 1, 0), axis=1)
    scores = op.GatherElements(last, ends, axis=1)
    empty = op.Concat(length * 0, op.Cast(op.Equal(length, 0), to="int64"), axis=1)
    return -op.ReduceLogSumExp(scores + op.Cast(empty, to=y_pred.dtype) * NEVER, [1], keepdims=0)


def _shifted(x: Tensor, places: int) -> Tensor:
    return op.Pad(x, [0, places, 0, 0], NEVER)[:, :-places]


def _log_sum(*terms: Tensor) -> Tensor:
    return op.ReduceLogSumExp(op.Concat(*(op.Unsqueeze(t, [0]) for t in terms), axis=0), [0], keepdims=0)


def _size(y_pred: Tensor) -> int:
    return int(y_pred.shape[-1])  # type: ignore[arg-type]


class Dice(NamedLoss):
    """``dice`` as a loss."""

    fn = staticmethod(dice)


class Tversky(NamedLoss):
    """``tversky`` as a loss."""

    fn = staticmethod(tversky)


class Circle(NamedLoss):
    """``circle`` as a loss."""

    fn = staticmethod(circle)


class CTC(NamedLoss):
    """``ctc`` as a loss."""

    fn = staticmethod(ctc)
