"""A lowering computes what the operator computes: checked against ONNX Runtime, or onnx.reference where that has no kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from onnxdl.autodiff import registry
from onnxdl.autodiff.gradient import attributes_of
from onnxdl.errors import RuntimeFailure
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, as_tensor
from onnxdl.graph.trace import IR_VERSION, Trace
from tests.autodiff.cases import Case, all_cases
from tests.autodiff.oracle import call, is_float_array, run_trace


def _is_lowered(case: Case) -> bool:
    entry = registry.find(case.op, case.domain)
    return entry is not None and entry.form == "lowering"


ROUNDED = {"DynamicQuantizeMatMul": 0.2, "DynamicQuantizeLSTM": 2e-3}  # these round an operand, which their lowerings do not

CASES = [case for case in all_cases() if _is_lowered(case)]


@pytest.mark.parametrize("case", CASES, ids=[str(case) for case in CASES])
def test_lowering_computes_the_operator(case: Case) -> None:
    feeds = {f"x{i}": x.astype(np.float32) for i, x in enumerate(case.inputs) if x is not None and is_float_array(x)}
    with Trace() as trace:
        inputs = [trace.input(f"x{i}", np.float32, x.shape) if f"x{i}" in feeds else x for i, x in enumerate(case.inputs)]
        call(case, inputs)
        node = next(n for n in trace.graph if n.op_type == case.op and n.domain == case.domain)
        for y in _numbers(node, trace):
            trace.add_output(y)
        expected = _expected(case, trace, feeds)
        entry = registry.find(case.op, case.domain)
        assert entry is not None
        given = [None if v is None else Tensor(v, trace) for v in node.inputs]
        lowered = entry.rule(*given, **attributes_of(node))
        trace.graph.outputs.clear()
        for y in _floats(lowered)[: len(expected)]:
            trace.add_output(y)
    for ours, theirs in zip(_run(trace, feeds), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=ROUNDED.get(case.op, 1e-5))


def _numbers(node: ir.Node, trace: Trace) -> list[Tensor]:
    """What a node gives that has a gradient: floats, and integers that stand for real numbers."""
    outputs = [Tensor(v, trace) for v in node.outputs]
    if registry.is_straight_through(node.op_type, node.domain):
        return [op.Cast(t, to=np.float32) for t in outputs]
    return _floats(outputs)


def _floats(results: Any) -> list[Tensor]:
    return [t for t in (results if isinstance(results, tuple | list) else [results]) if as_tensor(t).dtype.kind == "f"]


def _expected(case: Case, trace: Trace, feeds: dict[str, np.ndarray]) -> Sequence[np.ndarray]:
    """The operator's own outputs; those of the case's NumPy where no runtime here has the operator."""
    try:
        return _run(trace, feeds)
    except NotImplementedError:
        assert case.forward is not None
        results = case.forward(*case.inputs, **case.attributes)
        return results if isinstance(results, tuple) else [results]


def _run(trace: Trace, feeds: dict[str, np.ndarray]) -> Sequence[np.ndarray]:
    try:
        return run_trace(trace, feeds)
    except RuntimeFailure:
        model = ir.to_proto(ir.Model(trace.graph, ir_version=IR_VERSION))
        return ReferenceEvaluator(model).run(None, feeds)  # type: ignore[no-any-return]
