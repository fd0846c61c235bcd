"""Random stacks of layers: each trains a step, and comes back from its file with the same numbers, ready to go on alike."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import onnxdl as ox
from onnxdl import nn

DENSE = st.builds(
    nn.Dense, st.integers(1, 5), activation=st.sampled_from([None, "relu", "tanh", "gelu", "softmax"]), use_bias=st.booleans()
)
ANYWHERE = st.one_of(
    st.builds(nn.BatchNormalization, momentum=st.sampled_from([0.5, 0.99]), scale=st.booleans()),
    st.builds(nn.LayerNormalization, epsilon=st.sampled_from([1e-3, 1e-5])),
    st.builds(nn.Dropout, st.sampled_from([0.1, 0.5])),
    st.builds(nn.Activation, st.sampled_from(["relu", "sigmoid", "swish", "elu"])),
    st.builds(nn.GaussianNoise, st.just(0.1)),
    st.builds(nn.PReLU),
)
OF_IMAGES = st.one_of(
    st.builds(nn.Conv2D, st.integers(1, 3), st.integers(1, 3), padding=st.just("same"), strides=st.sampled_from([1, 2])),
    st.builds(nn.DepthwiseConv2D, st.integers(1, 2), padding=st.just("same")),
    st.builds(nn.MaxPooling2D, st.just(2), padding=st.just("same")),
    st.builds(nn.AveragePooling2D, st.just(2), padding=st.just("same")),
    st.builds(nn.ZeroPadding2D, st.just(1)),
    ANYWHERE,
)
OF_SEQUENCES = st.one_of(
    st.builds(nn.LSTM, st.integers(1, 3), return_sequences=st.just(True)),
    st.builds(nn.GRU, st.integers(1, 3), return_sequences=st.just(True)),
    st.builds(nn.Conv1D, st.integers(1, 3), st.integers(1, 2), padding=st.just("same")),
    DENSE,
    ANYWHERE,
)


def stack(shape: tuple[int, ...], layers: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[tuple[int, ...], list[Any]]]:
    return st.tuples(st.just(shape), st.lists(layers, min_size=1, max_size=4))


STACKS = st.one_of(stack((5,), DENSE | ANYWHERE), stack((2, 6, 5), OF_IMAGES), stack((4, 3), OF_SEQUENCES))
OPTIMIZERS = st.sampled_from(["sgd", "adam", "rmsprop", "adagrad", "lion", "adamw"])


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(STACKS, OPTIMIZERS, st.integers(0, 2**31))
def test_a_stack_trains_a_step_and_comes_back_equal(made: tuple[tuple[int, ...], list[Any]], optimizer: str, seed: int) -> None:
    shape, layers = made
    ox.set_seed(seed)
    model = ox.Sequential([ox.Input(shape), *layers, nn.Flatten(), nn.Dense(2)])
    model.compile(optimizer, "mse", metrics=["mae"])
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(3, *shape)).astype(np.float32), rng.normal(size=(3, 2)).astype(np.float32)
    before = [a.copy() for a in model.get_weights()]
    loss = model.train_on_batch(x, y)[0]
    assert np.isfinite(loss)
    assert any(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.onnx")
        again = ox.load(Path(folder) / "model.onnx")
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in model.layers]
    assert set(again.state) == set(model.state)
    for name, array in model.state.items():
        np.testing.assert_array_equal(array, again.state[name], err_msg=name)
    np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))
    assert model.train_on_batch(x, y) == again.train_on_batch(x, y)
    for name, array in model.state.items():
        np.testing.assert_array_equal(array, again.state[name], err_msg=name)
