"""A TensorFlow checkpoint without TensorFlow: the tensor bundle, an index that is a sorted string table beside files of raw data."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError

from onnxdl.converters.protobuf import Fields, message_class
from onnxdl.errors import ConversionError, FormatError

_MAGIC = 0xDB4775248B80FB57  # LevelDB's, which the table format is
_FOOTER = 48
_TRAILER = 5  # after each block: how it is compressed, and a checksum

_DTYPES = {1: "f4", 2: "f8", 3: "i4", 4: "u1", 5: "i2", 6: "i1", 9: "i8", 10: "?", 17: "u2", 19: "f2", 22: "u4", 23: "u8"}
_STRING = 7
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"

_MESSAGES: dict[str, Fields] = {
    "Child": {"node_id": (1, "int32", False), "local_name": (2, "string", False)},
    "Attribute": {"name": (1, "string", False), "full_name": (2, "string", False), "checkpoint_key": (3, "string", False)},
    "Object": {"children": (1, "Child", True), "attributes": (2, "Attribute", True)},
    "Objects": {"nodes": (1, "Object", True)},
    "Dim": {"size": (1, "int64", False)},
    "Shape": {"dim": (2, "Dim", True)},
    "Entry": {
        "dtype": (1, "int32", False),
        "shape": (2, "Shape", False),
        "shard_id": (3, "int32", False),
        "offset": (4, "int64", False),
        "size": (5, "int64", False),
    },
}


@cache
def _entry() -> Any:
    return message_class("bundle", _MESSAGES, "Entry")


class Bundle(NamedTuple):
    """A checkpoint's tensors by key, and the object graph, which says by which paths of attributes they are reached."""

    arrays: dict[str, np.ndarray]
    objects: Any

    def at(self, path: str) -> np.ndarray | None:
        """The variable at a path of attributes such as ``layer_with_weights-0/kernel``."""
        direct = self.arrays.get(path + _VALUE)
        if direct is not None or self.objects is None:
            return direct
        node = self.objects.nodes[0]
        for name in path.split("/"):
            following = next((c.node_id for c in node.children if c.local_name == name), None)
            if following is None or not 0 <= following < len(self.objects.nodes):
                return None
            node = self.objects.nodes[following]
        return next((self.arrays.get(a.checkpoint_key) for a in node.attributes if a.name == "VARIABLE_VALUE"), None)


def read_bundle(prefix: Path) -> Bundle:
    """All tensors of ``PREFIX.index`` and ``PREFIX.data-...``, but for strings.

    Raises:
        FormatError: a file is missing or damaged.
        ConversionError: a tensor is of a type that has no equal here.
    """
    index = prefix.with_name(prefix.name + ".index")
    shards = sorted(prefix.parent.glob(f"{prefix.name}.data-*-of-*"))
    if not index.exists() or not shards:
        raise FormatError(f"{prefix.parent} holds no {prefix.name}.index with its data; the checkpoint is not whole")
    data = [shard.read_bytes() for shard in shards]
    arrays: dict[str, np.ndarray] = {}
    objects = None
    for key, value in _table(index.read_bytes(), index):
        if not key:
            continue  # the header
        entry = _entry()()
        try:
            entry.ParseFromString(value)
        except DecodeError:
            raise FormatError(f"{index}: the entry {key!r} is damaged") from None
        if entry.dtype == _STRING:
            if key == _OBJECT_GRAPH and 0 <= entry.shard_id < len(data):
                objects = _object_graph(data[entry.shard_id][entry.offset : entry.offset + entry.size], index)
            continue
        if entry.dtype not in _DTYPES:
            raise ConversionError(f"{index}: {key} is of TensorFlow's type {entry.dtype}, which has no equal here")
        dtype, shape = np.dtype(_DTYPES[entry.dtype]), [int(d.size) for d in entry.shape.dim]
        whole = 0 <= entry.shard_id < len(data) and entry.offset >= 0 and entry.offset + entry.size <= len(data[entry.shard_id])
        if not whole or any(d < 0 for d in shape) or math.prod(shape) * dtype.itemsize != entry.size:
            raise FormatError(f"{index}: {key} is not where the index says; the checkpoint is damaged")
        raw = data[entry.shard_id][entry.offset : entry.offset + entry.size]
        arrays[key] = np.frombuffer(raw, dtype).reshape(shape).copy()
    return Bundle(arrays, objects)


def _object_graph(stored: bytes, path: Path) -> Any:
    """A string tensor of one element: its length, a checksum of four bytes, the text."""
    try:
        length, at = _varint(stored, 0)
        graph = message_class("bundle", _MESSAGES, "Objects")()
        graph.ParseFromString(stored[at + 4 : at + 4 + length])
    except (IndexError, ValueError, DecodeError) as error:
        raise FormatError(f"{path}: the object graph is damaged: {error}") from None
    return graph if graph.nodes else None


def _table(data: bytes, path: Path) -> Iterator[tuple[str, bytes]]:
    """The entries of a sorted string table, in order."""
    try:
        if len(data) < _FOOTER or struct.unpack("<Q", data[-8:])[0] != _MAGIC:
            raise ValueError("it is no table")
        at = len(data) - _FOOTER
        _, at = _varint(data, at)
        _, at = _varint(data, at)
        offset, at = _varint(data, at)
        size, _ = _varint(data, at)
        for _, handle in _block(data, offset, size):
            start, after = _varint(handle, 0)
            length, _ = _varint(handle, after)
            for key, value in _block(data, start, length):
                yield key.decode("utf-8"), value
    except (ValueError, IndexError, struct.error) as error:
        raise FormatError(f"{path} is no index of a TensorFlow checkpoint, or is damaged: {error}") from None


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    if offset + size + _TRAILER > len(data) or size < 4:
        raise ValueError("a block lies outside of the file")
    if data[offset + size] != 0:
        raise ValueError("it is compressed")
    block = data[offset : offset + size]
    restarts = struct.unpack("<I", block[-4:])[0]
    end = size - 4 - 4 * restarts
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        rest, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + rest]
        yield key, block[at + rest : at + rest + length]
        at += rest + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number has no end")
