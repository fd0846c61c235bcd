"""Cross-entropies.

Where a prediction comes straight out of a Softmax or Sigmoid, the loss is computed from what went into it: the same
number, without overflow or log(0).
"""

from __future__ import annotations

from collections.abc import Sequence

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.losses.loss import EPSILON, NamedLoss, mean_of, of_labels


def categorical_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """-sum(y_true * log(y_pred)) over the classes; ``y_true`` is one-hot or a distribution."""
    y_true = _smoothed(y_true.astype(y_pred.dtype), label_smoothing, _classes(y_pred, axis))
    return -op.ReduceSum(y_true * _log_probabilities(y_pred, from_logits, axis), [axis], keepdims=0)


@of_labels
def sparse_categorical_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Tensor:
    """-log(y_pred[y_true]); ``y_true`` holds class numbers, one a prediction.

    Predictions whose class is ``ignore_class`` give 0, and do not count in a mean.
    """
    labels = _as_labels(y_true, y_pred, axis)
    logs = _log_probabilities(y_pred, from_logits, axis)
    if ignore_class is None:
        return -op.Squeeze(op.GatherElements(logs, labels, axis=axis), [axis])
    valid = op.Not(op.Equal(labels, ignore_class))
    picked = op.GatherElements(logs, op.Where(valid, labels, 0), axis=axis)
    values = -op.Squeeze(op.Where(valid, picked, 0.0), [axis])
    values.mask = op.Squeeze(valid, [axis])
    return values


def binary_crossentropy(y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1) -> Tensor:
    """-(y log p + (1 - y) log(1 - p)), its mean over an axis."""
    return mean_of(_binary(_smoothed(y_true.astype(y_pred.dtype), label_smoothing, 2), y_pred, from_logits), axis)


def categorical_focal_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    alpha: float | Sequence[float] = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """-sum(alpha * (1 - p)^gamma * y * log(p)) over the classes: sure predictions weigh little (Lin et al. 2018)."""
    y_true = _smoothed(y_true.astype(y_pred.dtype), label_smoothing, _classes(y_pred, axis))
    logs = _log_probabilities(y_pred, from_logits, axis)
    return -op.ReduceSum(alpha * _power(1.0 - op.Exp(logs), gamma) * y_true * logs, [axis], keepdims=0)


def binary_focal_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """(1 - q)^gamma times the binary cross-entropy, q = y p + (1 - y) (1 - p), its mean over an axis (Lin et al. 2018).

    With ``apply_class_balancing`` also times alpha for class 1, 1 - alpha for class 0.
    """
    y_true = _smoothed(y_true.astype(y_pred.dtype), label_smoothing, 2)
    p = op.Sigmoid(y_pred) if from_logits else y_pred
    q = y_true * p + (1.0 - y_true) * (1.0 - p)
    values = _power(1.0 - q, gamma) * _binary(y_true, y_pred, from_logits)
    if apply_class_balancing:
        values = (y_true * alpha + (1.0 - y_true) * (1 - alpha)) * values
    return mean_of(values, axis)


@of_labels
def categorical_generalized_cross_entropy(y_true: Tensor, y_pred: Tensor, q: float = 0.5) -> Tensor:
    """(1 - p^q) / q, p the probability of the class ``y_true``: robust to wrong labels (Zhang and Sabuncu 2018)."""
    p = op.Squeeze(op.GatherElements(y_pred, _as_labels(y_true, y_pred, -1), axis=-1), [-1])
    return (1.0 - op.Pow(p, q)) / q


def logits_of(y_pred: Tensor, operator: str, axis: int = -1) -> Tensor | None:
    """What went into the Softmax or Sigmoid that made ``y_pred``, None if it was made otherwise."""
    producer = y_pred.value.producer()
    if producer is not None and producer.op_type == "Cast" and producer.inputs[0] is not None:
        logits = logits_of(Tensor(producer.inputs[0], y_pred.trace), operator, axis)
        return None if logits is None else logits.astype(y_pred.dtype)
    if producer is None or producer.op_type != operator or producer.inputs[0] is None:
        return None
    if operator == "Softmax" and (producer.attributes.get_int("axis", -1) - axis) % y_pred.ndim:
        return None
    return Tensor(producer.inputs[0], y_pred.trace)


def _log_probabilities(y_pred: Tensor, from_logits: bool, axis: int) -> Tensor:
    logits = y_pred if from_logits else logits_of(y_pred, "Softmax", axis)
    if logits is not None:
        return op.LogSoftmax(logits, axis=axis)
    return op.Log(op.Clip(y_pred / op.ReduceSum(y_pred, [axis]), EPSILON, 1.0 - EPSILON))


def _binary(y_true: Tensor, y_pred: Tensor, from_logits: bool) -> Tensor:
    logits = y_pred if from_logits else logits_of(y_pred, "Sigmoid")
    if logits is not None:
        return op.Softplus(logits) - y_true * logits
    p = op.Clip(y_pred, EPSILON, 1.0 - EPSILON)
    return -(y_true * op.Log(p) + (1.0 - y_true) * op.Log(1.0 - p))


def _smoothed(y_true: Tensor, label_smoothing: float, classes: int) -> Tensor:
    return y_true * (1.0 - label_smoothing) + label_smoothing / classes if label_smoothing else y_true


def _classes(y_pred: Tensor, axis: int) -> int:
    return int(y_pred.shape[axis])  # type: ignore[arg-type]


def _power(x: Tensor, exponent: float) -> Tensor:
    return x * x if exponent == 2.0 else op.Pow(x, exponent)


def _as_labels(y_true: Tensor, y_pred: Tensor, axis: int) -> Tensor:
    """Class numbers as integers, with an axis of size 1 where ``y_pred`` has its classes."""
    labels = op.Cast(y_true, to="int64") if y_true.dtype.kind != "i" else y_true
    return labels if labels.ndim == y_pred.ndim and labels.shape[axis] == 1 else op.Unsqueeze(labels, [axis])


class CategoricalCrossentropy(NamedLoss):
    """``categorical_crossentropy`` as a loss."""

    fn = staticmethod(categorical_crossentropy)


class SparseCategoricalCrossentropy(NamedLoss):
    """``sparse_categorical_crossentropy`` as a loss."""

    fn = staticmethod(sparse_categorical_crossentropy)


class BinaryCrossentropy(NamedLoss):
    """``binary_crossentropy`` as a loss."""

    fn = staticmethod(binary_crossentropy)


class CategoricalFocalCrossentropy(NamedLoss):
    """``categorical_focal_crossentropy`` as a loss."""

    fn = staticmethod(categorical_focal_crossentropy)


class BinaryFocalCrossentropy(NamedLoss):
    """``binary_focal_crossentropy`` as a loss."""

    fn = staticmethod(binary_focal_crossentropy)


class CategoricalGeneralizedCrossEntropy(NamedLoss):
    """``categorical_generalized_cross_entropy`` as a loss."""

    fn = staticmethod(categorical_generalized_cross_entropy)
