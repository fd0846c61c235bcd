"""What a picture of a graph shows: a box for each input, constant, operation and output, and the wires between them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from onnxdl.errors import GraphError
from onnxdl.graph.infer import describe
from onnxdl.graph.tensor import TensorLike
from onnxdl.graph.walk import bodies, used_values
from onnxdl.viz.layout import Wire
from onnxdl.viz.scopes import deepest, is_backward, is_constant, is_stored, prepared, runs, shape_text

LIMIT = 250  # operations; a graph of more, if it has layers, is drawn by layers


@dataclass
class Box:
    """One box: its ``kind`` (input, constant, forward, backward, output), its text, its topological index."""

    kind: str
    title: str
    lines: list[str] = field(default_factory=list)
    value: str = ""
    gradient: str = ""
    index: str = ""
    tip: str = ""
    is_layer: bool = False


@dataclass
class Diagram:
    """The boxes of a graph and their wires; each wire carries one value and has the text of its shape."""

    boxes: list[Box]
    wires: list[Wire]
    labels: list[str]


def diagram(model_or_graph: ir.Model | ir.Graph, values: Mapping[str, TensorLike]) -> Diagram:
    """The diagram of a graph; raises GraphError where ``values`` names what the graph does not have."""
    graph = prepared(model_or_graph)
    operations = [node for node in graph if not is_constant(node)]
    groups = _groups(operations)
    _check_names(graph, values)
    builder = _Builder(values, by_layers=len(groups) < len(operations))
    index = 1
    for scope, nodes in groups:
        builder.operation(scope, nodes, index)
        index += len(nodes)
    builder.sources([v for v in graph.inputs if not is_stored(v)], "input")
    builder.sources(graph.initializers.values(), "constant")
    builder.sources((v for node in graph if is_constant(node) for v in node.outputs), "constant")
    builder.outputs(graph.outputs)
    return builder.wired()


def _groups(operations: list[ir.Node]) -> list[tuple[tuple[str, ...], list[ir.Node]]]:
    if len(operations) > LIMIT:
        for depth in range(deepest(operations), 0, -1):
            found = runs(operations, depth)
            if len(found) <= LIMIT or depth == 1:
                return found
    return [((), [node]) for node in operations]


def _check_names(graph: ir.Graph, values: Mapping[str, TensorLike]) -> None:
    known = {v.name for v in (*graph.inputs, *graph.initializers.values(), *graph.outputs)}
    known.update(v.name for node in graph for v in node.outputs)
    unknown = [name for name in values if name not in known and name.removeprefix("grad/") not in known]
    if unknown:
        raise GraphError(f"the graph has no value named {', '.join(unknown)}")


class _Builder:
    """Collects boxes; ``makers`` says which box a value comes from and ``readers`` which boxes (and operand slots) take it."""

    def __init__(self, values: Mapping[str, TensorLike], *, by_layers: bool) -> None:
        self.values = values
        self.by_layers = by_layers
        self.boxes: list[Box] = []
        self.makers: dict[ir.Value, int] = {}
        self.readers: dict[ir.Value, list[tuple[int, int]]] = defaultdict(list)

    def operation(self, scope: tuple[str, ...], nodes: list[ir.Node], index: int) -> None:
        """One box for a node or for the nodes of a layer."""
        at = len(self.boxes)
        made = {v for node in nodes for v in node.outputs}
        self.makers.update((v, at) for node in nodes for v in node.outputs)
        kind = "backward" if is_backward(nodes[0]) else "forward"
        if len(nodes) == 1:
            node = nodes[0]
            for slot, value in enumerate(used_values(node)):
                self.readers[value].append((at, slot))
            box = Box(kind, node.op_type, _node_lines(node), index=str(index), tip=_node_tip(node))
            self._write_numbers(box, node.outputs)
        else:
            taken = dict.fromkeys(v for node in nodes for v in used_values(node) if v not in made)
            for slot, value in enumerate(taken):
                self.readers[value].append((at, slot))
            counts = Counter(node.op_type for node in nodes)
            tip = "\n".join(f"{op_type} × {n}" for op_type, n in counts.most_common())
            lines = [f"{len(nodes)} operations", *_three(counts)]
            box = Box(kind, "/".join(scope), lines, index=f"{index}–{index + len(nodes) - 1}", tip=tip, is_layer=True)
        self.boxes.append(box)

    def sources(self, values: Iterable[ir.Value], kind: str) -> None:
        """A box for each value that no operation makes; drawn by layers, one for all that the same box reads first."""
        together: dict[tuple[int, int], list[ir.Value]] = defaultdict(list)
        for i, value in enumerate(values):
            readers = {at for at, _ in self.readers.get(value, ())}
            if kind == "constant" and not value.is_graph_output() and (not readers or self._inside(readers)):
                self.readers.pop(value, None)
                continue
            together[min(readers, default=-1), 0 if self.by_layers else i].append(value)
        for group in together.values():
            self._source(group, kind)

    def _inside(self, readers: set[int]) -> bool:
        """Whether a constant belongs to one layer alone, so that it is drawn as part of its box."""
        return self.by_layers and len(readers) == 1 and all(self.boxes[at].is_layer for at in readers)

    def _source(self, group: list[ir.Value], kind: str) -> None:
        at = len(self.boxes)
        first = group[0]
        tip = "\n".join(f"{v.name}: {describe(v)}" for v in group)
        if len(group) == 1:
            box = _constant_box(first) if kind == "constant" else Box(kind, first.name or "", _shape_lines(first))
            self._write_numbers(box, [first])
        else:
            box = Box(kind, f"{len(group)} {kind}s", [f"{first.name} …"])
        box.tip = tip
        self.boxes.append(box)
        self.makers.update((value, at) for value in group)

    def outputs(self, values: Iterable[ir.Value]) -> None:
        """A box for each output; drawn by layers, one for all that come from the same box."""
        together: dict[tuple[int, int], list[ir.Value]] = defaultdict(list)
        for i, value in enumerate(values):
            together[self.makers[value], 0 if self.by_layers else i].append(value)
        for group in together.values():
            title = group[0].name or "" if len(group) == 1 else f"{len(group)} outputs"
            lines = _shape_lines(group[0]) if len(group) == 1 else [f"{group[0].name} …"]
            tip = "\n".join(f"{v.name}: {describe(v)}" for v in group)
            for value in group:
                self.readers[value].append((len(self.boxes), 0))
            self.boxes.append(Box("output", title, lines, tip=tip))

    def _write_numbers(self, box: Box, values: Iterable[ir.Value]) -> None:
        for value in values:
            name = value.name or ""
            if name in self.values:
                box.value = box.value or number_text(self.values[name])
            if f"grad/{name}" in self.values:
                box.gradient = box.gradient or number_text(self.values[f"grad/{name}"])

    def wired(self) -> Diagram:
        """The boxes with a wire for each value; drawn by layers, with one for all that leaves a box."""
        together: dict[tuple[int, int], list[ir.Value]] = defaultdict(list)
        for i, value in enumerate(self.readers):
            together[self.makers[value], 0 if self.by_layers else i].append(value)
        wires, labels = [], []
        for (source, _), carried in together.items():
            targets = [end for value in carried for end in self.readers[value]]
            if self.by_layers:
                targets = [(at, 0) for at in dict.fromkeys(at for at, _ in targets)]
            wires.append(Wire(source, tuple(targets)))
            is_source = self.boxes[source].kind in ("input", "constant")  # which bear their shapes inside
            labels.append("" if is_source or len(carried) > 1 else shape_text(carried[0]) or "")
        return Diagram(self.boxes, wires, labels)


def _three(counts: Counter[str]) -> list[str]:
    """The commonest operators of a layer."""
    common = [op_type for op_type, _ in counts.most_common(3)]
    return [", ".join(common) + (" …" if len(counts) > len(common) else "")]


def _node_lines(node: ir.Node) -> list[str]:
    name = (node.name or "").removeprefix("grad/")
    lines = [name] if name and name != node.op_type else []
    inner = sum(1 for body in bodies(node) for _ in body.all_nodes())
    return [*lines, f"{inner} operations inside"] if inner else lines


def _node_tip(node: ir.Node) -> str:
    domain = f"{node.domain}." if node.domain else ""
    rows = [f"{domain}{node.op_type} {node.name or ''}".strip()]
    rows.extend(f"{a.name} = {a.value}" for a in node.attributes.values() if isinstance(a, ir.Attr) and a.type not in _LARGE)
    rows.extend(f"input {'–' if v is None else f'{v.name}: {describe(v)}'}" for v in node.inputs)
    rows.extend(f"output {v.name}: {describe(v)}" for v in node.outputs)
    return "\n".join(rows)


_LARGE = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS, ir.AttributeType.TENSOR, ir.AttributeType.TENSORS)


def _constant_box(value: ir.Value) -> Box:
    held = ir.convenience.get_const_tensor(value)
    node = value.producer()
    named = [value.name or ""] if node is None or node.op_type != "Constant" else []  # nobody named a Constant's output
    if held is not None and held.size <= 4:
        return Box("constant", number_text(held.numpy()), named)
    title, *lines = [*named, *_shape_lines(value)] or [describe(value)]
    return Box("constant", title, lines)


def _shape_lines(value: ir.Value) -> list[str]:
    shape = shape_text(value)
    return [shape] if shape is not None else []


def number_text(data: TensorLike) -> str:
    """An array in a few characters: its elements where it has at most four, else its smallest and largest."""
    array = np.asarray(data)
    if array.dtype.kind not in "biuf":
        return str(array.reshape(-1)[0]) if array.size == 1 else f"{array.size} elements"
    if not array.ndim:
        return f"{array.item():.4g}" if array.dtype.kind == "f" else str(array.item())
    if array.size <= 4:
        return "[" + ", ".join(number_text(v) for v in array.reshape(-1)) + "]"
    return f"{number_text(array.min())} … {number_text(array.max())}"
