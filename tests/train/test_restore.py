"""A saved model, loaded: the same layers, compiled alike, and training that goes on bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

import onnxdl as ox
from onnxdl import nn, op, optim
from onnxdl.errors import TrainingError
from onnxdl.optim.schedules import CosineDecay, WarmUp

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(24, 4)).astype(np.float32), RNG.integers(0, 3, 24)


def stacked() -> ox.Model:
    return ox.Sequential(
        [
            ox.Input((4,)),
            nn.Dense(6, activation="relu", kernel_regularizer="l2", bias_constraint="non_neg"),
            nn.Dropout(0.3),
            nn.BatchNormalization(),
            nn.Dense(3, activation="softmax"),
        ]
    )


def functional() -> ox.Model:
    x = ox.Input((4,), name="x")
    shared = nn.Dense(4, name="shared")
    hidden = nn.Dense(4, activation="tanh")(x)
    hidden = shared(hidden) + shared(nn.Dropout(0.2)(hidden)) * 2.0
    return ox.Model(x, nn.Dense(3, activation="softmax")(hidden), name="functional")


def with_code() -> ox.Model:
    """One that is no configuration: its graph and its own train step are all that the file says."""
    x = ox.Input((4,))
    hidden = nn.Lambda(lambda t: op.Relu(t) * 2.0)(nn.Dropout(0.4)(nn.Dense(5)(x)))
    return ox.Model(x, nn.Dense(3, activation="softmax")(hidden))


OPTIMIZERS: dict[str, Callable[[], optim.Optimizer]] = {
    "schedule": lambda: optim.AdamW(WarmUp(CosineDecay(0.01, 50), 3), clipnorm=1.0),
    "momentum": lambda: optim.SGD(0.1, momentum=0.9, use_ema=True, gradient_accumulation_steps=2),
    "groups": lambda: optim.MultiOptimizer(optim.OptimizerMap(optim.Adam(0.01), {r"dense\..*": optim.SGD(0.1, momentum=0.5)})),
}


def trained(make: Callable[[], ox.Model], optimizer: optim.Optimizer, **options: bool) -> ox.Model:
    ox.set_seed(1)
    model = make()
    loss = nn.losses.SparseCategoricalCrossentropy(reduction="sum")
    model.compile(optimizer, loss, metrics=["accuracy", nn.metrics.SparseTopKCategoricalAccuracy(2)], device="cpu", **options)
    model.fit(X, Y, batch_size=8, epochs=1, verbose=0)
    return model


@pytest.mark.parametrize(
    ("make", "optimizer", "options"),
    [
        (stacked, "schedule", {}),
        (functional, "momentum", {}),
        (functional, "groups", {"mixed_precision": True}),
        (with_code, "momentum", {}),
    ],
)
def test_training_goes_on_as_without_the_file(
    make: Callable[[], ox.Model], optimizer: str, options: dict[str, bool], tmp_path: Path
) -> None:
    model = trained(make, OPTIMIZERS[optimizer](), **options)
    model.save(tmp_path / "model.onnx")
    again = ox.load(tmp_path / "model.onnx")
    again.move_to("cpu")
    if make is not with_code:
        assert again.get_config() == model.get_config() and [type(a) for a in again.layers] == [type(b) for b in model.layers]
    assert again.optimizer is not None and model.optimizer is not None
    assert again.optimizer.get_config() == model.optimizer.get_config()
    assert again.optimizer.iterations == model.optimizer.iterations > 0
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    logs = [m.fit(X, Y, batch_size=8, epochs=2, initial_epoch=1, verbose=0).history for m in (model, again)]
    assert logs[0] == logs[1]
    assert set(model.state) == set(again.state)
    for name, array in model.state.items():
        np.testing.assert_array_equal(again.state[name], array, err_msg=name)


def test_frozen_layers_stay_frozen(tmp_path: Path) -> None:
    ox.set_seed(0)
    model = stacked()
    model.layers[0].trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy", device="cpu")
    model.fit(X, Y, epochs=1, verbose=0)
    model.save(tmp_path / "model.onnx")
    again = ox.load(tmp_path / "model.onnx")
    before = again.layers[0].get_weights()
    again.fit(X, Y, epochs=1, verbose=0)
    for a, b in zip(again.layers[0].get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def own_loss(y_true: ox.Tensor, y_pred: ox.Tensor) -> ox.Tensor:
    return op.ReduceMean((y_true - y_pred) ** 2, [-1], keepdims=0)


UNSAVED = {
    "loss": (lambda: optim.SGD(0.1), own_loss, "'own_loss' is a function of your own"),
    "schedule": (lambda: optim.SGD(lambda step: step * 0.0 + 0.1), "mse", "the function '<lambda>' cannot be written down"),
}


@pytest.mark.parametrize("case", UNSAVED)
def test_what_cannot_be_written_down_is_asked_for_at_fit(case: str, tmp_path: Path) -> None:
    optimizer, loss, words = UNSAVED[case]
    model = ox.Sequential([ox.Input((4,)), nn.Dense(1)])
    model.compile(optimizer(), loss, device="cpu")
    model.fit(X, Y, epochs=1, verbose=0)
    model.save(tmp_path / "model.onnx")
    again = ox.load(tmp_path / "model.onnx")
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    with pytest.raises(TrainingError, match=words):
        again.fit(X, Y, epochs=1, verbose=0)
    again.compile("adam", "mse", device="cpu")
    again.fit(X, Y, epochs=1, verbose=0)


def test_a_file_that_a_tool_changed_is_its_graph(tmp_path: Path) -> None:
    """What the metadata says of layers no longer holds then."""
    model = ox.Sequential([ox.Input((4,)), nn.Dense(3, activation="relu")])
    model.ensure_built()
    model.save(tmp_path / "model.onnx")
    proto = onnx.load(tmp_path / "model.onnx")
    assert type(ox.load(tmp_path / "model.onnx").layers[0]) is nn.Dense
    (relu,) = [node for node in proto.graph.node if node.op_type == "Relu"]
    relu.op_type = "Neg"
    onnx.save(proto, tmp_path / "model.onnx")
    dense = X @ model.get_weights()[0]
    np.testing.assert_allclose(ox.load(tmp_path / "model.onnx").predict(X, verbose=0), -dense, rtol=1e-5, atol=1e-5)


def test_inputs_may_be_called_what_a_step_calls_its_own(tmp_path: Path) -> None:
    names = ["step", "seed", "target", "loss", "accuracy", "sample_weight"]
    inputs = [ox.Input((3,), name=name) for name in names]
    ox.set_seed(0)
    model = ox.Model(inputs, nn.Dense(3, activation="softmax")(nn.Dropout(0.2)(nn.concatenate(inputs))))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], device="cpu")
    x = {name: RNG.normal(size=(24, 3)).astype(np.float32) for name in names}
    model.fit(x, Y, sample_weight=np.ones(24), epochs=1, verbose=0)
    model.save(tmp_path / "model.onnx")
    again = ox.load(tmp_path / "model.onnx")
    assert [s.name for s in again.input_specs] == names
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.fit(x, Y, epochs=2, verbose=0).history == model.fit(x, Y, epochs=2, verbose=0).history
    model.export(tmp_path, format="train-step")
    step = onnx.load(tmp_path / "train_step.onnx")
    listed = next(p.value for p in step.metadata_props if p.key == "onnxdl.inputs").split("\n")
    assert listed == [f"{name}_" for name in names] and set(listed) < {v.name for v in step.graph.input}


def test_a_weight_that_takes_a_step_s_name_is_named() -> None:
    class Named(nn.Layer):
        scoped = False

        def build(self, input_shape: tuple[int | None, ...]) -> None:
            self.step = self.add_weight(name="step", shape=(3,), initializer="ones")

        def call(self, x: ox.Tensor) -> ox.Tensor:
            return x * self.step

    model = ox.Sequential([ox.Input((3,)), Named()])
    model.compile("sgd", "mse", device="cpu")
    with pytest.raises(TrainingError, match="a weight is called 'step'"):
        model.fit(X[:, :3], X[:, :3], epochs=1, verbose=0)
