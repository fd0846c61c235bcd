"""ai.onnx.ml: the linear and scaling operators of scikit-learn pipelines. Trees, binarisers and encoders are piecewise constant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.autodiff.registry import lowering, no_gradient, vjp
from onnxdl.errors import GradientError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor

DOMAIN = "ai.onnx.ml"

no_gradient("Binarizer", "TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", domain=DOMAIN)
no_gradient("CastMap", "CategoryMapper", "DictVectorizer", "LabelEncoder", "OneHotEncoder", "ZipMap", domain=DOMAIN)


@vjp("LinearRegressor", domain=DOMAIN)
def linear_regressor(
    g: Tensor, y: Tensor, x: Tensor, *, coefficients: Sequence[float], targets: int = 1, post_transform: str = "NONE", **_: Any
) -> Any:
    """``g W`` for ``y = x W^T + b``, past what follows the sum."""
    return _before_transform(g, y, post_transform) @ _matrix(coefficients, targets)


@vjp("LinearClassifier", domain=DOMAIN, multiple=True)
def linear_classifier(
    g: tuple[Tensor | None, ...],
    y: tuple[Tensor, ...],
    x: Tensor,
    *,
    coefficients: Sequence[float],
    intercepts: Sequence[float] = (),
    post_transform: str = "NONE",
    **_: Any,
) -> Any:
    """That of the scores; the label has none."""
    width = x.shape[-1]
    if not isinstance(width, int):
        raise GradientError("the gradient of LinearClassifier needs the number of features known before it runs")
    rows = len(coefficients) // width
    if y[1].shape[-1] != rows:
        raise GradientError("the gradient of a LinearClassifier that makes two scores of one is not known; give it a row for each class")
    scores = g[1]
    return None if scores is None else _before_transform(scores, y[1], post_transform) @ _matrix(coefficients, rows)


def _matrix(coefficients: Sequence[float], rows: int) -> np.ndarray:
    return np.array(coefficients, np.float32).reshape(rows, -1)


def _before_transform(g: Tensor, y: Tensor, post_transform: str) -> Tensor:
    """The gradient of the scores that a transform turned into ``y``."""
    match post_transform:
        case "NONE":
            return g
        case "LOGISTIC":
            return g * y * (1 - y)
        case "SOFTMAX":
            return (g - op.ReduceSum(g * y, [-1])) * y
    raise GradientError(f"the gradient of post_transform={post_transform!r} is not known; use NONE, LOGISTIC or SOFTMAX")


@vjp("Scaler", domain=DOMAIN)
def scaler(g: Tensor, y: Tensor, x: Tensor, *, scale: Sequence[float] = (1.0,), **_: Any) -> Any:
    return g * np.array(scale, np.float32)


@vjp("Imputer", domain=DOMAIN)
def imputer(g: Tensor, y: Tensor, x: Tensor, *, replaced_value_float: float = 0.0, **_: Any) -> Any:
    """Zero where a value was put in."""
    missing = op.IsNaN(x) if math.isnan(replaced_value_float) else op.Equal(x, replaced_value_float)
    return op.Where(missing, 0, g)


@lowering("Normalizer", domain=DOMAIN)
def normalizer(x: Tensor, *, norm: str = "MAX") -> Tensor:
    if norm != "MAX":
        return op.LpNormalization(x, axis=-1, p=int(norm[1]))
    largest = op.ReduceMax(x, [-1])
    return x / op.Where(op.Equal(largest, 0), 1, largest)


@lowering("FeatureVectorizer", domain=DOMAIN)
def feature_vectorizer(*xs: Tensor, inputdimensions: Sequence[int]) -> Tensor:
    columns = [x if x.ndim == 2 else op.Unsqueeze(x, [1]) for x in xs]
    return op.Concat(*(_of_width(x, width) for x, width in zip(columns, inputdimensions, strict=True)), axis=1)


def _of_width(x: Tensor, width: int) -> Tensor:
    """Columns cut off, or zeros added."""
    have = x.shape[1]
    return x if not isinstance(have, int) or have == width else op.Pad(x, [0, 0, 0, width - have])


@lowering("ArrayFeatureExtractor", domain=DOMAIN)
def array_feature_extractor(x: Tensor, indices: Tensor) -> Tensor:
    return op.Gather(x if x.ndim > 1 else op.Unsqueeze(x, [0]), op.Reshape(indices, [-1]), axis=-1)
