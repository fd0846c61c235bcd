"""Losses: ``(y_true, y_pred) -> one number a sample``, and their mean over the batch.

Where a prediction comes straight out of a Softmax or Sigmoid, the loss is computed from what went into it: the same
number, without overflow or log(0).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor

LossFunction = Callable[[Tensor, Tensor], Tensor]
EPSILON = 1e-7


class Loss:
    """The mean over the batch of a function of ``y_true`` and ``y_pred``.

    Args:
        function: gives one number for each sample.
        name: its name in logs.
    """

    def __init__(self, function: LossFunction | None = None, name: str | None = None) -> None:
        self.function = function
        self.name = name or (getattr(function, "__name__", None) if function is not None else None) or type(self).__name__

    @property
    def labels(self) -> bool:
        """Whether ``y_true`` holds class numbers, which must lie below the number of classes."""
        return bool(getattr(self.function, "labels", False))

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """One number for each sample; override it for a loss of your own."""
        assert self.function is not None
        return self.function(y_true, y_pred)

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """The scalar that training makes small."""
        values = self.call(y_true, y_pred)
        if sample_weight is not None:
            values = values * sample_weight
        return op.ReduceMean(values, keepdims=0)


def logits_of(y_pred: Tensor, operator: str) -> Tensor | None:
    """What went into the Softmax or Sigmoid that made ``y_pred``, None if it was made otherwise."""
    producer = y_pred.value.producer()
    if producer is None or producer.op_type != operator or producer.inputs[0] is None:
        return None
    axis = producer.attributes.get_int("axis", -1)
    if operator == "Softmax" and axis not in (-1, y_pred.ndim - 1):
        return None
    return Tensor(producer.inputs[0], y_pred.trace)


def _log_probabilities(y_pred: Tensor, from_logits: bool) -> Tensor:
    logits = y_pred if from_logits else logits_of(y_pred, "Softmax")
    if logits is not None:
        return op.LogSoftmax(logits, axis=-1)
    return op.Log(op.Clip(y_pred / op.ReduceSum(y_pred, [-1]), EPSILON, 1.0 - EPSILON))


def categorical_crossentropy(y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0) -> Tensor:
    """-sum(y_true * log(y_pred)) over the last axis; ``y_true`` is one-hot or a distribution."""
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / int(y_pred.shape[-1])  # type: ignore[arg-type]
    return -op.ReduceSum(y_true * _log_probabilities(y_pred, from_logits), [-1], keepdims=0)


def sparse_categorical_crossentropy(y_true: Tensor, y_pred: Tensor, from_logits: bool = False) -> Tensor:
    """-log(y_pred[y_true]); ``y_true`` holds class numbers, one a prediction."""
    labels = _as_labels(y_true, y_pred)
    return -op.Squeeze(op.GatherElements(_log_probabilities(y_pred, from_logits), labels, axis=-1), [-1])


setattr(sparse_categorical_crossentropy, "labels", True)  # noqa: B010


def _as_labels(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Class numbers as int64 with a last axis of size 1."""
    labels = op.Cast(y_true, to="int64") if y_true.dtype.kind != "i" else y_true
    return labels if labels.ndim == y_pred.ndim and labels.shape[-1] == 1 else op.Unsqueeze(labels, [-1])


def binary_crossentropy(y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0) -> Tensor:
    """-(y log p + (1 - y) log(1 - p)), its mean over the last axis."""
    y_true = y_true.astype(y_pred.dtype)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    logits = y_pred if from_logits else logits_of(y_pred, "Sigmoid")
    if logits is not None:
        losses = op.Softplus(logits) - y_true * logits
    else:
        p = op.Clip(y_pred, EPSILON, 1.0 - EPSILON)
        losses = -(y_true * op.Log(p) + (1.0 - y_true) * op.Log(1.0 - p))
    return _mean_of_last_axis(losses)


def mean_squared_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of (y_true - y_pred)^2 over the last axis."""
    difference = y_pred - y_true.astype(y_pred.dtype)
    return _mean_of_last_axis(difference * difference)


def mean_absolute_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of |y_true - y_pred| over the last axis."""
    return _mean_of_last_axis(op.Abs(y_pred - y_true.astype(y_pred.dtype)))


def _mean_of_last_axis(x: Tensor) -> Tensor:
    return op.ReduceMean(x, [-1], keepdims=0) if x.ndim > 1 else x


def get(loss: Any) -> Loss:
    """A Loss by Keras's name, from a function ``(y_true, y_pred)``, or as given."""
    from onnxdl.names import resolve

    found = resolve("loss", loss, NAMES)
    return found if isinstance(found, Loss) else Loss(found)


NAMES: dict[str, Any] = {
    "categorical_crossentropy": categorical_crossentropy,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
    "binary_crossentropy": binary_crossentropy,
    "mean_squared_error": mean_squared_error,
    "mse": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "mae": mean_absolute_error,
}
