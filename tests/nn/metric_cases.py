"""Metrics with Keras's names and arguments, and the batches they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Data = tuple[np.ndarray, np.ndarray]
Batch = Callable[[np.random.Generator, int], Data]


def numbers(rng: np.random.Generator, n: int) -> Data:
    return rng.normal(size=(n, 3)).astype(np.float32), rng.normal(size=(n, 3)).astype(np.float32)


def series(rng: np.random.Generator, n: int) -> Data:
    return rng.normal(size=(n, 5, 3)).astype(np.float32), rng.normal(size=(n, 5, 3)).astype(np.float32)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)).astype(np.float32)


def bits(rng: np.random.Generator, n: int) -> Data:
    y_true = rng.integers(0, 2, (n, 1))
    return y_true.astype(np.float32), (0.6 * rng.uniform(size=(n, 1)) + 0.35 * y_true).astype(np.float32)


def bit_logits(rng: np.random.Generator, n: int) -> Data:
    y_true, p = bits(rng, n)
    return y_true, np.log(p / (1 - p))


def many_bits(rng: np.random.Generator, n: int) -> Data:
    y_true = rng.integers(0, 2, (n, 3))
    return y_true.astype(np.float32), (0.6 * rng.uniform(size=(n, 3)) + 0.35 * y_true).astype(np.float32)


def labels(rng: np.random.Generator, n: int) -> Data:
    return rng.integers(0, 7, n), softmax(2 * rng.normal(size=(n, 7)))


def label_columns(rng: np.random.Generator, n: int) -> Data:
    y_true, y_pred = labels(rng, n)
    return y_true[:, None], y_pred


def label_series(rng: np.random.Generator, n: int) -> Data:
    return rng.integers(0, 7, (n, 4)), softmax(2 * rng.normal(size=(n, 4, 7)))


def one_hot(rng: np.random.Generator, n: int) -> Data:
    y_true, y_pred = labels(rng, n)
    return np.eye(7, dtype=np.float32)[y_true], y_pred


def classes(rng: np.random.Generator, n: int) -> Data:
    y_true = rng.integers(0, 4, (n, 3))
    return y_true, np.where(rng.uniform(size=(n, 3)) < 0.5, y_true, rng.integers(0, 4, (n, 3)))


def stray_classes(rng: np.random.Generator, n: int) -> Data:
    y_true, y_pred = classes(rng, n)
    return y_true - 1, y_pred


class Case(NamedTuple):
    """A metric class by name, its options and its batches."""

    kind: str
    batch: Batch
    options: dict[str, Any] = {}
    weighted: bool = False

    def __str__(self) -> str:
        return "-".join([self.kind, self.batch.__name__, *(f"{k}={v}" for k, v in self.options.items())])


CASES = [
    Case("Accuracy", classes),
    Case("BinaryAccuracy", bits, weighted=True),
    Case("BinaryAccuracy", many_bits, {"threshold": 0.7}),
    Case("CategoricalAccuracy", one_hot),
    Case("SparseCategoricalAccuracy", labels),
    Case("SparseCategoricalAccuracy", label_columns),
    Case("SparseCategoricalAccuracy", label_series, weighted=True),
    Case("TopKCategoricalAccuracy", one_hot),
    Case("TopKCategoricalAccuracy", one_hot, {"k": 2}),
    Case("SparseTopKCategoricalAccuracy", labels, {"k": 3}),
    Case("SparseTopKCategoricalAccuracy", label_series, {"k": 2}),
    *(
        Case(kind, batch)
        for kind in ("MeanSquaredError", "RootMeanSquaredError", "MeanAbsoluteError", "LogCoshError", "CosineSimilarity")
        for batch in (numbers, series)
    ),
    Case("MeanAbsolutePercentageError", numbers),
    Case("MeanSquaredLogarithmicError", numbers, weighted=True),
    Case("R2Score", numbers, weighted=True),
    Case("R2Score", numbers, {"class_aggregation": None}),
    Case("R2Score", numbers, {"class_aggregation": "variance_weighted_average", "num_regressors": 2}, weighted=True),
    Case("PearsonCorrelation", series),
    Case("ConcordanceCorrelation", series, {"axis": 1}),
    Case("Hinge", many_bits),
    Case("SquaredHinge", many_bits),
    Case("CategoricalHinge", one_hot),
    Case("KLDivergence", one_hot),
    Case("Poisson", many_bits),
    Case("BinaryCrossentropy", bits),
    Case("BinaryCrossentropy", bit_logits, {"from_logits": True, "label_smoothing": 0.1}),
    Case("CategoricalCrossentropy", one_hot, {"label_smoothing": 0.1}),
    Case("SparseCategoricalCrossentropy", labels),
    Case("SparseCategoricalCrossentropy", label_series, {"from_logits": True}),
    *(Case(kind, bits) for kind in ("TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives")),
    Case("TruePositives", bits, {"thresholds": [0.2, 0.5, 0.81]}),
    *(Case(kind, bits) for kind in ("Precision", "Recall")),
    *(Case(kind, many_bits, {"thresholds": [0.3, 0.6, 0.99]}, weighted=True) for kind in ("Precision", "Recall")),
    *(Case(kind, one_hot, {"top_k": 2}) for kind in ("Precision", "Recall")),
    *(Case(kind, one_hot, {"class_id": 3, "thresholds": 0.2}) for kind in ("Precision", "Recall")),
    *(
        Case(kind, bits, {bound: 0.6})
        for kind, bound in (
            ("SensitivityAtSpecificity", "specificity"),
            ("SpecificityAtSensitivity", "sensitivity"),
            ("PrecisionAtRecall", "recall"),
            ("RecallAtPrecision", "precision"),
        )
    ),
    Case("PrecisionAtRecall", one_hot, {"recall": 0.3, "num_thresholds": 50, "class_id": 2}),
    *(
        Case("AUC", bits, {"curve": curve, "summation_method": method, "num_thresholds": 50})
        for curve in ("ROC", "PR")
        for method in ("interpolation", "minoring", "majoring")
    ),
    Case("AUC", bits, {"thresholds": [0.1, 0.33, 0.7]}),
    Case("AUC", bit_logits, {"from_logits": True}, weighted=True),
    Case("AUC", many_bits, {"num_thresholds": 20}),
    Case("AUC", many_bits, {"multi_label": True}),
    Case("AUC", many_bits, {"multi_label": True, "curve": "PR", "label_weights": [0.2, 0.3, 0.8]}, weighted=True),
    Case("AUC", many_bits, {"label_weights": [0.2, 0.3, 0.8]}),
    *(Case("FBetaScore", one_hot, {"average": average, "beta": 2.0}, weighted=True) for average in (None, "micro", "macro", "weighted")),
    Case("F1Score", one_hot),
    Case("F1Score", many_bits, {"threshold": 0.55, "average": "macro"}),
    Case("IoU", classes, {"num_classes": 4, "target_class_ids": [1, 3]}),
    Case("IoU", stray_classes, {"num_classes": 4, "target_class_ids": [0, 2]}),
    Case("MeanIoU", classes, {"num_classes": 4}),
    Case("MeanIoU", classes, {"num_classes": 4, "ignore_class": 2}),
    Case("MeanIoU", label_series, {"num_classes": 7, "sparse_y_pred": False}),
    Case("BinaryIoU", bits, {"threshold": 0.6}),
    Case("BinaryIoU", bits, {"target_class_ids": [1]}),
    Case("OneHotIoU", one_hot, {"num_classes": 7, "target_class_ids": [0, 4]}),
    Case("OneHotMeanIoU", one_hot, {"num_classes": 7}),
]
