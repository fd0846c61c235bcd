"""Known sizes in the place of symbolic ones: a program for batches of one shape, which a runtime can plan to the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from onnxdl.errors import GraphError
from onnxdl.graph.contents import CONTENT_LIMIT, Dim, content, dims
from onnxdl.graph.dtypes import to_numpy
from onnxdl.graph.tensor import Tensor, tensor
from onnxdl.graph.trace import Trace
from onnxdl.graph.walk import bodies, copy_nodes, type_inputs

_SIZES = (ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL)
"""The types that sizes, and what is computed of them, have."""

Known = dict[ir.Value, Tensor | None]


def with_shapes(model: ir.Model, shapes: Mapping[str, Sequence[Dim]]) -> ir.Model:
    """The same program for inputs of these shapes; what it computes of sizes alone is constant there.

    Args:
        model: the program, which stays as it is.
        shapes: of some or all of its inputs, by name. A size holds wherever the program has its symbol; a symbol may stay.

    Raises:
        GraphError: there is no such input, or its shape does not fit.
    """
    graph = model.clone().graph
    _put_in(graph, _sizes({v.name or "": v for v in graph.inputs}, shapes))
    with Trace(graph.name or "main", opset=model.opset_imports.get("", 1)) as trace:
        trace.domains.update(model.opset_imports)
        known: Known = {v: trace.input(v.name or "", v.dtype, dims(v)) for v in graph.inputs}
        for value in graph.initializers.values():
            if value.const_value is not None and value not in known:
                known[value] = trace.initializer(value.name or "", value.const_value)
        for node in graph:
            if not _computed(node, known):
                if node.op_type == "Scan":  # its carried values keep their shapes, which its body may not have known
                    type_inputs(bodies(node)[0], node, [None if v is None or (t := known[v]) is None else t.value for v in node.inputs])
                copy_nodes([node], known, trace, keep_names=True)
                for value in node.outputs:
                    known[value] = _leaf(known[value])
        outputs = {v.name or "": t for v in graph.outputs if (t := known[v]) is not None}
        return trace.model({n: t if t.trace is trace else trace.constant(t.numpy()) for n, t in outputs.items()}, model.metadata_props)


def open_sizes(model: ir.Model) -> list[str]:
    """The symbols that sizes of the inputs still have."""
    return list(dict.fromkeys(d for value in model.graph.inputs for d in dims(value) or () if isinstance(d, str)))


def _sizes(inputs: Mapping[str, ir.Value], shapes: Mapping[str, Sequence[Dim]]) -> dict[str, Dim]:
    """What each symbol stands for."""
    sizes: dict[str, Dim] = {}
    for name, wanted in shapes.items():
        if name not in inputs:
            raise GraphError(f"the program has no input {name!r}; its inputs are {', '.join(inputs)}")
        shape = dims(inputs[name])
        fits = shape is not None and len(shape) == len(wanted)
        for d, size in zip(shape or (), wanted, strict=False):
            fits = fits and size == (sizes.setdefault(d, size) if isinstance(d, str) else d)
        if not fits:
            raise GraphError(f"the input {name!r} of shape {list(shape or ())} cannot have the shape {list(wanted)}")
    return sizes


def _put_in(graph: ir.Graph, sizes: Mapping[str, Dim]) -> None:
    for part in (graph, *graph.subgraphs()):
        for value in (*part.inputs, *(v for node in part for v in node.outputs)):
            if (shape := dims(value)) is not None:
                value.shape = ir.Shape([sizes.get(d, d) if isinstance(d, str) else d for d in shape])


def _leaf(result: Tensor | None) -> Tensor | None:
    """Small whole numbers that are known by now, as an array outside the graph, which enters it as a constant where it is read."""
    found = content(result.value) if result is not None and result.value.dtype in _SIZES else None
    if result is None or found is None or not all(isinstance(d, int) for d in found):
        return result
    return tensor(np.array(found, to_numpy(result.value.dtype)).reshape(-1 if result.value.shape else []))


def _computed(node: ir.Node, known: Known) -> bool:
    """Whether a node could be computed ahead: it reads known sizes alone, and gives few numbers of their kind."""
    inputs = [known[v] for v in node.inputs if v is not None]
    if not inputs or bodies(node) or any(t is None or t.trace is not None for t in inputs):
        return False
    ahead = {v: known[v] for v in node.inputs if v is not None}
    copy_nodes([node], ahead, None)
    results = {v: t for v in node.outputs if (t := ahead[v]) is not None}
    if any(t.value.dtype not in _SIZES or t.numpy().size > CONTENT_LIMIT for t in results.values()):
        return False
    known.update(results)
    return True
