"""Weights back to PyTorch: a ``state_dict`` under torch's names, as ``.pth`` (written without torch) or ``.safetensors``."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from onnxdl.converters.torch.graph import graph_of
from onnxdl.converters.torch.layers import Unit, units_of
from onnxdl.errors import ConversionError
from onnxdl.io.atomic import replacing
from onnxdl.train.model import Model

_STORAGES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
_SAFE = {
    "float32": "F32",
    "float64": "F64",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


def write(model: Model, path: Path) -> None:
    """Writes a model's weights; see the package.

    Raises:
        ConversionError: a layer made here has weights that no torch module has.
        FormatError: the file cannot be written.
    """
    if path.suffix.lower() == ".py":
        from onnxdl.converters.torch.source import write_source

        write_source(model, path)
        return
    model.ensure_built()
    state = state_of(model)
    with replacing(path) as temporary, temporary.open("wb") as file:
        if path.suffix.lower() == ".safetensors":
            _write_safetensors(file, state)
        else:
            _write_pickle(file, state, _repeats(model), graph.program.versions if (graph := graph_of(model)) is not None else {})


def write_safetensors(model: Model, path: Path) -> None:
    """Writes a model's weights as safetensors, whatever the suffix."""
    model.ensure_built()
    with replacing(path) as temporary, temporary.open("wb") as file:
        _write_safetensors(file, state_of(model))


def state_of(model: Model) -> dict[str, np.ndarray]:
    """Torch's ``state_dict`` of a model, as arrays: the names that it came with, or the layers' own.

    Raises:
        ConversionError: a layer made here has weights that no torch module has.
    """
    graph = graph_of(model)
    if graph is not None:
        return {name: p.value for name, p in graph.state_names.items()}
    state: dict[str, np.ndarray] = {}
    foreign: list[str] = []
    for found in units_of(model):
        if not isinstance(found, Unit):
            foreign.append(found)
            continue
        for key, array in found.port.to_torch(found.layer).items():
            name = key
            if key.startswith(("weight_ih", "weight_hh", "bias_ih", "bias_hh")):
                name = f"{key.removesuffix('_reverse')}_l0{'_reverse' if key.endswith('_reverse') else ''}"
            state[f"{found.path}.{name}"] = np.asarray(array, order="C")  # np.ascontiguousarray would make a vector of a number
    if foreign:
        raise ConversionError(f"torch has no module for {', '.join(foreign)}")
    return state


def _repeats(model: Model) -> dict[str, str]:
    """The names of tied weights, each with the first name of the same one."""
    first: dict[int, str] = {}
    repeats: dict[str, str] = {}
    graph = graph_of(model)
    for name, parameter in graph.state_names.items() if graph is not None else ():
        if first.setdefault(id(parameter), name) != name:
            repeats[name] = first[id(parameter)]
    return repeats


# ---- safetensors ---------------------------------------------------------------------------------------------------------


def _write_safetensors(file: BinaryIO, state: Mapping[str, np.ndarray]) -> None:
    """Arrays as a safetensors file; tied ones are all written, so that a strict load finds every name."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for name, array in state.items():
        header[name] = {"dtype": _SAFE[array.dtype.name], "shape": list(array.shape), "data_offsets": [begin, begin + array.nbytes]}
        begin += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for array in state.values():
        file.write(np.ascontiguousarray(array).tobytes())


# ---- torch's zip ---------------------------------------------------------------------------------------------------------


def _write_pickle(file: BinaryIO, state: Mapping[str, np.ndarray], repeats: Mapping[str, str], versions: Mapping[str, int]) -> None:
    """Arrays as ``torch.save`` writes an OrderedDict of tensors; tied ones share a storage."""
    keys: dict[str, str] = {}
    for name in state:
        keys[name] = keys[repeats[name]] if name in repeats else str(len(set(keys.values())))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", _pickled(state, keys, versions))
        archive.writestr("archive/byteorder", b"little")
        written: set[str] = set()
        for name, array in state.items():
            if keys[name] not in written:
                written.add(keys[name])
                archive.writestr(f"archive/data/{keys[name]}", np.ascontiguousarray(array).tobytes())
        archive.writestr("archive/version", b"3\n")


def _pickled(state: Mapping[str, np.ndarray], keys: Mapping[str, str], versions: Mapping[str, int]) -> bytes:
    """The pickle of the dict, opcode by opcode: pickle itself would import torch for the names that it writes."""
    parts = [b"\x80\x02", b"ccollections\nOrderedDict\n)R("]
    for name, array in state.items():
        parts += [_text(name), _tensor(array, keys[name])]
    parts.append(b"u")
    if versions:  # some modules refuse a state that does not say of which version it is
        parts += [b"}", _text("_metadata"), b"ccollections\nOrderedDict\n)R("]
        parts += [_text(path) + b"}" + _text("version") + _integer(version) + b"s" for path, version in versions.items()]
        parts.append(b"usb")
    parts.append(b".")
    return b"".join(parts)


def _tensor(array: np.ndarray, key: str) -> bytes:
    if array.dtype.name not in _STORAGES:
        raise ConversionError(f"torch has no tensors of {array.dtype}")
    strides = [s // array.itemsize for s in np.ascontiguousarray(array).strides] if array.ndim else []
    storage = b"(" + _text("storage") + f"ctorch\n{_STORAGES[array.dtype.name]}\n".encode() + _text(key) + _text("cpu")
    storage += _integer(array.size) + b"tQ"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + _integer(0) + _tuple(array.shape) + _tuple(strides)
        + b"\x89" + b"ccollections\nOrderedDict\n)R" + b"tR"
    )  # fmt: skip


def _text(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _integer(n: int) -> bytes:
    return b"J" + struct.pack("<i", n) if n < 2**31 else b"\x8a\x08" + struct.pack("<q", n)


def _tuple(numbers: tuple[int, ...] | list[int]) -> bytes:
    return b"(" + b"".join(_integer(n) for n in numbers) + b"t"
