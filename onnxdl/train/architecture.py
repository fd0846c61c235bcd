"""A functional Model as plain data: its layers, and how they were called on one another, so that it can be made again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxdl.config import Configurable, deserialize, serialize
from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.operator import operator_names
from onnxdl.graph.tensor import Tensor, tensor
from onnxdl.nn.structure import tensors_in
from onnxdl.nn.symbolic import DOMAIN, way
from onnxdl.train.composition import Composition, placeholder
from onnxdl.train.matching import spec_of

_LARGEST = 4096  # elements of an array that is written into a call


def describe(model: Composition) -> dict[str, Any]:
    """The inputs, the layers and the calls between inputs and outputs, in order. ``{"tensor": i}`` is the i-th value made."""
    starts = tensors_in(model.input)
    numbers: dict[ir.Value, int] = {t.value: i for i, t in enumerate(starts)}
    layers: list[Any] = []
    calls: list[dict[str, Any]] = []

    def plain(tree: Any) -> Any:
        if isinstance(tree, Mapping):
            return {k: plain(v) for k, v in tree.items()}
        if isinstance(tree, list | tuple):
            return [plain(v) for v in tree]
        return serialize(tree) if not isinstance(tree, Tensor) else _reference(tree, numbers)

    for node in way(starts, tensors_in(model.output))[0]:
        if node.domain == DOMAIN:
            call = node.meta["call"]
            if not any(call.layer is layer for layer in layers):
                layers.append(call.layer)
            number = next(i for i, layer in enumerate(layers) if layer is call.layer)
            calls.append({"layer": number, "args": plain(call.args), "kwargs": plain(call.kwargs), "training": call.training})
        else:
            inputs = [None if v is None else _reference(Tensor(v), numbers) for v in node.inputs]
            attributes = {a.name: _attribute(node, a) for a in node.attributes.values()}
            calls.append({"op": node.op_type, "args": inputs, "kwargs": attributes, "outputs": len(node.outputs)})
        for value in node.outputs:
            numbers[value] = len(numbers)
    return {
        "name": model.name,
        "inputs": [describe_input(t, i) for i, t in enumerate(starts)],
        "layers": [serialize(layer) for layer in layers],
        "calls": calls,
        "input": plain(model.input),
        "output": plain(model.output),
    }


def describe_input(t: Tensor, i: int = 0) -> dict[str, Any]:
    """Name, element type and shape of an ``Input``: the arguments of ``placeholder``."""
    return {"name": spec_of(t, i).name, "dtype": t.dtype.name, "shape": list(t.shape)}


def rebuild(config: Mapping[str, Any]) -> tuple[Any, Any]:
    """The symbolic inputs and outputs of what ``describe`` wrote."""
    made: list[Tensor] = [placeholder(**given) for given in config["inputs"]]
    layers: list[Any] = [deserialize(layer, Configurable) for layer in config["layers"]]

    def with_tensors(tree: Any) -> Any:
        if isinstance(tree, Mapping) and set(tree) == {"tensor"}:
            return made[tree["tensor"]]
        if isinstance(tree, Mapping) and set(tree) == {"array", "dtype"}:
            return tensor(np.array(tree["array"], tree["dtype"]))
        if isinstance(tree, Mapping):
            return {k: with_tensors(v) for k, v in tree.items()}
        return [with_tensors(v) for v in tree] if isinstance(tree, list) else deserialize(tree)

    for call in config["calls"]:
        args, kwargs = with_tensors(call["args"]), with_tensors(call["kwargs"])
        if "layer" in call:
            result = layers[call["layer"]](*args, training=call["training"], **kwargs)
        elif call["op"] not in operator_names():
            raise GraphError(f"no operator is called {call['op']!r}")
        else:
            result = getattr(op, call["op"])(*args, **kwargs, **({"outputs": call["outputs"]} if call["outputs"] > 1 else {}))
        made.extend(tensors_in(result))
    return with_tensors(config["input"]), with_tensors(config["output"])


def _reference(t: Tensor, numbers: Mapping[ir.Value, int]) -> dict[str, Any]:
    if t.value in numbers:
        return {"tensor": numbers[t.value]}
    array = t.numpy()
    if array.size > _LARGEST:
        raise GraphError(f"an array of {array.size} numbers in a call cannot be written down; make it a weight of a layer")
    return {"array": array.tolist(), "dtype": array.dtype.name}


def _attribute(node: ir.Node, attribute: Any) -> Any:
    if attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS, ir.AttributeType.TENSOR):
        raise GraphError(f"{node.op_type} with {attribute.name} between the layers cannot be written down; put it into a layer")
    return list(attribute.value) if isinstance(attribute.value, list | tuple) else attribute.value
