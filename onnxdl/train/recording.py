"""Callbacks that write files: models, tables, TensorBoard's events."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxdl.data.split import require
from onnxdl.errors import TrainingError
from onnxdl.io.checkpoint import save_checkpoint
from onnxdl.train.callbacks import Callback, Logs
from onnxdl.train.monitors import MonitorCallback, log_rates

Path_ = str | os.PathLike[str]


class ModelCheckpoint(MonitorCallback):
    """Saves the model after each epoch, or while it gets better.

    Args:
        filepath: the file; ``{epoch:02d}``, ``{batch}`` and logged names such as ``{val_loss:.2f}`` are filled in. The suffix
            is one that ``Model.save`` knows; with ``save_weights_only`` it is ``.safetensors``.
        monitor: the watched value's name in the logs.
        verbose: 1 says so when it saves.
        save_best_only: whether only an improvement is saved.
        save_weights_only: whether only the parameters are saved, as a State.
        mode: ``min``, ``max`` or ``auto``.
        save_freq: ``epoch``, or the number of steps after which it saves.
        initial_value_threshold: what the first value must be better than.
    """

    def __init__(
        self,
        filepath: Path_,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, best=initial_value_threshold)
        if save_freq != "epoch" and not isinstance(save_freq, int):
            raise TrainingError(f"save_freq is 'epoch' or a number of steps, not {save_freq!r}")
        self.filepath, self.verbose, self.save_freq = os.fspath(filepath), verbose, save_freq
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        if save_weights_only and not self.filepath.endswith(".safetensors"):
            raise TrainingError(f"weights alone are saved as .safetensors, not {self.filepath}")
        self._epoch = self._steps = 0
        if isinstance(save_freq, int):
            self.on_train_batch_end = self._on_step  # type: ignore[method-assign]  # else no step needs to be watched

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save({"epoch": epoch + 1, **(logs or {})})

    def _on_step(self, batch: int, logs: Logs | None = None) -> None:
        self._steps += 1
        if self._steps == self.save_freq:
            self._steps = 0
            self._save({"epoch": self._epoch + 1, "batch": batch + 1, **(logs or {})})

    def _save(self, values: Logs) -> None:
        try:
            path = Path(self.filepath.format(**values))
        except KeyError as error:
            raise TrainingError(f"{self.filepath} asks for {error}, but the logs hold {', '.join(values)}") from None
        if self.save_best_only and not self._improved(values, path):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            save_checkpoint(path, {name: p.value for name, p in self.model.named_parameters()})
        else:
            self.model.save(path)
        if self.verbose:
            print(f"Epoch {values['epoch']}: finished saving model to {path}")

    def _improved(self, values: Logs, path: Path) -> bool:
        value, before = self.value_in(values), self.best
        if value is None:
            return True
        improved = self.is_better(value, before)
        if improved:
            self.best = value
        if self.verbose:
            was = "None" if before is None else f"{before:.5f}"
            word = f"improved from {was} to {value:.5f}, saving model to {path}" if improved else f"did not improve from {was}"
            print(f"Epoch {values['epoch']}: {self.monitor} {word}")
        return improved

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "epoch": self._epoch, "steps": self._steps}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.best, self._epoch, self._steps = state["best"], state["epoch"], state["steps"]


class CSVLogger(Callback):
    """Writes a line for each epoch: its number, then loss and metrics by sorted name.

    Args:
        filename: the file.
        separator: what stands between the columns.
        append: whether lines of earlier runs stay. A run that is resumed always goes on with its own.
    """

    def __init__(self, filename: Path_, separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = Path(filename), separator, append
        self.keys: list[str] | None = None
        self._size: int | None = None  # the length of the file after the last line

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.keys = self._size = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        values = logs or {}
        if self.keys is None:
            names = sorted(values)
            self.keys = names if any(n.startswith("val_") for n in names) else names + [f"val_{n}" for n in names]
        if self._size is not None and self.filename.exists():
            os.truncate(self.filename, self._size)  # lines of epochs that are done again
        goes_on = self.append or self._size is not None
        with self.filename.open("a" if goes_on else "w", newline="") as file:
            writer = csv.DictWriter(file, ["epoch", *self.keys], delimiter=self.separator, extrasaction="ignore", restval="NA")
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow({"epoch": epoch, **values})
            self._size = file.tell()

    def state(self) -> dict[str, Any]:
        return {"keys": self.keys, "size": self._size}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.keys, self._size = state["keys"], state["size"]


class TensorBoard(Callback):
    """Writes loss, metrics and learning rate for TensorBoard, in Keras's folders and names.

    Args:
        log_dir: its folder; ``train`` and ``validation`` in it hold the events.
        update_freq: ``epoch``, ``batch``, or the number of steps after which the batch's values are written as well.

    Raises:
        DataError: tensorboard is not installed, when training begins.
    """

    def __init__(self, log_dir: Path_ = "logs", update_freq: str | int = "epoch") -> None:
        if update_freq not in ("epoch", "batch") and not isinstance(update_freq, int):
            raise TrainingError(f"update_freq is 'epoch', 'batch' or a number of steps, not {update_freq!r}")
        self.log_dir, self._steps = Path(log_dir), 0
        self._every = 1 if update_freq == "batch" else update_freq
        self._writers: dict[str, Any] = {}
        if self._every != "epoch":
            self.on_train_batch_end = self._on_step  # type: ignore[method-assign]  # else no step needs to be watched

    def on_train_begin(self, logs: Logs | None = None) -> None:
        require("tensorboard", extra="tensorboard")
        self._steps = 0

    def on_train_end(self, logs: Logs | None = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        values = dict(logs or {})
        log_rates(self.model, values)
        for name, value in values.items():
            run = "validation" if name.startswith("val_") else "train"
            self._write(run, f"epoch_{name.removeprefix('val_')}", value, epoch)
        for writer in self._writers.values():
            writer.flush()

    def _on_step(self, batch: int, logs: Logs | None = None) -> None:
        if self._steps % int(self._every) == 0:
            for name, value in (logs or {}).items():
                self._write("train", f"batch_{name}", value, self._steps)
        self._steps += 1

    def _write(self, run: str, tag: str, value: float, step: int) -> None:
        events = require("tensorboard.compat.proto.event_pb2", extra="tensorboard")
        summaries = require("tensorboard.compat.proto.summary_pb2", extra="tensorboard")
        if run not in self._writers:
            writer = require("tensorboard.summary.writer.event_file_writer", extra="tensorboard")
            self._writers[run] = writer.EventFileWriter(os.fspath(self.log_dir / run))
        summary = summaries.Summary(value=[summaries.Summary.Value(tag=tag, simple_value=float(value))])
        self._writers[run].add_event(events.Event(step=step, wall_time=time.time(), summary=summary))

    def state(self) -> dict[str, Any]:
        return {"steps": self._steps}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._steps = state["steps"]


class BackupAndRestore(Callback):
    """Makes ``fit`` keep a checkpoint in a folder and go on from the one that is there, as ``checkpoint`` and ``resume`` do.

    Args:
        backup_dir: the folder.
        save_freq: ``epoch``, or the number of steps after which a checkpoint is kept as well.
        delete_checkpoint: whether it goes when training has ended.
    """

    def __init__(self, backup_dir: Path_, save_freq: str | int = "epoch", delete_checkpoint: bool = True) -> None:
        if save_freq != "epoch" and not isinstance(save_freq, int):
            raise TrainingError(f"save_freq is 'epoch' or a number of steps, not {save_freq!r}")
        self.backup_dir, self.delete_checkpoint = Path(backup_dir), delete_checkpoint
        self.every = save_freq if isinstance(save_freq, int) else None
