"""Turns a trace into a model: names its outputs, drops what none of them needs, merges what is written twice."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import onnx_ir as ir
from onnx_ir.passes.common import CommonSubexpressionEliminationPass

from onnxdl.errors import GraphError
from onnxdl.graph.infer import dims
from onnxdl.graph.passes.blocks import update_in_blocks
from onnxdl.graph.passes.broadcasting import leave_to_broadcasting
from onnxdl.graph.passes.convolutions import choose_convolutions
from onnxdl.graph.passes.elementwise import choose_elementwise
from onnxdl.graph.passes.padding import keep_padding
from onnxdl.graph.passes.products import update_in_products
from onnxdl.graph.trace import IR_VERSION, discard
from onnxdl.graph.walk import RECORD, ancestry

if TYPE_CHECKING:
    from onnxdl.graph.tensor import Tensor
    from onnxdl.graph.trace import Trace

_FRESH = re.compile(r"_d\d+")
LARGEST_CONSTANT = 2**18
"""Elements of a constant that is compared with others: those of Winograd's transforms must be one, or a step does these twice."""


def finish(trace: Trace, outputs: Mapping[str, Tensor], metadata: Mapping[str, str]) -> ir.Model:
    """The model of a trace. The trace is used up.

    Precondition: every output belongs to the trace. Postcondition: nodes are in topological order, each is needed by an
    output, no two compute the same, outputs have the given names, unknown dimensions are numbered from zero.
    """
    graph = trace.graph
    for name, tensor in outputs.items():
        if tensor.trace is not trace:
            raise GraphError(f"output {name!r} does not belong to the graph that is being finished")
        graph.outputs.append(_named(trace, tensor, name))
    _drop_unused(graph)
    leave_to_broadcasting(graph)
    if trace.target.device == "cpu":
        graph.sort()  # a rule may have written a forward pass anew, behind its readers
        trace.forget_constants()  # some of them were dropped
        choose_convolutions(trace)
        choose_elementwise(trace)
    _drop_unused(graph)
    if trace.target.device == "cpu":
        update_in_products(trace)
        update_in_blocks(trace)
    keep_padding(trace)
    _make_way(trace, set(outputs))
    model = ir.Model(graph, ir_version=IR_VERSION if trace.opset <= 21 else 11, producer_name="onnxdl", metadata_props=dict(metadata))
    graph.opset_imports[""] = trace.opset
    graph.opset_imports.update({n.domain: trace.domains.get(n.domain, 1) for n in graph.all_nodes() if n.domain})
    _drop_marks(graph)
    CommonSubexpressionEliminationPass(size_limit=LARGEST_CONSTANT)(model)
    _number_symbols(graph)
    return model


def _named(trace: Trace, tensor: Tensor, name: str) -> ir.Value:
    value = tensor.value
    if value.is_graph_input() and value.name == name and not value.is_graph_output():
        return value  # one name can be one value only: the input itself is the output
    if value.graph is not trace.graph or value.is_graph_input() or value.is_graph_output() or value.is_initializer():
        value = trace.emit("Identity", [value], {}, 1)[0]
    value.name = name
    return value


def _make_way(trace: Trace, names: set[str]) -> None:
    """Gives other names to values that have an output's name by chance, as values copied from a file may."""
    for node in trace.graph.all_nodes():
        for value in node.outputs:
            if value.name in names and not value.is_graph_output():
                value.name = trace.unique(value.name)


def _drop_unused(graph: ir.Graph) -> None:
    needed, _ = ancestry(graph.outputs, lambda value: False)
    keep = set(needed)
    unused = [node for node in graph if node not in keep]
    for node in unused:
        discard(node)
    graph.remove(unused)


def _drop_marks(graph: ir.Graph) -> None:
    """Takes out the Identity nodes that only carried a record for the reverse pass."""
    for node in list(graph.all_nodes()):
        source, mark = node.inputs[0] if node.inputs else None, node.outputs[0]
        if RECORD in node.meta and source is not None and not mark.is_graph_output():
            mark.replace_all_uses_with(source)
            node.graph.remove(node, safe=True)  # type: ignore[union-attr]


def _number_symbols(graph: ir.Graph) -> None:
    """Renames the symbols of unknown dimensions, so that the same program always writes the same file."""
    numbers = itertools.count()
    names: dict[str, str] = {}
    values = [*graph.inputs, *(v for node in graph.all_nodes() for v in node.outputs)]
    for value in values:
        shape = dims(value)
        if shape is None or not any(isinstance(d, str) and _FRESH.fullmatch(d) for d in shape):
            continue
        for d in shape:
            if isinstance(d, str) and _FRESH.fullmatch(d) and d not in names:
                names[d] = f"d{next(numbers)}"
        value.shape = ir.Shape([names.get(d, d) if isinstance(d, str) else d for d in shape])
