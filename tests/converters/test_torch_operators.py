"""Every ATen operator of the table against torch: values, element types, gradients."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnxdl.converters.torch.aten import UNREAD, full_name, in_place_of, table  # noqa: E402
from onnxdl.converters.torch.exported import program_of  # noqa: E402
from onnxdl.converters.torch.reading import model_of  # noqa: E402
from tests.converters.torch_cases import CASES, RANDOM, Case, DType, Fixed  # noqa: E402
from tests.converters.torch_layer_cases import BY_HAND  # noqa: E402
from tests.converters.torch_parity import away, factors, flat, ours  # noqa: E402

FAMILY_SIZE = 60


def _operator(name: str) -> Any:
    _, base, overload = full_name(name).split(".", 2)
    return getattr(getattr(torch.ops.aten, base), overload)


class Calls(torch.nn.Module):
    """Many operators called side by side, each on arguments of its own."""

    def __init__(self, calls: list[tuple[str, Case]]) -> None:
        super().__init__()
        self.calls = calls

    def forward(self, *arrays: Any) -> Any:
        left = iter(arrays)

        def argument(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                return next(left)
            if isinstance(value, list):
                return [argument(v) for v in value]
            return getattr(torch, value.name) if isinstance(value, DType) else value

        results = []
        for name, case in self.calls:
            args, kwargs = [argument(a) for a in case.args], {k: argument(v) for k, v in case.kwargs.items()}
            if name.split(".")[0].endswith("_"):
                args[0] = args[0].clone()
            given = [t for t in torch.utils._pytree.tree_leaves(_operator(name)(*args, **kwargs)) if isinstance(t, torch.Tensor)]
            results.append(given[: case.first])
        return results


def arrays_in(tree: Any) -> list[np.ndarray]:
    if isinstance(tree, np.ndarray):
        return [tree]
    return [a for v in tree for a in arrays_in(v)] if isinstance(tree, list | tuple) else []


def _exported(calls: list[tuple[str, Case]]) -> tuple[Any, list[Any]]:
    arrays = [a for _, case in calls for a in arrays_in([*case.args, *case.kwargs.values()])]
    inputs = [torch.from_numpy(np.array(a)) for a in arrays]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(Calls(calls).train(), tuple(inputs)), inputs


def _groups(cases: list[Case]) -> list[list[tuple[str, Case]]]:
    every = [(name, case) for case in cases for name in case.names.split()]
    return [every[i : i + FAMILY_SIZE] for i in range(0, len(every), FAMILY_SIZE)]


@pytest.mark.parametrize("calls", _groups(CASES), ids=lambda calls: f"{calls[0][0]}-{calls[-1][0]}")
def test_operators(calls: list[tuple[str, Case]]) -> None:
    program, inputs = _exported(calls)
    model = model_of(program_of(program, "the cases"), "the cases", None)
    fixed = [isinstance(a, Fixed) or not case.gradient for _, case in calls for a in arrays_in([*case.args, *case.kwargs.values()])]
    given = [x.requires_grad_() if x.is_floating_point() and not f else x for x, f in zip(inputs, fixed, strict=True)]
    results = Calls(calls)(*given)
    expected = flat(results)
    values = [o.detach().numpy() for o in expected]
    seeds = [f if o.requires_grad else None for o, f in zip(expected, factors(values), strict=True)]
    sum((o * torch.from_numpy(f)).sum() for o, f in zip(expected, seeds, strict=True) if f is not None).backward()
    names = [s.name for s in model.input_specs]
    found = ours(model, dict(zip(names, [x.detach().numpy() for x in inputs], strict=True)), seeds)
    wrong = []
    at = 0
    for (name, case), outputs in zip(calls, results, strict=True):
        for output in outputs:
            got, wanted = found[f"output/{at}"], output.detach().numpy()
            at += 1
            if got.dtype != wanted.dtype:
                wrong.append(f"{name}: {got.dtype} instead of {wanted.dtype}")
            elif not np.allclose(got, wanted, rtol=1e-4, atol=1e-5, equal_nan=True) or got.shape != wanted.shape:
                wrong.append(f"{name}{case.args}: {got} instead of {wanted}")
    owners = [name for name, case in calls for _ in arrays_in([*case.args, *case.kwargs.values()])]
    for name, owner, x in zip(names, owners, given, strict=True):
        if x.requires_grad and x.grad is not None and away(found.get(f"grad/{name}", np.zeros_like(x.grad)), x.grad.numpy()) > 1e-4:
            wrong.append(f"the gradient of {owner}: {found.get(f'grad/{name}')} instead of {x.grad.numpy()}")
    assert not wrong, "\n".join(wrong)


def test_random_operators() -> None:
    calls = [(name, case) for case in RANDOM for name in case.names.split()]
    program, inputs = _exported(calls)
    model = model_of(program_of(program, "the cases"), "the cases", None)
    torch.manual_seed(1)
    expected = flat(Calls(calls)(*inputs))
    names = [s.name for s in model.input_specs]
    found = ours(
        model, dict(zip(names, [x.numpy() for x in inputs], strict=True)), [np.zeros((), np.float32)] + [None] * (len(expected) - 1)
    )
    for i, (output, (name, _)) in enumerate(
        zip(expected, [c for c in calls for _ in range(2 if c[0] == "native_dropout" else 1)], strict=True)
    ):
        got, wanted = found[f"output/{i}"], output.numpy()
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape), name
        spread = wanted.astype(float).std()
        assert abs(got.astype(float).mean() - wanted.astype(float).mean()) < 0.15 * spread + 0.02, name
        assert abs(got.astype(float).std() - spread) < 0.15 * spread + 0.02, name


def test_every_operator_has_a_case() -> None:
    tested = {full_name(name) for case in [*CASES, *RANDOM] for name in case.names.split()} | {full_name(n) for n in BY_HAND}
    tested = {n if n in table() else in_place_of(n) for n in tested}
    symbolic = {n for n, o in table().items() if o.family == "symbolic"}
    assert set(table()) - symbolic - tested == set()
    assert len(table()) - len(symbolic) > 150


def test_functions_take_what_torch_says() -> None:
    """Every argument of torch's schema by its name, so that none is refused without need."""
    lacking = {}
    for name, entry in table().items():
        if name.startswith("aten."):
            base, overload = name.removeprefix("aten.").split(".")
            packet = getattr(torch.ops.aten, base, None)
            form = name if hasattr(packet, overload) else f"aten.{base}_.{overload}"  # some write in place only
            schema = _operator(form.removeprefix("aten."))._schema
            names = {{"self": "x", "from": "low"}.get(a.name, a.name) for a in schema.arguments}
            if missing := names - entry.accepted - UNREAD - {"sorter"}:
                lacking[name] = missing
    assert lacking == {}
