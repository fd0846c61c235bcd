"""The table of layers."""

from __future__ import annotations

import io

import numpy as np
import onnx_ir as ir
import pytest
from rich.console import Console

from onnxdl.graph import op
from onnxdl.graph.trace import Trace, scope
from onnxdl.viz import Row, layers_table, print_layers
from onnxdl.viz.table import scaled
from tests.viz.graphs import light, train_step


def network() -> ir.Model:
    """Two dense layers that share one weight, and a loose Softmax."""
    with Trace() as t:
        x = t.input("x", "float32", ["N", 4])
        w = t.initializer("w", np.zeros((4, 4), np.float32))
        b = t.initializer("second.bias", np.zeros(4, np.float32))
        shape = t.initializer("shape", np.int64([-1, 2, 2]))
        with scope("first"):
            h = op.Relu(x @ w)
        with scope("second"):
            h = op.Reshape(h @ w + b, shape)
        return t.model({"y": op.Softmax(h)})


def test_one_row_for_a_layer() -> None:
    assert layers_table(network()) == [
        Row("first", "MatMul, Relu", "N×4", 16, 2 * 16 + 4, 32),
        Row("second", "MatMul, Add, Reshape", "N×2×2", 4, 2 * 16 + 4, 32),
        Row("Softmax", "Softmax", "N×2×2", 0, 20, 16),
    ]


def test_one_row_for_a_node() -> None:
    rows = layers_table(network(), per_node=True)
    assert [row.name for row in rows] == ["first/MatMul", "first/Relu", "second/MatMul", "second/Add", "second/Reshape", "Softmax"]
    assert [row.parameters for row in rows] == [16, 0, 0, 4, 0, 0]
    assert [row.activations for row in rows] == [16, 16, 16, 16, 0, 16]
    assert sum(row.flops for row in rows) == sum(row.flops for row in layers_table(network()))


def test_the_parts_of_a_train_step_are_rows() -> None:
    names = [row.name for row in layers_table(train_step(3))]
    assert names[0] == "encoder"
    assert names[-2:] == ["grad/encoder", "sgd"]


def test_an_unknown_operator_is_named_not_guessed() -> None:
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([2]))
    relu = ir.Node("", "Relu", [x], name="a")
    own = ir.Node("com.example", "Mystery", relu.outputs, name="b")
    for node in (relu, own):
        node.outputs[0].name = f"{node.name}_out"
    relu.outputs[0].type, relu.outputs[0].shape = x.type, x.shape
    graph = ir.Graph([x], own.outputs, nodes=[relu, own], opset_imports={"": 21, "com.example": 1}, name="g")
    rows = layers_table(ir.Model(graph, ir_version=10))
    assert [(row.flops, row.output_shape, row.unknown) for row in rows] == [(2, "2", ()), (0, "?", ("Mystery",))]
    assert "≥ 2" in printed(ir.Model(graph, ir_version=10))
    assert "Not counted: Mystery." in printed(ir.Model(graph, ir_version=10))


def printed(model: ir.Model, **options: bool) -> str:
    out = io.StringIO()
    print_layers(model, Console(file=out, width=120), **options)
    return out.getvalue()


def test_the_printed_totals_are_those_of_the_rows() -> None:
    text = printed(network())
    total = next(line for line in text.splitlines() if "total" in line)
    assert total.split() == ["total", "20", "92", "80", "B"]
    assert "≥" not in text
    assert "a multiply-add counts as 2" in text


def test_a_whole_model_leaves_nothing_uncounted() -> None:
    assert all(not row.unknown for name in ("squeezenet", "resnet50", "inception_v1") for row in layers_table(light(name)))


def test_names_are_not_taken_for_markup() -> None:
    with Trace() as t:
        x = t.input("x", "float32", [2])
        with scope("[red]layer[/red]"):
            y = op.Neg(x)
        model = t.model({"y": y})
    assert "[red]layer[/red]" in printed(model)


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 "), (999, "999 "), (1000, "1 k"), (999_600, "1 M"), (4_089_184_756, "4.09 G"), (3 * 10**18, "3e+03 P")]
)
def test_scaled(number: int, text: str) -> None:
    assert scaled(number) == text


def test_nothing_is_cut_off_on_a_narrow_terminal() -> None:
    out = io.StringIO()
    print_layers(train_step(2), Console(file=out, width=80))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    rows = layers_table(train_step(2))
    for row in rows:
        assert any(line.endswith(f"{scaled(row.activations)}B") for line in lines)
    assert "…" not in out.getvalue()
