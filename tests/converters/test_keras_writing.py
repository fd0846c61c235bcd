"""Keras files that we write: stock Keras opens them and computes the same, and so do we when we read them again."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn, optim
from onnxdl.converters.keras.compiling import compile_config
from onnxdl.converters.keras.compiling import optimizer_from as compile_again
from onnxdl.converters.keras.optimizer import OPTIMIZERS, from_variables, to_variables, trained_weights
from onnxdl.nn.structure import tensors_in
from tests.keras_backend import jax, keras
from tests.nn.cases import CASES, Case
from tests.nn.test_layers import arrays_for, mapped

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's variables with NumPy 2

REFUSED = {nn.Lambda, nn.Wrapper, nn.IntegerLookup}
"""What Keras cannot hold: Python code, a layer that computes nothing there; and what it runs with TensorFlow only."""
ONLY_LAST = (nn.SpatialDropout1D, nn.Cropping1D, nn.UpSampling1D)
"""What Keras has for channels_last alone."""
NOT_EQUAL = {nn.RandomCrop}
"""What does something else at inference there."""


def chosen() -> list[Case]:
    """One case of each class, and one more where its options change the weights."""
    found: dict[Any, Case] = {}
    for case in CASES:
        layer = case.make(nn)
        inner = getattr(layer, "forward_layer", None) or getattr(layer, "layer", None) or getattr(layer, "cell", None)
        form = getattr(layer, "data_format", None) if isinstance(layer, nn.Conv2D | nn.DepthwiseConv2D | nn.Conv2DTranspose) else None
        gated = getattr(layer, "use_gate", None)
        if type(layer) not in REFUSED and not (isinstance(layer, ONLY_LAST) and layer.data_format != "channels_last"):
            found.setdefault((type(layer), type(inner), form, gated), case)
    return list(found.values())


def all_layers() -> tuple[ox.Model, dict[str, np.ndarray], list[tuple[type, int]]]:
    """A model of all layers side by side, its inputs, and whose each output is."""
    given: dict[str, np.ndarray] = {}
    inputs: list[Any] = []
    outputs: list[Any] = []
    owners: list[tuple[type, int]] = []

    def placed(array: np.ndarray) -> Any:
        name = f"x{len(given)}"
        given[name] = array
        inputs.append(ox.Input(batch_shape=array.shape, dtype=str(array.dtype), name=name))
        return inputs[-1]

    for i, case in enumerate(chosen()):
        layer = case.make(nn)
        layer.name = f"layer_{i}"
        arguments = mapped(placed, arrays_for(list(case.inputs), np.random.default_rng(i)))
        result = tensors_in(layer(*arguments, **{k: mapped(placed, v) for k, v in case.keywords.items()}))
        outputs += result
        owners += [(type(layer), i)] * len(result)
    model = ox.Model(inputs, outputs, name="all")
    rng = np.random.default_rng(7)
    for name, p in model.named_parameters():
        if not isinstance(model.get_layer(name.split(".")[0]), nn.Normalization):
            p.value = abs(rng.normal(0.0, 0.5, p.shape)) + 0.5 if "variance" in name else rng.normal(0.0, 0.5, p.shape)
    return model, given, owners


def predicted(model: ox.Model, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    model.ensure_built()
    return list(dict(model.prediction().session(model.batch(given))).values())


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras draws no first weights, which costs it a compilation for each shape: the files bring theirs."""
    initializers = keras().initializers
    for kind in (initializers.VarianceScaling, initializers.Orthogonal, initializers.RandomUniform, initializers.RandomNormal):
        monkeypatch.setattr(kind, "__call__", lambda self, shape, dtype=None, **_: np.zeros(shape, "float32"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("undrawn")
def test_every_layer_goes_to_keras_and_comes_back(tmp_path: Path) -> None:
    model, given, owners = all_layers()
    expected = predicted(model, given)
    model.export(tmp_path / "all.keras", format="keras")
    ox.converters.convert(tmp_path / "all.keras", tmp_path / "all.h5")
    k = keras()
    theirs = k.models.load_model(tmp_path / "all.keras")
    found = jax().jit(lambda xs: theirs(xs, training=False))(list(given.values()))
    for (kind, i), a, b in zip(owners, expected, found, strict=True):
        if kind not in NOT_EQUAL:
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-4, err_msg=f"{kind.__name__}, layer_{i}")
    older = k.models.load_model(tmp_path / "all.h5")
    assert [type(a) for a in older.layers] == [type(a) for a in theirs.layers]
    for a, b in zip(older.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for suffix in ("keras", "h5"):
        for (kind, i), a, b in zip(owners, expected, predicted(ox.load(tmp_path / f"all.{suffix}"), given), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-6, err_msg=f"{kind.__name__}, layer_{i}")


# ---- graphs and classes ---------------------------------------------------------------------------------------------------


def graph() -> ox.Model:
    """Inputs by name, a layer called twice, a model within called twice, operations between layers, a dict of outputs."""
    words, image = ox.Input((5,), name="words"), ox.Input((8, 8, 3), name="image")
    twice = nn.Dense(4, activation="tanh", name="twice")
    inner_input = ox.Input((4,))
    inner = ox.Model(inner_input, {"b": nn.Dense(3, name="deep")(inner_input), "a": nn.Dense(3)(inner_input)}, name="inner")
    stack = ox.Sequential([ox.Input((8, 8, 3)), nn.Conv2D(4, 3, data_format="channels_last"), nn.BatchNormalization(axis=-1)], name="stack")
    states = nn.LSTM(4, return_state=True, name="lstm")(twice(twice(nn.Embedding(3, 4, name="table")(words))))
    first, second = inner(states[0]), inner(states[1])
    seen = nn.GlobalAveragePooling2D(data_format="channels_last", name="mean")(stack(image)[:, 1:, ::2])
    mixed = (first["a"] - second["b"]) / 2.0 + 1.0
    return ox.Model({"image": image, "words": words}, {"z": mixed, "second": second["a"], "seen": nn.Dense(2, name="head")(2.0**seen)})


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.usefixtures("undrawn")
def test_a_graph_goes_to_keras_and_comes_back(tmp_path: Path, suffix: str) -> None:
    model, path = graph(), tmp_path / f"graph.{suffix}"
    rng = np.random.default_rng(1)
    given = {"image": rng.normal(size=(2, 8, 8, 3)).astype(np.float32), "words": np.array([[0, 1, 2, 1, 0], [2, 2, 0, 1, 1]], np.float32)}
    expected = model.predict(given, verbose=0)
    ox.converters.registry.writer_of(path, ox.converters.CONVERTERS).write(model, path)
    theirs = keras().models.load_model(path)
    found = jax().jit(lambda x: theirs(x, training=False))(given)
    again = ox.load(path)
    read = again.predict(given, verbose=0)
    for name, array in expected.items():
        np.testing.assert_allclose(np.asarray(found[name]), array, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(read[name], array, rtol=1e-6, atol=1e-6)
    assert {n for n, _ in again.named_parameters()} == {n for n, _ in model.named_parameters()}


def test_a_file_goes_back_with_its_own_configuration(tmp_path: Path) -> None:
    k = keras()
    x = k.Input((4,), name="x")
    hidden = k.layers.Dense(3, kernel_initializer=k.initializers.VarianceScaling(2.0), name="hidden")(x)
    k.Model(x, k.layers.Dense(2, name="last")(hidden)).save(tmp_path / "a.keras")
    model = ox.load(tmp_path / "a.keras")
    model.get_layer("hidden").trainable = False
    model.get_layer("last").set_weights([np.full((3, 2), 2.0), np.ones(2)])
    model.export(tmp_path / "b.keras", format="keras")
    before, after = (json.loads(zipfile.ZipFile(tmp_path / f"{n}.keras").read("config.json")) for n in "ab")
    before["config"]["layers"][1]["config"]["trainable"] = False
    assert before["config"] == after["config"]
    theirs = k.models.load_model(tmp_path / "b.keras")
    np.testing.assert_array_equal(theirs.get_layer("last").get_weights()[0], np.full((3, 2), 2.0))
    assert len(theirs.trainable_variables) == 2


def test_weights_alone(tmp_path: Path) -> None:
    k, path = keras(), tmp_path / "w.weights.h5"
    model = ox.Sequential([ox.Input((4,)), nn.Dense(3), nn.Dense(2)])
    ox.converters.registry.writer_of(path, ox.converters.CONVERTERS).write(model, path)
    theirs = k.Sequential([k.Input((4,)), k.layers.Dense(3), k.layers.Dense(2)])
    theirs.load_weights(path)
    for a, b in zip(theirs.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


class ScaledAround(nn.Layer):
    """A layer of the user's, with an argument, a weight and an inner layer."""

    registered_name = "tests>ScaledAround"

    def __init__(self, factor: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor, self.inner = factor, nn.Dense(3)

    def build(self, input_shape: Any) -> None:
        self.gain = self.add_weight(name="gain", shape=(3,), initializer="ones")

    def call(self, x: Any) -> Any:
        return self.inner(x) * self.gain * self.factor


def register_in_keras() -> None:
    k = keras()

    @k.saving.register_keras_serializable("tests", "ScaledAround")
    class ScaledAround(k.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, factor: float, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.factor, self.inner = factor, k.layers.Dense(3)

        def build(self, input_shape: Any) -> None:
            self.gain = self.add_weight(name="gain", shape=(3,), initializer="ones")
            self.inner.build(input_shape)

        def call(self, x: Any) -> Any:
            return self.inner(x) * self.gain * self.factor


def test_a_layer_of_the_users_own_has_a_registered_name(tmp_path: Path) -> None:
    register_in_keras()
    model = ox.Sequential([ox.Input((4,)), ScaledAround(0.5, name="own")])
    model.get_layer("own").gain.value = [1.0, 2.0, 3.0]
    model.export(tmp_path / "own.keras", format="keras")
    x = np.ones((2, 4), np.float32)
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(keras().models.load_model(tmp_path / "own.keras")(x), expected, rtol=1e-6)
    np.testing.assert_allclose(ox.load(tmp_path / "own.keras").predict(x, verbose=0), expected, rtol=1e-6)


def test_a_keras_model_is_read_as_it_stands() -> None:
    k = keras()
    x = k.Input((4,))
    theirs = k.Model(x, k.layers.Dense(2, activation="tanh")(x) * 3.0)
    data = np.ones((2, 4), np.float32)
    np.testing.assert_allclose(ox.load(theirs).predict(data, verbose=0), theirs(data), rtol=1e-5)


def test_what_keras_cannot_hold_is_named_at_once(tmp_path: Path) -> None:
    x = ox.Input((4, 3))
    y = nn.SpatialDropout1D(0.1, name="drop")(nn.Lambda(lambda x: x * 2, name="double")(x))
    with pytest.raises(
        ox.ConversionError, match=r"'double' \(Lambda\) holds a Python function.*'drop' \(SpatialDropout1D\) has data_format"
    ):
        ox.Model(x, y).export(tmp_path / "a.keras", format="keras")
    ox.Sequential([ox.Input((3,)), nn.Dense(2)]).export(tmp_path / "a.onnx")
    with pytest.raises(ox.ConversionError, match="is an ONNX graph, not layers"):
        ox.Model(x, ox.converters.load(tmp_path / "a.onnx").layers[-1](x[:, 0])).export(tmp_path / "a.keras", format="keras")
    assert not list(tmp_path.glob("*.keras*"))


# ---- training goes on -----------------------------------------------------------------------------------------------------


def net(k: Any) -> Any:
    k.utils.set_random_seed(1)
    x = k.Input((6, 6, 3))
    h = k.layers.Conv2D(4, 3, activation="tanh")(x)
    h = k.layers.BatchNormalization()(k.layers.DepthwiseConv2D(2)(h))
    return k.Model(x, k.layers.Dense(2)(k.layers.GlobalAveragePooling2D()(h)))


def losses(model: Any, first: int, last: int) -> list[float]:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 8, 6, 6, 3)).astype(np.float32), rng.normal(size=(20, 8, 2)).astype(np.float32)
    return [float(np.ravel(model.train_on_batch(x[i], y[i]))[0]) for i in range(first, last)]


HALFWAY = {
    "adam": lambda o: o.Adam(0.02, amsgrad=True),
    "sgd": lambda o: o.SGD(o.schedules.ExponentialDecay(0.05, 10, 0.5), momentum=0.9, nesterov=True),
    "rmsprop": lambda o: o.RMSprop(0.01, momentum=0.5, centered=True, gradient_accumulation_steps=3),
}


@pytest.mark.parametrize("kind", HALFWAY)
@pytest.mark.usefixtures("undrawn")
def test_training_goes_on_here_and_there(tmp_path: Path, kind: str) -> None:
    k = keras()
    theirs = net(k)
    rng = np.random.default_rng(3)
    theirs.set_weights([rng.uniform(0.1, 0.6, w.shape) for w in theirs.get_weights()])
    theirs.compile(HALFWAY[kind](k.optimizers), "mse", metrics=["mae"])
    theirs.save(tmp_path / "start.keras")
    expected = losses(theirs, 0, 10)
    theirs.save(tmp_path / "half.keras")
    theirs.save(tmp_path / "half.h5")
    expected += losses(theirs, 10, 20)
    for suffix in ("keras", "h5"):
        np.testing.assert_allclose(losses(ox.load(tmp_path / f"half.{suffix}"), 10, 20), expected[10:], rtol=1e-4)
    ours = ox.load(tmp_path / "start.keras")
    found = losses(ours, 0, 10)
    ours.export(tmp_path / "ours.keras", format="keras")
    ours = k.models.load_model(tmp_path / "ours.keras")
    np.testing.assert_allclose(found + losses(ours, 10, 20), expected, rtol=1e-4)


KINDS = {
    "SGD": {"momentum": 0.9, "use_ema": True},
    "RMSprop": {"momentum": 0.5, "centered": True},
    "Adam": {"amsgrad": True, "gradient_accumulation_steps": 2},
    "AdamW": {},
    "Adamax": {},
    "Nadam": {},
    "Adagrad": {},
    "Adadelta": {},
    "Adafactor": {},
    "Lion": {},
    "Lamb": {},
    "Muon": {},
    "Ftrl": {},
}


def test_every_optimizer_is_in_the_table() -> None:
    assert set(KINDS) == {kind.__name__ for kind in OPTIMIZERS}


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_of_an_optimizer_is_that_of_keras(kind: str) -> None:
    k = keras()
    model = ox.Sequential([ox.Input((5,)), nn.Embedding(7, 4, name="table"), nn.LSTM(3), nn.Dense(2)])
    model.compile(getattr(optim, kind)(**KINDS[kind]), "mse")
    x, y = np.arange(10).reshape(2, 5) % 7, np.ones((2, 2))
    for _ in range(3):
        model.train_on_batch(x, y)
    written = to_variables(model)
    config = compile_config(model)["optimizer"]
    theirs = k.saving.deserialize_keras_object(config)
    theirs.build([k.Variable(np.zeros(w.parameter.shape, "float32"), name=w.name.replace(".", "_")) for w in trained_weights(model)])
    assert [tuple(v.shape) for v in theirs.variables] == [array.shape for _, array in written]
    before = {n: a for n, a in model.state.items() if n == "step" or n.startswith("optimizer.")}
    model.compile(compile_again(config), "mse")
    from_variables(model, [array for _, array in written])
    after = {n: a for n, a in model.state.items() if n == "step" or n.startswith("optimizer.")}
    assert set(after) == set(before)
    for name, array in before.items():
        np.testing.assert_allclose(after[name], array, rtol=1e-6, err_msg=name)


class Two(ox.Model):
    """A model without a graph: what it does is its code."""

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.first, self.last = nn.Dense(width), nn.Dense(2)

    def call(self, x: Any) -> Any:
        return self.last(self.first(x))


def test_a_subclass_goes_to_its_like_in_keras(tmp_path: Path) -> None:
    model = Two(3)
    x = np.ones((2, 4), np.float32)
    expected = model.predict(x, verbose=0)
    model.export(tmp_path / "two.keras", format="keras")
    write_in_keras()
    np.testing.assert_allclose(keras().models.load_model(tmp_path / "two.keras")(x), expected, rtol=1e-5)
    np.testing.assert_allclose(ox.load(tmp_path / "two.keras").predict(x, verbose=0), expected, rtol=1e-6)


def write_in_keras() -> None:
    k = keras()

    @k.saving.register_keras_serializable("Custom", "Two")
    class Two(k.Model):  # type: ignore[misc, name-defined]
        def __init__(self, width: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.first, self.last = k.layers.Dense(width), k.layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.last(self.first(x))


def test_a_loss_of_the_users_own_is_left_out_with_a_warning(tmp_path: Path) -> None:
    model = ox.Sequential([ox.Input((4,)), nn.Dense(2)])
    model.compile("adam", lambda y_true, y_pred: (y_true - y_pred) ** 2.0)
    with pytest.warns(UserWarning, match="written without its training: .* is Python code of your own"):
        model.export(tmp_path / "a.keras", format="keras")
    assert not ox.load(tmp_path / "a.keras").is_compiled
