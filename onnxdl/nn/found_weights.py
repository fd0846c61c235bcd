"""Which values of an imported graph are weights: what an exporter wrote as data, but training has to change.

Float initializers are, except where an operator takes them as a setting (the scales of Resize, the exponent of Pow).
Exporters also leave weights in Constant nodes, or in ConstantOfShape; those count where they arrive at an operator's
weight input. Initial states of recurrent operators are settings. A scalar is a factor or an epsilon more often than a
weight: it is a Parameter, but not trainable until somebody says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from onnxdl.graph.dtypes import is_float

_SETTINGS = {
    "Clip": {1, 2},
    "DequantizeLinear": {1},
    "Dropout": {1},
    "GRU": {5},
    "LSTM": {5, 6},
    "OneHot": {1, 2},
    "Pad": {2},
    "Pow": {1},
    "QuantizeLinear": {1},
    "RNN": {5},
    "Range": {0, 1, 2},
    "Resize": {1, 2},
}
_WEIGHTS = {
    "BatchNormalization": {1, 2, 3, 4},
    "Conv": {1, 2},
    "ConvTranspose": {1, 2},
    "DeformConv": {1, 3},
    "GRU": {1, 2, 3},
    "Gather": {0},
    "Gemm": {0, 1, 2},
    "GroupNormalization": {1, 2},
    "InstanceNormalization": {1, 2},
    "LSTM": {1, 2, 3, 7},
    "LayerNormalization": {1, 2},
    "MatMul": {0, 1},
    "PRelu": {1},
    "RMSNormalization": {1},
    "RNN": {1, 2, 3},
}
_PASSED_ON = {"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
_LINEAR = {"Conv", "ConvTranspose", "MatMul"}
_LARGEST = 2**31  # elements; a ConstantOfShape may claim any number


class Weight(NamedTuple):
    """A value that is a weight, what it holds, and whether training changes it."""

    value: ir.Value
    array: np.ndarray
    trainable: bool


def find_weights(graph: ir.Graph) -> Iterator[Weight]:
    """The weights of a graph, initializers first, in the file's order."""
    for value in graph.initializers.values():
        if value.const_value is not None and is_float(value.dtype) and not _is_setting(value):
            yield Weight(value, value.const_value.numpy(), len(value.const_value.shape) > 0 and not _is_statistic(value))
    for node in graph:
        if node.domain == "" and node.op_type in ("Constant", "ConstantOfShape") and _arrives_at_weight(node.outputs[0]):
            array = constant_array(node.outputs[0])
            if array is not None and array.size > 1 and is_float(node.outputs[0].dtype):
                yield Weight(node.outputs[0], array, not _is_statistic(node.outputs[0]))


def constant_array(value: ir.Value | None) -> np.ndarray | None:
    """What a value holds, if the graph says so itself: an initializer, a Constant, a ConstantOfShape."""
    if value is None:
        return None
    node = value.producer()
    if node is None:
        return value.const_value.numpy() if value.is_initializer() and value.const_value is not None else None
    if node.domain == "" and node.op_type == "Constant" and "value" in node.attributes:
        return node.attributes["value"].as_tensor().numpy()
    if node.domain == "" and node.op_type == "ConstantOfShape":
        shape = constant_array(node.inputs[0])
        if shape is not None and 0 <= np.prod(shape.astype(float)) <= _LARGEST:
            fill = node.attributes["value"].as_tensor().numpy() if "value" in node.attributes else np.zeros(1, np.float32)
            return np.full([int(d) for d in shape], fill.reshape(()))
    return None


def _is_setting(value: ir.Value) -> bool:
    uses = [(node, i) for node, i in value.uses() if node.domain == ""]
    return bool(uses) and all(i in _SETTINGS.get(node.op_type, ()) for node, i in uses)


def _is_statistic(value: ir.Value) -> bool:
    return any(node.op_type == "BatchNormalization" and node.domain == "" and i >= 3 for node, i in value.uses())


def _arrives_at_weight(value: ir.Value) -> bool:
    for node, i in value.uses():
        if node.domain != "":
            continue
        if i in _WEIGHTS.get(node.op_type, ()) or (node.op_type == "Add" and _is_linear(node.inputs[1 - i])):
            return True
        if node.op_type in _PASSED_ON and i == 0 and _arrives_at_weight(node.outputs[0]):
            return True
    return False


def _is_linear(value: ir.Value | None) -> bool:
    producer = value.producer() if value is not None else None
    return producer is not None and producer.domain == "" and producer.op_type in _LINEAR
