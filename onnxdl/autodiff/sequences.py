"""Gradients that are sequences of tensors: a sequence's gradient has one entry for each of its elements."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import Trace, current_trace


def is_sequence(t: Tensor) -> bool:
    """Whether the value is a sequence, not a tensor."""
    return isinstance(t.value.type, ir.SequenceType)


def map_sequence(function: Callable[..., Tensor], *sequences: Tensor) -> Tensor:
    """``function`` of the elements at each position, as a sequence."""
    trace = next((t.trace for t in sequences if t.trace is not None), current_trace())
    inner = Trace("element", parent=trace, over_dynamic=trace is None)
    with inner:
        elements = [inner.input(f"element_{i}", t.dtype, None) for i, t in enumerate(sequences)]
        inner.add_output(function(*elements))
    result: Tensor = op.SequenceMap(*sequences, body=inner.graph)
    return result


def add_sequences(a: Tensor, b: Tensor) -> Tensor:
    """The sums of the elements at each position."""
    return map_sequence(lambda x, y: op.Add(x, y), a, b)


def zero_sequence(like: Tensor) -> Tensor:
    """Zeros of the shape of each element."""
    return map_sequence(lambda x: op.Mul(x, op.CastLike(0.0, x)), like)
