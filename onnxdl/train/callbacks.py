"""Callbacks: what happens beside training, with Keras's hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnxdl.train.model import Model

Logs = dict[str, Any]


class Callback:
    """Override the hooks you need; ``self.model`` is the model in training, ``self.params`` its epochs and steps.

    ``logs`` hold the loss and metrics so far by name. Set ``self.model.stop_training = True`` to stop after a step or an epoch.
    """

    model: Model
    params: Mapping[str, Any]

    def set_model(self, model: Model) -> None:
        """Called once before the first hook."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Called once before the first hook."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called after the last epoch, with its logs."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before an epoch; the first is 0. A run that is resumed within an epoch does not begin it again."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after an epoch, with its loss and metrics, validation included."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of ``on_train_batch_begin``."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of ``on_train_batch_end``."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a step."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a step, with the epoch's loss and metrics so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called before an evaluation, that of the validation data included."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called after an evaluation, with its loss and metrics."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of an evaluation, with the loss and metrics so far."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called after a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of a prediction, with its ``outputs``."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback: arrays, and what JSON holds."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes back what ``state`` gave, after ``on_train_begin``."""


_BATCH_HOOKS = {
    "train": ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"),
    "test": ("on_test_batch_begin", "on_test_batch_end"),
    "predict": ("on_predict_batch_begin", "on_predict_batch_end"),
}


class CallbackList:
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

    def watches(self, mode: str) -> bool:
        """Whether any of them wants to know of each batch; ``mode`` is train, test or predict."""
        return any(_overrides(c, hook) for c in self.callbacks for hook in _BATCH_HOOKS[mode])

    def names(self) -> dict[str, Callback]:
        """The callbacks by their class, numbered where several share it: what a checkpoint calls them."""
        named: dict[str, Callback] = {}
        for callback in self.callbacks:
            base = type(callback).__name__
            count = sum(name.partition(":")[0] == base for name in named)
            named[f"{base}:{count}" if count else base] = callback
        return named


def _overrides(callback: Callback, hook: str) -> bool:
    found = getattr(callback, hook)
    return getattr(found, "__func__", found) is not getattr(Callback, hook)


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


class LambdaCallback(Callback):
    """Functions as hooks: ``LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs))``."""

    def __init__(self, **hooks: Callable[..., None]) -> None:
        for name, function in hooks.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                raise TypeError(f"no hook is called {name!r}")
            setattr(self, name, function)
