"""The dynamic graph: NumPy is the oracle."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import op
from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import evaluate

A = np.array([[1.5, -2.0, 3.0], [0.5, 4.0, -1.0]], np.float32)
B = np.array([2.0, -3.0, 0.5], np.float32)
K = np.array([[7, -7, 5], [3, -2, 9]])
J = np.array([2, 3, -4])

EXPRESSIONS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "add": lambda a, b, i, j: a + b,
    "subtract from a number": lambda a, b, i, j: 2 - a,
    "multiply": lambda a, b, i, j: a * b * 2,
    "divide": lambda a, b, i, j: 1 / a / b,
    "divide whole numbers": lambda a, b, i, j: i / j,
    "power": lambda a, b, i, j: a**2,
    "floor divide": lambda a, b, i, j: a // b,
    "floor divide whole numbers": lambda a, b, i, j: i // j,
    "remainder": lambda a, b, i, j: a % b,
    "remainder of whole numbers": lambda a, b, i, j: i % j,
    "matmul": lambda a, b, i, j: a @ b,
    "matmul transposed": lambda a, b, i, j: a.T @ a,
    "negate and abs": lambda a, b, i, j: abs(-a),
    "mixed types widen": lambda a, b, i, j: a + j,
    "compare": lambda a, b, i, j: (a > b) & (a != 3) | ~(a <= 0),
    "bits": lambda a, b, i, j: (i & 5) | (i ^ j),
    "sum": lambda a, b, i, j: a.sum(axis=1),
    "mean": lambda a, b, i, j: a.mean(),
    "max with kept axis": lambda a, b, i, j: a.max(axis=0, keepdims=True),
    "min": lambda a, b, i, j: a.min(axis=(0, 1)),
    "reshape": lambda a, b, i, j: a.reshape(3, -1),
    "astype": lambda a, b, i, j: a.astype("int64"),
}


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_operators_follow_numpy(expression: Callable[..., Any]) -> None:
    expected = expression(A, B, K, J)
    result = expression(ox.tensor(A), ox.tensor(B), ox.tensor(K), ox.tensor(J))
    assert result.dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6)


def test_numpy_arrays_on_the_left_leave_the_operation_to_tensors() -> None:
    result = B * ox.tensor(A)
    assert isinstance(result, ox.Tensor)
    np.testing.assert_array_equal(result.numpy(), B * A)


def test_python_control_flow_over_values() -> None:
    x = ox.tensor(np.float32(100.0))
    steps = 0
    while x > 1:
        x, steps = x / 2, steps + 1
    assert steps == 7 and float(x) == pytest.approx(100 / 2**7)


def test_a_number_never_widens_a_tensor() -> None:
    assert (ox.tensor(A) * np.sqrt(2.0) + 1).dtype == np.float32


def test_results_are_copies() -> None:
    x = ox.tensor(A)
    x.numpy()[:] = 0
    np.testing.assert_array_equal(x.numpy(), A)


def test_equal_expressions_share_one_session() -> None:
    def run(values: np.ndarray) -> float:
        x = ox.tensor(values)
        return float((op.Sin(x) * x + 0.125).sum())

    run(A)
    before = len(evaluate._sessions)
    for n in range(2, 30):
        run(np.full((n, 3), n, np.float32))
    assert len(evaluate._sessions) == before


def test_memory_is_flat_over_a_long_lived_leaf() -> None:
    x = ox.tensor(np.float32(3.0))

    def turns(n: int) -> None:
        for i in range(n):
            float(x * i + op.Sin(x))

    turns(500)
    gc.collect()
    before = len(gc.get_objects())
    turns(10_000)
    gc.collect()
    assert len(x.value.uses()) == 0
    assert len(gc.get_objects()) - before < 100


def test_a_value_asked_for_is_computed_once() -> None:
    x = ox.tensor(A)
    y = op.Exp(x)
    y.numpy()
    z = y * 2
    z.numpy()
    assert y.value.const_value is not None
    np.testing.assert_allclose(z.numpy(), 2 * np.exp(A), rtol=1e-6)


ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "shapes": (lambda: ox.tensor(A) @ ox.tensor(A), ShapeError, r"MatMul\(float32\[2, 3\], float32\[2, 3\]\).*test_tensor.py:\d+"),
    "types": (lambda: op.Add(ox.tensor(A), ox.tensor(K)), GraphError, r"float32\[2, 3\] and int64\[2, 3\].*astype"),
    "attribute": (lambda: op.Softmax(ox.tensor(A), axes=1), GraphError, "Softmax has no attribute 'axes'; did you mean 'axis'"),
    "missing attribute": (lambda: op.Concat(ox.tensor(A)), GraphError, "Concat needs the attribute 'axis'"),
    "too few inputs": (lambda: op.Conv(ox.tensor(A)), GraphError, r"Conv takes the inputs \(X, W, B\), 2 at least; got 1"),
    "unknown operator": (lambda: op.Softmaxx(ox.tensor(A)), AttributeError, "did you mean Softmax"),
    "wrong kind": (lambda: op.Sin(ox.tensor(K)), GraphError, r"Sin: input 'input' is int64\[2, 3\], but must be one of"),
    "not data": (lambda: ox.tensor(A) + "one", GraphError, "no tensor data"),
    "outputs": (lambda: op.Relu(ox.tensor(A), outputs=2), GraphError, "Relu has 1 to 1 outputs, not 2"),
}


@pytest.mark.parametrize(("call", "error", "words"), ERRORS.values(), ids=ERRORS.keys())
def test_errors_name_operator_shapes_and_line(call: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_traced_tensor_has_no_value() -> None:
    with ox.Trace() as trace:
        x = trace.input("x", "float32", ["N"])
        with pytest.raises(
            GraphError, match=r"Greater has no value while a graph is being traced; compare and branch with op.Where or op.If"
        ):
            bool(x.sum() > 0)
