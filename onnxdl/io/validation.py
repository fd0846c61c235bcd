"""Our own check of training information: ``onnx.checker`` does not look inside that field."""

from __future__ import annotations

from collections import Counter

import onnx
import onnx.checker
import onnx.shape_inference

from onnxdl.errors import FormatError
from onnxdl.graph.imports import one_line, weights_aside
from onnxdl.io.flatten import NEXT, flat_protos, plain, training_of
from onnxdl.io.names import all_nodes, value_names


def check(model: onnx.ModelProto) -> None:
    """Raises FormatError unless a file's training information can be run by a host that knows the protocol only.

    That is: bindings name initializers and outputs that exist, no name means two things, a next value has the type and
    shape of its entry, the flattened step and init are valid ONNX and hold ai.onnx operators only, no entry is missing.
    """
    training = training_of(model)
    metadata = {p.key: p.value for p in (*model.metadata_props, *training.algorithm.metadata_props)}
    _check_names(model, training)
    _check_bindings(model, training)
    step, init = flat_protos(model)
    for kind, flat in (("the train step", step), ("the initialization", init)):
        check_operators(kind, flat)
        check_standard(kind, flat)
    updated = {plain(b.key) for b in training.update_binding}
    for name in filter(None, metadata.get("onnxdl.state", "").split("\n")):
        if name not in updated:
            raise FormatError(f"the State entry {name!r} is listed in the metadata, but the training information does not update it")
    check_next_values(step)


def _check_names(model: onnx.ModelProto, training: onnx.TrainingInfoProto) -> None:
    outer = value_names(model.graph)
    own = Counter(n for node in training.algorithm.node for n in node.output if n)
    own.update(t.name for t in training.algorithm.initializer)
    own.update(v.name for v in training.algorithm.input if v.name not in {t.name for t in training.algorithm.initializer})
    for name, count in own.items():
        if count > 1 or name in outer:
            raise FormatError(f"the name {name!r} is given twice in the training graph, the model's graph and the algorithm together")


def _check_bindings(model: onnx.ModelProto, training: onnx.TrainingInfoProto) -> None:
    initializers = {t.name for t in (*model.graph.initializer, *training.algorithm.initializer)}
    for field, graph in (("update_binding", training.algorithm), ("initialization_binding", training.initialization)):
        outputs = {v.name for v in graph.output}
        keys: set[str] = set()
        for binding in getattr(training, field):
            if binding.key not in initializers:
                raise FormatError(f"{field} names {binding.key!r}, which is no initializer of the file")
            if binding.value not in outputs:
                raise FormatError(f"{field} gives {binding.key!r} the value {binding.value!r}, which is no output of its graph")
            if binding.key in keys:
                raise FormatError(f"{field} binds {binding.key!r} twice")
            keys.add(binding.key)
    if not training.update_binding:
        raise FormatError("the training information updates nothing: update_binding is empty")


def check_operators(kind: str, model: onnx.ModelProto) -> None:
    """Raises FormatError where a program holds an operator that is not the standard's, or a function that a host may not inline."""
    if model.functions:
        raise FormatError(f"{kind} holds the model-local function {model.functions[0].name!r}; only ai.onnx operators run everywhere")
    for node in all_nodes(model.graph):
        if node.domain not in ("", "ai.onnx"):
            raise FormatError(f"{kind} holds {node.domain}.{node.op_type} (node {node.name!r}); only ai.onnx operators run everywhere")


def check_standard(kind: str, model: onnx.ModelProto) -> None:
    """Raises FormatError where onnx's own checker or its shape inference refuses a program."""
    light, _ = weights_aside(model)
    try:
        onnx.checker.check_model(light, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise FormatError(f"{kind} breaks the ONNX standard: {one_line(error)}") from None


def check_next_values(step: onnx.ModelProto) -> None:
    """Raises FormatError unless each ``next/X`` has the type and shape of X and something else is given too: a loss."""
    light, _ = weights_aside(step)
    inferred = onnx.shape_inference.infer_shapes(light, strict_mode=True, data_prop=True)
    outputs = {v.name: v.type.tensor_type for v in inferred.graph.output}
    inputs = {v.name: v.type.tensor_type for v in step.graph.input}
    if not any(not name.startswith(NEXT) for name in outputs):
        raise FormatError("the train step gives no loss: every output of the algorithm is a next value")
    for name, new in outputs.items():
        old = inputs.get(name.removeprefix(NEXT))
        if name.startswith(NEXT) and old is not None:
            _check_same(name, old, new)


def _check_same(name: str, old: onnx.TypeProto.Tensor, new: onnx.TypeProto.Tensor) -> None:
    before, after = [d.dim_value for d in old.shape.dim], [d.dim_value if d.HasField("dim_value") else None for d in new.shape.dim]
    same_rank = not new.HasField("shape") or len(before) == len(after)
    if old.elem_type != new.elem_type or not same_rank or any(a not in (None, b) for b, a in zip(before, after, strict=False)):
        raise FormatError(f"{name!r} has another type or shape than its entry: {spelled(new)} after {spelled(old)}")


def spelled(kind: onnx.TypeProto.Tensor) -> str:
    """A tensor's type and shape as text."""
    dims = ", ".join(str(d.dim_value) if d.HasField("dim_value") else d.dim_param or "?" for d in kind.shape.dim)
    return f"{onnx.TensorProto.DataType.Name(kind.elem_type).lower()}[{dims}]"
