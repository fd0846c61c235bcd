"""One pass of a Model in training, and of the module that it came from: outputs, gradients, buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxdl.autodiff.gradient import gradient
from onnxdl.graph import op
from onnxdl.graph.tensor import as_tensor
from onnxdl.graph.trace import Trace
from onnxdl.nn.structure import tensors_in
from onnxdl.runtime import run
from onnxdl.runtime.sessions import create_session
from onnxdl.train.model import Model
from onnxdl.train.step import call_model


def factors(outputs: Sequence[np.ndarray]) -> list[np.ndarray | None]:
    """What each float output is multiplied by before all are summed up: the gradient that comes in."""
    rng = np.random.default_rng(7)
    return [rng.standard_normal(o.shape).astype(o.dtype) if o.dtype.kind == "f" else None for o in outputs]


def ours(model: Model, inputs: Mapping[str, np.ndarray], seeds: Sequence[np.ndarray | None]) -> dict[str, Any]:
    """Outputs, gradients of parameters and float inputs, and next buffers of one training pass."""
    names = {p: n for n, p in model.named_parameters()}
    with Trace("pass", training=True) as trace:
        tensors = [trace.input(s.name, s.dtype, s.shape) for s in model.input_specs]
        step, seed = trace.input("step", "int64", []), trace.input("seed", "int64", [])
        trace.declare = lambda p: trace.input(names[p], p.dtype, p.shape)
        trace.random_key = lambda: (seed, step)
        outputs = tensors_in(call_model(model, tensors))
        parts = [
            op.ReduceSum(o * as_tensor(f), keepdims=0).astype(np.float32) for o, f in zip(outputs, seeds, strict=True) if f is not None
        ]
        loss = parts[0] if len(parts) == 1 else op.Sum(*parts)
        trained = {names[p]: t for p, t in trace.variables.items() if p in names and p.trainable}
        trained.update((t.name or "", t) for t in tensors if t.dtype.kind == "f")
        found = gradient(loss, list(trained.values()))
        results = {f"output/{i}": o for i, o in enumerate(outputs)}
        results.update((f"grad/{n}", g) for n, g in zip(trained, found, strict=True) if g is not None)
        results.update((f"next/{names[p]}", t) for p, t in trace.updates.items())
        results = {n: op.Identity(t) for n, t in results.items()}
        program = trace.model(results)
    feeds = {**inputs, "step": np.int64(0), "seed": np.int64(0), **{n: p.value for p, n in names.items()}}
    wanted = {v.name for v in program.graph.inputs}
    session = create_session(ir.to_proto(program).SerializeToString())
    values = run(session, list(results), {n: np.asarray(a) for n, a in feeds.items() if n in wanted})
    return dict(zip(results, values, strict=True))


def theirs(module: Any, inputs: Mapping[str, Any], seeds: Any, *, by_name: bool) -> dict[str, Any]:
    """The same of a module in training; ``seeds`` makes the factors from the outputs."""
    import torch

    given = {n: v.clone().requires_grad_() if v.is_floating_point() else v for n, v in inputs.items()}
    module.train()
    outputs = flat(module(**given) if by_name else module(*given.values()))
    weights = seeds([o.detach().numpy() for o in outputs])
    loss = sum((o * torch.from_numpy(f)).sum() for o, f in zip(outputs, weights, strict=True) if f is not None)
    module.zero_grad()
    loss.backward()
    results = {f"output/{i}": o.detach().numpy() for i, o in enumerate(outputs)}
    for n, p in [*module.named_parameters(), *given.items()]:
        if p.grad is not None:
            results[f"grad/{n}"] = p.grad.numpy()
    results.update((f"next/{n}", b.numpy().copy()) for n, b in module.named_buffers())
    return results


def flat(tree: Any) -> list[Any]:
    """The tensors that a module returns, in the order of torch's pytrees."""
    import torch

    return [t for t in torch.utils._pytree.tree_leaves(tree) if isinstance(t, torch.Tensor)]


def away(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference, as a part of the largest value of ``b``."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        return float("inf")
    if not a.size:
        return 0.0
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-6))
