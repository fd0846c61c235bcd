"""ai.onnx.ml operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.autodiff.cases import Case, apart, rand


def _case(op: str, *inputs: np.ndarray, outputs: int | None = None, reason: str = "", **attributes: Any) -> Case:
    static = range(len(inputs)) if op in ("LinearClassifier", "FeatureVectorizer") else ()
    return Case(op, inputs, attributes, outputs, "ai.onnx.ml", reason=reason, static=static)


_W = [0.5, -1.0, 2.0, 1.5, 0.25, -0.75]

CASES = [
    _case("LinearRegressor", rand(4, 3), coefficients=_W, intercepts=[0.1, 0.2], targets=2),
    _case("LinearClassifier", rand(4, 3), outputs=2, coefficients=_W, intercepts=[0.1, 0.2], classlabels_ints=[0, 1]),
    _case(
        "LinearClassifier",
        rand(4, 3),
        outputs=2,
        coefficients=_W,
        intercepts=[0.1, 0.2],
        classlabels_ints=[0, 1],
        post_transform="LOGISTIC",
    ),
    _case(
        "LinearClassifier",
        rand(4, 3),
        outputs=2,
        coefficients=_W,
        intercepts=[0.1, 0.2],
        classlabels_ints=[0, 1],
        post_transform="SOFTMAX",
    ),
    _case("Scaler", rand(2, 3), offset=[0.5, 1.0, -1.0], scale=[2.0, 0.5, 3.0]),
    _case("Imputer", np.array([[1.0, np.nan], [0.5, -2.0]]), imputed_value_floats=[3.0, 4.0], replaced_value_float=float("nan")),
    Case("Normalizer", [apart(3, 4)], {"norm": "MAX"}, domain="ai.onnx.ml", forward=lambda x, norm: x / x.max(-1, keepdims=True)),
    _case("Normalizer", apart(3, 4), norm="L1"),
    _case("Normalizer", apart(3, 4), norm="L2"),
    _case("FeatureVectorizer", rand(3, 2), rand(3, 4, seed=1), inputdimensions=[2, 3], reason="cut"),
    _case("FeatureVectorizer", rand(3, 2), rand(3, 1, seed=1), inputdimensions=[3, 1], reason="padded"),
    _case("ArrayFeatureExtractor", rand(2, 4), np.array([3, 0, 3])),
    _case("ArrayFeatureExtractor", rand(4), np.array([1, 0])),
]
