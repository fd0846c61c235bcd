"""The forms of elementwise operators that a CPU session gets: equal to the plain ones, never saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from onnxdl import op, optim, runtime
from onnxdl.graph.passes import blocks
from onnxdl.graph.target import PORTABLE, Target
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import Trace
from onnxdl.optim import Optimizer, Weight
from onnxdl.runtime.cells import Cell, StepSession

RNG = np.random.default_rng(0)
CPU = Target("cpu")
Arrays = dict[str, np.ndarray]


def written(target: Target, shapes: dict[str, Sequence[int | str]], formula: Callable[..., Tensor]) -> ir.Model:
    with Trace(target=target) as trace:
        y = formula(*(trace.input(name, "float32", shape) for name, shape in shapes.items()))
        return trace.model({"y": op.Identity(y)})


def both(shapes: dict[str, Sequence[int | str]], feeds: Arrays, formula: Callable[..., Tensor]) -> tuple[set[str], np.ndarray, np.ndarray]:
    """The operators of the form for the CPU, its result, and the plain form's."""
    models = [written(target, shapes, formula) for target in (CPU, PORTABLE)]
    found = [runtime.run(runtime.create_session(ir.to_proto(m).SerializeToString()), None, feeds)[0] for m in models]
    return {n.op_type for n in models[0].graph}, *found


def test_the_mask_of_a_relu() -> None:
    x = np.array([[-np.inf, -3, -1e-38, -0.0, 0.0, 1.2e-38, 1e-20, 0.5, 7, 3e38, np.inf]], np.float32)
    operators, found, expected = both({"x": ["n", 11]}, {"x": x}, lambda x: op.Cast(x > 0, to="float32"))
    assert operators == {"HardSigmoid", "Identity"}
    np.testing.assert_array_equal(found, expected)
    other, found, expected = both({"x": ["n", 11]}, {"x": x}, lambda x: op.Cast(x > 1, to="float32"))
    assert "HardSigmoid" not in other
    np.testing.assert_array_equal(found, expected)


def test_a_sum_of_several() -> None:
    feeds = {name: RNG.normal(size=shape).astype(np.float32) for name, shape in {"a": (2, 3), "b": (3,), "c": (2, 1)}.items()}
    operators, found, expected = both({"a": [2, 3], "b": [3], "c": ["n", 1]}, feeds, lambda a, b, c: op.Sum(a, b, c))
    assert operators == {"Add", "Identity"}
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(4, 3, 1, 1), (5, 1)])
def test_a_number_beside_a_last_dimension_of_one(shape: tuple[int, ...]) -> None:
    feeds = {"w": RNG.normal(size=shape).astype(np.float32), "rate": np.array(0.3, np.float32)}
    operators, found, expected = both({"w": shape, "rate": []}, feeds, lambda w, rate: (w - rate * w) / np.float32(2))
    assert "Reshape" in operators
    np.testing.assert_array_equal(found, expected)
    assert found.shape == shape


@pytest.mark.parametrize("flip", [False, True])
def test_an_update_that_is_a_product(flip: bool) -> None:
    shapes: dict[str, Sequence[int | str]] = {"w": [3, 5], "a": ["n", 3], "b": ["n", 5], "rate": []}
    feeds = {name: RNG.normal(size=[4 if d == "n" else d for d in shape]).astype(np.float32) for name, shape in shapes.items()}

    def formula(w: Tensor, a: Tensor, b: Tensor, rate: Tensor) -> Tensor:
        product = op.Gemm(a, b, transA=1)
        return w - (product * rate if flip else rate * product)

    operators, found, expected = both(shapes, feeds, formula)
    assert operators == {"Gemm", "Mul", "Identity"}
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    operators, found, expected = both(shapes, feeds, lambda *t: formula(*t) * op.Gemm(t[1], t[2], transA=1))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


# ---- updates in blocks -------------------------------------------------------------------------------------------------

SHAPES = {"large": (6, 5, 4), "odd": (7, 11), "small": (3,)}


def stepped(optimizer: Optimizer, target: Target, steps: int) -> tuple[Arrays, list[str], set[str]]:
    """The State after some steps, the operators of the session's graph, and the entries that it writes in place."""
    rng = np.random.default_rng(1)
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    state: Arrays = {**weights, **optimizer.start(weights), "step": np.zeros((), np.int64)}
    with Trace(training=True, target=target) as trace:
        inputs = {name: trace.input(name, a.dtype, a.shape) for name, a in state.items()}
        gradients = {name: trace.input(f"grad/{name}", a.dtype, a.shape) for name, a in weights.items()}
        update = optimizer.apply([Weight(name, inputs[name], gradients[name]) for name in weights], inputs, inputs["step"])
        following = {**update.weights, **{n: t for n, t in update.state.items() if n != "learning_rate"}, "step": inputs["step"] + 1}
        model = trace.model({f"next/{name}": t for name, t in following.items()})
    runtime.leave_unshaped(model)
    in_place = runtime.written_in_place(model)
    cells = {name: Cell(a) for name, a in state.items()}
    session = StepSession(ir.to_proto(model).SerializeToString(), cells, in_place=in_place, threads=2)
    for _ in range(steps):
        session({f"grad/{name}": rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()})
    return {name: cell.numpy() for name, cell in cells.items()}, [n.op_type for n in model.graph], in_place


@pytest.mark.parametrize(
    ("make", "scans"),
    [
        (lambda: optim.Adam(0.1, amsgrad=True), 1),
        (lambda: optim.AdamW(0.1, weight_decay=0.1, clipvalue=0.5), 1),
        (lambda: optim.SGD(0.1, momentum=0.9, nesterov=True, global_clipnorm=1.0), 1),
        (lambda: optim.SGD(0.1), 0),
    ],
    ids=["adam", "adamw", "momentum", "sgd"],
)
def test_updates_in_blocks_and_in_place(make: Callable[[], Any], scans: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LARGE", 50)
    monkeypatch.setattr(blocks, "MOST", 24)
    monkeypatch.setattr(blocks, "LEAST", 20)
    found, operators, in_place = stepped(make(), CPU, 4)
    expected, plain, _ = stepped(make(), PORTABLE, 4)
    assert operators.count("Scan") == scans
    assert "Scan" not in plain
    slots = {name for name in expected if name.endswith((".large", ".odd", ".small"))}
    assert slots <= in_place
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-7, err_msg=name)
        assert found[name].shape == array.shape
