"""The training algorithm inside a model file: ``ModelProto.training_info``, filled as the ONNX standard defines it.

The standard's training graph is ``ModelProto.graph`` and ``algorithm`` put together in one name space. So the algorithm:

- holds the whole train step with a forward pass of its own, since training behaves differently (dropout, batch statistics);
- reads the inference graph's inputs and initializers by their names and does not list them again; its own inputs are the
  targets, its own initializers the State entries that inference does not know: slots, step, seed;
- has every other name that the inference graph uses too set under ``training/``.

``update_binding`` maps each State entry to the output that is its next value; ``initialization`` computes the first State,
its seed being an initializer, for it may have no inputs. The metadata of both programs lies in their graphs. The model's own
metadata repeats the protocol's, so that ``check`` can tell when another tool has dropped the field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.version_converter
import onnx_ir as ir

from onnxdl import runtime
from onnxdl.errors import FormatError
from onnxdl.graph.imports import one_line
from onnxdl.io.flatten import NEXT, PREFIX, extract, plain, state_of, without_training
from onnxdl.io.names import all_nodes, rename, symbols, value_names
from onnxdl.io.validation import check

__all__ = ["check", "embed", "extract", "plain", "state_of", "without_training"]


def embed(inference: ir.Model, step: ir.Model, init: ir.Model, state: Mapping[str, np.ndarray] | None = None) -> onnx.ModelProto:
    """The inference model with its training algorithm inside.

    Args:
        inference: the model with its weights as initializers.
        step: the train step after the protocol: inputs are the batch and the State, outputs the loss, the metrics, ``next/X``.
        init: the first State from a seed.
        state: the present values of the State entries that are no initializers of the model; the first ones by default.

    Raises:
        FormatError: the three do not fit together.
    """
    model, algorithm, initialization = ir.to_proto(inference), ir.to_proto(step), ir.to_proto(init)
    algorithm, initialization = (_in_opset_of(model, m) for m in (algorithm, initialization))
    entries = [v.name.removeprefix(NEXT) for v in algorithm.graph.output if v.name.startswith(NEXT)]
    inputs = _inputs_shared(model.graph, algorithm)
    _refuse_mismatch(model.graph, algorithm.graph, entries, inputs)
    training = model.training_info.add()
    shared = _fill_algorithm(training.algorithm, model.graph, algorithm, inputs)
    _fill_initialization(training.initialization, initialization)
    first = {v.name for v in initialization.graph.output}
    values = state if state is not None else _first_state(initialization)
    held = {t.name for t in model.graph.initializer}
    own = value_names(training.algorithm)
    new_name = _prefixed(value_names(model.graph) - shared, own)
    for name in entries:
        key, value = new_name.get(name, name), new_name.get(NEXT + name, NEXT + name)
        training.update_binding.add(key=key, value=value)
        if name in first:
            training.initialization_binding.add(key=key, value=name)
        if name in held:
            continue
        if name not in values:
            raise FormatError(f"no value was given for the State entry {name!r}, and the init model makes none")
        training.algorithm.initializer.append(onnx.numpy_helper.from_array(np.asarray(values[name]), name))
    _keep_apart(training.algorithm, model.graph, new_name)
    known = {p.key for p in model.metadata_props}
    model.metadata_props.extend(p for p in algorithm.metadata_props if p.key not in known)
    return model


def _in_opset_of(model: onnx.ModelProto, other: onnx.ModelProto) -> onnx.ModelProto:
    """``other`` in the opsets of ``model``, which the standard gives to the whole file; the later one counts."""
    mine, theirs = ({o.domain: o.version for o in m.opset_import} for m in (model, other))
    if foreign := set(theirs) - {""}:
        raise FormatError(f"a training algorithm holds ai.onnx operators only, not those of {', '.join(sorted(foreign))}")
    if mine.get("", 0) == theirs[""]:
        return other
    if mine.get("", 0) < theirs[""]:
        raise FormatError(f"the train step needs opset {theirs['']}, but the model is of opset {mine.get('')}; trace both with one opset")
    try:
        raised = onnx.version_converter.convert_version(other, mine[""])
    except (RuntimeError, onnx.version_converter.ConvertError) as error:
        raise FormatError(f"the train step cannot be raised from opset {theirs['']} to the model's {mine['']}: {one_line(error)}") from None
    return raised


def _inputs_shared(graph: onnx.GraphProto, step: onnx.ModelProto) -> set[str]:
    """The inference graph's inputs that are the step's too: not all of a like name, for the step may call a target so."""
    listed = next((p.value.split("\n") for p in step.metadata_props if p.key == "onnxdl.inputs"), [v.name for v in step.graph.input])
    return {v.name for v in graph.input} & set(listed)


def _refuse_mismatch(graph: onnx.GraphProto, step: onnx.GraphProto, entries: Iterable[str], shared: set[str]) -> None:
    """Raises FormatError where one name means two things."""
    inputs = {v.name: v for v in step.input}
    for name in entries:
        if name not in inputs:
            raise FormatError(f"the train step gives {NEXT + name!r} but has no input {name!r}; it does not follow the protocol")
    for value in graph.input:
        other = inputs.get(value.name) if value.name in shared else None
        if other is not None and not _same_kind(value.type.tensor_type, other.type.tensor_type):
            raise FormatError(f"the input {value.name!r} has one type or shape in the model and another in the train step")
    for tensor in graph.initializer:
        other = inputs.get(tensor.name)
        if other is not None:
            wanted = other.type.tensor_type
            if wanted.elem_type != tensor.data_type or [d.dim_value for d in wanted.shape.dim] != list(tensor.dims):
                raise FormatError(f"the weight {tensor.name!r} has one type or shape in the model and another in the train step")


def _same_kind(a: onnx.TypeProto.Tensor, b: onnx.TypeProto.Tensor) -> bool:
    pairs = zip(a.shape.dim, b.shape.dim, strict=False)
    return (
        a.elem_type == b.elem_type
        and len(a.shape.dim) == len(b.shape.dim)
        and all(x.dim_value == y.dim_value or not (x.dim_value and y.dim_value) for x, y in pairs)
    )


def _fill_algorithm(target: onnx.GraphProto, graph: onnx.GraphProto, step: onnx.ModelProto, common: set[str]) -> set[str]:
    """Puts the step in, without what it shares with the inference graph; returns the names of that."""
    target.CopyFrom(step.graph)
    target.name = "training"
    target.metadata_props.extend(step.metadata_props)
    entries = {v.name.removeprefix(NEXT) for v in target.output if v.name.startswith(NEXT)}
    held = {t.name: t for t in graph.initializer}
    outer = common | set(held)
    equal = {t.name for t in target.initializer if held.get(t.name) == t}
    shared = equal | {v.name for v in target.input if v.name in outer}
    inputs = [v for v in target.input if v.name not in shared | entries]
    initializers = [t for t in target.initializer if t.name not in equal]
    del target.input[:], target.initializer[:]
    target.input.extend(inputs)
    target.initializer.extend(initializers)
    return shared


def _prefixed(taken: set[str], names: set[str]) -> dict[str, str]:
    """New names, in the place of those that are taken."""
    chosen: dict[str, str] = {}
    for name in sorted(taken):
        new = PREFIX + name
        while new in taken or new in names:
            new = PREFIX + new
        chosen[name] = new
    return chosen


def _keep_apart(target: onnx.GraphProto, graph: onnx.GraphProto, values: Mapping[str, str]) -> None:
    """Gives the algorithm's values, nodes and symbolic dimensions names that the inference graph does not use."""
    nodes = _prefixed({n.name for n in all_nodes(graph)}, {n.name for n in all_nodes(target)})
    own = [*target.input, *target.output, *target.value_info]
    common = symbols(graph.input)
    dims = _prefixed(symbols([*graph.output, *graph.value_info]) - common, symbols(own))
    rename(target, values, nodes, dims)


def _fill_initialization(target: onnx.GraphProto, init: onnx.ModelProto) -> None:
    target.CopyFrom(init.graph)
    target.name = "initialization"
    target.metadata_props.extend(init.metadata_props)
    for value in target.input:
        if value.name != "seed":
            raise FormatError(f"the init model has the input {value.name!r}; a seed is all that it may take")
        target.initializer.append(onnx.numpy_helper.from_array(np.array(0, np.int64), "seed"))
    del target.input[:]


def _first_state(init: onnx.ModelProto) -> dict[str, np.ndarray]:
    session = runtime.create_session(init.SerializeToString())
    names = [v.name for v in init.graph.output]
    feeds = {v.name: np.array(0, np.int64) for v in init.graph.input}
    return dict(zip(names, runtime.run(session, names, feeds), strict=True))
