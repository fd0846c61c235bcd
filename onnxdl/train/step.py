"""The programs of a model, each one plain ONNX file: the train step, the evaluation step, inference, initialization.

The train step maps (batch, State) to (loss, metrics, next State): every State entry X is an input X and an output
``next/X``. Any ONNX Runtime drives it: feed the batch and the State, run, move each ``next/X`` to X.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir

from onnxdl.autodiff.gradient import gradient
from onnxdl.errors import TrainingError
from onnxdl.graph import op, random
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import Trace, scope
from onnxdl.nn.layer import Layer
from onnxdl.nn.losses import Loss
from onnxdl.nn.metrics import Metric
from onnxdl.nn.parameter import Parameter
from onnxdl.nn.structure import tensors_in
from onnxdl.optim import Optimizer

PROTOCOL = "1"
NEXT = "next/"


class Spec(NamedTuple):
    """An input of a model: its name, element type and shape, symbolic dimensions as strings."""

    name: str
    dtype: Any
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True)
class Recipe:
    """Everything that a train step is made of."""

    model: Layer
    inputs: Sequence[Spec]
    targets: Sequence[Spec]
    losses: Sequence[Loss]
    metrics: Sequence[Sequence[Metric]]
    optimizer: Optimizer

    def parameter_names(self) -> dict[Parameter, str]:
        """The State's name of every parameter."""
        return {p: name for name, p in self.model.named_parameters()}


def train_step(recipe: Recipe) -> ir.Model:
    """One step of training as an ONNX model."""
    names = recipe.parameter_names()
    with Trace("train_step", training=True) as trace:
        inputs, targets = _declare_batch(trace, recipe)
        step, seed = trace.input("step", "int64", []), trace.input("seed", "int64", [])
        trace.declare = _inputs_for(trace, names)
        trace.random_key = lambda: (seed, step)
        predictions = _predict(recipe, inputs)
        loss = _total_loss(recipe, targets, predictions)
        following: dict[str, Tensor] = {"step": step + 1, "seed": seed}
        following.update(_updates(trace, recipe, names, loss, step))
        results, accumulated = _metrics(trace, recipe, targets, predictions)
        following.update(accumulated)
        following.update((names[p], t) for p, t in trace.updates.items())
        for p, name in names.items():
            following.setdefault(name, trace.variable(p))
        outputs = {"loss": loss, **results, **{NEXT + name: t for name, t in following.items()}}
        return trace.model(outputs, _metadata("train-step", following, recipe))


def evaluation_step(recipe: Recipe) -> ir.Model:
    """Loss and metrics of a batch, the weights unchanged; only the metrics' entries have a next value."""
    with Trace("evaluation_step") as trace:
        inputs, targets = _declare_batch(trace, recipe)
        trace.declare = _inputs_for(trace, recipe.parameter_names())
        predictions = _predict(recipe, inputs)
        loss = _total_loss(recipe, targets, predictions)
        results, accumulated = _metrics(trace, recipe, targets, predictions)
        outputs = {"loss": loss, **results, **{NEXT + name: t for name, t in accumulated.items()}}
        return trace.model(outputs, _metadata("evaluation-step", accumulated, recipe))


def inference(model: Layer, inputs: Sequence[Spec], output_names: Sequence[str], *, weights_inside: bool) -> ir.Model:
    """The model's prediction; its weights are initializers of the file, or inputs that a session keeps."""
    names = {p: name for name, p in model.named_parameters()}
    with Trace("inference") as trace:
        tensors = [trace.input(s.name, s.dtype, s.shape) for s in inputs]
        if weights_inside:
            trace.declare = lambda p: trace.initializer(names[p], p.value)
        else:
            trace.declare = _inputs_for(trace, names)
        predictions = tensors_in(call_model(model, tensors))
        return trace.model(dict(zip(output_names, predictions, strict=True)), {"onnxdl.kind": "inference"})


def initialization(parameters: Mapping[str, Parameter], others: Mapping[str, np.ndarray] | None = None) -> ir.Model:
    """The first State from a seed: input ``seed`` (int64), one output a State entry."""
    with Trace("init") as trace:
        seed = trace.input("seed", "int64", [])
        outputs: dict[str, Tensor] = {}
        for name, p in parameters.items():
            with scope(name.replace(".", "/")):
                key = random.make_key(seed, random.place(name))
                outputs[name] = p.initializer(p.shape, p.dtype, key)
        for name, array in (others or {}).items():
            outputs[name] = seed if name == "seed" else trace.constant(array)
        return trace.model(outputs, {"onnxdl.kind": "init", "onnxdl.protocol": PROTOCOL})


def extra_state(recipe: Recipe) -> dict[str, np.ndarray]:
    """The first values of all State entries that are not parameters."""
    optimizer, names = recipe.optimizer, recipe.parameter_names()
    state: dict[str, np.ndarray] = {"step": np.int64(0) * np.ones((), np.int64), "seed": np.full((), random.default_seed(), np.int64)}
    if not callable(optimizer.learning_rate):
        state["optimizer.learning_rate"] = np.full((), optimizer.learning_rate, np.float32)
    for name, value in optimizer.scalars.items():
        state[f"optimizer.{name}"] = np.full((), value, np.float32)
    for p in recipe.model.trainable_weights:
        for slot in optimizer.slots:
            state[f"optimizer.{slot}.{names[p]}"] = np.full(p.shape, optimizer.slot_start, p.dtype)
    for prefix, metric in named_metrics(recipe):
        for slot, shape in metric.slots().items():
            state[f"metrics.{prefix}.{slot}"] = np.zeros(shape, np.float32)
    return state


def named_metrics(recipe: Recipe) -> list[tuple[str, Metric]]:
    """Metrics under the names that logs give them; with several outputs the output's name stands first."""
    several = len(recipe.targets) > 1
    return [
        (f"{target.name}_{m.name}" if several else m.name, m)
        for target, metrics in zip(recipe.targets, recipe.metrics, strict=True)
        for m in metrics
    ]


def call_model(model: Layer, tensors: Sequence[Tensor]) -> Any:
    """The model applied to its inputs; its own name is no scope, so that its layers stand at the top."""
    return model.at_top(list(tensors) if len(tensors) > 1 else tensors[0])


def _declare_batch(trace: Trace, recipe: Recipe) -> tuple[list[Tensor], list[Tensor]]:
    inputs = [trace.input(s.name, s.dtype, s.shape) for s in recipe.inputs]
    targets = [trace.input(s.name, s.dtype, s.shape) for s in recipe.targets]
    return inputs, targets


def _inputs_for(trace: Trace, names: Mapping[Parameter, str]) -> Any:
    return lambda p: trace.input(names[p], p.dtype, p.shape)


def _predict(recipe: Recipe, inputs: Sequence[Tensor]) -> list[Tensor]:
    predictions = tensors_in(call_model(recipe.model, inputs))
    if len(predictions) != len(recipe.targets):
        raise TrainingError(f"the model has {len(predictions)} outputs but {len(recipe.targets)} targets were given")
    return predictions


def _total_loss(recipe: Recipe, targets: Sequence[Tensor], predictions: Sequence[Tensor]) -> Tensor:
    with scope("loss"):
        parts = [loss(t, p) for loss, t, p in zip(recipe.losses, targets, predictions, strict=True)]
        return parts[0] if len(parts) == 1 else op.Sum(*parts)


def _updates(trace: Trace, recipe: Recipe, names: Mapping[Parameter, str], loss: Tensor, step: Tensor) -> dict[str, Tensor]:
    optimizer = recipe.optimizer
    trained = [p for p in recipe.model.trainable_weights if p in trace.variables]
    following: dict[str, Tensor] = {}
    if not trained:
        raise TrainingError("nothing to train: every weight is frozen; set trainable = True on a layer")
    gradients = gradient(loss, [trace.variables[p] for p in trained])
    with scope("optimizer"):
        current = None
        if not callable(optimizer.learning_rate):
            current = following["optimizer.learning_rate"] = trace.input("optimizer.learning_rate", "float32", [])
        rate = optimizer.rate(step, current)
        scalars = optimizer.advance({name: trace.input(f"optimizer.{name}", "float32", []) for name in optimizer.scalars})
        following.update((f"optimizer.{name}", t) for name, t in scalars.items())
        for p, g in zip(trained, gradients, strict=True):
            with scope(names[p].replace(".", "/")):
                slots = {s: trace.input(f"optimizer.{s}.{names[p]}", p.dtype, p.shape) for s in optimizer.slots}
                following[names[p]], new = optimizer.update(trace.variables[p], g, rate, slots, scalars)
                following.update((f"optimizer.{s}.{names[p]}", t) for s, t in new.items())
    return following


def _metrics(trace: Trace, recipe: Recipe, targets: Sequence[Tensor], predictions: Sequence[Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    results: dict[str, Tensor] = {}
    following: dict[str, Tensor] = {}
    pairs = [(t, p) for t, p, metrics in zip(targets, predictions, recipe.metrics, strict=True) for _ in metrics]
    for (name, metric), (y_true, y_pred) in zip(named_metrics(recipe), pairs, strict=True):
        with scope(f"metrics/{name}"):
            added = metric.update(y_true, y_pred)
            total = {s: trace.input(f"metrics.{name}.{s}", "float32", shape) + added[s] for s, shape in metric.slots().items()}
            results[name] = metric.result(**total)
            following.update((f"metrics.{name}.{s}", t) for s, t in total.items())
    return results, following


def _metadata(kind: str, state: Mapping[str, Tensor], recipe: Recipe) -> dict[str, str]:
    return {
        "onnxdl.kind": kind,
        "onnxdl.protocol": PROTOCOL,
        "onnxdl.state": "\n".join(sorted(state)),
        "onnxdl.inputs": "\n".join(s.name for s in recipe.inputs),
        "onnxdl.targets": "\n".join(s.name for s in recipe.targets),
    }
