"""``onnxdl check`` and ``onnxdl extract``: what they write and find, and each fault in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from click.testing import CliRunner
from onnx import helper, numpy_helper

import onnxdl as ox
from onnxdl import nn, optim
from onnxdl.cli.main import main

PROGRAMS = ["evaluate.onnx", "init.onnx", "predict.onnx", "train_step.onnx"]
X = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
Y = (X.sum(1) > 0).astype(np.int64)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model.onnx and its train-step folder."""
    folder = tmp_path_factory.mktemp("saved")
    layers = [nn.Dense(8, activation="relu", kernel_regularizer="l2"), nn.Dropout(0.1), nn.Dense(2, activation="softmax")]
    model = ox.Sequential([ox.Input((4,), name="features"), *layers])
    model.compile(optim.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.train_on_batch(X, Y)
    model.save(folder / "model.onnx")
    model.export(folder / "step", format="train-step")
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    return tmp_path


def ran(*args: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, [str(a) for a in args])
    return result.exit_code, result.stdout, result.stderr


def fault(path: Path) -> str:
    code, _, error = ran("check", path)
    assert code == 2 and error.startswith("onnxdl: ") and error.count("\n") == 1, error
    return error


def edited(file: Path, edit: Callable[[onnx.ModelProto], object]) -> Path:
    model = onnx.load(file)
    edit(model)
    onnx.save(model, file)
    return file


def test_extract_gives_the_exported_programs(folder: Path) -> None:
    assert ran("extract", folder / "model.onnx", "-o", folder / "flat") == (0, f"{folder / 'flat'}\n", "")
    assert sorted(p.name for p in (folder / "flat").iterdir()) == PROGRAMS == sorted(p.name for p in (folder / "step").iterdir())
    model = ox.load(folder / "model.onnx")
    for name in PROGRAMS:
        one, other = (ort.InferenceSession(folder / f / name) for f in ("flat", "step"))
        feeds = {i.name: given(i.name, model.state) for i in one.get_inputs()}
        assert {i.name for i in other.get_inputs()} == set(feeds)
        names = sorted(o.name for o in one.get_outputs())
        assert names == sorted(o.name for o in other.get_outputs())
        for key, a, b in zip(names, one.run(names, feeds), other.run(names, feeds), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"{name}: {key}")


def given(name: str, state: dict[str, np.ndarray]) -> np.ndarray:
    return {"features": X, "target": Y, **state}[name]


def test_the_evaluation_step_is_what_evaluate_says(folder: Path) -> None:
    model = ox.load(folder / "model.onnx")
    session = ort.InferenceSession(folder / "step" / "evaluate.onnx")
    state = {n: np.zeros_like(a) if n.startswith("metrics.") else a for n, a in model.state.items()}
    found = session.run(["loss", "accuracy"], {i.name: given(i.name, state) for i in session.get_inputs()})
    np.testing.assert_allclose(found, model.evaluate(X, Y, verbose=0), rtol=1e-6)


def test_a_folder_of_a_spec_with_data_of_its_own(tmp_path: Path) -> None:
    assert ran("export", "mlp", "--format", "train-step", "-o", tmp_path / "mlp")[0] == 0
    code, lines, warnings = ran("check", tmp_path / "mlp")
    assert code == 0 and len(lines.splitlines()) == 4 and not warnings


def test_what_check_says_of_whole_files(folder: Path) -> None:
    code, text, warnings = ran("check", folder / "step")
    assert (code, warnings) == (0, "")
    assert [line.partition(":")[0] for line in text.splitlines()] == ["train_step.onnx", "init.onnx", "predict.onnx", "evaluate.onnx"]
    assert "opset 21; takes features float[batch, 4], target int64[batch]; 19 State entries; gives loss, accuracy" in text
    assert "with training information" in ran("check", folder / "model.onnx")[1]
    for name in PROGRAMS:
        assert ran("check", folder / "step" / name, "--quiet") == (0, "", "")
    assert "no training information" in ran("check", folder / "step" / "predict.onnx")[1]


def test_a_dropped_field(folder: Path) -> None:
    ir.save(ir.load(folder / "model.onnx"), folder / "model.onnx")
    assert "a tool that rewrote the file dropped its training information" in fault(folder / "model.onnx")
    assert ran("extract", folder / "model.onnx", "-o", folder / "flat")[0] == 2
    assert not (folder / "flat").exists()


def test_a_protocol_of_later_times(folder: Path) -> None:
    put("onnxdl.protocol", "2")(model := onnx.load(folder / "model.onnx"))
    onnx.save(model, folder / "model.onnx")
    message = "the training information follows protocol '2', but this version knows '1'; upgrade onnxdl"
    assert message in fault(folder / "model.onnx")
    with pytest.raises(ox.FormatError, match=message):
        ox.load(folder / "model.onnx")


def rename_output(model: onnx.ModelProto, old: str, new: str) -> None:
    for value in model.graph.output:
        value.name = new if value.name == old else value.name
    for node in model.graph.node:
        node.output[:] = [new if n == old else n for n in node.output]
        node.input[:] = [new if n == old else n for n in node.input]


def put(key: str, value: str) -> Callable[[onnx.ModelProto], object]:
    def edit(model: onnx.ModelProto) -> None:
        next(p for p in model.metadata_props if p.key == key).value = value

    return edit


def widened(model: onnx.ModelProto) -> None:
    """The step counts in another type than it is given."""
    node = next(n for n in model.graph.node if "next/step" in n.output)
    node.output[0] = "counted"
    model.graph.node.append(helper.make_node("Cast", ["counted"], ["next/step"], to=onnx.TensorProto.INT32))
    next(v for v in model.graph.output if v.name == "next/step").type.tensor_type.elem_type = onnx.TensorProto.INT32


def foreign_operator(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    next(n for n in model.graph.node if n.op_type == "Relu").domain = "com.microsoft"


def rename_input(model: onnx.ModelProto, old: str, new: str) -> None:
    for value in model.graph.input:
        value.name = new if value.name == old else value.name
    for node in model.graph.node:
        node.input[:] = [new if n == old else n for n in node.input]


FAULTS: dict[str, tuple[str, Callable[[onnx.ModelProto], object]]] = {
    "follows protocol '7', but this version knows '1'; upgrade onnxdl": ("train_step.onnx", put("onnxdl.protocol", "7")),
    "the State entry 'momentum' is listed in the metadata": ("train_step.onnx", put("onnxdl.state", "momentum")),
    "is not listed in the metadata": ("train_step.onnx", put("onnxdl.state", "step")),
    "'pixels' is listed as one of the inputs, but it is no input": ("train_step.onnx", put("onnxdl.inputs", "pixels")),
    "it gives 'next/stop' but has no input 'stop'": ("train_step.onnx", lambda m: rename_output(m, "next/step", "next/stop")),
    "there is no output 'loss'; the outputs are cost, accuracy": ("train_step.onnx", lambda m: rename_output(m, "loss", "cost")),
    "'next/step' has another type or shape than its entry: int32[] after int64[]": ("train_step.onnx", widened),
    "holds com.microsoft.Relu": ("train_step.onnx", foreign_operator),
    "init.onnx: it makes no value for the State entry 'step'": ("init.onnx", lambda m: rename_output(m, "step", "stop")),
    "init.onnx: it has the input 'key'; a seed is all that it may take": (
        "init.onnx",
        lambda m: m.graph.input.append(helper.make_tensor_value_info("key", 7, [])),
    ),
    "predict.onnx: its input 'pixels' is none of the train step's: features": (
        "predict.onnx",
        lambda m: rename_input(m, "features", "pixels"),
    ),
    "evaluate.onnx: 'bias' is no input of the train step": ("evaluate.onnx", lambda m: rename_input(m, "dense.bias", "bias")),
}


@pytest.mark.parametrize("message", FAULTS)
def test_faults_of_a_folder(message: str, folder: Path) -> None:
    name, edit = FAULTS[message]
    edited(folder / "step" / name, edit)
    assert message in fault(folder / "step")


def test_missing_files(folder: Path) -> None:
    (folder / "step" / "init.onnx").unlink()
    assert "holds no init.onnx, which hosts read beside train_step.onnx" in fault(folder / "step")
    (folder / "step" / "train_step.onnx").unlink()
    assert "holds no train_step.onnx (there is evaluate.onnx, predict.onnx)" in fault(folder / "step")
    assert "there is no such file" in fault(folder / "nothing.onnx")


def test_what_only_some_runtimes_can_do_is_a_warning(folder: Path) -> None:
    def random(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node("RandomNormal", [], ["noise"], "noise", shape=[2]))
        model.graph.node.append(helper.make_node("Dropout", ["features", "", "on"], ["dropped"], "drop"))
        model.graph.initializer.append(numpy_helper.from_array(np.array(True), "on"))

    edited(folder / "step" / "train_step.onnx", random)
    code, _, warnings = ran("check", folder / "step")
    assert code == 0 and [w.split(" (")[0] for w in warnings.splitlines()] == [
        "warning: train_step.onnx: RandomNormal",
        "warning: train_step.onnx: Dropout",
    ]


def test_a_model_whose_loss_only_its_author_knows(tmp_path: Path) -> None:
    """The file says nothing of how to evaluate it, so extract writes no evaluation, and takes an old one away."""
    model = ox.Sequential([ox.Input((4,), name="features"), nn.Dense(1)])
    model.compile("sgd", loss=lambda y, p: ox.op.ReduceMean((y - p) ** 4, keepdims=0))
    model.train_on_batch(X, X[:, :1])
    model.save(tmp_path / "model.onnx")
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "evaluate.onnx").write_bytes(b"of an earlier export")
    assert ran("extract", tmp_path / "model.onnx", "-o", tmp_path / "flat")[0] == 0
    assert sorted(p.name for p in (tmp_path / "flat").iterdir()) == PROGRAMS[1:]
