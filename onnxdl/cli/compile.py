"""How a model is trained or judged, from the command line's options where the model does not say."""

from __future__ import annotations

from onnxdl import optim
from onnxdl.errors import TrainingError
from onnxdl.train.model import Model


def compile_model(model: Model, loss: str | None, optimizer: str | None, learning_rate: float | None, device: str) -> None:
    """Compiles a model that is not compiled yet, or again where an option differs from its own."""
    if not model.is_compiled and loss is None:
        raise TrainingError("the model does not say what to make small: give --loss, such as sparse_categorical_crossentropy or mse")
    if loss is None and optimizer is None and learning_rate is None:
        model.move_to(device)
        return
    chosen = optim.get(optimizer or model.optimizer or "adam")
    if learning_rate is not None:
        chosen.learning_rate = learning_rate
    if loss is None:
        model.compile_again(optimizer=chosen, device=device)
    else:
        model.compile(chosen, loss, metrics=["accuracy"] if "crossentropy" in loss else None, device=device)
