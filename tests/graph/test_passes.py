"""What finishing a graph leaves out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime
import pytest

import onnxdl as ox
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


@pytest.mark.parametrize("between", ["", "q = Identity(p)", "q = Transpose<perm = [0, 1, 3, 2]>(p)"])
def test_zeros_before_a_max_pool_stay_zeros(between: str, tmp_path: Path) -> None:
    graph = f"""<ir_version: 10, opset_import: ["" : 21]> g (float[1, 1, 4, 4] x) => (float[1, 1, 3, 3] y) {{
        pads = Constant<value_ints = [0, 0, 1, 1, 0, 0, 1, 1]>() p = Pad(x, pads) {between}
        y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>({"q" if between else "p"}) }}"""
    onnx.save(onnx.parser.parse_model(graph), tmp_path / "net.onnx")
    x = -np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
    windows = np.pad(x[0, 0].T if "Transpose" in between else x[0, 0], 1).reshape(3, 2, 3, 2)
    model = ox.load(tmp_path / "net.onnx")
    assert model.predict(x, verbose=0).tolist() == windows.max((1, 3))[None, None].tolist()
    model.export(tmp_path / "back.onnx")
    plain = onnxruntime.InferenceSession(tmp_path / "back.onnx", providers=["CPUExecutionProvider"])
    assert plain.run(None, {"x": x})[0].tolist() == windows.max((1, 3))[None, None].tolist()
