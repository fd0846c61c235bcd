"""An optimizer's program run on a toy problem: the gradient of each weight is that of a quadratic form, plus noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx_ir as ir

from onnxdl.graph.trace import Trace
from onnxdl.optim import Optimizer, Weight
from onnxdl.runtime.sessions import create_session, run

SHAPES: dict[str, tuple[int, ...]] = {
    "dense.kernel": (4, 3),
    "dense.bias": (3,),
    "tall.kernel": (3, 5),
    "embedding.embeddings": (5, 4),
    "conv.kernel": (2, 3, 4),
    "scale": (),
}
STEPS = 50
Arrays = dict[str, np.ndarray]


def first_weights(dtype: str = "float32") -> Arrays:
    rng = np.random.default_rng(3)
    return {name: np.asarray(rng.normal(size=shape), dtype) for name, shape in SHAPES.items()}


def gradients(step: int, weights: Mapping[str, np.ndarray]) -> Arrays:
    """The gradients at these weights, the same for the same step."""
    rng = np.random.default_rng(100 + step)
    return {name: np.asarray(w * rng.uniform(0.2, 1.0) + 0.3 * rng.normal(size=w.shape), w.dtype) for name, w in weights.items()}


class Program:
    """One step of an optimizer as an ONNX model, and the State that it carries on."""

    def __init__(self, optimizer: Optimizer, weights: Arrays) -> None:
        self.weights, self.state, self.step = dict(weights), optimizer.start(weights), 0
        with Trace("optimizer") as trace:
            step = trace.input("step", "int64", [])
            entries = {n: trace.input(f"optimizer.{n}", a.dtype, a.shape) for n, a in self.state.items()}
            pairs = [Weight(n, trace.input(n, w.dtype, w.shape), trace.input(f"g/{n}", w.dtype, w.shape)) for n, w in weights.items()]
            update = optimizer.apply(pairs, entries, step)
            outputs = {f"next/{n}": t for n, t in update.weights.items()} | {f"next/optimizer.{n}": t for n, t in update.state.items()}
            self.model = trace.model(outputs)
        self.names = list(outputs)
        self.inputs = {v.name for v in self.model.graph.inputs}
        self.session = create_session(ir.to_proto(self.model).SerializeToString())

    def __call__(self, given: Arrays) -> None:
        """One step with these gradients."""
        feed = {"step": np.array(self.step), **self.weights, **{f"optimizer.{n}": a for n, a in self.state.items()}}
        feed.update((f"g/{n}", g) for n, g in given.items())
        results = dict(zip(self.names, run(self.session, self.names, {n: a for n, a in feed.items() if n in self.inputs}), strict=True))
        self.weights = {n: results[f"next/{n}"] for n in self.weights}
        self.state = {n: results[f"next/optimizer.{n}"] for n in self.state}
        self.step += 1


def trajectory(optimizer: Optimizer, steps: int = STEPS) -> Iterator[Arrays]:
    """The weights after each step."""
    program = Program(optimizer, first_weights())
    for step in range(steps):
        program(gradients(step, program.weights))
        yield program.weights
