"""Files made to do harm: nothing in them runs, nothing outside their folder is read, nothing is allocated on a claim."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import onnxdl as ox
from onnxdl import nn
from onnxdl.data.files import read_data
from tests.benchmarks.fuzz import limited

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limits are those of Linux")
HUGE = 2**60


def refusal(path: Path, read: Callable[[Path], Any] = ox.load) -> str:
    """What is said of a file, within ten seconds and one GiB."""
    with pytest.raises(ox.OnnxdlError) as caught, limited():
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    assert "MemoryError" not in message
    return message


def net() -> ox.Sequential:
    return ox.Sequential([ox.Input((2,)), nn.Dense(1)])


def into_net(path: Path) -> Any:
    return ox.load(path, net())


# ---- code ------------------------------------------------------------------------------------------------------------


class Harm:
    """Pickled as a call that makes a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


def torch_zip(data: bytes, *, name: str = "archive/data.pkl", **members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, data)
        archive.writestr("archive/version", b"3\n")
        for member, content in members.items():
            archive.writestr(member, content)
    return stream.getvalue()


def legacy(data: bytes) -> bytes:
    """torch.save's files before 1.6: three pickles, the object, and the storages' keys."""
    head = [pickle.dumps(p, 2) for p in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    return b"".join([*head, data, pickle.dumps([], 2)])


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
@pytest.mark.parametrize("kind", [torch_zip, legacy])
@pytest.mark.parametrize("place", ["itself", "a weight", "beside the weights"])
def test_a_pickle_with_code_is_not_run(tmp_path: Path, kind: Callable[[bytes], bytes], suffix: str, place: str) -> None:
    marker = tmp_path / "marker"
    harm = Harm(marker)
    held = {"itself": harm, "a weight": {"weight": harm}, "beside the weights": {"epoch": harm, "state_dict": {"w": harm}}}[place]
    content = kind(pickle.dumps(held, 2))
    path = tmp_path / f"evil{suffix}"
    path.write_bytes(content)
    assert refusal(path, into_net)
    assert not marker.exists()
    pickle.loads(pickle.dumps(held, 2))
    assert marker.exists()  # it would have done so


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_an_array_of_pickled_objects_is_refused(tmp_path: Path, suffix: str) -> None:
    marker = tmp_path / "marker"
    array = np.array([Harm(marker)], object)
    path = tmp_path / f"evil{suffix}"
    np.save(path, array) if suffix == ".npy" else np.savez(path, x=array)
    assert "bject" in refusal(path, read_data)
    assert not marker.exists()


def lambda_config() -> dict[str, Any]:
    import base64
    import marshal

    code = base64.b64encode(marshal.dumps((lambda x: x).__code__)).decode()
    function = {"class_name": "__lambda__", "config": {"code": code, "defaults": None, "closure": None}}
    layers = [
        {"class_name": "InputLayer", "module": "keras.layers", "config": {"batch_shape": [None, 2], "dtype": "float32", "name": "x"}},
        {"class_name": "Lambda", "module": "keras.layers", "config": {"name": "evil_layer", "function": function, "arguments": {}}},
    ]
    return {"class_name": "Sequential", "module": "keras", "config": {"name": "net", "layers": layers, "build_input_shape": [None, 2]}}


def keras_archive(path: Path, config: bytes, **members: bytes) -> None:
    h5py = pytest.importorskip("h5py")
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_group("layers")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", config)
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.0"}))
        archive.writestr("model.weights.h5", weights.getvalue())
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_the_marshalled_code_of_a_lambda_is_refused_with_the_way_out(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    h5py = pytest.importorskip("h5py")
    import marshal

    config, path = json.dumps(lambda_config()), tmp_path / f"evil{suffix}"
    if suffix == ".keras":
        keras_archive(path, config.encode())
    else:
        with h5py.File(path, "w") as file:
            file.attrs["model_config"], file.attrs["keras_version"] = config, "3.15.0"
            file.create_group("model_weights")

    def loads(data: bytes) -> None:
        raise AssertionError("marshal was asked for code")

    monkeypatch.setattr(marshal, "loads", loads)
    message = refusal(path)
    assert "custom_objects" in message
    assert "evil_layer" in message


def onnx_file(path: Path, **metadata: str) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [2]) for n in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    helper.set_model_props(model, metadata)
    path.write_bytes(model.SerializeToString())
    return model


def test_an_operator_of_another_domain_loads_no_library(tmp_path: Path) -> None:
    path = tmp_path / "evil.onnx"
    model = onnx_file(path, library="./evil.so")
    model.graph.node[0].domain, model.graph.node[0].op_type = "evil", "Run"
    model.opset_import.append(helper.make_opsetid("evil", 1))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ox.OnnxdlError, match=r"evil:Run.* is not a registered function/op"):
        ox.load(path).predict(np.zeros(2, np.float32), verbose=0)


@pytest.mark.parametrize(
    "described", ['{"class_name": "Popen", "config": {"args": "true"}}', '{"class_name": "Harm", "config": {}}', "[" * 50000]
)
def test_metadata_cannot_name_a_class_of_elsewhere(tmp_path: Path, described: str) -> None:
    path = tmp_path / "named.onnx"
    onnx_file(path, **{"onnxdl.model": described})
    with limited():
        model = ox.load(path)  # as the graph that it is
    assert type(model) is ox.Model
    assert not model.weights


# ---- other places ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../outside", "/outside", "a/../../outside", "..\\outside", "C:\\outside"])
def test_members_that_lead_out_of_a_keras_archive_are_refused(tmp_path: Path, name: str) -> None:
    keras_archive(tmp_path / "evil.keras", b"{}", **{name: b"x"})
    assert "leads out of the archive" in refusal(tmp_path / "evil.keras")


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
def test_members_of_a_torch_archive_are_never_written(tmp_path: Path, suffix: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    path = inner / f"evil{suffix}"
    path.write_bytes(torch_zip(pickle.dumps({"w": 1}, 2), **{"archive/../../outside": b"x", "archive/data/../../../outside": b"x"}))
    refusal(path, into_net)
    assert [p.name for p in tmp_path.iterdir()] == ["inner"]
    assert [p.name for p in inner.iterdir()] == [path.name]


@pytest.mark.parametrize("way", ["link", "external", "virtual"])
def test_hdf5_that_keeps_its_data_elsewhere_is_refused(tmp_path: Path, way: str) -> None:
    h5py = pytest.importorskip("h5py")
    (tmp_path / "secret").write_bytes(b"0" * 64)
    path = tmp_path / "evil.weights.h5"
    net().export(path, format="keras")
    with h5py.File(path, "r+") as file:
        found: list[str] = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) and item.shape == (2, 1) else None)
        del file[found[0]]
        if way == "link":
            file[found[0]] = h5py.ExternalLink(str(tmp_path / "secret"), "/w")
        elif way == "external":
            file.create_dataset(found[0], (2, 1), "f4", external=[(str(tmp_path / "secret"), 0, 8)])
        else:
            layout = h5py.VirtualLayout((2, 1), "f4")
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret"), "/w", (2, 1))
            file.create_virtual_dataset(found[0], layout)
    assert "another" in refusal(path, into_net)


# ---- bombs and claims ------------------------------------------------------------------------------------------------


def bomb(member: str, size: int = 3 << 30) -> bytes:
    """A zip whose only large member would expand to many spaces."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = bytearray()
    block = b" " * (1 << 24)
    checksum = 0
    for _ in range(4):
        packed += packer.compress(block)
        checksum = zlib.crc32(block, checksum)
    packed += packer.flush()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(member, b" " * 100)
    content = bytearray(stream.getvalue())
    # its head and directory claim the large size; what is stored is what such a size compresses to at most
    head = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, checksum, len(packed), size, len(member), 0) + member.encode() + packed
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 0, checksum, len(packed), size, len(member), 0, 0, 0, 0, 0, 0)
    directory = entry + member.encode()
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(directory), len(head), 0)
    assert content[:4] == head[:4]
    return head + directory + end


@pytest.mark.parametrize(
    ("name", "member", "read"),
    [
        ("bomb.keras", "config.json", ox.load),
        ("bomb.pt", "archive/data.pkl", into_net),
        ("bomb.pt2", "archive/models/model.json", ox.load),
        ("bomb.npz", "x.npy", read_data),
    ],
)
def test_zip_bombs_are_refused(tmp_path: Path, name: str, member: str, read: Callable[[Path], Any]) -> None:
    (tmp_path / name).write_bytes(bomb(member))
    message = refusal(tmp_path / name, read)
    assert str(3 << 30) in message


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(bytes(200 << 20), 1))
    assert "would expand" in refusal(path, read_data)


def test_an_image_bomb_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    (tmp_path / "images" / "a").mkdir(parents=True)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    (tmp_path / "images" / "a" / "bomb.png").write_bytes(png)
    with pytest.raises(ox.FormatError, match=r"bomb\.png"), limited():
        read_data(tmp_path / "images")


def npy(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue() + bytes(16)


def npz(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x.npy", npy(shape))
    return stream.getvalue()


def safetensors(shape: tuple[int, ...]) -> bytes:
    header = json.dumps({"dense.weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, 16]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(16)


def torch_claim(shape: tuple[int, ...]) -> bytes:
    """A tensor of any shape on a storage of sixteen bytes."""
    sizes = b"(" + b"".join(pickle.LONG1 + bytes([9]) + n.to_bytes(9, "little") for n in shape) + b"t"
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0" + sizes + sizes + b"\x89ccollections\nOrderedDict\n)RtR"
    return torch_zip(b"\x80\x02}X\x01\0\0\0w" + tensor + b"s.", **{"archive/data/0": bytes(16)})


CLAIMS: dict[str, tuple[Callable[[tuple[int, ...]], bytes], Callable[[Path], Any]]] = {
    "x.npy": (npy, read_data),
    "x.npz": (npz, read_data),
    "x.safetensors": (safetensors, into_net),
    "checkpoint.safetensors": (safetensors, ox.load_checkpoint),
    "x.pt": (torch_claim, into_net),
    "x.idx": (lambda shape: bytes([0, 0, 8, len(shape)]) + b"\xff\xff\xff\xff" * len(shape) + bytes(16), read_data),
}


@pytest.mark.parametrize("shape", [(HUGE,), (2**30, 2**30), (2**33, 1), (2**62, 2**62, 4)], ids=str)
@pytest.mark.parametrize("name", CLAIMS)
def test_shapes_that_the_file_does_not_hold_are_refused_before_anything_is_allocated(
    tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    make, read = CLAIMS[name]
    (tmp_path / name).write_bytes(make(shape))
    refusal(tmp_path / name, read)


def test_a_huge_hdf5_array_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "evil.weights.h5"
    net().export(path, format="keras")
    with h5py.File(path, "r+") as file:
        found: list[str] = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) and item.shape == (2, 1) else None)
        del file[found[0]]
        file.create_dataset(found[0], (2**35, 2**20), "f4", chunks=(1, 1024))
    assert "claims" in refusal(path, into_net)


@pytest.mark.parametrize("units", [2**60, 2**40, -1])
def test_a_layer_of_impossible_size_in_a_keras_file_is_refused(tmp_path: Path, units: int) -> None:
    config = lambda_config()
    config["config"]["layers"][1] = {"class_name": "Dense", "module": "keras.layers", "config": {"name": "dense", "units": units}}
    keras_archive(tmp_path / "evil.keras", json.dumps(config).encode())
    refusal(tmp_path / "evil.keras")


def test_a_caffe2_net_cannot_fill_the_memory(tmp_path: Path) -> None:
    from onnxdl.converters.caffe2.proto import net_def

    predict, init = net_def()(), net_def()()
    predict.op.add(type="Relu", input=["x"], output=["y"])
    fill = init.op.add(type="ConstantFill", output=["w"])
    fill.arg.add(name="shape").ints.extend([2**30])
    (tmp_path / "predict_net.pb").write_bytes(predict.SerializeToString())
    (tmp_path / "init_net.pb").write_bytes(init.SerializeToString())
    with pytest.raises(ox.FormatError, match=r"init_net\.pb: w claims the shape"), limited():
        ox.load(tmp_path / "predict_net.pb")


def test_constants_that_an_onnx_file_would_fill_the_memory_with_are_not_made_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "evil.onnx"
    model = onnx_file(path)
    shape = helper.make_node("Constant", [], ["s"], value_ints=[2**20, 2**20])
    fill = helper.make_node("ConstantOfShape", ["s"], ["c"])
    total = helper.make_node("ReduceSum", ["c"], ["t"], keepdims=0)
    del model.graph.node[:]
    model.graph.node.extend([shape, fill, total, helper.make_node("Add", ["x", "t"], ["y"])])
    path.write_bytes(model.SerializeToString())
    with limited():
        assert type(ox.load(path)) is ox.Model
