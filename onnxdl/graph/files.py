"""Bytes on disk into a ModelProto that holds all its data, or one clear FormatError.

Nothing is believed before it is checked: external data lies in files of the model's own folder, and every tensor holds as
many bytes as its shape and type say, so no shape makes anything allocate what the file does not contain.

It stands below ``io`` because ``autodiff`` reads files too, and neighbours do not import each other.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TypeVar

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError, Message

from onnxdl.errors import FormatError

M = TypeVar("M", onnx.ModelProto, onnx.GraphProto)

PROTOBUF_LIMIT = 2**31 - 1
"""The largest message that protobuf can write or read, in bytes."""

_KNOWN_TYPES = {d.value for d in ir.DataType} - {ir.DataType.UNDEFINED.value}
_TYPED_FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def read_proto(path: str | os.PathLike[str]) -> onnx.ModelProto:
    """The model in a file, external data loaded.

    Raises:
        FormatError: the file is missing, not ONNX or damaged, or its external data is missing, short or outside its folder.
    """
    file = Path(path)
    proto = onnx.ModelProto()
    try:
        size = file.stat().st_size
        if size > PROTOBUF_LIMIT:
            raise FormatError(f"{file} is larger than 2 GB, which no ONNX file can be; keep its weights as external data")
        proto.ParseFromString(file.read_bytes())
    except DecodeError:
        raise FormatError(f"{file} is not an ONNX file, or is damaged or cut short; get it or export it again") from None
    except OSError as error:
        raise FormatError(f"cannot read {file}: {_reason(error)}") from None
    if not proto.HasField("graph") or not proto.ir_version:
        raise FormatError(f"{file} is not an ONNX file: it holds no graph; is it another kind of file?")
    try:
        check_text(proto)
        _complete(proto, file)
    except UnicodeDecodeError:
        raise FormatError(f"{file} holds text that is no UTF-8; it is damaged, or no ONNX file") from None
    return proto


def check_text(message: Message) -> None:
    """Raises UnicodeDecodeError where protobuf, which gives bytes for text that is no UTF-8, would let it pass."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            for text in [value] if isinstance(value, str | bytes) else value:
                if isinstance(text, bytes):
                    text.decode("utf-8")
        elif field.type == field.TYPE_MESSAGE:
            for part in value if hasattr(value, "extend") else [value]:
                check_text(part)


def _complete(proto: onnx.ModelProto, file: Path) -> None:
    """Loads external data and checks every tensor."""
    for tensor in tensors_of(proto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _load(tensor, file)
        check_tensor(tensor, str(file))


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file; check the path"
    if isinstance(error, IsADirectoryError):
        return "it is a folder; name the .onnx file inside it"
    if isinstance(error, PermissionError):
        return "permission denied; change its mode or copy it"
    return error.strerror or str(error)


def tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor stored in a model: initializers and attributes, of bodies, functions and training information too."""
    yield from _in_graph(model.graph)
    for function in model.functions:
        yield from _in_nodes(function.node)
    for training in model.training_info:
        yield from _in_graph(training.initialization)
        yield from _in_graph(training.algorithm)


def copied_without(message: M, *fields: str) -> M:
    """A copy of a message that leaves some of its fields out."""
    copy = type(message)()
    for field, value in message.ListFields():
        if field.name in fields:
            continue
        if hasattr(value, "extend"):
            getattr(copy, field.name).extend(value)
        elif hasattr(value, "CopyFrom"):
            getattr(copy, field.name).CopyFrom(value)
        else:
            setattr(copy, field.name, value)
    return copy


def _in_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _in_nodes(graph.node)


def _in_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for graph in (attribute.g, *attribute.graphs):
                yield from _in_graph(graph)


def check_tensor(tensor: onnx.TensorProto, source: str) -> None:
    """Raises FormatError unless a tensor holds exactly the data that its shape and type promise."""
    needed = byte_size(tensor, source)
    if tensor.HasField("raw_data"):
        fits = len(tensor.raw_data) == needed
    else:
        count = math.prod(tensor.dims)
        held = sum(len(getattr(tensor, field)) for field in _TYPED_FIELDS)
        fits = held in (count, 2 * count if "COMPLEX" in ir.DataType(tensor.data_type).name else count, needed)
    if not fits:
        shape = list(tensor.dims)
        raise FormatError(f"{source}: the tensor {tensor.name!r} does not hold the data that its shape {shape} needs; the file is damaged")


def byte_size(tensor: onnx.TensorProto, source: str = "the model") -> int:
    """How many bytes the shape and type of a tensor need; for strings, how many elements."""
    kind = tensor.data_type
    if kind not in _KNOWN_TYPES:
        raise FormatError(f"{source}: the tensor {tensor.name!r} has the element type {kind}, which this version of onnx does not know")
    if any(d < 0 for d in tensor.dims):
        raise FormatError(f"{source}: the tensor {tensor.name!r} has the shape {list(tensor.dims)}; sizes cannot be negative")
    count: int = math.prod(tensor.dims)
    bits = 8 if kind == ir.DataType.STRING else ir.DataType(kind).bitwidth
    return -(-count * bits // 8)


def _load(tensor: onnx.TensorProto, file: Path) -> None:
    """Moves a tensor's external data into it."""
    where = f"{file}: the external data of {tensor.name!r}"
    entries = {entry.key: entry.value for entry in tensor.external_data}
    data_file = _inside(file, entries.get("location", ""), where)
    needed = byte_size(tensor, str(file))
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", needed))
    except ValueError:
        raise FormatError(f"{where} has an offset or length that is no number; the file is damaged") from None
    if length != needed or offset < 0:
        raise FormatError(f"{where} spans {length} bytes at {offset}, but its shape needs {needed}; the file is damaged")
    try:
        if not data_file.is_file():
            raise FormatError(f"{where} should lie in {data_file}, which is missing; copy it beside the model")
        if data_file.stat().st_size < offset + length:
            raise FormatError(f"{where} ends beyond {data_file}, which is too short; copy that file again")
        with data_file.open("rb") as stream:
            stream.seek(offset)
            tensor.raw_data = stream.read(length)
    except OSError as error:
        raise FormatError(f"cannot read {data_file}: {_reason(error)}") from None
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")


def _inside(file: Path, location: str, where: str) -> Path:
    """The file that a location names, which must lie in the model's folder or below."""
    parts = (*PurePosixPath(location).parts, *PureWindowsPath(location).parts)
    rooted = PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor
    if not location or "\0" in location or rooted or ".." in parts:
        raise FormatError(f"{where} points outside the model's folder ({location!r}); refused, for it could read any file")
    folder = file.parent.resolve()
    data_file = (folder / location).resolve()
    if not data_file.is_relative_to(folder):
        raise FormatError(f"{where} leads outside the model's folder by a link ({location!r}); refused, for it could read any file")
    return data_file
