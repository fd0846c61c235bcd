"""Training information: put in, checked, taken out again and run; and files of other producers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnx.checker
import onnx.parser
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from onnxdl.errors import FormatError
from onnxdl.io import training_info

INFERENCE = """
<ir_version: 10, opset_import: ["" : 21], metadata_props: ["onnxdl.kind": "inference"]>
model (float[batch, 3] x) => (float[batch, 2] y)
<float[3, 2] w = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6}, float[2] scale = {1, 2}>
{ [dense] h = MatMul(x, w) [scaled] y = Mul(h, scale) }
"""


def step_model() -> ir.Model:
    """Least squares by gradient descent, its inner names the same as the inference graph's on purpose."""
    inputs = [
        onnx.helper.make_tensor_value_info(n, d, s)
        for n, d, s in [
            ("x", 1, ["batch", 3]),
            ("t", 1, ["batch", 2]),
            ("w", 1, [3, 2]),
            ("scale", 1, [2]),
            ("step", 7, []),
        ]
    ]
    outputs = [
        onnx.helper.make_tensor_value_info(n, d, s)
        for n, d, s in [("loss", 1, []), ("next/w", 1, [3, 2]), ("next/scale", 1, [2]), ("next/step", 7, [])]
    ]
    nodes = [
        onnx.helper.make_node("MatMul", ["x", "w"], ["h"], "dense"),
        onnx.helper.make_node("Mul", ["h", "scale"], ["y"], "scaled"),
        onnx.helper.make_node("Sub", ["y", "t"], ["e"], "error"),
        onnx.helper.make_node("Mul", ["e", "e"], ["e2"], "squared"),
        onnx.helper.make_node("ReduceMean", ["e2"], ["loss"], "mean", keepdims=0),
        onnx.helper.make_node("Mul", ["e", "scale"], ["g"], "grad/scaled"),
        onnx.helper.make_node("Transpose", ["x"], ["xt"], "grad/dense/0"),
        onnx.helper.make_node("MatMul", ["xt", "g"], ["gw"], "grad/dense/1"),
        onnx.helper.make_node("Mul", ["gw", "rate"], ["u"], "update"),
        onnx.helper.make_node("Sub", ["w", "u"], ["next/w"], "moved"),
        onnx.helper.make_node("Identity", ["scale"], ["next/scale"], "kept"),
        onnx.helper.make_node("Add", ["step", "one"], ["next/step"], "counted"),
    ]
    constants = [numpy_helper.from_array(np.array(0.05, np.float32), "rate"), numpy_helper.from_array(np.array(1, np.int64), "one")]
    graph = onnx.helper.make_graph(nodes, "train_step", inputs, outputs, constants)
    model = onnx.helper.make_model(graph, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", 21)])
    lines = {"kind": "train-step", "protocol": "1", "inputs": "x", "targets": "t", "state": "scale\nstep\nw"}
    onnx.helper.set_model_props(model, {f"onnxdl.{k}": v for k, v in lines.items()})
    onnx.checker.check_model(model, full_check=True)
    return ir.from_proto(model)


INIT = """
<ir_version: 10, opset_import: ["" : 21], metadata_props: ["onnxdl.kind": "init", "onnxdl.protocol": "1"]>
init (int64 seed) => (float[3, 2] w, float[2] scale, int64 step)
<float[2] ones = {1, 1}, int64 zero = {0}, int64[2] shape = {3, 2}>
{ s = Cast<to = 1>(seed) half = Constant<value = float {0.5}>() v = Add(s, half) w = Expand(v, shape)
 scale = Identity(ones) step = Identity(zero) }
"""


def parts() -> tuple[ir.Model, ir.Model, ir.Model]:
    return ir.from_proto(onnx.parser.parse_model(INFERENCE)), step_model(), ir.from_proto(onnx.parser.parse_model(INIT))


def embedded() -> onnx.ModelProto:
    return training_info.embed(*parts())


def run(model: ir.Model | onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


def batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"x": rng.normal(size=(4, 3)).astype(np.float32), "t": rng.normal(size=(4, 2)).astype(np.float32)}


def test_the_file_still_predicts_as_before() -> None:
    model = embedded()
    onnx.checker.check_model(model, full_check=True)
    x = {"x": batch()["x"]}
    np.testing.assert_array_equal(run(model, x)["y"], run(parts()[0], x)["y"])


def test_the_standard_is_kept() -> None:
    """Names of the combined graph are unique, the algorithm lists no input twice, the initialization has none."""
    model = embedded()
    training = model.training_info[0]
    assert [v.name for v in training.algorithm.input] == ["t"]
    assert {t.name for t in training.algorithm.initializer} == {"step", "rate", "one"}
    assert {b.key: b.value for b in training.update_binding} == {"w": "next/w", "scale": "next/scale", "step": "next/step"}
    assert {b.key: b.value for b in training.initialization_binding} == {"w": "w", "scale": "scale", "step": "step"}
    assert not training.initialization.input
    made = [o for graph in (model.graph, training.algorithm) for n in graph.node for o in n.output]
    assert len(made) == len(set(made))
    combined = onnx.ModelProto()
    combined.CopyFrom(model)
    del combined.training_info[:]
    for field in ("node", "input", "output", "initializer"):
        getattr(combined.graph, field).extend(getattr(training.algorithm, field))
    onnx.checker.check_model(combined, full_check=True)


def test_extracting_gives_the_step_back() -> None:
    _, step, init = parts()
    extracted, first = training_info.extract(embedded())
    assert [v.name for v in extracted.graph.inputs] == ["x", "t", "w", "scale", "step"]
    assert [v.name for v in extracted.graph.outputs] == ["loss", "next/w", "next/scale", "next/step"]
    assert extracted.metadata_props == step.metadata_props
    assert first.metadata_props == init.metadata_props
    assert [n.name for n in extracted.graph] == [n.name for n in step.graph]
    state = run(first, {"seed": np.array(3, np.int64)})
    np.testing.assert_array_equal(state["w"], np.full((3, 2), 3.5, np.float32))
    for _ in range(3):
        expected, got = (run(m, {**batch(), **state}) for m in (step, extracted))
        for name, array in expected.items():
            np.testing.assert_array_equal(got[name], array)
        state = {name: expected[f"next/{name}"] for name in state}
    assert state["step"] == 3


def test_the_state_lies_in_the_file() -> None:
    state = {"step": np.array(41, np.int64), "w": np.zeros((3, 2), np.float32)}
    model = training_info.embed(*parts(), state=state)
    stored = training_info.state_of(model)
    assert stored["step"] == 41
    assert stored["w"][0, 0] == np.float32(0.1)  # a weight of the model is the model's own
    assert training_info.state_of(embedded())["step"] == 0


def test_writing_and_reading_keeps_it_all() -> None:
    model = embedded()
    training_info.check(onnx.ModelProto.FromString(model.SerializeToString()))


def test_metadata_says_what_the_file_once_held() -> None:
    model = embedded()
    kept = {p.key: p.value for p in model.metadata_props}
    assert kept["onnxdl.kind"] == "inference"
    assert kept["onnxdl.protocol"] == "1"
    del model.training_info[:]
    with pytest.raises(FormatError, match="dropped its training information"):
        training_info.check(model)


def test_a_file_without_it_is_told_so() -> None:
    with pytest.raises(FormatError, match="holds no training information"):
        training_info.extract(onnx.parser.parse_model(INFERENCE))


def a(model: onnx.ModelProto) -> onnx.GraphProto:
    return model.training_info[0].algorithm


def swap(bindings: Sequence[onnx.StringStringEntryProto]) -> None:
    bindings[0].value, bindings[2].value = bindings[2].value, bindings[0].value


FAULTS: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "binds what is not there": (lambda m: setattr(m.training_info[0].update_binding[0], "key", "nothing"), "no initializer"),
    "binds to what is not there": (lambda m: setattr(m.training_info[0].update_binding[0], "value", "nothing"), "no output"),
    "binds twice": (lambda m: m.training_info[0].update_binding.append(m.training_info[0].update_binding[0]), "twice"),
    "first value of what is not there": (
        lambda m: m.training_info[0].initialization_binding.add(key="nothing", value="w"),
        "no initializer",
    ),
    "first value from nowhere": (lambda m: setattr(m.training_info[0].initialization_binding[0], "value", "nothing"), "no output"),
    "updates nothing": (lambda m: m.training_info[0].ClearField("update_binding"), "updates nothing"),
    "another type": (lambda m: swap(m.training_info[0].update_binding), "another type or shape"),
    "entry forgotten": (lambda m: m.training_info[0].update_binding.pop(), "listed in the metadata"),
    "name of the model's graph": (lambda m: a(m).node[2].output.__setitem__(0, "h"), "twice"),
    "foreign operator": (lambda m: setattr(a(m).node[2], "domain", "com.microsoft"), "com.microsoft.Sub"),
    "unknown operator": (lambda m: setattr(a(m).node[2], "op_type", "Subtract"), "breaks the ONNX standard"),
    "reads nothing": (lambda m: a(m).node[2].input.__setitem__(0, "nothing"), "breaks the ONNX standard"),
    "no loss": (lambda m: a(m).output.pop(0), "no loss"),
    "two algorithms": (lambda m: m.training_info.append(m.training_info[0]), "2 training algorithms"),
    "later protocol": (
        lambda m: setattr(next(p for p in m.metadata_props if p.key == "onnxdl.protocol"), "value", "9"),
        "this version knows",
    ),
    "broken initialization": (lambda m: setattr(m.training_info[0].initialization.node[0], "op_type", "Nothing"), "initialization breaks"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_check_finds(fault: str) -> None:
    model = embedded()
    training_info.check(model)
    change, words = FAULTS[fault]
    change(model)
    if fault == "later protocol":
        del a(model).metadata_props[:]
    with pytest.raises(FormatError, match=words) as caught:
        training_info.check(model)
    assert "\n" not in str(caught.value)


def test_an_algorithm_that_shares_the_forward_pass_is_flattened_too() -> None:
    """The standard's own example: the algorithm reads what the inference graph computes, and names outputs as it likes."""
    model = onnx.parser.parse_model(INFERENCE)
    model.graph.input.append(onnx.helper.make_tensor_value_info("unused", 1, [1]))
    training = model.training_info.add()
    training.algorithm.CopyFrom(step_model_graph_sharing())
    training.update_binding.add(key="w", value="new_w")
    training.initialization.CopyFrom(
        onnx.parser.parse_graph("i () => (float[3, 2] zeros) { zeros = Constant<value = float[3, 2] {0,0,0,0,0,0}>() }")
    )
    training.initialization_binding.add(key="w", value="zeros")
    training_info.check(model)
    step, init = training_info.extract(model)
    assert [v.name for v in step.graph.inputs] == ["x", "t", "w"]
    assert [v.name for v in step.graph.outputs] == ["loss", "next/w"]
    w = training_info.state_of(model)["w"]
    expected = run(step_model(), {**batch(), "w": w, "scale": np.array([1, 2], np.float32), "step": np.array(0, np.int64)})
    got = run(step, {**batch(), "w": w})
    np.testing.assert_array_equal(got["next/w"], expected["next/w"])
    np.testing.assert_array_equal(run(init, {})["w"], np.zeros((3, 2), np.float32))


def step_model_graph_sharing() -> onnx.GraphProto:
    graph = ir.to_proto(step_model()).graph
    own = graph.node[2:10]
    own[-1].output[0] = "new_w"
    inputs = [v for v in graph.input if v.name == "t"]
    outputs = [graph.output[0], onnx.helper.make_tensor_value_info("new_w", 1, [3, 2])]
    return onnx.helper.make_graph(own, "algorithm", inputs, outputs, [t for t in graph.initializer if t.name == "rate"])


def test_a_step_that_does_not_fit_the_model_is_refused() -> None:
    inference, step, init = parts()
    step.graph.inputs[2].shape = ir.Shape([3, 4])
    with pytest.raises(FormatError, match="the weight 'w'"):
        training_info.embed(inference, step, init)
    inference, step, init = parts()
    step.graph.inputs[0].type = ir.TensorType(ir.DataType.DOUBLE)
    with pytest.raises(FormatError, match="the input 'x'"):
        training_info.embed(inference, step, init)
    inference, step, init = parts()
    step.graph.inputs[4].name = "count"
    with pytest.raises(FormatError, match="does not follow the protocol"):
        training_info.embed(inference, step, init)
