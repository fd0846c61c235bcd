"""Gradients that are sequences of tensors: a sequence's gradient has one entry for each of its elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import Trace, current_trace


def is_sequence(t: Tensor) -> bool:
    """Whether the value is a sequence, not a tensor."""
    return isinstance(t.value.type, ir.SequenceType)


def map_sequence(function: Callable[..., Tensor | list[Tensor]], *sequences: Tensor, outputs: int = 1) -> Any:
    """``function`` of the elements at each position: a sequence, or one for each of several outputs."""
    trace = next((t.trace for t in sequences if t.trace is not None), current_trace())
    inner = Trace("element", parent=trace, over_dynamic=trace is None)
    with inner:
        results = function(*(inner.input(f"element_{i}", t.dtype, None) for i, t in enumerate(sequences)))
        for result in results if isinstance(results, list) else [results]:
            inner.add_output(result)
    return op.SequenceMap(*sequences, body=inner.graph, outputs=outputs)


def add_sequences(a: Tensor, b: Tensor) -> Tensor:
    """The sums of the elements at each position."""
    total: Tensor = map_sequence(lambda x, y: op.Add(x, y), a, b)
    return total


def zero_sequence(like: Tensor) -> Tensor:
    """Zeros of the shape of each element."""
    zeros: Tensor = map_sequence(lambda x: op.Expand(np.zeros(1, like.dtype), op.Shape(x)), like)
    return zeros
