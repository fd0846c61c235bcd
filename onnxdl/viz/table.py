"""A model as a table: for each layer its operators, output shape, parameters, FLOPs and memory of activations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from onnxdl.graph.dtypes import is_float
from onnxdl.graph.walk import used_values
from onnxdl.viz.cost import node_cost
from onnxdl.viz.scopes import is_constant, is_stored, prepared, runs, shape_text, top_depth

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Row:
    """One layer or node.

    Attributes:
        name: its scope, or the node's name.
        operators: ``Conv, Relu × 2``.
        output_shape: of the last value that it passes on, such as ``N×64×56×56``; ``scalar``, or ``?`` for an unknown rank.
        parameters: float numbers that the file holds for it; what an earlier row uses too is counted there.
        flops: floating-point operations for one sample, a multiply-add as 2.
        activations: bytes of the values that it writes, for one sample.
        unknown: the operators whose FLOPs or bytes are not known; the figures leave them out.
    """

    name: str
    operators: str
    output_shape: str
    parameters: int
    flops: int
    activations: int
    unknown: tuple[str, ...] = ()


def layers_table(model: ir.Model, *, per_node: bool = False) -> list[Row]:
    """One row for each top-level layer in the order of computation; a node of no layer is a row of its own.

    Args:
        model: the model; the graph that the caller holds is left as it is.
        per_node: one row for each node.
    """
    graph = prepared(model)
    nodes = [node for node in graph if not is_constant(node)]
    groups = runs(nodes, top_depth(nodes)) if not per_node else [((), [node]) for node in nodes]
    counted: set[ir.Value] = set()
    return [_row("/".join(scope) if scope else group[0].name or group[0].op_type, group, counted) for scope, group in groups]


def _row(name: str, nodes: Sequence[ir.Node], counted: set[ir.Value]) -> Row:
    operators = Counter(node.op_type for node in nodes)
    stored = {v: None for node in nodes for v in used_values(node) if is_stored(v) and is_float(v.dtype)}
    weights = [v for v in stored if v not in counted]
    counted.update(weights)
    costs = [(node, node_cost(node)) for node in nodes]
    inside = set(nodes)
    leaving = [v for node in nodes for v in node.outputs if v.is_graph_output() or any(u not in inside for u in v.consumers())]
    return Row(
        name=name,
        operators=", ".join(op_type if n == 1 else f"{op_type} × {n}" for op_type, n in operators.items()),
        output_shape=_shape(leaving[-1] if leaving else nodes[-1].outputs[0]),
        parameters=sum(v.const_value.size for v in weights if v.const_value is not None),
        flops=sum(c.flops or 0 for _, c in costs),
        activations=sum(c.written or 0 for _, c in costs),
        unknown=tuple(dict.fromkeys(node.op_type for node, c in costs if c.flops is None or c.written is None)),
    )


def _shape(value: ir.Value) -> str:
    return "?" if value.shape is None else shape_text(value) or "scalar"


def print_layers(model: ir.Model, console: Console | None = None, *, per_node: bool = False) -> None:
    """Prints ``layers_table`` with its totals; a figure with a ``≥`` leaves out operators that it then names."""
    from rich.box import SIMPLE
    from rich.console import Console as NewConsole
    from rich.table import Table

    rows = layers_table(model, per_node=per_node)
    unknown = dict.fromkeys(op_type for row in rows for op_type in row.unknown)
    table = Table(show_footer=True, box=SIMPLE, collapse_padding=True, pad_edge=False)
    table.add_column("Layer", "total", overflow="fold", min_width=10)
    table.add_column("Operators", "", overflow="fold", min_width=12)
    table.add_column("Output", "", no_wrap=True)
    for title, total, at_least in (
        ("Parameters", f"{sum(row.parameters for row in rows):,}", False),
        ("FLOPs", scaled(sum(row.flops for row in rows)), bool(unknown)),
        ("Activations", f"{scaled(sum(row.activations for row in rows))}B", bool(unknown)),
    ):
        table.add_column(title, ("≥ " if at_least else "") + total, justify="right", no_wrap=True)
    for row in rows:
        bound = "≥ " if row.unknown else ""
        figures = (f"{row.parameters:,}", bound + scaled(row.flops), f"{bound}{scaled(row.activations)}B")
        table.add_row(row.name, _few(row.operators), row.output_shape, *figures)
    where = console or NewConsole()
    where.print(table, markup=False)
    where.print("For one sample; a multiply-add counts as 2 FLOPs.", markup=False, highlight=False)
    if unknown:
        where.print(f"Not counted: {', '.join(unknown)}.", markup=False, highlight=False)


def _few(operators: str) -> str:
    """The operators of a layer, the first three where it has more than four."""
    names = operators.split(", ")
    return operators if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def scaled(number: int) -> str:
    """A number with a decimal prefix: ``4.09 G``; the space stays for a unit to follow."""
    value, prefixes = float(number), ["", "k", "M", "G", "T", "P"]
    while value >= 999.5 and len(prefixes) > 1:
        value /= 1000
        prefixes.pop(0)
    return f"{value:.3g} {prefixes[0]}"
