"""How many threads a step gets, and where its time goes."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import onnxdl as ox
from onnxdl import nn
from onnxdl.runtime import NodeTime, profiling, threads_for
from onnxdl.train.profile import Profile, advice_for, place_of, profile_prediction, profile_step, random_inputs, random_targets


def graph(text: str) -> ir.Model:
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> {text}')
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


BLOCKS = """g (float[8, 250000] x) => (float[8, 250000] y)
{ y = Scan<num_scan_inputs=1, body = b (float[250000] s) => (float[250000] t) { t = Sqrt(s) }>(x) }"""


def lstm(inputs: int, units: int) -> str:
    shapes = f"float[100, N, {inputs}] x, float[1, {4 * units}, {inputs}] w, float[1, {4 * units}, {units}] r"
    return f"g ({shapes}) => (float[1, N, {units}] h) {{ y, h = LSTM<hidden_size={units}>(x, w, r) }}"


@pytest.mark.parametrize(
    ("text", "threads"),
    [
        ("g (float[N, 100] x, float[100, 10] w) => (float[N, 10] y) { y = MatMul(x, w) }", 1),
        ("g (float[N, 784] x, float[784, 512] w) => (float[N, 512] y) { y = MatMul(x, w) }", 0),
        ("g (float[N, 64, 32, 32] x) => (float[N, 64, 32, 32] y) { y = Relu(x) }", 0),
        ("g (float[30000, 100] t, int64[N, 1] i, float[N, 100] u) => (float[30000, 100] y) { y = ScatterND(t, i, u) }", 1),
        (BLOCKS, 0),
        (lstm(10, 64), 1),
        (lstm(64, 128), 0),
    ],
    ids=["small", "large", "wide", "rows", "blocks", "lstm-64", "lstm-128"],
)
def test_one_thread_for_small_operators(text: str, threads: int) -> None:
    assert threads_for(graph(text)) == threads


def test_a_profile_names_layers_and_parts() -> None:
    model = ox.Sequential([ox.Input((6,)), nn.Dense(4, activation="relu", name="first"), nn.Dense(3, name="second")])
    model.compile("adam", nn.losses.SparseCategoricalCrossentropy(from_logits=True), device="cpu")
    x, y = random_inputs(model, 5), random_targets(model, 5)
    before = {name: array.copy() for name, array in model.state.items()}
    profile = profile_step(model, x, y, runs=2)
    layers = profile.by_layer()
    assert {"forward", "backward", "update"} <= set(layers["first"]) | set(layers["second"])
    assert profile.total == pytest.approx(sum(s for _, _, s in profile.by_operator()))
    assert profile.samples == 5
    text = "\n".join(profile.lines())
    assert "five costliest" in text
    assert "first" in text
    for name, array in model.state.items():
        np.testing.assert_array_equal(array, before.get(name, array))
    assert all(part in ("forward", "other") for parts in profile_prediction(model, x, runs=1).by_layer().values() for part in parts)


def test_the_time_of_a_loop_is_counted_once() -> None:
    model = ox.Sequential([ox.Input((30, 4)), nn.LSTM(8, name="reader"), nn.Dense(2, name="judge")])
    model.compile("sgd", nn.losses.SparseCategoricalCrossentropy(from_logits=True), device="cpu")
    x, y = random_inputs(model, 3), random_targets(model, 3)
    profile = profile_step(model, x, y, runs=3)
    loops = [node for node in profile.nodes if node.op_type == "Scan"]
    inner = [node for node in profile.nodes if node.op_type != "Scan" and node.name.startswith("reader/")]
    assert loops
    assert all(node.bytes == 0 for node in loops)
    assert any(node.bytes >= 30 * 3 * 8 * 4 for node in inner)
    events = [(0, 10, "Scan"), (1, 4, "Scan"), (2, 2, "Add"), (5, 5, "Mul"), (10, 3, "Scan"), (13, 1, "Add")]
    timed = [{"ts": ts, "dur": dur, "args": {"op_name": name}} for ts, dur, name in events]
    assert profiling._own_times(timed) == [1, 2, 2, 5, 3, 1]


def test_fit_prints_a_profile_once(capsys: pytest.CaptureFixture[str]) -> None:
    model = ox.Sequential([ox.Input((6,)), nn.Dense(3, name="only")])
    model.compile("sgd", nn.losses.SparseCategoricalCrossentropy(from_logits=True), device="cpu")
    x, y = random_inputs(model, 7), random_targets(model, 7)
    model.fit(x, y, 4, 2, verbose=0, profile=True)
    printed = capsys.readouterr().out
    assert printed.count("five costliest") == 1
    assert "for 4 samples" in printed
    assert "only" in printed


def test_places_and_advice() -> None:
    assert place_of("grad/conv/Relu/Mul") == ("conv", "backward")
    assert place_of("optimizer/conv/kernel/Sqrt") == ("conv", "update")
    assert place_of("fused conv/Conv") == ("conv", "forward")
    assert place_of("Transpose") == ("(no layer)", "other")
    assert "optimizer's pass" in advice_for(NodeTime("optimizer/conv/kernel/Mul", "Mul", 1.0))
    assert "sparse=True" in advice_for(NodeTime("grad/words/Gather/ScatterElements", "ScatterElements", 1.0))
    assert Profile([], 1).lines()[0].startswith("0.00 ms")
