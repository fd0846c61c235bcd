"""Several outputs with losses, weights and metrics of their own; sample weights in metrics; averaged weights after fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn, optim
from onnxdl.errors import TrainingError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4)).astype(np.float32)
Y = [X.sum(1), (X[:, 0] > 0).astype(np.int64)]


def two_outputs(**options: Any) -> ox.Model:
    ox.set_seed(0)
    inputs = ox.Input((4,))
    hidden = nn.Dense(6, activation="tanh")(inputs)
    model = ox.Model(inputs, [nn.Dense(1)(hidden), nn.Dense(2, activation="softmax")(hidden)])
    model.compile(optim.SGD(0.1), device="cpu", **options)
    return model


def test_loss_weights_count_and_each_loss_is_told() -> None:
    losses = ["mse", "sparse_categorical_crossentropy"]
    plain = two_outputs(loss=losses).evaluate(X, Y, return_dict=True, verbose=0)
    assert plain["loss"] == pytest.approx(plain["dense_1_loss"] + plain["dense_2_loss"], rel=1e-6)
    weighted = two_outputs(loss=losses, loss_weights=[0.25, 2.0]).evaluate(X, Y, batch_size=7, return_dict=True, verbose=0)
    assert weighted["loss"] == pytest.approx(0.25 * plain["dense_1_loss"] + 2 * plain["dense_2_loss"], rel=1e-5)
    assert weighted["dense_2_loss"] == pytest.approx(plain["dense_2_loss"], rel=1e-5)


def test_entries_by_the_outputs_names() -> None:
    model = two_outputs(
        loss={"dense_2": "sparse_categorical_crossentropy", "dense_1": "mae"},
        loss_weights={"dense_2": 3.0},
        metrics={"dense_2": ["accuracy"]},
    )
    logs = model.evaluate(X, Y, return_dict=True, verbose=0)
    assert set(logs) == {"loss", "dense_1_loss", "dense_2_loss", "dense_2_accuracy"}
    assert logs["loss"] == pytest.approx(logs["dense_1_loss"] + 3 * logs["dense_2_loss"], rel=1e-6)
    wrong = two_outputs(loss={"left": "mse"})
    with pytest.raises(TrainingError, match="no output called 'left'; its outputs are dense_1, dense_2"):
        wrong.evaluate(X, Y, verbose=0)


def test_only_weighted_metrics_count_sample_weights() -> None:
    ox.set_seed(0)
    model = ox.Sequential([nn.Dense(1)])
    model.compile("sgd", "mse", metrics=["mse"], weighted_metrics=[nn.metrics.MeanSquaredError(name="weighted")], device="cpu")
    weight = RNG.uniform(0, 2, len(X)).astype(np.float32)
    logs = model.evaluate(X, Y[0], sample_weight=weight, batch_size=10, return_dict=True, verbose=0)
    error = (model.predict(X, verbose=0)[:, 0] - Y[0]) ** 2
    assert logs["mse"] == pytest.approx(error.mean(), rel=1e-4)
    assert logs["weighted"] == pytest.approx((error * weight).sum() / weight.sum(), rel=1e-4)


def test_fit_ends_with_the_averaged_weights() -> None:
    weights = {}
    for use_ema in (False, True):
        ox.set_seed(0)
        model = ox.Sequential([nn.Dense(1)])
        model.compile(optim.SGD(0.05, use_ema=use_ema, ema_momentum=0.5), "mse", device="cpu")
        model.fit(X, Y[0], batch_size=len(X), epochs=1, verbose=0)
        first = model.get_weights()[0]
        model.fit(X, Y[0], batch_size=len(X), epochs=2, initial_epoch=1, verbose=0)
        weights[use_ema] = first, model.get_weights()[0]
    np.testing.assert_array_equal(weights[True][0], weights[False][0])  # the first average is the first weights
    np.testing.assert_allclose(weights[True][1], (weights[False][0] + weights[False][1]) / 2, rtol=1e-5, atol=1e-6)


def test_outputs_without_a_loss_and_models_without_any() -> None:
    x = ox.Input((3,))
    model = ox.Model(x, [nn.Dense(1, name="a")(x), nn.Dense(1, name="b")(x)])
    model.compile("sgd", ["mse", None], metrics=["mae"], device="cpu")
    before = dict(model.state)
    data = np.ones((4, 3), np.float32)
    logs = model.train_on_batch(data, [np.zeros((4, 1)), np.zeros((4, 1))], return_dict=True)
    assert set(logs) == {"loss", "a_loss", "a_mae", "b_mae"} and logs["loss"] == logs["a_loss"]
    moved = {name for name, array in model.state.items() if name in before and not np.array_equal(array, before[name])}
    assert {n for n in moved if n.startswith(("a.", "b."))} == {"a.kernel", "a.bias"}
    model.compile("sgd", [None, None], device="cpu")
    with pytest.raises(TrainingError, match="nothing says what the loss is"):
        model.train_on_batch(data, [np.zeros((4, 1)), np.zeros((4, 1))])
