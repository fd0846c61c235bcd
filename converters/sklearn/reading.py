"""A fitted estimator as a Sequential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onnxdl.errors import ConversionError
from onnxdl.nn import Dense, Layer, Normalization, Rescaling
from onnxdl.nn.symbolic import Input
from onnxdl.train.model import Model
from onnxdl.train.sequential import Sequential

ACTIVATIONS = {"identity": None, "logistic": "sigmoid", "tanh": "tanh", "relu": "relu", "softmax": "softmax"}

Weights = list[tuple[Layer, list[np.ndarray]]]


def read_estimator(estimator: Any) -> Model:
    """The layers of a fitted estimator.

    Raises:
        ConversionError: it is of a kind that has no equal here, or is not fitted.
    """
    steps = [step for _, step in estimator.steps] if type(estimator).__name__ == "Pipeline" else [estimator]
    layers: Weights = []
    for step in steps:
        reader = READERS.get(type(step).__name__)
        if reader is None:
            raise ConversionError(f"scikit-learn's {type(step).__name__} has no equal here; known are {', '.join(READERS)}")
        if not hasattr(step, "n_features_in_"):
            raise ConversionError(f"the {type(step).__name__} is not fitted yet: call fit first")
        layers += reader(step)
    model = Sequential([Input((int(steps[0].n_features_in_),)), *(layer for layer, _ in layers)])
    model.ensure_built()
    for layer, arrays in layers:
        if arrays:
            layer.set_weights([np.asarray(a, np.float32) for a in arrays])
    return model


def _linear(estimator: Any) -> Weights:
    kernel = np.atleast_2d(estimator.coef_).T
    bias = np.broadcast_to(np.atleast_1d(estimator.intercept_), kernel.shape[1:])
    return [(Dense(kernel.shape[1], name="linear"), [kernel, bias])]


def _logistic(estimator: Any) -> Weights:
    """Two classes have one score, of which the second class's probability is the sigmoid: as two scores, 0 and that one."""
    kernel, bias = np.atleast_2d(estimator.coef_).T, np.atleast_1d(estimator.intercept_)
    if kernel.shape[1] == 1:
        kernel, bias = np.concatenate([0 * kernel, kernel], 1), np.concatenate([0 * bias, bias])
    return [(Dense(kernel.shape[1], activation="softmax", name="linear"), [kernel, bias])]


def _perceptron(estimator: Any) -> Weights:
    inner, last = ACTIVATIONS[estimator.activation], ACTIVATIONS[estimator.out_activation_]
    sizes = len(estimator.coefs_)
    activations = [inner if i + 1 < sizes else last for i in range(sizes)]
    pairs = zip(estimator.coefs_, estimator.intercepts_, activations, strict=True)
    return [(Dense(w.shape[1], activation=a, name=f"dense_{i}"), [w, b]) for i, (w, b, a) in enumerate(pairs)]


def _standard(scaler: Any) -> Weights:
    n = int(scaler.n_features_in_)
    mean = scaler.mean_ if scaler.with_mean else np.zeros(n)
    variance = scaler.scale_**2 if scaler.with_std else np.ones(n)
    return [(Normalization(mean=mean.astype(np.float32), variance=variance.astype(np.float32), name="scaler"), [])]


def _min_max(scaler: Any) -> Weights:
    return [(Rescaling(scaler.scale_.astype(np.float32), scaler.min_.astype(np.float32), name="scaler"), [])]


READERS: dict[str, Callable[[Any], Weights]] = {
    **dict.fromkeys(("LinearRegression", "Ridge", "Lasso", "ElasticNet", "SGDRegressor", "LinearSVR", "LinearSVC", "Perceptron"), _linear),
    "LogisticRegression": _logistic,
    **dict.fromkeys(("MLPClassifier", "MLPRegressor"), _perceptron),
    "StandardScaler": _standard,
    "MinMaxScaler": _min_max,
}
"""By class, the layers of a step and their weights."""
