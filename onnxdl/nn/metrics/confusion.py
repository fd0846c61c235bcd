"""Right and wrong positives and negatives at thresholds, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.losses.loss import aligned, as_pair
from onnxdl.nn.metrics.metric import Metric, Slots, no_nan

LOWEST = -1e10
COUNTS = ("true_positives", "false_positives", "false_negatives", "true_negatives")


def counts(y_true: Tensor, y_pred: Tensor, thresholds: np.ndarray, weight: Tensor | None, multi_label: bool = False) -> dict[str, Tensor]:
    """The four counts for each threshold (and label): a prediction is positive above the threshold."""
    y_true, y_pred = as_pair(y_true, y_pred)
    y_true = op.Cast(op.Not(op.Equal(y_true, 0.0)), to="float32")
    w = op.Cast(op.Equal(y_pred, y_pred), to="float32")
    w = w if weight is None else w * aligned(op.Cast(weight, to="float32"), y_pred)
    if not multi_label:
        y_true, y_pred, w = (op.Reshape(x, [-1, 1]) for x in (y_true, y_pred, w))
    above = op.Cast(op.Greater(op.Unsqueeze(y_pred, [0]), thresholds.astype(np.float32).reshape(-1, 1, 1)), to="float32")
    found = {}
    for kind, weighted in (("positives", y_true * w), ("negatives", (1.0 - y_true) * w)):
        positive = op.ReduceSum(above * op.Unsqueeze(weighted, [0]), [1], keepdims=0)
        negative = op.ReduceSum(weighted, [0], keepdims=1) - positive
        found.update(
            {"true_positives": positive, "false_negatives": negative}
            if kind == "positives"
            else {"false_positives": positive, "true_negatives": negative}
        )
    return found if multi_label else {name: op.Squeeze(x, [1]) for name, x in found.items()}


class Counting(Metric):
    """A metric of counts at thresholds; ``kept`` names those that it needs."""

    kept: tuple[str, ...] = COUNTS

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        default = 0.5 if top_k is None else LOWEST
        self.thresholds = np.atleast_1d(np.asarray(default if thresholds is None else thresholds, np.float64))
        self.top_k, self.class_id = top_k, class_id
        if thresholds is not None and not all(0 <= t <= 1 for t in self.thresholds):
            raise GraphError(f"thresholds lie between 0 and 1, unlike {thresholds}")

    def slots(self) -> Slots:
        return dict.fromkeys(self.kept, self.thresholds.shape)

    def update(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Mapping[str, Tensor]:
        if self.top_k is not None:
            kth = op.TopK(y_pred, np.array([self.top_k]), axis=-1)[0][..., -1:]
            y_pred = op.Where(op.Less(y_pred, kth), LOWEST, y_pred)
        if self.class_id is not None:
            y_true, y_pred = y_true[..., self.class_id : self.class_id + 1], y_pred[..., self.class_id : self.class_id + 1]
        found = counts(y_true, y_pred, self.thresholds, sample_weight)
        return {name: found[name] for name in self.kept}

    def value(self, **slots: Tensor) -> Tensor:
        values = self.at_thresholds(**slots)
        return op.Squeeze(values, [0]) if len(self.thresholds) == 1 else values

    def at_thresholds(self, **slots: Tensor) -> Tensor:
        """One number a threshold."""
        return slots[self.kept[0]]


class TruePositives(Counting):
    """How many labels 1 were predicted above each threshold."""

    kept = ("true_positives",)

    def __init__(self, thresholds: float | Sequence[float] | None = None, name: str | None = None) -> None:
        super().__init__(thresholds, name=name)


class FalsePositives(TruePositives):
    """How many labels 0 were predicted above each threshold."""

    kept = ("false_positives",)


class TrueNegatives(TruePositives):
    """How many labels 0 were predicted at or below each threshold."""

    kept = ("true_negatives",)


class FalseNegatives(TruePositives):
    """How many labels 1 were predicted at or below each threshold."""

    kept = ("false_negatives",)


class Precision(Counting):
    """true positives / all positives predicted.

    Args:
        thresholds: above which a prediction is positive; one by default, 0.5. Several give several numbers.
        top_k: only the k largest predictions of a sample count as positive.
        class_id: the one column that counts.
        name: its name in logs.
    """

    kept = ("true_positives", "false_positives")

    def at_thresholds(self, **slots: Tensor) -> Tensor:
        return precision(slots)


class Recall(Counting):
    """true positives / all labels 1; its arguments are those of Precision."""

    kept = ("true_positives", "false_negatives")

    def at_thresholds(self, **slots: Tensor) -> Tensor:
        return recall(slots)


def precision(slots: Mapping[str, Tensor]) -> Tensor:
    """The share of the predicted positives that are right."""
    return no_nan(slots["true_positives"], slots["true_positives"] + slots["false_positives"])


def recall(slots: Mapping[str, Tensor]) -> Tensor:
    """The share of the labels 1 that are found."""
    return no_nan(slots["true_positives"], slots["true_positives"] + slots["false_negatives"])


def specificity(slots: Mapping[str, Tensor]) -> Tensor:
    """The share of the labels 0 that are found."""
    return no_nan(slots["true_negatives"], slots["true_negatives"] + slots["false_positives"])


class BestAt(Counting):
    """The best of one number among the thresholds where another is at least a bound."""

    def __init__(self, bound: float, num_thresholds: int, class_id: int | None, name: str | None) -> None:
        if not 0 <= bound <= 1 or num_thresholds < 1:
            raise GraphError(f"{type(self).__name__} needs a bound between 0 and 1 and thresholds, not {bound} and {num_thresholds}")
        super().__init__(0.5 if num_thresholds == 1 else np.linspace(0.0, 1.0, num_thresholds).tolist(), class_id=class_id, name=name)
        self.bound = bound

    def best(self, sought: Tensor, bounded: Tensor) -> Tensor:
        """The largest ``sought`` where ``bounded`` reaches the bound; 0 where it never does."""
        return op.ReduceMax(op.Where(op.GreaterOrEqual(bounded, self.bound), sought, 0.0), keepdims=0)


class SensitivityAtSpecificity(BestAt):
    """The best recall at a threshold where the specificity is at least the given one."""

    def __init__(self, specificity: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None) -> None:
        super().__init__(specificity, num_thresholds, class_id, name)

    def value(self, **slots: Tensor) -> Tensor:
        return self.best(recall(slots), specificity(slots))


class SpecificityAtSensitivity(BestAt):
    """The best specificity at a threshold where the recall is at least the given one."""

    def __init__(self, sensitivity: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name)

    def value(self, **slots: Tensor) -> Tensor:
        return self.best(specificity(slots), recall(slots))


class PrecisionAtRecall(BestAt):
    """The best precision at a threshold where the recall is at least the given one."""

    def __init__(self, recall: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None) -> None:
        super().__init__(recall, num_thresholds, class_id, name)

    def value(self, **slots: Tensor) -> Tensor:
        return self.best(precision(slots), recall(slots))


class RecallAtPrecision(BestAt):
    """The best recall at a threshold where the precision is at least the given one."""

    def __init__(self, precision: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None) -> None:
        super().__init__(precision, num_thresholds, class_id, name)

    def value(self, **slots: Tensor) -> Tensor:
        return self.best(recall(slots), precision(slots))
