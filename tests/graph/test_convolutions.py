"""The forms of convolution that a CPU session gets: equal to Conv and to its gradients, chosen by size, never saved."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import onnxdl as ox
from onnxdl import nn, op, runtime
from onnxdl.autodiff.gradient import gradient
from onnxdl.graph import blocked, winograd
from onnxdl.graph.target import PORTABLE, Target
from onnxdl.graph.trace import Trace

RNG = np.random.default_rng(0)
TOLERANCE = {1: 2e-6, 2: 2e-5, 4: 2e-5}  # of the largest value


def results(target: Target, x: Any, w: Any, bias: bool, attributes: dict[str, Any]) -> tuple[list[np.ndarray], list[str]]:
    """The output and the gradients of a convolution made for a target, and the operators that it is made of."""
    shape = (x.shape[0] if x.shape[0] is None else "n", *x.shape[1:])
    with Trace(target=target) as trace:
        tx, tw = trace.input("x", "float32", shape), trace.input("w", "float32", w.shape)
        b = trace.input("b", "float32", w.shape[:1]) if bias else None
        y = op.Tanh(op.Conv(tx, tw, b, **attributes))
        wrt = [tx, tw, *([b] if b is not None else [])]
        outputs = {"y": y, **{f"d{i}": op.Identity(d) for i, d in enumerate(gradient(y, wrt))}}
        model = trace.model(outputs)
    feeds = {"x": x, "w": w, **({"b": np.linspace(-1, 1, len(w)).astype(np.float32)} if bias else {})}
    session = runtime.create_session(ir.to_proto(model).SerializeToString(), threads=2)
    return runtime.run(session, list(outputs), feeds), [f"{n.domain}.{n.op_type}" for n in model.graph]


def compare(target: Target, x: Any, w: Any, bias: bool, attributes: dict[str, Any], tolerance: float) -> list[str]:
    found, operators = results(target, x, w, bias, attributes)
    expected, _ = results(PORTABLE, x, w, bias, attributes)
    for a, b in zip(found, expected, strict=True):
        assert np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1)
    return operators


def arrays(n: int, c: int, m: int, h: int, w: int, k: int, group: int = 1) -> tuple[np.ndarray, np.ndarray]:
    x = RNG.normal(size=(n, c, h, w)).astype(np.float32)
    return x, (RNG.normal(size=(m, c // group, k, k)) / np.sqrt(c // group * k * k)).astype(np.float32)


@pytest.mark.parametrize("r", winograd.KERNELS)
@pytest.mark.parametrize("m", winograd.TILES)
def test_every_form_of_winograd_at_odd_sizes_and_paddings(r: int, m: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "best_form", lambda r, c, f, space, exact: winograd.form_of(m, r))
    for (h, w), pads in itertools.product([(8, 8), (7, 10), (r, r + 1)], [(r // 2,) * 4, (0, 1, 2, 0), (0, 0, 0, 0)]):
        operators = compare(Target("cpu"), *arrays(2, 3, 5, h, w, r), h > 7, {"pads": pads}, TOLERANCE[m])
        assert ".Conv" not in operators
        assert ".ConvTranspose" not in operators


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((2, 32, 32, 9, 8, 3, 32), {"pads": (1, 1, 1, 1), "group": 32}),
        ((3, 16, 16, 9, 12, 3, 16), {"pads": (0, 1, 2, 0), "group": 16}),
        ((2, 16, 16, 9, 8, 5, 16), {"pads": (2, 2, 2, 2), "group": 16, "strides": (2, 2)}),
        ((2, 16, 16, 10, 11, 3, 16), {"pads": (1, 0, 1, 0), "group": 16, "strides": (1, 2), "dilations": (2, 1)}),
        ((2, 16, 16, 8, 8, 3, 16), {"auto_pad": "SAME_UPPER", "group": 16, "strides": (2, 2)}),
        ((2, 16, 32, 9, 8, 3), {"pads": (1, 1, 1, 1)}),
        ((2, 32, 16, 6, 11, 5), {"pads": (2, 0, 1, 2)}),
    ],
)
def test_blocked_kernels(shape: tuple[int, ...], attributes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "best_form", lambda *_: None)
    operators = compare(Target("cpu"), *arrays(*shape), True, attributes, 1e-5)
    assert f"{blocked.DOMAIN}.Conv" in operators or not blocked.block_size()


def test_without_blocked_kernels_all_stays_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocked, "_agrees", lambda block: False)
    blocked.block_size.cache_clear()
    assert blocked.block_size() == 0
    _, operators = results(Target("cpu"), *arrays(1, 16, 16, 6, 6, 3, 16), False, {"group": 16})
    blocked.block_size.cache_clear()
    assert not any(name.startswith(blocked.DOMAIN) for name in operators)


@pytest.mark.parametrize("target", [PORTABLE, Target("cuda")])
def test_other_targets_keep_plain_nodes(target: Target) -> None:
    _, operators = results(target, *arrays(1, 64, 64, 8, 8, 3), False, {"pads": (1, 1, 1, 1)})
    assert ".Conv" in operators
    assert all(name.startswith(".") for name in operators)


def test_exact_means_direct_sums() -> None:
    chosen = [winograd.best_form(3, c, c, (s, s), True) for c, s in itertools.product((16, 64, 512), (2, 8, 32))]
    assert {form.m for form in chosen if form is not None} == {1}
    assert winograd.best_form(3, 64, 64, (32, 32), False) == winograd.form_of(4, 3)


def test_a_net_trains_alike_in_either_form_and_saves_plain_nodes() -> None:
    x = RNG.normal(size=(8, 32, 12, 12)).astype(np.float32)
    y = RNG.integers(0, 3, 8)
    losses = []
    for exact in (False, True):
        ox.set_seed(0)
        layers = [
            nn.Conv2D(48, 3, padding="same", activation="relu"),
            nn.Conv2D(32, 5, activation="relu"),
            nn.MaxPooling2D(2),
            nn.Flatten(),
            nn.Dense(3),
        ]
        model = ox.Sequential([ox.Input((32, 12, 12)), *layers])
        model.compile("sgd", nn.losses.SparseCategoricalCrossentropy(from_logits=True), device="cpu", exact=exact)
        losses.append([model.train_on_batch(x, y) for _ in range(4)])
        (made,) = (p for kind, p in model.programs.items() if kind[0].__name__ == "TrainStep")
        names = [n.op_type for n in made.program.graph]
        assert names.count("Conv") >= 2
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0][-1] < losses[0][0]
