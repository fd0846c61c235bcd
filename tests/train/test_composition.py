"""Models as Keras's users take them apart: layers by name, inputs and outputs of layers, configurations, summaries."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn
from onnxdl.errors import OnnxdlError, TrainingError

X = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)


def stacked() -> ox.Sequential:
    return ox.Sequential([ox.Input((6,)), nn.Dense(4, activation="relu", name="first"), nn.Dense(3, name="second")], name="stacked")


FIRSTS = {
    "Input": lambda: [ox.Input((6,)), nn.Dense(4)],
    "InputLayer": lambda: [nn.InputLayer(shape=(6,)), nn.Dense(4)],
    "InputLayer input_shape": lambda: [nn.InputLayer(input_shape=(6,)), nn.Dense(4)],
    "InputLayer batch_shape": lambda: [nn.InputLayer(batch_shape=(None, 6)), nn.Dense(4)],
    "input_shape": lambda: [nn.Dense(4, input_shape=(6,))],
    "batch_input_shape": lambda: [nn.Dense(4, batch_input_shape=(None, 6))],
    "input_dim": lambda: [nn.Dense(4, input_dim=6)],
    "a model": lambda: [ox.Sequential([ox.Input((6,)), nn.Dense(5)]), nn.Dense(4)],
}


@pytest.mark.parametrize("first", FIRSTS)
def test_a_sequential_is_told_its_input(first: str) -> None:
    listed, added = ox.Sequential(FIRSTS[first]()), ox.Sequential()
    for layer in FIRSTS[first]():
        added.add(layer)
    for model in (listed, added):
        assert model.input_shape == (None, 6) and model.output_shape == (None, 4)
        assert not any(isinstance(layer, nn.InputLayer) for layer in model.layers)
        assert model.predict(X, verbose=0).shape == (5, 4)


def test_a_layer_of_a_model_ends_another_model() -> None:
    sequential = stacked()
    x = ox.Input((6,))
    functional = ox.Model(x, nn.Dense(3, name="second")(nn.Dense(4, activation="relu", name="first")(x)))
    for model in (sequential, functional):
        features = ox.Model(model.input, model.get_layer("first").output)
        kernel, bias = model.get_layer("first").get_weights()
        np.testing.assert_allclose(features.predict(X, verbose=0), np.maximum(X @ kernel + bias, 0), rtol=1e-5, atol=1e-6)
        rest = ox.Model(model.get_layer("second").input, model.output)
        np.testing.assert_allclose(
            rest.predict(features.predict(X, verbose=0), verbose=0), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6
        )
        assert model.get_layer(index=-1) is model.layers[-1] is model.get_layer("second")
        assert model.inputs[0] is model.input and model.outputs[0] is model.output
    assert [type(layer) for layer in functional.layers] == [nn.InputLayer, nn.Dense, nn.Dense]
    with pytest.raises(TrainingError, match="no layer is called 'third'; the model has first, second"):
        sequential.get_layer("third")
    with pytest.raises(OnnxdlError, match="no input and output yet"):
        _ = nn.Dense(3).output


def test_a_sequential_built_by_its_data_knows_its_layers_too() -> None:
    model = ox.Sequential([nn.Dense(4, name="first"), nn.Dense(2)])
    with pytest.raises(TrainingError, match="put an Input first"):
        _ = model.input
    model.predict(X, verbose=0)
    assert model.get_layer("first").output.shape[1:] == (4,) and model.input_shape == (None, 6)


def test_the_last_layer_comes_off() -> None:
    model = stacked()
    assert model.pop() is not None
    assert model.output_shape == (None, 4)
    model.add(nn.Dense(7))
    assert model.predict(X, verbose=0).shape == (5, 7)
    with pytest.raises(TrainingError, match="no layer to take off"):
        ox.Sequential().pop()


def test_configurations_make_the_same_model() -> None:
    a, b = ox.Input((6,), name="a"), ox.Input((6,), name="b")
    shared = nn.Dense(4, name="shared")
    inner = ox.Sequential([nn.Dense(3, input_dim=4)], name="inner")
    joined = nn.concatenate([inner(shared(a)), inner(shared(b)) * 2.0])
    attended = nn.MultiHeadAttention(2, 3, name="attention")(nn.Reshape((2, 3))(joined), value=nn.Reshape((2, 3))(joined))
    models = [ox.Model([a, b], {"left": nn.Dense(1)(joined), "right": nn.Flatten()(attended)}, name="joined"), stacked()]
    for model, data in zip(models, ([X, X[::-1]], X), strict=True):
        config = json.loads(json.dumps(model.get_config()))
        again = type(model).from_config(config)
        assert again.get_config() == model.get_config() and again.output_names == model.output_names
        again.ensure_built()
        again.set_weights(model.get_weights())
        found, expected = again.predict(data, verbose=0), model.predict(data, verbose=0)
        for key in found if isinstance(found, dict) else [...]:
            np.testing.assert_array_equal(found[key], expected[key])
        assert json.loads(model.to_json())["class_name"] == type(model).__name__


def test_several_outputs_have_their_layers_names() -> None:
    x = ox.Input((6,))
    model = ox.Model(x, [nn.Dense(1, name="left")(x), nn.Dense(1, name="right")(x)])
    model.compile("sgd", {"right": "mae", "left": "mse"}, metrics={"right": ["mse"]}, device="cpu")
    y = {"right": X[:, :1], "left": X[:, 1:2]}
    logs = model.evaluate(X, y, return_dict=True, verbose=0)
    left, right = model.predict(X, verbose=0)
    assert logs["left_loss"] == pytest.approx(((left - y["left"]) ** 2).mean(), rel=1e-5)
    assert logs["right_loss"] == pytest.approx(abs(right - y["right"]).mean(), rel=1e-5)
    assert logs["right_mse"] == pytest.approx(((right - y["right"]) ** 2).mean(), rel=1e-5)
    assert model.metrics_names == list(logs)
    both = ((X,), (y["left"], y["right"]))
    history = model.fit(X, y, validation_data=both, epochs=1, verbose=0).history
    assert {"left_loss", "val_left_loss", "val_right_mse"} < set(history)
    logs = model.evaluate(X, y, return_dict=True, verbose=0)
    weighted = model.evaluate(X, y, sample_weight={"right": np.zeros(5), "left": np.ones(5)}, return_dict=True, verbose=0)
    assert weighted["right_loss"] == 0 and weighted["left_loss"] == pytest.approx(logs["left_loss"], rel=1e-5)
    with pytest.raises(OnnxdlError, match="the targets are called up, down, but the outputs left, right"):
        model.evaluate(X, {"up": y["left"], "down": y["right"]}, verbose=0)


def test_summary_takes_what_keras_takes() -> None:
    lines: list[str] = []
    model = ox.Sequential([stacked(), nn.Dense(2, name="top", trainable=False)])
    model.summary(line_length=60, print_fn=lines.append, expand_nested=True, show_trainable=True)
    text = "".join(lines)
    assert text.index("stacked") < text.index("first") < text.index("second") < text.index("top")
    assert max(map(len, text.splitlines())) <= 60 and "no" in text
    lines.clear()
    model.summary(print_fn=lines.append, layer_range=["top", "top"])
    assert "top" in lines[0] and "stacked" not in lines[0]


def test_channels_stand_where_they_are_set_to() -> None:
    nn.set_image_data_format("channels_last")
    try:
        layers = [nn.Conv2D(4, 3, padding="same"), nn.BatchNormalization(), nn.MaxPooling2D(2), nn.GlobalAveragePooling2D()]
        model = ox.Sequential([ox.Input((8, 8, 3)), *layers])
        config = model.get_config()
    finally:
        nn.set_image_data_format("channels_first")
    assert [layer.output.shape[1:] for layer in model.layers] == [(8, 8, 4), (8, 8, 4), (4, 4, 4), (4,)]
    assert ox.Sequential.from_config(config).output_shape == (None, 4)
    with pytest.raises(OnnxdlError, match="'channels_first' or 'channels_last', not 'NHWC'"):
        nn.Conv2D(4, 3, data_format="NHWC")


def test_an_optimizer_shows_and_takes_its_rate_while_training() -> None:
    model = ox.Sequential([ox.Input((6,)), nn.Dense(1)])
    model.compile("sgd", "mse", device="cpu")
    assert model.optimizer is not None and model.optimizer.iterations == 0
    model.fit(X, X[:, 0], epochs=2, batch_size=5, verbose=0)
    assert model.optimizer.learning_rate == pytest.approx(0.01) and model.optimizer.iterations == 2
    model.optimizer.learning_rate = 1e-30
    before = model.get_weights()
    model.fit(X, X[:, 0], epochs=1, verbose=0)
    assert model.state["optimizer.learning_rate"] == np.float32(1e-30)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_unknown_sizes_of_inputs_without_names_are_not_one() -> None:
    encoded, decoded = ox.Input((None, 3)), ox.Input((None, 2))
    _, *states = nn.LSTM(4, return_state=True)(encoded)
    model = ox.Model([encoded, decoded], nn.Dense(1)(nn.LSTM(4, return_sequences=True)(decoded, initial_state=states)))
    assert [s.shape[1] for s in model.input_specs] == ["input_dim_1", "input_1_dim_1"]
    model.compile("sgd", "mse", device="cpu")
    data = [np.ones((4, 7, 3), np.float32), np.ones((4, 5, 2), np.float32)]
    model.fit(data, np.ones((4, 5, 1)), epochs=1, verbose=0)
    assert model.predict(data, verbose=0).shape == (4, 5, 1)


def test_as_many_metrics_as_outputs_are_one_each() -> None:
    x = ox.Input((6,))
    model = ox.Model(x, [nn.Dense(1, name="left")(x), nn.Dense(1, name="right")(x)])
    for metrics, names in ((["mae", "mse"], {"left_mae", "right_mse"}), (["mae", "mae"], {"left_mae", "right_mae"})):
        model.compile("sgd", "mse", metrics=metrics, device="cpu")
        logs = model.evaluate(X, [X[:, :1], X[:, :1]], return_dict=True, verbose=0)
        assert set(logs) == {"loss", "left_loss", "right_loss"} | names


def test_weights_alone_go_through_a_file(tmp_path: Path) -> None:
    model, other = stacked(), stacked()
    model.save_weights(tmp_path / "w.safetensors")
    other.set_weights([w * 0 for w in model.get_weights()])
    other.load_weights(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))
    with pytest.raises(OnnxdlError, match="overwrite=True replaces it"):
        model.save_weights(tmp_path / "w.safetensors", overwrite=False)
    with pytest.raises(OnnxdlError, match=r"as \.safetensors, not w\.weights\.h5"):
        model.save_weights(tmp_path / "w.weights.h5")
