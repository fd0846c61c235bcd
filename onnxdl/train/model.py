"""Model: a Layer that can be compiled, fit and saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onnxdl.errors import DataError, ShapeError, TrainingError
from onnxdl.graph import random
from onnxdl.graph.dtypes import to_numpy
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import losses, metrics
from onnxdl.nn.layer import Layer
from onnxdl.nn.names import snake_case
from onnxdl.nn.parameter import Parameter
from onnxdl.nn.structure import tensors_in
from onnxdl.nn.symbolic import layers_between, replay, scratch_trace
from onnxdl.runtime import Cell, resolve_device, run
from onnxdl.runtime.sessions import create_session
from onnxdl.train import step as steps
from onnxdl.train.programs import Evaluation, Prediction, TrainStep, cached
from onnxdl.train.step import Recipe, Spec


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
        self._compiled: dict[str, Any] | None = None
        self._extra: dict[str, Cell] = {}
        if inputs is not None:
            self.layers = layers_between(tensors_in(inputs), tensors_in(outputs))
            name_layers(self.layers)
            self._specify([_spec_of(t, i) for i, t in enumerate(tensors_in(inputs))])

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
            self._specify([_spec_from(a, i, n) for i, (n, a) in enumerate(_named(x))])
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
        self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None, *, loss_weights: Any = None, device: str | None = None
    ) -> None:
        """Says how the model is trained.

        Args:
            optimizer: an optimizer of ``onnxdl.optim`` or its name.
            loss: a loss, its name, or a function ``(y_true, y_pred)``; a list with one for each output.
            metrics: metrics, names or functions; a list of lists with several outputs.
            loss_weights: a factor for each output's loss.
            device: ``cpu``, ``cuda``, or by default CUDA where there is one.
        """
        from onnxdl.optim import get

        self.device = resolve_device(device)
        self._compiled = {"optimizer": get(optimizer), "loss": loss, "metrics": metrics, "loss_weights": loss_weights}
        self.programs.clear()
        self._extra.clear()

    @property
    def recipe(self) -> Recipe:
        """Everything the train step is made of."""
        if self._compiled is None or self._compiled["loss"] is None:
            raise TrainingError("the model must be compiled with an optimizer and a loss first: model.compile(optimizer=..., loss=...)")
        n = len(self.output_names)
        chosen = [losses.get(v) for v in _one_each(self._compiled["loss"], n, "loss")]
        return Recipe(
            self, self.input_specs, self.target_specs, chosen, _metrics_each(self._compiled["metrics"], n), self._compiled["optimizer"]
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
        arrays = _fit_to(self.input_specs, x, "input")
        if y is not None:
            arrays.update(_fit_to(self.target_specs, self._aligned(y), "target"))
        return arrays

    def ensure_targets(self, y: Any) -> None:
        """Fixes the targets' types and shapes from the first ones seen."""
        arrays = self._aligned(y)
        if len(arrays) != len(self.output_names):
            raise DataError(f"the model has {len(self.output_names)} outputs, but {len(arrays)} targets were given")
        if self.target_specs and [len(s.shape) for s in self.target_specs] == [a.ndim for _, a in arrays]:
            return
        names = ["target"] if len(arrays) == 1 else [f"target_{i}" for i in range(len(arrays))]
        self.target_specs = [Spec(n, _target_dtype(a), ("batch", *a.shape[1:])) for n, (_, a) in zip(names, arrays, strict=True)]
        self.programs.clear()

    def _aligned(self, y: Any) -> list[tuple[str | None, np.ndarray]]:
        """Targets as arrays; numbers for an output of one column become a column, as Keras has it."""
        arrays = _named(y)
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


def _spec_of(t: Tensor, i: int) -> Spec:
    return Spec(t.name or ("input" if i == 0 else f"input_{i}"), t.dtype, t.shape)


def _spec_from(array: np.ndarray, i: int, name: str | None) -> Spec:
    dtype = np.dtype(np.int64) if array.dtype.kind == "i" else np.dtype(np.float32)
    return Spec(name or ("input" if i == 0 else f"input_{i}"), dtype, ("batch", *array.shape[1:]))


def _target_dtype(array: np.ndarray) -> np.dtype[Any]:
    return np.dtype(np.int64 if array.dtype.kind in "iu" else np.float32)


def _named(data: Any) -> list[tuple[str | None, np.ndarray]]:
    if isinstance(data, Mapping):
        return [(str(n), np.asarray(a)) for n, a in data.items()]
    if isinstance(data, list | tuple) and any(isinstance(a, np.ndarray | Tensor) for a in data):
        return [(None, np.asarray(a)) for a in data]
    return [(None, np.asarray(data))]


def _fit_to(specs: Sequence[Spec], data: Any, role: str) -> dict[str, np.ndarray]:
    given = data if isinstance(data, list) and data and isinstance(data[0], tuple) else _named(data)
    if len(given) != len(specs):
        raise DataError(f"the model has {len(specs)} {role}s ({', '.join(s.name for s in specs)}), but {len(given)} were given")
    by_name = {n: a for n, a in given if n is not None}
    arrays: dict[str, np.ndarray] = {}
    for spec, (_, array) in zip(specs, given, strict=True):
        array = by_name.get(spec.name, array)
        arrays[spec.name] = _checked(spec, array, role)
    return arrays


def _checked(spec: Spec, array: np.ndarray, role: str) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise DataError(f"{role} {spec.name!r} holds {array.dtype}, but numbers are needed")
    if array.ndim != len(spec.shape) or any(isinstance(w, int) and w != h for w, h in zip(spec.shape, array.shape, strict=True)):
        wanted = ", ".join(str(d) for d in spec.shape)
        raise DataError(f"{role} {spec.name!r} has the shape {list(array.shape)}, but the model takes [{wanted}]")
    return np.ascontiguousarray(array, to_numpy(spec.dtype))


def _one_each(value: Any, n: int, what: str) -> list[Any]:
    values = list(value) if isinstance(value, list | tuple) else [value] * n
    if len(values) != n:
        raise TrainingError(f"the model has {n} outputs, but {len(values)} {what} entries were given")
    return values


def _metrics_each(value: Any, n: int) -> list[list[metrics.Metric]]:
    if value is None:
        return [[] for _ in range(n)]
    nested = value if n > 1 and isinstance(value, list | tuple) and all(isinstance(v, list | tuple) for v in value) else [value] * n
    return [metrics.get_all(v if isinstance(v, list | tuple) else [v]) for v in nested]


__all__ = ["Model", "Parameter", "name_layers"]
