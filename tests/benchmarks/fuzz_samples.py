"""Small real files of every reader, for the fuzzer: each is made in a folder, with the call that reads it."""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import onnxdl as ox
from onnxdl import nn
from onnxdl.data.files import read_data

FIXTURES = Path(__file__).parents[1] / "converters" / "fixtures"
RNG = np.random.default_rng


@dataclass(frozen=True)
class Sample:
    """Files of one reader.

    Args:
        path: what is given to the reader.
        read: the reader.
        files: those that are damaged.
    """

    path: Path
    read: Callable[[Path], Any]
    files: list[Path]


def net() -> ox.Sequential:
    """A small net with one of each kind of weight."""
    ox.set_seed(1)
    layers = [nn.Conv2D(2, 3), nn.BatchNormalization(), nn.Flatten(), nn.Dense(3, activation="softmax")]
    return ox.Sequential([ox.Input((1, 5, 5)), *layers])


def one(path: Path, read: Callable[[Path], Any] = ox.load) -> Sample:
    """A sample of a single file."""
    return Sample(path, read, [path])


def onnx(folder: Path) -> Sample:
    model = net()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.train_on_batch(np.zeros((2, 1, 5, 5), np.float32), np.zeros(2, np.int64))
    model.save(folder / "net.onnx")
    return one(folder / "net.onnx")


def plain_onnx(folder: Path) -> Sample:
    net().export(folder / "net.onnx")
    return one(folder / "net.onnx")


def external_onnx(folder: Path) -> Sample:
    from onnxdl.io import onnx_file

    model = ox.Sequential([ox.Input((20,)), nn.Dense(20)])
    model.export(folder / "net.onnx")
    onnx_file.write(onnx_file.read(folder / "net.onnx"), folder / "net.onnx", limit=500)
    return Sample(folder / "net.onnx", ox.load, sorted(folder.iterdir()))


def keras_file(name: str) -> Callable[[Path], Sample]:
    def make(folder: Path) -> Sample:
        path = folder / name
        path.write_bytes(gzip.decompress((FIXTURES / f"{name}.gz").read_bytes()))
        return one(path)

    return make


def keras_net(name: str) -> Callable[[Path], Sample]:
    def make(folder: Path) -> Sample:
        inputs = ox.Input((4,))
        hidden = nn.Dense(3, activation="relu")(inputs)
        model = ox.Model(inputs, nn.Dense(2)(nn.Concatenate()([hidden, nn.BatchNormalization()(hidden)])))
        model.compile("adam", "mse", metrics=["mae"])
        model.train_on_batch(np.zeros((2, 4), np.float32), np.zeros((2, 2), np.float32))
        model.export(folder / name, format="keras")
        return one(folder / name)

    return make


def keras_weights(folder: Path) -> Sample:
    model = net()
    model.export(folder / "net.weights.h5", format="keras")
    return one(folder / "net.weights.h5", lambda path: ox.load(path, model))


def torch_net() -> Any:
    from torch import nn as tn

    return tn.Sequential(tn.Conv2d(1, 2, 3), tn.BatchNorm2d(2), tn.Flatten(), tn.Linear(18, 3))


def pt2(folder: Path) -> Sample:
    import torch

    torch.export.save(torch.export.export(torch_net().eval(), (torch.zeros(2, 1, 5, 5),)), folder / "net.pt2")
    return one(folder / "net.pt2")


def torch_weights(name: str, zipped: bool) -> Callable[[Path], Sample]:
    def make(folder: Path) -> Sample:
        import torch

        module, model = torch_net(), net()
        optimizer = torch.optim.Adam(module.parameters())
        module(torch.zeros(2, 1, 5, 5)).sum().backward()
        optimizer.step()
        held = {"epoch": 3, "state_dict": module.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(held, folder / name, _use_new_zipfile_serialization=zipped)
        if not zipped:  # storages are called after their addresses, which differ from run to run
            content = (folder / name).read_bytes()
            keys = dict.fromkeys(re.findall(rb"X\x0e\x00\x00\x00(\d{14})|X\x0f\x00\x00\x00(\d{15})", content))
            for i, found in enumerate(keys):
                key = found[0] or found[1]
                content = content.replace(key, str(10 ** (len(key) - 1) + i).encode())
            (folder / name).write_bytes(content)
        return one(folder / name, lambda path: ox.load(path, model))

    return make


def safetensors(folder: Path) -> Sample:
    model = net()
    model.export(folder / "net.safetensors", format="safetensors")
    return one(folder / "net.safetensors", lambda path: ox.load(path, model))


def checkpoint(folder: Path) -> Sample:
    ox.save_checkpoint(folder / "checkpoint.safetensors", net().state, {"onnxdl.run": '{"place": {"epoch": 1}}'})
    return one(folder / "checkpoint.safetensors", ox.load_checkpoint)


def mxnet(name: str) -> Callable[[Path], Sample]:
    def make(folder: Path) -> Sample:
        files = [Path(shutil.copy(FIXTURES / "mxnet" / f"{name}-{rest}", folder)) for rest in ("symbol.json", "0000.params")]
        return Sample(files[0], ox.load, files)

    return make


CAFFE2 = """
op { input: "data" input: "w" input: "b" output: "c" type: "Conv" arg { name: "kernel" i: 3 } arg { name: "pad" i: 1 } }
op { input: "c" output: "c" type: "Relu" }
op { input: "c" output: "p" type: "MaxPool" arg { name: "kernel" i: 2 } arg { name: "stride" i: 2 } }
op { input: "p" input: "fw" input: "fb" output: "f" type: "FC" }
op { input: "f" output: "prob" type: "Softmax" }
external_input: "data"
external_output: "prob"
"""


def caffe2(text: bool) -> Callable[[Path], Sample]:
    def make(folder: Path) -> Sample:
        from google.protobuf import text_format

        from onnxdl.converters.caffe2.proto import net_def

        predict, init = net_def()(), net_def()()
        text_format.Parse(CAFFE2, predict)
        for name, shape in {"w": (2, 1, 3, 3), "b": (2,), "fw": (3, 8), "fb": (3,)}.items():
            operator = init.op.add(type="GivenTensorFill", output=[name])
            operator.arg.add(name="shape").ints.extend(shape)
            operator.arg.add(name="values").floats.extend(RNG(0).normal(size=shape).ravel().tolist())
        files = []
        for name, message in (("predict_net", predict), ("init_net", init)):
            files.append(folder / (name + (".pbtxt" if text else ".pb")))
            files[-1].write_bytes(text_format.MessageToString(message).encode() if text else message.SerializeToString())
        return Sample(files[0], lambda path: ox.load(path, input_shapes={"data": (1, 4, 4)}), files)

    return make


def saved_model(folder: Path) -> Sample:
    place = folder / "model"
    shutil.copytree(FIXTURES / "saved_model", place)
    return Sample(place, ox.load, sorted(f for f in place.rglob("*") if f.is_file() and f.stat().st_size))


def tfjs(folder: Path) -> Sample:
    import json

    first = {"name": "a", "units": 3, "activation": "relu", "batch_input_shape": [None, 4], "dtype": "float32"}
    second = {"name": "b", "units": 2, "activation": "softmax", "dtype": "float32"}
    config = {"name": "net", "layers": [{"class_name": "Dense", "config": c} for c in (first, second)]}
    shapes = {"a/kernel": [4, 3], "a/bias": [3], "b/kernel": [3, 2], "b/bias": [2]}
    described = [{"name": n, "shape": s, "dtype": "float32"} for n, s in shapes.items()]
    manifest = [{"paths": ["group1-shard1of1.bin"], "weights": described}]
    topology = {"keras_version": "2.15.0", "model_config": {"class_name": "Sequential", "config": config}}
    text = json.dumps({"format": "layers-model", "modelTopology": topology, "weightsManifest": manifest})
    (folder / "model.json").write_text(text)
    data = RNG(0).normal(size=sum(int(np.prod(s)) for s in shapes.values())).astype(np.float32)
    (folder / "group1-shard1of1.bin").write_bytes(data.tobytes())
    return Sample(folder / "model.json", ox.load, [folder / "model.json", folder / "group1-shard1of1.bin"])


# ---- data -----------------------------------------------------------------------------------------------------------


def read_all(path: Path) -> Any:
    """Inputs and targets, decoded to the last."""
    x, y = read_data(path)
    parts = x.values() if isinstance(x, dict) else [x]
    return [np.asarray(part[np.arange(min(len(part), 4))] if np.ndim(part) else part) for part in parts], y


def data(name: str, write: Callable[[Path], Any]) -> Callable[[Path], Sample]:
    def make(folder: Path) -> Sample:
        write(folder / name)
        return one(folder / name, read_all)

    return make


X = RNG(0).integers(0, 255, (4, 6, 6)).astype(np.uint8)
Y = np.arange(4) % 2


def idx(path: Path, array: np.ndarray = X) -> None:
    content = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def mnist(folder: Path) -> Sample:
    place = folder / "mnist"
    place.mkdir()
    for part in ("train", "t10k"):
        idx(place / f"{part}-images-idx3-ubyte")
        idx(place / f"{part}-labels-idx1-ubyte", Y)
    return Sample(place, read_all, sorted(place.iterdir()))


def cifar(folder: Path) -> Sample:
    place = folder / "cifar"
    place.mkdir()
    for name in ("data_batch_1.bin", "test_batch.bin"):
        (place / name).write_bytes(RNG(0).integers(0, 10, (2, 3073), np.uint8).tobytes())
    return Sample(place, read_all, sorted(place.iterdir()))


def images(folder: Path) -> Sample:
    from PIL import Image

    place = folder / "images"
    for i, suffix in enumerate(("png", "jpg", "bmp", "gif", "tiff", "webp", "ppm")):
        file = place / f"class{i % 2}" / f"{suffix}.{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG(i).integers(0, 255, (8, 8, 3)).astype(np.uint8)).save(file)
    return Sample(place, lambda path: read_data(path)[0][np.arange(7)], sorted(place.rglob("*.*")))


SAMPLES: dict[str, Callable[[Path], Sample]] = {
    "onnx": onnx,
    "onnx-plain": plain_onnx,
    "onnx-external": external_onnx,
    "keras": keras_net("net.keras"),
    "keras2": keras_file("keras2_2.21_masked.keras"),
    "h5": keras_net("net.h5"),
    "h5-keras2": keras_file("keras2_2.13_sequence.h5"),
    "weights.h5": keras_weights,
    "pt2": pt2,
    "pth": torch_weights("net.pth", True),
    "pt-legacy": torch_weights("net.pt", False),
    "safetensors": safetensors,
    "checkpoint": checkpoint,
    "mxnet": mxnet("cnn"),
    "mxnet-lstm": mxnet("lstm"),
    "caffe2": caffe2(False),
    "caffe2-text": caffe2(True),
    "saved-model": saved_model,
    "tfjs": tfjs,
    "npz": data("data.npz", lambda p: np.savez(p, x=X.astype(np.float32), y=Y)),
    "npy": data("data.npy", lambda p: np.save(p, X.astype(np.float32))),
    "csv": data("data.csv", lambda p: p.write_text("a,b,label\n" + "\n".join(f"{i}.5,{-i},{i % 3}" for i in range(9)))),
    "idx": data("x-idx3-ubyte", idx),
    "idx-gz": data("x-idx3-ubyte.gz", idx),
    "mnist": mnist,
    "cifar": cifar,
    "images": images,
}
