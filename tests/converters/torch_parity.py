"""One pass of a Model in training, and of the module that it came from: outputs, gradients, buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxdl.autodiff.gradient import gradient
from onnxdl.graph import op
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


class Pass:
    """One training pass of a Model as a session: outputs, gradients of parameters and float inputs, and next buffers.

    Args:
        model: the Model.
        seeds: arrays like the factors of the outputs, None where one is left out; by default all float outputs have one.
    """

    def __init__(self, model: Model, seeds: Sequence[np.ndarray | None] | None = None) -> None:
        self.names = {p: n for n, p in model.named_parameters()}
        with Trace("pass", training=True) as trace:
            tensors = [trace.input(s.name, s.dtype, s.shape) for s in model.input_specs]
            step, seed = trace.input("step", "int64", []), trace.input("seed", "int64", [])
            trace.declare = lambda p: trace.input(self.names[p], p.dtype, p.shape)
            trace.random_key = lambda: (seed, step)
            outputs = tensors_in(call_model(model, tensors))
            like = [o if o.dtype.kind == "f" else None for o in outputs] if seeds is None else seeds
            given = [
                (o, trace.input(f"factor/{i}", f.dtype, f.shape))
                for i, (o, f) in enumerate(zip(outputs, like, strict=True))
                if f is not None
            ]
            parts = [op.ReduceSum(o * f, keepdims=0).astype(np.float32) for o, f in given]
            loss = parts[0] if len(parts) == 1 else op.Sum(*parts)
            trained = {self.names[p]: t for p, t in trace.variables.items() if p in self.names and p.trainable}
            trained.update((t.name or "", t) for t in tensors if t.dtype.kind == "f")
            found = gradient(loss, list(trained.values()))
            results = {f"output/{i}": o for i, o in enumerate(outputs)}
            results.update((f"grad/{n}", g) for n, g in zip(trained, found, strict=True) if g is not None)
            results.update((f"next/{self.names[p]}", t) for p, t in trace.updates.items())
            results = {n: op.Identity(t) for n, t in results.items()}
            program = trace.model(results)
        self.results, self.wanted = list(results), {v.name for v in program.graph.inputs}
        self.session = create_session(ir.to_proto(program).SerializeToString())

    def __call__(self, inputs: Mapping[str, np.ndarray], seeds: Sequence[np.ndarray | None]) -> dict[str, Any]:
        factors = {f"factor/{i}": f for i, f in enumerate(seeds) if f is not None}
        feeds = {**inputs, **factors, "step": np.int64(0), "seed": np.int64(0), **{n: p.value for p, n in self.names.items()}}
        values = run(self.session, self.results, {n: np.asarray(a) for n, a in feeds.items() if n in self.wanted})
        return dict(zip(self.results, values, strict=True))


def ours(model: Model, inputs: Mapping[str, np.ndarray], seeds: Sequence[np.ndarray | None]) -> dict[str, Any]:
    """What one training pass of a Model gives; ``seeds`` are the factors of its float outputs."""
    return Pass(model, seeds)(inputs, seeds)


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
