"""``ox.remat``: the same numbers, while the train step keeps only what stands between the regions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

import onnxdl as ox
from onnxdl import nn, op, optim
from onnxdl.autodiff.custom import stop_gradient
from onnxdl.autodiff.gradient import gradient
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import Trace

RNG = np.random.default_rng(0)


def _conv_block() -> nn.Layer:
    return ox.Sequential(
        [nn.Conv2D(4, 3, padding="same"), nn.BatchNormalization(), nn.ReLU(), nn.Dropout(0.3), nn.Conv2D(3, 3, padding="same")]
    )


def _conv_model(mark: Callable[[Any], Any]) -> ox.Model:
    blocks = [mark(_conv_block()) for _ in range(2)]
    return ox.Sequential([ox.Input((3, 6, 6)), *blocks, nn.Flatten(), nn.Dense(4, activation="softmax")])


def _attention_model(mark: Callable[[Any], Any]) -> ox.Model:
    tokens = ox.Input((5,), dtype="int64")
    x = nn.Embedding(9, 8, mask_zero=True, name="embedding")(tokens)
    x = mark(nn.MultiHeadAttention(2, 4, dropout=0.2, name="attention"))(x, x)
    x = mark(ox.Sequential([nn.LayerNormalization(), nn.LSTM(6, return_sequences=True, dropout=0.2)], name="rest"))(x)
    return ox.Model(tokens, nn.Dense(4, activation="softmax", name="out")(nn.GlobalAveragePooling1D("channels_last", name="pool")(x)))


def _trained(build: Callable[[Callable[[Any], Any]], ox.Model], mark: Callable[[Any], Any], x: np.ndarray, **options: Any) -> Any:
    ox.set_seed(3)
    model = build(mark)
    model.compile(optim.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy", **options)
    losses = [model.train_on_batch(x, np.arange(len(x)) % 4) for _ in range(3)]
    return model, losses


IMAGES = RNG.normal(size=(4, 3, 6, 6)).astype(np.float32)
WORDS = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8], [1, 8, 0, 0, 0]])


@pytest.mark.parametrize(("build", "x"), [(_conv_model, IMAGES), (_attention_model, WORDS)], ids=["conv", "attention"])
@pytest.mark.parametrize("mixed_precision", [False, True])
def test_training_is_the_same_with_dropout_and_running_statistics(build: Any, x: np.ndarray, mixed_precision: bool) -> None:
    plain, expected = _trained(build, lambda layer: layer, x, mixed_precision=mixed_precision)
    marked, losses = _trained(build, ox.remat, x, mixed_precision=mixed_precision)
    assert losses == pytest.approx(expected, rel=1e-6)
    assert plain.state.keys() == marked.state.keys()
    for name, array in plain.state.items():
        np.testing.assert_allclose(marked.state[name], array, rtol=1e-5, atol=1e-7, err_msg=name)


def test_the_step_computes_again_and_keeps_nothing_from_inside() -> None:
    model, _ = _trained(_conv_model, ox.remat, IMAGES)
    graph = model.train_step().program.graph
    again = [n for n in graph if n.name.startswith("again/")]
    assert [n.op_type for n in again].count("Conv") == 2  # a block's second convolution ends it: no gradient needs its value
    assert any(n.op_type == "Less" for n in again)  # dropout's numbers are drawn again too
    inside = {v for n in graph if n.name.startswith("sequential") for v in n.outputs if v.shape and v.shape[0] == "batch"}
    leaving = {v for v in inside for n, _ in v.uses() if not n.name.startswith("sequential")}
    assert len(leaving) == 2  # the block's results


def test_onnx_runtime_does_not_merge_both_computations(tmp_path: Path) -> None:
    model, _ = _trained(_conv_model, ox.remat, IMAGES)
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    program = ir.to_proto(model.train_step().program).SerializeToString()
    ort.InferenceSession(program, options, providers=["CPUExecutionProvider"])
    names = [n.name for n in ir.load(tmp_path / "optimized.onnx").graph]
    assert sum(n.startswith("again/") and "/Conv" in n for n in names) == 2


def test_a_file_for_inference_shows_no_trace_of_it(tmp_path: Path) -> None:
    model, _ = _trained(_conv_model, ox.remat, IMAGES)
    model.export(tmp_path / "model.onnx", format="onnx")
    assert not any(n.op_type == "Identity" for n in ir.load(tmp_path / "model.onnx").graph)


def _run(f: Callable[..., Any], *arrays: np.ndarray) -> list[np.ndarray]:
    return [t.numpy() for t in ox.function(f)(*arrays)]


def _curve(x: Tensor, w: Tensor) -> Tensor:
    return op.Tanh(op.Sin(x @ w) * x) * w[0]


def test_second_derivatives_and_captured_tensors() -> None:
    x, w = RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3))

    def twice(wrap: Callable[[Any], Any]) -> Any:
        def f(x: Tensor, w: Tensor) -> Any:
            shifted = w * 2
            y = wrap(lambda t: _curve(t, shifted))(x)
            gx, gw = gradient(op.ReduceSum(y * y, keepdims=0), [x, w])
            return [gx, gw, *gradient(op.ReduceSum(gx * gw, keepdims=0), [x, w])]

        return f

    for a, b in zip(_run(twice(ox.remat), x, w), _run(twice(lambda f: f), x, w), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_regions_inside_regions_with_several_outputs_and_a_custom_gradient() -> None:
    def run(wrap: Callable[[Any], Any]) -> Any:
        def inner(x: Tensor) -> Any:
            return op.Sin(x), x * stop_gradient(op.Exp(x)), x

        def outer(x: Tensor) -> Any:
            a, b, c = wrap(inner)(op.Tanh(x))
            return {"sum": a * b, "rest": [c * a]}

        def f(x: Tensor) -> Any:
            found = wrap(outer)(x)
            return gradient(found["sum"] + found["rest"][0] * 3, [x])

        return f

    x = RNG.normal(size=(4,))
    np.testing.assert_allclose(_run(run(ox.remat), x)[0], _run(run(lambda f: f), x)[0], rtol=1e-12)


def test_a_region_in_the_body_of_a_loop_is_computed_again_there() -> None:
    def run(wrap: Callable[[Any], Any]) -> Any:
        def f(x: Tensor, w: Tensor) -> Any:
            states = op.Scan(x[0] * 0, x, body=lambda s, t: [wrap(lambda s, t: op.Tanh(s @ w + t * w[0]))(s, t)], num_scan_inputs=1)
            return gradient(op.ReduceSum(states * states, keepdims=0), [x, w])

        return f

    x, w = RNG.normal(size=(5, 3)), RNG.normal(size=(3, 3))
    for a, b in zip(_run(run(ox.remat), x, w), _run(run(lambda f: f), x, w), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_gradient_by_a_value_inside_opens_the_region() -> None:
    seen: list[Tensor] = []

    def inside(x: Tensor) -> Tensor:
        seen.append(op.Sin(x))
        return seen[-1] * 2

    def f(x: Tensor) -> Any:
        return gradient(ox.remat(inside)(x), [seen[-1], x])

    by_inner, by_x = _run(f, np.array([0.5]))
    np.testing.assert_allclose([by_inner, by_x], [[2.0], [2 * np.cos(0.5)]], rtol=1e-12)


def test_empty_batches_infinities_and_nan_pass() -> None:
    def f(x: Tensor) -> Any:
        y = ox.remat(lambda t: t * op.Exp(-t))(x)
        return gradient(y, [x], [op.Where(x > 0, 1.0, np.nan)])

    assert _run(f, np.zeros((0, 2)))[0].shape == (0, 2)
    (g,) = _run(f, np.array([-1.0, 2.0]))
    assert np.isnan(g[0])
    np.testing.assert_allclose(g[1], -np.exp(-2.0))


def test_without_a_trace_it_is_only_called() -> None:
    x = ox.tensor([1.0, 2.0])
    (g,) = gradient(ox.remat(lambda t: t * t)(x), [x])
    np.testing.assert_array_equal(g.numpy(), [2, 4])


def test_a_stopped_gradient_stays_stopped_in_a_body() -> None:
    def f(x: Tensor) -> Any:
        last = op.Scan(x[0] * 0, x, body=lambda s, t: [s + stop_gradient(t * 3) * t], num_scan_inputs=1)
        return gradient(last, [x])

    np.testing.assert_allclose(_run(f, np.array([[1.0], [2.0]]))[0], [[3.0], [6.0]])


def test_regions_need_no_trace_of_their_own() -> None:
    with Trace() as trace:
        x = trace.input("x", "float32", ["n", 3])
    y = ox.remat(lambda t: op.Sin(t) * t)(x)  # after the with block: the tensor knows its trace
    (g,) = gradient(y, [x])
    model = trace.model({"y": y, "g": g})
    assert any(n.name.startswith("again/") for n in model.graph)
