"""Metrics, accumulated in the graph across batches.

A metric declares scalars or vectors of State that start at zero, adds each batch to them, and gives its result from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import losses


class Metric:
    """What training reports beside the loss; write your own by ``slots``, ``update`` and ``result``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def slots(self) -> Mapping[str, tuple[int, ...]]:
        """The shapes of what is accumulated, by name; all start at zero, float32."""
        raise GraphError(f"{type(self).__name__} does not define slots()")

    def update(self, y_true: Tensor, y_pred: Tensor) -> Mapping[str, Tensor]:
        """What a batch adds to each slot."""
        raise GraphError(f"{type(self).__name__} does not define update()")

    def result(self, **slots: Tensor) -> Tensor:
        """The metric's value from what was accumulated."""
        raise GraphError(f"{type(self).__name__} does not define result()")


class MeanMetric(Metric):
    """The mean of a function ``(y_true, y_pred) -> one number a sample`` over all samples."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], name: str | None = None) -> None:
        super().__init__(name or function.__name__)
        self.function = function

    def slots(self) -> Mapping[str, tuple[int, ...]]:
        return {"total": (), "count": ()}

    def update(self, y_true: Tensor, y_pred: Tensor) -> Mapping[str, Tensor]:
        values = op.Cast(self.function(y_true, y_pred), to="float32")
        # counting a tensor of ones keeps the count on the device, where Shape would leave it
        return {
            "total": op.ReduceSum(values, keepdims=0),
            "count": op.ReduceSum(op.Cast(op.Equal(values, values), to="float32"), keepdims=0),
        }

    def result(self, **slots: Tensor) -> Tensor:
        return slots["total"] / op.Max(slots["count"], 1.0)


def sparse_categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where the most probable class is the label."""
    labels = y_true if y_true.ndim == y_pred.ndim - 1 else op.Squeeze(y_true, [-1])
    return op.Equal(op.ArgMax(y_pred, axis=-1, keepdims=0), op.Cast(labels, to="int64"))


def categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where the most probable class is that of the one-hot label."""
    return op.Equal(op.ArgMax(y_pred, axis=-1, keepdims=0), op.ArgMax(y_true, axis=-1, keepdims=0))


def binary_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where the probability is on the label's side of one half."""
    return op.Equal(op.Greater(y_pred, 0.5), op.Greater(y_true.astype(y_pred.dtype), 0.5))


def accuracy_for(y_true: Tensor, y_pred: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """The accuracy that fits the shapes, as Keras chooses it for ``"accuracy"``."""
    if y_pred.shape[-1] == 1 or y_pred.ndim == 1:
        return binary_accuracy
    if y_true.ndim < y_pred.ndim or y_true.shape[-1] == 1:
        return sparse_categorical_accuracy
    return categorical_accuracy


def _accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    return accuracy_for(y_true, y_pred)(y_true, y_pred)


def get(metric: Any) -> Metric:
    """A Metric by Keras's name, from a function ``(y_true, y_pred)``, or as given."""
    from onnxdl.names import resolve

    if isinstance(metric, str) and metric in ("accuracy", "acc"):
        return MeanMetric(_accuracy, metric)
    found = resolve("metric", metric, NAMES)
    return found if isinstance(found, Metric) else MeanMetric(found, metric if isinstance(metric, str) else None)


def get_all(metrics: Sequence[Any] | None) -> list[Metric]:
    """Metrics by name, function or object; their names must differ."""
    found = [get(m) for m in metrics or ()]
    names = [m.name for m in found]
    if len(set(names)) != len(names):
        raise GraphError(f"metrics need different names, not {names}")
    return found


NAMES: dict[str, Any] = {
    "sparse_categorical_accuracy": sparse_categorical_accuracy,
    "categorical_accuracy": categorical_accuracy,
    "binary_accuracy": binary_accuracy,
    **{name: getattr(losses, name) for name in ("mean_squared_error", "mean_absolute_error", "binary_crossentropy")},
    "mse": losses.mean_squared_error,
    "mae": losses.mean_absolute_error,
}
