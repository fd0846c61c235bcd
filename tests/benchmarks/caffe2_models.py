"""Caffe2's classifiers beside the same nets in the onnx package, on the same random weights.

``python -m tests.benchmarks.caffe2_models FOLDER`` prints the largest difference before the softmax, of the largest output.

FOLDER is a checkout of the Caffe2 model repository: NAME/predict_net.pbtxt for each net. Both lists of weighted operators are in
the same order, so the weights of one are the weights of the other.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

import onnxdl as ox
from onnxdl.converters.caffe2.proto import net_def
from onnxdl.converters.caffe2.reading import read_net

NETS = ("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "vgg19", "zfnet512")
LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
WEIGHTED = {"Conv": "Conv", "FC": "Gemm", "SpatialBN": "BatchNormalization", "Mul": "Mul", "Add": "Add"}


def random_weights(model: onnx.ModelProto) -> list[np.ndarray]:
    """Fills the light model's weights; returns them in the order of the operators that use them."""
    rng = np.random.default_rng(0)
    shapes = {t.name: tuple(t.dims) for t in model.graph.initializer}
    made = {n.output[0]: n for n in model.graph.node if n.op_type in ("ConstantOfShape", "Unsqueeze", "Reshape", "Constant")}
    sizes = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    found: dict[str, np.ndarray] = {}

    def weight(name: str, i: int, kind: str) -> str | None:
        node = made.get(name)
        if node is not None and node.op_type in ("Unsqueeze", "Reshape"):
            return weight(node.input[0], i, kind)
        if node is not None and node.op_type == "ConstantOfShape":
            shape = tuple(int(d) for d in sizes[node.input[0]])
        elif name in shapes and sizes[name].dtype == np.float32:
            shape = shapes[name]
        else:
            return None
        fan = int(np.prod(shape[1:])) or 1
        positive = kind in ("BatchNormalization", "Mul") and i in (1, 4)
        array = rng.uniform(0.5, 1.5, shape) if positive else rng.normal(0, (2 / fan) ** 0.5 if len(shape) > 1 else 0.1, shape)
        found.setdefault(name, array.astype(np.float32))
        return name

    weighted = [n for n in model.graph.node if n.op_type in WEIGHTED.values()]
    order = [w for n in weighted for i, name in enumerate(n.input) if (w := weight(name, i, n.op_type))]
    kept = [n for n in model.graph.node if n.output[0] not in found]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    others = [t for t in model.graph.initializer if t.name not in found]
    del model.graph.initializer[:]
    model.graph.initializer.extend([*others, *(numpy_helper.from_array(a, n) for n, a in found.items())])
    return [found[name] for name in dict.fromkeys(order)]


def init_net(predict: object, arrays: list[np.ndarray], path: Path) -> None:
    """Writes an init_net that gives the weights of predict_net these values, in order."""
    net = net_def()()
    given = {o for operator in predict.op for o in operator.output}  # type: ignore[attr-defined]
    data = predict.op[0].input[0]  # type: ignore[attr-defined]
    names = dict.fromkeys(n for o in predict.op if o.type in WEIGHTED for n in o.input if n not in given and n != data)  # type: ignore[attr-defined]
    for name, array in zip(names, arrays, strict=True):
        operator = net.op.add(type="GivenTensorFill", output=[name])
        operator.arg.add(name="shape").ints.extend(array.shape)
        operator.arg.add(name="values").floats.extend(array.ravel().tolist())
    path.write_bytes(net.SerializeToString())


def compare(folder: Path, name: str) -> float:
    """The largest difference, of the largest output, which is what goes into the softmax: after it there would be little to see."""
    model = onnx.load(LIGHT / f"light_{name}.onnx")
    arrays = random_weights(model)
    last = next((n for n in reversed(model.graph.node) if n.op_type == "Softmax"), None)
    if last is not None:
        model.graph.output[0].CopyFrom(onnx.ValueInfoProto(name=last.input[0]))
    with tempfile.TemporaryDirectory() as scratch:
        pair = Path(scratch)
        predict = read_net(folder / name / "predict_net.pbtxt")
        del predict.external_output[:]
        outputs = [o.input[0] if o.type == "Softmax" else o.output[0] for o in predict.op]
        predict.external_output.append(outputs[-1])
        (pair / "predict_net.pb").write_bytes(predict.SerializeToString())
        (pair / "value_info.json").write_bytes((folder / name / "value_info.json").read_bytes())
        init_net(predict, arrays, pair / "init_net.pb")
        ours = ox.load(pair)
    spec = ours.input_specs[0]
    x = np.random.default_rng(1).normal(size=(1, *spec.shape[1:])).astype(np.float32)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: x})[0]
    found = ours.predict(x, verbose=0)
    return float(np.abs(found.reshape(expected.shape) - expected).max() / np.abs(expected).max())


if __name__ == "__main__":
    for net in NETS:
        print(f"{net:16} {compare(Path(sys.argv[1]), net):.1e}", flush=True)
