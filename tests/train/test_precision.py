"""Mixed precision: float16 inside the layers, float32 everywhere else, a loss scale that finds its place."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn, optim
from onnxdl.graph.tensor import Tensor

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(32, 10)).astype(np.float32)
IMAGES = RNG.normal(size=(16, 3, 8, 8)).astype(np.float32)
SERIES = RNG.normal(size=(16, 6, 5)).astype(np.float32)
WORDS = RNG.integers(0, 20, (16, 6))
Layers = Callable[[], list[nn.Layer]]


class Block(nn.Layer):
    """Attention with a sum around it."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.norm = nn.MultiHeadAttention(2, 4), nn.LayerNormalization()

    def call(self, x: Tensor) -> Tensor:
        return self.norm(x + self.attention(x, x))


CASES: dict[str, tuple[Layers, np.ndarray, str]] = {
    "dense": (lambda: [nn.Dense(16, activation="relu"), nn.Dropout(0.2)], TABLE, "Gemm"),
    "batch_norm": (lambda: [nn.Dense(16), nn.BatchNormalization()], TABLE, "Gemm"),
    "conv": (lambda: [nn.Conv2D(4, 3), nn.BatchNormalization(), nn.MaxPooling2D(2), nn.Flatten()], IMAGES, "Conv"),
    "lstm": (lambda: [nn.Embedding(20, 8, mask_zero=True), nn.LSTM(8)], WORDS, "LSTM"),
    "gru": (lambda: [nn.GRU(8)], SERIES, "MatMul"),
    "attention": (lambda: [Block(), nn.GlobalAveragePooling1D()], SERIES, "MatMul"),
}


def compiled(layers: Layers, optimizer: Any, **options: Any) -> ox.Sequential:
    ox.set_seed(0)
    model = ox.Sequential([*layers(), nn.Dense(3, activation="softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], device="cpu", **options)
    return model


@pytest.mark.parametrize("name", CASES)
def test_layers_compute_in_float16_and_learn_alike(name: str) -> None:
    layers, x, heavy = CASES[name]
    y = np.arange(len(x)) % 3
    losses = []
    for mixed in (False, True):
        model = compiled(layers, optim.Adam(0.01), mixed_precision=mixed)
        losses.append([model.train_on_batch(x, y, return_dict=True)["loss"] for _ in range(12)])
    assert losses[1] == pytest.approx(losses[0], rel=0.03)
    program = model.train_step().program
    found = {node.outputs[0].dtype.name for node in program.graph.all_nodes() if node.op_type == heavy}
    assert found == {"FLOAT16"}
    assert {v.dtype.name for v in program.graph.inputs} <= {"FLOAT", "INT64"}
    assert all(v.dtype.name != "FLOAT16" for v in program.graph.outputs)
    assert all(a.dtype != np.float16 for a in model.state.values())


def test_the_scale_falls_until_gradients_are_finite() -> None:
    layers, x, _ = CASES["dense"]
    first = 2.0**66  # the CPU provider computes float16 operators in float32: only a scale like this overflows there
    model = compiled(layers, optim.LossScaleOptimizer(optim.SGD(0.1), initial_scale=first, dynamic_growth_steps=4), mixed_precision=True)
    y = np.arange(len(x)) % 3
    model.train_on_batch(x, y)
    scales, before = [model.state["optimizer.loss_scale"]], model.get_weights()
    assert scales[0] == first / 2
    for _ in range(20):
        model.train_on_batch(x, y)
        scales.append(model.state["optimizer.loss_scale"])
        moved = any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
        assert moved == (scales[-1] >= scales[-2])
        before = model.get_weights()
    assert any(b == a for a, b in pairwise(scales))
    assert any(b == 2 * a for a, b in pairwise(scales))


def test_compile_wraps_the_optimizer_once() -> None:
    layers, x, _ = CASES["dense"]
    model = compiled(layers, optim.LossScaleOptimizer(optim.SGD(0.1), initial_scale=8.0), mixed_precision=True)
    model.train_on_batch(x, np.arange(len(x)) % 3)
    assert model.state["optimizer.loss_scale"] == 8.0
    assert model.state["optimizer.learning_rate"] == np.float32(0.1)


def test_operators_between_layers_stay_float32() -> None:
    inputs = ox.Input((10,))
    hidden = nn.Dense(8)(inputs)
    model = ox.Model(inputs, nn.Dense(3, activation="softmax")(hidden * 0.5 + nn.Dense(8)(inputs)))
    model.compile("adam", "sparse_categorical_crossentropy", mixed_precision=True, device="cpu")
    y = np.arange(len(TABLE)) % 3
    first = model.train_on_batch(TABLE, y)
    for _ in range(20):
        last = model.train_on_batch(TABLE, y)
    assert last < first
