"""What pictures and tables share: a graph with its shapes filled in, and its nodes gathered by layer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from onnxdl.errors import GraphError
from onnxdl.graph.infer import dims
from onnxdl.graph.trace import IR_VERSION

Scope = tuple[str, ...]

_UNNAMED_DIM = re.compile(r"_d\d+|unk__\d+")  # fresh symbols, our own and the standard's


def prepared(model_or_graph: ir.Model | ir.Graph) -> ir.Graph:
    """A copy of the graph in which every shape that the standard can infer is known."""
    try:
        if isinstance(model_or_graph, ir.Model):
            model = model_or_graph.clone()
        else:
            model = ir.Model(model_or_graph.clone(), ir_version=IR_VERSION)
    except RuntimeError:  # onnx_ir copies node by node, and met a value that no node before it gives
        raise GraphError("the graph is not in topological order, or uses values that it does not hold; sort or complete it") from None
    if any(v.shape is None for node in model.graph.all_nodes() for v in node.outputs):
        ShapeInferencePass(check_type=False, strict_mode=False)(model)
    return model.graph


def shape_text(value: ir.Value) -> str | None:
    """``N×64×7×7``; ``?`` for a dimension without a name, None for a scalar or an unknown rank."""
    shape = dims(value)
    if not shape:
        return None
    return "×".join("?" if d is None or (isinstance(d, str) and _UNNAMED_DIM.fullmatch(d)) else str(d) for d in shape)


def is_constant(node: ir.Node) -> bool:
    """Whether a node only states data: Constant, or ConstantOfShape of a fixed shape (weights stripped of their numbers)."""
    if node.domain:
        return False
    return node.op_type == "Constant" or (node.op_type == "ConstantOfShape" and is_stored(node.inputs[0]))


def is_stored(value: ir.Value | None) -> bool:
    """Whether the file holds the value: an initializer, also one that may be overridden by an input."""
    return value is not None and value.is_initializer()


def is_backward(node: ir.Node) -> bool:
    """Whether the reverse pass wrote the node: its name is ``grad/`` and that of the forward node it belongs to."""
    return (node.name or "").startswith("grad/")


def scope_of(node: ir.Node) -> Scope:
    """The layer of a node: ``encoder/0/MatMul_3`` is of ``encoder, 0`` and ``grad/encoder/0/MatMul_3/Mul`` of ``grad, encoder, 0``."""
    parts = (node.name or "").strip("/").split("/")
    depth = sum(1 for _ in itertools.takewhile(lambda part: part == "grad", parts))
    # behind each `grad` stands a node of one order less, whose own last part is no scope
    return (*parts[:depth], *parts[depth : max(depth, len(parts) - 1 - depth)])


def runs(nodes: Iterable[ir.Node], depth: int) -> list[tuple[Scope, list[ir.Node]]]:
    """Neighbouring nodes of the same layer, layers told apart down to ``depth``; a node of no layer stands alone.

    A layer that is called twice makes two runs. So the runs of a graph in topological order form an acyclic graph again.
    """
    found: list[tuple[Scope, list[ir.Node]]] = []
    for node in nodes:
        scope = _cut(scope_of(node), depth)
        if found and scope and found[-1][0] == scope:
            found[-1][1].append(node)
        else:
            found.append((scope, [node]))
    return found


def top_depth(nodes: Iterable[ir.Node]) -> int:
    """The depth at which layers first differ: 1, or more where one layer holds all the others."""
    scopes = [scope for scope in map(_forward, map(scope_of, nodes)) if scope]
    shared = 0
    while scopes and all(len(s) > shared + 1 and s[shared] == scopes[0][shared] for s in scopes):
        shared += 1
    return shared + 1


def deepest(nodes: Iterable[ir.Node]) -> int:
    """The longest scope path."""
    return max((len(_forward(scope_of(node))) for node in nodes), default=0)


def _forward(scope: Scope) -> Scope:
    return tuple(itertools.dropwhile(lambda part: part == "grad", scope))


def _cut(scope: Scope, depth: int) -> Scope:
    forward = _forward(scope)
    return (*scope[: len(scope) - len(forward)], *forward[:depth])
