"""Keras files read without Keras: of versions 2.13, 2.21 and 3.15, against what Keras computed, which the fixtures hold."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn, op
from onnxdl.converters.keras.functions import FUNCTIONS
from onnxdl.converters.keras.layers import ENTRIES
from onnxdl.converters.keras.operations import Operation
from onnxdl.nn.layer import Layer
from tests.benchmarks.keras_applications import checked
from tests.converters.fixtures.make_keras3 import ALONE
from tests.keras_backend import keras

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3.15 on NumPy 2
FIXTURES = Path(__file__).parent / "fixtures"
OLD = [p.name.removesuffix(".npz") for p in sorted(FIXTURES.glob("keras2_*.npz"))]
NEW = [p.name.removesuffix(".npz") for p in sorted(FIXTURES.glob("keras3_*.npz"))]

ALIASES = {"Abs", "Norm", "Ravel", "Sparsemax", "SquaredDifference", "Vstack"}
"""What has another name in Keras 3, is TensorFlow's, joins the samples of a batch, or goes wrong in Keras 3.15 on JAX itself: Norm
fails there, and Sparsemax of three axes does not add up to one."""


def unpacked(name: str, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(gzip.decompress((FIXTURES / f"{name}.gz").read_bytes()))
    return path


def arrays(name: str, letter: str) -> list[np.ndarray]:
    with np.load(FIXTURES / f"{name}.npz") as held:
        return [held[f"{letter}{i}"] for i in range(sum(key.startswith(letter) and key[1:].isdigit() for key in held))]


def compare(model: ox.Model, name: str) -> None:
    inputs, expected = arrays(name, "x"), arrays(name, "y")
    found = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    outputs = found if isinstance(found, list) else [found]
    for i, (a, b) in enumerate(zip(outputs, expected, strict=True)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5, err_msg=f"output {i}: {model.output_names[i]}")


# ---- whole models and weights alone, of three versions ----------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("name", OLD + NEW)
def test_a_file_computes_what_keras_computed(name: str, suffix: str, tmp_path: Path) -> None:
    compare(ox.load(unpacked(f"{name}.{suffix}", tmp_path)), name)


@pytest.mark.parametrize("suffix", ["weights.h5", "old.h5"])
@pytest.mark.parametrize("name", [n for n in OLD if "2.13" in n])
def test_weights_alone_go_into_an_architecture(name: str, suffix: str, tmp_path: Path) -> None:
    model = ox.load(unpacked(f"{name}.h5", tmp_path), compile=False)
    given = {id(p) for layer in model.layers_below() if isinstance(layer, nn.Normalization) for p in layer.weights}
    for parameter in model.weights:
        if id(parameter) not in given:  # Keras keeps these in the configuration
            parameter.value = np.zeros(parameter.shape)
    assert ox.load(unpacked(f"{name}.{suffix}", tmp_path), model) is model
    compare(model, name)


def test_every_layer_of_keras_is_in_a_file_of_keras_3(tmp_path: Path) -> None:
    models = [ox.load(unpacked(f"{name}.keras", tmp_path)) for name in NEW]
    seen = {type(layer) for model in models for layer in model.layers_below()}
    public = {getattr(nn, name) for name in nn.__all__}
    every = {c for c in public if isinstance(c, type) and issubclass(c, Layer) and c is not Layer}
    assert every - seen <= set(ALONE)
    assert {c.__name__ for c in every} <= set(ENTRIES)


def test_every_operation_is_in_a_file_of_keras_3(tmp_path: Path) -> None:
    model = ox.load(unpacked("keras3_operations.keras", tmp_path))
    seen = {layer.operation for layer in model.layers if isinstance(layer, Operation)}
    assert set(FUNCTIONS) - seen == ALIASES


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("version", ["2.13", "2.21"])
def test_a_half_trained_model_goes_on_as_it_would_have(version: str, suffix: str, tmp_path: Path) -> None:
    name = f"keras2_{version}_sequence"
    model = ox.load(unpacked(f"{name}.{suffix}", tmp_path))
    with np.load(FIXTURES / f"{name}.npz") as held:
        x, y, losses = held["x0"], held["target"], held["loss"]
    found = [model.train_on_batch(x, y)[0] for _ in losses]
    np.testing.assert_allclose(found, losses, rtol=2e-3)


# ---- against stock Keras ----------------------------------------------------------------------------------------------


def both(model: Any, inputs: Any, path: Path, **options: Any) -> ox.Model:
    """Our model of Keras's, which computes the same."""
    model.save(path)
    ours = ox.load(path, **options)
    expected, found = model(inputs, training=False), ours.predict(inputs, verbose=0)
    expected = list(expected.values()) if isinstance(expected, dict) else expected if isinstance(expected, list | tuple) else [expected]
    found = list(found.values()) if isinstance(found, dict) else found if isinstance(found, list) else [found]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-4, atol=1e-5)
    return ours


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1.5, 1.5, shape).astype(np.float32)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_graphs_nest_share_branch_and_count(suffix: str, tmp_path: Path) -> None:
    K = keras()
    L = K.layers
    a, b = L.Input((4,), name="a"), L.Input((4,), name="b")
    shared = L.Dense(4, name="shared")
    h = shared(a) + shared(b) * 2.0
    h = K.ops.mean(h, axis=1, keepdims=True) + h[:, 1:3]
    h = K.ops.concatenate([h, 1 - h], axis=-1)
    stack = K.Sequential([L.Input((4,)), L.Dense(3), L.BatchNormalization()])
    x = L.Input((4,))
    pair = K.Model(x, {"wide": L.Dense(3)(x), "small": L.Dense(2)(x)})
    one, two = pair(h), pair(a)
    model = K.Model({"a": a, "b": b}, {"x": stack(h), "y": L.Add()([one["small"], two["small"]]), "z": two["wide"] * one["wide"]})
    ours = both(model, {"a": numbers(5, 4), "b": numbers(5, 4) * 2}, tmp_path / f"graph{suffix}")
    assert sorted(ours.output_names) == ["x", "y", "z"]
    assert {layer.name for layer in model.layers} <= {layer.name for layer in ours.layers}
    assert [s.name for s in ours.input_specs] == ["a", "b"]


def test_a_layer_shared_by_nested_models_stays_one(tmp_path: Path) -> None:
    K = keras()
    L = K.layers
    shared = L.Dense(3, name="shared")
    a, b, x = L.Input((3,)), L.Input((3,)), L.Input((3,))
    one, two = K.Model(a, shared(a)), K.Model(b, L.Activation("tanh")(shared(b)))
    K.Model(x, L.Concatenate()([one(x), two(one(x))])).save(tmp_path / "shared.keras")
    model = ox.load(tmp_path / "shared.keras")
    assert len(model.weights) == 2
    np.testing.assert_array_equal(model.weights[0].value, np.asarray(shared.kernel))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV3Small", "ConvNeXtTiny"])
def test_architectures_of_keras_applications(name: str, tmp_path: Path) -> None:
    told = list(checked(keras(), name, tmp_path, 5))
    assert told[-1] == "ok", told


class Scaled(nn.Layer):
    """As a user of Keras would have written it."""

    def __init__(self, factor: float = 1.0, inner: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor, self.inner = factor, inner

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")

    def call(self, x: Any) -> Any:
        return self.inner(x * self.scale * self.factor)


class Tower(ox.Model):
    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.blocks = [nn.Dense(width, activation="tanh"), nn.Dense(width)]
        self.head = nn.Dense(2)

    def call(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def test_custom_layers_and_subclassed_models_by_their_classes(tmp_path: Path) -> None:
    K = keras()

    @K.saving.register_keras_serializable("pkg", "Grown")
    class Grown(K.layers.Layer):
        def __init__(self, factor: float = 1.0, inner: Any = None, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.factor, self.inner = factor, inner

        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(name="scale", shape=(shape[-1],), initializer="random_normal")
            self.inner.build(shape)

        def call(self, x: Any) -> Any:
            return self.inner(x * self.scale * self.factor)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "factor": self.factor, "inner": K.saving.serialize_keras_object(self.inner)}

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            return cls(**{**config, "inner": K.saving.deserialize_keras_object(config["inner"])})

    class KerasTower(K.Model):
        def __init__(self, width: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.width, self.blocks = width, [K.layers.Dense(width, activation="tanh"), K.layers.Dense(width)]
            self.head = K.layers.Dense(2)

        def call(self, x: Any) -> Any:
            for block in self.blocks:
                x = block(x)
            return self.head(x)

        def get_config(self) -> dict[str, Any]:
            return {"width": self.width, "name": self.name}

    x = K.Input((4,))
    grown = K.Model(x, Grown(3.0, K.layers.Dense(2), name="grown")(x))
    ours = both(grown, numbers(3, 4), tmp_path / "custom.keras", custom_objects={"pkg>Grown": Scaled})
    assert isinstance(ours.get_layer("grown"), Scaled)
    with pytest.raises(ox.ConversionError, match=r"custom\.keras: 1 of its layers are not known here: 'grown' \(pkg>Grown\)"):
        ox.load(tmp_path / "custom.keras")
    tower = KerasTower(3)
    tower(numbers(2, 4))
    assert isinstance(both(tower, numbers(3, 4), tmp_path / "tower.keras", custom_objects={"KerasTower": Tower}), Tower)
    fresh = Tower(3)
    fresh.ensure_built(numbers(1, 4))
    tower.save_weights(tmp_path / "tower.weights.h5")
    ox.load(tmp_path / "tower.weights.h5", fresh)
    np.testing.assert_allclose(fresh.predict(numbers(3, 4), verbose=0), np.asarray(tower(numbers(3, 4))), rtol=1e-4, atol=1e-5)


def test_frozen_layers_policies_and_compilation_come_along(tmp_path: Path) -> None:
    K = keras()
    L = K.layers
    frozen = L.LSTM(3, name="frozen", kernel_regularizer="l2", bias_constraint=K.constraints.MaxNorm(1.5))
    frozen.trainable = False
    model = K.Sequential([L.Input((5, 4), name="steps"), frozen, L.Dense(2, name="head", dtype=K.DTypePolicy("float32"))])
    model.compile(K.optimizers.SGD(0.1, momentum=0.9), K.losses.Huber(), metrics=["mae", K.metrics.RootMeanSquaredError()])
    ours = both(model, numbers(3, 5, 4), tmp_path / "compiled.keras")
    assert [p.name for p in ours.trainable_weights] == ["kernel", "bias"]
    assert ours.compiled is not None and ours.compiled.optimizer.momentum == 0.9
    first = ours.train_on_batch(numbers(3, 5, 4), numbers(3, 2), return_dict=True)
    theirs = model.train_on_batch(numbers(3, 5, 4), numbers(3, 2), return_dict=True)
    assert set(first) == set(theirs)
    for name, value in theirs.items():
        np.testing.assert_allclose(first[name], np.asarray(value), rtol=1e-4)
    with pytest.raises(ox.TrainingError, match="compiled"):
        ox.load(tmp_path / "compiled.keras", compile=False).train_on_batch(numbers(3, 5, 4), numbers(3, 2))


def test_lambda_is_refused_with_the_way_out(tmp_path: Path) -> None:
    K = keras()
    model = K.Sequential([K.Input((4,)), K.layers.Lambda(lambda x: x * 3.0, name="tripled")])
    model.save(tmp_path / "lambda.keras")
    with pytest.raises(ox.ConversionError, match=r"Lambda layer 'tripled' .* never run .* custom_objects=\{'tripled': function\}"):
        ox.load(tmp_path / "lambda.keras")
    both(model, numbers(2, 4), tmp_path / "lambda.keras", custom_objects={"tripled": lambda x: x * 3.0})


def test_a_function_of_operators_serves_as_activation(tmp_path: Path) -> None:
    K = keras()

    @K.saving.register_keras_serializable("pkg")
    def cubed(x: Any) -> Any:
        return x * x * x

    model = K.Sequential([K.Input((4,)), K.layers.Dense(3, activation=cubed)])
    both(model, numbers(2, 4), tmp_path / "cubed.keras", custom_objects={"pkg>cubed": lambda x: op.Pow(x, 3.0)})
