"""Where the numbers of a step went bad: it is run once more, and each of its tensors is looked at in the graph's order."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from onnxdl.graph.dtypes import is_float, to_ir
from onnxdl.graph.walk import ancestry, used_values
from onnxdl.runtime import run
from onnxdl.runtime.sessions import create_session
from onnxdl.train.profile import place_of
from onnxdl.train.step import NEXT


def first_bad(program: ir.Model, feeds: Mapping[str, np.ndarray], device: str = "cpu") -> str | None:
    """The first tensor that is not finite of those that spoil the loss or, where that is finite, the next State; None if none does.

    Args:
        program: a train step; its intermediate tensors become outputs.
        feeds: the batch, and the State that the step begins with.
        device: ``cpu`` or ``cuda``.
    """
    graph = program.graph
    results = [v for v in graph.outputs if v.name == "loss" or (v.name or "").startswith(NEXT)]
    arrays = _all_floats(program, feeds, device)
    bad = _unmeant(graph, {value: array for value, array in arrays.items() if not is_finite(array)})
    roots = [v for v in results if v in bad and v.name == "loss"] or [v for v in results if v in bad]
    nodes, inputs = ancestry(roots, lambda value: False, lambda node: [v for v in used_values(node) if v in bad])
    for value in graph.inputs:
        if value in inputs:
            return f"{value.name!r} as the step begins, {_first_number(arrays[value])}"
    spoiled = set(nodes)
    for node in graph:
        if node in spoiled:
            value = next(v for v in node.outputs if v in bad)
            layer, part = place_of(node.name or node.op_type)
            return f"what {node.op_type} {node.name!r} gives ({layer}, {part}), {_first_number(arrays[value])}"
    return None


def is_finite(array: np.ndarray) -> bool:
    """Whether an array holds neither NaN nor infinity; whole numbers never do."""
    return not is_float(to_ir(array.dtype)) or bool(np.isfinite(array).all())


def _all_floats(program: ir.Model, feeds: Mapping[str, np.ndarray], device: str) -> dict[ir.Value, np.ndarray]:
    """The float tensors of a program: its inputs, and what its nodes give."""
    graph = program.graph
    inputs = {v: feeds[v.name] for v in graph.inputs if v.name is not None}
    given = [v for node in graph for v in node.outputs if is_float(v.dtype)]
    graph.outputs.extend(v for v in given if not v.is_graph_output())
    session = create_session(ir.to_proto(program).SerializeToString(), device=device)
    arrays = run(session, [str(v.name) for v in given], {str(v.name): array for v, array in inputs.items()})
    return {**inputs, **dict(zip(given, arrays, strict=True))}


def _unmeant(graph: ir.Graph, bad: Mapping[ir.Value, np.ndarray]) -> set[ir.Value]:
    """Without the infinities that come from constants alone, such as those that mask scores before a softmax."""
    meant: set[ir.Value] = set()
    for node in graph:
        sources = [v for v in used_values(node) if v in bad]
        if node.op_type == "Constant" or (sources and meant.issuperset(sources)):
            meant.update(v for v in node.outputs if v in bad and not np.isnan(bad[v]).any())
    return set(bad) - meant


def _first_number(array: np.ndarray) -> str:
    index = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
    return f"{array[index]} at {list(index)}" if index else f"{array}"
