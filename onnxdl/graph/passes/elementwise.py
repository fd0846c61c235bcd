"""For the CPU: elementwise operators in the forms that its kernels are quickest in. Measured in ns an element on one thread:

- a tensor with the number of a lower rank, where its last dimension is 1, as in kernels of 1x1: 10.1; in its own rank 0.12,
- ``Cast(Greater(x, 0))``, the mask of a ReLU: 0.38 and the Cast on one thread only; as a HardSigmoid as steep as can be 0.16,
- ``Sum`` of three: 0.58 on one thread only; as two Adds 0.63, on all threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from onnx_ir import convenience

from onnxdl.graph import op
from onnxdl.graph.infer import dims
from onnxdl.graph.passes.rewriting import rewrite
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import outermost_scope

if TYPE_CHECKING:
    from onnxdl.graph.trace import Trace

STEEPNESS = float(np.finfo(np.float32).max)
"""Whatever is above 3e-39 becomes 1: every float32 that has its full precision."""


def choose_elementwise(trace: Trace) -> None:
    """Replaces nodes of the graph, not those of its bodies."""

    def chosen(node: ir.Node) -> Tensor | None:
        form = _FORMS.get(node.op_type)
        if form is None or node.domain or node.outputs[0].is_graph_output():
            return None
        with outermost_scope((node.name or "").rpartition("/")[0] or node.op_type):
            return form(node, trace)

    rewrite(trace, chosen)


def _with_ranks(node: ir.Node, trace: Trace) -> Tensor | None:
    """With as many dimensions for the number among the operands as the result has, where that ends with 1."""
    shape, operands = dims(node.outputs[0]), [Tensor(v, trace) for v in node.inputs if v is not None]
    if not shape or shape[-1] != 1 or len(shape) < 2 or all(dims(x.value) not in ((), (1,)) for x in operands):
        return None
    raised = [op.Reshape(x, np.ones(len(shape), np.int64)) if dims(x.value) in ((), (1,)) else x for x in operands]
    y: Tensor = getattr(op, node.op_type)(*raised)
    return y


def _as_mask(node: ir.Node, trace: Trace) -> Tensor | None:
    compared = node.inputs[0].producer() if node.inputs[0] is not None else None
    if compared is None or compared.op_type != "Greater" or compared.domain or node.outputs[0].dtype != ir.DataType.FLOAT:
        return None
    x, limit = compared.inputs
    zero = convenience.get_const_tensor(limit) if limit is not None else None
    if x is None or x.dtype != ir.DataType.FLOAT or zero is None or zero.size != 1 or zero.numpy().item() != 0:
        return None
    return op.HardSigmoid(Tensor(x, trace), alpha=STEEPNESS, beta=0.0)


def _as_adds(node: ir.Node, trace: Trace) -> Tensor | None:
    first, *rest = (Tensor(v, trace) for v in node.inputs if v is not None)
    if len(rest) < 2:
        return None
    for term in rest:
        first = first + term
    return first


_FORMS = {**dict.fromkeys(("Add", "Sub", "Mul", "Div"), _with_ranks), "Cast": _as_mask, "Sum": _as_adds}
