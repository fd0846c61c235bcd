"""Caffe2's nets, written by hand as its exporters write them, against PyTorch on the same weights."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

import onnxdl as ox
from onnxdl import optim
from onnxdl.converters.caffe2.proto import net_def

PREDICT = """
name: "small"
op { input: "data" input: "c1_w" input: "c1_b" output: "c1" type: "Conv"
     arg { name: "kernel" i: 3 } arg { name: "pad" i: 1 } arg { name: "stride" i: 1 } arg { name: "order" s: "NCHW" } }
op { input: "c1" input: "s" input: "b" input: "rm" input: "riv" output: "bn" type: "SpatialBN"
     arg { name: "is_test" i: 1 } arg { name: "epsilon" f: 1e-3 } }
op { input: "bn" output: "bn" type: "Relu" }
op { input: "bn" output: "lrn" output: "_scale" type: "LRN"
     arg { name: "size" i: 3 } arg { name: "alpha" f: 0.01 } arg { name: "beta" f: 0.75 } arg { name: "bias" f: 2.0 } }
op { input: "lrn" output: "p1" type: "MaxPool" arg { name: "kernel" i: 3 } arg { name: "stride" i: 2 } arg { name: "legacy_pad" i: 3 } }
op { input: "p1" input: "c2_w" output: "c2" type: "Conv"
     arg { name: "kernel" i: 3 } arg { name: "group" i: 2 }
     arg { name: "pad_t" i: 1 } arg { name: "pad_l" i: 0 } arg { name: "pad_b" i: 0 } arg { name: "pad_r" i: 2 } }
op { input: "c2" input: "gain" output: "c2g" type: "Mul" arg { name: "broadcast" i: 1 } arg { name: "axis" i: 1 } }
op { input: "c2g" input: "c2" output: "cat" output: "_dims" type: "Concat" arg { name: "order" s: "NCHW" } }
op { input: "cat" output: "p2" type: "AveragePool" arg { name: "kernel" i: 3 } arg { name: "pad" i: 1 } arg { name: "stride" i: 2 } }
op { input: "p2" output: "drop" output: "_mask" type: "Dropout" arg { name: "ratio" f: 0.5 } arg { name: "is_test" i: 1 } }
op { input: "drop" input: "fc_w" input: "fc_b" output: "fc" type: "FC" }
op { input: "fc" output: "prob" type: "Softmax" }
external_input: "data"
external_output: "prob"
"""

SHAPES = {
    "c1_w": (4, 2, 3, 3), "c1_b": (4,), "s": (4,), "b": (4,), "rm": (4,), "riv": (4,), "c2_w": (6, 2, 3, 3), "gain": (6,),
    "fc_w": (3, 48), "fc_b": (3,),
}  # fmt: skip


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {n: (rng.uniform(0.5, 1.5, s) if n in ("s", "riv") else rng.normal(0, 0.5, s)) for n, s in SHAPES.items()}
    return {n: a.astype(np.float32) for n, a in arrays.items()}


def write_pair(folder: Path, weights: dict[str, np.ndarray], *, text: bool) -> None:
    predict, init = net_def()(), net_def()()
    text_format.Parse(PREDICT, predict)
    for name, array in weights.items():
        operator = init.op.add(type="GivenTensorFill", output=[name])
        operator.arg.add(name="shape").ints.extend(array.shape)
        operator.arg.add(name="values").floats.extend(array.ravel().tolist())
    init.op.add(type="ConstantFill", output=["data"]).arg.add(name="shape").ints.append(1)
    for name, net in (("predict_net", predict), ("init_net", init)):
        if text:
            (folder / f"{name}.pbtxt").write_text(text_format.MessageToString(net))
        else:
            (folder / f"{name}.pb").write_bytes(net.SerializeToString())


def torch_result(x: np.ndarray, w: dict[str, np.ndarray]) -> np.ndarray:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    t = {n: torch.tensor(a) for n, a in w.items()}
    h = functional.conv2d(torch.tensor(x), t["c1_w"], t["c1_b"], padding=1)
    h = functional.batch_norm(h, t["rm"], t["riv"], t["s"], t["b"], eps=1e-3).relu()
    h = functional.local_response_norm(h, 3, alpha=0.01, beta=0.75, k=2.0)
    h = functional.max_pool2d(h, 3, 2, ceil_mode=True)
    h = functional.conv2d(functional.pad(h, (0, 2, 1, 0)), t["c2_w"], groups=2)
    h = torch.cat([h * t["gain"][:, None, None], h], 1)
    h = functional.avg_pool2d(h, 3, 2, 1, count_include_pad=False)
    return torch.softmax(h.flatten(1) @ t["fc_w"].T + t["fc_b"], 1).numpy()


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
def test_a_net_computes_what_its_operators_say(tmp_path: Path, weights: dict[str, np.ndarray], text: bool) -> None:
    write_pair(tmp_path, weights, text=text)
    x = np.random.default_rng(1).normal(size=(3, 2, 8, 8)).astype(np.float32)
    model = ox.load(tmp_path if not text else tmp_path / "predict_net.pbtxt", input_shapes={"data": (2, 8, 8)})
    np.testing.assert_allclose(model.predict(x, verbose=0), torch_result(x, weights), rtol=1e-4, atol=1e-6)


def test_a_net_trains_and_comes_back(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    write_pair(tmp_path, weights, text=False)
    model = ox.load(tmp_path, input_shapes={"data": (2, 8, 8)})
    assert set(model.state) == set(SHAPES)
    x = np.random.default_rng(1).normal(size=(16, 2, 8, 8)).astype(np.float32)
    model.compile(optim.Adam(1e-2), "sparse_categorical_crossentropy")
    losses = [model.train_on_batch(x, np.arange(16) % 3) for _ in range(30)]
    assert losses[-1] < losses[0] * 0.8
    assert all(not np.array_equal(model.state[n], a) for n, a in weights.items())
    model.export(tmp_path / "net.onnx")
    np.testing.assert_allclose(ox.load(tmp_path / "net.onnx").predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-4, atol=1e-6)


def test_what_is_missing_or_unknown_is_named(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    write_pair(tmp_path, weights, text=False)
    (tmp_path / "init_net.pb").rename(tmp_path / "elsewhere")
    with pytest.raises(ox.FormatError, match=r"there is no init_net\.pb or init_net\.pbtxt beside it"):
        ox.load(tmp_path / "predict_net.pb")
    (tmp_path / "init_net.pb").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(ox.FormatError, match="is a Git LFS pointer"):
        ox.load(tmp_path / "predict_net.pb")
    (tmp_path / "elsewhere").rename(tmp_path / "init_net.pb")
    (tmp_path / "predict_net.pb").unlink()
    (tmp_path / "predict_net.pbtxt").write_text(PREDICT.replace('"LRN"', '"GenerateProposals"').replace('"FC"', '"NanCheck"'))
    with pytest.raises(ox.ConversionError, match="no equal here: GenerateProposals, NanCheck"):
        ox.load(tmp_path)


def test_damage_ends_in_a_clear_error(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    write_pair(tmp_path, weights, text=False)
    whole, rng = (tmp_path / "init_net.pb").read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(int(rng.integers(1, 8))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        (tmp_path / "init_net.pb").write_bytes(bytes(data))
        with contextlib.suppress(ox.OnnxdlError):  # anything else fails the test
            ox.load(tmp_path, input_shapes={"data": (2, 8, 8)})
