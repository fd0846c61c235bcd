"""Random graphs written with our operators: they come back equal from a file, and their gradients are those of central differences."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

import onnxdl as ox
from onnxdl import op, runtime
from onnxdl.autodiff.check import check_gradient
from onnxdl.graph.tensor import Tensor
from onnxdl.io import onnx_file

SHAPES = ((3, 2), (2,), (3, 1))
"""Of the inputs, which broadcast against each other."""
POINTS = [np.random.default_rng(i).uniform(-1, 1, shape) for i, shape in enumerate(SHAPES)]
ONE: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": op.Tanh,
    "sigmoid": op.Sigmoid,
    "sine": op.Sin,
    "square": lambda x: x * x,
    "root": lambda x: op.Sqrt(1.0 + x * x),
    "logarithm": lambda x: op.Log(2.0 + op.Tanh(x)),
    "softmax": lambda x: op.Softmax(x, axis=-1),
    "transposed": op.Transpose,
    "flat": lambda x: op.Reshape(x, [-1]),
    "first half": lambda x: x[: (x.shape[0] + 1) // 2],
    "backwards": lambda x: op.Slice(x, [-1], [-(2**31)], [0], [-1]),
    "mean": lambda x: op.ReduceMean(x, [0]),
    "norm": lambda x: op.ReduceL2(x, keepdims=0),
    "running sum": lambda x: op.CumSum(x, np.int64(0)),
    "padded": lambda x: op.Pad(x, [1] + [0] * (2 * x.ndim - 1)),
    "chosen rows": lambda x: op.Gather(x, [0, -1, 0], axis=0),
    "gram matrix": lambda x: op.MatMul(op.Reshape(x, [-1, 1]), op.Reshape(x, [1, -1])),
    "what is positive": lambda x: op.Where(x > 0, x, 0.1 * x),
}
TWO: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sum": lambda a, b: a + b,
    "difference": lambda a, b: a - b,
    "product": lambda a, b: a * b,
    "quotient": lambda a, b: a / (1.5 + op.Sin(b)),
    "both": lambda a, b: op.Concat(op.Reshape(a, [-1]), op.Reshape(b, [-1]), axis=0),
}
STEPS = st.lists(st.tuples(st.sampled_from([*ONE, *TWO]), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6)


def built(steps: list[tuple[str, int, int]]) -> Callable[..., Any]:
    """The graph that applies one step after another to what there is so far; the last two tensors are its results."""

    def graph(*inputs: Tensor) -> list[Tensor]:
        made = list(inputs)
        for name, i, j in steps:
            a, b = made[-1 - i % len(made)], made[-1 - j % len(made)]
            if name in TWO:
                made.append(TWO[name](a, b if name == "both" or fit(a, b) else op.ReduceMean(b, keepdims=0)))
            else:
                made.append(ONE[name](a if a.ndim else op.Reshape(a, [1])))
        return made[-2:]

    return graph


def fit(a: Tensor, b: Tensor) -> bool:
    try:
        return np.prod(np.broadcast_shapes(a.shape, b.shape)) <= 100
    except ValueError:
        return False


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_a_graph_comes_back_equal_and_is_differentiated_right(steps: list[tuple[str, int, int]]) -> None:
    graph = built(steps)
    check_gradient(graph, *POINTS)
    program = ox.function(graph).program(*POINTS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        onnx_file.write(program, path)
        content = path.read_bytes()
        onnx_file.write(onnx_file.read(path), path)
        assert path.read_bytes() == content
    feeds = {f"x{i}": point for i, point in enumerate(POINTS)}
    before = runtime.run(runtime.create_session(ir.to_proto(program).SerializeToString()), None, feeds)
    after = runtime.run(runtime.create_session(content), None, feeds)
    dynamic = [t.numpy() for t in graph(*map(ox.tensor, POINTS))]
    reference = ReferenceEvaluator(onnx.load_from_string(content)).run(None, feeds)
    for ours, again, evaluated, meant in zip(before, after, dynamic, reference, strict=True):
        np.testing.assert_array_equal(ours, again)
        np.testing.assert_allclose(ours, evaluated, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(ours, meant, rtol=1e-9, atol=1e-9)
