"""Cutting a graph, and putting nodes into it: what fine-tuning does to a graph that somebody else made."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxdl.errors import GraphError
from onnxdl.graph.dtypes import to_ir
from onnxdl.graph.infer import dims


def named(names: Iterable[str], patterns: Sequence[str], what: str) -> list[str]:
    """The names that a pattern of the shell's kind (``block1.*``) matches, in their own order.

    Raises:
        GraphError: a pattern matches none of them.
    """
    known = list(names)
    for pattern in patterns:
        if not fnmatch.filter(known, pattern) and pattern not in known:
            near = difflib.get_close_matches(pattern, known, 3, 0.3) or known[-3:]
            raise GraphError(f"no {what} is called {pattern!r}; near it are {', '.join(near)}")
    return [name for name in known if any(name == p or fnmatch.fnmatchcase(name, p) for p in patterns)]


def cut(model: ir.Model, outputs: Sequence[str], inputs: Sequence[str] = ()) -> ir.Model:
    """The part of a model between two sets of tensors, by name; without ``inputs`` it begins where the model does.

    Raises:
        GraphError: there is no such tensor, its shape is not known, or the part needs an input that was cut off.
    """
    graph = model.graph
    values = ir.convenience.create_value_mapping(graph, include_subgraphs=False)
    for name in (*outputs, *inputs):
        named(values, [name], "tensor of the graph")
    for name in outputs:
        if values[name].dtype is None or dims(values[name]) is None:
            raise GraphError(f"the file does not say what shape {name!r} has; cut at another tensor near it")
    begin = list(inputs) or [v.name or "" for v in graph.inputs]
    try:
        part = ir.convenience.extract(graph, begin, outputs)
    except ValueError as error:
        raise GraphError(f"what lies between {', '.join(begin)} and {', '.join(outputs)} is no graph of its own: {error}") from None
    if not inputs:
        for value in [v for v in part.inputs if not v.uses()]:
            part.inputs.remove(value)
    return ir.Model(part, ir_version=model.ir_version, metadata_props=dict(model.metadata_props))


def insert_after(graph: ir.Graph, value: ir.Value, op_type: str, arrays: Mapping[str, np.ndarray], attributes: Mapping[str, Any]) -> None:
    """Puts an operator between a tensor and all that use it; its further inputs become initializers, called after the tensor."""
    producer, users = value.producer(), list(value.uses())
    if producer is None:
        raise GraphError(f"{value.name!r} is computed by no node; nothing can be put after it")
    stored = [ir.Value(name=f"{value.name}/{key}", const_value=ir.tensor(array)) for key, array in arrays.items()]
    for initializer, array in zip(stored, arrays.values(), strict=True):
        initializer.type, initializer.shape = ir.TensorType(to_ir(array.dtype)), ir.Shape(array.shape)
        graph.register_initializer(initializer)
    node = ir.node(op_type, [value, *stored], dict(attributes), name=f"{value.name}/{op_type}")
    result = node.outputs[0]
    result.name, result.type, result.shape = f"{value.name}/{op_type}:0", value.type, value.shape
    graph.insert_after(producer, node)
    for user, i in users:
        user.replace_input_with(i, result)
    if value.is_graph_output():
        graph.outputs[list(graph.outputs).index(value)] = result
        value.name, result.name = result.name, value.name
