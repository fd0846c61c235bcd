"""Branch and loop bodies: a Python function traced into the graph attribute of If, Loop and Scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir

from onnxdl.errors import GraphError
from onnxdl.graph.infer import Dim, describe, dims
from onnxdl.graph.tensor import Tensor, as_tensor
from onnxdl.graph.trace import Trace, where

Spec = tuple[str, ir.DataType, tuple[Dim, ...] | None]


def trace_body(
    op_type: str, name: str, body: Callable[..., Any], inputs: Sequence[Tensor | None], n_scan_inputs: int, trace: Trace | None
) -> ir.Graph:
    """The graph of a body; carried tensors whose shape changes from turn to turn get symbolic dimensions."""
    specs = _specs(op_type, inputs, n_scan_inputs)
    graph = _traced(name, body, specs, trace)
    first_in, first_out = (2, 1) if op_type == "Loop" else (0, 0)
    carried = {"Loop": len(inputs) - 2, "Scan": len(inputs) - n_scan_inputs}.get(op_type, 0)
    if op_type != "If" and len(graph.outputs) < first_out + carried:
        raise GraphError(
            f"the body of {op_type} must return its {carried} carried tensors first; it returned {len(graph.outputs)}{where()}"
        )
    loosened = list(specs)
    for i in range(carried):
        before, after = specs[first_in + i], graph.outputs[first_out + i]
        if before[1] != after.dtype:
            raise GraphError(
                f"the body of {op_type} turns {before[1].name} into {describe(after)}; carried tensors keep their type{where()}"
            )
        loosened[first_in + i] = (before[0], before[1], _loosened(before[2], dims(after)))
    return graph if loosened == specs else _traced(name, body, loosened, trace)


def _specs(op_type: str, inputs: Sequence[Tensor | None], n_scan_inputs: int) -> list[Spec]:
    match op_type:
        case "Loop":
            lead: list[Spec] = [("i", ir.DataType.INT64, ()), ("condition", ir.DataType.BOOL, ())]
            return lead + [_spec(f"carried_{k}", t) for k, t in enumerate(inputs[2:])]
        case "Scan":
            n_states = len(inputs) - n_scan_inputs
            states = [_spec(f"state_{k}", t) for k, t in enumerate(inputs[:n_states])]
            slices = [_spec(f"slice_{k}", t) for k, t in enumerate(inputs[n_states:])]
            return states + [(n, d, None if s is None else s[1:]) for n, d, s in slices]
        case _:
            return []


def _spec(name: str, t: Tensor | None) -> Spec:
    if t is None or t.value.dtype is None:
        raise GraphError(f"a carried or scanned input is missing{where()}")
    return name, t.value.dtype, dims(t.value)


def _loosened(before: tuple[Dim, ...] | None, after: tuple[Dim, ...] | None) -> tuple[Dim, ...] | None:
    if before == after or before is None:
        return before
    if after is None or len(before) != len(after):
        return None
    return tuple(b if b == a else None for b, a in zip(before, after, strict=True))


def _traced(name: str, body: Callable[..., Any], specs: Sequence[Spec], trace: Trace | None) -> ir.Graph:
    inner = Trace(name, parent=trace, over_dynamic=trace is None)
    with inner:
        args = [inner.input(n, dtype, shape) for n, dtype, shape in specs]
        results = body(*args)
        for result in results if isinstance(results, tuple | list) else [results]:
            inner.add_output(as_tensor(result))
    return inner.graph
