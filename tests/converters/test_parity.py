"""The parity report: what is compared, by which names, with which inputs, and how it fails."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import onnxdl as ox
from onnxdl import nn
from onnxdl.cli.main import main
from onnxdl.converters import parity
from onnxdl.converters.contract import Converter


def model() -> ox.Model:
    """Two inputs, a table, a layer called twice, a nested model, a loop, several outputs."""
    words, image = ox.Input((5,), name="words"), ox.Input((8, 8, 3), name="image")
    twice = nn.Dense(4, activation="tanh", name="twice")
    inner_in = ox.Input((4,))
    inner = ox.Model(inner_in, nn.Dense(3, name="deep")(inner_in), name="inner")
    x = nn.LSTM(4, return_state=True, name="lstm")(twice(twice(nn.Embedding(3, 4, name="table")(words))))
    y = nn.GlobalAveragePooling2D(data_format="channels_last", name="mean")(image)
    return ox.Model([words, image], {"a": inner(x[0]), "b": nn.Dense(2, name="head")(y)})


def converter(change: Mapping[str, Any] | None = None) -> Converter:
    """One whose framework computes what we do, but for some changes."""

    def run(source: ox.Model, inputs: Mapping[str, np.ndarray], **options: Any) -> dict[str, np.ndarray]:
        return {**parity.activations(source, inputs)[0], **(change or {})}

    return Converter("fake", (), lambda source: False, lambda source: source, activations=run)


def test_the_inputs_are_of_the_right_kind() -> None:
    inputs = parity.random_inputs(model())
    assert inputs["words"].shape == (2, 5) and set(np.unique(inputs["words"])) <= {0.0, 1.0, 2.0}
    assert inputs["image"].shape == (2, 8, 8, 3) and len(np.unique(inputs["image"])) > 100


def test_open_sizes_are_the_same_wherever_they_have_the_same_name() -> None:
    a, b = ox.Input(("length", 3), name="a"), ox.Input(("length", 3), name="b")
    inputs = parity.random_inputs(ox.Model([a, b], nn.Add()([a, b])))
    assert inputs["a"].shape == inputs["b"].shape == (2, 8, 3)


def test_values_have_the_names_of_the_layers_that_give_them() -> None:
    source = model()
    found, kinds = parity.activations(source, parity.random_inputs(source))
    names = ["table", "twice", "twice@1", "lstm", "lstm:1", "lstm:2", "inner.deep", "inner", "mean", "head", "output.a", "output.b"]
    assert sorted(found) == sorted(names)
    assert kinds["inner.deep"] == "Dense" and kinds["output.b"] == "Output"
    np.testing.assert_array_equal(found["inner.deep"], found["output.a"])


def test_values_of_an_imported_graph_have_the_names_of_the_file(tmp_path: Path) -> None:
    model().export(tmp_path / "m.onnx")
    loaded = ox.load(tmp_path / "m.onnx")
    inputs = parity.random_inputs(loaded)
    assert set(np.unique(inputs["words"])) <= {0.0, 1.0, 2.0}
    found, kinds = parity.activations(loaded, inputs, ["twice/Tanh", "output.b", "nowhere"])
    assert list(found) == ["output.b", "twice/Tanh"] and kinds["twice/Tanh"] == "Value"
    assert found["twice/Tanh"].shape == (2, 5, 4)


def test_equal_models_are_equal_and_others_are_told_apart() -> None:
    source = model()
    assert parity.check(converter(), source, source).equal
    wrong = parity.check(converter({"twice@1": np.zeros((2, 5, 4)), "output.a": np.full((2, 3), 9.0)}), source, source)
    assert not wrong.equal and wrong.worst.name == "output.a"
    assert wrong.verdict().endswith("the first value that is off by more than 0.0001 is 'twice@1' (Dense)")
    assert any(line.startswith("twice@1") for line in wrong.lines())


@pytest.mark.parametrize("change", [{"output.a": np.full((2, 3), np.nan)}, {"output.a": np.zeros((3, 2))}])
def test_shapes_and_nan_are_differences(change: dict[str, np.ndarray]) -> None:
    source = model()
    assert parity.check(converter(change), source, source).worst.difference == np.inf


def test_stored_values_serve_where_the_framework_is_missing() -> None:
    source = model()
    inputs = parity.random_inputs(source)
    stored = {**inputs, **parity.activations(source, inputs, ["lstm", "output.b"])[0]}
    absent = Converter("fake", (), lambda source: False, lambda source: source)
    assert [row.name for row in parity.check(absent, source, source, reference=stored).rows] == ["lstm", "output.b"]
    with pytest.raises(ox.ConversionError, match="the model has no such value"):
        parity.check(absent, source, source, reference={**stored, "lstn": stored["lstm"]})
    with pytest.raises(ox.ConversionError, match="lacks the input 'image'"):
        parity.check(absent, source, source, reference={"words": inputs["words"]})
    with pytest.raises(ox.ConversionError, match="cannot be run here"):
        parity.check(absent, source, source)


def test_a_framework_that_is_not_installed_is_named() -> None:
    def run(*args: Any) -> dict[str, np.ndarray]:
        raise ModuleNotFoundError("No module named 'framework'", name="framework")

    absent = Converter("fake", (), lambda source: False, lambda source: source, activations=run)
    with pytest.raises(ox.ConversionError, match="needs framework; install it, or give stored values with --reference"):
        parity.check(absent, model(), model())


def test_the_command_line_compares_with_stored_values(tmp_path: Path) -> None:
    source = model()
    source.export(tmp_path / "a.onnx")
    inputs = parity.random_inputs(source)
    outputs = parity.activations(source, inputs, ["output.a", "output.b"])[0]
    arguments = ["convert", str(tmp_path / "a.onnx"), str(tmp_path / "b.onnx"), "--reference", str(tmp_path / "r.npz")]
    np.savez(tmp_path / "r.npz", **inputs, **outputs)
    good = CliRunner().invoke(main, arguments)
    assert good.exit_code == 0 and "against stored values" in good.output and "output.a" in good.output
    np.savez(tmp_path / "r.npz", **inputs, **{**outputs, "output.a": outputs["output.a"] + 1})
    bad = CliRunner().invoke(main, arguments)
    assert bad.exit_code == 2 and len(bad.stderr.strip().splitlines()) == 1 and "'output.a'" in bad.stderr
