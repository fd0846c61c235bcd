"""Writing .onnx files, whole or not at all; reading them is ``onnxdl.graph.imports``, which ``autodiff`` uses too.

Past 2 GB, which protobuf cannot hold, the weights go into a file of their own, ``NAME.onnx.DIGEST.data``. Its name
comes from its content, so a new model never shares it with the file that it replaces: until the very moment of the
replacement the old model and its old data stand together.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

import onnx
import onnx.checker
import onnx.shape_inference
import onnx_ir as ir

from onnxdl.errors import FormatError
from onnxdl.graph.files import PROTOBUF_LIMIT, byte_size, check_tensor, copied_without, read_proto, tensors_of
from onnxdl.graph.imports import one_line, read_model, weights_aside
from onnxdl.io import training_info
from onnxdl.io.atomic import replacing

__all__ = ["read", "read_proto", "write"]

read = read_model

_ALIGNMENT = 4096  # a page, so that a reader may map each tensor
_SMALL = 1024  # bytes; tensors up to this size stay in the model


def write(model: ir.Model | onnx.ModelProto, path: str | os.PathLike[str], *, limit: int = PROTOBUF_LIMIT) -> None:
    """Writes a checked model to a file.

    Args:
        model: the model; training information in a ModelProto is written too.
        path: the file, which is replaced if it exists.
        limit: the size in bytes from which on the weights go into a file beside it.

    Raises:
        FormatError: the model breaks the ONNX standard, or the file cannot be written.
    """
    path = Path(os.path.realpath(path))  # where a link leads, so that the data lies beside the model itself
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    _check(proto, path)
    light, heavy = _with_references(proto, "")
    data_name = None
    if sum(map(byte_size, heavy)) + light.ByteSize() <= limit:
        serialized = proto.SerializeToString()
    else:
        data_name = f"{path.name}.{_digest(heavy)}.data"
        with replacing(path.with_name(data_name)) as temporary:
            _write_data(heavy, temporary)
        serialized = _with_references(proto, data_name)[0].SerializeToString()
    with replacing(path) as temporary:
        temporary.write_bytes(serialized)
    _remove_stale(path, data_name)


def _check(proto: onnx.ModelProto, path: Path) -> None:
    for tensor in tensors_of(proto):
        check_tensor(tensor, str(path))
    light, _ = weights_aside(proto)
    try:
        onnx.checker.check_model(light, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise FormatError(f"cannot write {path}: the model breaks the ONNX standard: {one_line(error)}") from None
    if proto.training_info:
        training_info.check(proto)


def _with_references(proto: onnx.ModelProto, data_name: str) -> tuple[onnx.ModelProto, list[onnx.TensorProto]]:
    """A copy that refers to its large initializers in a data file, and those initializers in the order of that file."""
    heavy: list[onnx.TensorProto] = []
    offset = 0

    def copied(graph: onnx.GraphProto) -> onnx.GraphProto:
        nonlocal offset
        copy = copied_without(graph, "initializer")
        for tensor in graph.initializer:
            length = byte_size(tensor)
            if length <= _SMALL or tensor.data_type == onnx.TensorProto.STRING:
                copy.initializer.append(tensor)
                continue
            heavy.append(tensor)
            reference = copy.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, doc_string=tensor.doc_string)
            reference.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", data_name), ("offset", offset), ("length", length)):
                reference.external_data.add(key=key, value=str(value))
            offset = _aligned(offset + length)
        return copy

    model = copied_without(proto, "graph", "training_info")
    model.graph.CopyFrom(copied(proto.graph))
    for training in proto.training_info:
        copy = model.training_info.add()
        copy.initialization.CopyFrom(copied(training.initialization))
        copy.algorithm.CopyFrom(copied(training.algorithm))
        copy.initialization_binding.extend(training.initialization_binding)
        copy.update_binding.extend(training.update_binding)
    return model, heavy


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def _digest(tensors: Iterable[onnx.TensorProto]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(ir.serde.deserialize_tensor(tensor).tobytes())
    return digest.hexdigest()[:12]


def _write_data(tensors: Iterable[onnx.TensorProto], path: Path) -> None:
    with path.open("wb") as stream:
        for tensor in tensors:
            stream.seek(_aligned(stream.tell()))
            stream.write(ir.serde.deserialize_tensor(tensor).tobytes())


def _remove_stale(path: Path, kept: str | None) -> None:
    """Removes the data files of models that this file replaced."""
    pattern = re.compile(rf"{re.escape(path.name)}\.[0-9a-f]{{12}}\.data")
    for other in path.parent.iterdir():
        if other.name != kept and pattern.fullmatch(other.name):
            with contextlib.suppress(OSError):  # still mapped by a reader on Windows; the next save tries again
                other.unlink()
