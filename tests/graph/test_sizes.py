"""Programs with known sizes: the same numbers, nothing left that computes of sizes alone."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import onnxdl as ox
from onnxdl import nn, optim
from onnxdl.errors import GraphError
from onnxdl.graph.contents import dims
from onnxdl.graph.passes.sizes import open_sizes, with_shapes
from onnxdl.runtime import create_session, run
from onnxdl.train.step import train_step


def parsed(text: str) -> ir.Model:
    return ir.from_proto(onnx.parser.parse_model(text))


def computed(model: ir.Model, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = create_session(ir.to_proto(model).SerializeToString(), threads=1)
    names = [v.name or "" for v in model.graph.outputs]
    return dict(zip(names, run(session, names, feeds), strict=True))


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_train_step_of_known_sizes_is_the_same(recurrent: bool) -> None:
    words = ox.Input((None,), dtype="int64", name="words")
    x = nn.Embedding(7, 6, mask_zero=recurrent)(words)
    x = (
        nn.LSTM(4)(x)
        if recurrent
        else nn.GlobalAveragePooling1D("channels_last")(x + nn.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True))
    )
    model = ox.Model(words, nn.Dense(3, activation="softmax")(nn.Dropout(0.3)(x)))
    model.compile(optim.Adam(0.1), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.ensure_targets(np.zeros(2, np.int64))
    model.train_step()
    step = train_step(model.recipe)
    fixed = with_shapes(step, {"words": (5, 9), "target": (5,)})
    assert open_sizes(step) and not open_sizes(fixed)
    nodes = list(fixed.graph)
    assert not {"Shape", "Size", "NonZero"} & {node.op_type for node in nodes} and len(nodes) < len(step.graph)
    assert all(isinstance(d, int) for node in nodes for v in node.outputs for d in dims(v) or ())
    assert [v.name for v in fixed.graph.outputs] == [v.name for v in step.graph.outputs]
    assert fixed.metadata_props == step.metadata_props
    rng = np.random.default_rng(0)
    batch = {"words": rng.integers(0, 7, (5, 9)), "target": rng.integers(0, 3, 5)}
    state = {name: array for name, array in model.state.items() if name in {v.name for v in step.graph.inputs}}
    results = [computed(program, {**batch, **state}) for program in (step, fixed)]
    for name, array in results[0].items():
        np.testing.assert_allclose(results[1][name], array, rtol=1e-6, atol=1e-7, err_msg=name)


def test_some_sizes_may_stay_open() -> None:
    model = parsed(
        '<ir_version: 10, opset_import: ["": 21]> g (float[n, k] x) => (float[k, n] y) { s = Shape(x) z = Reshape(x, s) y = Transpose(z) }'
    )
    fixed = with_shapes(model, {"x": (3, "k")})
    assert open_sizes(fixed) == ["k"]
    assert dims(fixed.graph.outputs[0]) == ("k", 3)
    x = np.ones((3, 2), np.float32)
    np.testing.assert_array_equal(computed(fixed, {"x": x})["y"], x.T)


def test_sizes_as_results_and_in_branches() -> None:
    """A size that is an output stays one; what a branch computes of sizes takes part."""
    model = parsed(
        '<ir_version: 10, opset_import: ["": 21]> g (float[n] x, bool c) => (int64[1] s, float[m] y) <int64[1] one = {1}>'
        "{ s = Shape(x) t = Add(s, one) y = If (c) <then_branch = a () => (float[p] u)"
        " { zero = Constant<value_float = 0.0>() u = Expand(zero, t) },"
        " else_branch = b () => (float[q] v) { v = Identity(x) }> }"
    )
    fixed = with_shapes(model, {"x": (4,)})
    found = [computed(fixed, {"x": np.ones(4, np.float32), "c": np.array(c)}) for c in (True, False)]
    assert [r["s"].tolist() for r in found] == [[4], [4]]
    assert [len(r["y"]) for r in found] == [5, 4]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"z": (2, 3)}, "no input 'z'; its inputs are x, y"),
        ({"x": (2,)}, r"the input 'x' of shape \['n', 3\] cannot have the shape \[2\]"),
        ({"x": (2, 4)}, r"cannot have the shape \[2, 4\]"),
        ({"x": (2, 3), "y": (5,)}, r"the input 'y' of shape \['n'\] cannot have the shape \[5\]"),
    ],
)
def test_sizes_that_do_not_fit(shapes: dict[str, tuple[int, ...]], message: str) -> None:
    model = parsed('<ir_version: 10, opset_import: ["": 21]> g (float[n, 3] x, float[n] y) => (float[n, 3] z) { z = Relu(x) }')
    with pytest.raises(GraphError, match=message):
        with_shapes(model, shapes)
