"""Files like those that the fuzzer found readers to fail on: each ends in one line, within the limits of ``limited``."""

from __future__ import annotations

import json
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import onnxdl as ox
from onnxdl import nn
from onnxdl.data.files import read_data
from onnxdl.data.images import LARGEST
from tests.benchmarks.fuzz import limited

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limits are those of Linux")


@pytest.mark.parametrize("shape", [(), (2**16, 2**16, 2**16, 2**16), (0, 2**31, 2**31, 4)], ids=str)
def test_an_idx_file_whose_sizes_multiply_to_what_a_machine_word_forgets(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "x-idx3-ubyte"
    path.write_bytes(bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + (b"" if shape else b"\7"))
    with pytest.raises(ox.FormatError, match="x-idx3-ubyte is cut short or damaged"):
        read_data(path)


@pytest.mark.parametrize("shape", [(2**62, 2**62, 0, 12), (2**46, 2**40, 0)], ids=str)
def test_an_mxnet_array_of_no_elements_and_huge_sizes(shape: tuple[int, ...], tmp_path: Path) -> None:
    (tmp_path / "net-symbol.json").write_text(json.dumps({"nodes": [], "arg_nodes": [], "heads": []}))
    path = tmp_path / "net-0000.params"
    array = struct.pack(f"<IiI{len(shape)}q3i", 0xF993FAC9, 0, len(shape), *shape, 1, 0, 0)
    path.write_bytes(struct.pack("<QQQ", 0x112, 0, 1) + array + struct.pack("<QQ1s", 1, 1, b"w"))
    with pytest.raises(ox.FormatError, match="claims an array of shape"):
        ox.load(path)


def test_an_image_too_large_to_decode_in_a_gib(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    side = int(LARGEST**0.5) + 1

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(side * (side + 1)), 9)  # grey, well formed to the end
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    (tmp_path / "images" / "a").mkdir(parents=True)
    path = tmp_path / "images" / "a" / "black.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    with limited(), pytest.raises(ox.FormatError, match=rf"black\.png has {side} x {side} pixels"):
        read_data(path.parents[1])[0][np.arange(1)]


def test_a_heap_of_texts_that_hdf5_would_walk_forever(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    path = tmp_path / "net.h5"
    ox.Sequential([ox.Input((2,)), nn.Dense(1)]).export(path, format="keras")
    content = bytearray(path.read_bytes())
    at = content.find(b"GCOL")
    content[at + 16 : at + 32] = bytes(16)  # object 0, of no size
    path.write_bytes(content)
    with pytest.raises(ox.FormatError, match=rf"net\.h5 is damaged or no Keras file: the heap at byte {at} is damaged"):
        ox.load(path)


def test_a_target_that_the_training_in_a_file_does_not_take(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    model = ox.Sequential([ox.Input((2,)), nn.Dense(1)])
    model.compile("sgd", "mse")
    model.train_on_batch(np.ones((1, 2), np.float32), np.ones((1, 1), np.float32))
    model.save(path)
    proto = onnx.load(path)
    (named,) = [p for p in proto.training_info[0].algorithm.metadata_props if p.key == "onnxdl.targets"]
    named.value = "elsewhere"
    onnx.save(proto, path)
    with pytest.raises(ox.FormatError, match=r"net\.onnx names a target 'elsewhere'"):
        ox.load(path)


@pytest.mark.parametrize("layer", [lambda: nn.Conv2D(2, 5), lambda: nn.DepthwiseConv2D(5)])
def test_a_convolution_that_has_no_room_is_refused_where_it_is_made(layer: Callable[[], nn.Layer]) -> None:
    with pytest.raises(ox.ShapeError, match=r"the result would have the shape .*-1\]: the input is too small"):
        ox.Sequential([ox.Input((1, 3, 3)), layer(), nn.Flatten(), nn.Dense(1)])


@pytest.mark.parametrize("axis", [2**63, -(2**70), 10**400])
def test_an_attribute_of_more_than_64_bits(axis: int) -> None:
    with pytest.raises(ox.GraphError, match=r"attribute 'axis' .* cannot be"):
        ox.op.Concat(np.ones(2), np.ones(2), axis=axis)
    with pytest.raises(ox.GraphError, match=r"attribute 'perm' .* cannot be"):
        ox.op.Transpose(np.ones((1, 1)), perm=[0, axis])


def test_names_in_a_file_neither_break_a_message_nor_steer_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    evil = "first\nError: all is well\x1b[2J"
    x, y = (helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [2]) for n in "xy")
    graph = helper.make_graph([helper.make_node(evil, ["x"], ["y"])], "g", [x], [y])
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]).SerializeToString())
    with pytest.raises(ox.OnnxdlError) as caught:
        ox.load(path)
    assert str(caught.value).isprintable()
    assert r"\x1b[2J" in str(caught.value)


def test_a_normalization_without_weights_in_an_mxnet_symbol(tmp_path: Path) -> None:
    nodes = [{"op": "null", "name": "data", "inputs": []}, {"op": "BatchNorm", "name": "bn", "inputs": [[0, 0, 0]]}]
    (tmp_path / "net-symbol.json").write_text(json.dumps({"nodes": nodes, "arg_nodes": [0], "heads": [[1, 0, 0]]}))
    (tmp_path / "net-0000.params").write_bytes(struct.pack("<QQQQ", 0x112, 0, 0, 0))
    with pytest.raises(ox.OnnxdlError, match=r"net-symbol\.json"):
        ox.load(tmp_path / "net-symbol.json", input_shapes={"data": (1, 4)})
