"""What finishing a graph leaves out."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxdl import op, runtime
from onnxdl.autodiff.gradient import gradient
from onnxdl.graph.trace import Trace


def test_the_gradient_of_a_batch_normalization_passes_over_its_input_five_times() -> None:
    with Trace() as trace:
        x, g = (trace.input(name, "float32", ["n", 4, 6, 6]) for name in ("x", "g"))
        centred = x - op.ReduceMean(x, [0, 2, 3])
        y = centred * (1.0 / op.Sqrt(op.ReduceMean(centred * centred, [0, 2, 3]) + 1e-3))
        (dx,) = gradient(y, [x], [g])
        model = trace.model({"dx": dx})
    full = [n.op_type for n in model.graph if n.name.startswith("grad/") and list(n.outputs[0].shape or ()) == ["n", 4, 6, 6]]
    assert "Expand" not in full
    assert "Neg" not in full
    assert len(full) <= 6
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(3, 4, 6, 6)) for _ in range(2))
    session = runtime.create_session(ir.to_proto(model).SerializeToString())
    (found,) = runtime.run(session, None, {"x": a.astype(np.float32), "g": b.astype(np.float32)})
    mean, over = a.mean((0, 2, 3), keepdims=True), (0, 2, 3)
    deviation = np.sqrt(a.var(over, keepdims=True) + 1e-3)
    normal = (a - mean) / deviation
    expected = (b - b.mean(over, keepdims=True) - normal * (b * normal).mean(over, keepdims=True)) / deviation
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_an_expand_that_gives_the_shape_stays() -> None:
    with Trace() as trace:
        x, y = trace.input("x", "float32", [3, 1]), trace.input("y", "float32", [1, 4])
        wide = op.Expand(x, np.array([3, 4]))
        model = trace.model({"product": wide * y, "wide": wide + op.Expand(y, np.array([3, 4]))})
    session = runtime.create_session(ir.to_proto(model).SerializeToString())
    a, b = np.arange(3, dtype=np.float32).reshape(3, 1), np.ones((1, 4), np.float32)
    product, both = runtime.run(session, None, {"x": a, "y": b})
    np.testing.assert_array_equal(product, a * b)
    np.testing.assert_array_equal(both, a + b)
    assert product.shape == both.shape == (3, 4)


def test_a_negated_sum_keeps_its_value() -> None:
    with Trace() as trace:
        x = trace.input("x", "float32", [3, 4])
        negated = op.Neg(x)
        model = trace.model({"a": op.Exp(op.ReduceSum(-(x * 2), [1])), "b": op.ReduceSum(negated, [0]), "c": negated})
    session = runtime.create_session(ir.to_proto(model).SerializeToString())
    a = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    found = runtime.run(session, None, {"x": a})
    for value, expected in zip(found, (np.exp(-2 * a.sum(1, keepdims=True)), -a.sum(0, keepdims=True), -a), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-6)
