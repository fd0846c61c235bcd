"""Keeps ONNX Runtime from taking a Pad of zeros into a MaxPool behind it, which pads with minus infinity.

Seen in 1.31 and 1.32. A Max of one operand stands between them then: it changes nothing, and no optimizer takes it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from onnxdl.graph.trace import Trace

_PASSED = {"Cast", "Dropout", "Identity", "Transpose"}
"""What ONNX Runtime takes out, or moves elsewhere, before it looks for the two."""


def keep_padding(trace: Trace) -> None:
    """Puts a node between every Pad and the MaxPool that reads it."""
    for node in list(trace.graph.all_nodes()):
        padded = node.inputs[0] if node.op_type == "MaxPool" and not node.domain else None
        if padded is not None and node.graph is not None and _is_padded(padded):
            kept = ir.Node("", "Max", [padded], num_outputs=1, name=trace.unique(f"{node.name}/padded"))
            value = kept.outputs[0]
            value.name, value.type, value.shape = kept.name, padded.type, padded.shape
            node.graph.insert_before(node, kept)
            node.replace_input_with(0, value)


def _is_padded(value: ir.Value) -> bool:
    node = value.producer()
    while node is not None and node.op_type in _PASSED:
        node = node.inputs[0].producer() if node.inputs[0] is not None else None
    return node is not None and node.op_type == "Pad"
