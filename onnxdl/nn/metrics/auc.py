"""AUC: the area under a curve of two rates that a threshold runs along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.losses.loss import EPSILON
from onnxdl.nn.metrics.confusion import COUNTS, counts, precision, recall
from onnxdl.nn.metrics.metric import Metric, Slots, no_nan


class AUC(Metric):
    """The area under the ROC curve (recall over false positive rate), or the precision-recall curve.

    Args:
        num_thresholds: how many thresholds the curve is sampled at.
        curve: ``ROC`` or ``PR``.
        summation_method: ``interpolation``, ``minoring`` (from below) or ``majoring`` (from above).
        name: its name in logs.
        thresholds: thresholds of your own, 0 and 1 apart.
        multi_label: whether each column has an area of its own; the result is their mean.
        label_weights: the columns' weights in that mean; without ``multi_label``, the weights of their predictions.
        from_logits: whether predictions go through a sigmoid first.
    """

    def __init__(
        self, num_thresholds: int = 200, curve: str = "ROC", summation_method: str = "interpolation", name: str | None = None,
        thresholds: Sequence[float] | None = None, multi_label: bool = False, label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(name)
        if curve not in ("ROC", "PR") or summation_method.lower() not in ("interpolation", "minoring", "majoring"):
            raise GraphError(f"AUC knows no curve {curve!r} summed by {summation_method!r}")
        inner = sorted(thresholds) if thresholds is not None else np.linspace(0.0, 1.0, num_thresholds)[1:-1].tolist()
        self.thresholds = np.array([-EPSILON, *inner, 1.0 + EPSILON])
        self.curve, self.summation_method, self.multi_label, self.from_logits = curve, summation_method.lower(), multi_label, from_logits
        self.label_weights = None if label_weights is None else np.asarray(label_weights, np.float32)
        self.labels = 1

    def slots(self) -> Slots:
        n = len(self.thresholds)
        return dict.fromkeys(COUNTS, (n, self.labels) if self.multi_label else (n,))

    def update(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Mapping[str, Tensor]:
        y_pred = op.Sigmoid(y_pred) if self.from_logits else y_pred
        self.labels = int(y_pred.shape[-1]) if self.multi_label else 1  # type: ignore[arg-type]
        if self.label_weights is not None and not self.multi_label:
            weights = op.Equal(y_pred, y_pred).astype("float32") * self.label_weights
            sample_weight = weights if sample_weight is None else weights * op.Reshape(sample_weight, [-1, 1])
        return counts(y_true, y_pred, self.thresholds, sample_weight, self.multi_label)

    def value(self, **slots: Tensor) -> Tensor:
        areas = op.ReduceSum(self._areas(slots), [0], keepdims=0)
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return op.ReduceMean(areas, keepdims=0)
        return op.ReduceSum(areas * self.label_weights, keepdims=0) / float(self.label_weights.sum())

    def _areas(self, slots: Mapping[str, Tensor]) -> Tensor:
        """The area between each two neighbouring thresholds."""
        if self.curve == "PR" and self.summation_method == "interpolation":
            return _interpolated_precision(slots)
        if self.curve == "PR":
            x, y = recall(slots), precision(slots)
        else:
            x, y = no_nan(slots["false_positives"], slots["false_positives"] + slots["true_negatives"]), recall(slots)
        left, right = y[:-1], y[1:]
        heights = {"minoring": op.Min, "majoring": op.Max}.get(self.summation_method, lambda a, b: (a + b) / 2.0)(left, right)
        return (x[:-1] - x[1:]) * heights


def _interpolated_precision(slots: Mapping[str, Tensor]) -> Tensor:
    """Between thresholds the true positives are a linear function of the positives (Davis and Goadrich 2006)."""
    tp, fn = slots["true_positives"], slots["false_negatives"]
    p = tp + slots["false_positives"]
    gained, slope = tp[:-1] - tp[1:], no_nan(tp[:-1] - tp[1:], op.Max(p[:-1] - p[1:], 0.0))
    intercept = tp[1:] - slope * p[1:]
    known = op.And(op.Greater(p[:-1], 0.0), op.Greater(p[1:], 0.0))
    ratio = op.Where(known, no_nan(p[:-1], op.Max(p[1:], 0.0)), 1.0)
    return no_nan(slope * (gained + intercept * op.Log(ratio)), op.Max(tp[1:] + fn[1:], 0.0))
