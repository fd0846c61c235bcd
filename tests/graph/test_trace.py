"""The static graph: names, shapes, constants, bodies, and the finished model under onnx.checker and plain onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import onnxdl as ox
from onnxdl import op
from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph.trace import scope


def run(model: ir.Model, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


def test_names_follow_scopes() -> None:
    with ox.Trace() as trace:
        x = trace.input("x", "float32", ["N", 3])
        with scope("encoder"), scope("0"):
            y = op.Relu(op.Relu(x))
        model = trace.model({"y": y})
    assert [n.name for n in model.graph] == ["encoder/0/Relu", "encoder/0/Relu_1"]
    assert [v.name for v in model.graph.outputs] == ["y"]


def test_unneeded_nodes_go_and_equal_ones_merge() -> None:
    with ox.Trace() as trace:
        x = trace.input("x", "float32", [3])
        op.Exp(x)
        model = trace.model({"y": op.Sin(x) + op.Sin(x)})
    assert [n.op_type for n in model.graph] == ["Sin", "Add"]


def test_equal_constants_are_written_once() -> None:
    with ox.Trace() as trace:
        x = trace.input("x", "float32", [3])
        model = trace.model({"y": (x + 1.0) * 2.0 - 1.0})
    assert sum(n.op_type == "Constant" for n in model.graph) == 2


def test_outputs_may_be_inputs_and_may_repeat() -> None:
    with ox.Trace() as trace:
        x = trace.input("x", "float32", [2])
        y = x * 2.0
        model = trace.model({"same": x, "a": y, "b": y})
    results = run(model, x=np.array([1, 2], np.float32))
    np.testing.assert_array_equal(results["same"], [1, 2])
    np.testing.assert_array_equal(results["a"], results["b"])


def test_shapes_follow_symbols_through_shape_arithmetic() -> None:
    with ox.Trace() as trace:
        x = trace.input("x", "float32", ["N", 6])
        y = op.Reshape(x, op.Concat(op.Shape(x, start=0, end=1), [2, 3], axis=0))
        assert y.shape == ("N", 2, 3)
        assert op.Reshape(y, [0, -1]).shape == ("N", 6)
        assert op.Reshape(x, [-1, 3, 2]).shape == ("N", 3, 2)
        assert op.Expand(np.float32(1), op.Shape(x)).shape == ("N", 6)
        unknown = op.Concat(x, x, axis=0)
        assert (unknown + unknown).shape == unknown.shape
        assert isinstance(unknown.shape[0], str)


def test_the_same_program_writes_the_same_file() -> None:
    def build() -> bytes:
        with ox.Trace() as trace:
            x = trace.input("x", "float32", ["N"])
            model = trace.model({"y": op.Concat(x, op.Compress(x, x > 0, axis=0), axis=0)})
        return ir.to_proto(model).SerializeToString()

    assert build() == build()


def test_later_operators_raise_the_opset() -> None:
    with ox.Trace() as trace:
        x = trace.input("x", "float32", [2, 4])
        y = op.RMSNormalization(x, np.ones(4, np.float32))
        model = trace.model({"y": y})
    assert model.graph.opset_imports[""] == 23
    run(model, x=np.ones((2, 4), np.float32))


def test_errors_name_the_layer() -> None:
    with ox.Trace() as trace:
        x = trace.input("x", "float32", ["N", 3])
        with (
            pytest.raises(ShapeError, match=r"MatMul\(float32\[N, 3\], float32\[2, 2\]\).*in layer encoder/0, at test_trace.py"),
            scope("encoder"),
            scope("0"),
        ):
            x @ np.ones((2, 2), np.float32)


def test_traces_do_not_mix() -> None:
    with ox.Trace() as one:
        x = one.input("x", "float32", [1])
    with ox.Trace() as two:
        y = two.input("y", "float32", [1])
        with pytest.raises(GraphError, match="of another trace"):
            x + y


def test_taken_input_names_are_refused() -> None:
    with ox.Trace() as trace:
        trace.input("x", "float32", [1])
        with pytest.raises(GraphError, match="already has a value named 'x'"):
            trace.input("x", "float32", [1])


def test_bodies_in_a_static_graph() -> None:
    with ox.Trace() as trace:
        x = trace.input("x", "float32", ["T", 2])
        w = x * 2.0
        branch = op.If(op.ReduceMax(x, keepdims=0) > 3.0, then_branch=lambda: w + 1.0, else_branch=lambda: w - 1.0)
        total, sums = op.Scan(np.zeros(2, np.float32), x, num_scan_inputs=1, body=lambda s, row: (s + row, s * row + w[0]))
        count, powers = op.Loop(4, None, np.float32(1), body=lambda i, go, p: (go, p * 3.0, p))
        assert branch.shape == ("T", 2) and sums.shape == ("T", 2)
        model = trace.model({"branch": branch, "total": total, "sums": sums, "count": count, "powers": powers})
    data = np.array([[1, 2], [3, 4]], np.float32)
    results = run(model, x=data)
    np.testing.assert_array_equal(results["branch"], data * 2 + 1)
    np.testing.assert_array_equal(results["total"], [4, 6])
    np.testing.assert_array_equal(results["sums"], [[2, 4], [5, 12]])
    assert results["count"] == 81
    np.testing.assert_array_equal(results["powers"], [1, 3, 9, 27])


def test_bodies_in_a_dynamic_expression_capture_tensors() -> None:
    c = ox.tensor(np.float32(2.0))
    assert float(op.If(c > 1, then_branch=lambda: c * 3, else_branch=lambda: c * 5)) == 6
    _, rows = op.Scan(
        ox.tensor(np.float32(0)), ox.tensor(np.arange(4, dtype=np.float32)), num_scan_inputs=1, body=lambda s, x: (s + x, s * c)
    )
    np.testing.assert_array_equal(rows.numpy(), [0, 0, 2, 6])


def test_a_loop_may_change_a_carried_shape() -> None:
    grown = op.Loop(3, None, ox.tensor(np.ones(1, np.float32)), body=lambda i, go, x: (go, op.Concat(x, x, axis=0)))
    assert grown.numpy().shape == (8,)


def test_functions_compile_once_for_each_signature() -> None:
    traced = []

    @ox.function
    def f(x: ox.Tensor, w: ox.Tensor, scale: float) -> tuple[ox.Tensor, ox.Tensor]:
        traced.append(x.shape)
        y = op.Tanh(x @ w) * scale
        (dw,) = ox.gradient(y, [w])
        return y, dw

    x, w = np.ones((2, 3), np.float32), np.full((3, 1), 0.1, np.float32)
    for _ in range(3):
        y, dw = f(x, w, 2.0)
    f(np.ones((5, 3), np.float32), w, 2.0)
    assert traced == [(2, 3), (5, 3)]
    np.testing.assert_allclose(y.numpy(), 2 * np.tanh(x @ w), rtol=1e-6)
    np.testing.assert_allclose(dw.numpy(), x.T @ (2 * (1 - np.tanh(x @ w) ** 2)), rtol=1e-5)
