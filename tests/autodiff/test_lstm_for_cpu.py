"""The LSTM that a CPU session trains, a Scan that leaves its gates, against the operator and its gradient."""

from __future__ import annotations

import itertools

import numpy as np
import onnx_ir as ir
import pytest

from onnxdl import op, runtime
from onnxdl.autodiff.gradient import gradient
from onnxdl.graph.target import PORTABLE, Target
from onnxdl.graph.trace import Trace

STEPS, BATCH, INPUTS, UNITS = 5, 3, 4, 6


def program(target: Target, direction: str, whole: bool, state: bool, bias: bool, **attributes: object) -> ir.Model:
    """A loss of all outputs of an LSTM, or of the last states only, and its gradients."""
    n = 2 if direction == "bidirectional" else 1
    with Trace(target=target) as trace:
        x = trace.input("x", "float32", ["steps", "batch", INPUTS])
        w, r = trace.input("w", "float32", [n, 4 * UNITS, INPUTS]), trace.input("r", "float32", [n, 4 * UNITS, UNITS])
        b = trace.input("b", "float32", [n, 8 * UNITS]) if bias else None
        h0, c0 = ([trace.input(name, "float32", [n, "batch", UNITS]) for name in ("h0", "c0")]) if state else (None, None)
        y, h, c = op.LSTM(x, w, r, b, None, h0, c0, hidden_size=UNITS, direction=direction, outputs=3, **attributes)
        loss = op.ReduceSum(op.Sin(h) + op.Sin(c * 2), keepdims=0)
        loss = loss + op.ReduceSum(op.Cos(y * 3), keepdims=0) if whole else loss
        wrt = [t for t in (x, w, r, b, h0, c0) if t is not None]
        return trace.model({"loss": loss, **{f"d{i}": g for i, g in enumerate(gradient(loss, wrt))}})


def values(model: ir.Model) -> list[np.ndarray]:
    rng, sizes = np.random.default_rng(0), {"steps": STEPS, "batch": BATCH}
    shapes = {v.name: [d if isinstance(d, int) else sizes[str(d.value)] for d in v.shape or ()] for v in model.graph.inputs}
    feeds = {str(name): rng.normal(size=shape).astype(np.float32) for name, shape in sorted(shapes.items())}
    return runtime.run(runtime.create_session(ir.to_proto(model).SerializeToString()), None, feeds)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_equal_to_the_operator(direction: str) -> None:
    for whole, state, bias in itertools.product((False, True), repeat=3):
        rewritten, plain = (program(target, direction, whole, state, bias) for target in (Target("cpu"), PORTABLE))
        assert "LSTM" not in [n.op_type for n in rewritten.graph]
        assert "LSTM" in [n.op_type for n in plain.graph]
        for found, expected in zip(values(rewritten), values(plain), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attributes", [{"clip": 0.5}, {"input_forget": 1}, {"activations": ["HardSigmoid", "Tanh", "Tanh"]}])
def test_other_kinds_stay_operators(attributes: dict[str, object]) -> None:
    assert "LSTM" in [n.op_type for n in program(Target("cpu"), "forward", True, False, True, **attributes).graph]
