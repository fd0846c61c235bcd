"""Where central differences cannot look: singular points, branches not taken, ties, infinities, operators without gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from onnxdl.autodiff.gradient import gradient
from onnxdl.errors import GradientError
from onnxdl.graph import op
from onnxdl.graph.evaluate import evaluate
from onnxdl.graph.tensor import Tensor, tensor
from tests.autodiff.cases import rand

INF = float("inf")


def grad(f: Callable[..., Tensor], *xs: Any) -> list[np.ndarray]:
    leaves = [tensor(x) for x in xs]
    return evaluate(gradient(f(*leaves), leaves))


@pytest.mark.parametrize(
    ("guarded", "expected"),
    [
        (lambda x: op.Where(x > 0, op.Sqrt(x), 0), [0, 0, 0.5]),
        (lambda x: op.Where(x > 0, op.Log(x), 0), [0, 0, 1]),
        (lambda x: op.Where(x > 0, op.Log(2 * x), x), [1, 1, 1]),
        (lambda x: op.Where(op.Equal(x, 0), 1, op.Sin(x) / x), [np.sin(1) - np.cos(1), 0, np.cos(1) - np.sin(1)]),
        (lambda x: op.Where(op.Equal(x, 0), 0, op.Reciprocal(x)), [-1, 0, -1]),
        (lambda x: op.Where(x > 0, op.Pow(x, 0.5), 0), [0, 0, 0.5]),
        (lambda x: op.Where(x > 0, op.Pow(x, -1.0), 0), [0, 0, -1]),
        (lambda x: op.Where(op.Abs(x) < 1, op.Asin(x), 0), [0, 1, 0]),
        (lambda x: op.Clip(op.Log(op.Relu(x)), -5.0, 5.0), [0, 0, 1]),
        (lambda x: op.Where(x > 0, op.Exp(1000 * x * op.Cast(x < 0, to="float32")), x), [1, 1, 0]),
    ],
)
@pytest.mark.parametrize("order", [1, 2])
def test_a_branch_not_taken_adds_no_nan(guarded: Callable[[Tensor], Tensor], expected: list[float], order: int) -> None:
    x = tensor([-1.0, 0.0, 1.0])
    (g,) = gradient(guarded(x), [x])
    if order == 1:
        np.testing.assert_allclose(g.numpy(), expected, atol=1e-6)
    else:
        assert np.isfinite(gradient(g, [x])[0].numpy()).all()


@pytest.mark.parametrize(
    "norm",
    [
        lambda x: op.Sqrt(op.ReduceSum(x * x, keepdims=0)),
        lambda x: op.ReduceL2(x, keepdims=0),
        lambda x: op.ReduceL1(x, keepdims=0),
        lambda x: op.LpNormalization(x),
        lambda x: op.LpNormalization(x, p=1),
        lambda x: x / op.ReduceL2(x),
    ],
)
def test_norms_at_the_origin_have_the_subgradient_zero(norm: Callable[[Tensor], Tensor]) -> None:
    np.testing.assert_array_equal(grad(norm, np.zeros(3, np.float32))[0], np.zeros(3))


def test_powers_at_zero() -> None:
    base, exponent = grad(op.Pow, np.zeros(4, np.float32), np.array([0, 0.5, 1, 2], np.float32))
    np.testing.assert_array_equal(base, [0, 0, 1, 0])
    np.testing.assert_array_equal(exponent, [0, 0, 0, 0])


def test_softmax_over_masked_scores() -> None:
    scores = np.array([[1.0, -INF, 2.0], [-INF, -INF, 0.5]], np.float32)
    weights = rand(2, 3).astype(np.float32)
    (g,) = grad(lambda x: op.Softmax(x) * weights, scores)
    assert np.isfinite(g).all()
    np.testing.assert_array_equal(g[np.isinf(scores)], 0)
    (g,) = grad(lambda x: op.Where(np.isinf(scores), 0, op.LogSoftmax(x)), scores)
    assert np.isfinite(g).all()


@pytest.mark.parametrize("order", [1, 2])
def test_fully_masked_rows_that_the_graph_replaces(order: int) -> None:
    x = tensor(np.array([[1.0, 2.0], [-INF, -INF]], np.float32))
    rows = np.array([[True], [False]])
    y = op.Where(rows, op.Softmax(x), 0)
    (g,) = gradient(y * np.float32([1, 3]), [x])
    for _ in range(order - 1):
        (g,) = gradient(g * np.float32([1, 2]), [x])
    assert np.isfinite(g.numpy()).all()
    np.testing.assert_array_equal(g.numpy()[1], [0, 0])


def test_log_sum_exp_neither_overflows_nor_meets_minus_infinity() -> None:
    (g,) = grad(lambda x: op.ReduceLogSumExp(x, [1]), np.array([[1000, 1000], [-INF, 0], [-INF, -INF]], np.float32))
    np.testing.assert_allclose(g, [[0.5, 0.5], [0, 1], [0, 0]], rtol=1e-4)


@pytest.mark.parametrize("operator", [op.Max, op.Min])
def test_ties_of_max_and_min_share_equally(operator: Any) -> None:
    gradients = grad(operator, np.ones(2, np.float32), np.ones(2, np.float32), np.ones(1, np.float32))
    for g, share in zip(gradients, ([1 / 3, 1 / 3], [1 / 3, 1 / 3], [2 / 3]), strict=True):
        np.testing.assert_allclose(g, share, rtol=1e-6)


def test_ties_of_reductions_and_scatters_share_equally() -> None:
    (g,) = grad(lambda x: op.ReduceMax(x, [1]), np.array([[1, 1, 0], [2, 3, 3]], np.float32))
    np.testing.assert_array_equal(g, [[0.5, 0.5, 0], [0, 0.5, 0.5]])
    base, updates = grad(
        lambda x, u: op.ScatterElements(x, np.array([0, 0, 1]), u, reduction="max"), np.float32([1, 5]), np.float32([1, 1, 2])
    )
    np.testing.assert_allclose(base, [1 / 3, 1])
    np.testing.assert_allclose(updates, [1 / 3, 1 / 3, 0])
    (g,) = grad(lambda x: op.Unique(x, outputs=1), np.float32([2, 1, 2, 2]))
    np.testing.assert_allclose(g, [1 / 3, 1, 1 / 3, 1 / 3])


def test_repeated_indices_add_up() -> None:
    (g,) = grad(lambda table: op.Gather(table, np.array([[1, 1], [0, 1]])), rand(3, 2).astype(np.float32))
    np.testing.assert_array_equal(g, [[1, 1], [3, 3], [0, 0]])


def test_relu_at_its_kink_and_beyond() -> None:
    (g,) = grad(op.Relu, np.array([-INF, -1, 0, 1, INF], np.float32))
    np.testing.assert_array_equal(g, [0, 0, 0, 1, 1])


def test_dropout_in_training_mode_keeps_what_its_own_mask_kept() -> None:
    x = tensor(rand(1000, low=0.5).astype(np.float32) + 1)
    y = op.Dropout(x, 0.4, True)
    (g,) = gradient(y, [x])
    value, slope = evaluate([y, g])
    np.testing.assert_allclose(slope, value / x.numpy(), rtol=1e-5)
    assert 0.3 < (slope == 0).mean() < 0.5


@pytest.mark.parametrize(
    "f",
    [
        lambda a, b: op.Tanh(a @ b),
        lambda a, b: op.Softmax(op.Gemm(a, b)),
        lambda a, b: op.ReduceMean(op.Sqrt(op.Abs(a)) / (1 + op.Exp(op.ReduceMax(b))), keepdims=0),
        lambda a, b: op.Gelu(a, approximate="tanh") * op.Sigmoid(op.ReduceSum(b)),
        lambda a, b: op.Slice(a, [1], [3], [1]) * op.Clip(op.Gather(b, [0, 0]), -0.5, 0.5)[:, :1],
    ],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_precision_gives_its_own_type(f: Callable[..., Tensor], dtype: Any) -> None:
    points = [rand(2, 3), rand(3, 2)]
    exact = grad(f, *points)
    for g, e in zip(grad(f, *(p.astype(dtype) for p in points)), exact, strict=True):
        assert g.dtype == dtype
        np.testing.assert_allclose(g, e, rtol=np.finfo(dtype).eps * 40, atol=np.finfo(dtype).eps * 10)


def test_a_mean_over_more_elements_than_float16_counts() -> None:
    (g,) = grad(lambda x: op.ReduceMean(x, keepdims=0) * 1000.0, np.ones(100_000, np.float16))
    np.testing.assert_allclose(g, 0.01, rtol=0.01)


def test_casts_pass_the_gradient_in_the_inputs_type() -> None:
    (g,) = grad(lambda x: op.Cast(x, to="float64") * 3.0, np.float32([1, 2]))
    assert g.dtype == np.float32
    np.testing.assert_array_equal(g, [3, 3])
    (g,) = grad(lambda x: op.Cast(op.Cast(x, to="int64"), to="float32") * x, np.float32([1.5, 2.5]))
    np.testing.assert_array_equal(g, [1, 2])


@pytest.mark.parametrize(
    "f",
    [
        op.Floor,
        op.Ceil,
        op.Round,
        op.Sign,
        op.Hardmax,
        lambda x: op.Cast(op.ArgMax(x), to="float32"),
        lambda x: op.Cast(x > 0, to="float32"),
    ],
)
def test_operators_without_gradient_give_zeros(f: Callable[[Tensor], Tensor]) -> None:
    np.testing.assert_array_equal(grad(f, rand(2, 3).astype(np.float32))[0], np.zeros((2, 3)))


def test_integer_tensors_have_no_gradient() -> None:
    i = tensor([1, 2])
    with pytest.raises(GradientError, match=r"int64\[2\] has no gradient"):
        gradient(op.Cast(i, to="float32"), [i])
