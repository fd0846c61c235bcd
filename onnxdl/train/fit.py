"""The fit loop: epochs of steps, validation, checkpoints, and a clean stop at any moment."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from onnxdl.data import walk
from onnxdl.errors import DataError, RuntimeFailure, TrainingError
from onnxdl.train.callbacks import Callback, CallbackList, History
from onnxdl.train.diagnosis import is_finite
from onnxdl.train.feed import Feed
from onnxdl.train.profile import PROFILED, Profile, printed
from onnxdl.train.progress import Pass, Reporter
from onnxdl.train.recording import BackupAndRestore
from onnxdl.train.resume import CHECKPOINT, Place, load_run, save_run
from onnxdl.train.running import Mean, logs_of, metrics_of, samples_of
from onnxdl.train.testing import validate

if TYPE_CHECKING:
    from onnxdl.train.model import Model
    from onnxdl.train.programs import TrainStep


def fit(
    model: Model,
    data: Feed,
    *,
    epochs: int,
    initial_epoch: int = 0,
    validation: Feed | None = None,
    validation_freq: int | Collection[int] = 1,
    callbacks: Sequence[Callback] = (),
    verbose: int | str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    profile: bool = False,
) -> History:
    """Trains a compiled model; see ``Model.fit``."""
    backup = next((c for c in callbacks if isinstance(c, BackupAndRestore)), None)
    if backup is not None:
        checkpoint, checkpoint_every, resume = backup.backup_dir, backup.every, True
    file = None if checkpoint is None else Path(checkpoint) / CHECKPOINT
    history, steps = History(), data.batches.steps
    everyone = CallbackList([*callbacks, history], model, {"epochs": epochs, "steps": steps, "verbose": verbose})
    model.train_step(data.weights)  # now, so that the callbacks find the State
    model.history, model.stop_training = history, False
    everyone.call("on_train_begin")
    found = load_run(model, file, everyone) if resume else None
    place, logs = found or Place(epoch=initial_epoch), dict[str, float]()
    model.stop_training = place.stopped
    reporter = Reporter(verbose, epochs)
    with _interrupts() as interrupted:
        while place.epoch < epochs and not model.stop_training:
            epoch = place.epoch
            if not place.batch:
                model.reset_metrics()
                everyone.call("on_epoch_begin", epoch)
            with reporter.epoch(epoch, steps, place.batch) as report:
                logs = _train_epoch(model, data, place, everyone, report, _Saving(file, checkpoint_every, interrupted), profile)
                if validation is not None and _is_due(epoch + 1, validation_freq):
                    logs.update((f"val_{name}", value) for name, value in validate(model, validation, everyone).items())
                report.finish(logs)
            profile = False
            everyone.call("on_epoch_end", epoch, logs)
            place = Place(epoch + 1, stopped=model.stop_training)
            if _is_sound(model, logs["loss"]):
                save_run(file, model, place, everyone)
            if interrupted:
                raise KeyboardInterrupt
    model.take_averages()
    everyone.call("on_train_end", logs)
    if backup is not None and backup.delete_checkpoint and file is not None:
        file.unlink(missing_ok=True)
    return history


class _Saving(NamedTuple):
    """When a checkpoint is due within an epoch: after every so many steps, and when Ctrl-C was pressed."""

    file: Path | None
    every: int | None
    interrupted: list[int]

    def is_due(self, done: int) -> bool:
        return bool(self.interrupted) or (self.every is not None and done % self.every == 0)


def _train_epoch(
    model: Model, data: Feed, place: Place, callbacks: CallbackList, report: Pass, saving: _Saving, profile: bool
) -> dict[str, float]:
    """The steps of an epoch from a place on; its loss and metrics. At its end comes the profile of a step on its first batch."""
    step, steps, watched = model.train_step(data.weights), data.batches.steps, callbacks.watches("train")
    mean, done, results, first = Mean(place.total, place.samples), place.batch, None, None
    with closing(walk(data.batches, place.epoch, done)) as batches:
        for batch in batches:
            if watched:
                callbacks.call("on_train_batch_begin", done)
            results = step.run(batch)
            first = first or batch
            done += 1
            mean.add(results, samples_of(batch))
            if watched or report.wants_logs:
                logs = logs_of(mean, results)
                report.show(done, logs)
                callbacks.call("on_train_batch_end", done - 1, logs)
                if model.stop_training:
                    break
            if not math.isfinite(results["loss"]):
                raise _gone_bad(f"the loss became {results['loss']}", model, step, place.epoch, done, saving.file)
            if done != steps and saving.is_due(done):
                _refuse_bad_weights(model, step, place.epoch, done, saving.file)
                save_run(saving.file, model, Place(place.epoch, done, mean.total, mean.samples, metrics_of(results)), callbacks)
                if saving.interrupted:
                    raise KeyboardInterrupt
    if not done:
        raise DataError(f"there is no data: epoch {place.epoch + 1} has no batch")
    if results is not None and not model.stop_training:
        _refuse_bad_weights(model, step, place.epoch, done, saving.file)
    if profile and first is not None:
        printed(Profile(step.session.profile(first, PROFILED), samples_of(first)), print)
    return {"loss": mean.value, **(place.metrics if results is None else metrics_of(results))}


def _is_due(epoch: int, frequency: int | Collection[int]) -> bool:
    """Whether an epoch, counted from 1, ends with a validation."""
    return epoch % frequency == 0 if isinstance(frequency, int) else epoch in frequency


def _is_sound(model: Model, loss: float) -> bool:
    """Whether no number has gone bad; where no callback stopped the run, that was refused before."""
    return not model.stop_training or (math.isfinite(loss) and _bad_weight(model) is None)


def _bad_weight(model: Model) -> str | None:
    """The first weight that is not finite, of those that are trained."""
    trained = set(model.recipe.trained)
    return next((name for name, p in model.named_parameters() if p in trained and not is_finite(p.value)), None)


def _refuse_bad_weights(model: Model, step: TrainStep, epoch: int, done: int, file: Path | None) -> None:
    if name := _bad_weight(model):
        raise _gone_bad(f"the weight {name!r} is not finite any more", model, step, epoch, done, file)


def _gone_bad(what: str, model: Model, step: TrainStep, epoch: int, done: int, file: Path | None) -> TrainingError:
    """The error of numbers gone bad in the last step, with the tensor that began it."""
    number = int(model.cells()["step"].numpy()) - 1
    try:
        first = step.first_bad()
    except RuntimeFailure:  # all tensors of a step at once may be more than the memory holds
        first = None
    found = f": the first tensor that is not finite is {first}" if first else ""
    kept = f"; the last good checkpoint is {file}" if file is not None and file.exists() else ""
    return TrainingError(
        f"{what} at batch {done - 1} of epoch {epoch + 1} (step {number}){found}; try a smaller learning rate or clip the gradients{kept}"
    )


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
