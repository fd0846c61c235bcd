"""Callbacks that act on what training reports: stop it, or change the learning rate."""

from __future__ import annotations

import inspect
import math
import re
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxdl.errors import TrainingError
from onnxdl.runtime import Cell
from onnxdl.train.callbacks import Callback, Logs

if TYPE_CHECKING:
    from onnxdl.train.model import Model

_LARGER = re.compile(r"acc|auc|precision|recall|f1|f_beta|fbeta|iou|io_u|cosine|r2|sensitivity|specificity|true_|top_k")
_SMALLER = re.compile(r"loss|error|mse|mae|mape|msle|entropy|hinge|divergence|poisson|cosh|huber|false_|perplexity")
_RATE = re.compile(r"optimizer\.(?:(\d+)\.)?learning_rate")


class MonitorCallback(Callback):
    """The base of callbacks that watch one value.

    Args:
        monitor: its name in the logs.
        mode: ``min`` where smaller is better, ``max`` where larger is, ``auto`` by the name.
        min_delta: less than this is no improvement.
        best: the value to beat at first; None for none.
    """

    def __init__(self, monitor: str = "val_loss", mode: str = "auto", min_delta: float = 0.0, best: float | None = None) -> None:
        if mode not in ("auto", "min", "max"):
            raise TrainingError(f"mode is 'auto', 'min' or 'max', not {mode!r}")
        if mode == "auto":
            mode = "min" if _SMALLER.search(monitor) else "max" if _LARGER.search(monitor) else mode
        if mode == "auto":
            raise TrainingError(f"whether a larger {monitor!r} is better does not show in its name: pass mode='max' or mode='min'")
        self.monitor, self.min_delta, self.best = monitor, abs(min_delta), best
        self.sign = 1 if mode == "max" else -1
        self._warned = False

    def value_in(self, logs: Logs | None) -> float | None:
        """The watched value; None where it is not logged, as in an epoch without validation. The first time it warns."""
        value = (logs or {}).get(self.monitor)
        if value is None and not self._warned:
            self._warned = True
            known = ", ".join(logs or ())
            warnings.warn(f"{type(self).__name__} watches {self.monitor!r}, but the logs hold {known}", stacklevel=2)
        return value

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether a value is an improvement."""
        return than is None or self.sign * value - self.min_delta > self.sign * than


class EarlyStopping(MonitorCallback):
    """Stops when the watched value has not got better for some epochs.

    Args:
        monitor: the watched value's name in the logs.
        min_delta: less than this is no improvement.
        patience: the epochs without an improvement after which training stops.
        verbose: 1 says so when it acts.
        mode: ``min``, ``max`` or ``auto``.
        baseline: patience begins anew only while the value is better than this.
        restore_best_weights: whether the model ends with the weights of the best epoch.
        start_from_epoch: the first epoch that counts.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights: list[np.ndarray] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best, self.best_weights = None, None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.value_in(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        better = self.is_better(value, self.best)
        self.wait += 1
        if self.restore_best_weights and (better or self.best_weights is None):
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        if better:
            self.best, self.best_epoch = value, epoch
            if self.baseline is None or self.is_better(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)

    def state(self) -> dict[str, Any]:
        kept = {name: getattr(self, name) for name in ("best", "wait", "stopped_epoch", "best_epoch")}
        return kept | {f"best_weights.{i}": a for i, a in enumerate(self.best_weights or ())}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.best, self.wait = state["best"], state["wait"]
        self.stopped_epoch, self.best_epoch = state["stopped_epoch"], state["best_epoch"]
        count = sum(name.startswith("best_weights.") for name in state)
        self.best_weights = [state[f"best_weights.{i}"] for i in range(count)] if count else None


class TerminateOnNaN(Callback):
    """Stops as soon as the loss is NaN or infinite, without an error; with ``raise_error`` leaves it to ``fit``, which makes it one."""

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss) or self.raise_error:
            return
        print(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by a factor when the watched value has not got better for some epochs.

    Args:
        monitor: the watched value's name in the logs.
        factor: what the rate is multiplied by.
        patience: the epochs without an improvement after which it acts.
        verbose: 1 says so when it acts.
        mode: ``min``, ``max`` or ``auto``.
        min_delta: less than this is no improvement.
        cooldown: epochs after it has acted that do not count.
        min_lr: the rate never falls below this.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if factor >= 1:
            raise TrainingError(f"ReduceLROnPlateau needs a factor below 1, not {factor}")
        self.factor, self.patience, self.verbose, self.cooldown, self.min_lr = factor, patience, verbose, cooldown, min_lr
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best = None
        self.wait = self.cooldown_counter = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        log_rates(self.model, logs)
        value = self.value_in(logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_better(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooldown_counter <= 0:
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter, self.wait = self.cooldown, 0

    def _reduce(self, epoch: int) -> bool:
        reduced = False
        for name, cell in _settable_rates(self.model).items():
            old = float(cell.numpy())
            if old > np.float32(self.min_lr):
                new = max(old * self.factor, self.min_lr)
                cell.assign(np.array(new))
                reduced = True
                if self.verbose:
                    print(f"Epoch {epoch + 1}: ReduceLROnPlateau reducing {name} to {new:g}.")
        return reduced

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("best", "wait", "cooldown_counter")}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.best, self.wait, self.cooldown_counter = state["best"], state["wait"], state["cooldown_counter"]


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch to ``schedule(epoch, rate)`` or ``schedule(epoch)``; ``verbose`` 1 says so."""

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule, self.verbose = schedule, verbose
        try:
            inspect.signature(schedule).bind(0, 0.0)
            self._takes_rate = True
        except TypeError:
            self._takes_rate = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for name, cell in _settable_rates(self.model).items():
            rate = self.schedule(epoch, float(cell.numpy())) if self._takes_rate else self.schedule(epoch)
            if not isinstance(rate, float | np.floating):
                raise TrainingError(f"the schedule must return a float, not {rate!r}")
            cell.assign(np.array(rate))
            if self.verbose:
                print(f"Epoch {epoch + 1}: LearningRateScheduler setting {name} to {rate:g}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        log_rates(self.model, logs)


def learning_rates(model: Model) -> dict[str, Cell]:
    """The learning rates that are no schedules: ``learning_rate``, and ``learning_rate_N`` of further groups of weights."""
    found = {name: _RATE.fullmatch(name) for name in model.cells()}
    return {f"learning_rate_{m[1]}" if m[1] else "learning_rate": model.cells()[name] for name, m in found.items() if m}


def _settable_rates(model: Model) -> dict[str, Cell]:
    rates = learning_rates(model)
    if not rates:
        raise TrainingError("the learning rate follows a schedule of the optimizer; a callback can set only a number")
    return rates


def log_rates(model: Model, logs: Logs | None) -> None:
    """Writes the learning rates into the logs."""
    if logs is not None:
        logs.update((name, float(cell.numpy())) for name, cell in learning_rates(model).items())
