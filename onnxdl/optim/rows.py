"""Updates of the rows of a table that a batch looked up: work in proportion to those rows, whatever the table's size.

Rows that were not looked up keep their value and their slots, as in PyTorch's SparseAdam (there called lazy); what the
optimizer keeps once for all weights, such as Adam's powers of the betas, moves on at every step.

ScatterND(reduction="add") would sum a row's gradients in one node, but ONNX Runtime's CPU kernel loses updates of a row that
occurs twice as soon as it has two threads. It is used only in a graph that its session runs on one thread (``in_turn``).
"""

from __future__ import annotations

import numpy as np

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import current_trace


def in_turn() -> bool:
    """Whether the graph will run on one thread, which takes the updates of one row in turn."""
    trace = current_trace()
    return trace is not None and trace.target.single_threaded


def summed(ids: Tensor, gradients: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The rows of a table that occur in ``ids`` [n], each once and in order, and the sum of each one's ``gradients`` [n, D].

    Sorted by row, the sums are differences of running sums. Those are float64: the differences are then exact to the last
    bits of float32.
    """
    ids = op.Mod(ids.astype(np.int64), np.array(size, np.int64))  # Gather counts negative rows from the end
    in_order, order = op.TopK(ids, op.Shape(ids), largest=0)
    changes = op.Not(op.Equal(op.Slice(in_order, [1], [2**62], [0]), op.Slice(in_order, [0], [-1], [0])))
    last = op.Reshape(op.NonZero(op.Concat(changes, np.array([True]), axis=0)), [-1])
    rows = op.Gather(in_order, last)
    zero = np.array(0, np.int64)
    if in_turn():
        number = op.CumSum(op.Concat(np.array([0], np.int64), op.Cast(changes, to=np.int64), axis=0), zero)
        places = op.ScatterElements(op.Mul(order, zero), order, number)
        empty = op.Expand(np.array(0).astype(gradients.dtype), op.Concat(op.Shape(rows), op.Shape(gradients, start=1), axis=0))
        return rows, op.ScatterND(empty, op.Unsqueeze(places, [1]), gradients, reduction="add")
    ends = op.Gather(op.CumSum(op.Gather(gradients, order).astype(np.float64), zero), last)
    before = op.Pad(op.Slice(ends, [0], [-1], [0]), np.array([1, 0, 0, 0], np.int64))
    return rows, (ends - before).astype(gradients.dtype)


def taken(table: Tensor, rows: Tensor) -> Tensor:
    """These rows of a table."""
    picked: Tensor = op.Gather(table, rows)
    return picked


def put(table: Tensor, rows: Tensor, values: Tensor) -> Tensor:
    """A table with these rows, each of which occurs once, replaced; a session does it in place where nothing reads the old ones."""
    replaced: Tensor = op.ScatterND(table, op.Unsqueeze(rows, [1]), values)
    return replaced


def add(table: Tensor, ids: Tensor, changes: Tensor) -> Tensor:
    """A table with something added to its rows, which may occur several times: only where they are taken ``in_turn``."""
    changed: Tensor = op.ScatterND(table, op.Unsqueeze(ids, [1]), changes, reduction="add")
    return changed
