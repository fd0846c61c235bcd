"""Network: a Layer whose inputs and outputs are known, with what it takes to train it and its State."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from onnxdl import optim
from onnxdl.errors import DataError, ShapeError, TrainingError
from onnxdl.graph import random
from onnxdl.names import snake_case
from onnxdl.nn import losses
from onnxdl.nn.layer import Layer
from onnxdl.nn.parameter import Parameter
from onnxdl.nn.structure import tensors_in
from onnxdl.nn.symbolic import layers_between, replay, scratch_trace
from onnxdl.optim.averaging import averages_in
from onnxdl.runtime import Cell, resolve_device, run
from onnxdl.runtime.sessions import create_session
from onnxdl.train import step as steps
from onnxdl.train.callbacks import History
from onnxdl.train.matching import (
    align_targets,
    by_output,
    check_labels,
    converted,
    match_specs,
    named_arrays,
    one_each,
    reported,
    spec_from,
    spec_of,
    target_specs,
)
from onnxdl.train.step import Recipe, Spec


class Compiled(NamedTuple):
    """What ``compile`` was told."""

    optimizer: optim.Optimizer
    loss: Any
    metrics: Any
    trained: list[Parameter] | None
    loss_weights: Any = None
    weighted_metrics: Any = None
    mixed_precision: bool = False


class Network(Layer):
    """A Layer with inputs, outputs and what it takes to train them: the base of ``Model``.

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
        self.history: History | None = None
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
        if not self.programs:  # a program is made of weights with values, and whatever brings new ones clears the programs
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

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        weighted_metrics: Any = None,
        *,
        mixed_precision: bool = False,
        device: str | None = None,
    ) -> None:
        """Says how the model is trained.

        Args:
            optimizer: an optimizer of ``onnxdl.optim`` or its name.
            loss: a loss, its name, or a function ``(y_true, y_pred)``; a list or a dict with one for each output.
            metrics: metrics, names or functions; a list of lists or a dict with several outputs.
            loss_weights: how much the loss of each output counts; a list or a dict.
            weighted_metrics: metrics that count each sample by its weight.
            mixed_precision: whether layers compute in float16 while training; weights stay float32, the loss is scaled.
            device: ``cpu``, ``cuda``, or by default CUDA where there is one.

        What is trained is what is trainable now: layers that are frozen or freed later ask for another ``compile``. So two
        models may share layers that only one of them trains, as a generator and a discriminator do.
        """
        self.device = resolve_device(device)
        chosen = optim.get(optimizer)
        if mixed_precision and not isinstance(chosen, optim.LossScaleOptimizer):
            chosen = optim.LossScaleOptimizer(chosen)
        trained = self.trainable_weights if self.input_specs else None
        self.compiled = Compiled(chosen, loss, metrics, trained, loss_weights, weighted_metrics, mixed_precision)
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
        told, names = self.compiled, self.output_names
        n = len(names)
        chosen = [losses.get(v) for v in one_each(by_output(told.loss, names), n, "loss")]
        factors = [1.0 if f is None else float(f) for f in one_each(by_output(told.loss_weights, names), n, "loss_weights")]
        if told.trained is None:
            self.compiled = told = told._replace(trained=self.trainable_weights)
        return Recipe(
            self,
            self.input_specs,
            self.target_specs,
            chosen,
            reported(chosen, by_output(told.metrics, names), by_output(told.weighted_metrics, names)),
            told.optimizer,
            told.trained or [],
            loss_weights=factors,
            mixed_precision=told.mixed_precision,
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
        if self.input_specs:
            self._initialize()
        state = {name: p.value for name, p in self.named_parameters()}
        state.update((name, cell.numpy()) for name, cell in self._extra.items())
        return state

    def get_weights(self) -> list[np.ndarray]:
        """The values of all parameters, in their order."""
        if self.input_specs:
            self._initialize()
        return super().get_weights()

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

    def match(self, x: Any, y: Any = None) -> dict[str, np.ndarray]:
        """Data as arrays by input name, in the types that they have; raises DataError where they do not fit the model."""
        arrays = match_specs(self.input_specs, x, "input")
        if y is not None:
            arrays.update(match_specs(self.target_specs, align_targets(y, self.output_shapes), "target"))
            if self.is_compiled:
                check_labels(self.recipe, self.output_shapes, arrays)
        return arrays

    def batch(self, x: Any, y: Any = None, weights: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """Data as arrays by input name, in the model's types and shapes."""
        return converted([*self.input_specs, *self.target_specs], {**self.match(x, y), **(weights or {})})

    def ensure_targets(self, y: Any) -> None:
        """Fixes the targets' types and shapes from the first ones seen."""
        arrays = align_targets(y, self.output_shapes)
        if len(arrays) != len(self.output_names):
            raise DataError(f"the model has {len(self.output_names)} outputs, but {len(arrays)} targets were given")
        if not self.target_specs or [len(s.shape) for s in self.target_specs] != [a.ndim for _, a in arrays]:
            self.target_specs = target_specs(arrays)
            self.programs.clear()

    def take_averages(self) -> None:
        """Sets each weight to its moving average, where the optimizer keeps one (``use_ema``)."""
        parameters = dict(self.named_parameters())
        for name, cell in averages_in(self._extra).items():
            parameters[name].value = cell.numpy()

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
