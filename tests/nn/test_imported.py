"""Imported files as layers: same numbers as ONNX Runtime, names kept, trainable, training behaviour as the operators define it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import numpy_helper

import onnxdl as ox
from onnxdl import nn, op
from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph.imports import import_model
from onnxdl.graph.trace import Trace
from onnxdl.nn.imported import Imported
from onnxdl.train.load import load_onnx, model_of

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"

NET = """
<ir_version: 10, opset_import: ["" : 21], metadata_props: ["author": "someone"]>
net (float[N, 3, 8, 8] image) => (float[N, 5] probabilities, float[N, 4] features) {
  [conv] c = Conv<pads = [1, 1, 1, 1]>(image, conv_w, conv_b)
  [norm] n = BatchNormalization<epsilon = 0.001, momentum = 0.8>(c, gamma, beta, mean, variance)
  [relu] r = Relu(n)
  [pool] p = GlobalAveragePool(r)
  [flat] f = Reshape(p, shape)
  [drop] features = Dropout(f, ratio)
  [head] h = Gemm(features, fc_w, fc_b)
  [temper] t = Mul(h, temperature)
  [softmax] probabilities = Softmax(t)
}
"""


def net() -> onnx.ModelProto:
    model = onnx.parser.parse_model(NET)
    rng = np.random.default_rng(0)
    shapes = {
        "conv_w": (4, 3, 3, 3),
        "conv_b": (4,),
        "gamma": (4,),
        "beta": (4,),
        "mean": (4,),
        "variance": (4,),
        "fc_w": (4, 5),
        "fc_b": (5,),
    }
    for name, shape in shapes.items():
        array = rng.uniform(0.5, 1.5, shape) if name in ("variance", "gamma") else rng.normal(size=shape) * 0.3
        model.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    model.graph.initializer.append(numpy_helper.from_array(np.array([0, 4], np.int64), "shape"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.25, np.float32), "ratio"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(2, np.float32), "temperature"))
    onnx.checker.check_model(model, full_check=True)
    return model


def images(n: int = 6) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n, 3, 8, 8)).astype(np.float32)


def run(model: onnx.ModelProto | ir.Model, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, feeds)


def layer_of(text: str, **weights: np.ndarray) -> Imported:
    model = onnx.parser.parse_model(text if text.startswith("<") else f'<ir_version: 10, opset_import: ["" : 21]> {text}')
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in weights.items())
    return Imported(import_model(model))


def exported(layer: Imported, *, training: bool = False) -> ir.Model:
    """The layer in a trace of its own: an export's, with weights as initializers, or a training step's, with weights as inputs."""
    names = {p: n for n, p in layer.named_parameters()}
    with Trace("t", training=training) as trace:
        inputs = [trace.input(*spec) for spec in layer.input_specs]
        if training:
            trace.declare = lambda p: trace.input(names[p], p.dtype, p.shape)
        else:
            trace.declare = lambda p: trace.initializer(names[p], p.value)
        result = layer(inputs)
        outputs = dict(zip(layer.output_names, result if isinstance(result, list) else [result], strict=True))
        updates = {f"next/{names[p]}": t for p, t in trace.updates.items()}
        return trace.model({**outputs, **updates})


# ---- the same numbers -----------------------------------------------------------------------------------------------


def test_dynamic_calls_give_what_onnxruntime_gives() -> None:
    results = Imported(import_model(net()))(images())
    for got, expected in zip(results, run(net(), {"image": images()}), strict=True):
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_exported_again_it_computes_the_same_under_the_same_names() -> None:
    model = exported(Imported(import_model(net())))
    for got, expected in zip(run(model, {"image": images()}), run(net(), {"image": images()}), strict=True):
        np.testing.assert_array_equal(got, expected)
    before = net().graph
    assert [n.name for n in model.graph] == [n.name for n in before.node]
    assert [v.name for n in model.graph for v in n.outputs] == [o for n in before.node for o in n.output]
    assert set(model.graph.initializers) == {t.name for t in before.initializer}
    assert [v.name for v in model.graph.inputs] == ["image"]


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
def test_a_file_of_the_model_zoo_with_random_weights(name: str) -> None:
    """The zoo's light files fill all weights with one number; other weights make the comparison say something."""
    imported = import_model(onnx.load(LIGHT / f"light_{name}.onnx"))
    layer = Imported(imported)
    rng = np.random.default_rng(0)
    for parameter in layer.weights:
        fan = max(1, int(np.prod(parameter.shape[1:])))
        positive = any(word in (parameter.name or "") for word in ("riv", "var"))
        parameter.value = rng.uniform(0.5, 1.5, parameter.shape) if positive else rng.normal(size=parameter.shape) * (2 / fan) ** 0.5
    x = rng.normal(size=layer.input_specs[0][2]).astype(np.float32)
    original = ir.to_proto(imported)
    weights = {n: p.value for n, p in layer.named_parameters()}
    for node in original.graph.node:
        if node.output[0] in weights:
            node.op_type = "Constant"
            del node.input[:], node.attribute[:]
            node.attribute.append(onnx.helper.make_attribute("value", numpy_helper.from_array(weights[node.output[0]])))
    for tensor in original.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name], tensor.name))
    expected = run(original, {layer.input_specs[0][0]: x})[0]
    assert expected.std() > 1e-6
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-4, atol=1e-7)


def test_several_inputs_whole_numbers_and_branches() -> None:
    layer = layer_of(
        """g (int64[N] words, bool flip) => (float[N, 3] y, int64[N] twice) {
          [look] e = Gather(table, words)
          [choose] y = If(flip) <then_branch = t () => (float[N, 3] a) { a = Mul(e, factor) },
                                 else_branch = f () => (float[N, 3] b) { b = Identity(e) }>
          two = Constant<value = int64 {2}>()
          twice = Mul(words, two)
        }""",
        table=np.arange(12, dtype=np.float32).reshape(4, 3),
        factor=np.array([1, -1, 2], np.float32),
    )
    words = np.array([3, 1], np.int64)
    y, twice = layer({"words": words, "flip": np.array(True)})
    np.testing.assert_array_equal(y.numpy(), np.arange(12).reshape(4, 3)[words] * [1, -1, 2])
    np.testing.assert_array_equal(twice.numpy(), words * 2)
    model = exported(layer)
    np.testing.assert_array_equal(run(model, {"words": words, "flip": np.array(False)})[0], np.arange(12).reshape(4, 3)[words])
    assert [n for n, _ in layer.named_parameters()] == ["table", "factor"]


def test_loops_are_copied() -> None:
    layer = layer_of(
        """g (float[2] x, int64 turns) => (float[2] y) {
          go = Constant<value = bool {1}>()
          y = Loop(turns, go, x) <body = b (int64 i, bool c, float[2] v) => (bool d, float[2] w) { d = Identity(c) w = Mul(v, grow) }>
        }""",
        grow=np.array([2, 3], np.float32),
    )
    np.testing.assert_array_equal(layer(np.ones(2, np.float32), np.array(3, np.int64)).numpy(), [8, 27])
    np.testing.assert_array_equal(run(exported(layer), {"x": np.ones(2, np.float32), "turns": np.array(2, np.int64)})[0], [4, 9])


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_float_types(dtype: str) -> None:
    spelled = {"float16": "float16", "float64": "double"}[dtype]
    weight = np.arange(6).reshape(3, 2).astype(dtype)
    layer = layer_of(f"g ({spelled}[N, 3] x) => ({spelled}[N, 2] y) {{ y = MatMul(x, w) }}", w=weight)
    assert layer.weights[0].dtype == np.dtype(dtype)
    x = np.ones((2, 3), dtype)
    np.testing.assert_array_equal(layer(x).numpy(), x @ weight)


def test_functions_are_inlined() -> None:
    text = """<ir_version: 10, opset_import: ["" : 21, "local" : 1]>
    g (float[N, 3] x) => (float[N, 3] y) { y = local.twice(x) }
    <opset_import: ["" : 21], domain: "local"> twice (a) => (b) { b = Add(a, a) }"""
    layer = Imported(ir.from_proto(onnx.parser.parse_model(text)))
    np.testing.assert_array_equal(layer(np.ones((1, 3), np.float32)).numpy(), [[2, 2, 2]])


def test_operators_outside_the_standard_keep_their_types() -> None:
    layer = layer_of(
        """<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>
        g (float[2, 3] x) => (float[2, 3] y) <float[2, 3] h> { h = com.microsoft.QuickGelu<alpha = 1.0>(x) y = Mul(h, w) }""",
        w=np.array([1, 2, 3], np.float32),
    )
    x = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    np.testing.assert_allclose(run(exported(layer), {"x": x})[0], x / (1 + np.exp(-x)) * [1, 2, 3], rtol=1e-5)


def test_later_opsets_raise_the_opset_of_the_trace() -> None:
    text = '<ir_version: 11, opset_import: ["" : 23]> g (float[N, 4] x) => (float[N, 4] y) { y = RMSNormalization(x, w) }'
    model = exported(layer_of(text, w=np.ones(4, np.float32)))
    assert model.graph.opset_imports[""] == 23


# ---- what is a weight -----------------------------------------------------------------------------------------------


def test_float_initializers_are_parameters_and_the_rest_is_not() -> None:
    layer = Imported(import_model(net()))
    trained = {n for n, p in layer.named_parameters() if p.trainable}
    kept = {n for n, p in layer.named_parameters() if not p.trainable}
    assert trained == {"conv_w", "conv_b", "gamma", "beta", "fc_w", "fc_b"}
    assert kept == {"mean", "variance", "temperature"}


def test_weights_in_constant_nodes_are_parameters_where_they_arrive_at_weight_inputs() -> None:
    layer = layer_of(
        """g (float[N, 2] x) => (float[N, 2] y) {
          w = Constant<value = float[2, 2] {1, 2, 3, 4}>()
          turned = Transpose<perm = [1, 0]>(w)
          b = Constant<value = float[2] {5, 6}>()
          spread = Constant<value = float[2] {2, 4}>()
          centred = Div(x, spread)
          h = MatMul(centred, turned)
          y = Add(h, b)
        }"""
    )
    assert [n for n, _ in layer.named_parameters()] == ["w", "b"]
    x = np.array([[2, 4]], np.float32)
    np.testing.assert_array_equal(layer(x).numpy(), [[8, 13]])
    layer.weights[1].value = np.zeros(2, np.float32)
    np.testing.assert_array_equal(layer(x).numpy(), [[3, 7]])


def test_settings_stay_constants() -> None:
    layer = layer_of(
        """g (float[1, 1, 2, 2] x) => (float y)
        { r = Resize(x, , scales) c = Clip(r, low) p = Pow(c, exponent) y = ReduceSum<keepdims = 0>(p) }""",
        scales=np.array([1, 1, 2, 2], np.float32),
        low=np.array(0, np.float32),
        exponent=np.array([2], np.float32),
    )
    assert layer.weights == []
    assert float(layer(np.array([[[[1, -5], [2, 3]]]], np.float32))) == 4 * (1 + 4 + 9)


def test_a_constant_of_shape_may_not_claim_the_memory() -> None:
    text = """g (float[N, 3] x) => (float[N, 3] y) { s = Constant<value = int64[2] {1152921504606846976, 1152921504606846976}>()
    w = ConstantOfShape(s) h = MatMul(x, w) y = Identity(x) }"""
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]> {text}')
    assert Imported(ir.from_proto(model)).weights == []


def test_two_layers_with_weights_of_one_name_are_told_apart() -> None:
    x = ox.Input((3, 8, 8), name="image")
    first, second = Imported(import_model(net())), Imported(import_model(net()))
    with pytest.raises(GraphError, match="two weights"):
        ox.Model(x, op.Add(first(x)[0], second(x)[0])).state  # noqa: B018


def test_wrong_inputs_are_refused() -> None:
    layer = Imported(import_model(net()))
    with pytest.raises(ShapeError, match="takes 1 inputs"):
        layer(images(), images())
    with pytest.raises(ShapeError, match="'image' is float32"):
        layer(images().astype(np.float64))
    with pytest.raises(ShapeError, match="takes the inputs image"):
        layer({"picture": images()})
    old = ir.from_proto(onnx.parser.parse_model('<ir_version: 7, opset_import: ["" : 11]> g (float[1] x) => (float[1] y) { y = Relu(x) }'))
    with pytest.raises(GraphError, match="opset 11"):
        Imported(old)


# ---- training -------------------------------------------------------------------------------------------------------


def test_batch_normalization_trains_as_the_operator_defines_it() -> None:
    """The oracle is the operator itself with training_mode=1, whose running statistics are outputs."""
    text = "g (float[N, 2, 4] x) => (float[N, 2, 4] y) { y = BatchNormalization<epsilon = 0.01, momentum = 0.7>(x, s, b, m, v) }"
    weights = {"s": np.array([1, 2]), "b": np.array([0.5, -1]), "m": np.array([0.1, 0.2]), "v": np.array([2, 3])}
    weights = {n: a.astype(np.float32) for n, a in weights.items()}
    model = exported(layer_of(text, **weights), training=True)
    assert all(n.op_type != "BatchNormalization" for n in model.graph)
    x = np.random.default_rng(0).normal(size=(5, 2, 4)).astype(np.float32) * 3 + 1
    y, mean, variance = run(model, {"x": x, **weights})
    oracle = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 21]> g (float[N, 2, 4] x, float[2] s, float[2] b, float[2] m, float[2] v)
        => (float[N, 2, 4] y, float[2] p, float[2] q)
        { y, p, q = BatchNormalization<epsilon = 0.01, momentum = 0.7, training_mode = 1>(x, s, b, m, v) }"""
    )
    for got, expected in zip((y, mean, variance), run(oracle, {"x": x, **weights}), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_a_frozen_layer_keeps_its_statistics() -> None:
    layer = Imported(import_model(net()))
    layer.trainable = False
    model = exported(layer, training=True)
    assert "BatchNormalization" in [n.op_type for n in model.graph]
    assert not any((v.name or "").startswith("next/") for v in model.graph.outputs)


def test_files_saved_in_training_mode_predict_in_inference_mode() -> None:
    text = """g (float[N, 2, 4] x) => (float[N, 2, 4] z, float[2] p, float[2] q)
    { y, p, q = BatchNormalization<training_mode = 1>(x, s, b, m, v)
    on = Constant<value = bool {1}>() ratio = Constant<value = float {0.9}>() z = Dropout(y, ratio, on) }"""
    one, zero = np.ones(2, np.float32), np.zeros(2, np.float32)
    layer = layer_of(text, s=one, b=zero, m=one, v=one * 4)
    x = np.full((3, 2, 4), 5, np.float32)
    z, p, q = (t.numpy() for t in layer(x))
    np.testing.assert_allclose(z, np.full_like(x, 2), rtol=1e-5)
    np.testing.assert_array_equal(p, one)
    np.testing.assert_array_equal(q, one * 4)


def test_dropout_drops_while_training_only() -> None:
    text = """g (float[N, 100] x) => (float[N, 100] y, bool[N, 100] kept) { y, kept = Dropout(x, ratio) }"""
    layer = layer_of(text, ratio=np.array(0.25, np.float32))
    x = np.ones((50, 100), np.float32)
    y, kept = (t.numpy() for t in layer(x))
    assert (y == 1).all()
    assert kept.all()
    y, kept = (t.numpy() for t in layer(x, training=True))
    assert abs(kept.mean() - 0.75) < 0.02
    np.testing.assert_allclose(y, kept / 0.75, rtol=1e-6)
    assert "Dropout" not in [n.op_type for n in exported(layer, training=True).graph]


def test_a_loaded_model_trains_saves_and_comes_back(tmp_path: Path) -> None:
    proto = net()
    del proto.graph.output[1]
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    model = load_onnx(tmp_path / "net.onnx")
    assert [s.name for s in model.input_specs] == ["image"]
    assert model.output_names == ["probabilities"]
    assert set(model.state) == {"conv_w", "conv_b", "gamma", "beta", "mean", "variance", "fc_w", "fc_b", "temperature"}
    np.testing.assert_allclose(model.predict(images()), run(proto, {"image": images()})[0], rtol=1e-5, atol=1e-7)
    model.compile(optimizer=ox.optim.Adam(1e-2), loss="sparse_categorical_crossentropy")
    x, y = images(64), np.random.default_rng(2).integers(0, 5, 64)
    x += y[:, None, None, None] * 0.5
    history = model.fit(x, y, batch_size=16, epochs=8, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] * 0.9
    model.save(tmp_path / "tuned.onnx")
    again = load_onnx(tmp_path / "tuned.onnx")
    np.testing.assert_allclose(again.predict(x), model.predict(x), rtol=1e-5, atol=1e-7)
    assert set(again.state) == set(model.state) > set(dict(model.named_parameters()))
    assert not np.allclose(again.state["conv_w"], numpy_helper.to_array(proto.graph.initializer[0]))
    names = [n.name for n in onnx.load(tmp_path / "tuned.onnx").graph.node]
    assert names == [n.name for n in proto.graph.node]


def test_it_stands_among_other_layers_without_losing_its_names() -> None:
    body = Imported(import_model(net()))
    x = ox.Input((3, 8, 8), name="image")
    model = ox.Model(x, nn.Dense(2, name="new_head")(body(x)[1]))
    assert {"conv_w", "new_head.kernel", "new_head.bias"} <= set(model.state)
    assert model.predict(images()).shape == (6, 2)


def test_the_first_state_of_a_loaded_model_is_the_files_own() -> None:
    from onnxdl.train.step import initialization

    model = model_of(import_model(net()))
    program = initialization(dict(model.named_parameters()))
    onnx.checker.check_model(ir.to_proto(program), full_check=True)
    state = dict(zip([v.name for v in program.graph.outputs], run(program, {"seed": np.array(1, np.int64)}), strict=True))
    for tensor in net().graph.initializer:
        if tensor.name in state:
            np.testing.assert_array_equal(state[tensor.name], numpy_helper.to_array(tensor))


def test_other_domains_keep_their_version() -> None:
    text = """<ir_version: 10, opset_import: ["" : 21, "ai.onnx.ml" : 3]> g (float[N, 2] x) => (float[N, 2] y)
    { s = ai.onnx.ml.Scaler<offset = [1.0, 2.0], scale = [2.0, 4.0]>(x) y = Mul(s, w) }"""
    layer = layer_of(text, w=np.array([1, -1], np.float32))
    x = np.array([[3, 3]], np.float32)
    np.testing.assert_array_equal(layer(x).numpy(), [[4, -4]])
    model = exported(layer)
    assert model.graph.opset_imports["ai.onnx.ml"] == 3
    np.testing.assert_array_equal(run(model, {"x": x})[0], [[4, -4]])
