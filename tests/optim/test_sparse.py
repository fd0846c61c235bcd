"""Sparse embedding updates: equal to the dense ones where those leave other rows alone, lazy as PyTorch's SparseAdam elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch

import onnxdl as ox
from onnxdl import nn, op, optim
from onnxdl.runtime import written_in_place

ROWS, WIDTH, BATCH = 40, 6, 32
RNG = np.random.default_rng(0)


def dots(t: Any) -> Any:
    return op.ReduceSum(op.Unsqueeze(t[0], [1]) * t[1], [-1], keepdims=0) + op.ReduceSum(t[2], [-1], keepdims=1)


def model_of(optimizer: optim.Optimizer, sparse: bool) -> ox.Model:
    """Two tables, one of them looked up twice."""
    ox.set_seed(0)
    a, b = ox.Input((), dtype="int64"), ox.Input((3,), dtype="int64")
    first, second = (nn.Embedding(ROWS, WIDTH, sparse=sparse, name=name) for name in ("first", "second"))
    model = ox.Model([a, b], nn.Lambda(dots)([first(a), second(b), second(a)]))
    model.compile(optimizer, "mse", device="cpu")
    return model


def batches(n: int) -> list[tuple[list[np.ndarray], np.ndarray]]:
    """Rows with many repetitions, negative ones among them; some rows never occur."""
    found = []
    for _ in range(n):
        a = RNG.integers(-2, 9, BATCH)
        b = RNG.integers(0, ROWS - 3, (BATCH, 3))
        found.append(([a, b], RNG.normal(size=(BATCH, 3)).astype(np.float32)))
    return found


def portable(model: ox.Model) -> dict[str, np.ndarray]:
    """What the saved form of the step makes of the model's State and of three batches, on four threads."""
    program = model.train_step().program
    options = ort.SessionOptions()
    options.intra_op_num_threads = 4
    session = ort.InferenceSession(ir.to_proto(program).SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    inputs = {i.name for i in session.get_inputs()}
    state = {name: array for name, array in model.state.items() if name in inputs}
    for x, y in batches(3):
        found = dict(zip(names, session.run(None, {**model.batch(x, y), **state}), strict=True))
        state = {name: found[f"next/{name}"] for name in state}
    return state


@pytest.mark.parametrize(
    "make",
    [
        lambda: optim.SGD(0.1),
        lambda: optim.SGD(0.1, global_clipnorm=0.1),
        lambda: optim.Adagrad(0.1),
    ],
    ids=["sgd", "clipped", "adagrad"],
)
def test_equal_to_dense_where_a_zero_gradient_moves_nothing(make: Any) -> None:
    dense, sparse, saved = model_of(make(), False), model_of(make(), True), model_of(make(), True)
    data = batches(3)
    dense.fit(iter(data), epochs=1, verbose=0)
    for x, y in data:
        sparse.train_on_batch(x, y)
    for a, b in zip(dense.get_weights(), sparse.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)
    global RNG
    saved.ensure_targets(data[0][1])
    RNG = np.random.default_rng(7)
    after = portable(saved)
    RNG = np.random.default_rng(7)
    for x, y in batches(3):
        saved.train_on_batch(x, y)
    for name, p in saved.named_parameters():
        np.testing.assert_allclose(after[name], p.value, rtol=1e-5, atol=1e-6)


def test_adam_is_lazy_as_in_pytorch() -> None:
    model = model_of(optim.Adam(0.01, epsilon=1e-8), True)
    tables = [torch.nn.Embedding(ROWS, WIDTH, sparse=True) for _ in range(2)]
    for table, w in zip(tables, model.get_weights(), strict=True):
        table.weight.data = torch.tensor(w)
    optimizer = torch.optim.SparseAdam([t.weight for t in tables], lr=0.01, eps=1e-8)
    untouched = model.get_weights()[1][-3:]
    for (a, b), y in batches(6):
        loss = model.train_on_batch([a, b], y)
        ids = torch.tensor(a % ROWS)
        scores = (tables[0](ids)[:, None] * tables[1](torch.tensor(b))).sum(-1) + tables[1](ids).sum(-1, keepdim=True)
        expected = ((scores - torch.tensor(y)) ** 2).mean()
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
        assert loss == pytest.approx(expected.item(), rel=1e-5)
    for table, w in zip(tables, model.get_weights(), strict=True):
        np.testing.assert_allclose(w, table.weight.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(model.get_weights()[1][-3], untouched[0])
    assert not np.isclose(model.get_weights()[1][-2:], untouched[-2:]).any()


def test_tables_and_slots_are_written_in_place() -> None:
    model = model_of(optim.Adam(0.01), True)
    ((x, y),) = batches(1)
    model.train_on_batch(x, y)
    tables = {"first.embeddings", "second.embeddings"}
    expected = tables | {f"optimizer.{slot}.{name}" for slot in ("m", "v") for name in tables}
    assert written_in_place(model.train_step().program) == expected
    cells = model.cells()
    assert all(not cells[name].flipped and cells[name]._buffers[1] is None for name in expected)
    version = cells["first.embeddings"].version
    before = model.state["first.embeddings"]
    model.train_on_batch(x, y)
    assert cells["first.embeddings"].version > version
    assert not np.array_equal(model.state["first.embeddings"], before)


TEXT = """<ir_version: 10, opset_import: ["": 21]> g (float[9, 2] x, int64[3] i, int64[3, 1] j) => (float[a, 2] y, float[9, 2] "next/x")
{ rows = Gather(x, i)
  twice = Add(rows, rows)
  y = %s
  "next/x" = ScatterND(x, j, %s) }"""


@pytest.mark.parametrize(
    ("read", "updates", "safe"),
    [
        ("Neg(twice)", "twice", True),
        ("Neg(x)", "twice", False),  # reads the whole table, at any time
        ("Gather(x, i)", "twice", False),  # may run after the write
        ("Neg(twice)", "rows", True),
    ],
)
def test_only_what_no_later_reader_needs_is_written_in_place(read: str, updates: str, safe: bool) -> None:
    import onnx

    model = ir.from_proto(onnx.parser.parse_model(TEXT % (read, updates)))
    assert written_in_place(model) == ({"x"} if safe else set())


def test_what_needs_the_whole_gradient_says_so() -> None:
    ((x, y),) = batches(1)
    for optimizer, words in ((optim.Lamb(), "Lamb"), (optim.SGD(gradient_accumulation_steps=2), "gradient_accumulation_steps")):
        with pytest.raises(ox.OnnxdlError, match=f"{words} needs the whole gradient of 'first.embeddings'"):
            model_of(optimizer, True).train_on_batch(x, y)
    tied = nn.Embedding(ROWS, WIDTH, sparse=True, name="tied")
    a = ox.Input((), dtype="int64")
    model = ox.Model(a, nn.Lambda(lambda t: t @ op.Transpose(tied.embeddings))(tied(a)))
    model.compile("sgd", "mse", device="cpu")
    with pytest.raises(ox.OnnxdlError, match="read by Transpose too"):
        model.train_on_batch(x[0], np.zeros((BATCH, ROWS), np.float32))
