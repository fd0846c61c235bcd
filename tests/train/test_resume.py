"""Runs that are killed and go on: bit-equal in the end, whatever moment it was."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import callbacks, nn, optim
from onnxdl.train.resume import CHECKPOINT

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 4)).astype(np.float32)
Y = (X.sum(1) > 0).astype(np.int64)
EPOCHS = 6


def classifier() -> ox.Model:
    ox.set_seed(5)
    model = ox.Sequential(
        [ox.Input((4,)), nn.Dense(16, activation="relu"), nn.BatchNormalization(), nn.Dropout(0.3), nn.Dense(2, activation="softmax")]
    )
    model.compile(optim.Adam(0.03), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def batches(epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A stream whose order depends on the epoch."""
    for part in np.array_split(np.random.default_rng(epoch).permutation(70), 7):
        yield X[part], Y[part]


def endless() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    order = np.random.default_rng(3)
    while True:
        part = order.integers(0, 70, 10)
        yield X[part], Y[part]


class Parts:
    def __len__(self) -> int:
        return 7

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        return X[10 * i : 10 * i + 10], Y[10 * i : 10 * i + 10]


SOURCES: dict[str, dict[str, Any]] = {
    "arrays": {"x": X, "y": Y, "batch_size": 10, "class_weight": {0: 0.5}},
    "arrays cut": {"x": X, "y": Y, "batch_size": 10, "steps_per_epoch": 5},
    "stream": {"x": batches},
    "endless": {"x": endless, "steps_per_epoch": 7},
    "sequence": {"x": Parts()},
}


def train(source: str, folder: Path, **options: Any) -> tuple[ox.Model, dict[str, list[float]]]:
    """A run with everything that remembers something."""
    model = classifier()
    watching = [
        ox.EarlyStopping("val_accuracy", patience=2, min_delta=0.05, restore_best_weights=True),
        callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=0.1, factor=0.5),
        callbacks.CSVLogger(folder / "table.csv"),
        callbacks.ModelCheckpoint(folder / "best.safetensors", save_best_only=True, save_weights_only=True),
    ]
    watching += options.pop("callbacks", [])
    history = model.fit(
        **SOURCES[source], epochs=EPOCHS, verbose=0, validation_data=(X, Y), callbacks=watching, checkpoint=folder, **options
    )
    return model, history.history


def results(model: ox.Model, folder: Path) -> dict[str, bytes]:
    state = {name: a.tobytes() for name, a in model.state.items()}
    best = ox.load_checkpoint(folder / "best.safetensors")[0]
    return {**state, **{f"best/{n}": a.tobytes() for n, a in best.items()}, "table": (folder / "table.csv").read_bytes()}


class Gone(BaseException):
    """What a kill leaves: nothing after it runs."""


class Killer(ox.Callback):
    """Ends everything after a number of steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left < 0:
            raise Gone


@pytest.mark.parametrize(("source", "every"), [*((source, 3) for source in SOURCES), ("arrays", None), ("arrays", 1)])
def test_a_run_cut_anywhere_goes_on_bit_for_bit(source: str, every: int | None, tmp_path: Path) -> None:
    whole_folder, folder = tmp_path / "whole", tmp_path / "cut"
    for made in (whole_folder, folder):
        made.mkdir()
    whole, expected = train(source, whole_folder)
    cuts = 0
    for step in (2, 9, 16):
        with contextlib.suppress(Gone):
            train(source, folder, callbacks=[Killer(step if every else step + 7)], checkpoint_every=every, resume=True)
            break  # the run was over
        cuts += 1
    assert cuts >= 2
    resumed, history = train(source, folder, checkpoint_every=every, resume=True)
    assert history == expected
    assert results(resumed, folder) == results(whole, whole_folder)


SCRIPT = """
import sys, time
from onnxdl import callbacks
from tests.train.test_resume import X, Y, classifier
slow = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.001))
classifier().fit(X, Y, 10, 100000, verbose=0, checkpoint=sys.argv[1], checkpoint_every=2, resume=True, callbacks=[slow])
"""


@pytest.mark.slow
def test_sigkill_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    file, environment = tmp_path / CHECKPOINT, {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    steps, moments = [], np.random.default_rng(0)
    for _ in range(4):
        before = file.stat().st_mtime_ns if file.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], env=environment)
        deadline = time.time() + 60
        while (not file.exists() or file.stat().st_mtime_ns == before) and time.time() < deadline:
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        state, metadata = ox.load_checkpoint(file)
        steps.append(int(state["step"]))
    assert steps == sorted(set(steps))
    place = json.loads(metadata["onnxdl.run"])["place"]
    assert steps[-1] == 7 * place["epoch"] + place["batch"]
    epochs = steps[-1] // 7 + 2
    resumed, whole = classifier(), classifier()
    resumed.fit(X, Y, 10, epochs, verbose=0, checkpoint=tmp_path, resume=True)
    whole.fit(X, Y, 10, epochs, verbose=0)
    for name, array in whole.state.items():
        np.testing.assert_array_equal(array, resumed.state[name], err_msg=name)


def test_backup_and_restore(tmp_path: Path) -> None:
    whole, cut = classifier(), classifier()
    expected = whole.fit(X, Y, 10, 3, verbose=0).history
    backup = callbacks.BackupAndRestore(tmp_path, save_freq=2)
    with pytest.raises(Gone):
        cut.fit(X, Y, 10, 3, verbose=0, callbacks=[backup, Killer(10)])
    assert json.loads(ox.load_checkpoint(tmp_path / CHECKPOINT)[1]["onnxdl.run"])["place"]["batch"] == 2
    again = classifier()
    history = again.fit(X, Y, 10, 3, verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path)]).history
    assert history == expected
    assert not (tmp_path / CHECKPOINT).exists()


def test_a_run_that_stopped_early_stays_stopped(tmp_path: Path) -> None:
    models = []
    for _ in range(2):
        model = classifier()
        stopper = ox.EarlyStopping("loss", patience=1, min_delta=9, restore_best_weights=True)
        history = model.fit(X, Y, 10, 9, verbose=0, callbacks=[stopper], checkpoint=tmp_path, resume=True)
        assert history.epoch == [0, 1]
        models.append(model)
    for a, b in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
