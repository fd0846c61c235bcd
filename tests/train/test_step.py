"""The train step: PyTorch is the oracle of the arithmetic, plain onnxruntime of the protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import onnxdl as ox
from onnxdl import nn, op, optim

N = 24


def images(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(N, 2, 6, 6)).astype(np.float32), rng.integers(0, 3, N)


def convnet(dropout: float = 0.0) -> ox.Model:
    ox.set_seed(3)
    return ox.Sequential(
        [
            ox.Input((2, 6, 6)),
            nn.Conv2D(4, 3, padding="same", use_bias=False),
            nn.BatchNormalization(momentum=0.9, epsilon=1e-5),
            nn.Activation("relu"),
            nn.MaxPooling2D(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Dense(3, activation="softmax"),
        ]
    )


def torch_convnet(model: ox.Model) -> Any:
    torch = pytest.importorskip("torch", reason="the oracle")
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(4, momentum=0.1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(36, 3),
    )
    state = {name: torch.from_numpy(array) for name, array in model.state.items()}
    with torch.no_grad():
        layers[0].weight.copy_(state["conv2d.kernel"])
        layers[5].weight.copy_(state["dense.kernel"].T)
        layers[5].bias.copy_(state["dense.bias"])
    return layers


OPTIMIZERS = {
    "sgd": (lambda: optim.SGD(0.1), lambda torch, p: torch.optim.SGD(p, 0.1)),
    "momentum": (lambda: optim.SGD(0.1, momentum=0.9), lambda torch, p: torch.optim.SGD(p, 0.1, momentum=0.9)),
    "nesterov": (
        lambda: optim.SGD(0.1, momentum=0.9, nesterov=True),
        lambda torch, p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    ),
    "adam": (lambda: optim.Adam(0.01, epsilon=1e-9), lambda torch, p: torch.optim.Adam(p, 0.01, eps=1e-9)),
}


@pytest.mark.parametrize(("ours", "theirs"), OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_a_convnet_trains_as_in_pytorch(ours: Any, theirs: Any) -> None:
    torch = pytest.importorskip("torch", reason="the oracle")
    model = convnet()
    model.ensure_built()
    reference = torch_convnet(model)
    model.compile(ours(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    optimizer = theirs(torch, reference.parameters())
    for k in range(10):
        x, y = images(k)
        loss = torch.nn.functional.cross_entropy(reference(torch.from_numpy(x)), torch.from_numpy(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert model.train_on_batch(x, y, return_dict=True)["loss"] == pytest.approx(loss.item(), rel=2e-4)
    state = model.state
    np.testing.assert_allclose(state["conv2d.kernel"], reference[0].weight.detach(), rtol=1e-3, atol=2e-4)
    np.testing.assert_allclose(state["dense.kernel"].T, reference[5].weight.detach(), rtol=1e-3, atol=2e-4)
    np.testing.assert_allclose(state["batch_normalization.moving_mean"], reference[1].running_mean, rtol=1e-3, atol=1e-4)


def test_any_onnx_runtime_trains_with_the_exported_files(tmp_path: Path) -> None:
    model = convnet(dropout=0.3)
    model.compile(optim.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = images()
    model.ensure_targets(y)
    ox.set_seed(0)
    model.export(tmp_path, format="train-step")
    for name in ("train_step", "init", "predict"):
        proto = onnx.load(tmp_path / f"{name}.onnx")
        onnx.checker.check_model(proto, full_check=True)
        assert {i.domain for i in proto.opset_import} == {""}
    step, init, predict = (ort.InferenceSession(tmp_path / f"{n}.onnx") for n in ("train_step", "init", "predict"))
    state = dict(zip([o.name for o in init.get_outputs()], init.run(None, {"seed": np.array(0)}), strict=True))
    outputs = [o.name for o in step.get_outputs()]
    assert {f"next/{name}" for name in state} == {o for o in outputs if o.startswith("next/")}
    model.load_state(state)
    losses = []
    for _ in range(20):
        results = dict(zip(outputs, step.run(None, {"input": x, "target": y, **state}), strict=True))
        state = {n.removeprefix("next/"): v for n, v in results.items() if n.startswith("next/")}
        losses.append(float(results["loss"]))
        assert model.train_step()(x, y)["loss"] == losses[-1]
    assert losses[-1] < losses[0] / 2
    for name, array in model.state.items():
        np.testing.assert_array_equal(array, state[name])
    assert predict.run(None, {"input": x})[0].shape == (N, 3)


def test_the_saved_file_predicts_the_same_in_plain_onnxruntime(tmp_path: Path) -> None:
    model = convnet(dropout=0.3)
    model.compile(optim.Adam(0.01), "sparse_categorical_crossentropy")
    x, y = images()
    model.fit(x, y, epochs=3, verbose=0)
    model.save(tmp_path / "model.onnx")
    (plain,) = ort.InferenceSession(tmp_path / "model.onnx").run(None, {"input": x})
    np.testing.assert_allclose(model.predict(x), plain, rtol=1e-5, atol=1e-6)


def test_two_traces_agree_on_the_names_of_the_state() -> None:
    model = convnet(dropout=0.5)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.train_on_batch(*images())
    first = [v.name for v in model.train_step().program.graph.inputs]
    model.programs.clear()
    assert [v.name for v in model.train_step().program.graph.inputs] == first


def test_dropout_drops_other_units_at_each_step_and_repeats_from_its_state() -> None:
    model = convnet(dropout=0.5)
    model.compile(optim.SGD(1e-8), "sparse_categorical_crossentropy")
    x, y = images()
    a, b = model.train_on_batch(x, y, return_dict=True)["loss"], model.train_on_batch(x, y, return_dict=True)["loss"]
    assert a != b
    state = model.state
    c = model.train_on_batch(x, y, return_dict=True)["loss"]
    model.load_state(state)
    assert model.train_on_batch(x, y, return_dict=True)["loss"] == c


def test_frozen_layers_stay() -> None:
    model = convnet()
    model.layers[0].trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    model.ensure_built()
    before = model.state["conv2d.kernel"]
    model.train_on_batch(*images())
    np.testing.assert_array_equal(model.state["conv2d.kernel"], before)
    assert not any("momentum" in n or n.startswith("optimizer.m.conv2d.") for n in model.state)


def test_two_models_share_layers_and_train_in_turn() -> None:
    """A generator and a discriminator: each step changes its own weights only, both see the other's latest."""
    generator = ox.Sequential([ox.Input((2,)), nn.Dense(8, activation="relu"), nn.Dense(1)], name="generator")
    discriminator = ox.Sequential([ox.Input((1,)), nn.Dense(8, activation="relu"), nn.Dense(1)], name="discriminator")
    discriminator.compile(optim.Adam(0.01), _with_logits)
    z = ox.Input((2,), name="z")
    discriminator.trainable = False
    gan = ox.Model(z, discriminator(generator(z)))
    gan.compile(optim.Adam(0.01), _with_logits)
    noise = np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32)
    real = np.ones((16, 1), np.float32)
    for _ in range(5):
        fake = generator.predict(noise)
        before = generator.get_weights()
        discriminator.train_on_batch(np.concatenate([fake, fake + 3]), np.repeat([0.0, 1.0], 16)[:, None].astype(np.float32))
        np.testing.assert_array_equal(generator.get_weights()[0], before[0])
        kept = discriminator.get_weights()
        gan.train_on_batch(noise, real)
        np.testing.assert_array_equal(discriminator.get_weights()[0], kept[0])
        assert (generator.get_weights()[0] != before[0]).any()


def _with_logits(y_true: ox.Tensor, y_pred: ox.Tensor) -> ox.Tensor:
    return nn.losses.binary_crossentropy(y_true, y_pred, from_logits=True)


def test_a_custom_layer_as_a_keras_user_writes_it() -> None:
    class Scale(nn.Layer):
        def build(self, input_shape: tuple[int | None, ...]) -> None:
            self.factor = self.add_weight(name="factor", shape=(input_shape[-1],), initializer="ones", trainable=True)

        def call(self, x: ox.Tensor, training: bool = False) -> ox.Tensor:
            return x * self.factor + (100.0 if training else 0.0)

    model = ox.Sequential([ox.Input((3,)), Scale(), nn.Dense(1)])
    assert [name for name, _ in model.named_parameters()] == ["scale.factor", "dense.kernel", "dense.bias"]
    model.compile("sgd", "mse")
    loss = model.train_on_batch(np.zeros((2, 3), np.float32), np.zeros((2, 1), np.float32))
    assert loss > 1  # the training branch was taken
    assert model.predict(np.zeros((2, 3), np.float32)) == pytest.approx(model.state["dense.bias"][0])


def test_functional_models_branch_share_and_nest() -> None:
    a, b = ox.Input((4,), name="a"), ox.Input((4,), name="b")
    shared = nn.Dense(3, activation="tanh", name="shared")
    inner = ox.Sequential([ox.Input((3,)), nn.Dense(2)], name="inner")
    joined = op.Concat(inner(shared(a)), inner(shared(b)) * 2.0, axis=1)
    model = ox.Model([a, b], [nn.Dense(1, name="left")(joined), nn.Dense(2, name="right", activation="softmax")(joined)])
    assert [name for name, _ in model.named_parameters()] == [
        f"{layer}.{weight}" for layer in ("shared", "inner.dense", "left", "right") for weight in ("kernel", "bias")
    ]
    model.compile("adam", ["mse", "sparse_categorical_crossentropy"], metrics=[["mae"], ["accuracy"]])
    rng = np.random.default_rng(0)
    x = {"a": rng.normal(size=(40, 4)), "b": rng.normal(size=(40, 4))}
    y = [x["a"].sum(1), (x["b"].sum(1) > 0).astype(np.int64)]
    history = model.fit(x, y, epochs=15, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    left, right = model.predict([x["a"], x["b"]])
    assert left.shape == (40, 1) and right.shape == (40, 2)
    assert set(history) == {"loss", "left_loss", "left_mae", "right_loss", "right_accuracy"}
