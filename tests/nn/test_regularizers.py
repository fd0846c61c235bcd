"""Regularizers, constraints and initializers, and what they do to training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxdl import nn
from onnxdl.graph import op, random
from onnxdl.graph.tensor import Tensor, tensor
from onnxdl.nn import constraints, initializers, regularizers
from onnxdl.train.sequential import Sequential
from tests.keras_backend import keras

# Keras asks arrays for no copy, which NumPy 2 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

MATRIX = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "make",
    [lambda R: R.L1(0.1), lambda R: R.L2(0.1), lambda R: R.L1L2(0.1, 0.2), lambda R: R.OrthogonalRegularizer(0.1)],
)
def test_regularizers_are_those_of_keras(make: Any) -> None:
    expected = make(keras().regularizers)(MATRIX)
    regularizer = make(regularizers)
    assert float(regularizer(tensor(MATRIX))) == pytest.approx(float(expected), rel=1e-5)
    assert type(regularizer).from_config(regularizer.get_config())(tensor(MATRIX)).numpy() == pytest.approx(float(expected), rel=1e-5)


def test_columns_are_the_rows_of_the_transpose() -> None:
    rows, columns = regularizers.OrthogonalRegularizer(0.1), regularizers.OrthogonalRegularizer(0.1, "columns")
    assert float(columns(tensor(MATRIX.T))) == pytest.approx(float(rows(tensor(MATRIX))))


@pytest.mark.parametrize(
    "make",
    [
        lambda C: C.NonNeg(),
        lambda C: C.MaxNorm(1.0),
        lambda C: C.UnitNorm(axis=1),
        lambda C: C.MinMaxNorm(0.5, 1.0, rate=0.7, axis=[0, 1]),
    ],
)
def test_constraints_are_those_of_keras(make: Any) -> None:
    expected = make(keras().constraints)(MATRIX)
    np.testing.assert_allclose(make(constraints)(tensor(MATRIX)).numpy(), np.asarray(expected), rtol=1e-5, atol=1e-6)


def test_the_loss_holds_all_regularizers() -> None:
    def make(L: Any) -> list[Any]:
        return [
            L.Dense(3, kernel_regularizer="l2", bias_regularizer="l1", activity_regularizer="l2"),
            L.ActivityRegularization(0.1),
            L.Dense(1),
        ]

    x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    theirs = keras().Sequential(make(keras().layers))
    theirs.compile(loss="mse", optimizer="sgd")
    theirs.build((None, 2))
    model = Sequential(make(nn))
    model.compile("sgd", "mse", device="cpu")
    model.ensure_built(x)
    model.set_weights([w + 0.1 for w in theirs.get_weights()])
    theirs.set_weights([w + 0.1 for w in theirs.get_weights()])
    expected = theirs.evaluate(x, y, verbose=0)
    assert model.train_on_batch(x, y, return_dict=True)["loss"] == pytest.approx(expected, rel=1e-5)


def test_constraints_hold_after_each_update() -> None:
    model = Sequential([nn.Dense(3, kernel_constraint=constraints.UnitNorm(), bias_constraint="non_neg"), nn.Dense(1)])
    model.compile("sgd", "mse", device="cpu")
    rng = np.random.default_rng(0)
    for _ in range(3):
        model.train_on_batch(rng.normal(size=(4, 2)).astype(np.float32), np.ones((4, 1), np.float32))
    kernel, bias = model.layers[0].get_weights()
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1.0, rtol=1e-5)
    assert (bias >= 0).all()


def test_add_loss_of_ones_own() -> None:
    class Small(nn.Layer):
        def call(self, x: Tensor) -> Tensor:
            self.add_loss(op.ReduceMean(x * x) * 10.0)
            return x

    x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    losses = []
    for layers in ([nn.Dense(1, kernel_initializer="ones")], [Small(), nn.Dense(1, kernel_initializer="ones")]):
        model = Sequential(layers)
        model.compile("sgd", "mse", device="cpu")
        losses.append(model.train_on_batch(x, y, return_dict=True)["loss"])
    assert losses[1] == pytest.approx(losses[0] + 10.0)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="kernel_regulariser"):
        nn.Dense(3, kernel_regulariser="l2")
    with pytest.raises(TypeError, match="bias_regularizer"):
        nn.Embedding(3, 2, bias_regularizer="l2")


@pytest.mark.parametrize("shape", [(4, 4), (3, 8), (8, 3), (2, 2, 3)])
def test_orthogonal_weights(shape: tuple[int, ...]) -> None:
    key = random.make_key(tensor(np.int64(3)))
    w = initializers.Orthogonal(gain=2.0)(shape, "float32", key).numpy().reshape(-1, shape[-1])
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)


def test_a_seed_fixes_an_initializer() -> None:
    keys = [random.make_key(tensor(np.int64(s))) for s in (1, 2)]
    a, b = (initializers.GlorotNormal(seed=7)((3, 4), "float32", k).numpy() for k in keys)
    c, d = (initializers.GlorotNormal()((3, 4), "float32", k).numpy() for k in keys)
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(c, d)
