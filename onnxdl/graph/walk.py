"""Ways through a graph: what a node uses, what a value needs, copies of one graph inside another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from onnxdl.graph.operator import write
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import Trace, scope_path

RECORD = "reverse"
"""Where a node's ``meta`` holds what the reverse pass reads instead of its rule: one record for all nodes that end a piece of graph."""


def bodies(node: ir.Node) -> list[ir.Graph]:
    """The branch and loop bodies of a node."""
    return [a.as_graph() for a in node.attributes.values() if isinstance(a, ir.Attr) and a.type == ir.AttributeType.GRAPH]


def captured(graph: ir.Graph) -> list[ir.Value]:
    """What a body takes from the graphs around it."""
    inner = list(graph.all_nodes())
    inside = {v for g in (graph, *graph.subgraphs()) for v in (*g.inputs, *g.initializers.values())}
    inside.update(v for n in inner for v in n.outputs)
    outputs = [v for g in (graph, *graph.subgraphs()) for v in g.outputs]
    used = [v for n in inner for v in n.inputs if v is not None] + outputs
    return list(dict.fromkeys(v for v in used if v not in inside))


def used_values(node: ir.Node) -> list[ir.Value]:
    """A node's inputs, and what its bodies take from around them."""
    return [v for v in node.inputs if v is not None] + [v for body in bodies(node) for v in captured(body)]


def ancestry(
    wanted: Iterable[ir.Value], is_leaf: Callable[[ir.Value], bool], uses: Callable[[ir.Node], Iterable[ir.Value]] = used_values
) -> tuple[list[ir.Node], list[ir.Value]]:
    """The nodes that these values need, in topological order, and the leaves and inputs that they start from."""
    nodes: dict[ir.Node, None] = {}
    leaves: dict[ir.Value, None] = {}
    stack: list[tuple[ir.Node, bool]] = []

    def visit(value: ir.Value) -> None:
        producer = value.producer()
        if producer is None or is_leaf(value):
            leaves[value] = None
        elif producer not in nodes:
            stack.append((producer, False))

    for value in wanted:
        visit(value)
    stack.reverse()
    while stack:
        node, ready = stack.pop()
        if node in nodes:
            continue
        if ready:
            nodes[node] = None
            continue
        stack.append((node, True))
        for value in reversed(list(uses(node))):
            visit(value)
    return list(nodes), list(leaves)


def copy_nodes(nodes: Iterable[ir.Node], known: dict[ir.Value, Tensor | None], trace: Trace | None, *, keep_names: bool = False) -> None:
    """Writes copies of nodes into ``trace``; ``known`` maps outer values to tensors and grows by each output.

    Branch and loop bodies are copied with them, so the copy shares nothing with the original. ``keep_names`` keeps the
    names of nodes and values, below the present scope.
    """
    records: dict[Any, list[ir.Node]] = {}
    prefix = f"{path}/" if (path := scope_path()) else ""
    for node in nodes:
        inputs = [None if v is None else known[v] for v in node.inputs]
        attributes = {a.name: _copied(a, node, known, trace, keep_names) for a in node.attributes.values() if isinstance(a, ir.Attr)}
        names = [f"{prefix}{v.name}" if v.name else None for v in node.outputs] if keep_names else None
        version = node.version or None
        results = write(
            node.op_type, inputs, attributes, len(node.outputs), trace=trace, domain=node.domain, version=version, output_names=names
        )
        if keep_names and node.name and trace is not None:
            copy = results[0].value.producer()
            assert copy is not None
            copy.name = trace.unique(f"{prefix}{node.name}")
        for value, result in zip(node.outputs, results, strict=True):
            if result.value.type is None:  # an operator that the standard does not know: the original says what it gives
                result.value.type, result.value.shape = value.type, value.shape
            known[value] = result
        if (record := node.meta.get(RECORD)) is not None:
            records.setdefault(record, []).append(node)
    for record, ends in records.items():
        copy = record.copied(known)
        for node in ends:
            known[node.outputs[0]].value.producer().meta[RECORD] = copy  # type: ignore[union-attr]


def _copied(attribute: ir.Attr, node: ir.Node, known: Mapping[ir.Value, Tensor | None], trace: Trace | None, keep_names: bool) -> ir.Attr:
    if attribute.type != ir.AttributeType.GRAPH:
        return attribute
    body = attribute.as_graph()
    if any(v.type is None for v in body.inputs):
        type_inputs(body, node, [None if v is None or (t := known[v]) is None else t.value for v in node.inputs])
    inner = Trace(body.name or attribute.name, parent=trace, training=trace.training if trace is not None else False)
    local: dict[ir.Value, Tensor | None] = dict(known)
    with inner:
        for value in body.inputs:
            copy = ir.Value(name=inner.unique(value.name or "x"), type=value.type, shape=value.shape)
            inner.graph.inputs.append(copy)
            local[value] = Tensor(copy, inner)
        for value in body.initializers.values():
            if value.const_value is not None and value not in local:
                local[value] = inner.constant(value.const_value.numpy())
        copy_nodes(body, local, inner, keep_names=keep_names)
        for value in body.outputs:
            result = local[value]
            assert result is not None
            inner.add_output(result)
    return ir.AttrGraph(attribute.name, inner.graph)


def type_inputs(body: ir.Graph, node: ir.Node, inputs: Sequence[ir.Value | None]) -> None:
    """Types and shapes for the inputs of a body, from what its node reads: the bodies of the standard's functions have none."""
    if node.op_type == "Loop":
        body.inputs[0].type, body.inputs[0].shape = ir.TensorType(ir.DataType.INT64), ir.Shape([])
        body.inputs[1].type, body.inputs[1].shape = ir.TensorType(ir.DataType.BOOL), ir.Shape([])
        for value, outer in zip(body.inputs[2:], inputs[2:], strict=True):
            value.type = outer.type if outer is not None else None  # its sizes may change from turn to turn
        return
    n_scanned = node.attributes.get_int("num_scan_inputs", 0)
    n_states = len(inputs) - n_scanned
    axes = node.attributes.get_ints("scan_input_axes", ()) or (0,) * n_scanned
    for k, (value, outer) in enumerate(zip(body.inputs, inputs, strict=True)):
        if outer is None or not isinstance(outer.type, ir.TensorType):
            continue
        value.type, value.shape = ir.TensorType(outer.type.dtype), outer.shape
        if k >= n_states and outer.shape is not None:
            sizes = list(outer.shape)
            del sizes[axes[k - n_states]]
            value.shape = ir.Shape(sizes)
