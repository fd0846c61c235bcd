"""The sessions of a compiled model, which share one State on the device."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import onnx_ir as ir

from onnxdl.errors import TrainingError
from onnxdl.graph.target import PORTABLE, Target
from onnxdl.runtime import StepSession, leave_unshaped, threads_for, written_in_place
from onnxdl.runtime.cells import Cell, Results
from onnxdl.train import step as steps
from onnxdl.train.diagnosis import first_bad
from onnxdl.train.feed import weight_arrays, weight_specs
from onnxdl.train.replay import Replay
from onnxdl.train.step import Spec

if TYPE_CHECKING:
    from onnxdl.train.model import Model


class TrainStep:
    """One step of training, ready to run: ``step(x, y)`` returns loss and metrics by name; the State stays on the device.

    It runs a program that is made for its device.
    """

    def __init__(self, model: Model, weights: tuple[Spec, ...] = ()) -> None:
        self._model = model
        self._recipe = recipe = replace(model.recipe, weights=weights)
        self._stored = model.stored_step
        if self._stored is not None and weights:
            raise TrainingError("the file's own training program takes no weights of samples: compile the model again")
        ready = self._for(Target(model.device, exact=model.exact))
        threads = _threads(model, ready)
        if threads and any(node.op_type == "ScatterND" for node in ready.graph):  # sparse updates have a quicker form on one thread
            ready = self._for(Target(model.device, threads, model.exact))
        inputs = {v.name for v in ready.graph.inputs}
        model.keep_extra_state({n: a for n, a in steps.extra_state(recipe).items() if n in inputs})
        cells = {n: c for n, c in model.cells().items() if n in inputs}
        ready = _without_unchanged(ready)
        if model.device == "cpu":
            leave_unshaped(ready)
        in_place = written_in_place(ready) if model.device == "cpu" else ()
        self.session = StepSession(_serialized(ready), cells, device=model.device, threads=threads, in_place=in_place)
        self._run: Callable[[Mapping[str, np.ndarray]], Results] = self.session
        self._batch: Mapping[str, np.ndarray] = {}
        if model.device == "cuda":
            self._run = Replay(ready, self.session, cells)

    @cached_property
    def program(self) -> ir.Model:
        """The step as an ir.Model for any ONNX Runtime, after the protocol of ``onnxdl.train.step``."""
        return self._for(PORTABLE)

    def _for(self, target: Target) -> ir.Model:
        """The step made for a target; a file's own stays as it is."""
        return self._stored.clone() if self._stored is not None else steps.train_step(self._recipe, target)

    def __call__(self, x: object, y: object = None, sample_weight: object = None) -> Results:
        """Runs one step on a batch; reading a value of the result waits for it."""
        if sample_weight is None:
            return self.run(self._model.batch(x, y))
        weights = weight_arrays(self._model, y, sample_weight)
        return self._model.train_step(weight_specs(weights)).run(self._model.batch(x, y, weights))

    def run(self, batch: Mapping[str, np.ndarray]) -> Results:
        """Runs one step on arrays by input name, which must have the model's types."""
        self._batch = batch
        return self._run(batch)

    def first_bad(self) -> str | None:
        """The first tensor of the last step that is not finite, in words; None where all that counts is finite."""
        return first_bad(self.program.clone(), {**self._batch, **self.session.before()}, self._model.device)


class Evaluation:
    """Loss and metrics over batches, with the weights as they stand."""

    def __init__(self, model: Model, weights: tuple[Spec, ...] = ()) -> None:
        recipe = replace(model.recipe, weights=weights)
        program = steps.evaluation_step(recipe, Target(model.device, exact=model.exact))
        inputs = {v.name for v in program.graph.inputs}
        shared = model.cells()
        self._own = {n: Cell(a, model.device) for n, a in steps.extra_state(recipe).items() if n.startswith("metrics.") and n in inputs}
        cells = {n: self._own.get(n) or shared[n] for n in inputs if n in self._own or n in shared}
        self.session = StepSession(_serialized(program), cells, device=model.device, threads=_threads(model, program))

    def reset(self) -> None:
        """Forgets the batches seen."""
        for cell in self._own.values():
            cell.assign(np.zeros(cell.shape, cell.dtype))


class Prediction:
    """Inference with the weights as they stand."""

    def __init__(self, model: Model) -> None:
        target = Target(model.device, exact=model.exact)
        program = steps.inference(model, model.input_specs, model.output_names, weights_inside=False, target=target)
        inputs = {v.name for v in program.graph.inputs}
        cells = {n: c for n, c in model.parameter_cells().items() if n in inputs}
        self.session = StepSession(_serialized(program), cells, device=model.device, threads=_threads(model, program))


T = TypeVar("T")


def cached(model: Model, kind: Callable[..., T], *arguments: Hashable) -> T:
    """The model's program of that kind, built at its first use."""
    programs, key = model.programs, (kind, *arguments)
    if key not in programs:
        programs[key] = kind(model, *arguments)
    return programs[key]  # type: ignore[no-any-return]


def _threads(model: Model, program: ir.Model) -> int:
    """The threads of a program's session, 0 for one a core."""
    return threads_for(program) if model.device == "cpu" else 0


def _without_unchanged(model: ir.Model) -> ir.Model:
    """Drops the outputs that only pass a State entry on: a session leaves those where they are."""
    graph = model.graph
    for i in reversed(range(len(graph.outputs))):
        value = graph.outputs[i]
        producer = value.producer()
        if producer is None or producer.op_type != "Identity" or value.name is None or not value.name.startswith(steps.NEXT):
            continue
        source = producer.inputs[0]
        if source is not None and source.is_graph_input() and source.name == value.name.removeprefix(steps.NEXT):
            del graph.outputs[i]
            graph.remove(producer, safe=True)
    return model


def _serialized(model: ir.Model) -> bytes:
    try:
        serialized: bytes = ir.to_proto(model).SerializeToString()
    except ValueError as error:
        raise TrainingError(f"the program is too large for one message: {error}") from error
    return serialized
