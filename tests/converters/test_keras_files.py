"""Keras files that are damaged, hostile or ask for what there is not: each ends in one of our errors, and nothing is run."""

from __future__ import annotations

import copy
import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import onnxdl as ox
from onnxdl.converters.keras.functional import model_of
from onnxdl.converters.keras.reading import model_from_config
from tests.converters.test_keras_reading import unpacked

NAME = "keras2_2.21_sequence"


def layer(kind: str, name: str, **options: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": kind, "config": {"name": name, "trainable": True, **options}, "registered_name": None}


def stack(*layers: dict[str, Any], shape: tuple[int | None, ...] = (None, 4)) -> dict[str, Any]:
    first = {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": list(shape), "dtype": "float32", "name": "x"}}
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "stack", "layers": [first, *layers]}}


def archive(path: Path, config: Any, weights: Callable[[h5py.File], None] | None = None, extra: dict[str, bytes] | None = None) -> Path:
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        if weights is not None:
            weights(file)
    with zipfile.ZipFile(path, "w") as members:
        members.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        members.writestr("config.json", config if isinstance(config, bytes) else json.dumps(config))
        members.writestr("model.weights.h5", held.getvalue())
        for name, content in (extra or {}).items():
            members.writestr(name, content)
    return path


def dense(file: h5py.File) -> None:
    group = file.create_group("layers/dense/vars")
    group["0"], group["1"] = np.ones((4, 2), np.float32), np.zeros(2, np.float32)


DENSE = stack(layer("Dense", "d", units=2))


def test_the_crafted_archive_itself_is_sound(tmp_path: Path) -> None:
    model = ox.load(archive(tmp_path / "sound.keras", DENSE, dense))
    np.testing.assert_array_equal(model.predict(np.ones((3, 4), np.float32), verbose=0), np.full((3, 2), 4.0))


# ---- hostile ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../escape.txt", "/etc/escape", "a\\..\\..\\escape", "C:/escape"])
def test_members_that_leave_the_archive_are_refused(name: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "slip.keras", DENSE, dense, {name: b"x"})
    with pytest.raises(ox.FormatError, match=r"slip\.keras is damaged .* leads out of the archive"):
        ox.load(path)


def test_members_that_expand_without_limit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("config.json", b" " * (1 << 26))
        members.writestr("model.weights.h5", b"")
    with pytest.raises(ox.FormatError, match=r"'config\.json' would expand to 67108864 bytes"):
        ox.load(path)


def test_arrays_that_are_only_claimed_are_refused(tmp_path: Path) -> None:
    def claimed(file: h5py.File) -> None:
        file.create_dataset("layers/dense/vars/0", (1 << 30, 1 << 20), "f4", chunks=(1 << 10, 1 << 10))

    with pytest.raises(ox.FormatError, match="claims 4503599627370496 bytes, which the file does not hold"):
        ox.load(archive(tmp_path / "claim.keras", DENSE, claimed))


def test_data_in_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(64))

    def external(file: h5py.File) -> None:
        file.create_dataset("layers/dense/vars/0", (4, 2), "f4", external=[(str(tmp_path / "secret.bin"), 0, 32)])

    def linked(file: h5py.File) -> None:
        file["layers"] = h5py.ExternalLink("other.h5", "/layers")

    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((4, 2), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "data", (4, 2))
        file.create_virtual_dataset("layers/dense/vars/0", layout)

    for i, make in enumerate((external, virtual)):
        with pytest.raises(ox.FormatError, match="keeps its data in another file"):
            ox.load(archive(tmp_path / f"data{i}.keras", DENSE, make))
    with pytest.raises(ox.FormatError, match="is a link to another place"):
        ox.load(archive(tmp_path / "link.keras", DENSE, linked))


@pytest.mark.parametrize(
    ("config", "error"),
    [
        (stack(layer("Dense", "d", units=2), shape=(None, 1 << 60)), "has the shape"),
        (stack(layer("RepeatVector", "r", n=1 << 60)), "has the number"),
        (stack(layer("Dense", "d", units="many")), "cannot be made"),
        (stack(layer("Dense", "d")), "cannot be made: .*units"),
        ({"class_name": "Sequential"}, "no class_name and config"),
        ({"class_name": "Functional", "config": {"layers": 3, "input_layers": [], "output_layers": []}}, "lists no layers"),
        (b"{", r"config\.json is no JSON"),
        (b"[" * 100000, r"config\.json is no JSON"),
        (b"[]", "no JSON object"),
    ],
)
def test_configurations_that_make_no_sense_are_refused(config: Any, error: str, tmp_path: Path) -> None:
    with pytest.raises(ox.OnnxdlError, match=error):
        ox.load(archive(tmp_path / "odd.keras", config, dense))


def test_code_in_a_configuration_is_never_run(tmp_path: Path) -> None:
    code = {"class_name": "__lambda__", "config": {"value": ["4wAAAAAAAAAA", None, None]}}
    with pytest.raises(ox.ConversionError, match="never run from a file"):
        ox.load(archive(tmp_path / "code.keras", stack(layer("Lambda", "f", function=code)), dense))
    with pytest.raises(ox.ConversionError, match="never run from a file"):
        ox.load(archive(tmp_path / "code.keras", stack(layer("Dense", "d", units=code)), dense))


# ---- damaged --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_mutated_files_end_in_a_model_or_in_our_errors(suffix: str, tmp_path: Path) -> None:
    good = unpacked(f"{NAME}.{suffix}", tmp_path).read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for i in range(40):
        data = bytearray(good)
        for place in rng.integers(0, len(data), 1 + i % 8):
            data[place] = rng.integers(256)
        if i % 3 == 0:
            del data[int(rng.integers(1, len(data))) :]
        path = tmp_path / f"mutant.{suffix}"
        path.write_bytes(data)
        error = outcome(path)
        refused += error is not None
        assert error is None or str(path) in error
    assert refused >= 10


def test_mangled_configurations_end_in_a_model_or_in_our_errors(tmp_path: Path) -> None:
    with zipfile.ZipFile(unpacked("keras2_2.21_graph.keras", tmp_path)) as members:
        config, weights = json.loads(members.read("config.json")), members.read("model.weights.h5")
    chance = random.Random(0)
    values: list[Any] = [
        None,
        0,
        -1,
        1.5,
        "",
        [],
        {},
        [[]],
        "x",
        True,
        {"class_name": "Dense"},
        {"class_name": "Dense", "config": {}},
        ["x", 0, 0],
    ]
    path = tmp_path / "mangled.keras"
    refused = 0
    for _ in range(30):
        mangled = copy.deepcopy(config)
        tree, key = chance.choice(places_in(mangled))
        tree[key] = chance.choice(values)
        with zipfile.ZipFile(path, "w") as members:
            members.writestr("config.json", json.dumps(mangled))
            members.writestr("model.weights.h5", weights)
        refused += outcome(path) is not None
    assert refused >= 10


def places_in(tree: Any) -> list[tuple[Any, Any]]:
    inner = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)) if isinstance(tree, list) else []
    return [(tree, key) for key, _ in inner] + [place for _, value in inner for place in places_in(value)]


def outcome(path: Path) -> str | None:
    """The error of our own that loading ends in; None for a model. Any other error fails the test."""
    try:
        ox.load(path, compile=False)
    except ox.OnnxdlError as e:
        return str(e)
    return None


def test_what_is_no_keras_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.keras").write_bytes(b"nothing")
    with pytest.raises(ox.FormatError, match=r"text\.keras is damaged or no Keras file: it is neither a zip nor HDF5"):
        ox.load(tmp_path / "text.keras")
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file.attrs["note"] = "measurements"
    with pytest.raises(ox.ConversionError, match=r"empty\.h5: it holds weights alone; give the architecture"):
        ox.load(tmp_path / "empty.h5")


def test_weights_of_another_model_are_named(tmp_path: Path) -> None:
    model = ox.Sequential([ox.Input((4,)), ox.nn.Dense(3, name="d")])
    with pytest.raises(
        ox.ConversionError, match=r"the weight 'kernel' of Dense\('d'\) has the shape \[4, 3\], but the file holds \[4, 2\]"
    ):
        ox.load(archive(tmp_path / "w.keras", DENSE, dense), model)
    with pytest.raises(ox.ConversionError, match=r"without a partner are .*conv1d"):
        ox.load(unpacked(f"{NAME}.h5", tmp_path), model)


# ---- what there is not ----------------------------------------------------------------------------------------------------


def test_constraints_count_axes_in_our_layout(tmp_path: Path) -> None:
    def norm(axis: Any) -> dict[str, Any]:
        return {"module": "keras.constraints", "class_name": "MaxNorm", "config": {"max_value": 1.0, "axis": axis}}

    def conv(file: h5py.File) -> None:
        group = file.create_group("layers/conv1d/vars")
        group["0"], group["1"] = np.ones((3, 4, 2), np.float32), np.zeros(2, np.float32)

    made = stack(layer("Conv1D", "c", filters=2, kernel_size=3, kernel_constraint=norm([0, 1])), shape=(None, 5, 4))
    model = ox.load(archive(tmp_path / "norm.keras", made, conv))
    assert model.get_layer("c").kernel.constraint.axis == [2, 1]
    made = stack(layer("DepthwiseConv1D", "c", kernel_size=3, depthwise_constraint=norm([1])), shape=(None, 5, 4))
    with pytest.raises(ox.ConversionError, match=r"has depthwise_constraint over the axes \[1\]"):
        ox.load(archive(tmp_path / "norm.keras", made, conv))


def test_unknown_layers_are_listed_all_at_once(tmp_path: Path) -> None:
    config = stack(layer("Whirl", "a"), layer("Dense", "d", units=2), layer("Twist", "b"))
    with pytest.raises(
        ox.ConversionError, match=r"2 of its layers are not known here: 'a' \(Whirl\), 'b' \(Twist\); give .* custom_objects"
    ):
        ox.load(archive(tmp_path / "unknown.keras", config, dense))


@pytest.mark.parametrize(
    ("made", "error"),
    [
        (layer("LSTM", "r", units=2, stateful=True), r"'r' \(LSTM\) has stateful=True, which is not supported"),
        (layer("BatchNormalization", "n", renorm=True), r"'n' \(BatchNormalization\) has renorm=True"),
        (layer("Dense", "d", units=2, sparkle=7), r"'d' \(Dense\) has the option sparkle=7, which is not known here"),
        (layer("Dense", "d", units=2, quantization_config={"class_name": "Int8"}), "has quantization_config="),
        (
            layer("Dense", "d", units=2, dtype={"class_name": "QuantizedDTypePolicy", "config": {}}),
            "has the dtype policy QuantizedDTypePolicy",
        ),
        (layer("Dense", "d", units=2, activation="sparkle"), "no activation is called 'sparkle'"),
        (layer("Dense", "d", units=2, kernel_initializer={"class_name": "Sparkle", "config": {}}), "has the initializer 'Sparkle'"),
    ],
)
def test_options_that_are_not_supported_are_refused_by_name(made: dict[str, Any], error: str, tmp_path: Path) -> None:
    with pytest.raises(ox.ConversionError, match=rf"refused\.keras: .*{error}"):
        ox.load(archive(tmp_path / "refused.keras", stack(made, shape=(None, 5, 4)), dense))


def test_keras_1_words_are_understood() -> None:
    config = {
        "class_name": "Sequential",
        "config": [
            {
                "class_name": "Convolution2D",
                "config": {
                    "name": "c", "nb_filter": 3, "nb_row": 3, "nb_col": 2, "border_mode": "same", "subsample": [2, 2], "bias": True,
                    "dim_ordering": "tf", "init": "glorot_uniform", "activation": "relu", "batch_input_shape": [None, 8, 6, 2],
                    "W_regularizer": None, "b_regularizer": None, "W_constraint": None, "b_constraint": None, "trainable": True,
                },
            },
            {"class_name": "Flatten", "config": {"name": "f", "trainable": True}},
            {"class_name": "Dropout", "config": {"name": "p", "p": 0.25, "trainable": True}},
            {"class_name": "Dense", "config": {"name": "d", "output_dim": 2, "init": "uniform", "activation": "linear", "input_dim": 36}},
        ],
    }  # fmt: skip
    model = model_from_config(Path("model.json"), copy.deepcopy(config), version="1.2.2")
    assert isinstance(model, ox.Sequential)
    assert model.output_shape == (None, 2) and model.get_layer("p").rate == 0.25 and model.get_layer("c").strides == [2, 2]


def test_nodes_of_tensorflow_1_are_understood() -> None:
    def node(name: str, kind: str, constants: dict[str, Any], inputs: list[Any], **attributes: Any) -> dict[str, Any]:
        config = {"name": name, "trainable": True, "node_def": {"name": name, "op": kind, "attr": attributes}, "constants": constants}
        return {"class_name": "TensorFlowOpLayer", "config": config, "name": name, "inbound_nodes": [inputs]}

    x = {
        "class_name": "InputLayer",
        "config": {"batch_input_shape": [None, 3], "dtype": "float32", "name": "x"},
        "name": "x",
        "inbound_nodes": [],
    }
    config = {
        "class_name": "Model",
        "config": {
            "name": "m",
            "layers": [
                x,
                node("scaled", "Mul", {"1": 2.0}, [["x", 0, 0, {}]]),
                node("shifted", "Sub", {"0": 1.0}, [["scaled", 0, 0, {}]]),
                node("mean", "Mean", {"1": -1}, [["shifted", 0, 0, {}]], keep_dims={"b": True}),
                node("total", "AddV2", {}, [["mean", 0, 0, {}], ["x", 0, 0, {}]]),
            ],
            "input_layers": [["x", 0, 0]],
            "output_layers": [["total", 0, 0]],
        },
    }
    model = model_from_config(Path("model.json"), config, version="2.2.4-tf")
    given = np.array([[0.5, -1.0, 2.0]], np.float32)
    assert isinstance(model, ox.Model)
    np.testing.assert_allclose(model.predict(given, verbose=0), (1 - 2 * given).mean(-1, keepdims=True) + given, rtol=1e-6)


def test_the_reader_of_nested_models_is_the_one_of_whole_ones() -> None:
    inner = stack(layer("Dense", "d", units=2))
    model = model_from_config(Path("model.json"), stack(inner))
    assert isinstance(model, ox.Sequential) and isinstance(model.layers[0], ox.Sequential) and model.output_shape == (None, 2)
    assert callable(model_of)
