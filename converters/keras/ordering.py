"""The order in which Keras counts the layers of a functional model: by depth below the outputs, then as it meets them.

Weight files name layers by their class and place among those of that class, so the order is part of the format.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from onnxdl.graph.tensor import Tensor
from onnxdl.nn.layer import Layer
from onnxdl.nn.structure import tensors_in
from onnxdl.nn.symbolic import DOMAIN, way
from onnxdl.train.model import Model
from onnxdl.train.sequential import Sequential


def flat(tree: Any) -> list[Tensor]:
    """The tensors of a structure as Keras lists them: those of a dict by its sorted keys."""
    if isinstance(tree, dict):
        return [t for key in sorted(tree) for t in flat(tree[key])]
    if isinstance(tree, list | tuple):
        return [t for v in tree for t in flat(v)]
    return [tree] if isinstance(tree, Tensor) else []


def operation_of(node: ir.Node) -> Any:
    """What a node calls: its layer, or the node itself where it is an operator of its own."""
    return node.meta["call"].layer if node.domain == DOMAIN else node


def ordered_operations(model: Model) -> list[Any]:
    """The inputs (values), layers and bare operators (nodes) of a functional model, in Keras's order."""
    starts = {t.value for t in tensors_in(model.input)}
    indices: dict[Any, int] = {}
    nodes: list[Any] = []
    finished: set[Any] = set()
    # depth first without recursion: an entry is visited when it is met, and finished when all that it needs is
    stack: list[tuple[Any, bool]] = [(_made_by(t.value, starts), False) for t in reversed(flat(model.output))]
    while stack:
        node, done = stack.pop()
        if node in finished:
            continue
        if done:
            finished.add(node)
            nodes.append(node)
            continue
        indices.setdefault(_key(node), len(indices))
        stack.append((node, True))
        stack.extend((_made_by(v, starts), False) for v in reversed(_needs(node)))
    depths: dict[Any, int] = {}
    layer_depths: dict[Any, int] = {}
    for node in reversed(nodes):
        depth = max(depths.get(node, 0), layer_depths.get(_key(node), 0))
        depths[node] = layer_depths[_key(node)] = depth
        for v in _needs(node):
            before = _made_by(v, starts)
            depths[before] = max(depth + 1, depths.get(before, 0))
    for value in (t.value for t in tensors_in(model.input)):
        layer_depths.setdefault(value, 0)
        indices.setdefault(value, -1)
    operations = {_key(node): operation_of(node) if isinstance(node, ir.Node) else node for node in nodes}
    operations.update((value, value) for value in (t.value for t in tensors_in(model.input)))
    keys = sorted(layer_depths, key=lambda key: (-layer_depths[key], indices[key]))
    return [operations[key] for key in keys]


def _key(node: Any) -> Any:
    """What stands for an operation: calls of one layer share it."""
    return id(node.meta["call"].layer) if isinstance(node, ir.Node) and node.domain == DOMAIN else node


def _made_by(value: ir.Value, starts: set[ir.Value]) -> Any:
    return value if value in starts else value.producer()


def _needs(node: Any) -> Sequence[ir.Value]:
    """The values that a node was called with, constants left out, in Keras's order."""
    if not isinstance(node, ir.Node):
        return []
    if node.domain == DOMAIN:
        call = node.meta["call"]
        used = [t.value for t in flat([call.args, call.kwargs])]
    else:
        used = [v for v in node.inputs if v is not None]
    return [v for v in used if v.const_value is None]


def ordered_layers(model: Model) -> list[Layer]:
    """The layers of a model in Keras's order, without those that stand for inputs; a subclass's are none of its graph's."""
    assert model._layers is not None  # who asks has seen them
    if isinstance(model, Sequential) or model._inputs is None or getattr(model, "keras_ordered", False):
        return list(model._layers)
    return [each for each in ordered_operations(model) if isinstance(each, Layer)]


def graph_nodes(model: Model) -> list[ir.Node]:
    """The calls of a functional model, in the order of computation."""
    return way(tensors_in(model.input), tensors_in(model.output))[0]
