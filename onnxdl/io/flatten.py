"""Training information back into the protocol's flat form: a step from (batch, State) to (loss, metrics, next State), and its init."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
import onnx.numpy_helper
import onnx_ir as ir

from onnxdl.errors import FormatError
from onnxdl.graph.files import copied_without
from onnxdl.io.names import all_nodes, rename, symbols, used_names, value_names

NEXT = "next/"
PREFIX = "training/"
PROTOCOL = "1"
PROTOCOL_KEYS = ("onnxdl.protocol", "onnxdl.state", "onnxdl.inputs", "onnxdl.targets")
"""What the metadata of a model with training information repeats of the train step's."""


def extract(model: onnx.ModelProto) -> tuple[ir.Model, ir.Model]:
    """The train step and the init model that a file's training information holds.

    Whatever the algorithm reads from the inference graph is copied in, so files of other producers are flattened as well.

    Raises:
        FormatError: there is no training information, or it names what is not there.
    """
    step, init = flat_protos(model)
    try:
        return ir.from_proto(step), ir.from_proto(init)
    except ir.serde.SerdeError as error:
        raise FormatError(f"the training information is damaged: {error}; {error.__cause__}".replace("\n", " ")) from error


def state_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The present values of all State entries."""
    tensors = _initializers(model)
    return {plain(b.key): onnx.numpy_helper.to_array(_found(tensors, b.key)) for b in training_of(model).update_binding}


def without_training(model: onnx.ModelProto) -> onnx.ModelProto:
    """The inference model alone, without what its metadata says of training."""
    alone = copied_without(model, "training_info", "metadata_props")
    alone.metadata_props.extend(p for p in model.metadata_props if p.key not in PROTOCOL_KEYS)
    return alone


def check_protocol(what: str, metadata: Mapping[str, str]) -> None:
    """Raises FormatError where a file follows a protocol of another version; one that names none is taken at its word."""
    protocol = metadata.get("onnxdl.protocol", PROTOCOL)
    if protocol != PROTOCOL:
        raise FormatError(f"{what} follows protocol {protocol!r}, but this version knows {PROTOCOL!r}; upgrade onnxdl")


def training_of(model: onnx.ModelProto) -> onnx.TrainingInfoProto:
    """The one training algorithm of a file, if it follows the protocol that this version knows."""
    if len(model.training_info) == 1:
        training: onnx.TrainingInfoProto = model.training_info[0]
        for properties in (model.metadata_props, training.algorithm.metadata_props):
            check_protocol("the training information", {p.key: p.value for p in properties})
        return training
    if model.training_info:
        raise FormatError(f"the file holds {len(model.training_info)} training algorithms; files with one are supported")
    if any(p.key == "onnxdl.protocol" for p in model.metadata_props):
        raise FormatError("a tool that rewrote the file dropped its training information; take the file from before, or export it again")
    raise FormatError("the file holds no training information; export it with model.save, or train it from onnxdl.load")


def flat_protos(model: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The train step and the init model as ModelProtos."""
    training = training_of(model)
    return _step(model, training), _init(model, training)


def _step(model: onnx.ModelProto, training: onnx.TrainingInfoProto) -> onnx.ModelProto:
    algorithm, tensors = training.algorithm, _initializers(model)
    following = {b.key: b.value for b in training.update_binding}
    needed = _needed([*model.graph.node, *algorithm.node], [v.name for v in algorithm.output] + list(following.values()))
    read = {name for node in needed for name in used_names(node)} | set(following.values()) | {v.name for v in algorithm.output}
    flat = _model_like(model, "train_step", algorithm.metadata_props)
    graph = flat.graph
    graph.node.extend(needed)
    listed = _lines(algorithm.metadata_props, "onnxdl.inputs")
    graph.input.extend(v for v in model.graph.input if v.name not in tensors and (v.name in read or v.name in listed))
    graph.input.extend(algorithm.input)
    for key in following:
        tensor = _found(tensors, key)
        graph.input.append(onnx.helper.make_tensor_value_info(key, tensor.data_type, list(tensor.dims)))
    graph.initializer.extend(t for name, t in tensors.items() if name in read and name not in following)
    outputs = {v.name: v for v in algorithm.output}
    made = {name for node in needed for name in node.output}
    graph.value_info.extend(v for v in (*model.graph.value_info, *algorithm.value_info) if v.name in made and v.name not in outputs)
    graph.output.extend(v for v in algorithm.output if v.name not in set(following.values()))
    names = {key: NEXT + plain(key) for key in following}
    fitting = {value for key, value in following.items() if plain(value) == names[key]}
    moved = {name: f"other/{name}" for name in (set(names.values()) & value_names(graph)) - fitting}
    rename(graph, moved, {}, {})
    for key, value in following.items():
        if value not in outputs:
            raise FormatError(f"update_binding gives {key!r} the value {value!r}, which is no output of the algorithm")
        graph.output.append(outputs[value])
        if value not in fitting:
            graph.node.add(op_type="Identity", input=[moved.get(value, value)], output=[names[key]], name=names[key])
            graph.output[-1].name = names[key]
    _strip_prefix(graph)
    return flat


def _init(model: onnx.ModelProto, training: onnx.TrainingInfoProto) -> onnx.ModelProto:
    source, tensors = training.initialization, _initializers(model)
    first = {b.key: b.value for b in training.initialization_binding}
    flat = _model_like(model, "init", source.metadata_props)
    graph = flat.graph
    graph.node.extend(source.node)
    graph.value_info.extend(source.value_info)
    for tensor in source.initializer:
        if tensor.name == "seed":
            graph.input.append(onnx.helper.make_tensor_value_info("seed", tensor.data_type, list(tensor.dims)))
        else:
            graph.initializer.append(tensor)
    outputs = {v.name for v in source.output}
    taken = value_names(source)
    for binding in training.update_binding:
        key, tensor = plain(binding.key), _found(tensors, binding.key)
        value = first.get(binding.key)
        if value is None:  # nothing computes its first value: it begins as the file has it
            value = key if key not in taken else PREFIX + key
            graph.initializer.append(tensor)
            graph.initializer[-1].name = value
        elif value not in outputs:
            raise FormatError(f"initialization_binding gives {key!r} the value {value!r}, which is no output of the initialization")
        if value != key:
            graph.node.add(op_type="Identity", input=[value], output=[key], name=f"first/{key}")
        graph.output.append(onnx.helper.make_tensor_value_info(key, tensor.data_type, list(tensor.dims)))
    return flat


def _model_like(model: onnx.ModelProto, name: str, metadata: Iterable[onnx.StringStringEntryProto]) -> onnx.ModelProto:
    flat = onnx.ModelProto(ir_version=model.ir_version, producer_name=model.producer_name, producer_version=model.producer_version)
    flat.opset_import.extend(model.opset_import)
    flat.metadata_props.extend(metadata)
    flat.graph.name = name
    return flat


def _initializers(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    return {t.name: t for graph in (model.graph, training_of(model).algorithm) for t in graph.initializer}


def _found(tensors: Mapping[str, onnx.TensorProto], key: str) -> onnx.TensorProto:
    if key not in tensors:
        raise FormatError(f"the training information binds {key!r}, which is no initializer of the file")
    return tensors[key]


def _needed(nodes: Iterable[onnx.NodeProto], wanted: Iterable[str]) -> list[onnx.NodeProto]:
    names, kept = set(wanted), []
    for node in reversed(list(nodes)):
        if names.intersection(node.output):
            kept.append(node)
            names |= used_names(node)
    return kept[::-1]


def _lines(metadata: Iterable[onnx.StringStringEntryProto], key: str) -> list[str]:
    return next((p.value.split("\n") for p in metadata if p.key == key), [])


def plain(name: str) -> str:
    """A name without the prefix that kept it apart from the inference graph's."""
    while name.startswith(PREFIX):
        name = name.removeprefix(PREFIX)
    return name


def _strip_prefix(graph: onnx.GraphProto) -> None:
    """Takes the prefix that kept names apart off again, where that makes no two alike."""
    values, nodes = value_names(graph), {n.name for n in all_nodes(graph)}
    dims = symbols([*graph.input, *graph.output, *graph.value_info])
    rename(graph, *({n: plain(n) for n in names if plain(n) not in names} for names in (values, nodes, dims)))
