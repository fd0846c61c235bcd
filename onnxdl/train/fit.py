"""The fit loop: epochs of steps, validation, checkpoints, and a clean stop at any moment."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxdl.data import Batches
from onnxdl.data.batches import check_finite
from onnxdl.errors import FormatError, TrainingError
from onnxdl.io.checkpoint import load_checkpoint, save_checkpoint
from onnxdl.runtime.cells import Results
from onnxdl.train.callbacks import Callback, CallbackList, History
from onnxdl.train.progress import Reporter

if TYPE_CHECKING:
    from onnxdl.train.model import Model

CHECKPOINT = "checkpoint.safetensors"


class Mean:
    """The mean loss of an epoch so far; values are read from the device only when it is asked for."""

    def __init__(self, total: float = 0.0, samples: int = 0) -> None:
        self._total, self._samples = total, samples
        self._pending: list[tuple[Results, int]] = []

    def add(self, results: Results, samples: int) -> None:
        """Counts a step."""
        self._pending.append((results, samples))
        if len(self._pending) >= 64:
            self.settle()

    def settle(self) -> tuple[float, int]:
        """The sum over samples, and their number."""
        for results, samples in self._pending:
            self._total += results["loss"] * samples
            self._samples += samples
        self._pending.clear()
        return self._total, self._samples

    @property
    def value(self) -> float:
        """The mean."""
        total, samples = self.settle()
        return total / max(samples, 1)


def fit(
    model: Model,
    batches: Batches,
    *,
    epochs: int,
    initial_epoch: int = 0,
    validation: Batches | None = None,
    callbacks: Sequence[Callback] = (),
    verbose: int | str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> History:
    """Trains a compiled model; see ``Model.fit``."""
    history = History()
    everyone = CallbackList([history, *callbacks], model, {"epochs": epochs, "steps": batches.steps, "verbose": verbose})
    step = model.train_step()
    place = _Place(epoch=initial_epoch)
    file = None if checkpoint is None else Path(checkpoint) / CHECKPOINT
    if resume:
        place = _resumed(model, file, everyone)
    model.stop_training = False
    reporter = Reporter(verbose, epochs)
    everyone.call("on_train_begin")
    with _interrupts() as interrupted:
        for epoch in range(place.epoch, epochs):
            mean = Mean(place.total, place.samples)
            if place.batch == 0:
                model.reset_metrics()
                everyone.call("on_epoch_begin", epoch)
            with reporter.epoch(epoch, batches.steps, place.batch) as report:
                done, results = place.batch, None
                for batch in batches.epoch(epoch, place.batch):
                    check_finite(batch, f"batch {done}, epoch {epoch + 1}")
                    if everyone.watches_batches:
                        everyone.call("on_train_batch_begin", done)
                    results = step.run(batch)
                    done += 1
                    mean.add(results, len(next(iter(batch.values()))))
                    if everyone.watches_batches or report.wants_logs:
                        logs = _logs(mean, results)
                        report.show(done, logs)
                        everyone.call("on_train_batch_end", done - 1, logs)
                    if interrupted and done != batches.steps:
                        total, samples = mean.settle()
                        _save(model, file, _Place(epoch, done, total, samples, _metrics(results)), everyone)
                        raise KeyboardInterrupt
                logs = _logs(mean, results) if results is not None else {"loss": mean.value, **place.metrics}
                _refuse_nan(logs, epoch, file)
                if validation is not None:
                    logs.update((f"val_{name}", value) for name, value in evaluate(model, validation).items())
                report.finish(logs)
            everyone.call("on_epoch_end", epoch, logs)
            place = _Place(epoch + 1)
            _save(model, file, place, everyone)
            if interrupted:
                raise KeyboardInterrupt
            if model.stop_training:
                break
    everyone.call("on_train_end")
    return history


def evaluate(model: Model, batches: Batches) -> dict[str, float]:
    """The mean loss and the metrics over all batches."""
    evaluation = model.evaluation()
    evaluation.reset()
    mean = Mean()
    results = None
    for batch in batches.epoch(0):
        results = evaluation.session(batch)
        mean.add(results, len(next(iter(batch.values()))))
    return _logs(mean, results)


def _logs(mean: Mean, results: Results | None) -> dict[str, float]:
    return {"loss": mean.value, **({} if results is None else _metrics(results))}


def _metrics(results: Results) -> dict[str, float]:
    return {name: results[name] for name in results if name != "loss"}


def _refuse_nan(logs: dict[str, float], epoch: int, file: Path | None) -> None:
    if not math.isfinite(logs["loss"]):
        kept = f"; the last good checkpoint is {file}" if file is not None and file.exists() else ""
        raise TrainingError(f"the loss became {logs['loss']} in epoch {epoch + 1}; try a smaller learning rate or clip the gradients{kept}")


class _Place:
    """Where a run stands: the epoch, the batch within it, the loss summed over it so far, and its metrics."""

    def __init__(
        self, epoch: int = 0, batch: int = 0, total: float = 0.0, samples: int = 0, metrics: dict[str, float] | None = None
    ) -> None:
        self.epoch, self.batch, self.total, self.samples, self.metrics = epoch, batch, total, samples, metrics or {}


def _save(model: Model, file: Path | None, place: _Place, callbacks: CallbackList) -> None:
    if file is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    progress = {"place": vars(place), "callbacks": [c.state() for c in callbacks.callbacks]}
    save_checkpoint(file, model.state, {"onnxdl.run": json.dumps(progress)})


def _resumed(model: Model, file: Path | None, callbacks: CallbackList) -> _Place:
    if file is None:
        raise TrainingError("resume=True needs checkpoint=FOLDER, where the run left its checkpoint")
    if not file.exists():
        return _Place()
    state, metadata = load_checkpoint(file)
    if "onnxdl.run" not in metadata:
        raise FormatError(f"{file} holds weights but no run to resume; load it with ox.load_checkpoint and model.load_state")
    model.load_state(state)
    progress = json.loads(metadata["onnxdl.run"])
    for callback, kept in zip(callbacks.callbacks, progress["callbacks"], strict=False):
        if kept:
            callback.load_state(kept)
    return _Place(**progress["place"])


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Ctrl-C waits for the end of the step, so that the State is whole; a second one does not wait."""
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return

    def remember(signum: int, frame: Any) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(signum)

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)
