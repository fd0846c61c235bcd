"""Callbacks: what happens beside training, with Keras's hooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnxdl.train.model import Model

Logs = dict[str, float]


class Callback:
    """Override the hooks you need; ``self.model`` is the model in training, ``self.params`` its epochs and steps."""

    model: Model
    params: Mapping[str, Any]

    def set_model(self, model: Model) -> None:
        """Called once before training."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Called once before training."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called after the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before an epoch; the first is 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after an epoch, with its loss and metrics, validation included."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a step."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a step, with the epoch's loss and metrics so far."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback, as JSON holds it."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes back what ``state`` gave."""


class CallbackList(Callback):
    """Several callbacks as one."""

    def __init__(self, callbacks: Sequence[Callback], model: Model, params: Mapping[str, Any]) -> None:
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params(params)

    def call(self, hook: str, *args: Any) -> None:
        """Calls one hook of every callback."""
        for callback in self.callbacks:
            getattr(callback, hook)(*args)

    @property
    def watches_batches(self) -> bool:
        """Whether any of them wants to know of each step."""
        hooks = ("on_train_batch_begin", "on_train_batch_end")
        return any(getattr(type(c), hook) is not getattr(Callback, hook) for c in self.callbacks for hook in hooks)


class History(Callback):
    """What ``fit`` returns: ``history`` holds a list for each logged name, ``epoch`` the epochs' numbers."""

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))

    def state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "history": self.history}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.epoch, self.history = list(state["epoch"]), {k: list(v) for k, v in state["history"].items()}


class EarlyStopping(Callback):
    """Stops when ``monitor`` has not got better by ``min_delta`` for ``patience`` epochs."""

    def __init__(
        self, monitor: str = "val_loss", min_delta: float = 0.0, patience: int = 0, mode: str = "auto", restore_best_weights: bool = False
    ) -> None:
        self.monitor, self.min_delta, self.patience, self.restore_best_weights = monitor, abs(min_delta), patience, restore_best_weights
        self.sign = better_sign(monitor, mode)
        self.best, self.wait = -np.inf, 0
        self.best_weights: list[np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = (logs or {}).get(self.monitor)
        if value is None:
            return
        if self.sign * value > self.best + self.min_delta:
            self.best, self.wait = self.sign * value, 0
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.model.stop_training = True
            if self.best_weights is not None:
                self.model.set_weights(self.best_weights)

    def state(self) -> dict[str, Any]:
        return {"best": None if self.best == -np.inf else float(self.best), "wait": self.wait}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.best, self.wait = -np.inf if state["best"] is None else state["best"], state["wait"]


def better_sign(monitor: str, mode: str) -> int:
    """1 where larger is better, -1 where smaller is; ``auto`` goes by the name."""
    if mode in ("min", "max"):
        return 1 if mode == "max" else -1
    larger = ("acc", "auc", "precision", "recall", "f1", "iou", "cosine")
    return 1 if any(word in monitor.lower() for word in larger) else -1
