"""The names in a GraphProto, its bodies included: which there are, what a node uses, other names in their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx


def bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The branch and loop bodies of a node."""
    return [g for a in node.attribute for g in (*([a.g] if a.HasField("g") else []), *a.graphs)]


def all_nodes(graph: onnx.GraphProto) -> Iterable[onnx.NodeProto]:
    """Every node, those in bodies too."""
    for node in graph.node:
        yield node
        for body in bodies(node):
            yield from all_nodes(body)


def value_names(graph: onnx.GraphProto) -> set[str]:
    """The names of all values: inputs, initializers and what nodes give."""
    names = {v.name for v in graph.input} | {t.name for t in graph.initializer}
    for node in graph.node:
        names.update(node.output)
        for body in bodies(node):
            names |= value_names(body)
    return names - {""}


def used_names(node: onnx.NodeProto) -> set[str]:
    """What a node reads: its inputs, and what its bodies read from around them."""
    names = set(node.input)
    for body in bodies(node):
        inner = {name for n in body.node for name in used_names(n)} | {v.name for v in body.output}
        names |= inner - {v.name for v in body.input} - {t.name for t in body.initializer} - {o for n in body.node for o in n.output}
    return names - {""}


def symbols(values: Iterable[onnx.ValueInfoProto]) -> set[str]:
    """The names of symbolic dimensions."""
    return {d.dim_param for v in values for d in v.type.tensor_type.shape.dim if d.dim_param}


def rename(graph: onnx.GraphProto, values: Mapping[str, str], nodes: Mapping[str, str], dims: Mapping[str, str]) -> None:
    """Gives values, nodes and symbolic dimensions other names, in place."""
    for info in (*graph.input, *graph.output, *graph.value_info):
        info.name = values.get(info.name, info.name)
        for dim in info.type.tensor_type.shape.dim:
            if dim.dim_param in dims:
                dim.dim_param = dims[dim.dim_param]
    for tensor in graph.initializer:
        tensor.name = values.get(tensor.name, tensor.name)
    for node in graph.node:
        node.name = nodes.get(node.name, node.name)
        node.input[:] = [values.get(n, n) for n in node.input]
        node.output[:] = [values.get(n, n) for n in node.output]
        for body in bodies(node):
            rename(body, values, nodes, dims)
