"""For the CPU: convolutions that Winograd's algorithm computes with clearly less arithmetic are written that way.

Run on a trace before what is written twice is merged, so that the forward pass and the gradient of the weights share their
transformed input. Only graphs for a session of the library's own are changed (``Target``): a saved file has plain Conv nodes,
for which other providers have algorithms of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from onnx_ir import convenience

from onnxdl.graph import op, winograd
from onnxdl.graph.infer import dims
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import outermost_scope

if TYPE_CHECKING:
    from onnxdl.graph.trace import Trace


def use_winograd(trace: Trace) -> None:
    """Replaces the convolutions, and the transposed ones that are gradients of their inputs. Nodes stay in topological order."""
    changed = False
    for node in list(trace.graph):
        pads = _pads(node)
        if pads is None or node.outputs[0].is_graph_output():
            continue
        sizes = [d for v in (node.inputs[0], node.outputs[0]) for d in (dims(v) or ())[1:] if v is not None and isinstance(d, int)]
        form = winograd.best_form(sizes[0], sizes[3], sizes[4:], trace.target.exact)
        if form is None:
            continue
        x, w, *bias = (None if v is None else Tensor(v, trace) for v in node.inputs)
        assert x is not None and w is not None  # Conv has both
        with outermost_scope(node.name or node.op_type):
            y = winograd.convolution(x, w, pads, form, transposed=node.op_type == "ConvTranspose")
            if bias and bias[0] is not None:
                y = y + op.Reshape(bias[0], np.array([-1, 1, 1], np.int64))
        convenience.replace_all_uses_with(node.outputs[0], y.value)
        trace.graph.remove(node, safe=True)
        changed = True
    if changed:
        trace.graph.sort()


def _pads(node: ir.Node) -> list[int] | None:
    """Top, left, bottom and right padding of the convolution that a node is, None if it is not one for this algorithm."""
    if node.domain or node.op_type not in ("Conv", "ConvTranspose") or node.outputs[0].dtype != ir.DataType.FLOAT:
        return None
    x, w, y = (None if v is None else dims(v) for v in (node.inputs[0], node.inputs[1], node.outputs[0]))
    if x is None or w is None or y is None or len(x) != 4 or w[2:] != (3, 3):
        return None
    if not all(isinstance(d, int) and d > 0 for d in (*x[1:], *w, *y[1:])):
        return None
    get = node.attributes.get_ints
    plain = set(get("strides", (1,))) == {1} and set(get("dilations", (1,))) == {1} and node.attributes.get_int("group", 1) == 1
    if not plain or node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET" or any(get("output_padding", ())):
        return None
    if "output_shape" in node.attributes:
        return None
    pads = list(get("pads", (0, 0, 0, 0)))
    return pads if node.op_type == "Conv" else [2 - p for p in pads] if max(pads) <= 2 else None
