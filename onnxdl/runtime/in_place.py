"""Which State entries a step may write over instead of into a second buffer.

ONNX Runtime accepts one buffer as input and as output, and keeps no order between the write and other readers. What makes it
safe is data flow: whatever else reads the entry must have run before its writer does, because the writer depends on it, and
must have kept nothing but a result of its own.

- The next value of a table is a ScatterND into it, and its other readers are Gathers, which copy: a step then costs the rows
  that it writes.
- All readers of a slot of an optimizer are elementwise, the writer perhaps one of them. The same holds within a Scan that
  goes over entry and next value in blocks. Single numbers gain nothing and keep their second buffer.
"""

from __future__ import annotations

import onnx_ir as ir

NEXT = "next/"
ELEMENTWISE = frozenset(
    ["Abs", "Add", "Clip", "Div", "Exp", "Log", "Max", "Mean", "Min", "Mul", "Neg", "Pow", "Reciprocal", "Sign", "Sqrt", "Sub", "Sum"]
)


def leave_unshaped(model: ir.Model) -> None:
    """Takes off the Reshapes that give next values their shape: as a graph's output each is a copy, and a cell needs the memory only."""
    for i, output in enumerate(model.graph.outputs):
        node = output.producer()
        source = node.inputs[0] if node is not None else None
        if node is None or node.op_type != "Reshape" or source is None or not (output.name or "").startswith(NEXT) or output.uses():
            continue
        if source.producer() is not None and not source.is_graph_output():
            source.name, output.name = output.name, source.name
            model.graph.outputs[i] = source
            model.graph.remove(node, safe=True)


def written_in_place(model: ir.Model) -> set[str]:
    """The names of the entries X whose output ``next/X`` may share the buffer of X."""
    inputs = {NEXT + v.name: v for v in model.graph.inputs if v.name is not None}
    return {
        entry.name or ""
        for output in model.graph.outputs
        if (entry := inputs.get(output.name or "")) is not None and not entry.is_graph_output() and _is_safe(output, entry)
    }


def _is_safe(output: ir.Value, entry: ir.Value) -> bool:
    writer = output.producer()
    if writer is None or writer.domain:
        return False
    match writer.op_type:
        case "ScatterND":
            return writer.inputs[0] is entry and _is_read_by_rows(writer, entry)
        case "Scan":
            return _is_safe_in_blocks(writer, output, entry)
    return _is_read_by_elements(writer, entry)


def _is_read_by_rows(writer: ir.Node, entry: ir.Value) -> bool:
    """Whether all other readers of an entry are Gathers that have run before its writer does."""
    readers = {use.node for use in entry.uses()} - {writer}
    if sum(v is entry for v in writer.inputs) != 1:
        return False
    if any(r.graph is not writer.graph or r.domain or r.op_type != "Gather" or r.inputs[1] is entry for r in readers):
        return False
    return readers <= _ancestors(writer)


def _is_read_by_elements(writer: ir.Node, entry: ir.Value) -> bool:
    """Whether an entry's readers and its writer are elementwise, in its own shape, and the readers have run before or are the writer.

    The readers' readers must be so too: ONNX Runtime may fuse a reader with them, or leave it out where it multiplies by 1.
    """
    readers = {use.node for use in entry.uses()} | {writer}
    readers |= {use.node for reader in readers - {writer} for use in reader.outputs[0].uses()}
    if not entry.shape or any(r.graph is not writer.graph or r.domain or r.op_type not in ELEMENTWISE for r in readers):
        return False
    return all(r.outputs[0].shape == entry.shape for r in readers) and readers - {writer} <= _ancestors(writer)


def _is_safe_in_blocks(scan: ir.Node, output: ir.Value, entry: ir.Value) -> bool:
    """Whether a Scan alone reads the entry, in blocks as those that it writes, and each block is safe."""
    body = scan.attributes["body"].as_graph()
    plain = set(scan.attributes) == {"body", "num_scan_inputs"} and scan.attributes.get_int("num_scan_inputs", 0) == len(scan.inputs)
    readers = [use.node for use in entry.uses()]
    if not plain or any(r.graph is not scan.graph or r.op_type != "Reshape" for r in readers):
        return False
    views = [r.outputs[0] for r in readers]
    if any(v.is_graph_output() or v.shape != output.shape or {use.node for use in v.uses()} != {scan} for v in views):
        return False
    written = body.outputs[scan.outputs.index(output)]
    writer = written.producer()
    slices = [block for block, given in zip(body.inputs, scan.inputs, strict=True) if given in views]
    return writer is not None and not writer.domain and all(_is_read_by_elements(writer, block) for block in slices)


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
