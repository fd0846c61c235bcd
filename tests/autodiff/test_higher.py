"""jvp, hvp and check_gradient."""

from __future__ import annotations

import numpy as np
import pytest

from onnxdl.autodiff.check import check_gradient
from onnxdl.autodiff.custom import custom_gradient, stop_gradient
from onnxdl.autodiff.gradient import gradient
from onnxdl.autodiff.higher import hvp, jvp
from onnxdl.errors import GradientError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, tensor
from tests.autodiff.cases import rand


def _layer(x: Tensor, w: Tensor) -> Tensor:
    return op.Tanh(x @ w)


def test_jvp_is_the_directional_derivative() -> None:
    x, w, dx, dw = rand(2, 3), rand(3, 4), rand(2, 3, seed=1), rand(3, 4, seed=1)
    y, dy = jvp(_layer, [x, w], [dx, dw])
    np.testing.assert_allclose(y.numpy(), np.tanh(x @ w), rtol=1e-12)
    np.testing.assert_allclose(dy.numpy(), (1 - np.tanh(x @ w) ** 2) * (dx @ w + x @ dw), rtol=1e-10)


def test_jvp_of_several_outputs() -> None:
    (a, b), (da, db) = jvp(lambda x: (op.Sin(x), x * x), [np.float64(0.5)], [np.float64(2.0)])
    assert [float(t) for t in (a, b)] == pytest.approx([np.sin(0.5), 0.25])
    assert [float(t) for t in (da, db)] == pytest.approx([2 * np.cos(0.5), 2.0])


def test_jvp_through_a_softmax_and_a_relu() -> None:
    x, v = rand(2, 3), rand(2, 3, seed=1)
    p = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    _, dy = jvp(lambda t: op.Relu(op.Softmax(t) - 0.3), [x], [v])
    np.testing.assert_allclose(dy.numpy(), np.where(p > 0.3, p * (v - (p * v).sum(-1, keepdims=True)), 0), rtol=1e-10, atol=1e-12)


def test_hvp_is_the_hessian_times_the_vector() -> None:
    a = rand(3, 3)
    x, v = rand(3), rand(3, seed=1)
    (product,) = hvp(lambda t: op.ReduceSum(op.Exp(a @ t), keepdims=0), [x], [v])
    np.testing.assert_allclose(product.numpy(), a.T @ np.diag(np.exp(a @ x)) @ a @ v, rtol=1e-10)


def test_third_order() -> None:
    x = tensor(np.float64(0.7))
    y = op.Sin(x)
    for _ in range(3):
        (y,) = gradient(y, [x])
    assert float(y) == pytest.approx(-np.cos(0.7))


def test_wrong_count_of_tangents() -> None:
    with pytest.raises(GradientError, match="2 primals but 1"):
        jvp(_layer, [rand(2, 3), rand(3, 4)], [rand(2, 3)])


def test_check_gradient_returns_the_error_and_takes_integer_arguments() -> None:
    assert check_gradient(_layer, rand(2, 3), rand(3, 4)) < 1e-6
    assert check_gradient(lambda x, i: op.Gather(x, i), np.float32([1, 2, 3]), np.array([0, 2, 0])) < 1e-6


def test_check_gradient_in_float32_where_there_is_no_float64() -> None:
    error = check_gradient(lambda x, w: op.Conv(x, w) * op.Conv(x, w), rand(1, 2, 4, 4), rand(2, 2, 3, 3), dtype="float32", atol=1e-5)
    assert 0 < error < 1e-2
    with pytest.raises(GradientError, match="central differences give"):
        check_gradient(lambda x: stop_gradient(x) * x, np.array([1.0, 2.0]), dtype="float32")


def test_check_gradient_names_the_element_that_disagrees() -> None:
    @custom_gradient
    def wrong(x: Tensor) -> object:
        return x * x, lambda g: g * (2 * x + np.array([0, 0.5]))

    with pytest.raises(GradientError, match=r"argument 0 at \[1\]: the gradient is .*, central differences give"):
        check_gradient(wrong, np.array([1.0, 2.0]))
