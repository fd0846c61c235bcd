"""Protobuf messages of other frameworks, described at run time: only the fields that are read, no generated code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

TYPES = {"float": 2, "int64": 3, "uint64": 4, "int32": 5, "fixed32": 7, "bool": 8, "string": 9, "bytes": 12}
_MESSAGE, _REPEATED, _OPTIONAL = 11, 3, 1

Fields = Mapping[str, tuple[int, str, bool]]
"""By name: number, type (one of ``TYPES`` or a message's name), and whether it is repeated."""


def message_class(package: str, messages: Mapping[str, Fields], name: str) -> Any:
    """The class of one of several messages that may hold each other."""
    file = descriptor_pb2.FileDescriptorProto(name=f"onnxdl/{package}.proto", package=f"onnxdl.{package}", syntax="proto2")
    for message, fields in messages.items():
        described = file.message_type.add(name=message)
        for field, (number, kind, repeated) in fields.items():
            entry = described.field.add(name=field, number=number, label=_REPEATED if repeated else _OPTIONAL)
            entry.type = TYPES.get(kind, _MESSAGE)
            if kind not in TYPES:
                entry.type_name = f".onnxdl.{package}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"onnxdl.{package}.{name}"))
