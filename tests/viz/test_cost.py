"""FLOPs and bytes against numbers worked out by hand, and whole models against published ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from onnxdl.graph import op
from onnxdl.graph.operator import operator_names
from onnxdl.graph.trace import Trace
from onnxdl.viz import Cost, node_cost
from onnxdl.viz.cost import _COUNTS
from onnxdl.viz.scopes import prepared
from tests.viz.graphs import light

Shapes = list[tuple[int | str, ...]]

# what is called, on float inputs of which shapes, and its FLOPs
CASES: dict[str, tuple[Callable[..., Any], Shapes, int]] = {
    "Conv": (op.Conv, [(1, 3, 8, 8), (16, 3, 3, 3)], 2 * 16 * 6 * 6 * 3 * 9),
    "Conv with bias": (op.Conv, [(1, 3, 8, 8), (16, 3, 3, 3), (16,)], 2 * 16 * 6 * 6 * 3 * 9 + 16 * 6 * 6),
    "Conv grouped, strided": (lambda x, w: op.Conv(x, w, group=4, strides=[2, 2]), [(2, 8, 9, 9), (8, 2, 3, 3)], 2 * 2 * 8 * 4 * 4 * 2 * 9),
    "ConvTranspose": (op.ConvTranspose, [(1, 4, 5, 5), (4, 6, 2, 2), (6,)], 2 * 4 * 25 * 6 * 4 + 6 * 36),
    "Gemm": (op.Gemm, [(5, 7), (7, 3), (3,)], 2 * 5 * 7 * 3 + 15),
    "Gemm transposed": (lambda a, b: op.Gemm(a, b, transA=1, transB=1), [(7, 5), (3, 7)], 2 * 5 * 7 * 3),
    "MatMul": (op.MatMul, [(4, 5, 6), (6, 7)], 2 * 4 * 5 * 6 * 7),
    "MatMul of vectors": (op.MatMul, [(6,), (6,)], 2 * 6),
    "MatMul of a symbolic batch": (op.MatMul, [("N", 6), (6, 7)], 2 * 6 * 7),
    "Einsum product": (lambda a, b: op.Einsum(a, b, equation="bij,bjk->bik"), [(2, 3, 4), (2, 4, 5)], 2 * 2 * 3 * 4 * 5),
    "Einsum outer": (lambda a, b: op.Einsum(a, b, equation="i,j->ij"), [(3,), (4,)], 12),
    "Einsum ellipsis": (lambda a, b: op.Einsum(a, b, equation="...ij,jk->...ik"), [(2, 6, 3, 4), (4, 5)], 2 * 12 * 3 * 4 * 5),
    "Einsum trace": (lambda a: op.Einsum(a, equation="ii->"), [(4, 4)], 4),
    "Einsum transpose": (lambda a: op.Einsum(a, equation="ij->ji"), [(4, 5)], 0),
    "LSTM": (
        lambda x, w, r, b: op.LSTM(x, w, r, b, hidden_size=5, outputs=1),
        [(7, 2, 3), (1, 20, 3), (1, 20, 5), (1, 40)],
        7 * 2 * (2 * 20 * (3 + 5) + 20 + 2 * 20 + 9 * 5),
    ),
    "GRU both ways": (
        lambda x, w, r: op.GRU(x, w, r, hidden_size=5, direction="bidirectional", outputs=1),
        [(7, 2, 3), (2, 15, 3), (2, 15, 5)],
        2 * 7 * 2 * (2 * 15 * (3 + 5) + 15 + 8 * 5),
    ),
    "RNN": (lambda x, w, r: op.RNN(x, w, r, hidden_size=5, outputs=1), [(7, 2, 3), (1, 5, 3), (1, 5, 5)], 7 * 2 * (2 * 5 * 8 + 5 + 5)),
    "MaxPool": (lambda x: op.MaxPool(x, kernel_shape=[2, 2], strides=[2, 2], outputs=1), [(1, 3, 8, 8)], 3 * 16 * 4),
    "GlobalAveragePool": (op.GlobalAveragePool, [(1, 3, 8, 8)], 192),
    "BatchNormalization": (lambda x, *v: op.BatchNormalization(x, *v, outputs=1), [(1, 3, 4, 4), *[(3,)] * 4], 2 * 48),
    "BatchNormalization in training": (
        lambda x, *v: op.BatchNormalization(x, *v, training_mode=1, outputs=3)[0],
        [(2, 3, 4, 4), *[(3,)] * 4],
        7 * 96,
    ),
    "LayerNormalization": (lambda x, s: op.LayerNormalization(x, s, outputs=1), [(2, 8), (8,)], 7 * 16),
    "LRN": (lambda x: op.LRN(x, size=5), [(1, 3, 2, 2)], 9 * 12),
    "Softmax": (op.Softmax, [(2, 10)], 100),
    "Add with broadcasting": (op.Add, [(2, 1, 4), (3, 1)], 24),
    "Sum of three": (op.Sum, [(2, 3)] * 3, 12),
    "Tanh": (op.Tanh, [(2, 3)], 6),
    "ReduceSum": (lambda x: op.ReduceSum(x), [(2, 3)], 6),
    "Transpose": (op.Transpose, [(2, 3)], 0),
    "Dropout in inference": (lambda x: op.Dropout(x, outputs=1), [(2, 3)], 0),
    "If": (
        lambda x: op.If(op.Greater(op.ReduceSum(x, keepdims=0), 0.0), then_branch=lambda: op.Tanh(x), else_branch=lambda: x @ x),
        [(3, 3)],
        2 * 27,
    ),
    "Loop of a fixed count": (
        lambda x: op.Loop(np.int64(4), None, x, body=lambda i, c, v: (c, v @ v), outputs=1),
        [(3, 3)],
        4 * 2 * 27,
    ),
}


def last_node(call: Callable[..., Any], shapes: Shapes) -> ir.Node:
    with Trace() as t:
        y = call(*(t.input(f"x{i}", "float32", shape) for i, shape in enumerate(shapes)))
        producer = y.value.producer()
        assert producer is not None
        t.add_output(y)
        return producer


@pytest.mark.parametrize("name", CASES)
def test_flops(name: str) -> None:
    call, shapes, flops = CASES[name]
    assert node_cost(last_node(call, shapes)).flops == flops


def test_attention_is_two_products_and_a_softmax() -> None:
    heads, queries, keys, width = 4, 6, 9, 8
    q, k, v = (
        ir.Value(name=n, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(s))
        for n, s in (("q", (1, heads, queries, width)), ("k", (1, heads, keys, width)), ("v", (1, heads, keys, width)))
    )
    assert node_cost(ir.Node("", "Attention", [q, k, v])).flops == heads * queries * keys * (2 * width + 5 + 2 * width)


def test_bytes() -> None:
    node = last_node(op.MatMul, [("N", 6), (6, 7)])
    assert node_cost(node) == Cost(flops=84, read=4 * (6 + 42), written=4 * 7)
    node = last_node(lambda x: op.Cast(x, to="float16"), [(3, 5)])
    assert node_cost(node) == Cost(flops=0, read=60, written=30)
    node = last_node(lambda x: op.Reshape(x, np.int64([5, 3])), [(3, 5)])
    assert node_cost(node) == Cost(flops=0, read=60 + 16, written=0)


def test_what_is_not_known_is_none() -> None:
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT))
    y = ir.Value(name="y", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([2]))
    assert node_cost(ir.Node("", "Relu", [x])) == Cost(None, None, 0)
    assert node_cost(ir.Node("com.example", "Relu", [y])).flops is None


def test_every_operator_with_a_count_exists() -> None:
    assert set(_COUNTS) <= set(operator_names())


# torchvision's metadata of its classification weights ("_ops", in 1e9 multiply-adds, biases left out). He et al. (CVPR 2016)
# give VGG-19 19.6 too; their ResNet-50 has 3.8, for it strides in the 1x1 convolutions, this one in the 3x3.
PUBLISHED = {"vgg19": 19.632, "resnet50": 4.089, "densenet121": 2.834, "squeezenet": 0.349}


@pytest.mark.parametrize("name", PUBLISHED)
def test_multiply_adds_of_published_models(name: str) -> None:
    total = 0
    for node in prepared(light(name)):
        if node.op_type in ("Conv", "Gemm"):
            flops, shape = node_cost(node).flops, node.outputs[0].shape
            assert flops is not None
            assert shape is not None
            total += flops - (int(np.prod(shape.numpy())) if len(node.inputs) == 3 else 0)
    assert round(total / 2e9, 3) == PUBLISHED[name]
