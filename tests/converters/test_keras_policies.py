"""Keras's dtype policies: a model in mixed precision stays one, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn
from tests.keras_backend import keras as stock_keras

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's variables with NumPy 2

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(8, 6, 6, 1)).astype(np.float32), RNG.integers(0, 3, (8,))


def theirs(policy: str) -> Any:
    keras = stock_keras()
    x = keras.Input((6, 6, 1), name="image")
    y = keras.layers.Conv2D(4, 3, dtype=keras.DTypePolicy(policy))(x)
    y = keras.layers.BatchNormalization(dtype=policy)(y)
    model = keras.Model(x, keras.layers.Dense(3, dtype="float32")(keras.layers.Flatten(dtype=policy)(y)))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.parametrize(("policy", "suffix"), [("mixed_float16", "keras"), ("mixed_float16", "h5"), ("mixed_bfloat16", "keras")])
def test_a_policy_comes_in_and_goes_back(policy: str, suffix: str, tmp_path: Path) -> None:
    source = theirs(policy)
    source.save(tmp_path / f"in.{suffix}")
    model = ox.load(tmp_path / f"in.{suffix}")
    assert model.compiled is not None and model.compiled.mixed_precision == (policy == "mixed_float16")
    assert {str(w.dtype) for w in model.weights} == {"float32"}
    np.testing.assert_allclose(model.predict(X, verbose=0), source.predict(X, verbose=0), atol=3e-3 if policy == "mixed_float16" else 3e-2)
    model.export(tmp_path / f"out.{suffix}", format="keras")
    again = stock_keras().models.load_model(tmp_path / f"out.{suffix}")
    assert [layer.dtype_policy.name for layer in again.layers] == [layer.dtype_policy.name for layer in source.layers]


def test_a_model_made_here_takes_its_policy_along(tmp_path: Path) -> None:
    model = ox.Sequential(
        [
            ox.Input((6, 6, 1)),
            nn.Conv2D(4, 3, data_format="channels_last"),
            nn.Reshape((4, 16)),
            nn.Bidirectional(nn.LSTM(3)),
            ox.Sequential([ox.Input((6,)), nn.Dense(5, activation="relu")]),
            nn.Dense(3),
        ]
    )
    model.compile("adam", nn.losses.SparseCategoricalCrossentropy(from_logits=True), mixed_precision=True)
    model.train_on_batch(X, Y)
    for name in ("mixed.keras", "mixed.h5"):
        model.export(tmp_path / name, format="keras")
        back = stock_keras().models.load_model(tmp_path / name)
        inner = back.layers[-2].layers[-1]
        for layer in (*back.layers[:-2], back.layers[-1], inner, back.layers[2].forward_layer.cell):
            assert layer.dtype_policy.name == "mixed_float16", layer.name
        np.testing.assert_allclose(back.predict(X, verbose=0), model.predict(X, verbose=0), atol=3e-3)
        again = ox.load(tmp_path / name)
        assert again.compiled is not None and again.compiled.mixed_precision
        for entry, value in model.state.items():
            if entry == "seed":
                continue
            np.testing.assert_allclose(again.state[entry], value, rtol=1e-6, err_msg=entry)
