"""Passes over whole tensors that broadcasting or an exchange makes needless; gradients of means and of subtractions leave such.

- An operand that was expanded to the shape which another operand has already is taken as it was before.
- ``ReduceSum(Neg(x))`` becomes ``Neg(ReduceSum(x))``, which negates the small tensor.

In the backward pass of a batch normalization five passes over the activations are left of nine.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir import convenience

from onnxdl.graph.infer import dims

_BROADCASTING = {"Add", "Sub", "Mul", "Div", "Sum"}


def leave_to_broadcasting(graph: ir.Graph) -> None:
    """Simplifies in place. Shapes stay; what is not needed any more is left for the next clearing up."""
    for node in list(graph):
        if node.domain:
            continue
        if node.op_type in _BROADCASTING:
            _take_unexpanded(node)
        elif node.op_type == "ReduceSum":
            _negate_last(graph, node)


def _take_unexpanded(node: ir.Node) -> None:
    """Passes over the Expands among the inputs, as long as one input of the whole shape is left."""
    whole = dims(node.outputs[0])
    for i, value in enumerate(node.inputs):
        producer = value.producer() if value is not None else None
        if producer is None or producer.op_type != "Expand" or producer.domain or whole is None or None in whole:
            continue
        if any(v is not None and k != i and dims(v) == whole for k, v in enumerate(node.inputs)):
            node.replace_input_with(i, producer.inputs[0])


def _negate_last(graph: ir.Graph, node: ir.Node) -> None:
    value, result = node.inputs[0], node.outputs[0]
    producer = value.producer() if value is not None else None
    if (
        value is None
        or producer is None
        or producer.op_type != "Neg"
        or producer.domain
        or len(value.uses()) != 1
        or value.is_graph_output()
    ):
        return
    if result.is_graph_output():
        return
    negation = ir.Node("", "Neg", [result], num_outputs=1, name=producer.name)
    negated = negation.outputs[0]
    negated.name, negated.type, negated.shape = value.name, result.type, result.shape
    convenience.replace_all_uses_with(result, negated)
    negation.replace_input_with(0, result)
    node.replace_input_with(0, producer.inputs[0])
    graph.insert_after(node, negation)
    graph.remove(producer, safe=True)
