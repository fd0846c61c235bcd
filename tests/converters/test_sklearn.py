"""scikit-learn's estimators against their own predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import onnxdl as ox

X, Y = load_iris(return_X_y=True)
MLP: dict[str, Any] = {"hidden_layer_sizes": (6, 5), "max_iter": 400, "tol": 1e-2, "random_state": 0}


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(MinMaxScaler(), MLPClassifier(activation="tanh", **MLP)),
        MLPClassifier(**MLP),
    ],
    ids=["logistic", "scaled-mlp", "mlp"],
)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_classifier_gives_the_same_probabilities_and_trains_on(estimator: Any, classes: int) -> None:
    x, y = X[classes > Y], Y[classes > Y]
    estimator.fit(x, y)
    model = ox.load(estimator)
    found, expected = model.predict(x.astype(np.float32), verbose=0), estimator.predict_proba(x)
    np.testing.assert_allclose(
        found[:, -1] if found.shape[1] == 1 else found, expected[:, -1] if found.shape[1] == 1 else expected, atol=1e-5
    )
    loss = "binary_crossentropy" if found.shape[1] == 1 else "sparse_categorical_crossentropy"
    model.compile("adam", loss)
    losses = [model.train_on_batch(x.astype(np.float32), y[:, None] if found.shape[1] == 1 else y) for _ in range(20)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge(fit_intercept=False), MLPRegressor(**MLP)], ids=lambda e: type(e).__name__)
def test_a_regressor_gives_the_same_numbers(estimator: Any) -> None:
    estimator.fit(X[:, :3], X[:, 3])
    found = ox.load(estimator).predict(X[:, :3].astype(np.float32), verbose=0)
    np.testing.assert_allclose(found[:, 0], estimator.predict(X[:, :3]), atol=1e-4)


def test_what_has_no_equal_is_named() -> None:
    with pytest.raises(ox.ConversionError, match="scikit-learn's DecisionTreeClassifier has no equal here; known are LinearRegression"):
        ox.load(DecisionTreeClassifier().fit(X, Y))
    with pytest.raises(ox.ConversionError, match="the LogisticRegression is not fitted yet"):
        ox.load(LogisticRegression())
