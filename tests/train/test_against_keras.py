"""Whole trainings, side by side with Keras on JAX: same script, data, first weights and order of batches."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn, optim
from tests.keras_backend import keras

STEPS, BATCH = 100, 16
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(BATCH * 10, 8, 8, 2)).astype(np.float32)
SEQUENCES = RNG.normal(size=(BATCH * 10, 6, 5)).astype(np.float32)
TOKENS = RNG.integers(0, 20, (BATCH * 10, 8))
LABELS = RNG.integers(0, 3, BATCH * 10)

Make = Callable[[Any, Callable[..., Any]], Any]


def mlp(layers: Any, Input: Callable[..., Any]) -> tuple[Any, Any]:
    x = Input((6, 5))
    y = layers.Flatten()(x)
    y = layers.Dense(32, activation="relu")(y)
    y = layers.Dense(16, activation="tanh")(y)
    return x, layers.Dense(3, activation="softmax")(y)


def convnet(layers: Any, Input: Callable[..., Any]) -> tuple[Any, Any]:
    last = {"data_format": "channels_last"}
    x = Input((8, 8, 2))
    y = layers.Conv2D(8, 3, padding="same", use_bias=False, **last)(x)
    y = layers.BatchNormalization(axis=-1, momentum=0.9)(y)
    y = layers.Activation("relu")(y)
    y = layers.MaxPooling2D(2, **last)(y)
    y = layers.Conv2D(8, 3, activation="relu", **last)(y)
    y = layers.GlobalAveragePooling2D(**last)(y)
    return x, layers.Dense(3, activation="softmax")(y)


def lstm(layers: Any, Input: Callable[..., Any]) -> tuple[Any, Any]:
    x = Input((6, 5))
    return x, layers.Dense(3, activation="softmax")(layers.LSTM(12)(x))


def transformer(layers: Any, Input: Callable[..., Any]) -> tuple[Any, Any]:
    x = Input((8,), dtype="int32")
    y = layers.Embedding(20, 16)(x)
    y = layers.Add()([y, layers.MultiHeadAttention(2, 8)(layers.LayerNormalization()(y), layers.LayerNormalization()(y))])
    z = layers.Dense(32, activation="gelu")(layers.LayerNormalization()(y))
    y = layers.Add()([y, layers.Dense(16)(z)])
    return x, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D(data_format="channels_last")(y))


NETS: dict[str, tuple[Make, np.ndarray]] = {
    "MLP": (mlp, SEQUENCES),
    "ConvNet with BatchNormalization": (convnet, IMAGES),
    "LSTM": (lstm, SEQUENCES),
    "transformer": (transformer, TOKENS),
}


def same_weights(theirs: Any, ours: ox.Model) -> None:
    """Gives our model the first weights of Keras's; convolutions turn into ONNX's layout."""
    values = [np.asarray(w) for layer in theirs.layers for w in layer.weights]
    parameters = ours.weights
    assert len(values) == len(parameters)
    for value, parameter in zip(values, parameters, strict=True):
        parameter.value = value.transpose(3, 2, 0, 1) if value.ndim == 4 and value.shape != parameter.shape else value


@pytest.mark.parametrize(("make", "x"), NETS.values(), ids=NETS.keys())
def test_loss_curves_agree_with_keras(make: Make, x: np.ndarray) -> None:
    k: ModuleType = keras()
    theirs = k.Model(*make(k.layers, k.Input))
    ours = ox.Model(*make(nn, ox.Input))
    same_weights(theirs, ours)
    settings = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    theirs.compile(k.optimizers.Adam(1e-3), **settings)
    ours.compile(ox.optim.Adam(1e-3), **settings)
    curves = []
    for i in range(STEPS):
        batch = slice(i % 10 * BATCH, (i % 10 + 1) * BATCH)
        theirs.reset_metrics()
        expected = float(theirs.train_on_batch(x[batch], LABELS[batch])[0])
        curves.append((expected, ours.train_on_batch(x[batch], LABELS[batch], return_dict=True)["loss"]))
    expected_curve, curve = np.array(curves).T
    assert expected_curve[-10:].mean() < expected_curve[:10].mean()
    np.testing.assert_allclose(curve, expected_curve, rtol=1e-4)


def test_the_lectures_text_classifier_runs_letter_for_letter(capsys: pytest.CaptureFixture[str]) -> None:
    from onnxdl import Sequential
    from onnxdl.nn import LSTM, Dense, Dropout, Embedding

    n_words, n_out = 30, 2
    x_train = np.random.default_rng(1).integers(1, n_words + 1, (200, 12))
    labels = (x_train == 7).any(axis=1).astype(int)
    y_train = np.eye(n_out)[labels]

    model = Sequential()
    model.add(Embedding(n_words + 1, 10))
    model.add(LSTM(5))
    model.add(Dense(500, activation="relu"))
    model.add(Dropout(0.25))
    model.add(Dense(n_out, activation="softmax"))
    model.compile(loss="categorical_crossentropy", optimizer=ox.optim.Adam(1e-3), metrics=["accuracy"])
    history = model.fit(x_train, y_train, batch_size=32, epochs=30, verbose=0)
    model.summary()

    losses, accuracies = history.history["loss"], history.history["accuracy"]
    assert losses[-1] < losses[0] / 2 and accuracies[-1] > max(0.85, accuracies[0])
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("Embedding", "LSTM", "Dense", "Dropout", "(batch, 500)"))
    assert "4,632" in printed  # 31 * 10 + 4 * 5 * (10 + 5 + 1) + 6 * 500 + 501 * 2


def test_single_batches_are_told_as_keras_tells_them() -> None:
    rng = np.random.default_rng(3)
    batches = [(rng.normal(size=(n, 4)).astype(np.float32), rng.integers(0, 3, n)) for n in (5, 8, 2)]
    kernel, bias = rng.normal(size=(4, 3)).astype(np.float32), np.zeros(3, np.float32)
    k = keras()
    theirs = k.Sequential([k.layers.Input((4,)), k.layers.Dense(3, activation="softmax")])
    theirs.compile(k.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    ours = ox.Sequential([ox.Input((4,)), nn.Dense(3, activation="softmax")])
    ours.compile(optim.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"], device="cpu")
    for model in (ours, theirs):
        model.set_weights([kernel, bias])
    for method in ("train_on_batch", "test_on_batch"):
        for i, (x, y) in enumerate(batches):
            told, expected = getattr(ours, method)(x, y), getattr(theirs, method)(x, y)
            np.testing.assert_allclose(told, np.asarray(expected, np.float64), rtol=1e-5, err_msg=f"{method}, batch {i}")


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_a_loss_of_the_models_own_is_written_as_for_keras() -> None:
    rng = np.random.default_rng(4)
    x, y, weight = (
        rng.normal(size=(9, 4)).astype(np.float32),
        rng.normal(size=(9, 2)).astype(np.float32),
        rng.uniform(1, 2, 9).astype(np.float32),
    )
    kernel, bias = rng.normal(size=(4, 2)).astype(np.float32), np.zeros(2, np.float32)

    def trained(base: Any, layers: Any, Input: Callable[..., Any], mean: Callable[..., Any], **options: Any) -> Any:
        class Mixed(base):  # type: ignore[misc]
            def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, **rest: Any) -> Any:
                return super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight) + mean((y_pred - y) ** 4) * mean(x * x)

        inputs = Input((4,))
        model = Mixed(inputs, layers.Dense(2, activity_regularizer="l2")(inputs))
        model.compile("sgd", "mse", metrics=["mae"], **options)
        model.set_weights([kernel, bias])
        told = [model.train_on_batch(x, y, sample_weight=weight, return_dict=True) for _ in range(3)]
        return [t["loss"] for t in told], [np.asarray(w) for w in model.get_weights()]

    k = keras()
    ours = trained(ox.Model, nn, ox.Input, lambda t: ox.op.ReduceMean(t, keepdims=0), device="cpu")
    theirs = trained(k.Model, k.layers, k.Input, k.ops.mean)
    np.testing.assert_allclose(ours[0], np.asarray(theirs[0], np.float64), rtol=1e-5)
    for a, b in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
