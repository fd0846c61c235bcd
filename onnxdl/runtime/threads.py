"""How many threads a step is worth: handing a small operator to a second thread costs more than it saves."""

from __future__ import annotations

import math

import onnx_ir as ir

BATCH = 64
"""What an unknown dimension, most often the batch, is taken for."""

SMALL_PRODUCT = 4e6
"""Floating-point operations of a product below which one thread is quicker. Measured on two cores: an LSTM step of 2.1e6 (64
inputs, 64 units) takes 14.8 ms on one thread and 19.6 on two, one of 8.4e6 (128 units) 58.7 and 35.3."""

SMALL_TENSOR = 1e6
"""Elements of a tensor below which an element-wise operator is quicker on one thread."""


BESIDE_LOOPS = 1e9, 1e7
"""Likewise for what stands outside the loop of a recurrent net with small steps, whose many small products weigh more."""


def threads_for(model: ir.Model) -> int:
    """1 for a model whose every operator is small, 0, one a core, for all others."""
    loops = any(_is_loop(node) for node in model.graph)
    for node in model.graph.all_nodes():
        beside = loops and node.graph is model.graph and not _is_loop(node)
        product, tensor = BESIDE_LOOPS if beside else (SMALL_PRODUCT, SMALL_TENSOR)
        if _product(node) > product or (not _is_loop(node) and _largest(node) > tensor):
            return 0
    return 1


_LOOPS = {"Scan", "Loop", "LSTM", "GRU", "RNN"}


def _is_loop(node: ir.Node) -> bool:
    """Whether a node does one small step after another; a Scan that carries nothing goes over the blocks of a large tensor."""
    return node.op_type in _LOOPS and not (node.op_type == "Scan" and node.attributes.get_int("num_scan_inputs", 0) == len(node.inputs))


def _largest(node: ir.Node) -> float:
    """The elements of its largest output; a ScatterND writes its updates only."""
    if node.op_type == "ScatterND":
        return _size(node.inputs[2])
    return max((_size(v) for v in node.outputs), default=0)


def _product(node: ir.Node) -> float:
    """Multiplications and additions of a product, 0 for other operators."""
    match node.op_type:
        case "MatMul":
            return 2.0 * _size(node.outputs[0]) * _dims(node.inputs[0])[-1]
        case "Gemm":
            inner = _dims(node.inputs[0])[0 if node.attributes.get_int("transA", 0) else -1]
            return 2.0 * _size(node.outputs[0]) * inner
        case "Conv":
            return 2.0 * _size(node.outputs[0]) * math.prod(_dims(node.inputs[1])[1:])
        case "ConvTranspose":
            return 2.0 * _size(node.inputs[0]) * math.prod(_dims(node.inputs[1])[1:])
        case "LSTM" | "GRU" | "RNN":
            steps = max(_dims(node.inputs[0])[node.attributes.get_int("layout", 0)], 1)
            return 2.0 * _size(node.inputs[2]) * _size(node.inputs[0]) / steps / max(_dims(node.inputs[0])[-1], 1)
        case "Einsum" | "Attention" | "DFT" | "STFT":
            return math.inf  # not worth a formula
    return 0.0


def _dims(value: ir.Value | None) -> list[int]:
    if value is None or value.shape is None:
        return [BATCH, BATCH]
    return [d if isinstance(d, int) else BATCH for d in value.shape] or [1]


def _size(value: ir.Value | None) -> float:
    return float(math.prod(_dims(value)))
