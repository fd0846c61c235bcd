"""Metrics of many classes at once: F-scores, and intersection over union."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.losses.loss import EPSILON, aligned
from onnxdl.nn.metrics.metric import Metric, Slots


class FBetaScore(Metric):
    """(1 + beta^2) * precision * recall / (beta^2 * precision + recall), for labels and predictions (batch, classes).

    Args:
        average: None for one number a class, ``micro`` over all counts, ``macro`` the mean over classes, ``weighted`` their
            mean by how often each is a label.
        beta: how much recall weighs beside precision.
        threshold: above which a prediction is positive; by default the largest of each sample is.
        name: its name in logs.
    """

    def __init__(self, average: str | None = None, beta: float = 1.0, threshold: float | None = None, name: str | None = None) -> None:
        super().__init__(name)
        if average not in (None, "micro", "macro", "weighted") or beta <= 0:
            raise GraphError(f"{type(self).__name__} knows no average {average!r} with beta {beta}")
        self.average, self.beta, self.threshold, self.classes = average, beta, threshold, 1

    def slots(self) -> Slots:
        shape = () if self.average == "micro" else (self.classes,)
        return dict.fromkeys(("true_positives", "false_positives", "false_negatives"), shape)

    def update(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Mapping[str, Tensor]:
        if y_pred.ndim != 2:
            raise GraphError(f"{type(self).__name__} needs predictions (batch, classes), not {y_pred.shape}")
        self.classes = int(y_pred.shape[-1])  # type: ignore[arg-type]
        if self.threshold is None:
            largest = op.GreaterOrEqual(y_pred, op.ReduceMax(y_pred, [-1], keepdims=1))
            positive = op.And(largest, op.Greater(op.Abs(y_pred), 1e-9))
        else:
            positive = op.Greater(y_pred, self.threshold)
        p, t = op.Cast(positive, to="float32"), op.Cast(y_true, to="float32")
        found = {"true_positives": p * t, "false_positives": p * (1.0 - t), "false_negatives": (1.0 - p) * t}
        axes = None if self.average == "micro" else [0]
        weight = None if sample_weight is None else aligned(op.Cast(sample_weight, to="float32"), y_pred)
        return {name: op.ReduceSum(x if weight is None else x * weight, axes, keepdims=0) for name, x in found.items()}

    def value(self, **slots: Tensor) -> Tensor:
        tp, labels = slots["true_positives"], slots["true_positives"] + slots["false_negatives"]
        precision, recall = tp / (tp + slots["false_positives"] + EPSILON), tp / (labels + EPSILON)
        score = precision * recall / (self.beta**2 * precision + recall + EPSILON) * (1 + self.beta**2)
        if self.average == "weighted":
            return op.ReduceSum(score * labels / (op.ReduceSum(labels, keepdims=0) + EPSILON), keepdims=0)
        return score if self.average is None else op.ReduceMean(score, keepdims=0)


class F1Score(FBetaScore):
    """The F-score where precision and recall weigh the same."""

    def __init__(self, average: str | None = None, threshold: float | None = None, name: str | None = None) -> None:
        super().__init__(average, 1.0, threshold, name)


class IoU(Metric):
    """true positives / (labels + predictions - true positives) of each target class, and their mean.

    Args:
        num_classes: how many classes there are; labels and predictions outside do not count.
        target_class_ids: the classes that count.
        name: its name in logs.
        ignore_class: a label that does not count.
        sparse_y_true, sparse_y_pred: whether these hold class numbers, or else one score a class along ``axis``.
        axis: the axis of the classes.
    """

    def __init__(
        self, num_classes: int, target_class_ids: Sequence[int], name: str | None = None, ignore_class: int | None = None,
        sparse_y_true: bool = True, sparse_y_pred: bool = True, axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(name)
        if max(target_class_ids) >= num_classes:
            raise GraphError(f"class {max(target_class_ids)} is none of {num_classes}")
        self.num_classes, self.target_class_ids, self.ignore_class = num_classes, list(target_class_ids), ignore_class
        self.sparse_y_true, self.sparse_y_pred, self.axis = sparse_y_true, sparse_y_pred, axis

    def slots(self) -> Slots:
        return {"confusion": (self.num_classes, self.num_classes)}

    def update(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Mapping[str, Tensor]:
        labels = _numbers(y_true if self.sparse_y_true else op.ArgMax(y_true, axis=self.axis, keepdims=0))
        found = _numbers(y_pred if self.sparse_y_pred else op.ArgMax(y_pred, axis=self.axis, keepdims=0))
        rows, columns = self._one_hot(labels), self._one_hot(found)
        if self.ignore_class is not None:
            rows = rows * op.Cast(op.Not(op.Equal(labels, self.ignore_class)), to="float32")
        if sample_weight is not None:
            rows = rows * op.Reshape(op.Cast(sample_weight, to="float32"), [-1, 1])
        return {"confusion": op.Transpose(rows) @ columns}

    def _one_hot(self, numbers: Tensor) -> Tensor:
        return op.Cast(op.Equal(numbers, np.arange(self.num_classes)[None, :]), to="float32")

    def value(self, **slots: Tensor) -> Tensor:
        confusion = slots["confusion"]
        right = op.ReduceSum(confusion * np.eye(self.num_classes, dtype=np.float32), [0], keepdims=0)
        union = op.ReduceSum(confusion, [0], keepdims=0) + op.ReduceSum(confusion, [1], keepdims=0) - right
        chosen = np.isin(np.arange(self.num_classes), self.target_class_ids).astype(np.float32)
        seen = op.Cast(op.Greater(union, 1e-9), to="float32") * chosen
        return op.ReduceSum(right / (union + EPSILON) * seen, keepdims=0) / (op.ReduceSum(seen, keepdims=0) + EPSILON)


class BinaryIoU(IoU):
    """IoU of the classes 0 and 1, or one of them; a prediction of at least the threshold is class 1."""

    def __init__(self, target_class_ids: Sequence[int] = (0, 1), threshold: float = 0.5, name: str | None = None) -> None:
        super().__init__(2, target_class_ids, name)
        self.threshold = threshold

    def update(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Mapping[str, Tensor]:
        return super().update(y_true, op.GreaterOrEqual(y_pred, self.threshold), sample_weight)


class MeanIoU(IoU):
    """The mean IoU of all classes."""

    def __init__(
        self, num_classes: int, name: str | None = None, ignore_class: int | None = None, sparse_y_true: bool = True,
        sparse_y_pred: bool = True, axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(num_classes, range(num_classes), name, ignore_class, sparse_y_true, sparse_y_pred, axis)


class OneHotIoU(IoU):
    """IoU of one-hot labels, and of one score a class unless ``sparse_y_pred``."""

    def __init__(
        self, num_classes: int, target_class_ids: Sequence[int], name: str | None = None, ignore_class: int | None = None,
        sparse_y_pred: bool = False, axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(num_classes, target_class_ids, name, ignore_class, False, sparse_y_pred, axis)


class OneHotMeanIoU(OneHotIoU):
    """The mean IoU of all classes of one-hot labels."""

    def __init__(
        self, num_classes: int, name: str | None = None, ignore_class: int | None = None, sparse_y_pred: bool = False, axis: int = -1
    ) -> None:
        super().__init__(num_classes, range(num_classes), name, ignore_class, sparse_y_pred, axis)


def _numbers(x: Tensor) -> Tensor:
    """Class numbers as a column."""
    return op.Reshape(op.Cast(x, to="int64"), [-1, 1])
