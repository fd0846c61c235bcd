"""For the CPU: a weight's update that is a number times a product is taken up into it, ``w - r * (A B) = Gemm(A, r B, w)``.

That saves plain SGD two passes over a dense layer's weights. Measured on one thread, 784 x 512 from a batch of 128: Gemm, Mul and Sub
take 1.28 ms, so they take 1.17; the Gemm alone 1.10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir
from onnx_ir import convenience

from onnxdl.graph import op
from onnxdl.graph.infer import dims
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import outermost_scope

if TYPE_CHECKING:
    from onnxdl.graph.trace import Trace


def update_in_products(trace: Trace) -> None:
    """Replaces each such Sub, Mul and Gemm. Nodes stay in topological order."""
    changed = False
    for node in list(trace.graph):
        found = _scaled_product(node)
        if found is None:
            continue
        product, rate = found
        w, (a, b) = node.inputs[0], product.inputs[:2]
        assert w is not None and a is not None and b is not None
        trans = {name: product.attributes.get_int(name, 0) for name in ("transA", "transB")}
        with outermost_scope((node.name or "").rpartition("/")[0] or "update"):
            updated = op.Gemm(Tensor(a, trace), Tensor(rate, trace) * Tensor(b, trace), Tensor(w, trace), alpha=-1.0, **trans)
        put_out(trace.graph, node.outputs[0], updated.value)
        trace.graph.remove([node, node.inputs[1].producer(), product], safe=True)  # type: ignore[union-attr, list-item]
        changed = True
    if changed:
        trace.graph.sort()


def put_out(graph: ir.Graph, before: ir.Value, after: ir.Value) -> None:
    """Has all that read a value, the graph's outputs too, read another."""
    if before.is_graph_output():
        graph.outputs[graph.outputs.index(before)] = after
        before.name, after.name = after.name, before.name
    convenience.replace_all_uses_with(before, after)


def _scaled_product(node: ir.Node) -> tuple[ir.Node, ir.Value] | None:
    """The Gemm and the number of a ``w - number * Gemm(a, b)`` whose parts nothing else reads."""
    if node.op_type != "Sub" or node.domain or node.inputs[1] is None or dims(node.inputs[1]) != dims(node.outputs[0]):
        return None
    scaled = node.inputs[1].producer()
    if scaled is None or scaled.op_type != "Mul" or not _is_inner(scaled) or node.inputs[0] is None:
        return None
    for rate, value in (scaled.inputs, reversed(scaled.inputs)):
        product = value.producer() if value is not None else None
        if rate is None or product is None or dims(rate) not in ((), (1,)) or product.op_type != "Gemm" or not _is_inner(product):
            continue
        if len(product.inputs) == 2 and product.attributes.get_float("alpha", 1.0) == 1.0 and dims(node.inputs[0]) == dims(value):  # type: ignore[arg-type]
            return product, rate
    return None


def _is_inner(node: ir.Node) -> bool:
    return not node.domain and len(node.outputs[0].uses()) == 1 and not node.outputs[0].is_graph_output()
