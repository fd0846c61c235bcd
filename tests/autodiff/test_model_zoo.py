"""The light model-zoo networks inside the onnx package, all nine, along random directions, by their data and by weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.checker
import pytest
from onnx import numpy_helper

from onnxdl import runtime
from onnxdl.autodiff.graph_model import gradient_model

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
QUICK = ["shufflenet", "squeezenet"]
LARGE = ["bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "vgg19", "zfnet512"]
CHANGE = 3e-4  # of the weighted output, relative to its size

ADDED = ("_b_", "bias", "mean", "_rm_")  # what the files call biases and means; other vectors are scales and variances

Arrays = dict[str, np.ndarray]


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in LARGE)])
def test_gradient_along_random_directions(name: str) -> None:
    """Differences of ONNX Runtime's own results, which are float32, as it has no float64 Conv.

    A direction is the gradient with each element weighted at random: along a purely random one of 150,000 dimensions nothing changes.
    """
    rng = np.random.default_rng(0)
    model, feeds = with_random_weights(LIGHT / f"light_{name}.onnx", rng)
    differentiated = gradient_model(model, list(feeds))
    onnx.checker.check_model(differentiated, full_check=True)
    session = runtime.create_session(differentiated.SerializeToString())
    (seed,) = (v for v in session.get_inputs() if v.name.startswith("seed/"))
    weight = rng.normal(size=seed.shape).astype(np.float32)
    found = runtime.run(session, [f"grad/{k}" for k in feeds], {**feeds, seed.name: weight})
    forward = runtime.create_session(model.SerializeToString())
    change = CHANGE * np.linalg.norm(weight * runtime.run(forward, None, feeds)[0])
    for key, gradient in zip(feeds, found, strict=True):
        gradient = gradient.astype(np.float64)
        for _ in range(2):
            direction = rng.uniform(0, 2, gradient.shape) * gradient
            direction *= change / (gradient * direction).sum()
            moved = [{**feeds, key: (feeds[key] + s * direction).astype(np.float32)} for s in (1, -1)]
            ahead, behind = (runtime.run(forward, None, m)[0].astype(np.float64) for m in moved)
            assert ((ahead - behind) * weight).sum() / 2 == pytest.approx(change, rel=0.02), key


def with_random_weights(path: Path, rng: np.random.Generator) -> tuple[onnx.ModelProto, Arrays]:
    """A light file, whose weights are all filled with one number, with random ones; its data and two of its weights are inputs.

    Weights have a variance that keeps signals alive, and those of the last layer one that keeps the softmax from saturating.
    """
    model = onnx.load(path)
    graph = model.graph
    shapes = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    data = next(v for v in graph.input if v.name not in shapes)
    filled = {n.output[0]: n for n in graph.node if n.op_type == "ConstantOfShape" and n.input[0] in shapes}
    matrices = [n.input[1] for n in graph.node if n.op_type in ("Conv", "Gemm") and n.input[1] in filled]
    feeds = {data.name: rng.normal(size=[d.dim_value for d in data.type.tensor_type.shape.dim]).astype(np.float32)}
    model.ir_version = 8  # from IR 4 on, initializers are no inputs
    del graph.input[:]
    graph.input.append(data)
    for name, node in filled.items():
        array = _weights(name, [int(d) for d in shapes[node.input[0]]], rng)
        graph.node.remove(node)
        if name in (matrices[0], matrices[-1]):
            feeds[name] = array
            graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, array.shape))
        else:
            graph.initializer.append(numpy_helper.from_array(array, name))
    feeds[matrices[-1]] /= _before_softmax(model, feeds).std()
    return model, feeds


def _before_softmax(model: onnx.ModelProto, feeds: Arrays) -> np.ndarray:
    last = model.graph.node[-1]
    if last.op_type != "Softmax":
        return np.asarray(runtime.run(runtime.create_session(model.SerializeToString()), None, feeds)[0])
    model.graph.output.append(onnx.ValueInfoProto(name=last.input[0]))
    session = runtime.create_session(model.SerializeToString())
    del model.graph.output[-1]
    return np.asarray(runtime.run(session, None, feeds)[1])


def _weights(name: str, shape: list[int], rng: np.random.Generator) -> np.ndarray:
    if len(shape) < 2:
        added = any(part in name for part in ADDED)
        return (rng.normal(size=shape) / 10 if added else rng.uniform(0.5, 1.5, shape)).astype(np.float32)
    return (rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)
