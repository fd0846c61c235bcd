"""Gradients through quantized numbers: whole files, and the scale's."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser

from onnxdl import runtime
from onnxdl.autodiff.gradient import gradient
from onnxdl.autodiff.graph_model import gradient_model
from onnxdl.graph import op
from onnxdl.graph.tensor import tensor

RNG = np.random.default_rng(0)


def _gradient(nodes: str, x: np.ndarray, seed: np.ndarray, w: np.ndarray) -> np.ndarray:
    text = f"float[N,2,6,6] x, float[3,2,3,3] w) => (float[N,3,2,2] y) {{ s = Constant<value = float {{0.125}}>() {nodes} }}"
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> g ({text}')
    session = runtime.create_session(gradient_model(model, wrt=["x"]).SerializeToString())
    found: np.ndarray = runtime.run(session, ["grad/x"], {"x": x, "w": w, "seed/y": seed})[0]
    return found


def test_a_file_that_quantizes_between_its_layers_has_the_gradient_of_the_file_that_does_not() -> None:
    x = np.round(RNG.uniform(-90, 90, (2, 2, 6, 6))).astype(np.float32) / 8  # on the grid: quantizing changes nothing
    w = RNG.integers(-1, 2, (3, 2, 3, 3)).astype(np.float32) / 8
    seed = RNG.normal(size=(2, 3, 2, 2)).astype(np.float32)
    z = "z = Constant<value = int8 {0}>() c = Constant<value = float {0.0078125}>() t = Constant<value = int16 {0}>()"
    pool = "MaxPool<kernel_shape = [2, 2], strides = [2, 2]>"
    plain = _gradient(f"a = Conv(x, w) y = {pool}(a)", x, seed, w)
    quantized = _gradient(
        f"{z} q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) a = Conv(d, w) b = QuantizeLinear(a, c, t)"
        f"e = DequantizeLinear(b, c, t) y = {pool}(e)",
        x,
        seed,
        w,
    )
    np.testing.assert_allclose(quantized, plain, rtol=1e-4, atol=1e-5)
    assert np.abs(plain).max() > 0.1
    moved = _gradient(
        f"{z} p = {pool}(x) q = QuantizeLinear(p, s, z) d = DequantizeLinear(q, s, z) y = Conv<pads = [0, 0, 1, 1]>(d, w)", x, seed, w
    )
    unmoved = _gradient(f"d = {pool}(x) y = Conv<pads = [0, 0, 1, 1]>(d, w)", x, seed, w)
    np.testing.assert_allclose(moved, unmoved, rtol=1e-4, atol=1e-5)


def test_the_gradient_of_a_scale_is_that_of_learned_step_sizes() -> None:
    x, g, s, zero = RNG.normal(size=(5, 6)) * 12, RNG.normal(size=(5, 6)), 0.07, 5
    leaf, scale = tensor(x.astype(np.float32)), tensor(np.float32(s))
    q = op.QuantizeLinear(leaf, scale, np.uint8(zero))
    gx, gs = gradient(op.DequantizeLinear(q, scale, np.uint8(zero)), [leaf, scale], [g.astype(np.float32)])
    steps = np.round(x / s) + zero
    inside = (steps >= 0) & (steps <= 255)
    assert not inside.all()
    np.testing.assert_allclose(gx.numpy(), g * inside, rtol=1e-5, atol=1e-7)
    expected = np.where(inside, np.round(x / s) - x / s, np.clip(steps, 0, 255) - zero)
    np.testing.assert_allclose(gs.numpy(), (g * expected).sum(), rtol=1e-4)
