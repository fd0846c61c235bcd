"""Other results in the place of those that nodes give: what the passes share that write parts of a graph anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import onnx_ir as ir
from onnx_ir import convenience

from onnxdl.graph.tensor import Tensor

if TYPE_CHECKING:
    from onnxdl.graph.trace import Trace


def rewrite(trace: Trace, other: Callable[[ir.Node], Tensor | None]) -> None:
    """Replaces each node of the graph for which ``other`` writes another result. Nodes stay in topological order."""
    changed = False
    for node in list(trace.graph):
        y = other(node)
        if y is not None:
            take_place(trace.graph, node.outputs[0], y.value)
            trace.graph.remove(node, safe=True)
            changed = True
    if changed:
        trace.graph.sort()


def take_place(graph: ir.Graph, before: ir.Value, after: ir.Value) -> None:
    """Has all that read a value, the graph's outputs too, read another."""
    if before.is_graph_output():
        graph.outputs[graph.outputs.index(before)] = after
        before.name, after.name = after.name, before.name
    convenience.replace_all_uses_with(before, after)
