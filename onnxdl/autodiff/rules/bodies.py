"""Bodies of operators, written out in place so that the reverse pass can run inside another body."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import onnx_ir as ir

from onnxdl.autodiff.gradient import Reverse
from onnxdl.graph.dtypes import is_float
from onnxdl.graph.tensor import Tensor, as_tensor
from onnxdl.graph.trace import Trace, current_trace
from onnxdl.graph.walk import captured, copy_nodes


def inline(body: ir.Graph, arguments: Sequence[Tensor], outside: Trace | None) -> list[Tensor]:
    """The outputs of a body computed in the current trace."""
    known: dict[ir.Value, Tensor | None] = {v: Tensor(v, outside) for v in captured(body)}
    known.update(zip(body.inputs, arguments, strict=True))
    for value in body.initializers.values():
        if value not in known and value.const_value is not None:
            known[value] = as_tensor(value.const_value.numpy())
    copy_nodes(body, known, current_trace())
    return [t for v in body.outputs if (t := known[v]) is not None]


def body_gradients(ys: Sequence[Tensor], seeds: Sequence[Tensor | None], wrt: Sequence[Tensor], reverse: Reverse) -> list[Tensor | None]:
    """The gradients by each of ``wrt`` of the outputs that a gradient reaches, written into the current body."""
    reached = [(y, s) for y, s in zip(ys, seeds, strict=True) if s is not None]
    return reverse.within(current_trace()).gradients([y for y, _ in reached], [s for _, s in reached], wrt)


def live_floats(values: Iterable[ir.Value], reverse: Reverse) -> list[ir.Value]:
    """Those of the values around a body that a gradient is asked for."""
    return [v for v in values if v in reverse.live and is_float(v.dtype)]
