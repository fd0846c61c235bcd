"""Files of older opsets: spellings that the standard has left behind, upgraded on load, with right gradients."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest

from onnxdl import runtime
from onnxdl.autodiff.graph_model import gradient_model
from tests.benchmarks.node_tests import NodeTest
from tests.benchmarks.scoreboard import judge

_CHANNELS = "float[3] s, float[3] b, float[3] m, float[3] v"
_SCALES = "s = Constant<value = float[4]"
_BODY = "b (float[3] s1, float[3] e) => (float[3] t, float[3] o) { p = Mul(s1, e) t = Softmax<axis = 0>(p) o = Exp(t) }"
_SCAN = f'Scan<num_scan_inputs = 1, directions = [1], body = {_BODY}>("", s, x)'

# opset, inputs, outputs, nodes
FILES = [
    (7, "float[2, 3] x", "float[2, 3] y", "y = Dropout<ratio = 0.3>(x)"),
    (7, "float[2, 3] x, float[3, 4] w, float[4] b", "float[2, 4] y", "y = Gemm<alpha = 0.5>(x, w, b)"),
    (7, "float[1, 2, 3, 3] x, float[2] s, float[2] b", "float[1, 2, 3, 3] y", "y = InstanceNormalization(x, s, b)"),
    (7, f"float[2, 3, 2] x, {_CHANNELS}", "float[2, 3, 2] y", "a = Exp(v) y = BatchNormalization(x, s, b, m, a)"),
    (7, "float[1, 1, 4, 4] x", "float[1, 1, 2, 2] y", "y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)"),
    (7, "float[1, 1, 4, 4] x", "float[1, 1, 3, 3] y", "y = AveragePool<kernel_shape = [2, 2]>(x)"),
    (7, "float[1, 2, 2, 3] x", "float[1, 2, 4, 6] y", "y = Upsample<scales = [1.0, 1.0, 2.0, 2.0]>(x)"),
    (7, "float[3, 1, 2] x, float[1, 12, 2] w, float[1, 12, 3] r", "float[3, 1, 1, 3] y", "y = LSTM<hidden_size = 3>(x, w, r)"),
    (7, "float[3, 1, 2] x, float[1, 9, 2] w, float[1, 9, 3] r", "float[3, 1, 1, 3] y", "y = GRU<hidden_size = 3>(x, w, r)"),
    (8, "float[2, 3] x, float[3] z", "float[2, 3] y", "y = Max(x, z)"),
    (8, "float[2, 3] x", "float[2, 4, 3] y", "s = Constant<value = int64[3] {2, 4, 3}>() u = Unsqueeze<axes = [1]>(x) y = Expand(u, s)"),
    (8, "float[2, 3] s, float[2, 4, 3] x", "float[2, 3] last, float[2, 4, 3] y", f"last, z = {_SCAN} y = Softmax<axis = 1>(z)"),
    (9, "float[2, 3, 4] x", "float[2, 12] y", "y = Flatten<axis = 1>(x)"),
    (9, "float[2, 3, 4] x", "float[2, 3, 4] y", "y = Softmax<axis = 1>(x)"),
    (9, "float[2, 3, 4] x", "float[2, 3, 4] y", "y = LogSoftmax<axis = 1>(x)"),
    (9, "float[4, 5] x", "float[2, 3] y", "y = Slice<axes = [0, 1], starts = [1, 0], ends = [3, -2]>(x)"),
    (9, "float[2, 5] x", "float[2, 2] y, int64[2, 2] i", "y, i = TopK<axis = 1, k = 2>(x)"),
    (9, "float[1, 2, 2, 3] x", "float[1, 2, 4, 6] y", f'{_SCALES} {{1, 1, 2, 2}}>() y = Upsample<mode = "linear">(x, s)'),
    (9, "float[1, 1, 2, 3] x", "float[1, 1, 5, 7] y", f"{_SCALES} {{1, 1, 2.5, 2.5}}>() y = Upsample(x, s)"),
    (10, "float[1, 2, 2, 3] x", "float[1, 2, 3, 6] y", f'{_SCALES} {{1, 1, 1.5, 2}}>() y = Resize<mode = "linear">(x, s)'),
    (10, "float[2, 6] x", "float[2, 2] a, float[2, 4] b", "a, b = Split<axis = 1, split = [2, 4]>(x)"),
    (10, "float[2, 3] x", "float[2, 3] y", "y = Clip<min = -0.5, max = 0.5>(x)"),
    (10, "float[2, 3] x", "float[4, 4] y", 'y = Pad<mode = "constant", pads = [1, 0, 1, 1], value = 2.0>(x)'),
    (11, "float[2, 3, 4] x", "float[2, 4] y", "y = ReduceSum<axes = [1], keepdims = 0>(x)"),
    (11, "float[2, 3, 4] x", "float[2, 1, 4] y", "y = ReduceLogSumExp<axes = [1]>(x)"),
    (12, "float[1, 3, 1] x", "float[3] y", "y = Squeeze<axes = [0, 2]>(x)"),
    (12, "float[2, 3] x", "float[2, 3] y", "y = HardSigmoid(x)"),
    (13, "float[2, 3, 4] x", "float[2, 3, 1] y", "y = ReduceL2<axes = [-1]>(x)"),
    (17, "float[2, 3, 4] x, float[4] s", "float[2, 3, 4] y", "y = LayerNormalization(x, s)"),
    (18, "float[2, 4, 3] x, float[2] s, float[2] b", "float[2, 4, 3] y", "y = GroupNormalization<num_groups = 2>(x, s, b)"),
    (20, "float[1, 4, 2] x, float[1, 4, 2] z", "float[1, 4, 2] y", "h = Gelu(x) y = Mul(h, z)"),
    (23, "float[1, 2, 3, 4] q, float[1, 2, 5, 4] k, float[1, 2, 5, 4] v", "float[1, 2, 3, 4] y", "y = Attention(q, k, v)"),
    (24, "float[2, 3] x", "float[2, 3] y", "y = Swish<alpha = 1.5>(x)"),
]


FUNCTIONS = """
<ir_version: 10, opset_import: ["" : %d, "mine" : 1]>
g (float[N, 3] x, float[3] w) => (float[N, 3] y) { h = mine.Twice<rate = 0.5>(x, w) y = mine.Scaled<rate = 2.0>(h, w) }
<domain: "mine", opset_import: ["" : %d, "mine" : 1]>
Twice <rate> (a, b) => (c) { d = mine.Scaled<rate: float = @rate>(a, b) c = mine.Scaled<rate: float = @rate>(d, b) }
<domain: "mine", opset_import: ["" : %d]>
Scaled <rate> (a, b) => (c) { r = Constant<value_float: float = @rate>() m = Mul(a, b) t = Tanh(m) c = Mul(t, r) }
"""


@pytest.mark.parametrize("opset", [15, 21, 26])
def test_functions_of_the_model_itself(opset: int) -> None:
    model = onnx.parser.parse_model(FUNCTIONS.strip() % (opset, opset, opset))
    rng = np.random.default_rng(4)
    feeds = {"x": rng.normal(size=(2, 3)).astype(np.float32), "w": rng.normal(size=3).astype(np.float32)}
    result = judge(NodeTest("functions", model, feeds))
    assert result.status == "confirmed", result.note


def _model(opset: int, inputs: str, outputs: str, nodes: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> g ({inputs}) => ({outputs}) {{ {nodes} }}')


@pytest.mark.parametrize(("opset", "inputs", "outputs", "nodes"), FILES, ids=[f"{f[0]}-{f[3].split('(')[0]}" for f in FILES])
def test_gradient_of_an_older_file(opset: int, inputs: str, outputs: str, nodes: str) -> None:
    model = _model(opset, inputs, outputs, nodes)
    rng = np.random.default_rng(4)
    feeds = {v.name: rng.normal(size=[d.dim_value for d in v.type.tensor_type.shape.dim]).astype(np.float32) for v in model.graph.input}
    result = judge(NodeTest(nodes, model, feeds))
    assert result.status == "confirmed", result.note


@pytest.mark.parametrize("dtype", ["float16", "double"])
def test_a_number_that_fills_has_the_type_of_what_is_padded(dtype: str) -> None:
    signature = f"g ({dtype}[2, 3] x) => ({dtype}[M, N] y)"
    text = f'<ir_version: 8, opset_import: ["": 10]> {signature} {{ y = Pad<pads = [1, 0, 1, 1], value = 2.0>(x) }}'
    model = gradient_model(onnx.parser.parse_model(text), wrt=["x"])
    kind = np.dtype("float64" if dtype == "double" else dtype)
    seed = np.arange(16).reshape(4, 4).astype(kind)
    y, g = runtime.run(runtime.create_session(model.SerializeToString()), None, {"x": np.ones((2, 3), kind), "seed/y": seed})
    assert y[0, 0] == 2
    np.testing.assert_array_equal(g, seed[1:3, :3])


def test_a_file_may_leave_out_the_shapes_of_its_outputs() -> None:
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 17]> g (float[N] x) => (float[N] y) { y = Exp(x) }')
    model.graph.output[0].type.tensor_type.ClearField("shape")
    assert [v.name for v in gradient_model(model, wrt=["x"]).graph.output] == ["y", "grad/x"]
