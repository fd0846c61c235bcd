"""Accuracies: how often a prediction is right."""

from __future__ import annotations

from collections.abc import Callable

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import losses
from onnxdl.nn.losses.loss import as_pair
from onnxdl.nn.metrics.metric import NamedMetric


def accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where the prediction equals the label."""
    return op.Equal(*as_pair(y_true, y_pred))


def binary_accuracy(y_true: Tensor, y_pred: Tensor, threshold: float = 0.5) -> Tensor:
    """1 where the label, 0 or 1, says whether the probability is above the threshold."""
    y_true, y_pred = as_pair(y_true, y_pred)
    return op.Equal(op.Cast(op.Greater(y_pred, threshold), to=y_pred.dtype), y_true)


def categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where the most probable class is that of the one-hot label."""
    return op.Equal(op.ArgMax(y_pred, axis=-1, keepdims=0), op.ArgMax(y_true, axis=-1, keepdims=0))


def sparse_categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where the most probable class is the label."""
    return op.Equal(op.ArgMax(y_pred, axis=-1, keepdims=0), _labels(y_true, y_pred))


def top_k_categorical_accuracy(y_true: Tensor, y_pred: Tensor, k: int = 5) -> Tensor:
    """1 where the class of the one-hot label is among the k most probable ones."""
    return sparse_top_k_categorical_accuracy(op.ArgMax(y_true, axis=-1, keepdims=0), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true: Tensor, y_pred: Tensor, k: int = 5) -> Tensor:
    """1 where fewer than k classes are more probable than the label."""
    own = op.GatherElements(y_pred, op.Unsqueeze(_labels(y_true, y_pred), [-1]), axis=-1)
    better = op.ReduceSum(op.Cast(op.Greater(y_pred, own), to="float32"), [-1], keepdims=0)
    return op.Less(better, float(k))


def accuracy_for(y_true: Tensor, y_pred: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """The accuracy that fits the shapes, as Keras chooses it for ``"accuracy"``."""
    return {"binary": binary_accuracy, "sparse": sparse_categorical_accuracy, "categorical": categorical_accuracy}[kind_for(y_true, y_pred)]


def crossentropy_for(y_true: Tensor, y_pred: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """The cross-entropy that fits the shapes, as Keras chooses it for ``"crossentropy"``."""
    return {
        "binary": losses.binary_crossentropy,
        "sparse": losses.sparse_categorical_crossentropy,
        "categorical": losses.categorical_crossentropy,
    }[kind_for(y_true, y_pred)]


def kind_for(y_true: Tensor, y_pred: Tensor) -> str:
    """Whether labels and predictions are ``binary``, ``sparse`` (class numbers) or ``categorical`` (one-hot)."""
    if y_pred.ndim == 1 or y_pred.shape[-1] == 1:
        return "binary"
    return "sparse" if y_true.ndim < y_pred.ndim or y_true.shape[-1] == 1 else "categorical"


def _labels(y_true: Tensor, y_pred: Tensor) -> Tensor:
    return op.Cast(y_true if y_true.ndim == y_pred.ndim - 1 else op.Squeeze(y_true, [-1]), to="int64")


class Accuracy(NamedMetric):
    """The mean of ``accuracy``."""

    fn = staticmethod(accuracy)


class BinaryAccuracy(NamedMetric):
    """The mean of ``binary_accuracy``."""

    fn = staticmethod(binary_accuracy)


class CategoricalAccuracy(NamedMetric):
    """The mean of ``categorical_accuracy``."""

    fn = staticmethod(categorical_accuracy)


class SparseCategoricalAccuracy(NamedMetric):
    """The mean of ``sparse_categorical_accuracy``."""

    fn = staticmethod(sparse_categorical_accuracy)


class TopKCategoricalAccuracy(NamedMetric):
    """The mean of ``top_k_categorical_accuracy``."""

    fn = staticmethod(top_k_categorical_accuracy)


class SparseTopKCategoricalAccuracy(NamedMetric):
    """The mean of ``sparse_top_k_categorical_accuracy``."""

    fn = staticmethod(sparse_top_k_categorical_accuracy)
