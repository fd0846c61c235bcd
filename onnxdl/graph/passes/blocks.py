"""For the CPU: updates of large weights, block by block, so that what lies between two operators stays in the cache.

An update is a chain of elementwise operators, each of which reads and writes as much memory as the weight has: 24 times in Adam,
where 7 are needed. A Scan over blocks runs the same operators on a part of the weight at a time; ONNX Runtime hands the slices
on without copying them, and a turn costs it 10 us.

Adam on 11.2 million parameters, one thread, processor time: 39.0 ms by whole weights; in blocks of 16,384 elements 32.2, 32,768 29.5,
65,536 27.6, 131,072 24.9, 262,144 25.2. Lost: blocks of smaller weights (784 x 512: the whole step 7 % slower), ``b m + g`` as the
product of a 1x1 matrix (0.41 ns an element; Mul and Add 0.30), powers (Pow 4.6, Sqrt 0.38), norms of two (ReduceL2 3.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from onnxdl.graph import op
from onnxdl.graph.infer import dims
from onnxdl.graph.operator import write
from onnxdl.graph.passes.rewriting import take_place
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import current_trace, outermost_scope
from onnxdl.runtime.in_place import ELEMENTWISE

if TYPE_CHECKING:
    from onnxdl.graph.trace import Trace

MOST, LEAST = 2**18, 2**15
"""Elements of a block: as many as fit the cache beside each other, and so many that the turns do not count."""

LARGE = 2**20
"""Elements of a weight from which blocks gain; smaller ones stay in the cache as a whole."""

FEWEST = 3
"""Operators that are worth a loop."""


def update_in_blocks(trace: Trace) -> None:
    """Turns the elementwise operators that lead to outputs of known, large sizes into Scans. Nodes stay in topological order."""
    groups = [group for group in _connected(_members(trace.graph)) if len(group) >= FEWEST]
    for group in groups:
        _loop(trace, group)
    if groups:
        trace.graph.sort()


def _members(graph: ir.Graph) -> list[ir.Node]:
    """The operators all of whose readers are such themselves: taken together, nothing outside can stand between them."""
    found: dict[ir.Node, None] = {}
    for node in reversed(graph):
        y = node.outputs[0]
        if node.domain or node.op_type not in ELEMENTWISE or not _block(y) or not all(use.node in found for use in y.uses()):
            continue
        if all(v is not None and (dims(v) in ((), dims(y))) for v in node.inputs):
            found[node] = None
    return list(reversed(found))


def _connected(nodes: Sequence[ir.Node]) -> Iterable[list[ir.Node]]:
    """The nodes apart by what they give each other, each part in the order given."""
    parts: dict[ir.Node, list[ir.Node]] = {}
    for node in nodes:
        part = [node]
        for value in node.inputs:
            producer = value.producer() if value is not None else None
            before = parts.get(producer) if producer is not None else None
            if before is not None and before is not part:
                before.extend(part)
                part = before
        parts.update((n, part) for n in part)
    return {id(part): part for part in parts.values()}.values()


def _loop(trace: Trace, group: Sequence[ir.Node]) -> None:
    """Writes a group anew as the body of a Scan."""
    results = [node.outputs[0] for node in group if node.outputs[0].is_graph_output()]
    made = {node.outputs[0] for node in group}
    read = [v for node in group for v in node.inputs if v is not None and v not in made and dims(v)]
    scanned, shape = list(dict.fromkeys(read)), dims(results[0])

    def body(*slices: Tensor) -> list[Tensor]:
        known = dict(zip(scanned, slices, strict=True))
        for node in group:
            inputs = [known[v] if v in known else Tensor(v, trace) for v in node.inputs if v is not None]
            (known[node.outputs[0]],) = write(node.op_type, inputs, dict(node.attributes), 1, trace=current_trace())
        return [known[v] for v in results]

    with outermost_scope((group[-1].name or "").rpartition("/")[0] or "blocks"):
        blocks = [op.Reshape(Tensor(v, trace), np.array([-1, _block(v)], np.int64)) for v in scanned]
        looped = op.Scan(*blocks, body=body, num_scan_inputs=len(blocks))
        for before, after in zip(results, looped if len(results) > 1 else [looped], strict=True):
            take_place(trace.graph, before, op.Reshape(after, np.array(shape, np.int64)).value)
    trace.graph.remove(reversed(group), safe=True)


def _block(value: ir.Value) -> int:
    """The elements of a block of a large tensor, a divisor of its size; 0 where it has none or is small."""
    shape = dims(value)
    if shape is None or not all(isinstance(d, int) for d in shape):
        return 0
    size = int(np.prod([d for d in shape if isinstance(d, int)]))
    turns = range(-(-size // MOST), size // LEAST + 1) if size >= LARGE else ()
    return next((size // n for n in turns if size % n == 0), 0)
