"""The fit loop: what it returns, how it stops and goes on, and what it refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn, optim
from onnxdl.errors import DataError, OnnxdlError, TrainingError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 4)).astype(np.float32)
Y = (X.sum(1) > 0).astype(np.int64)


def classifier(dropout: float = 0.2) -> ox.Model:
    ox.set_seed(5)
    model = ox.Sequential([ox.Input((4,)), nn.Dense(16, activation="relu"), nn.Dropout(dropout), nn.Dense(2, activation="softmax")])
    model.compile(optim.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_history_and_evaluation_agree() -> None:
    model = classifier()
    history = model.fit(X, Y, epochs=20, validation_data=(X, Y), verbose=0).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history["val_loss"][-1] < history["val_loss"][0] / 2
    loss, accuracy = model.evaluate(X, Y, batch_size=7)
    assert [loss, accuracy] == pytest.approx([history["val_loss"][-1], history["val_accuracy"][-1]], rel=1e-5)
    predictions = model.predict(X, batch_size=9)
    assert accuracy == pytest.approx((predictions.argmax(1) == Y).mean())
    assert loss == pytest.approx(-np.log(predictions[np.arange(100), Y]).mean(), rel=1e-4)


def test_the_epochs_loss_is_the_mean_over_samples() -> None:
    model = classifier(dropout=0)
    model.compile(optim.SGD(1e-30), "sparse_categorical_crossentropy")
    history = model.fit(X, Y, batch_size=64, verbose=0).history
    assert history["loss"][0] == pytest.approx(model.evaluate(X, Y), rel=1e-5)


def test_one_seed_gives_one_run() -> None:
    runs = [classifier() for _ in range(2)]
    for model in runs:
        model.fit(X, Y, epochs=2, verbose=0)
    for name, array in runs[0].state.items():
        np.testing.assert_array_equal(array, runs[1].state[name])


def test_validation_split_takes_the_last_samples() -> None:
    a, b = classifier(), classifier()
    one = a.fit(X, Y, epochs=2, validation_split=0.25, verbose=0).history
    other = b.fit(X[:75], Y[:75], epochs=2, validation_data=(X[75:], Y[75:]), verbose=0).history
    assert one == other


class Interrupt(ox.Callback):
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, at: int) -> None:
        self.steps, self.at = 0, at

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.steps += 1
        if self.steps == self.at:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("at", [1, 7, 8, 13])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(at: int, tmp_path: Path) -> None:
    whole = classifier()
    expected = whole.fit(X, Y, 16, 3, verbose=0).history
    cut = classifier()
    with pytest.raises(KeyboardInterrupt):
        cut.fit(X, Y, 16, 3, verbose=0, checkpoint=tmp_path, callbacks=[Interrupt(at)])
    resumed = classifier()
    history = resumed.fit(X, Y, 16, 3, verbose=0, checkpoint=tmp_path, resume=True).history
    assert history == expected
    for name, array in whole.state.items():
        np.testing.assert_array_equal(array, resumed.state[name], err_msg=name)


def test_a_killed_run_goes_on_from_its_last_epoch(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            sys.path.insert(0, sys.argv[1])
            from test_fit import X, Y, classifier
            epochs = int(sys.argv[3])
            model = classifier()
            model.fit(X, Y, 16, epochs, verbose=0, checkpoint=sys.argv[2], resume=True)
            print("done", flush=True)
            """
        )
    )
    here = Path(__file__).parent
    command = [sys.executable, str(script), str(here), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(here.parents[1])}
    process = subprocess.Popen([*command, "100000"], env=environment)
    deadline = time.time() + 60
    while not (tmp_path / "checkpoint.safetensors").exists() and time.time() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    state, metadata = ox.load_checkpoint(tmp_path / "checkpoint.safetensors")
    epochs = int(state["step"]) // 7 + 2
    assert "onnxdl.run" in metadata
    subprocess.run([*command, str(epochs)], env=environment, check=True, timeout=120)
    resumed, _ = ox.load_checkpoint(tmp_path / "checkpoint.safetensors")
    whole = classifier()
    whole.fit(X, Y, 16, epochs, verbose=0)
    for name, array in whole.state.items():
        np.testing.assert_array_equal(array, resumed[name], err_msg=name)


def test_early_stopping_stops_and_restores() -> None:
    model = classifier()
    stopper = ox.EarlyStopping("loss", patience=1, min_delta=10.0, restore_best_weights=True)
    history = model.fit(X, Y, epochs=50, verbose=0, callbacks=[stopper])
    assert history.epoch == [0, 1]


def test_batches_may_come_from_any_iterable() -> None:
    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for i in range(0, 100, 25):
            yield X[i : i + 25], Y[i : i + 25]

    arrays, stream = classifier(), classifier()
    one = arrays.fit(X, Y, 25, 3, shuffle=False, verbose=0).history
    assert stream.fit(batches, epochs=3, verbose=0).history == one
    assert classifier().fit(list(batches()), epochs=3, verbose=0).history == one


def with_nan() -> np.ndarray:
    x = X.copy()
    x[17, 2] = np.nan
    return x


REFUSED: dict[str, tuple[Callable[[], Any], type[OnnxdlError], str]] = {
    "NaN in the data": (
        lambda: classifier().fit(with_nan(), Y, 10, shuffle=False, verbose=0),
        DataError,
        r"'input' holds nan at \[7, 2\] of batch 1",
    ),
    "labels above": (lambda: classifier().fit(X, Y + 1, verbose=0), DataError, "holds the label 2, but the model has the classes 0 to 1"),
    "labels below": (lambda: classifier().fit(X, Y - 1, verbose=0), DataError, "holds the label -1"),
    "wrong shape": (
        lambda: classifier().predict(X[:, :3]),
        DataError,
        r"'input' has the shape \[100, 3\], but the model takes \[batch, 4\]",
    ),
    "wrong kind": (lambda: classifier().fit(X.astype(str), Y, verbose=0), DataError, "numbers are needed"),
    "lengths differ": (lambda: classifier().fit(X, Y[:-1], verbose=0), DataError, "different numbers of samples"),
    "no data": (lambda: classifier().fit(X[:0], Y[:0], verbose=0), DataError, "there is no data"),
    "not compiled": (lambda: ox.Sequential([ox.Input((4,)), nn.Dense(2)]).fit(X, Y, verbose=0), TrainingError, "must be compiled"),
    "no input known": (lambda: ox.Sequential([nn.Dense(2)]).summary(), TrainingError, "does not know its input yet"),
    "resume without a folder": (lambda: classifier().fit(X, Y, verbose=0, resume=True), TrainingError, "needs checkpoint=FOLDER"),
    "targets missing": (lambda: classifier().fit(X, [Y, Y], verbose=0), DataError, "1 outputs, but 2 targets"),
    "used-up generator": (
        lambda: classifier().fit(((X, Y) for _ in range(1)), epochs=2, verbose=0),
        DataError,
        "pass a function that makes it",
    ),
}


@pytest.mark.parametrize(("act", "error", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_wrong_use_is_refused_in_one_line(act: Callable[[], Any], error: type[OnnxdlError], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        act()
    assert "\n" not in str(caught.value)


def test_a_loss_gone_bad_stops_the_run(tmp_path: Path) -> None:
    model = ox.Sequential([ox.Input((4,)), nn.Dense(1)])
    model.compile(optim.SGD(1e30), "mse")
    with pytest.raises(TrainingError, match=r"the loss became (nan|inf).*smaller learning rate"):
        model.fit(X, Y.astype(np.float32), epochs=5, verbose=0)
