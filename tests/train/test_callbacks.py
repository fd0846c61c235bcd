"""Callbacks: their hooks, and that they decide as Keras's do."""

from __future__ import annotations

import csv
import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import callbacks, nn, optim
from onnxdl.errors import DataError, TrainingError
from onnxdl.runtime import Cell
from tests.keras_backend import keras

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4)).astype(np.float32)
Y = (X.sum(1) > 0).astype(np.int64)


def classifier(optimizer: Any = None) -> ox.Model:
    ox.set_seed(5)
    model = ox.Sequential([ox.Input((4,)), nn.Dense(8, activation="relu"), nn.Dense(2, activation="softmax")])
    model.compile(optimizer or optim.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


# ---- hooks ----------------------------------------------------------------------------------------------------------

HOOKS = [name for name in dir(ox.Callback) if name.startswith("on_")]


def recorder(base: Any, calls: list[str]) -> Any:
    """A callback of a library that writes down every call."""

    def hook(name: str) -> Callable[..., None]:
        def record(self: Any, *args: Any, logs: Any = None) -> None:
            given = [a for a in (*args, logs) if isinstance(a, dict)]
            number = [a for a in args if isinstance(a, int)]
            calls.append(f"{name} {number} {[sorted(d) for d in given if d]}")

        return record

    return type("Recorder", (base,), {name: hook(name) for name in HOOKS if not name.startswith("on_batch")})()


def test_the_hooks_are_called_as_keras_calls_them() -> None:
    k = keras()
    assert {n for n in dir(k.callbacks.Callback) if n.startswith("on_")} == set(HOOKS)
    ours: list[str] = []
    theirs: list[str] = []
    model = classifier()
    other = k.Sequential([k.Input((4,)), k.layers.Dense(2, activation="softmax")])
    other.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for m, base, calls in ((model, ox.Callback, ours), (other, k.callbacks.Callback, theirs)):
        made = [recorder(base, calls)]
        m.fit(X, Y, batch_size=8, epochs=2, validation_data=(X[:10], Y[:10]), validation_freq=2, verbose=0, callbacks=made)
        m.evaluate(X, Y, batch_size=16, verbose=0, callbacks=made)
        m.predict(X, batch_size=16, verbose=0, callbacks=made)
    assert ours == theirs
    assert len(ours) == 2 + 2 * 2 + 2 * 3 * 2 + (2 + 2 * 2) + (2 + 2 * 2) + (2 + 2 * 2)


def test_only_callbacks_that_watch_batches_cost_a_call_a_batch() -> None:
    from onnxdl.train.callbacks import CallbackList

    model = classifier()
    watching: list[tuple[ox.Callback, str]] = [
        (callbacks.LambdaCallback(on_batch_end=lambda batch, logs: None), "train"),
        (callbacks.LambdaCallback(on_test_batch_end=lambda batch, logs: None), "test"),
        (callbacks.TerminateOnNaN(), "train"),
        (callbacks.ModelCheckpoint("m.onnx", save_freq=2), "train"),
    ]
    for callback, mode in watching:
        assert [m for m in ("train", "test", "predict") if CallbackList([callback], model, {}).watches(m)] == [mode]
    for quiet in (callbacks.History(), callbacks.EarlyStopping(), callbacks.ModelCheckpoint("m.onnx"), callbacks.CSVLogger("x.csv")):
        assert not any(CallbackList([quiet], model, {}).watches(m) for m in ("train", "test", "predict"))


def test_lambdas_are_hooks() -> None:
    seen: list[Any] = []
    model = classifier()
    model.fit(
        X,
        Y,
        12,
        1,
        verbose=0,
        callbacks=[
            callbacks.LambdaCallback(
                on_train_begin=lambda logs=None: seen.append("begin"),
                on_batch_end=lambda batch, logs: seen.append(batch),
                on_epoch_end=lambda epoch, logs: seen.append(sorted(logs)),
            )
        ],
    )
    assert seen == ["begin", 0, 1, ["accuracy", "loss"]]
    with pytest.raises(TypeError, match="no hook is called 'on_fire'"):
        callbacks.LambdaCallback(on_fire=print)


def test_a_callback_stops_training_within_an_epoch() -> None:
    model = classifier()

    def stop(batch: int, logs: Any) -> None:
        model.stop_training = batch == 1

    history = model.fit(X, Y, 8, 5, verbose=0, callbacks=[callbacks.LambdaCallback(on_train_batch_end=stop)])
    assert history.epoch == [0] and int(model.state["step"]) == 2
    assert model.history is history


# ---- decisions, beside Keras's --------------------------------------------------------------------------------------


class Stub:
    """What a callback needs of a model of either library; its weight is the epoch's number."""

    def __init__(self) -> None:
        self.stop_training, self.weights, self.metrics = False, [np.zeros(1)], []
        self.optimizer = type("Optimizer", (), {"learning_rate": 0.1})()
        self.rate = Cell(np.float32(0.1))  # type: ignore[arg-type]

    def cells(self) -> dict[str, Cell]:
        return {"optimizer.learning_rate": self.rate}

    def get_weights(self) -> list[np.ndarray]:
        return [w.copy() for w in self.weights]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.weights = weights


def drive(callback: Any, values: np.ndarray, name: str) -> tuple[int, float, list[float]]:
    """Epochs with given values: where it stopped, the weights left, and the rates."""
    model = Stub()
    callback.set_model(model)
    callback.on_train_begin()
    rates, epoch = [], 0
    for epoch, value in enumerate(values):
        model.weights = [np.array([float(epoch)])]
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {name: float(value)})
        rates.append(float(model.rate.numpy()) if float(model.rate.numpy()) != np.float32(0.1) else model.optimizer.learning_rate)
        if model.stop_training:
            break
    callback.on_train_end()
    return epoch, float(model.weights[0][0]), rates


STOPPING = [
    {"patience": p, "min_delta": d, "baseline": b, "restore_best_weights": r, "start_from_epoch": s}
    for p, d, b, r, s in itertools.product((0, 1, 3), (0, 0.2), (None, -0.5), (False, True), (0, 2))
]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_early_stopping_decides_as_keras_does(mode: str) -> None:
    k = keras()
    for options in STOPPING:
        for seed in range(6):
            values = np.random.default_rng(seed).normal(size=15).cumsum() / 3
            made = {"monitor": "val_score", "mode": mode, **options}
            expected = drive(k.callbacks.EarlyStopping(**made), values, "val_score")
            assert drive(ox.EarlyStopping(**made), values, "val_score") == expected, (options, seed)  # type: ignore[arg-type]


REDUCING = [
    {"factor": f, "patience": p, "cooldown": c, "min_delta": d, "min_lr": m}
    for f, p, c, d, m in itertools.product((0.5, 0.1), (1, 3), (0, 2), (1e-4, 0.3), (0, 0.02))
]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_rate_falls_as_in_keras(mode: str) -> None:
    k = keras()
    for options in REDUCING:
        for seed in range(6):
            values = np.random.default_rng(seed).normal(size=15).cumsum() / 3
            made = {"monitor": "score", "mode": mode, **options}
            expected = drive(k.callbacks.ReduceLROnPlateau(**made), values, "score")[2]
            found = drive(callbacks.ReduceLROnPlateau(**made), values, "score")[2]  # type: ignore[arg-type]
            np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=str((options, seed)))


def test_the_direction_goes_by_the_name() -> None:
    larger = ["accuracy", "val_sparse_categorical_accuracy", "val_auc", "precision", "val_f1_score", "mean_io_u", "binary_iou"]
    for name in larger:
        assert ox.EarlyStopping(name).is_better(2.0, 1.0), name
    for name in ("loss", "val_loss", "mse", "val_mean_absolute_error"):
        assert ox.EarlyStopping(name).is_better(1.0, 2.0), name


def test_a_name_that_is_not_logged_is_told_once() -> None:
    with pytest.warns(UserWarning, match="watches 'val_losss', but the logs hold loss, accuracy") as caught:
        classifier().fit(X, Y, epochs=3, verbose=0, callbacks=[ox.EarlyStopping("val_losss")])
    assert len(caught) == 1


# ---- learning rates -------------------------------------------------------------------------------------------------


def test_the_scheduler_sets_the_rate_that_the_step_uses() -> None:
    scheduled = classifier(optim.SGD(0.5))
    seen: list[float] = []
    history = scheduled.fit(
        X,
        Y,
        24,
        3,
        shuffle=False,
        verbose=0,
        callbacks=[
            callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
            callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["learning_rate"])),
        ],
    ).history
    assert seen == history["learning_rate"] == [0.25, 0.125, 0.0625]
    by_hand = classifier(optim.SGD(0.5))
    by_hand.ensure_targets(Y)
    by_hand.train_step()
    for rate in seen:
        by_hand.cells()["optimizer.learning_rate"].assign(np.array(rate))
        by_hand.train_on_batch(X, Y)
    for a, b in zip(scheduled.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_groups_of_weights_have_rates_of_their_own() -> None:
    groups = optim.MultiOptimizer(optim.OptimizerMap(optim.SGD(0.5), {r"dense\..*": optim.SGD(0.25)}))
    history = classifier(groups).fit(X, Y, epochs=2, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)])
    assert history.history["learning_rate"] == [0.25, 0.125]
    assert history.history["learning_rate_1"] == [0.125, 0.0625]


def test_a_schedule_in_the_graph_cannot_be_set() -> None:
    model = classifier(optim.SGD(optim.schedules.ExponentialDecay(0.1, 10, 0.9)))
    with pytest.raises(TrainingError, match="follows a schedule"):
        model.fit(X, Y, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch: 0.1)])


def test_messages_are_keras_ones(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    classifier().fit(
        X,
        Y,
        epochs=9,
        verbose=0,
        callbacks=[
            ox.EarlyStopping("loss", min_delta=9, patience=2, verbose=1, restore_best_weights=True),
            callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=9, verbose=1),
            callbacks.LearningRateScheduler(lambda epoch: 0.25, verbose=1),
            callbacks.ModelCheckpoint(tmp_path / "m.safetensors", "loss", 1, True, True),
        ],
    )
    said = capsys.readouterr().out
    assert "Epoch 1: LearningRateScheduler setting learning_rate to 0.25.\n" in said
    assert "Epoch 2: ReduceLROnPlateau reducing learning_rate to 0.125.\n" in said
    assert "Epoch 1: loss improved from None to " in said
    assert said.endswith("Epoch 3: early stopping\nRestoring model weights from the end of the best epoch: 1.\n")


# ---- NaN ------------------------------------------------------------------------------------------------------------


def diverging() -> tuple[ox.Model, np.ndarray]:
    model = ox.Sequential([ox.Input((4,)), nn.Dense(1)])
    model.compile(optim.SGD(1e30), "mse")
    return model, Y.astype(np.float32)


def test_nan_ends_training_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model, y = diverging()
    history = model.fit(X, y, 4, 5, verbose=0, callbacks=[callbacks.TerminateOnNaN()], checkpoint=tmp_path)
    assert history.epoch == [0] and not np.isfinite(history.history["loss"][0])
    assert "Invalid loss, terminating training" in capsys.readouterr().out
    assert int(model.state["step"]) < 6
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_nan_may_be_an_error() -> None:
    model, y = diverging()
    with pytest.raises(TrainingError, match="at batch"):
        model.fit(X, y, 4, 5, verbose=0, callbacks=[callbacks.TerminateOnNaN(raise_error=True)])


# ---- files ----------------------------------------------------------------------------------------------------------


def test_models_are_saved_under_formatted_names(tmp_path: Path) -> None:
    saver = callbacks.ModelCheckpoint(tmp_path / "deep" / "{epoch:02d}-{val_loss:.3f}.onnx")
    model = classifier()
    losses = model.fit(X, Y, epochs=2, validation_data=(X, Y), verbose=0, callbacks=[saver]).history["val_loss"]
    assert sorted(f.name for f in (tmp_path / "deep").iterdir()) == [f"{i + 1:02d}-{v:.3f}.onnx" for i, v in enumerate(losses)]
    last = ox.load(tmp_path / "deep" / f"02-{losses[1]:.3f}.onnx")
    np.testing.assert_allclose(last.predict(X), model.predict(X), rtol=1e-6)
    assert last.evaluate(X, Y, verbose=0)[0] == pytest.approx(losses[1], rel=1e-5)


def test_only_the_best_weights_are_saved(tmp_path: Path) -> None:
    file = tmp_path / "best.safetensors"
    kept: list[np.ndarray] = []

    def spoil(epoch: int, logs: Any) -> None:
        if epoch == 1:
            kept.extend(model.get_weights())
            model.set_weights([w * 0 for w in kept])

    model = classifier(optim.SGD(0.1))
    model.fit(
        X,
        Y,
        epochs=3,
        validation_data=(X, Y),
        verbose=0,
        callbacks=[
            callbacks.ModelCheckpoint(file, save_best_only=True, save_weights_only=True),
            callbacks.LambdaCallback(on_epoch_end=spoil),
        ],
    )
    state, _ = ox.load_checkpoint(file)
    for (name, _), weight in zip(model.named_parameters(), kept, strict=True):
        np.testing.assert_array_equal(state[name], weight)


def test_models_are_saved_every_few_steps(tmp_path: Path) -> None:
    saver = callbacks.ModelCheckpoint(tmp_path / "{epoch}-{batch}.safetensors", save_weights_only=True, save_freq=4)
    classifier().fit(X, Y, 8, 3, verbose=0, callbacks=[saver])
    assert sorted(f.name for f in tmp_path.iterdir()) == ["2-1.safetensors", "3-2.safetensors"]


def test_the_table_is_the_one_keras_writes(tmp_path: Path) -> None:
    k = keras()
    epochs = [{"loss": 0.5, "accuracy": 0.25}, {"loss": 0.25, "accuracy": 0.5}, {"loss": 0.125, "accuracy": 1.0, "val_loss": 3.0}]
    tables = []
    for make, append in itertools.product((callbacks.CSVLogger, k.callbacks.CSVLogger), (False, True)):
        file = tmp_path / f"{make.__module__}.csv"
        logger = make(file, separator=";", append=append)
        logger.on_train_begin()
        for i, logs in enumerate(epochs):
            logger.on_epoch_end(i, dict(logs))
        logger.on_train_end()
        tables.append(list(csv.reader(file.read_text().splitlines(), delimiter=";")))
    assert tables[0] == tables[2] and tables[1] == tables[3]
    assert tables[0][0] == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"] and len(tables[1]) == 7


def test_a_resumed_run_writes_each_line_once(tmp_path: Path) -> None:
    rows = []
    for name in ("whole", "cut"):
        file, folder = tmp_path / f"{name}.csv", tmp_path / name
        logger = callbacks.CSVLogger(file)
        classifier().fit(X, Y, 8, 4 if name == "whole" else 2, verbose=0, callbacks=[logger], checkpoint=folder)
        if name == "cut":
            with file.open("a") as lines:
                lines.write("2,9,9,9,9\r\n")  # a line of an epoch whose checkpoint was never written
            classifier().fit(X, Y, 8, 4, verbose=0, callbacks=[callbacks.CSVLogger(file)], checkpoint=folder, resume=True)
        rows.append(file.read_text())
    assert rows[0] == rows[1]


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("tensorboard")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    model = classifier()
    history = model.fit(X, Y, 8, 3, validation_data=(X, Y), verbose=0, callbacks=[callbacks.TensorBoard(tmp_path, update_freq=2)]).history
    found: dict[str, list[tuple[int, float]]] = {}
    for run in ("train", "validation"):
        events = EventAccumulator(str(tmp_path / run))
        events.Reload()
        found.update({f"{run}/{tag}": [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]})
    assert found["train/epoch_loss"] == [(i, pytest.approx(v)) for i, v in enumerate(history["loss"])]
    assert found["validation/epoch_accuracy"] == [(i, pytest.approx(v)) for i, v in enumerate(history["val_accuracy"])]
    assert found["train/epoch_learning_rate"] == [(i, pytest.approx(0.01)) for i in range(3)]
    assert [step for step, _ in found["train/batch_loss"]] == [0, 2, 4, 6, 8]
    assert set(found) == {
        *(f"train/epoch_{n}" for n in ("loss", "accuracy", "learning_rate")),
        *(f"train/batch_{n}" for n in ("loss", "accuracy")),
        *(f"validation/epoch_{n}" for n in ("loss", "accuracy")),
    }


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "mode": (lambda: ox.EarlyStopping(mode="up"), "not 'up'"),
    "direction": (lambda: ox.EarlyStopping("val_quality"), "does not show in its name: pass mode='max' or mode='min'"),
    "factor": (lambda: callbacks.ReduceLROnPlateau(factor=1.0), "a factor below 1"),
    "save_freq": (lambda: callbacks.ModelCheckpoint("m.onnx", save_freq="batch"), "not 'batch'"),
    "weights as onnx": (lambda: callbacks.ModelCheckpoint("m.onnx", save_weights_only=True), "saved as .safetensors"),
    "update_freq": (lambda: callbacks.TensorBoard(update_freq="step"), "not 'step'"),
    "backup": (lambda: callbacks.BackupAndRestore("b", save_freq="step"), "not 'step'"),
    "schedule": (
        lambda: classifier().fit(X, Y, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch: "fast")]),
        "must return a float, not 'fast'",
    ),
    "name in the file": (
        lambda: classifier().fit(X, Y, verbose=0, callbacks=[callbacks.ModelCheckpoint("{val_loss}.onnx")]),
        "asks for 'val_loss', but the logs hold epoch, loss, accuracy",
    ),
}


@pytest.mark.parametrize(("act", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_wrong_options_are_refused(act: Callable[[], Any], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        act()


def test_a_missing_tensorboard_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(DataError, match=r"pip install 'onnxdl\[tensorboard\]'"):
        classifier().fit(X, Y, verbose=0, callbacks=[callbacks.TensorBoard(tmp_path)])
