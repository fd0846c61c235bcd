"""MXNet's files, made with MXNet 1.9.1 by fixtures/make_mxnet.py, against what MXNet computed."""

from __future__ import annotations

import contextlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import optim
from onnxdl.converters.mxnet.arrays import read_params

FIXTURES = Path(__file__).parent / "fixtures" / "mxnet"
NETS = ("cnn", "resnet", "mobilenet", "lstm", "gru", "rnn", "shapes")


def reference(name: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(FIXTURES / f"{name}.npz") as stored:
        x, y = stored["x"], stored["y"]
    return (x.astype(np.int64) if name in ("lstm", "gru", "rnn") else x), y


@pytest.mark.parametrize("name", NETS)
def test_a_net_computes_what_mxnet_computes(name: str) -> None:
    x, y = reference(name)
    model = ox.load(FIXTURES / f"{name}-symbol.json")
    np.testing.assert_allclose(model.predict(x, verbose=0), y, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["cnn", "resnet", "lstm"])
def test_a_net_trains_under_its_own_names_and_comes_back(name: str, tmp_path: Path) -> None:
    x, y = reference(name)
    model = ox.load(FIXTURES / f"{name}-0000.params")
    stored = read_params(FIXTURES / f"{name}-0000.params")
    assert set(model.state) == {n.split(":", 1)[1] for n in stored}
    model.compile(optim.Adam(1e-2), "mse")
    losses = [model.train_on_batch(x, np.zeros_like(y)) for _ in range(20)]
    assert losses[-1] < losses[0] * 0.9
    before = {n.split(":", 1)[1]: a for n, a in stored.items()}
    moved = {n for n, a in model.state.items() if n in before and not np.array_equal(a, before[n])}
    assert moved == set(before) - FIXED.get(name, set())
    model.export(tmp_path / "net.onnx")
    np.testing.assert_allclose(ox.load(tmp_path / "net.onnx").predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


FIXED = {"cnn": {"bn1_gamma"}, "resnet": {"residual0_batchnorm1_gamma", "residual1_batchnorm1_gamma"}}
"""Scales that MXNet holds at 1: ``fix_gamma``."""


def test_dropout_and_statistics_are_those_of_training(tmp_path: Path) -> None:
    x, _ = reference("cnn")
    model = ox.load(FIXTURES / "cnn-symbol.json")
    tensor = ox.tensor(x)
    assert not np.array_equal(model(tensor, training=True).numpy(), model(tensor).numpy())


def old_symbol(name: str) -> dict[str, object]:
    """A symbol as version 0.8 wrote it: ``param``, and running statistics that nobody lists."""
    symbol = json.loads((FIXTURES / f"{name}-symbol.json").read_text())
    hidden = {i for i, n in enumerate(symbol["nodes"]) if n["name"].endswith(("_moving_mean", "_moving_var"))}
    place = {old: new for new, old in enumerate(i for i in range(len(symbol["nodes"])) if i not in hidden)}
    nodes = []
    for i, node in enumerate(symbol["nodes"]):
        if i not in hidden:
            inputs = [[place[j], k] for j, k, _ in node["inputs"] if j not in hidden]
            nodes.append(
                {"op": node["op"], "param": node.get("attrs", {}), "name": node["name"], "inputs": inputs, "backward_source_id": -1}
            )
    return {"nodes": nodes, "arg_nodes": [], "heads": [[place[symbol["heads"][0][0]], 0]]}


def old_params(name: str) -> bytes:
    """Arrays as they were written before V1: dimensions of 32 bits, no mark before them."""
    arrays = read_params(FIXTURES / f"{name}-0000.params")
    parts = [struct.pack("<QQQ", 0x112, 0, len(arrays))]
    for array in arrays.values():
        parts.append(struct.pack(f"<I{array.ndim}Iiii", array.ndim, *array.shape, 1, 0, 0) + array.tobytes())
    parts.append(struct.pack("<Q", len(arrays)))
    parts += [struct.pack("<Q", len(n)) + n.encode() for n in arrays]
    return b"".join(parts)


def test_files_of_version_0_8(tmp_path: Path) -> None:
    (tmp_path / "old-symbol.json").write_text(json.dumps(old_symbol("cnn")))
    (tmp_path / "old-0003.params").write_bytes(old_params("cnn"))
    x, y = reference("cnn")
    np.testing.assert_allclose(ox.load(tmp_path / "old-symbol.json").predict(x, verbose=0), y, rtol=1e-5, atol=1e-5)


def test_what_is_not_known_is_listed_at_once(tmp_path: Path) -> None:
    symbol = json.loads((FIXTURES / "cnn-symbol.json").read_text())
    for node in symbol["nodes"]:
        node["op"] = {"LRN": "Correlation", "Pooling": "ROIPooling"}.get(node["op"], node["op"])
    (tmp_path / "odd-symbol.json").write_text(json.dumps(symbol))
    (tmp_path / "odd-0000.params").write_bytes((FIXTURES / "cnn-0000.params").read_bytes())
    with pytest.raises(ox.ConversionError, match=r"odd-symbol\.json uses MXNet operators that have no equal here: Correlation, ROIPooling"):
        ox.load(tmp_path / "odd-symbol.json")


def test_damaged_files_are_named(tmp_path: Path) -> None:
    whole = (FIXTURES / "cnn-0000.params").read_bytes()
    (tmp_path / "cut-symbol.json").write_bytes((FIXTURES / "cnn-symbol.json").read_bytes())
    rng = np.random.default_rng(0)
    for i in range(100):
        data = bytearray(whole)
        for _ in range(int(rng.integers(1, 6))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        (tmp_path / "cut-0000.params").write_bytes(bytes(data[: int(rng.integers(len(data)))]) if i % 2 else bytes(data))
        with contextlib.suppress(ox.OnnxdlError):  # anything else fails the test
            read_params(tmp_path / "cut-0000.params")
    (tmp_path / "cut-0000.params").write_bytes(whole[:1000])
    with pytest.raises(ox.FormatError, match=r"cut-0000\.params ends in the middle of an array, at byte 1000"):
        read_params(tmp_path / "cut-0000.params")
    (tmp_path / "cut-0000.params").write_bytes(whole)
    (tmp_path / "cut-symbol.json").write_text('{"nodes": [{"op": "null"}], "heads": [[0, 0]]}')
    with pytest.raises(ox.FormatError, match="is no MXNet symbol"):
        ox.load(tmp_path / "cut-symbol.json")
