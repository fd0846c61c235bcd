"""Which State entries a step may write over instead of into a second buffer.

ONNX Runtime accepts one buffer as input and as output, and keeps no order between the write and other readers. What makes it
safe is data flow: an entry qualifies if its next value is a ScatterND into it, and whatever else reads it is a Gather,
which copies, that this ScatterND cannot run before because it depends on it. A step then costs the rows that it writes.
"""

from __future__ import annotations

import onnx_ir as ir

NEXT = "next/"


def written_in_place(model: ir.Model) -> set[str]:
    """The names of the entries X whose output ``next/X`` may share the buffer of X."""
    graph = model.graph
    return {
        node.inputs[0].name
        for output in graph.outputs
        if (node := output.producer()) is not None
        and node.op_type == "ScatterND"
        and node.inputs[0] is not None
        and node.inputs[0].name is not None
        and output.name == NEXT + node.inputs[0].name
        and _reads_nothing_old(graph, node, node.inputs[0])
    }


def _reads_nothing_old(graph: ir.Graph, writer: ir.Node, entry: ir.Value) -> bool:
    """Whether all other readers of an entry are Gathers that have run before its writer does."""
    readers = {use.node for use in entry.uses()} - {writer}
    if not entry.is_graph_input() or entry.is_graph_output() or sum(v is entry for v in writer.inputs) != 1:
        return False
    if any(r.graph is not graph or r.domain or r.op_type != "Gather" or r.inputs[1] is entry for r in readers):
        return False
    return readers <= _ancestors(writer)


def _ancestors(node: ir.Node) -> set[ir.Node]:
    seen: set[ir.Node] = set()
    pending = [node]
    while pending:
        for value in pending.pop().inputs:
            producer = value.producer() if value is not None else None
            if producer is not None and producer not in seen:
                seen.add(producer)
                pending.append(producer)
    return seen
