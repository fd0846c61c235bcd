"""The JavaScript host on Node: every form of a train step, what it leaves for Python, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
from click.testing import CliRunner
from onnx import numpy_helper

import onnxdl as ox
from onnxdl import nn
from onnxdl.cli.main import main
from onnxdl.io import training_info
from tests.anywhere.hosts import need, run_node
from tests.anywhere.systems import batches, cnn


def case(test: str, folder: Path, **job: Any) -> Any:
    file = folder / "job.json"
    file.write_text(json.dumps({"test": test, "folder": str(folder), **job}))
    return json.loads(run_node("cases.mjs", file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model.onnx, its train-step folder and a batch."""
    need("onnxruntime-node")
    folder = tmp_path_factory.mktemp("trainer")
    model, (x, y) = cnn(), batches("cnn", 1)
    model.ensure_targets(y[0])
    model.save(folder / "model.onnx")
    model.export(folder / "step", format="train-step")
    model.export(folder / "fixed", format="train-step", batch_size=len(y[0]))
    ox.save_checkpoint(folder / "batch", {"image": x[0], "target": y[0]})
    return folder


def batch(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    arrays, _ = ox.load_checkpoint(folder / "batch")
    return arrays["image"], arrays["target"]


def test_every_form_trains_alike_and_comes_back(folder: Path) -> None:
    sources = ["model.onnx", "step", "step/train_step.onnx", "fixed"]
    found = case("forms", folder, sources=sources)
    name, dims, numbers = found.pop("prediction")
    evaluation = found.pop("evaluation")
    assert found["model.onnx"] == found["step"] == found["step/train_step.onnx"]
    assert found["fixed"] == pytest.approx(found["step"], rel=1e-6)
    assert found["step"][-1] < found["step"][0]
    x, y = batch(folder)
    for source in sources:
        state, _ = ox.load_checkpoint(folder / f"{source.replace('/', '.')}.safetensors")
        trained = ox.load(folder / f"{source.replace('/', '.')}.trained.onnx")
        assert state["step"] == 4 and state["seed"] == 5
        fresh = cnn()
        fresh.ensure_targets(y)
        fresh.load_state(state)
        for model in (trained, fresh):
            np.testing.assert_allclose(model.predict(x, verbose=0).ravel(), numbers, rtol=1e-5)
        assert (name, dims) == (fresh.output_names[0], [len(x), 10])
        assert fresh.evaluate(x, y, verbose=0, return_dict=True) == pytest.approx(evaluation, rel=1e-6)
    assert ox.load(folder / "model.onnx.trained.onnx").state["step"] == 4  # the whole State is in the one file


def test_it_goes_on_as_if_it_had_not_stopped(folder: Path) -> None:
    found = case("resume", folder)
    assert found["whole"] == found["file"] == found["checkpoint"]


def test_python_goes_on_where_node_stopped(folder: Path) -> None:
    case("forms", folder, sources=["model.onnx"])
    losses = case("run", folder, source="model.onnx.trained.onnx", steps=3)
    model, (x, y) = ox.load(folder / "model.onnx.trained.onnx"), batch(folder)
    assert [model.train_on_batch(x, y)[0] for _ in range(3)] == pytest.approx(losses, rel=1e-5)


def test_wrong_use_is_told_in_one_line(folder: Path) -> None:
    model = onnx.load(folder / "model.onnx")
    written = {"later.onnx": changed(model, "2"), "dropped.onnx": dropped(model), "plain.onnx": onnx.load(folder / "step" / "predict.onnx")}
    for name, proto in written.items():
        onnx.save(proto, folder / name)
    step = onnx.load(folder / "step" / "train_step.onnx")
    (lost := folder / "lost").mkdir(exist_ok=True)
    del step.graph.output[-1:]
    onnx.save(step, lost / "train_step.onnx")
    for name in ("init", "predict"):
        (lost / f"{name}.onnx").write_bytes((folder / "step" / f"{name}.onnx").read_bytes())
    onnx.save(onnx.load(folder / "model.onnx"), folder / "aside.onnx", save_as_external_data=True, location="aside.data", size_threshold=0)
    (folder / "cut.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-50])
    state = training_info.state_of(model)
    ox.save_checkpoint(folder / "other.safetensors", {"w": np.zeros(3, np.float32)})
    ox.save_checkpoint(folder / "shapes.safetensors", {**state, "step": np.zeros(2, np.int64)})
    files = [*written, "lost", "aside.onnx", "cut.onnx", "nowhere"]
    found = case("refusals", folder, files=files)
    wanted = {
        "missing": "target is missing; it must be int64[batch]",
        "unknown": "there is no input weight; there are image, target",
        "size": "image has 127 numbers and the shape [1.984375, 1, 8, 8]; it must be float32[batch, 1, 8, 8]",
        "rank": "image has 2 numbers and the shape [1, 2]; it must be float32[batch, 1, 8, 8]",
        "ragged": "image has 3 numbers and the shape [1, 1, 2, 2]; it must be float32[batch, 1, 8, 8]",
        "number": "target has 1 numbers and the shape []; it must be int64[batch]",
        "twice": "a step is still running: await each one before the next",
        "fixed": "image has 128 numbers and the shape [16, 1, 8, 8]; it must be float32[16, 1, 8, 8]",
        "later.onnx": "the file follows protocol 2, but this host knows 1: take a newer one",
        "dropped.onnx": "a tool that rewrote the file dropped its training information; take the file from before, or save it again",
        "plain.onnx": "the file holds no training information; write it with model.save in Python",
        "lost": "the State entry ... is listed in the metadata, but the step does not update it",
        "aside.onnx": "the file keeps weights in another one beside it, which this host does not read: ...",
        "cut.onnx": "not an ONNX file, or it is damaged or cut short",
        "nowhere": "ENOENT: no such file or directory, open ...",
        "checkpoint": "the checkpoint lacks the State entry ...; is it of another model?",
        "shapes": "step is int64[2] in the checkpoint, but must be int64[]",
        "evaluate": "to evaluate, load a folder ...",
    }
    assert sorted(found) == sorted(wanted)
    for name, message in wanted.items():
        begin, _, end = message.partition("...")
        assert found[name].startswith(begin) and found[name].endswith(end), (name, found[name])


def changed(model: onnx.ModelProto, protocol: str) -> onnx.ModelProto:
    """The file as a later version of the protocol would have it."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    for entry in (*other.metadata_props, *other.training_info[0].algorithm.metadata_props):
        if entry.key == "onnxdl.protocol":
            entry.value = protocol
    return other


def dropped(model: onnx.ModelProto) -> onnx.ModelProto:
    """The file as a tool leaves it that does not know the field."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    del other.training_info[:]
    return other


FOREIGN = """
<ir_version: 10, opset_import: ["" : 21]>
model (float[batch, 2] x) => (float[batch, 1] y) <float[2, 1] w = {1, 2}, float rate = {0.1}> { y = MatMul(x, w) }
"""
ALGORITHM = """
algorithm (float[batch, 1] t) => (float loss, float[2, 1] w_new, int64 n_new) <int64 n = {0}, int64 one = {1}, float two = {2}>
{ e = Sub(y, t) s = Mul(e, e) loss = ReduceMean<keepdims = 0>(s) xt = Transpose(x) g = MatMul(xt, e) u = Mul(g, rate)
  yes = Less(n, one) f = If (yes) <then_branch = once () => (float a) { a = Identity(two) }, else_branch = later () => (float b)
  { b = Identity(rate) }> v = Mul(u, f) w_new = Sub(w, v) n_new = Add(n, one) }
"""


def test_a_file_of_another_producer(folder: Path) -> None:
    """Its algorithm reads the inference graph's nodes and its next values have names of their own; there is no initialization."""
    model = onnx.parser.parse_model(FOREIGN)
    training = model.training_info.add()
    training.algorithm.CopyFrom(onnx.parser.parse_graph(ALGORITHM))
    for key in ("w", "n"):
        training.update_binding.add(key=key, value=f"{key}_new")
    training_info.check(model)
    onnx.save(model, folder / "foreign.onnx")
    rng = np.random.default_rng(0)
    x, t = (rng.normal(size=(4, d)).astype(np.float32) for d in (2, 1))
    (pairs := folder / "pairs").mkdir(exist_ok=True)
    ox.save_checkpoint(pairs / "batch", {"x": x, "t": t})
    onnx.save(model, pairs / "foreign.onnx")
    losses = case("run", pairs, source="foreign.onnx", steps=3)
    w, expected = np.array([[1], [2]], np.float32), []
    for k in range(3):
        e = x @ w - t
        expected.append(float((e * e).mean()))
        w = w - np.float32(0.1) * (x.T @ e) * np.float32(2 if k < 1 else 0.1)
    assert losses == pytest.approx(expected, rel=1e-5)
    state, _ = ox.load_checkpoint(pairs / "run.safetensors")
    np.testing.assert_allclose(state["w"], w, rtol=1e-5)
    assert state["n"] == 3
    result = CliRunner().invoke(main, ["extract", str(pairs / "foreign.onnx"), "-o", str(pairs / "flat")])
    assert result.exit_code == 0, result.output
    assert case("run", pairs, source="flat", steps=3) == losses


def test_typed_data_in_a_file(folder: Path) -> None:
    """Weights that lie in float_data, not in raw bytes, as some writers have them."""
    model = onnx.load(folder / "model.onnx")
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        tensor.CopyFrom(onnx.helper.make_tensor(tensor.name, tensor.data_type, tensor.dims, array.ravel()))
    onnx.save(model, folder / "typed.onnx")
    losses = [case("run", folder, source=f"{name}.onnx", steps=2) for name in ("typed", "model")]
    assert losses[0] == losses[1]


def test_arrays_of_the_users(tmp_path: Path) -> None:
    assert case("fitting", tmp_path) == [
        ["BigInt64Array", [2, 2], [1, 2, 3, 4]],
        ["Float32Array", [], [2.5]],
        ["BigInt64Array", [2], [7, 8]],
        ["Uint8Array", [2], [1, 0]],
        ["Float64Array", [2, 3], [0] * 6],
        ["Uint16Array", [1], [15360]],
        ["Uint8Array", [1, 2], [1, 2]],
    ]


def test_accumulated_gradients_and_mixed_precision_need_nothing_of_the_host(tmp_path: Path) -> None:
    """Both lie in the file: weights change at every second step; layers compute in float16 with a scaled loss."""
    x, y = (a[0] for a in batches("cnn", 1))
    ox.save_checkpoint(tmp_path / "batch", {"image": x, "target": y})
    for name, settings in {"accumulated": {}, "mixed": {"mixed_precision": True}}.items():
        model = ox.Sequential([ox.Input((1, 8, 8), name="image"), nn.Flatten(), nn.Dense(10, activation="softmax")])
        adam = ox.optim.Adam(3e-3, gradient_accumulation_steps=2 if name == "accumulated" else None)
        model.compile(adam, loss="sparse_categorical_crossentropy", **settings)
        model.ensure_targets(y)
        model.export(tmp_path / name, format="train-step")
        model.load_state(_first(tmp_path / name, 7))
        expected = [model.train_on_batch(x, y) for _ in range(4)]
        losses = case("run", tmp_path, source=name, seed=7, steps=4)
        assert losses == pytest.approx(expected, rel=1e-3)
        assert losses[-1] < losses[0]


def _first(folder: Path, seed: int) -> dict[str, np.ndarray]:
    init = ort.InferenceSession(folder / "init.onnx")
    return dict(zip([o.name for o in init.get_outputs()], init.run(None, {"seed": np.array(seed)}), strict=True))
