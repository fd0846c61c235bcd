"""The command line as its users have it: results, run folders, and one clear line with exit code 2 for wrong input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from click.testing import CliRunner, Result

import onnxdl as ox
from onnxdl import nn
from onnxdl.cli.info import troubles
from onnxdl.cli.main import VERBS, main

SPEC = """
    import numpy as np
    import onnxdl as ox
    from onnxdl import nn, optim

    EPOCHS, BATCH_SIZE = 3, 16

    def build():
        layers = [nn.Dense(8, activation="relu"), nn.Dropout(0.1), nn.Dense(2, activation="softmax")]
        model = ox.Sequential([ox.Input((4,), name="features"), *layers])
        model.compile(optim.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def data(path=None):
        x, y = ox.data.read_data(path) if path else (np.random.default_rng(0).normal(size=(80, 4)).astype("float32"), None)
        return ox.data.hold_out(x, (x.sum(1) > 0).astype("int64") if y is None else y)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("small.py").write_text(textwrap.dedent(SPEC))
    x = np.random.default_rng(1).normal(size=(20, 4)).astype(np.float32)
    np.savez("data.npz", x=x, y=(x.sum(1) > 0).astype(np.int64))
    np.save("x.npy", x)
    return tmp_path


def onnxdl(*args: str) -> Result:
    return CliRunner().invoke(main, list(args))


def works(*args: str) -> str:
    result = onnxdl(*args)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def test_train_leaves_a_run_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["onnxdl", "train", "small.py"])
    output = works("train", "small.py")
    assert "epoch 3/3" in output and "runs/small: loss" in output
    run = Path("runs/small")
    assert {p.name for p in run.iterdir()} >= {"model.onnx", "checkpoint.safetensors", "history.json", "run.json"}
    history = json.loads((run / "history.json").read_text())
    assert history["epoch"] == [0, 1, 2] and set(history) == {"epoch", "loss", "accuracy", "val_loss", "val_accuracy"}
    record = json.loads((run / "run.json").read_text())
    assert record["command"] == "onnxdl train small.py" and record["versions"]["onnx"] == onnx.__version__
    onnx.checker.check_model(str(run / "model.onnx"), full_check=True)


def test_a_second_run_keeps_the_first(folder: Path) -> None:
    works("train", "small.py", "--epochs", "1", "--quiet")
    first = Path("runs/small/model.onnx").read_bytes()
    works("train", "small.py", "--epochs", "1", "--quiet", "--seed", "1")
    assert Path("runs/small-1/model.onnx").read_bytes() == first != Path("runs/small/model.onnx").read_bytes()


def test_a_spec_with_a_training_of_its_own(folder: Path) -> None:
    Path("own.py").write_text(
        "EPOCHS = 4\n\ndef main(folder, epochs):\n    (folder / 'made.txt').write_text('x')\n    return {'epochs': epochs}\n"
    )
    Path("picture.py").write_text("def main(folder):\n    return {'answer': 42}\n")
    assert works("train", "own.py").endswith("runs/own: epochs 4\n")
    assert works("train", "own.py", "--epochs", "2").endswith("runs/own: epochs 2\n")
    assert json.loads(Path("runs/own/run.json").read_text())["results"] == {"epochs": 2}
    assert Path("runs/own-1/made.txt").exists() and json.loads(Path("runs/own-1/run.json").read_text())["results"] == {"epochs": 4}
    assert works("train", "picture.py").endswith("runs/picture: answer 42\n")
    Path("fits.py").write_text(
        "import numpy as np\nimport onnxdl as ox\nfrom onnxdl import nn\n\ndef data(path=None):\n"
        "    return (np.ones((4, 3), np.float32), np.arange(4)), None\n\ndef build(shape=(2,), classes=9):\n"
        "    model = ox.Sequential([ox.Input(shape), nn.Dense(classes, activation='softmax')])\n"
        "    model.compile('sgd', 'sparse_categorical_crossentropy')\n    return model\n"
    )
    works("train", "fits.py", "--data", "anything", "--epochs", "1", "--quiet")
    assert [tuple(p.shape) for p in ox.load("runs/fits/model.onnx").trainable_weights] == [(3, 4), (4,)]
    Path("reader.py").write_text("def main(folder, data=None):\n    return {'given': float(data == 'x.npy')}\n")
    assert works("train", "reader.py", "--data", "x.npy").endswith("given 1\n") and works("train", "reader.py").endswith("given 0\n")
    for arguments, word in (
        (("picture.py", "--epochs", "3"), "takes no --epochs"),
        (("own.py", "--data", "x.npy", "--resume"), "--data, --resume"),
    ):
        result = onnxdl("train", *arguments)
        assert result.exit_code == 2 and word in result.stderr


def test_a_saved_model_is_evaluated_predicted_and_trained_on(folder: Path) -> None:
    works("train", "small.py", "--quiet")
    model = "runs/small/model.onnx"
    lines = dict(line.split() for line in works("evaluate", model, "--data", "data.npz").splitlines())
    works("predict", model, "--data", "x.npy", "-o", "p.npz")
    predictions = np.load("p.npz")["output"]
    with np.load("data.npz") as data:
        accuracy = (predictions.argmax(1) == data["y"]).mean()
        (plain,) = ort.InferenceSession(model).run(None, {"features": data["x"]})
    assert float(lines["accuracy"]) == pytest.approx(accuracy)
    np.testing.assert_allclose(predictions, plain, rtol=1e-5)
    works("predict", model, "--data", "x.npy", "-o", "p.csv")
    np.testing.assert_allclose(np.loadtxt("p.csv", delimiter=",", skiprows=1), plain, rtol=1e-5)
    works("train", model, "--data", "data.npz", "--epochs", "5", "--quiet", "-o", "more")
    more = dict(line.split() for line in works("evaluate", "more/model.onnx", "--data", "data.npz").splitlines())
    assert float(more["loss"]) < float(lines["loss"])


def test_build_show_and_grad(folder: Path) -> None:
    works("build", "small.py", "-o", "built.onnx")
    table = works("show", "built.onnx", "--picture", "graph.svg")
    assert "58" in table and Path("graph.svg").read_text().startswith("<svg")
    works("grad", "built.onnx", "-o", "grad.onnx", "--wrt", "features", "--wrt", "dense.kernel")
    session = ort.InferenceSession("grad.onnx")
    assert [o.name for o in session.get_outputs()] == ["output", "grad/features", "grad/dense.kernel"]
    outputs = session.run(None, {"features": np.ones((3, 4), np.float32), "seed/output": np.ones((3, 2), np.float32)})
    assert outputs[1].shape == (3, 4) and outputs[2].shape == (4, 8)


def test_export_train_step_from_a_run(folder: Path) -> None:
    works("train", "small.py", "--quiet")
    works("export", "runs/small", "--format", "train-step", "-o", "step")
    step, init = ort.InferenceSession("step/train_step.onnx"), ort.InferenceSession("step/init.onnx")
    state = dict(zip([o.name for o in init.get_outputs()], init.run(None, {"seed": np.array(3)}), strict=True))
    x = np.ones((2, 4), np.float32)
    results = step.run(None, {"features": x, "target": np.array([0, 1]), **state})
    assert np.isfinite(results[0])
    works("export", "runs/small", "-o", "plain.onnx")
    assert not onnx.load("plain.onnx").training_info


def test_resume_goes_on_where_ctrl_c_stopped(folder: Path) -> None:
    command = [sys.executable, "-m", "onnxdl.cli.main", "train", "small.py", "--epochs", "100000", "-o", "run"]
    environment = {**os.environ, "PYTHONPATH": str(Path(ox.__file__).parents[1])}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 60
    while not Path("run/checkpoint.safetensors").exists() and time.time() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; the last step is in run, go on with --resume" in errors and "Traceback" not in errors
    step = int(ox.load_checkpoint("run/checkpoint.safetensors")[0]["step"])
    epochs = step // 4 + 2
    works("train", "small.py", "--epochs", str(epochs), "-o", "run", "--resume", "--quiet")
    resumed, _ = ox.load_checkpoint("run/checkpoint.safetensors")
    assert resumed["step"] == epochs * 4
    works("train", "small.py", "--epochs", str(epochs), "-o", "whole", "--quiet")
    for name, array in ox.load_checkpoint("whole/checkpoint.safetensors")[0].items():
        np.testing.assert_array_equal(array, resumed[name], err_msg=name)


def corrupt() -> None:
    works("build", "small.py", "-o", "m.onnx")
    Path("m.onnx").write_bytes(Path("m.onnx").read_bytes()[:-100])


def labelled(y: Any, x: Any = None) -> Callable[[], None]:
    def write() -> None:
        np.savez("bad.npz", x=np.ones((10, 4), np.float32) if x is None else x, y=y)

    return write


WRONG: dict[str, tuple[Callable[[], Any], list[str], str]] = {
    "unknown SPEC": (lambda: None, ["train", "digitz"], "unknown SPEC 'digitz'.*did you mean 'digits'"),
    "missing .py": (lambda: None, ["train", "none.py"], "none.py: no such file"),
    "missing .onnx": (lambda: None, ["show", "none.onnx"], "none.onnx"),
    "corrupt .onnx": (corrupt, ["evaluate", "m.onnx", "--data", "data.npz"], "m.onnx"),
    "not .onnx": (lambda: Path("t.onnx").write_text("hello"), ["show", "t.onnx"], "t.onnx"),
    "missing data": (lambda: None, ["train", "small.py", "--data", "none.npz"], "none.npz: no such data file"),
    "unreadable data": (lambda: Path("d.npz").write_text("x"), ["train", "small.py", "--data", "d.npz"], "d.npz: not a readable .npz file"),
    "unknown kind of data": (lambda: Path("d.txt").write_text("x"), ["train", "small.py", "--data", "d.txt"], "d.txt: unknown kind"),
    "labels out of range": (
        labelled(np.full(10, 7)),
        ["train", "small.py", "--data", "bad.npz"],
        "label 7, but the model has the classes 0 to 1",
    ),
    "wrong shape": (
        labelled(np.zeros(10, np.int64), np.ones((10, 5), np.float32)),
        ["train", "small.py", "--data", "bad.npz"],
        r"'features' has the shape \[8, 5\], but the model takes \[batch, 4\]",
    ),
    "wrong dtype": (
        labelled(np.zeros(10, np.int64), np.full((10, 4), "a")),
        ["train", "small.py", "--data", "bad.npz"],
        "numbers are needed",
    ),
    "NaN": (
        labelled(np.zeros(10, np.int64), np.full((10, 4), np.nan, np.float32)),
        ["train", "small.py", "--data", "bad.npz"],
        "holds nan at",
    ),
    "no data": (lambda: works("build", "small.py", "-o", "m.onnx"), ["train", "m.onnx", "--loss", "mse"], "give some with --data"),
    "no loss": (lambda: works("build", "small.py", "-o", "m.onnx"), ["train", "m.onnx", "--data", "data.npz"], "give --loss"),
    "nothing to resume": (lambda: None, ["train", "small.py", "--resume"], "holds no checkpoint to resume"),
    "output is a file": (lambda: Path("f").write_text(""), ["train", "small.py", "-o", "f"], "f is a file"),
    "syntax error": (lambda: Path("bad.py").write_text("def build(:"), ["train", "bad.py"], "bad.py, line 1"),
    "no build": (lambda: Path("empty.py").write_text(""), ["train", "empty.py"], r"defines no build\(\)"),
    "unknown name": (
        lambda: works("build", "small.py", "-o", "m.onnx"),
        ["grad", "m.onnx", "-o", "g.onnx", "--wrt", "weight"],
        "weight",
    ),
    "folder missing": (lambda: None, ["build", "small.py", "-o", "none/m.onnx"], "none/m.onnx.*folder does not exist"),
    "unknown loss": (lambda: None, ["train", "small.py", "--loss", "mean_square"], "no loss is called 'mean_square'; did you mean"),
}


@pytest.mark.parametrize(("prepare", "args", "words"), WRONG.values(), ids=WRONG.keys())
def test_wrong_input_gets_one_line_and_exit_code_2(folder: Path, prepare: Callable[[], Any], args: list[str], words: str) -> None:
    prepare()
    result = onnxdl(*args)
    assert result.exit_code == 2, result.exception
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("onnxdl: "), result.stderr
    import re

    assert re.search(words, lines[0]), lines[0]


def test_debug_shows_the_traceback(folder: Path) -> None:
    result = onnxdl("train", "digitz", "--debug")
    assert isinstance(result.exception, ox.OnnxdlError)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_told_in_one_line(folder: Path) -> None:
    works("build", "small.py", "-o", "m.onnx")
    result = onnxdl("predict", "m.onnx", "--data", "x.npy", "-o", "full.npz")
    assert result.exit_code == 0
    Path("full.csv").symlink_to("/dev/full")
    result = onnxdl("predict", "m.onnx", "--data", "x.npy", "-o", "full.csv")
    assert result.exit_code == 2
    assert "onnxdl: " in result.stderr and "space" in result.stderr and len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    output = works(verb, "--help")
    assert f"onnxdl {verb}" in output and "Example:" in output and "--debug" in output and "--quiet" in output


def test_an_unknown_verb_is_refused_with_the_known_ones() -> None:
    result = onnxdl("trian")
    assert result.exit_code == 2 and "no verb is called 'trian'; the verbs are build, " in result.stderr


def test_info_names_versions_and_providers() -> None:
    output = works("info")
    assert f"onnx {onnx.__version__}" in output and "CPUExecutionProvider" in output and "device that runs: " in output


def test_info_tells_of_two_runtimes_in_one_place() -> None:
    assert "pip uninstall" in troubles({"onnxruntime": "1", "onnxruntime-gpu": "1"}, cuda=True)[0]
    assert not troubles({"onnxruntime": "1"}, cuda=False)


def test_finetune_puts_a_new_head_on_a_file(tmp_path: Path) -> None:
    model = ox.Sequential([ox.Input((4,)), nn.Dense(6, activation="tanh"), nn.Dense(2)])
    model.export(tmp_path / "net.onnx")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 4)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=(x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0))
    out = tmp_path / "tuned.onnx"
    options = ["--data", str(tmp_path / "data.npz"), "--head", "3", "--epochs", "2", "-o", str(out)]
    assert "held out  loss" in works("finetune", str(tmp_path / "net.onnx"), *options)
    assert ox.load(out).predict(x, verbose=0).shape == (100, 3)


def test_visualize_lists_layers_and_draws(tmp_path: Path) -> None:
    model = ox.Sequential([ox.Input((1, 8, 8)), nn.Conv2D(3, 3, activation="relu", name="edges"), nn.Flatten(), nn.Dense(2)])
    model.export(tmp_path / "net.onnx")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(2, 1, 8, 8)).astype(np.float32))
    listed = works("visualize", str(tmp_path / "net.onnx")).split()
    options = ["--layer", listed[0], "--image", str(tmp_path / "x.npy"), "--export", str(tmp_path / "seen.onnx")]
    works("visualize", str(tmp_path / "net.onnx"), *options, "-o", str(tmp_path / "seen.png"))
    assert (tmp_path / "seen.png").stat().st_size > 1000
    assert [v.name for v in onnx.load(tmp_path / "seen.onnx").graph.input][1:] == ["channel"]


def test_convert_writes_what_the_suffix_says(tmp_path: Path) -> None:
    ox.Sequential([ox.Input((4,)), nn.Dense(2)]).save(tmp_path / "a.onnx")
    assert works("convert", str(tmp_path / "a.onnx"), str(tmp_path / "b.onnx")).endswith("2 weights, 10 parameters\n")
