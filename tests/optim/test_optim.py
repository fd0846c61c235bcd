"""What stands around the formulas: groups, loss scaling, branches, element types, names and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn, optim
from onnxdl.errors import GraphError
from onnxdl.optim.averaging import averages_in
from tests.optim.runner import Program, first_weights, gradients, trajectory


def rates(schedule: Any, steps: int) -> list[float]:
    return [float(schedule(ox.tensor(np.float32(s)))) for s in range(steps)]


def test_one_cycle_agrees_with_pytorch() -> None:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=40, cycle_momentum=False)
    expected = []
    for _ in range(40):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        if len(expected) < 40:
            scheduler.step()
    assert rates(optim.schedules.OneCycle(0.5, 40), 40) == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_adamw_agrees_with_pytorch_where_epsilon_is_small() -> None:
    torch = pytest.importorskip("torch")
    parameters = {n: torch.nn.Parameter(torch.tensor(w)) for n, w in first_weights().items()}
    reference = torch.optim.AdamW(parameters.values(), lr=0.02, weight_decay=0.1, eps=1e-10)
    for step, weights in enumerate(trajectory(optim.AdamW(0.02, weight_decay=0.1, epsilon=1e-10), 50)):
        given = gradients(step, {n: p.detach().numpy() for n, p in parameters.items()})
        for name, p in parameters.items():
            p.grad = torch.tensor(given[name])
        reference.step()
        for name, w in weights.items():
            np.testing.assert_allclose(w, parameters[name].detach().numpy(), rtol=1e-4, atol=1e-5, err_msg=name)


def test_warm_up_rises_in_a_line_and_then_follows_the_schedule() -> None:
    after = optim.schedules.ExponentialDecay(0.1, 5, 0.5)
    got = rates(optim.schedules.WarmUp(after, 4), 12)
    assert got == pytest.approx([0.0, 0.025, 0.05, 0.075, *rates(after, 8)], rel=1e-5)
    assert rates(optim.schedules.WarmUp(0.1, 2), 4) == pytest.approx([0.0, 0.05, 0.1, 0.1])


def test_groups_train_like_their_own_optimizers() -> None:
    chosen = optim.MultiOptimizer(
        optim.OptimizerMap(optim.Adam(0.02), {r".*\.bias": optim.SGD(0.5, momentum=0.9), "scale": optim.Lion(0.1)})
    )
    alone = [list(trajectory(o, 10)) for o in (optim.Adam(0.02), optim.SGD(0.5, momentum=0.9), optim.Lion(0.1))]
    for step, weights in enumerate(trajectory(chosen, 10)):
        for name, w in weights.items():
            group = 1 if name.endswith(".bias") else 2 if name == "scale" else 0
            np.testing.assert_array_equal(w, alone[group][step][name])
    assert {"learning_rate", "1.learning_rate", "2.learning_rate", "m.dense.kernel", "1.momentum.dense.bias", "2.m.scale"} < set(
        chosen.start(first_weights())
    )


def test_a_weight_of_two_groups_is_an_error() -> None:
    chosen = optim.MultiOptimizer(optim.OptimizerMap(optim.Adam(), {"dense.*": optim.SGD(), ".*bias": optim.SGD()}))
    with pytest.raises(GraphError, match=r"several optimizers are given for 'dense.bias'"):
        chosen.start(first_weights())


def test_loss_scaling_skips_a_step_that_overflows_and_grows_again() -> None:
    program = Program(optim.LossScaleOptimizer(optim.Adam(0.02), initial_scale=8.0, dynamic_growth_steps=3), first_weights())
    plain = Program(optim.Adam(0.02), first_weights())
    scales = []
    for step in range(8):
        scale = float(program.state["loss_scale"])
        given = gradients(step, plain.weights)
        bad = step in (2, 3)
        scaled = {n: np.asarray(g * scale, np.float32) for n, g in given.items()}
        if bad:
            scaled["dense.bias"] = np.array([1.0, np.inf if step == 2 else np.nan, 0.0], np.float32)
        program(scaled)
        if not bad:
            plain(given)
        scales.append(float(program.state["loss_scale"]))
        for name, w in plain.weights.items():
            np.testing.assert_array_equal(program.weights[name], w)
    assert scales == [8, 8, 4, 2, 2, 2, 4, 4]
    assert float(program.state["beta_1_power"]) == pytest.approx(0.9**6)


def test_accumulation_moves_the_weights_by_the_mean_gradient() -> None:
    many = Program(optim.Adam(0.02, gradient_accumulation_steps=2, clipvalue=0.5), first_weights())
    one = Program(optim.Adam(0.02, clipvalue=0.5), first_weights())
    for step in range(0, 6, 2):
        a, b = gradients(step, one.weights), gradients(step + 1, one.weights)
        before = many.weights
        many(a)
        for name, w in before.items():
            np.testing.assert_array_equal(many.weights[name], w)
        many(b)
        one({n: np.asarray((a[n] + b[n]) / 2, np.float32) for n in a})
        for name, w in one.weights.items():
            np.testing.assert_allclose(many.weights[name], w, rtol=1e-6, atol=1e-7)


def test_average_of_the_weights() -> None:
    program = Program(optim.SGD(0.1, use_ema=True, ema_momentum=0.75), first_weights())
    averages = None
    for step in range(5):
        program(gradients(step, program.weights))
        averages = dict(program.weights) if averages is None else {n: 0.75 * averages[n] + 0.25 * w for n, w in program.weights.items()}
    found = averages_in({f"optimizer.{n}": a for n, a in program.state.items()})
    assert set(found) == set(program.weights)
    for name, average in found.items():
        np.testing.assert_allclose(average, averages[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", sorted(optim.NAMES))
def test_float64_weights_stay_float64(kind: str) -> None:
    weights = first_weights("float64")
    program = Program(optim.get(kind), weights)
    program(gradients(0, weights))
    assert all(w.dtype == np.float64 and np.isfinite(w).all() for w in program.weights.values())
    assert any(np.abs(w - weights[n]).max() > 0 for n, w in program.weights.items())


@pytest.mark.parametrize(
    ("kind", "most"), [("SGD", 2), ("Adam", 10), ("AdamW", 11), ("RMSprop", 8), ("Adagrad", 7), ("Lion", 9), ("Nadam", 12)]
)
def test_nodes_a_weight(kind: str, most: int) -> None:
    """What a further weight costs: scalars are computed once for all."""

    def nodes(n: int) -> int:
        weights = {f"w{i}": np.zeros((2, 2), np.float32) for i in range(n)}
        return sum(node.op_type != "Constant" for node in Program(getattr(optim, kind)(), weights).model.graph)

    assert nodes(3) - nodes(2) == most


def test_errors() -> None:
    with pytest.raises(GraphError, match="above 0"):
        optim.Adam(0.0)
    with pytest.raises(TypeError, match="SGD takes no argument 'decay'"):
        optim.SGD(decay=0.1)  # type: ignore[call-arg]
    with pytest.raises(GraphError, match="one of clipvalue"):
        optim.SGD(clipnorm=1.0, clipvalue=1.0)
    with pytest.raises(GraphError, match="did you mean 'adam'"):
        optim.get("adamm")
    with pytest.raises(GraphError, match="2 boundaries part 3 values, not 2"):
        optim.schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2])


def test_a_scaled_loss_gives_the_same_weights() -> None:
    weights = []
    for factor in (None, 1024.0):
        ox.set_seed(0)
        model = ox.Sequential([ox.Input((3,)), nn.Dense(2)])
        model.compile(optim.SGD(0.1, momentum=0.9, loss_scale_factor=factor), "mse", device="cpu")
        x = np.arange(12, dtype=np.float32).reshape(4, 3) / 10
        model.fit(x, x[:, :2], epochs=3, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
