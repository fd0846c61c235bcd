"""Network: a Composition with what it takes to train it, and its State."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir

from onnxdl import optim
from onnxdl.errors import DataError, TrainingError
from onnxdl.graph import random
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import losses
from onnxdl.nn.parameter import Parameter
from onnxdl.nn.structure import tensors_in
from onnxdl.nn.symbolic import scratch_trace
from onnxdl.optim.averaging import averages_in
from onnxdl.runtime import Cell, resolve_device, run
from onnxdl.runtime.sessions import create_session
from onnxdl.train import step as steps
from onnxdl.train.callbacks import History
from onnxdl.train.composition import Composition, output_names
from onnxdl.train.matching import (
    align_targets,
    by_output,
    check_labels,
    converted,
    is_reserved,
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
    loss_weights: Any
    metrics: Any
    weighted_metrics: Any
    mixed_precision: bool
    trained: list[Parameter] | None


class Network(Composition):
    """A Layer with inputs, outputs and what it takes to train them: the base of ``Model``.

    Args:
        inputs: one ``Input``, or several as a list or a dict by name.
        outputs: what is computed from them.
        name: the model's name.
    """

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(inputs, outputs, name, **kwargs)
        self.input_specs: list[Spec] = []
        self.output_names: list[str] = []
        self.output_shapes: list[tuple[Any, ...]] = []
        self.target_specs: list[Spec] = []
        self.programs: dict[Any, Any] = {}
        self.device = "cpu"
        self.exact = False
        self.stop_training = False
        self.history: History | None = None
        self.compiled: Compiled | None = None
        self.uncompiled: str | None = None
        self.stored_step: ir.Model | None = None
        self._extra: dict[str, Cell] = {}
        if inputs is not None:
            self._specify([spec_of(t, i) for i, t in enumerate(tensors_in(inputs))])

    # ---- building -----------------------------------------------------------------------------------------------

    def _specify(self, specs: Sequence[Spec]) -> None:
        """Fixes the inputs, creates all weights by tracing once, and finds the outputs."""
        with scratch_trace() as trace:
            outputs = steps.call_model(self, [trace.input(s.name, s.dtype, s.shape) for s in specs])
            self.output_shapes = [t.shape for t in tensors_in(outputs)]
        self.input_specs = list(specs)
        self.output_names = output_names(outputs if self._outputs is None else self._outputs, [s.name for s in specs])

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
            session = create_session(ir.to_proto(steps.initialization(fresh)).SerializeToString())
            values = run(session, list(fresh), {"seed": np.array(random.default_seed(), np.int64)})
            for p, value in zip(fresh.values(), values, strict=True):
                p.value = value

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
        *,
        mixed_precision: bool = False,
        exact: bool = False,
        device: str | None = None,
    ) -> None:
        """Says how the model is trained.

        Args:
            optimizer: an optimizer of ``onnxdl.optim`` or its name.
            loss: a loss, its name, or a function ``(y_true, y_pred)``; a list or a dict with one, or None, for each output.
            loss_weights: how much the loss of each output counts; a list or a dict.
            metrics: metrics, names or functions; a list of lists or a dict with several outputs.
            weighted_metrics: metrics that count each sample by its weight.
            run_eagerly, steps_per_execution, jit_compile, auto_scale_loss: Keras's; they change nothing here, where a step is
                always one program.
            mixed_precision: whether layers compute in float16 while training; weights stay float32, the loss is scaled.
            exact: whether convolutions on the CPU are direct sums only. By default those that gain from it are computed by
                Winograd's algorithm, up to twice as fast, with errors of 1e-5 of the largest value where a direct sum has 1e-6.
            device: ``cpu``, ``cuda``, or by default CUDA where there is one.

        What is trained is what is trainable now: layers that are frozen or freed later ask for another ``compile``. So two
        models may share layers that only one of them trains, as a generator and a discriminator do.
        """
        if isinstance(loss_weights, list | tuple) and any(isinstance(f, str | list | tuple) for f in loss_weights):
            raise TrainingError(f"loss_weights are numbers, not {loss_weights!r}; metrics come after them, as in Keras")
        self.device, self.exact = resolve_device(device), exact
        chosen = optim.get(optimizer)
        if mixed_precision and not isinstance(chosen, optim.LossScaleOptimizer):
            chosen = optim.LossScaleOptimizer(chosen)
        trained = self.trainable_weights if self.input_specs else None
        self.compiled = Compiled(chosen, loss, loss_weights, metrics, weighted_metrics, mixed_precision, trained)
        self.uncompiled, self.stored_step = None, None
        self.programs.clear()
        self._extra.clear()
        self._show_optimizer()

    def _show_optimizer(self) -> None:
        """Lets the optimizer see its entries of the State."""
        if self.compiled is not None:
            prefix = "optimizer."
            cells = {name.removeprefix(prefix): cell for name, cell in self._extra.items() if name == "step" or name.startswith(prefix)}
            self.compiled.optimizer.follow(cells)

    def compile_again(self, **changes: Any) -> None:
        """``compile`` with what it was told before, but for the changes; what is trained is found anew."""
        if self.compiled is None:
            raise TrainingError("the model was not compiled before: model.compile(optimizer=..., loss=...)")
        told = self.compiled._asdict()
        del told["trained"]
        self.compile(**{"device": self.device, "exact": self.exact, **told, **changes})

    def move_to(self, device: str | None) -> None:
        """Trains on another device, going on as the model stands: ``cpu``, ``cuda``, or by default CUDA where there is one."""
        self.device = resolve_device(device)
        self._extra = {name: Cell(cell.numpy(), self.device) for name, cell in self._extra.items()}
        self._show_optimizer()
        self.programs.clear()

    @property
    def optimizer(self) -> optim.Optimizer | None:
        """The optimizer, if the model was compiled."""
        return self.compiled.optimizer if self.compiled is not None else None

    @property
    def loss(self) -> Any:
        """The loss, as ``compile`` was told."""
        return self.compiled.loss if self.compiled is not None else None

    @property
    def metrics_names(self) -> list[str]:
        """The names of the loss and the metrics, in the order of ``evaluate``."""
        return ["loss", *(name for name, _ in steps.named_metrics(self.recipe))] if self.target_specs else ["loss"]

    @property
    def is_compiled(self) -> bool:
        """Whether it has an optimizer and a loss."""
        return self.compiled is not None and (self.compiled.loss is not None or self._has_own_loss)

    @property
    def _has_own_loss(self) -> bool:
        return type(self).compute_loss is not Network.compute_loss

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Tensor:
        """The loss of a batch: what ``compile`` was told of each output, ``add_loss`` of layers, and the regularizers, summed.

        Define your own as in Keras: it is given the model's inputs, the targets, the outputs and the samples' weights or None,
        each a tensor or a list of several, writes the loss (a scalar, or numbers to take the mean of), and may call this one.
        """
        recipe, targets = self.recipe, tensors_in(y)
        weights = list(sample_weight) if isinstance(sample_weight, list | tuple) else [sample_weight] * len(targets)
        return steps.total_loss(recipe, targets, tensors_in(y_pred), weights)

    @property
    def recipe(self) -> Recipe:
        """Everything the train step is made of."""
        if self.compiled is None or not self.is_compiled:
            if self.uncompiled is not None:
                raise TrainingError(f"the file does not say how to train the model: {self.uncompiled}; compile it again")
            raise TrainingError("the model must be compiled with an optimizer and a loss first: model.compile(optimizer=..., loss=...)")
        told, names = self.compiled, self.output_names
        n = len(names)
        chosen = [None if v is None else losses.get(v) for v in one_each(by_output(told.loss, names), n, "loss")]
        factors = [1.0 if f is None else float(f) for f in one_each(by_output(told.loss_weights, names), n, "loss_weights")]
        if told.trained is None:
            self.compiled = told = told._replace(trained=self.trainable_weights)
        return Recipe(
            self,
            self.training_inputs(),
            self.target_specs,
            chosen,
            reported(chosen, by_output(told.metrics, names), by_output(told.weighted_metrics, names)),
            told.optimizer,
            told.trained or [],
            loss_weights=factors,
            mixed_precision=told.mixed_precision,
            outputs=names,
            compute_loss=self.compute_loss if self._has_own_loss else None,
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
        self._show_optimizer()

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
        self._show_optimizer()

    # ---- data ---------------------------------------------------------------------------------------------------

    def training_inputs(self) -> list[Spec]:
        """The inputs as a train step has them: a name that the step needs itself gets an underscore."""
        return [s._replace(name=f"{s.name}_") if is_reserved(s.name) else s for s in self.input_specs]

    def match(self, x: Any, y: Any = None) -> dict[str, np.ndarray]:
        """Data as arrays by input name, in the types that they have; raises DataError where they do not fit the model."""
        arrays = match_specs(self.input_specs, x, "input")
        if y is not None:
            arrays = {own.name: arrays[s.name] for s, own in zip(self.input_specs, self.training_inputs(), strict=True)}
            arrays.update(match_specs(self.target_specs, align_targets(self._by_output(y), self.output_shapes), "target"))
            if self.is_compiled:
                check_labels(self.recipe, self.output_shapes, arrays)
        return arrays

    def _by_output(self, y: Any) -> Any:
        """Targets by the outputs' names in their order; anything else as it is."""
        if not isinstance(y, Mapping) or len(self.output_names) < 2 or [s.name for s in self.target_specs] == list(y):
            return y
        if set(y) != set(self.output_names):
            raise DataError(f"the targets are called {', '.join(map(str, y))}, but the outputs {', '.join(self.output_names)}")
        return [y[name] for name in self.output_names]

    def in_structure(self, results: Mapping[str, np.ndarray]) -> Any:
        """Outputs as users see them: one alone, a list of several, or a dict where the model's outputs are one."""
        values = [results[name] for name in self.output_names]
        if isinstance(self._outputs, dict):
            return dict(zip(self._outputs, values, strict=True))
        return values if len(values) > 1 else values[0]

    def batch(self, x: Any, y: Any = None, weights: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """Data as arrays by input name, in the model's types and shapes."""
        specs = self.input_specs if y is None else [*self.training_inputs(), *self.target_specs]
        return converted(specs, {**self.match(x, y), **(weights or {})})

    def ensure_targets(self, y: Any) -> None:
        """Fixes the targets' types and shapes from the first ones seen."""
        arrays = align_targets(self._by_output(y), self.output_shapes)
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
