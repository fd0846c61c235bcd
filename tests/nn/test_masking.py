"""Masks: made by Embedding and Masking, carried through layers and models, heeded by recurrent layers, attention and losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxdl import nn
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, tensor
from onnxdl.nn.symbolic import Input
from onnxdl.train.model import Model
from onnxdl.train.sequential import Sequential
from tests.keras_backend import keras

# Keras asks arrays for no copy, which NumPy 2 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TOKENS = np.array([[3, 1, 4, 0, 0], [5, 2, 0, 1, 0], [2, 7, 1, 8, 2]], np.int64)


def test_layers_carry_the_mask() -> None:
    x = nn.Embedding(9, 4, mask_zero=True)(tensor(TOKENS))
    y = nn.Add()([nn.Dense(4)(nn.Dropout(0.5)(x)), nn.LayerNormalization()(x)])
    z = nn.LSTM(3, return_sequences=True)(y)
    for t in (x, y, z):
        assert t.mask is not None
        np.testing.assert_array_equal(t.mask.numpy(), TOKENS != 0)
    assert nn.LSTM(3)(z).mask is None
    assert nn.Reshape((4, 5))(x).mask is None


def test_concatenate_joins_masks() -> None:
    x = nn.Embedding(9, 4, mask_zero=True)(tensor(TOKENS))
    plain = tensor(np.ones((3, 2, 4), np.float32))
    joined = nn.Concatenate(axis=1)([x, plain])
    assert joined.mask is not None
    np.testing.assert_array_equal(joined.mask.numpy(), np.concatenate([TOKENS != 0, np.ones((3, 2), bool)], axis=1))
    assert nn.Concatenate()([x, x]).mask is not None


def test_a_layer_of_ones_own_may_take_and_make_masks() -> None:
    class Count(nn.Layer):
        def call(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
            assert mask is not None
            return op.ReduceSum(op.Cast(mask, to="float32"), [1], keepdims=0)

    class Shift(nn.Layer):
        supports_masking = True

        def call(self, x: Tensor) -> Tensor:
            return x[:, 1:]

        def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
            return None if mask is None else op.Cast(op.Cast(mask, to="int32")[:, 1:], to="bool")

    x = Shift()(nn.Embedding(9, 4, mask_zero=True)(tensor(TOKENS)))
    np.testing.assert_array_equal(Count()(x).numpy(), (TOKENS[:, 1:] != 0).sum(axis=1))


def networks() -> list[Any]:
    return [
        lambda L: [L.Embedding(9, 4, mask_zero=True), L.LSTM(3, return_sequences=True), L.GRU(2), L.Dense(2)],
        lambda L: [L.Embedding(9, 4, mask_zero=True), L.Bidirectional(L.LSTM(3, return_sequences=True)), L.SimpleRNN(3)],
        lambda L: [L.Embedding(9, 4, mask_zero=True), L.TimeDistributed(L.Dense(3)), L.GRU(3, go_backwards=True)],
        lambda L: [L.Embedding(9, 4, mask_zero=True), L.GlobalAveragePooling1D(data_format="channels_last")],
        lambda L: [L.Embedding(9, 4, mask_zero=True), L.LSTM(3, activation="relu"), L.Dense(2)],
    ]


@pytest.mark.parametrize("make", networks())
def test_predictions_are_those_of_keras(make: Any) -> None:
    theirs = keras().Sequential(make(keras().layers))
    theirs.build((None, 5))
    model = Sequential(make(nn))
    model.ensure_built(TOKENS)
    model.set_weights(theirs.get_weights())
    np.testing.assert_allclose(model.predict(TOKENS), np.asarray(theirs(TOKENS)), rtol=1e-5, atol=1e-5)


def test_attention_passes_over_masked_values() -> None:
    L = keras().layers
    rng = np.random.default_rng(0)
    query, value = rng.normal(size=(3, 4, 6)).astype(np.float32), rng.normal(size=(3, 5, 6)).astype(np.float32)
    mask = TOKENS != 0
    theirs, layer = L.MultiHeadAttention(2, 3), nn.MultiHeadAttention(2, 3)
    expected = theirs(query, value, value_mask=mask)
    layer(tensor(query), tensor(value))
    layer.set_weights(theirs.get_weights())
    with_mask = tensor(value)
    with_mask.mask = tensor(mask)
    np.testing.assert_allclose(layer(tensor(query), with_mask).numpy(), np.asarray(expected), rtol=1e-5, atol=1e-5)
    expected = L.Attention()([query, value], mask=[None, mask])
    np.testing.assert_allclose(nn.Attention()([tensor(query), with_mask]).numpy(), np.asarray(expected), rtol=1e-5, atol=1e-5)


def test_the_loss_counts_the_steps_that_count() -> None:
    def make(L: Any) -> list[Any]:
        return [L.Embedding(9, 4, mask_zero=True), L.LSTM(3, return_sequences=True), L.Dense(2)]

    targets = np.random.default_rng(1).normal(size=(3, 5, 2)).astype(np.float32)
    theirs = keras().Sequential(make(keras().layers))
    theirs.compile(loss="mse", optimizer="sgd")
    theirs.build((None, 5))
    model = Sequential(make(nn))
    model.compile("sgd", "mse", device="cpu")
    model.ensure_built(TOKENS)
    model.set_weights(theirs.get_weights())
    expected = theirs.evaluate(TOKENS, targets, verbose=0)
    assert model.train_on_batch(TOKENS, targets, return_dict=True)["loss"] == pytest.approx(expected, rel=1e-5)


def test_masks_pass_through_functional_models() -> None:
    tokens = Input((5,), dtype="int64")
    embedding, lstm = nn.Embedding(9, 4, mask_zero=True), nn.LSTM(3, return_sequences=True)
    inner = Model(tokens, lstm(embedding(tokens)))
    outer = Model(tokens, nn.LSTM(2)(inner(tokens)))
    y = inner(tensor(TOKENS))
    assert y.mask is not None
    np.testing.assert_array_equal(y.mask.numpy(), TOKENS != 0)
    short = TOKENS.copy()
    short[:, 3:] = 0
    by_model = outer.predict(short)
    np.testing.assert_allclose(by_model, outer(tensor(short[:, :3])).numpy(), rtol=1e-5, atol=1e-6)


def test_a_sequence_without_steps_keeps_the_first_state() -> None:
    nothing = np.zeros((2, 4), np.int64)
    for make in (nn.LSTM, nn.GRU, nn.SimpleRNN):
        layer = make(3, return_sequences=True, return_state=True)
        y, *states = layer(nn.Embedding(9, 4, mask_zero=True)(tensor(nothing)))
        for t in (y, *states):
            np.testing.assert_array_equal(t.numpy(), np.zeros(t.shape, np.float32))
