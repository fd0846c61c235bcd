"""SavedModels without TensorFlow, and layers models of TensorFlow.js."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import onnxdl as ox
from tests.keras_backend import keras as keras_module

FIXTURE = Path(__file__).parent / "fixtures" / "saved_model"


def reference() -> tuple[list[np.ndarray], np.ndarray]:
    with np.load(FIXTURE.with_suffix(".npz")) as stored:
        return [stored["a"], stored["b"]], stored["y"]


def test_a_saved_model_becomes_layers_that_compute_the_same_and_train() -> None:
    x, y = reference()
    model = ox.load(FIXTURE)
    np.testing.assert_allclose(model.predict(x, verbose=0), y, rtol=1e-5, atol=1e-6)
    assert model.get_layer("bn").moving_mean.value.std() > 0
    model.compile("adam", "mse")
    losses = [model.train_on_batch(x, np.ones_like(y)) for _ in range(10)]
    assert losses[-1] < losses[0]


def test_damage_of_a_saved_model_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(FIXTURE, folder)
    index = folder / "variables" / "variables.index"
    whole, rng = index.read_bytes(), np.random.default_rng(0)
    for _ in range(40):
        data = bytearray(whole)
        data[int(rng.integers(len(data)))] = int(rng.integers(256))
        index.write_bytes(bytes(data))
        with contextlib.suppress(ox.OnnxdlError):  # anything else fails the test
            ox.load(folder)
    index.write_bytes(whole[:-1])
    with pytest.raises(ox.FormatError, match=r"variables\.index is no index of a TensorFlow checkpoint"):
        ox.load(folder)
    index.unlink()
    with pytest.raises(ox.FormatError, match=r"holds no variables\.index"):
        ox.load(folder)
    (folder / "keras_metadata.pb").unlink()
    with pytest.raises(ox.ConversionError, match="needs TensorFlow and tf2onnx"):
        ox.load(folder)


def tfjs(folder: Path, quantize: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Writes what the tfjs converter writes for a small net; returns an input and what Keras computes."""
    keras = keras_module()
    layers = [keras.layers.Conv2D(4, 3, activation="relu", name="conv"), keras.layers.BatchNormalization(name="norm")]
    layers += [keras.layers.Flatten(name="flat"), keras.layers.Dense(3, name="out")]
    model = keras.Sequential([keras.Input((6, 6, 1)), *layers])
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.1, 0.5, weight.shape))
    manifest, data = [], b""
    for layer in model.layers:
        for weight in layer.weights:
            array = np.asarray(weight.value, np.float32)
            described = {"name": f"{layer.name}/{weight.name}", "shape": list(array.shape), "dtype": "float32"}
            if quantize:
                array = np.rint((array - 0.1) * 500).astype(np.uint8)
                weight.assign(array.astype(np.float32) / 500 + np.float32(0.1))
                described["quantization"] = {"min": 0.1, "scale": 1 / 500, "dtype": "uint8"}
            manifest.append(described)
            data += array.tobytes()
    half = len(data) // 2
    (folder / "group1-shard1of2.bin").write_bytes(data[:half])
    (folder / "group1-shard2of2.bin").write_bytes(data[half:])
    configs = [{"class_name": type(layer).__name__, "config": layer.get_config()} for layer in model.layers]
    configs[0]["config"]["batch_input_shape"] = [None, 6, 6, 1]
    for config in configs:
        config["config"]["dtype"] = "float32"
    topology = {"keras_version": "2.15.0", "model_config": {"class_name": "Sequential", "config": {"name": "net", "layers": configs}}}
    weights = [{"paths": ["group1-shard1of2.bin", "group1-shard2of2.bin"], "weights": manifest}]
    text = json.dumps({"format": "layers-model", "modelTopology": topology, "weightsManifest": weights})
    (folder / "model.json").write_text(text)
    x = rng.normal(size=(2, 6, 6, 1)).astype(np.float32)
    return x, model.predict(x, verbose=0)


@pytest.mark.parametrize("quantize", [False, True], ids=["float32", "uint8"])
def test_a_tfjs_model_computes_what_keras_computes(tmp_path: Path, quantize: bool) -> None:
    x, y = tfjs(tmp_path, quantize)
    np.testing.assert_allclose(ox.load(tmp_path / "model.json").predict(x, verbose=0), y, rtol=1e-5, atol=1e-5)


def test_a_tfjs_model_stays_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    tfjs(tmp_path / "inner")
    (tmp_path / "secret.bin").write_bytes(b"0" * 10000)
    file = tmp_path / "inner" / "model.json"
    whole = file.read_text()
    file.write_text(whole.replace("group1-shard1of2.bin", "../secret.bin"))
    with pytest.raises(ox.FormatError, match=r"refers to \.\./secret\.bin, outside of its folder"):
        ox.load(file)
    file.write_text(whole.replace("group1-shard2of2.bin", "group1-shard9of2.bin"))
    with pytest.raises(ox.FormatError, match=r"there is no group1-shard9of2\.bin beside it"):
        ox.load(file)
