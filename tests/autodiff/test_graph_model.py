"""gradient_model: any .onnx in, gradients out; against PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx.checker
import onnx.parser
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from onnxdl.autodiff.graph_model import AnyModel, gradient_model
from onnxdl.errors import FormatError, GradientError

NET = """
<ir_version: 10, opset_import: ["" : 21], metadata_props: ["author": "someone"]>
net (float[N, 2, 6, 6] image) => (float[N, 3] probabilities, int64[N] best) {
  [conv] c = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(image, conv_w, conv_b)
  [relu] r = Relu(c)
  [pool] p = GlobalAveragePool(r)
  [flat] f = Flatten(p)
  [head] h = Gemm<transB = 1>(f, fc_w, fc_b)
  [softmax] probabilities = Softmax(h)
  [choice] best = ArgMax<axis = 1, keepdims = 0>(probabilities)
}
"""
SHAPES = {"conv_w": (4, 2, 3, 3), "conv_b": (4,), "fc_w": (3, 4), "fc_b": (3,)}


def parsed(text: str, **weights: np.ndarray) -> onnx.ModelProto:
    model = onnx.parser.parse_model(text if text.startswith(("<", "\n")) else f'<ir_version: 10, opset_import: ["" : 21]> {text}')
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in weights.items())
    return model


def net() -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    return parsed(NET, **{n: rng.normal(size=s).astype(np.float32) for n, s in SHAPES.items()})


def gradients(model: AnyModel, wrt: Sequence[str], feeds: dict[str, np.ndarray], of: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    proto = gradient_model(model, wrt, of)
    onnx.checker.check_model(proto, full_check=True)
    assert {n.domain for n in proto.graph.node} <= {"", "com.microsoft"}
    return run(proto, feeds)


def run(proto: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


def test_a_small_network_agrees_with_pytorch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    feeds = {"image": rng.normal(size=(5, 2, 6, 6)).astype(np.float32), "seed/probabilities": rng.normal(size=(5, 3)).astype(np.float32)}
    names = ["image", *SHAPES]
    got = gradients(net(), names, feeds)
    leaves = {t.name: torch.tensor(numpy_helper.to_array(t).copy(), requires_grad=True) for t in net().graph.initializer}
    leaves["image"] = torch.tensor(feeds["image"], requires_grad=True)
    h = torch.relu(torch.nn.functional.conv2d(leaves["image"], leaves["conv_w"], leaves["conv_b"], stride=2, padding=1))
    y = torch.softmax(h.mean((2, 3)) @ leaves["fc_w"].T + leaves["fc_b"], 1)
    y.backward(torch.tensor(feeds["seed/probabilities"]))
    np.testing.assert_allclose(got["probabilities"], y.detach().numpy(), rtol=1e-5)
    for name in names:
        expected = leaves[name].grad.numpy()
        assert np.abs(got[f"grad/{name}"] - expected).max() <= 1e-5 * np.abs(expected).max()


def test_names_and_order_are_as_promised() -> None:
    model = gradient_model(net(), ["fc_w", "image"])
    assert [v.name for v in model.graph.input] == ["image", "seed/probabilities"]
    assert [v.name for v in model.graph.output] == ["probabilities", "best", "grad/fc_w", "grad/image"]
    assert {t.name for t in model.graph.initializer} == set(SHAPES)
    assert {p.key: p.value for p in model.metadata_props} == {"author": "someone"}
    forward = [n.name for n in net().graph.node]
    written = [n.name for n in model.graph.node]
    assert [n for n in written if n in forward] == forward
    for node in model.graph.node:
        if node.name not in forward and node.op_type != "Constant":
            assert any(node.name.startswith(f"grad/{name}/") for name in forward), node.name


def test_symbolic_dimensions_are_kept() -> None:
    model = gradient_model(net(), ["image", "conv_w"])
    shapes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*model.graph.input, *model.graph.output)}
    assert shapes["image"] == shapes["grad/image"] == ["N", 2, 6, 6]
    assert shapes["seed/probabilities"] == ["N", 3]
    assert shapes["grad/conv_w"] == [4, 2, 3, 3]


def test_a_scalar_needs_no_seed() -> None:
    model = parsed("g (float[N] x) => (float y) { s = Mul(x, x) y = ReduceSum<keepdims = 0>(s) }")
    got = gradients(model, ["x"], {"x": np.array([1, 2, 3], np.float32)})
    np.testing.assert_array_equal(got["grad/x"], [2, 4, 6])
    assert got["y"] == 14


def test_chosen_outputs_only_are_differentiated() -> None:
    model = parsed("g (float[2] x) => (float[2] a, float[2] b) { a = Mul(x, x) b = Exp(x) }")
    x = np.array([1, 2], np.float32)
    got = gradients(model, ["x"], {"x": x, "seed/b": np.array([1, 10], np.float32)}, of=["b"])
    np.testing.assert_allclose(got["grad/x"], np.exp(x) * [1, 10], rtol=1e-6)
    got = gradients(model, ["x"], {"x": x, "seed/a": np.ones(2, np.float32), "seed/b": np.zeros(2, np.float32)})
    np.testing.assert_array_equal(got["grad/x"], 2 * x)


def test_an_input_that_is_an_output_too() -> None:
    model = parsed("g (float[2] x) => (float[2] x, float[2] y) { y = Mul(x, x) }")
    got = gradients(model, ["x"], {"x": np.array([1, 2], np.float32), "seed/x": np.ones(2, np.float32), "seed/y": np.ones(2, np.float32)})
    np.testing.assert_array_equal(got["grad/x"], [3, 5])


def test_what_has_no_path_is_zero() -> None:
    model = parsed("g (float[2] x, float[3] z) => (float[2] y) { y = Exp(x) }")
    got = gradients(model, ["z"], {"x": np.zeros(2, np.float32), "z": np.zeros(3, np.float32), "seed/y": np.ones(2, np.float32)})
    np.testing.assert_array_equal(got["grad/z"], np.zeros(3))


def test_second_order_by_applying_it_twice() -> None:
    model = parsed("g (float[N] x) => (float y) { c = Mul(x, x) d = Mul(c, x) y = ReduceSum<keepdims = 0>(d) }")
    first = gradient_model(model, ["x"])
    x = np.array([1, 2, 3], np.float32)
    got = gradients(first, ["x"], {"x": x, "seed/grad/x": np.ones(3, np.float32)}, of=["grad/x"])
    np.testing.assert_allclose(got["grad/x"], 3 * x**2)
    np.testing.assert_allclose(got["grad/grad/x"], 6 * x)


@pytest.mark.parametrize("form", ["path", "text path", "proto", "ir"])
def test_a_model_in_any_form(tmp_path: Path, form: str) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(net().SerializeToString())
    forms: dict[str, AnyModel] = {"path": path, "text path": str(path), "proto": net(), "ir": ir.from_proto(net())}
    assert gradient_model(forms[form], ["fc_b"]).SerializeToString() == gradient_model(net(), ["fc_b"]).SerializeToString()


def test_the_given_model_stays_as_it_is() -> None:
    model, graph = net(), ir.from_proto(net())
    gradient_model(model, ["image"])
    gradient_model(graph, ["image"])
    assert model == net()
    assert ir.to_proto(graph) == ir.to_proto(ir.from_proto(net()))


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 18, 21, 22, 23])
def test_files_of_many_opsets(opset: int) -> None:
    graph = "g (float[N, 3] x) => (float[N, 3] y) { h = Tanh(x) y = LeakyRelu<alpha = 0.5>(h) }"
    text = f'<ir_version: 7, opset_import: ["" : {opset}]> {graph}'
    x = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    model = gradient_model(parsed(text), ["x"])
    assert model.opset_import[0].version == max(opset, 21)
    got = run(model, {"x": x, "seed/y": np.ones((2, 3), np.float32)})
    np.testing.assert_allclose(got["grad/x"], (1 - np.tanh(x) ** 2) * np.where(x > 0, 1, 0.5), rtol=1e-5)


def test_unknown_names_are_told_with_the_nearest() -> None:
    with pytest.raises(GradientError, match="no input or initializer called 'conv_W'; did you mean 'conv_w'"):
        gradient_model(net(), ["conv_W"])
    with pytest.raises(GradientError, match="no output called 'probability'"):
        gradient_model(net(), ["image"], ["probability"])
    with pytest.raises(GradientError, match="only float tensors"):
        gradient_model(net(), ["image"], ["best"])


def test_unreadable_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no such file"):
        gradient_model(tmp_path / "absent.onnx", ["x"])
    with pytest.raises(FormatError, match="breaks the ONNX standard"):
        gradient_model(parsed("g (float[2] x) => (float[2] y) { y = Nothing(x) }"), ["x"])


def test_an_operator_without_a_gradient_is_named_with_its_node() -> None:
    text = """<ir_version: 10, opset_import: ["" : 21, "my.domain" : 1]> g (float[2] x) => (float[2] y) { [odd] y = my.domain.Odd(x) }"""
    with pytest.raises(GradientError, match=r"my\.domain\.Odd has no gradient rule.*node odd.*rules=\{'my\.domain\.Odd': lambda g, y, x: "):
        gradient_model(parsed(text), ["x"])


def test_a_rule_for_an_operator_of_another_domain() -> None:
    text = """<ir_version: 10, opset_import: ["" : 21, "my.domain" : 1]>
    g (float[2] x) => (float[2] y) <float[2] h> { [odd] h = my.domain.Odd<a = 3>(x) y = Sin(h) }"""
    rules = {"my.domain.Odd": lambda g, y, x, *, a: a * g}
    model = gradient_model(parsed(text), ["x"], rules=rules)
    assert [n.op_type for n in model.graph.node if n.name.startswith("grad")] == ["Cos", "Mul", "Constant", "Mul"]
    with pytest.raises(GradientError, match=r"type of 'h' is not known; name it in the model's value_info \(node odd"):
        gradient_model(parsed(text.replace("<float[2] h>", "")), ["x"], rules=rules)
