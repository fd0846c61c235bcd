"""Model: a Layer that can be compiled, fit and saved."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from onnxdl.data import ArrayBatches, Batches, IterableBatches
from onnxdl import optim
from onnxdl.errors import DataError, ShapeError, TrainingError
from onnxdl.graph import random
from onnxdl.nn import losses
from onnxdl.nn.layer import Layer
from onnxdl.names import snake_case
from onnxdl.nn.parameter import Parameter
from onnxdl.nn.structure import tensors_in
from onnxdl.nn.symbolic import layers_between, replay, scratch_trace
from onnxdl.runtime import Cell, resolve_device, run
from onnxdl.runtime.sessions import create_session
from onnxdl.train import fit as fitting
from onnxdl.train import step as steps
from onnxdl.train.callbacks import Callback, History
from onnxdl.train.matching import (
    check_labels,
    fit_to_specs,
    metrics_each,
    named_arrays,
    one_each,
    spec_from,
    spec_of,
    split,
    target_spec_dtype,
)
from onnxdl.train.programs import Evaluation, Prediction, TrainStep, cached
from onnxdl.train.export import export_model, save_model
from onnxdl.train.step import Recipe, Spec
from onnxdl.train.summary import print_summary


class Compiled(NamedTuple):
    """What ``compile`` was told."""

    optimizer: optim.Optimizer
    loss: Any
    metrics: Any
    trained: list[Parameter] | None


class Model(Layer):
    """A network with its training: ``Model(inputs, outputs)`` from symbolic calls, or a subclass that defines ``call``.

    Args:
        inputs: one ``Input``, or several as a list or a dict by name.
        outputs: what is computed from them.
        name: the model's name.
    """

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._inputs, self._outputs = inputs, outputs
        self.input_specs: list[Spec] = []
        self.output_names: list[str] = []
        self.output_shapes: list[tuple[Any, ...]] = []
        self.target_specs: list[Spec] = []
        self.programs: dict[Any, Any] = {}
        self.device = "cpu"
        self.stop_training = False
        self.compiled: Compiled | None = None
        self._extra: dict[str, Cell] = {}
        if inputs is not None:
            self.layers = layers_between(tensors_in(inputs), tensors_in(outputs))
            name_layers(self.layers)
            self._specify([spec_of(t, i) for i, t in enumerate(tensors_in(inputs))])

    def call(self, inputs: Any) -> Any:
        """The outputs for given inputs."""
        if self._inputs is None:
            raise TrainingError(f"{type(self).__name__} has neither inputs and outputs nor a call(self, x) of its own")
        values = tensors_in(inputs)
        if len(values) != len(tensors_in(self._inputs)):
            raise ShapeError(f"the model takes {len(tensors_in(self._inputs))} inputs, not {len(values)}")
        return replay(tensors_in(self._inputs), self._outputs, values)

    # ---- building -----------------------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Does nothing: a Model's layers build themselves when they are called."""

    def _specify(self, specs: Sequence[Spec]) -> None:
        """Fixes the inputs, creates all weights by tracing once, and finds the outputs."""
        with scratch_trace() as trace:
            outputs = tensors_in(steps.call_model(self, [trace.input(s.name, s.dtype, s.shape) for s in specs]))
            self.output_shapes = [t.shape for t in outputs]
        self.input_specs = list(specs)
        self.output_names = ["output"] if len(outputs) == 1 else [f"output_{i}" for i in range(len(outputs))]

    def ensure_built(self, x: Any = None) -> None:
        """Builds the model from the shapes of ``x`` unless it is built, and gives every weight a value."""
        if not self.input_specs:
            if x is None:
                raise TrainingError("the model does not know its input yet: put an ox.Input first, or call fit or predict with data")
            self._specify([spec_from(a, i, n) for i, (n, a) in enumerate(named_arrays(x))])
        self._initialize()

    def _initialize(self) -> None:
        """Weights without a value get one from the seed and their name alone, however the model came about."""
        fresh = {name: p for name, p in self.named_parameters() if not p.initialized}
        if fresh:
            import onnx_ir as ir

            session = create_session(ir.to_proto(steps.initialization(fresh)).SerializeToString())
            values = run(session, list(fresh), {"seed": np.array(random.default_seed(), np.int64)})
            for p, value in zip(fresh.values(), values, strict=True):
                p.value = value

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None, *, device: str | None = None) -> None:
        """Says how the model is trained.

        Args:
            optimizer: an optimizer of ``onnxdl.optim`` or its name.
            loss: a loss, its name, or a function ``(y_true, y_pred)``; a list with one for each output.
            metrics: metrics, names or functions; a list of lists with several outputs.
            device: ``cpu``, ``cuda``, or by default CUDA where there is one.

        What is trained is what is trainable now: layers that are frozen or freed later ask for another ``compile``. So two
        models may share layers that only one of them trains, as a generator and a discriminator do.
        """
        self.device = resolve_device(device)
        self.compiled = Compiled(optim.get(optimizer), loss, metrics, self.trainable_weights if self.input_specs else None)
        self.programs.clear()
        self._extra.clear()

    @property
    def is_compiled(self) -> bool:
        """Whether it has an optimizer and a loss."""
        return self.compiled is not None and self.compiled.loss is not None

    @property
    def recipe(self) -> Recipe:
        """Everything the train step is made of."""
        if self.compiled is None or not self.is_compiled:
            raise TrainingError("the model must be compiled with an optimizer and a loss first: model.compile(optimizer=..., loss=...)")
        n = len(self.output_names)
        chosen = [losses.get(v) for v in one_each(self.compiled.loss, n, "loss")]
        if self.compiled.trained is None:
            self.compiled = self.compiled._replace(trained=self.trainable_weights)
        return Recipe(
            self,
            self.input_specs,
            self.target_specs,
            chosen,
            metrics_each(self.compiled.metrics, n),
            self.compiled.optimizer,
            self.compiled.trained or [],
        )

    # ---- State --------------------------------------------------------------------------------------------------

    def parameter_cells(self) -> dict[str, Cell]:
        """The parameters on the device, by the State's names."""
        return {name: p.cell(self.device) for name, p in self.named_parameters()}

    def cells(self) -> dict[str, Cell]:
        """The whole State on the device."""
        return {**self.parameter_cells(), **self._extra}

    def keep_extra_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Adds State entries that are no parameters, unless they are there already."""
        for name, array in state.items():
            if name not in self._extra or self._extra[name].shape != array.shape:
                self._extra[name] = Cell(array, self.device)

    @property
    def state(self) -> dict[str, np.ndarray]:
        """The State: parameters, running statistics, optimizer slots, step and seed, by name."""
        state = {name: p.value for name, p in self.named_parameters()}
        state.update((name, cell.numpy()) for name, cell in self._extra.items())
        return state

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Sets the State; entries that are not parameters wait for the next train step if there is none yet."""
        parameters = dict(self.named_parameters())
        missing = [n for n in parameters if n not in state]
        if missing:
            raise TrainingError(f"the State lacks {len(missing)} parameters of the model, first {missing[0]!r}")
        for name, array in state.items():
            if name in parameters:
                parameters[name].value = array
            elif name in self._extra and self._extra[name].shape == array.shape:
                self._extra[name].assign(array)
            else:
                self._extra[name] = Cell(np.asarray(array), self.device)

    # ---- data ---------------------------------------------------------------------------------------------------

    def batch(self, x: Any, y: Any = None) -> dict[str, np.ndarray]:
        """Data as arrays by input name, in the model's types and shapes."""
        arrays = fit_to_specs(self.input_specs, x, "input")
        if y is not None:
            arrays.update(fit_to_specs(self.target_specs, self._aligned(y), "target"))
            if self.is_compiled:
                check_labels(self.recipe, self.output_shapes, arrays)
        return arrays

    def ensure_targets(self, y: Any) -> None:
        """Fixes the targets' types and shapes from the first ones seen."""
        arrays = self._aligned(y)
        if len(arrays) != len(self.output_names):
            raise DataError(f"the model has {len(self.output_names)} outputs, but {len(arrays)} targets were given")
        if self.target_specs and [len(s.shape) for s in self.target_specs] == [a.ndim for _, a in arrays]:
            return
        names = ["target"] if len(arrays) == 1 else [f"target_{i}" for i in range(len(arrays))]
        self.target_specs = [Spec(n, target_spec_dtype(a), ("batch", *a.shape[1:])) for n, (_, a) in zip(names, arrays, strict=True)]
        self.programs.clear()

    def _aligned(self, y: Any) -> list[tuple[str | None, np.ndarray]]:
        """Targets as arrays; numbers for an output of one column become a column, as Keras has it."""
        arrays = named_arrays(y)
        shapes = self.output_shapes
        if len(arrays) != len(shapes):
            return arrays
        return [
            (n, a[..., None] if a.ndim == len(s) - 1 and s[-1] == 1 and a.ndim else a) for (n, a), s in zip(arrays, shapes, strict=True)
        ]

    def train_step(self) -> TrainStep:
        """The train step, built at first use: call it with a batch."""
        if not self.target_specs:
            raise TrainingError("the model does not know its targets yet: call fit first, or train_on_batch with data")
        self.ensure_built()
        return cached(self, TrainStep)

    def train_on_batch(self, x: Any, y: Any) -> dict[str, float]:
        """One step on a batch; returns loss and metrics by name."""
        self.ensure_built(x)
        self.ensure_targets(y)
        return dict(self.train_step()(x, y))

    def evaluation(self) -> Evaluation:
        """The evaluation program, built at first use."""
        self.ensure_built()
        return cached(self, Evaluation)

    def prediction(self) -> Prediction:
        """The inference program, built at first use."""
        self.ensure_built()
        return cached(self, Prediction)

    # ---- fit, evaluate, predict ---------------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] = (),
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        initial_epoch: int = 0,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
    ) -> History:
        """Trains for a number of epochs.

        Args:
            x: one array, a list or dict of arrays by input, or an iterable of batches ``(x, y)``.
            y: the targets, likewise.
            batch_size: samples a step.
            epochs: the epoch to stop after.
            verbose: ``auto`` or 1 a progress bar on a terminal and a line an epoch elsewhere, 2 lines, 0 nothing.
            callbacks: what happens beside training.
            validation_split: the fraction of the samples, the last ones, that are kept for validation.
            validation_data: ``(x, y)`` to evaluate on after each epoch.
            shuffle: whether each epoch has an order of its own.
            initial_epoch: the epoch to start at.
            checkpoint: a folder that gets a checkpoint after each epoch, and when the run is interrupted.
            resume: whether to go on from the checkpoint in that folder, bit for bit as if the run had not stopped.

        Returns:
            The loss and metrics of each epoch.
        """
        held_out = validation_data
        if validation_split:
            (x, y), held_out = split(x, y, validation_split)
        batches = self._batches(x, y, batch_size, shuffle=shuffle)
        validation = None if held_out is None else self._batches(held_out[0], held_out[1], batch_size)
        return fitting.fit(
            self,
            batches,
            epochs=epochs,
            initial_epoch=initial_epoch,
            validation=validation,
            callbacks=callbacks,
            verbose=verbose,
            checkpoint=checkpoint,
            resume=resume,
        )

    def evaluate(self, x: Any, y: Any = None, batch_size: int = 32, *, return_dict: bool = False) -> Any:
        """The loss, followed by the metrics, over all samples; by name if ``return_dict``."""
        logs = fitting.evaluate(self, self._batches(x, y, batch_size))
        values = list(logs.values())
        return logs if return_dict else values if len(values) > 1 else values[0]

    def predict(self, x: Any, batch_size: int = 32) -> Any:
        """The outputs for all samples: an array, or a list of arrays with several outputs."""
        self.ensure_built(x)
        session = self.prediction().session
        parts = [session(batch) for batch in ArrayBatches(fit_to_specs(self.input_specs, x, "input"), batch_size).epoch(0)]
        outputs = [np.concatenate([p[name] for p in parts]) for name in self.output_names]
        return outputs[0] if len(outputs) == 1 else outputs

    def summary(self) -> None:
        """Prints its layers with output shapes and numbers of parameters."""
        self.ensure_built()
        print_summary(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes one .onnx file: inference graph, weights and, if the model was compiled and has targets, its training_info."""
        save_model(self, path)

    def export(self, path: str | os.PathLike[str], format: str = "onnx") -> None:
        """Writes the model in a format: ``onnx`` (weights inside, no training) or ``train-step`` (a folder of three programs)."""
        export_model(self, path, format)

    def _batches(self, x: Any, y: Any, batch_size: int, *, shuffle: bool = False) -> Batches:
        if y is not None:
            self.ensure_built(x)
            self.ensure_targets(y)
            return ArrayBatches(self.batch(x, y), batch_size, shuffle=shuffle, seed=random.default_seed())
        first = next(iter(x() if callable(x) else x), None)
        if not isinstance(first, tuple | list) or len(first) != 2:
            raise DataError("without y, x must be an iterable of batches (x, y)")
        if iter(x) is x if not callable(x) else False:
            raise DataError("a generator would lose its first batch here: pass a function that makes it, such as lambda: generate()")
        self.ensure_built(first[0])
        self.ensure_targets(first[1])
        return IterableBatches(x, lambda item: self.batch(*item))

    def reset_metrics(self) -> None:
        """Forgets what the metrics have accumulated."""
        for name, cell in self._extra.items():
            if name.startswith("metrics."):
                cell.assign(np.zeros(cell.shape, cell.dtype))


def name_layers(layers: Sequence[Layer]) -> None:
    """Gives layers without a name one by their class, numbered where several share it: conv2d, conv2d_1, ..."""
    taken = {layer.name for layer in layers if layer.name is not None}
    for layer in layers:
        if layer.name is None:
            base = snake_case(type(layer).__name__)
            name, k = base, 0
            while name in taken:
                k += 1
                name = f"{base}_{k}"
            layer.name = name
            taken.add(name)
