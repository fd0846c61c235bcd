"""Caffe2's NetDef as a protobuf message, described at run time: the fields that nets of the Caffe2 repository use."""

from __future__ import annotations

from functools import cache
from typing import Any

from onnxdl.converters.protobuf import Fields, message_class

# caffe2/proto/caffe2.proto of the PyTorch repository
_MESSAGES: dict[str, Fields] = {
    "Argument": {
        "name": (1, "string", False),
        "f": (2, "float", False),
        "i": (3, "int64", False),
        "s": (4, "bytes", False),
        "n": (8, "NetDef", False),
        "floats": (5, "float", True),
        "ints": (6, "int64", True),
        "strings": (7, "bytes", True),
        "nets": (9, "NetDef", True),
    },
    "DeviceOption": {
        "device_type": (1, "int32", False),
        "device_id": (2, "int32", False),
        "random_seed": (3, "int32", False),
        "node_name": (4, "string", False),
        "numa_node_id": (5, "int32", False),
        "extra_info": (6, "string", True),
    },
    "OperatorDef": {
        "input": (1, "string", True),
        "output": (2, "string", True),
        "name": (3, "string", False),
        "type": (4, "string", False),
        "arg": (5, "Argument", True),
        "device_option": (6, "DeviceOption", False),
        "engine": (7, "string", False),
        "control_input": (8, "string", True),
        "is_gradient_op": (9, "int32", False),
        "debug_info": (10, "string", False),
        "domain": (11, "string", False),
        "op_version": (12, "string", False),
    },
    "NetDef": {
        "name": (1, "string", False),
        "op": (2, "OperatorDef", True),
        "type": (3, "string", False),
        "num_workers": (4, "int32", False),
        "device_option": (5, "DeviceOption", False),
        "arg": (6, "Argument", True),
        "external_input": (7, "string", True),
        "external_output": (8, "string", True),
    },
}


@cache
def net_def() -> Any:
    """The message class NetDef."""
    return message_class("caffe2", _MESSAGES, "NetDef")
