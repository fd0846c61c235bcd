"""The programs of a model, each one plain ONNX file: the train step, the evaluation step, inference, initialization.

The train step maps (batch, State) to (loss, metrics, next State): every State entry X is an input X and an output
``next/X``. Any ONNX Runtime drives it: feed the batch and the State, run, move each ``next/X`` to X.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir

from onnxdl.autodiff.gradient import gradient
from onnxdl.errors import TrainingError
from onnxdl.graph import op, random
from onnxdl.graph.target import PORTABLE, Target
from onnxdl.graph.tensor import Tensor, as_tensor
from onnxdl.graph.trace import Trace, current_trace, scope
from onnxdl.nn import precision
from onnxdl.nn.layer import Layer
from onnxdl.nn.losses import Loss
from onnxdl.nn.metrics import Metric
from onnxdl.nn.parameter import Parameter
from onnxdl.nn.structure import tensors_in
from onnxdl.optim import Optimizer, Weight
from onnxdl.optim.rows import summed
from onnxdl.optim.weights import shape_of

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
    losses: Sequence[Loss | None]
    metrics: Sequence[Sequence[Metric]]
    optimizer: Optimizer
    trained: Sequence[Parameter]
    weights: Sequence[Spec] = ()
    loss_weights: Sequence[float] = ()
    mixed_precision: bool = False
    outputs: Sequence[str] = ()
    compute_loss: Callable[..., Tensor] | None = None
    """A model's own way from the batch to the loss."""

    def parameter_names(self) -> dict[Parameter, str]:
        """The State's name of every parameter."""
        names = {p: name for name, p in self.model.named_parameters()}
        if taken := {"step", "seed", "loss", *(s.name for s in self.inputs), *(s.name for s in self.targets)} & set(names.values()):
            raise TrainingError(f"a weight is called {min(taken)!r}, which the train step needs as a name of its own: rename the weight")
        return names


def train_step(recipe: Recipe, target: Target = PORTABLE) -> ir.Model:
    """One step of training as an ONNX model, for a target."""
    names = recipe.parameter_names()
    with Trace("train_step", training=True, target=target) as trace:
        inputs, targets, weights = _declare_batch(trace, recipe)
        step, seed = trace.input("step", "int64", []), trace.input("seed", "int64", [])
        trace.declare = _inputs_for(trace, names)
        trace.random_key = lambda: (seed, step)
        with precision.mixed_precision(recipe.mixed_precision):
            predictions = precision.single(_predict(recipe, inputs))
        loss = _loss(recipe, inputs, targets, predictions, weights)
        following: dict[str, Tensor] = {"step": step + 1, "seed": seed}
        following.update(_updates(trace, recipe, names, loss, step))
        results, accumulated = _metrics(trace, recipe, targets, predictions, weights)
        following.update(accumulated)
        following.update((names[p], t) for p, t in trace.updates.items())
        for p, name in names.items():
            following.setdefault(name, trace.variable(p))
        outputs = {"loss": loss, **results, **{NEXT + name: t for name, t in following.items()}}
        return trace.model(outputs, _metadata("train-step", following, recipe))


def evaluation_step(recipe: Recipe, target: Target = PORTABLE) -> ir.Model:
    """Loss and metrics of a batch, the weights unchanged; only the metrics' entries have a next value."""
    with Trace("evaluation_step", target=target) as trace:
        inputs, targets, weights = _declare_batch(trace, recipe)
        trace.declare = _inputs_for(trace, recipe.parameter_names())
        predictions = _predict(recipe, inputs)
        loss = _loss(recipe, inputs, targets, predictions, weights)
        results, accumulated = _metrics(trace, recipe, targets, predictions, weights)
        outputs = {"loss": loss, **results, **{NEXT + name: t for name, t in accumulated.items()}}
        return trace.model(outputs, _metadata("evaluation-step", accumulated, recipe))


def inference(
    model: Layer, inputs: Sequence[Spec], output_names: Sequence[str], *, weights_inside: bool, target: Target = PORTABLE
) -> ir.Model:
    """The model's prediction; its weights are initializers of the file, or inputs that a session keeps."""
    names = {p: name for name, p in model.named_parameters()}
    with Trace("inference", target=target) as trace:
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
            outputs[name] = seed if name == "seed" else _filled(trace, array)
        return trace.model(outputs, {"onnxdl.kind": "init", "onnxdl.protocol": PROTOCOL})


def _filled(trace: Trace, array: np.ndarray) -> Tensor:
    """A constant; one number everywhere is written as that number and the shape."""
    if array.size > 1 and (array == array.flat[0]).all():
        return op.Expand(trace.constant(array.flat[0]), np.array(array.shape, np.int64))
    return trace.constant(array)


def extra_state(recipe: Recipe) -> dict[str, np.ndarray]:
    """The first values of all State entries that are not parameters."""
    optimizer, names = recipe.optimizer, recipe.parameter_names()
    state: dict[str, np.ndarray] = {"step": np.zeros((), np.int64), "seed": np.full((), random.default_seed(), np.int64)}
    started = optimizer.start({names[p]: p for p in recipe.trained})
    state.update((f"optimizer.{name}", array) for name, array in started.items())
    for prefix, metric in named_metrics(recipe):
        for slot, shape in metric.slots().items():
            state[f"metrics.{prefix}.{slot}"] = np.zeros(shape, np.float32)
    return state


def named_metrics(recipe: Recipe) -> list[tuple[str, Metric]]:
    """Metrics under the names that logs give them; with several outputs the output's name stands first."""
    several = len(recipe.targets) > 1
    return [
        (f"{output}_{m.name}" if several else m.name, m)
        for output, metrics in zip(recipe.outputs or [t.name for t in recipe.targets], recipe.metrics, strict=True)
        for m in metrics
    ]


def call_model(model: Layer, tensors: Sequence[Tensor]) -> Any:
    """The model applied to its inputs; its own name is no scope, so that its layers stand at the top."""
    return model.at_top(list(tensors) if len(tensors) > 1 else tensors[0])


def _declare_batch(trace: Trace, recipe: Recipe) -> tuple[list[Tensor], list[Tensor], list[Tensor | None]]:
    """The model's inputs, the targets, and for each target the weights of its samples or None."""
    inputs, targets, weights = ([trace.input(*s) for s in specs] for specs in (recipe.inputs, recipe.targets, recipe.weights))
    if len(weights) == len(targets):
        return inputs, targets, [*weights]
    return inputs, targets, [weights[0] if weights else None] * len(targets)


def _inputs_for(trace: Trace, names: Mapping[Parameter, str]) -> Any:
    return lambda p: trace.input(names[p], p.dtype, p.shape)


def _predict(recipe: Recipe, inputs: Sequence[Tensor]) -> list[Tensor]:
    predictions = tensors_in(call_model(recipe.model, inputs))
    if len(predictions) != len(recipe.targets):
        raise TrainingError(f"the model has {len(predictions)} outputs but {len(recipe.targets)} targets were given")
    return predictions


def _loss(
    recipe: Recipe, inputs: Sequence[Tensor], targets: Sequence[Tensor], predictions: Sequence[Tensor], weights: Sequence[Tensor | None]
) -> Tensor:
    with scope("loss"):
        if recipe.compute_loss is None:
            return total_loss(recipe, targets, predictions, weights)
        x, y, y_pred, sample_weight = (list(t) if len(t) > 1 else t[0] for t in (inputs, targets, predictions, weights))
        loss = as_tensor(recipe.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight))
        return op.ReduceMean(loss, keepdims=0) if loss.ndim else loss


def total_loss(recipe: Recipe, targets: Sequence[Tensor], predictions: Sequence[Tensor], weights: Sequence[Tensor | None]) -> Tensor:
    """The losses of all outputs, what layers added with ``add_loss``, and the weights' regularizers, summed."""
    trace, factors = current_trace(), recipe.loss_weights or [1.0] * len(recipe.losses)
    parts = [
        loss(t, p, w) if factor == 1.0 else loss(t, p, w) * factor
        for loss, factor, t, p, w in zip(recipe.losses, factors, targets, predictions, weights, strict=True)
        if loss is not None
    ]
    dtype = parts[0].dtype if parts else np.float32
    parts += [op.ReduceSum(t.astype(dtype), keepdims=0) for t in (trace.root.losses if trace is not None else ())]
    parts += recipe.model.regularization_losses()
    if not parts:
        raise TrainingError("nothing says what the loss is: compile with a loss, or define compute_loss(self, x, y, y_pred, sample_weight)")
    return parts[0] if len(parts) == 1 else op.Sum(*parts)


def _updates(trace: Trace, recipe: Recipe, names: Mapping[Parameter, str], loss: Tensor, step: Tensor) -> dict[str, Tensor]:
    optimizer = recipe.optimizer
    trained = {names[p]: p for p in recipe.trained if p in trace.variables}
    if not trained:
        raise TrainingError("nothing to train: every weight is frozen; set trainable = True on a layer")
    with scope("optimizer"):
        state = {name: trace.input(f"optimizer.{name}", a.dtype, a.shape) for name, a in optimizer.start(trained).items()}
    sparse = {name: _looked_up(trace, name, p) for name, p in trained.items() if p in trace.lookups}
    dense = [name for name in trained if name not in sparse]
    wrt = [*(trace.variables[trained[name]] for name in dense), *(rows for found in sparse.values() for _, rows in found)]
    gradients = iter(gradient(loss, wrt, [optimizer.loss_scale(state)]))
    with scope("optimizer"):
        found = {name: Weight(name, trace.variables[trained[name]], next(gradients)) for name in dense}
        for name, lookups in sparse.items():
            found[name] = _of_rows(name, trace.variables[trained[name]], [(ids, next(gradients)) for ids, _ in lookups])
        weights = [found[name] for name in trained]
        update = optimizer.apply(weights, state, step)
        following = {f"optimizer.{name}": t for name, t in update.state.items()}
        for name, p in trained.items():
            with scope(name.replace(".", "/")):
                following[name] = p.constraint(update.weights[name]) if p.constraint is not None else update.weights[name]
    return following


def _looked_up(trace: Trace, name: str, table: Parameter) -> list[tuple[Tensor, Tensor]]:
    """The lookups of a table whose gradient is to be sparse; raises TrainingError where it is used in another way too."""
    lookups, own = trace.lookups[table], {rows.value.producer() for _, rows in trace.lookups[table]}
    others = [use.node.op_type for use in trace.variables[table].value.uses() if use.node not in own]
    if others:
        raise TrainingError(f"{name!r} is looked up with sparse=True but read by {others[0]} too, which needs its whole gradient")
    return lookups


def _of_rows(name: str, table: Tensor, found: Sequence[tuple[Tensor, Tensor]]) -> Weight:
    """A table with the gradients of its lookups, summed by row."""
    size, width = shape_of(table)
    with scope(name.replace(".", "/")):
        ids = [op.Reshape(i.astype(np.int64), [-1]) for i, _ in found]
        gradients = [op.Reshape(g, [-1, width]) for _, g in found]
        whole = (ids[0], gradients[0]) if len(found) == 1 else (op.Concat(*ids, axis=0), op.Concat(*gradients, axis=0))
        rows, total = summed(*whole, size)
    return Weight(name, table, total, rows, whole)


def _metrics(
    trace: Trace, recipe: Recipe, targets: Sequence[Tensor], predictions: Sequence[Tensor], weights: Sequence[Tensor | None]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    results: dict[str, Tensor] = {}
    following: dict[str, Tensor] = {}
    given = [(t, p, w) for t, p, w, metrics in zip(targets, predictions, weights, recipe.metrics, strict=True) for _ in metrics]
    for (name, metric), (y_true, y_pred, weight) in zip(named_metrics(recipe), given, strict=True):
        with scope(f"metrics/{name}"):
            entry = f"metrics.{name}."
            before = partial(_entry, trace, entry)
            total = metric.advanced(before, y_true, y_pred, weight if metric.weighted else None)
            results[name] = metric.value_of(total)
            following.update((entry + s, t) for s, t in total.items())
    return results, following


def _entry(trace: Trace, prefix: str, slot: str, shape: tuple[int, ...]) -> Tensor:
    return trace.input(prefix + slot, "float32", shape)


def _metadata(kind: str, state: Mapping[str, Tensor], recipe: Recipe) -> dict[str, str]:
    return {
        "onnxdl.kind": kind,
        "onnxdl.protocol": PROTOCOL,
        "onnxdl.state": "\n".join(sorted(state)),
        "onnxdl.inputs": "\n".join(s.name for s in recipe.inputs),
        "onnxdl.targets": "\n".join(s.name for s in recipe.targets),
    }
