"""Every rule against central differences: first and second order, eager and symbolic shapes, and the set of rules itself."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from onnxdl.autodiff import registry
from onnxdl.graph.infer import schema_of
from tests.autodiff.cases import all_cases
from tests.autodiff.oracle import Oracle, along, directions, run_trace, unit_directions

ORACLES = [Oracle(case) for case in all_cases()]
TWICE = [oracle for oracle in ORACLES if oracle.case.second_order]
FEW = 32


@pytest.mark.parametrize("oracle", ORACLES, ids=str)
def test_gradient_agrees_with_central_differences(oracle: Oracle) -> None:
    gradients = oracle.gradients
    for g, x in zip(gradients, oracle.points, strict=True):
        assert g.shape == x.shape
        assert g.dtype == oracle.dtype
    size = sum(x.size for x in oracle.points)
    tried = directions(oracle.points, 2) + (unit_directions(oracle.points) if size <= FEW else [])
    variables = [*oracle.points, *oracle.seeds]
    scale = max([1.0, *(float(np.abs(g).max()) for g in gradients if g.size)])
    for direction in tried:
        expected = oracle.slope(variables, direction)
        assert along(gradients, direction) == pytest.approx(expected, rel=oracle.rtol, abs=oracle.rtol * scale)


@pytest.mark.parametrize("oracle", TWICE, ids=str)
def test_second_order_agrees_with_central_differences(oracle: Oracle) -> None:
    variables = [*oracle.points, *oracle.seeds]
    a, *others = directions(variables, 3)
    a = a[: len(oracle.points)]
    gradients = oracle.second_gradients(a)
    scale = max([1.0, *(float(np.abs(g).max()) for g in gradients if g.size)])
    for b in others:
        expected = oracle.curvature(variables, a, b)
        assert along(gradients, b) == pytest.approx(expected, rel=20 * oracle.rtol, abs=20 * oracle.rtol * scale)


@pytest.mark.parametrize("run_time", [False, True], ids=["symbolic", "run-time"])
@pytest.mark.parametrize("oracle", ORACLES, ids=str)
def test_symbolic_shapes_agree(oracle: Oracle, run_time: bool) -> None:
    trace, feeds = oracle.traced(run_time=run_time)
    lacking = {n.op_type for n in trace.graph.all_nodes() if not _differentiable(n.op_type, n.domain)}
    assert not lacking, f"the rule of {oracle.case.op} emits operators that have no rule themselves: {lacking}"
    for symbolic, eager in zip(run_trace(trace, feeds), oracle.gradients, strict=True):
        np.testing.assert_allclose(symbolic, eager, rtol=oracle.rtol, atol=oracle.rtol)


@pytest.mark.parametrize("oracle", ORACLES, ids=str)
def test_float16_where_the_forward_pass_has_it(oracle: Oracle) -> None:
    if not oracle.runs_in(np.float16):
        pytest.skip(f"ONNX Runtime's CPU has no float16 kernel of {oracle.case.op}")
    for half, exact in zip(oracle.gradients_in(np.float16), oracle.gradients, strict=True):
        assert half.dtype == np.float16
        np.testing.assert_allclose(half, exact, rtol=0.02, atol=0.02 * max(1.0, float(np.abs(exact).max(initial=0))))


def test_every_rule_has_a_case_and_every_case_a_rule() -> None:
    rules, _ = registry.registered()
    with_case = {(o.case.domain, o.case.op) for o in ORACLES}
    with_body = {key for key in with_case - rules if _has_body(key[1], key[0])}
    assert rules == with_case - with_body


def test_the_readmes_recipe_is_what_was_really_added() -> None:
    root = Path(__file__).parents[2]
    recipe = (root / "README.md").read_text().split("- **An operator**")[1].split("- **A layer**")[0]
    shown = [line.strip() for line in recipe.splitlines() if line.startswith("      ") and line.strip()]
    rules, cases = ((root / folder / "shape.py").read_text() for folder in ("onnxdl/autodiff/rules", "tests/autodiff/cases"))
    untyped = re.sub(r": (?:Tensor|int)(?: \| None)?|(?<=\)) -> \w+", "", rules).replace(" = ", "=")
    assert all(line.replace(" = ", "=") in untyped or line in cases for line in shown), shown


def _differentiable(op_type: str, domain: str) -> bool:
    return registry.find(op_type, domain) is not None or registry.has_no_gradient(op_type, domain) or _has_body(op_type, domain)


def _has_body(op_type: str, domain: str) -> bool:
    schema = schema_of(op_type, 28, domain)
    return schema is not None and (schema.has_function or schema.has_context_dependent_function)
