"""Regions of a graph whose values the reverse pass computes again instead of keeping them.

A region is what was written into a trace between two moments. Its results leave it through Identity nodes that carry the
record which the reverse pass reads there (Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnxdl.graph import op
from onnxdl.graph.infer import content
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import Trace
from onnxdl.graph.walk import RECORD, ancestry


@dataclass(eq=False)
class Region:
    """What a region reads from around it, what it computes, and the same values as the rest of the graph reads them."""

    inputs: Sequence[ir.Value]
    results: Sequence[ir.Value]
    outputs: Sequence[ir.Value]

    def copied(self, known: Mapping[ir.Value, Tensor | None]) -> Region:
        """The region among copies of its nodes; results that were not copied are left out."""

        def there(values: Sequence[ir.Value]) -> list[ir.Value]:
            return [v if (t := known.get(v)) is None else t.value for v in values]

        pairs = [(r, o) for r, o in zip(self.results, self.outputs, strict=True) if known.get(o) is not None]
        return Region(there(self.inputs), there([r for r, _ in pairs]), there([o for _, o in pairs]))

    def nodes(self) -> list[ir.Node]:
        """The nodes that its results need, in topological order."""
        return ancestry(self.results, set(self.inputs).__contains__)[0]


def last_node(trace: Trace) -> ir.Node | None:
    """The node written last."""
    return trace.graph[-1] if len(trace.graph) else None


def close_region(trace: Trace, begin: ir.Node | None, results: Sequence[Tensor]) -> list[Tensor]:
    """Makes a region of all that was written after ``begin``; the results as the rest of the graph must read them."""
    inside: set[ir.Node] = set()
    for node in reversed(trace.graph):
        if node is begin:
            break
        inside.add(node)
    values = [t.value for t in results]
    _, inputs = ancestry(values, lambda v: v.producer() not in inside)
    ends = [op.Identity(t) for t in results]
    region = Region(inputs, values, [end.value for end in ends])
    for end, t in zip(ends, results, strict=True):
        end.value.producer().meta[RECORD] = region  # type: ignore[union-attr]
        end.mask = t.mask
    return ends


def held_back(tensors: Sequence[Tensor], until: Tensor) -> dict[ir.Value, Tensor]:
    """Copies of tensors that cannot be computed before ``until``, by value; constants, weights and shapes stay as they are.

    Each copy is ``Where(never, 0, x)`` with a condition that is False whatever ``until`` holds, which no simplification of ONNX
    Runtime sees through: so it neither computes the copy of a region early, nor merges it with the first.
    """
    first = op.ReduceSum(op.Slice(op.Reshape(until, [-1]), [0], [1], [0]), keepdims=0)
    is_nan = op.IsNaN(first)
    never = op.And(is_nan, op.Not(is_nan))
    return {t.value: _held_back(t, never) if _is_data(t) else t for t in tensors}


def _held_back(t: Tensor, never: Tensor) -> Tensor:
    held: Tensor = op.Or(never, t) if t.dtype == bool else op.Where(never, np.array(0).astype(t.dtype), t)
    return held


_KINDS = {ir.DataType[k] for k in ("FLOAT", "DOUBLE", "FLOAT16", "INT32", "INT64", "UINT8", "BOOL")}  # what ONNX Runtime's Where takes


def _is_data(t: Tensor) -> bool:
    """Whether a tensor is neither a constant nor a weight, nor a shape."""
    value, producer = t.value, t.value.producer()
    if not isinstance(value.type, ir.TensorType) or value.dtype not in _KINDS or value.is_initializer() or content(value) is not None:
        return False
    if producer is not None and (producer.op_type == "Constant" or (value.dtype == ir.DataType.INT64 and len(value.shape or ()) == 1)):
        return False
    variables = t.trace.root.variables.values() if t.trace is not None else ()
    return all(value is not v.value for v in variables)
