"""Layers are read from node names."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from onnxdl.graph import op
from onnxdl.graph.trace import Trace, scope
from onnxdl.viz.scopes import runs, scope_of, top_depth


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("MatMul", ()),
        ("encoder/0/MatMul_3", ("encoder", "0")),
        ("grad/encoder/0/MatMul_3/Transpose", ("grad", "encoder", "0")),
        ("grad/grad/encoder/0/MatMul_3/Transpose/Mul", ("grad", "grad", "encoder", "0")),
        ("grad/Mul/Mul_1", ("grad",)),
        ("grad/Add", ("grad",)),
        ("/layer1/conv1/Conv", ("layer1", "conv1")),  # as PyTorch's exporter names nodes
        (None, ()),
    ],
)
def test_scope_of_a_name(name: str | None, scope: tuple[str, ...]) -> None:
    assert scope_of(ir.Node("", "X", [], name=name)) == scope


def chain(*scopes: str) -> list[ir.Node]:
    with Trace() as t:
        x = t.input("x", "float32", [2])
        for path in scopes:
            with scope(path):
                x = op.Neg(x)
    return list(t.graph)


def test_runs_keep_calls_of_a_shared_layer_apart() -> None:
    found = runs(chain("a/0", "a/1", "b", "a/0"), 1)
    assert [(s, len(nodes)) for s, nodes in found] == [(("a",), 2), (("b",), 1), (("a",), 1)]


@pytest.mark.parametrize(
    ("scopes", "depth"), [(("a", "b"), 1), (("net/a", "net/b"), 2), (("net/a/0", "net/a/1", "net/b/0"), 2), (("net", "net/a"), 1)]
)
def test_top_depth_is_where_layers_differ(scopes: tuple[str, ...], depth: int) -> None:
    assert top_depth(chain(*scopes)) == depth
