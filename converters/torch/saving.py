"""``torch.save``'s zip, written without torch: opcode by opcode, since pickle would import torch for the names that it writes."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from onnxdl.errors import ConversionError

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


class StateDict(NamedTuple):
    """A module's ``state_dict``: arrays by name, and the versions of modules that refuse a state which does not say its own."""

    arrays: Mapping[str, np.ndarray]
    versions: Mapping[str, int]


def save(file: BinaryIO, value: Any) -> None:
    """Writes plain data, arrays and StateDicts as ``torch.save`` does; the same array twice shares its storage."""
    storages: dict[int, tuple[str, np.ndarray]] = {}
    data = b"\x80\x02" + _pickled(value, storages) + b"."
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", b"little")
        for key, array in storages.values():
            archive.writestr(f"archive/data/{key}", np.ascontiguousarray(array).tobytes())
        archive.writestr("archive/version", b"3\n")


def _pickled(value: Any, storages: dict[int, tuple[str, np.ndarray]]) -> bytes:
    match value:
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            return b"J" + struct.pack("<i", value) if abs(value) < 2**31 else b"\x8a\x08" + struct.pack("<q", value)
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            data = value.encode()
            return b"X" + struct.pack("<I", len(data)) + data
        case np.ndarray():
            return _tensor(value, storages)
        case StateDict():
            text = b"ccollections\nOrderedDict\n)R(" + _items(value.arrays, storages) + b"u"
            if not value.versions:
                return text
            versions = b"".join(_pickled(path, {}) + _pickled({"version": n}, {}) for path, n in value.versions.items())
            return text + b"}" + _pickled("_metadata", {}) + b"ccollections\nOrderedDict\n)R(" + versions + b"usb"
        case tuple():
            return b"(" + b"".join(_pickled(v, storages) for v in value) + b"t"
        case list():
            return b"](" + b"".join(_pickled(v, storages) for v in value) + b"e"
        case Mapping():
            return b"}(" + _items(value, storages) + b"u"
    raise ConversionError(f"a file of torch's holds no {type(value).__name__}")


def _items(entries: Mapping[Any, Any], storages: dict[int, tuple[str, np.ndarray]]) -> bytes:
    return b"".join(_pickled(k, storages) + _pickled(v, storages) for k, v in entries.items())


def _tensor(array: np.ndarray, storages: dict[int, tuple[str, np.ndarray]]) -> bytes:
    if array.dtype.name not in _STORAGES:
        raise ConversionError(f"torch has no tensors of {array.dtype}")
    key, _ = storages.setdefault(id(array), (str(len(storages)), array))
    strides = tuple(s // array.itemsize for s in np.ascontiguousarray(array).strides) if array.ndim else ()
    name = f"ctorch\n{_STORAGES[array.dtype.name]}\n".encode()
    storage = b"(" + _pickled("storage", {}) + name + b"".join(_pickled(v, {}) for v in (key, "cpu", array.size)) + b"tQ"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + _pickled(0, {}) + _pickled(array.shape, {}) + _pickled(strides, {})
        + b"\x89" + b"ccollections\nOrderedDict\n)R" + b"tR"
    )  # fmt: skip
