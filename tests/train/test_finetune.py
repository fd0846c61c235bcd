"""Fine-tuning of a model that somebody else made: cut, head, frozen weights, dropout and batch normalisation put back, low rank."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
from onnx import numpy_helper
from sklearn.datasets import load_digits

import onnxdl as ox
from onnxdl import finetune, nn, optim

TEXT = """<ir_version: 8, opset_import: ["" : 17], producer_name: "somebody">
    net (float[N, 1, 8, 8] image) => (float[N, 3] scores) {
        c1 = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(image, conv1_w, conv1_b)
        n1 = BatchNormalization(c1, gamma, beta, mean, variance)
        r1 = Relu(n1)
        c2 = Conv<kernel_shape = [3, 3], strides = [2, 2]>(r1, conv2_w, conv2_b)
        r2 = Relu(c2)
        flat = Flatten(r2)
        logits = Gemm<transB = 1>(flat, fc_w, fc_b)
        scores = Softmax(logits)
    }"""
SHAPES = {"conv1_w": (6, 1, 3, 3), "conv1_b": (6,), "conv2_w": (8, 6, 3, 3), "conv2_b": (8,), "fc_w": (3, 72), "fc_b": (3,)}
NORMALIZATION = ("gamma", "beta", "mean", "variance")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=shape).astype(np.float32) * 0.3 for name, shape in SHAPES.items()}
    arrays.update({name: rng.uniform(0.5, 1.5, 6).astype(np.float32) for name in NORMALIZATION})
    proto = onnx.parser.parse_model(TEXT)
    proto.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in arrays.items())
    for i, node in enumerate(proto.graph.node):
        node.name = f"node_{i}"
    proto.metadata_props.add(key="labels", value="cat,dog,bird")
    onnx.save(proto, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


@pytest.fixture
def digits() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    return (data.images[:600, None] / 8 - 1).astype(np.float32), data.target[:600]


def outputs_of(path: Path, x: np.ndarray, *names: str) -> list[np.ndarray]:
    """What plain ONNX Runtime computes, inner tensors too."""
    proto = onnx.load(path)
    proto.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in {o.name for o in proto.graph.output})
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(list(names), {"image": x})


def test_a_cut_computes_what_stands_there(file: Path, digits: tuple[np.ndarray, np.ndarray]) -> None:
    model, x = ox.load(file), digits[0][:5]
    assert finetune.tensors(model)[:2] == ["c1", "n1"]
    part = finetune.cut(model, "r2", "n1")
    assert part.output_names == ["r2", "n1"]
    for found, expected in zip(part.predict(x, verbose=0), outputs_of(file, x, "r2", "n1"), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    (r1,) = outputs_of(file, x, "r1")
    tail = finetune.cut(model, "scores", inputs=["r1"])
    assert [s.name for s in tail.input_specs] == ["r1"]
    np.testing.assert_allclose(tail.predict(r1, verbose=0), outputs_of(file, x, "scores")[0], rtol=1e-5, atol=1e-6)


def test_a_cut_has_the_weights_of_the_moment(file: Path, digits: tuple[np.ndarray, np.ndarray]) -> None:
    model, x = ox.load(file), digits[0][:5]
    dict(model.named_parameters())["conv1_w"].value = np.zeros(SHAPES["conv1_w"], np.float32)
    c1 = finetune.cut(model, "c1").predict(x, verbose=0)
    np.testing.assert_array_equal(np.ptp(c1, (0, 2, 3)), 0)


def test_what_cannot_be_cut_is_named(file: Path) -> None:
    model = ox.load(file)
    with pytest.raises(ox.GraphError, match=r"no tensor of the graph is called 'r3'; near it are r"):
        finetune.cut(model, "r3")
    with pytest.raises(ox.GraphError, match="no graph of its own"):
        finetune.cut(model, "c1", inputs=["r2"])
    layers = ox.Sequential([ox.Input((3,)), nn.Dense(2)])
    with pytest.raises(ox.GraphError, match=r"ox\.Model\(model\.input, layer\.output\)"):
        finetune.cut(layers, "dense")


def test_a_new_head_trains_alone_and_every_name_is_kept(file: Path, tmp_path: Path, digits: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = digits
    before = {t.name: numpy_helper.to_array(t) for t in onnx.load(file).graph.initializer}
    model = finetune.with_head(ox.load(file), 10, "softmax")
    assert finetune.train_only(model, "head.*") == ["head.kernel", "head.bias"]
    model.compile(optim.Adam(1e-2), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=4, verbose=0)
    frozen_accuracy = model.evaluate(x, y, verbose=0)[1]
    for name, array in before.items():
        if not name.startswith("fc"):
            np.testing.assert_array_equal(model.state[name], array)
    finetune.train_only(model, "*")
    model.compile(optim.Adam(1e-2), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=4, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] > max(frozen_accuracy, 0.9)
    assert not np.array_equal(model.state["mean"], before["mean"])
    model.export(tmp_path / "tuned.onnx")
    tuned = onnx.load(tmp_path / "tuned.onnx")
    assert {"image", *(f"node_{i}" for i in range(6))} <= {tuned.graph.input[0].name, *(n.name for n in tuned.graph.node)}
    assert {t.name for t in tuned.graph.initializer} >= {n for n in before if not n.startswith("fc")} | {"head.kernel", "head.bias"}
    assert {p.key: p.value for p in tuned.metadata_props}["labels"] == "cat,dog,bird"


def test_frozen_batch_normalization_keeps_its_statistics(file: Path, digits: tuple[np.ndarray, np.ndarray]) -> None:
    model = finetune.with_head(ox.load(file), 10, "softmax")
    finetune.train_only(model, "conv*", "head.*")
    model.compile("adam", "sparse_categorical_crossentropy")
    before = model.state["mean"]
    model.fit(*digits, epochs=1, verbose=0)
    np.testing.assert_array_equal(model.state["mean"], before)


def test_a_pattern_that_names_nothing_is_refused(file: Path) -> None:
    with pytest.raises(ox.GraphError, match=r"no weight is called 'conv3\*'; near it are conv"):
        finetune.train_only(ox.load(file), "conv3*")


def test_low_rank_changes_nothing_then_learns_and_merges(file: Path, tmp_path: Path, digits: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = digits
    model = finetune.with_head(ox.load(file), 10, "softmax")
    base = model.predict(x, verbose=0)
    assert set(finetune.add_lora(model, 2)) == {"conv1_w", "conv2_w", "head.kernel"}
    np.testing.assert_array_equal(model.predict(x, verbose=0), base)
    names = {p.name for p in model.trainable_weights}
    assert names == {"lora_a", "lora_b"}
    assert sum(p.size for p in model.trainable_weights) == 2 * (6 + 9 + 8 + 54 + 72 + 10)
    frozen = {n: v for n, v in model.state.items() if "lora" not in n}
    model.compile(optim.Adam(3e-2), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=6, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] > 0.8
    for name, value in frozen.items():
        if name in SHAPES:
            np.testing.assert_array_equal(model.state[name], value)
    adapted = model.predict(x, verbose=0)
    assert set(finetune.merge_lora(model)) == {"conv1_w", "conv2_w", "head.kernel"}
    np.testing.assert_allclose(model.predict(x, verbose=0), adapted, rtol=1e-4, atol=1e-6)
    model.save(tmp_path / "merged.onnx")
    assert not any("lora" in t.name for t in onnx.load(tmp_path / "merged.onnx").graph.initializer)


def test_low_rank_adapts_layers_too(tmp_path: Path) -> None:
    model = ox.Sequential([ox.Input((5,)), nn.Dense(8, activation="tanh", name="first"), nn.Dense(2, name="last")])
    x, y = np.random.default_rng(0).normal(size=(2, 64, 5)).astype(np.float32)
    before = model.predict(x, verbose=0)
    assert finetune.add_lora(model, 3, "first.*", alpha=6) == ["first.kernel"]
    model.compile("adam", "mse")
    history = model.fit(x, y[:, :2], epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]
    model.save(tmp_path / "adapted.onnx")
    np.testing.assert_allclose(ox.load(tmp_path / "adapted.onnx").predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)
    dict(model.named_parameters())["first.kernel.lora_b"].value = np.zeros((3, 8), np.float32)
    np.testing.assert_allclose(model.predict(x, verbose=0), before, atol=1e-6)


def test_dropout_put_back_drops_in_training_only(file: Path, digits: tuple[np.ndarray, np.ndarray]) -> None:
    model, x = ox.load(file), digits[0][:50]
    dropped = finetune.insert_dropout(model, 0.5, "r?")
    np.testing.assert_allclose(dropped.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)
    part = finetune.cut(dropped, "r1/Dropout:0")
    finetune.train_only(part, "conv*")  # batch statistics would move the zeros too
    zeros = [(part(ox.tensor(x), training=t).numpy() == 0).mean() for t in (False, True)]
    assert zeros[1] == pytest.approx((1 + zeros[0]) / 2, abs=0.02)
    assert "r1/ratio" not in dropped.state


def test_batch_normalization_put_back_computes_the_same_and_trains(file: Path, digits: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = digits
    model = finetune.insert_batch_normalization(ox.load(file), x, "c2")
    np.testing.assert_allclose(model.predict(x, verbose=0), ox.load(file).predict(x, verbose=0), atol=1e-5)
    headed = finetune.with_head(model, 10, "softmax")
    before = headed.state["c2/mean"]
    headed.compile("adam", "sparse_categorical_crossentropy")
    loss = headed.fit(x, y, epochs=3, verbose=0).history["loss"]
    assert loss[-1] < loss[0]
    assert not np.array_equal(headed.state["c2/mean"], before)


RAPIDOCR = importlib.util.find_spec("rapidocr_onnxruntime")


@pytest.mark.slow
@pytest.mark.skipif(RAPIDOCR is None, reason="pip install --no-deps rapidocr-onnxruntime, for its text-direction classifier")
def test_a_text_direction_classifier_learns_digits(tmp_path: Path, digits: tuple[np.ndarray, np.ndarray]) -> None:
    """PaddleOCR's classifier tells upright text lines from those upside down; here it learns to read."""
    assert RAPIDOCR is not None and RAPIDOCR.origin is not None
    path = Path(RAPIDOCR.origin).parent / "models/ch_ppocr_mobile_v2.0_cls_infer.onnx"
    x, y = digits
    x = np.repeat(x.repeat(4, 2).repeat(4, 3), 3, 1)
    accuracies = {}
    for patterns in (("head.*",), ("*",)):
        ox.set_seed(0)
        model = finetune.with_head(ox.load(path), 10, "softmax")
        finetune.train_only(model, *patterns)
        model.compile(optim.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x[:400], y[:400], epochs=4, verbose=0)
        accuracies[patterns] = model.evaluate(x[400:], y[400:], verbose=0)[1]
    assert accuracies["*",] > accuracies["head.*",] + 0.2
    model.export(tmp_path / "reader.onnx")
    names = [{t.name for t in onnx.load(p).graph.initializer} for p in (path, tmp_path / "reader.onnx")]
    nodes = [{n.name for n in onnx.load(p).graph.node if n.op_type == "Conv"} for p in (path, tmp_path / "reader.onnx")]
    assert nodes[1] == nodes[0]
    assert {n for n in names[0] if "conv" in n} <= names[1]
