"""Metrics, accumulated in the graph across batches.

A metric declares scalars or vectors of State that start at zero, adds each batch to them, and gives its value from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxdl.errors import GraphError
from onnxdl.graph.tensor import Tensor
from onnxdl.names import resolve, snake_case
from onnxdl.nn import losses
from onnxdl.nn.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    accuracy_for,
    binary_accuracy,
    categorical_accuracy,
    crossentropy_for,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from onnxdl.nn.metrics.auc import AUC
from onnxdl.nn.metrics.confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
from onnxdl.nn.metrics.metric import LossMetric, MeanMetric, MeanMetricWrapper, Metric
from onnxdl.nn.metrics.regions import BinaryIoU, F1Score, FBetaScore, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from onnxdl.nn.metrics.regression import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    ConcordanceCorrelation,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    PearsonCorrelation,
    Poisson,
    R2Score,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    concordance_correlation,
    cosine_similarity,
    pearson_correlation,
)
from onnxdl.nn.metrics.running import Mean, Sum

KINDS: tuple[type[Metric], ...] = (
    AUC, Accuracy, BinaryAccuracy, BinaryCrossentropy, BinaryIoU, CategoricalAccuracy, CategoricalCrossentropy, CategoricalHinge,
    ConcordanceCorrelation, CosineSimilarity, F1Score, FBetaScore, FalseNegatives, FalsePositives, Hinge, IoU, KLDivergence,
    LogCoshError, MeanAbsoluteError, MeanAbsolutePercentageError, MeanIoU, MeanSquaredError, MeanSquaredLogarithmicError, OneHotIoU,
    OneHotMeanIoU, PearsonCorrelation, Poisson, Precision, PrecisionAtRecall, R2Score, Recall, RecallAtPrecision,
    RootMeanSquaredError, SensitivityAtSpecificity, SparseCategoricalAccuracy, SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy, SpecificityAtSensitivity, SquaredHinge, TopKCategoricalAccuracy, TrueNegatives, TruePositives,
)  # fmt: skip


def accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The accuracy that fits the shapes."""
    return accuracy_for(y_true, y_pred)(y_true, y_pred)


def crossentropy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The cross-entropy that fits the shapes."""
    return crossentropy_for(y_true, y_pred)(y_true, y_pred)


NAMES: dict[str, Any] = {
    **losses.NAMES,
    **{snake_case(kind.__name__): kind for kind in KINDS},
    "accuracy": accuracy,
    "acc": accuracy,
    "crossentropy": crossentropy,
    "ce": crossentropy,
}


def get(metric: Any) -> Metric:
    """A Metric by Keras's name, from a function ``(y_true, y_pred)``, or as given."""
    found = resolve("metric", metric, NAMES)
    if isinstance(found, Metric):
        return found
    return MeanMetricWrapper(found, metric if isinstance(metric, str) else None)


def name_of(metric: Metric) -> str | None:
    """The name by which ``get`` makes the same metric; None where a name does not say all of it."""
    found = NAMES.get(metric.name)
    if isinstance(metric, MeanMetricWrapper) and not isinstance(found, type):
        return metric.name if metric.function is found and not metric.options else None
    return metric.name if type(metric) is found and metric.plain else None


def get_all(metrics: Sequence[Any] | None) -> list[Metric]:
    """Metrics by name, function or object; their names must differ."""
    found = [get(m) for m in metrics or ()]
    names = [m.name for m in found]
    if len(set(names)) != len(names):
        raise GraphError(f"metrics need different names, not {names}")
    return found


__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConcordanceCorrelation",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "IoU",
    "KLDivergence",
    "LogCoshError",
    "LossMetric",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetric",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "accuracy",
    "binary_accuracy",
    "categorical_accuracy",
    "concordance_correlation",
    "cosine_similarity",
    "crossentropy",
    "get",
    "get_all",
    "name_of",
    "pearson_correlation",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]
