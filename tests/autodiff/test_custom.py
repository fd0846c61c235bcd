"""custom_gradient and stop_gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxdl.autodiff.custom import custom_gradient, stop_gradient
from onnxdl.autodiff.gradient import gradient
from onnxdl.errors import GradientError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, tensor
from onnxdl.graph.trace import Trace
from tests.autodiff.oracle import run_trace

Backwards = list[tuple[Tensor, ...]]


def test_the_backward_rule_replaces_the_derivative() -> None:
    @custom_gradient
    def doubled(x: Tensor) -> Any:
        return x * x, lambda g: 10 * g

    x = tensor([1.0, 2.0])
    (g,) = gradient(doubled(x) * 3, [x])
    np.testing.assert_array_equal(g.numpy(), [30, 30])


def test_a_straight_through_estimator_passes_the_gradient_that_rounding_loses() -> None:
    @custom_gradient
    def rounded(x: Tensor) -> Any:
        return op.Round(x), lambda g: g

    x = tensor([0.4, 1.6])
    (through,) = gradient(rounded(x * 2) * x, [x])
    np.testing.assert_allclose(through.numpy(), np.round(x.numpy() * 2) + 2 * x.numpy(), rtol=1e-6)


def _split(calls: Backwards) -> Any:
    @custom_gradient
    def split(a: Tensor, b: Tensor) -> Any:
        def backward(ga: Tensor, gb: Tensor) -> Any:
            calls.append((ga, gb))
            return 2 * ga, 3 * gb

        return (a * 5, b * 7), backward

    return split


@pytest.mark.parametrize("order", ["early first", "late first"])
def test_backward_of_several_outputs_runs_once_and_after_all_their_consumers(order: str) -> None:
    calls: Backwards = []
    a, b = tensor(1.0), tensor(2.0)
    late = op.Exp(op.Sin(b))  # more nodes behind b than behind a
    first, second = _split(calls)(a, late)
    total = op.Sin(first) + second * first if order == "early first" else second * first + op.Sin(first)
    ga, gb = gradient(total, [a, b])
    y1, y2 = 5.0, 7 * np.exp(np.sin(2.0))
    assert len(calls) == 1
    assert float(ga) == pytest.approx(2 * (np.cos(y1) + y2), rel=1e-5)
    assert float(gb) == pytest.approx(3 * y1 * np.exp(np.sin(2.0)) * np.cos(2.0), rel=1e-5)


def test_an_output_that_nobody_uses_counts_as_zeros() -> None:
    calls: Backwards = []
    a, b = tensor([1.0]), tensor([2.0])
    first, _ = _split(calls)(a, b)
    ga, gb = gradient(first, [a, b])
    assert (float(ga), float(gb)) == (2.0, 0.0)


def test_a_custom_gradient_is_differentiated_again() -> None:
    @custom_gradient
    def cube(x: Tensor) -> Any:
        return x * x * x, lambda g: 3 * g * x * x

    x = tensor(2.0)
    (first,) = gradient(cube(x), [x])
    (second,) = gradient(first, [x])
    assert (float(first), float(second)) == (12.0, 12.0)


def test_in_a_static_trace() -> None:
    with Trace() as trace:
        a, b = trace.input("a", np.float32, ["n"]), trace.input("b", np.float32, ["n"])
        first, second = _split([])(a, op.Sin(b))
        for g in gradient(first * second, [a, b]):
            trace.add_output(g)
    x = np.array([0.3, 0.4], np.float32)
    ga, gb = run_trace(trace, {"a": x, "b": x})
    np.testing.assert_allclose(ga, 2 * 7 * np.sin(x), rtol=1e-6)
    np.testing.assert_allclose(gb, 3 * 5 * x * np.cos(x), rtol=1e-6)


def test_stop_gradient() -> None:
    x = tensor(3.0)
    (g,) = gradient(x * stop_gradient(x), [x])
    assert float(g) == 3.0


def test_wrong_use_is_named() -> None:
    x = tensor(3.0)
    with pytest.raises(GradientError, match="must return"):
        custom_gradient(lambda t: t)(x)
    with pytest.raises(GradientError, match="2 gradients for 1"):
        gradient(custom_gradient(lambda t: (t, lambda g: (g, g)))(x), [x])
