"""Every optimizer and schedule against Keras's, over fifty steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import optim
from tests.keras_backend import jax, keras
from tests.optim.cases import OPTIMIZERS, SCHEDULES, Case
from tests.optim.runner import STEPS, first_weights, gradients, trajectory


def made(case: Case, optimizers: Any, schedules: Any) -> Any:
    arguments = {k: getattr(schedules, v.kind)(**v.arguments) if isinstance(v, Case) else v for k, v in case.arguments.items()}
    optimizer = getattr(optimizers, case.kind)(**arguments)
    if case.undecayed:
        optimizer.exclude_from_weight_decay(var_names=list(case.undecayed))
    return optimizer


@pytest.mark.parametrize("case", OPTIMIZERS, ids=str)
def test_optimizer_agrees_with_keras(case: Case) -> None:
    k = keras()
    reference = made(case, k.optimizers, k.optimizers.schedules)
    expected = first_weights()
    reference.build([k.Variable(w, name=n.replace(".", "_"), dtype="float32") for n, w in expected.items()])
    apply = jax().jit(reference.stateless_apply)
    state = [v.value for v in reference.variables]
    ours = trajectory(made(case, optim, optim.schedules))
    for step, weights in zip(range(STEPS), ours, strict=True):
        new, state = apply(state, list(gradients(step, expected).values()), list(expected.values()))
        expected = {n: np.asarray(w) for n, w in zip(expected, new, strict=True)}
        for name, w in weights.items():
            np.testing.assert_allclose(w, expected[name], rtol=case.rtol, atol=case.rtol, err_msg=f"{name}, step {step}")


@pytest.mark.parametrize("case", SCHEDULES, ids=str)
def test_schedule_agrees_with_keras(case: Case) -> None:
    schedules = keras().optimizers.schedules
    ours, reference = getattr(optim.schedules, case.kind)(**case.arguments), jax().jit(getattr(schedules, case.kind)(**case.arguments))
    for step in range(STEPS):
        assert float(ours(ox.tensor(np.float32(step)))) == pytest.approx(float(reference(np.float32(step))), rel=1e-4, abs=1e-7), step


def test_every_optimizer_has_a_case() -> None:
    assert {case.kind.lower() for case in OPTIMIZERS} == set(optim.NAMES)
