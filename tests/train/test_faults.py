"""What goes wrong around a training run: disks, folders, data, numbers, devices. Nothing that was good before is lost."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import onnxdl as ox
from onnxdl import callbacks, nn, optim
from onnxdl.cli.main import main
from onnxdl.train.resume import CHECKPOINT

X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
Y = (X.sum(1) > 0).astype(np.int64)


def classifier(width: int = 8) -> ox.Model:
    ox.set_seed(5)
    model = ox.Sequential([ox.Input((4,)), nn.Dense(width, activation="relu"), nn.Dense(2, activation="softmax")])
    model.compile(optim.Adam(0.03), "sparse_categorical_crossentropy")
    return model


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writing beyond a size fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


# ---- disks and folders -----------------------------------------------------------------------------------------------


def test_a_disk_that_fills_up_keeps_the_last_checkpoint_and_the_run_goes_on_elsewhere(tmp_path: Path) -> None:
    model = classifier(64)
    model.fit(X, Y, 10, 2, verbose=0, checkpoint=tmp_path)
    kept = contents(tmp_path)
    with pytest.raises(ox.FormatError, match=r"cannot write .*checkpoint\.safetensors"), files_of_at_most(1000):
        model.fit(X, Y, 10, 4, verbose=0, checkpoint=tmp_path, resume=True)
    assert contents(tmp_path) == kept
    again, whole = classifier(64), classifier(64)
    again.fit(X, Y, 10, 4, verbose=0, checkpoint=tmp_path, resume=True)
    whole.fit(X, Y, 10, 4, verbose=0)
    for name, array in whole.state.items():
        np.testing.assert_array_equal(array, again.state[name], err_msg=name)


def test_an_export_onto_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    small, large = classifier(), classifier(64)
    for name, kind in (("m.onnx", "onnx"), ("w.safetensors", "safetensors"), ("m.pt", "torch")):
        small.export(tmp_path / name, format=kind)
    kept = contents(tmp_path)
    with files_of_at_most(600):
        for name, kind in (("m.onnx", "onnx"), ("w.safetensors", "safetensors"), ("m.pt", "torch")):
            with pytest.raises(ox.FormatError, match=name):
                large.export(tmp_path / name, format=kind)
    assert contents(tmp_path) == kept


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="nothing is forbidden to the superuser")
def test_a_folder_that_may_not_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ox.FormatError, match="permission"):
            classifier().fit(X, Y, 10, 1, verbose=0, checkpoint=tmp_path)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("where", ["missing/deep", "a_file/deep"])
def test_a_checkpoint_folder_that_cannot_be(where: str, tmp_path: Path) -> None:
    (tmp_path / "a_file").write_text("")
    if where.startswith("missing"):
        classifier().fit(X, Y, 10, 1, verbose=0, checkpoint=tmp_path / where)
        assert (tmp_path / where / CHECKPOINT).exists()
        return
    with pytest.raises(ox.FormatError, match="a_file"):
        classifier().fit(X, Y, 10, 1, verbose=0, checkpoint=tmp_path / where)


# ---- data ------------------------------------------------------------------------------------------------------------


class BadLuck(RuntimeError):
    """What a user's own reader raises."""


@pytest.mark.parametrize("kind", ["stream", "sequence"])
def test_data_that_raises_in_the_middle_says_so_itself_and_the_run_goes_on(kind: str, tmp_path: Path) -> None:
    fails = True

    def part(epoch: int, i: int) -> tuple[np.ndarray, np.ndarray]:
        if fails and epoch == 1 and i == 2:
            raise BadLuck("the disk with the data is gone")
        return X[10 * i : 10 * i + 10], Y[10 * i : 10 * i + 10]

    def stream(epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return (part(epoch, i) for i in range(4))

    class Parts:
        asked = 0

        def __len__(self) -> int:
            return 4

        def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
            Parts.asked += 1
            return part(int(Parts.asked > 6), i)

    source: Any = stream if kind == "stream" else Parts()
    with pytest.raises(BadLuck, match="is gone"):
        classifier().fit(source, epochs=3, verbose=0, checkpoint=tmp_path, checkpoint_every=1, shuffle=False)
    state, _ = ox.load_checkpoint(tmp_path / CHECKPOINT)
    assert 4 <= int(state["step"]) <= 6
    fails = False
    again, whole = classifier(), classifier()
    again.fit(source, epochs=3, verbose=0, checkpoint=tmp_path, resume=True, shuffle=False)
    whole.fit(source, epochs=3, verbose=0, shuffle=False)
    for name, array in whole.state.items():
        np.testing.assert_array_equal(array, again.state[name], err_msg=name)


@pytest.mark.parametrize("label", [2, -1, 2**31, -(2**62)])
@pytest.mark.parametrize("way", ["fit", "evaluate", "train_on_batch"])
def test_labels_out_of_range_are_refused_everywhere(way: str, label: int) -> None:
    y = Y.copy()
    y[17] = label
    with pytest.raises(ox.DataError, match=f"holds the label {label}"):
        getattr(classifier(), way)(X, y, **({} if way == "train_on_batch" else {"verbose": 0}))


# ---- numbers ---------------------------------------------------------------------------------------------------------


def test_numbers_gone_bad_are_told_with_the_step_and_the_first_weight(tmp_path: Path) -> None:
    model = ox.Sequential([ox.Input((4,)), nn.Dense(3, name="first"), nn.Dense(1, name="second")])
    model.compile(optim.SGD(1e25), "mse")
    y = Y.astype(np.float32)
    with pytest.raises(ox.TrainingError, match=r"the loss became (nan|inf) .*step \d.*(first|second)\.(kernel|bias)"):
        model.fit(X, y, 10, 3, verbose=0, checkpoint=tmp_path)
    assert not (tmp_path / CHECKPOINT).exists()
    model.compile(optim.SGD(1e25), "mse")
    for weight in model.weights:
        weight.value = np.ones(weight.shape)
    with pytest.raises(ox.TrainingError, match=r"at batch \d+ \(step \d+\).*(first|second)\.(kernel|bias)"):
        model.fit(X, y, 10, 3, verbose=0, callbacks=[callbacks.TerminateOnNaN(raise_error=True)])


def test_a_loss_scale_skips_steps_whose_gradients_overflow() -> None:
    model = classifier()
    model.compile(optim.LossScaleOptimizer(optim.SGD(0.1), initial_scale=1e38), "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.train_on_batch(X * 100, Y)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    for _ in range(200):
        model.train_on_batch(X, Y)
    assert all(np.isfinite(a).all() for a in model.get_weights())
    assert not np.array_equal(before[0], model.get_weights()[0])


# ---- devices ---------------------------------------------------------------------------------------------------------


def test_cuda_that_was_asked_for_and_is_not_there_stops_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxdl.runtime.sessions.cuda_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(main, ["train", "digits", "--device", "cuda", "--epochs", "1"])
    assert found.exit_code == 2
    assert "CUDA was asked for but does not start here" in found.output
    assert "Traceback" not in found.output
    assert len(found.output.strip().splitlines()) == 1
