"""Losses with Keras's names and arguments, and what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Data = tuple[np.ndarray, np.ndarray]
N = 6


def numbers(shape: tuple[int, ...] = (N, 4)) -> Data:
    rng = np.random.default_rng(0)
    return rng.normal(size=shape).astype(np.float32), rng.normal(size=shape).astype(np.float32)


def positive() -> Data:
    y_true, y_pred = numbers()
    return np.abs(y_true) + np.float32(0.1), np.abs(y_pred) + np.float32(0.1)


def series() -> Data:
    return numbers((N, 3, 2))


def signs() -> Data:
    y_true, y_pred = numbers()
    return np.sign(y_true), y_pred


def bits() -> Data:
    y_true, y_pred = numbers()
    return (y_true > 0).astype(np.float32), 1 / (1 + np.exp(-y_pred))


def bit_logits() -> Data:
    y_true, y_pred = numbers()
    return (y_true > 0).astype(np.float32), 3 * y_pred


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)).astype(np.float32)


def labels() -> Data:
    return np.random.default_rng(1).integers(0, 4, N), softmax(numbers()[1])


def label_columns() -> Data:
    y_true, y_pred = labels()
    return y_true[:, None], y_pred


def label_logits() -> Data:
    return labels()[0], 3 * numbers()[1]


def label_images() -> Data:
    return np.random.default_rng(2).integers(0, 4, (N, 3)), softmax(np.random.default_rng(3).normal(size=(N, 3, 4)))


def one_hot() -> Data:
    y_true, y_pred = labels()
    return np.eye(4, dtype=np.float32)[y_true], y_pred


def one_hot_logits() -> Data:
    return one_hot()[0], 3 * numbers()[1]


def channel_one_hot() -> Data:
    y_true, y_pred = label_images()
    return np.eye(4, dtype=np.float32)[y_true].transpose(0, 2, 1).copy(), y_pred.transpose(0, 2, 1).copy()


def embeddings() -> Data:
    x = numbers((N, 4))[1]
    return np.array([0, 1, 0, 2, 1, 0]), x / np.linalg.norm(x, axis=-1, keepdims=True)


def spelling() -> Data:
    y_true = np.array([[1, 2, 3], [2, 2, 0], [4, 0, 0], [1, 1, 1], [3, 4, 3], [0, 0, 0]])
    return y_true, 2 * np.random.default_rng(5).normal(size=(N, 7, 5)).astype(np.float32)


class Case(NamedTuple):
    """A loss class by name, its options and its data."""

    kind: str
    data: Callable[[], Data]
    options: dict[str, Any] = {}

    def __str__(self) -> str:
        return "-".join([self.kind, self.data.__name__, *(f"{k}={v}" for k, v in self.options.items())])


CASES = [
    *(Case(kind, data) for kind in ("MeanSquaredError", "MeanAbsoluteError", "LogCosh", "CosineSimilarity") for data in (numbers, series)),
    Case("CosineSimilarity", series, {"axis": 1}),
    Case("MeanAbsolutePercentageError", numbers),
    Case("MeanSquaredLogarithmicError", numbers),
    Case("MeanSquaredLogarithmicError", positive),
    Case("Huber", numbers),
    Case("Huber", numbers, {"delta": 0.3}),
    Case("Poisson", positive),
    Case("KLDivergence", one_hot),
    Case("KLDivergence", positive),
    *(Case(kind, data) for kind in ("Hinge", "SquaredHinge") for data in (signs, bits)),
    Case("CategoricalHinge", one_hot_logits),
    Case("BinaryCrossentropy", bits),
    Case("BinaryCrossentropy", bits, {"label_smoothing": 0.2, "axis": 1}),
    Case("BinaryCrossentropy", bit_logits, {"from_logits": True}),
    Case("BinaryFocalCrossentropy", bits),
    Case("BinaryFocalCrossentropy", bits, {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5, "label_smoothing": 0.1}),
    Case("BinaryFocalCrossentropy", bit_logits, {"from_logits": True}),
    Case("CategoricalCrossentropy", one_hot),
    Case("CategoricalCrossentropy", one_hot, {"label_smoothing": 0.1}),
    Case("CategoricalCrossentropy", one_hot_logits, {"from_logits": True, "label_smoothing": 0.1}),
    Case("CategoricalCrossentropy", channel_one_hot, {"axis": 1}),
    Case("CategoricalFocalCrossentropy", one_hot),
    Case("CategoricalFocalCrossentropy", one_hot, {"alpha": [0.1, 0.2, 0.3, 0.4], "gamma": 1.5, "label_smoothing": 0.1}),
    Case("CategoricalFocalCrossentropy", one_hot_logits, {"from_logits": True}),
    Case("SparseCategoricalCrossentropy", labels),
    Case("SparseCategoricalCrossentropy", label_columns),
    Case("SparseCategoricalCrossentropy", label_images),
    Case("SparseCategoricalCrossentropy", label_logits, {"from_logits": True}),
    Case("SparseCategoricalCrossentropy", labels, {"ignore_class": 2}),
    Case("SparseCategoricalCrossentropy", label_logits, {"from_logits": True, "ignore_class": 3}),
    Case("CategoricalGeneralizedCrossEntropy", labels),
    Case("CategoricalGeneralizedCrossEntropy", labels, {"q": 0.8}),
    Case("Dice", bits),
    Case("Dice", bits, {"axis": 1}),
    Case("Tversky", bits, {"alpha": 0.3, "beta": 0.7}),
    Case("Tversky", bits, {"axis": [1]}),
    Case("Circle", embeddings),
    Case("Circle", embeddings, {"gamma": 2.0, "margin": 0.2}),
    Case("CTC", spelling),
]
