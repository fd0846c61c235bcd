"""What a rule is compared with: central differences of the operator's own forward pass in float64.

Where stock ONNX Runtime has a float64 kernel, it runs the forward pass, and our gradient runs in float64 too. Where it
has none (convolutions, some pools, recurrent operators), ``onnx.reference`` runs the forward pass in float64, and our
gradient runs in float32 with a looser tolerance. That choice is made here and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from onnxdl import runtime
from onnxdl.autodiff.gradient import gradient
from onnxdl.errors import GraphError, RuntimeFailure
from onnxdl.graph import op
from onnxdl.graph.dtypes import is_float
from onnxdl.graph.evaluate import evaluate
from onnxdl.graph.infer import dims
from onnxdl.graph.operator import write
from onnxdl.graph.tensor import Tensor, as_tensor, tensor
from onnxdl.graph.trace import IR_VERSION, Trace, current_trace
from tests.autodiff.cases import Case

Arrays = list[np.ndarray]
Forward = Callable[[Sequence[np.ndarray]], Arrays]

STEP = 1e-5
SECOND_STEP = 2e-4
ROUNDED_TO_FLOAT32 = {"Shrink"}  # ONNX Runtime's float64 kernels of these compute in float32, as those of ai.onnx.ml do


def is_float_array(x: np.ndarray | None) -> bool:
    """Whether an input of a case is differentiated."""
    return x is not None and x.dtype.kind == "f"


def call(case: Case, inputs: Sequence[Any]) -> list[Tensor]:
    """The float outputs of the case's operator on these inputs, in dynamic mode or in the current trace."""
    if case.call is not None:
        results = case.call(*inputs)
    elif case.domain:
        tensors = [None if x is None else as_tensor(x) for x in inputs]
        attributes = {a.name: a for a in ir.convenience.convert_attributes(case.attributes)}
        results = write(case.op, tensors, attributes, case.outputs or 1, trace=current_trace(), domain=case.domain)
    else:
        results = getattr(op, case.op)(*inputs, outputs=case.outputs, **case.attributes)
    return [t for t in (results if isinstance(results, tuple | list) else [results]) if is_float(t.value.dtype)]


class Erf(OpRun):
    """The reference one rounds to float32."""

    def _run(self, x: np.ndarray) -> tuple[np.ndarray]:
        return (_erf(x),)


class Gelu(OpRun):
    """The reference one rounds to float32."""

    def _run(self, x: np.ndarray, approximate: str = "none") -> tuple[np.ndarray]:
        if approximate == "none":
            return (0.5 * x * (1 + _erf(x / math.sqrt(2))),)
        return (0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),)


def _erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[np.float64])(x)


@dataclass
class Oracle:
    """One case with its forward pass in float64, and the precision in which ours can run."""

    case: Case

    def __str__(self) -> str:
        return str(self.case)

    @cached_property
    def gradients(self) -> Arrays:
        """Our gradients of ``scalar`` with respect to the points, on the dynamic graph."""
        return self.gradients_in(self.dtype)

    @cached_property
    def _forward(self) -> tuple[Forward, type[np.floating[Any]]]:
        if self.case.forward is not None:
            return self._numpy_forward, np.float32
        try:
            if self.case.op in ROUNDED_TO_FLOAT32 or self.case.domain == "ai.onnx.ml":
                raise RuntimeFailure(f"{self.case.op} is not computed in float64")
            session = self._session(np.float64)
        except (GraphError, RuntimeFailure):  # the standard, or ONNX Runtime, does not have the operator in float64
            reference = ReferenceEvaluator(self.forward_model(np.float32), new_ops=[Erf, Gelu])
            return lambda xs: [np.asarray(y) for y in reference.run(None, self._named(xs))], np.float32  # type: ignore[union-attr]
        return lambda xs: runtime.run(session, None, self._named(xs)), np.float64

    def _session(self, dtype: Any) -> Any:
        """The operator alone on ONNX Runtime, once it has run there."""
        session = runtime.create_session(self.forward_model(dtype).SerializeToString(), threads=1)
        runtime.run(session, None, self.feeds(dtype))
        return session

    def runs_in(self, dtype: Any) -> bool:
        """Whether ONNX Runtime has the operator in this precision."""
        try:
            self._session(dtype)
        except (GraphError, RuntimeFailure):
            return False
        return True

    def _numpy_forward(self, xs: Sequence[np.ndarray]) -> Arrays:
        given = iter(xs)
        inputs = [next(given) if is_float_array(x) else x for x in self.case.inputs]
        results = self.case.forward(*inputs, **self.case.attributes)  # type: ignore[misc]
        return list(results) if isinstance(results, tuple) else [results]

    @property
    def dtype(self) -> type[np.floating[Any]]:
        """The precision in which our gradient runs."""
        return self._forward[1]

    @property
    def rtol(self) -> float:
        """How near to central differences a first derivative has to be."""
        return 1e-6 if self.dtype == np.float64 else 2e-4

    @cached_property
    def points(self) -> Arrays:
        """The inputs that are differentiated, in float64, representable in the precision of our gradient."""
        return [x.astype(self.dtype).astype(np.float64) for x in self.case.inputs if x is not None and is_float_array(x)]

    @cached_property
    def seeds(self) -> Arrays:
        """What comes in at each float output."""
        rng = np.random.default_rng(7)
        return [rng.uniform(-1, 1, y.shape).astype(self.dtype).astype(np.float64) for y in self._forward[0](self.points)]

    def feeds(self, dtype: Any) -> dict[str, np.ndarray]:
        """The differentiated inputs by name."""
        return {f"x{i}": x.astype(dtype) for i, x in enumerate(self.case.inputs) if x is not None and is_float_array(x)}

    def _named(self, xs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self.feeds(np.float64), xs, strict=True))

    def forward_model(self, dtype: Any) -> onnx.ModelProto:
        """The operator alone."""
        with Trace() as trace:
            inputs = [
                trace.input(f"x{i}", dtype, x.shape) if x is not None and is_float_array(x) else x for i, x in enumerate(self.case.inputs)
            ]
            for y in call(self.case, inputs):
                trace.add_output(y)
        return ir.to_proto(ir.Model(trace.graph, ir_version=IR_VERSION))

    def scalar(self, variables: Sequence[np.ndarray]) -> float:
        """The sum of seed times output, a function of the points and the seeds together."""
        n = len(self.points)
        outputs = self._forward[0](variables[:n])
        return sum(float(np.vdot(s, y)) for s, y in zip(variables[n:], outputs, strict=True))

    def slope(self, variables: Sequence[np.ndarray], direction: Sequence[np.ndarray]) -> float:
        """The derivative of ``scalar`` along a direction by central differences."""
        ahead, behind = shifted(variables, direction, STEP), shifted(variables, direction, -STEP)
        return (self.scalar(ahead) - self.scalar(behind)) / (2 * STEP)

    def curvature(self, variables: Sequence[np.ndarray], a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> float:
        """The mixed second derivative of ``scalar`` along two directions by central differences."""
        h = SECOND_STEP
        corners = [(i, j, self.scalar(shifted(shifted(variables, a, i * h), b, j * h))) for i in (1, -1) for j in (1, -1)]
        return sum(i * j * value for i, j, value in corners) / (4 * h * h)

    # ---- ours --------------------------------------------------------------------------------------------------------

    def gradients_in(self, dtype: Any) -> Arrays:
        """Our gradients in another precision."""
        inputs, xs = self._leaves(dtype)
        ys = call(self.case, inputs)
        return evaluate(gradient(ys, xs, self._seeds_for(ys)))

    def second_gradients(self, direction: Sequence[np.ndarray]) -> Arrays:
        """Our gradients, with respect to points and seeds, of the first derivative along a direction of the points."""
        inputs, xs = self._leaves(self.dtype)
        ys = call(self.case, inputs)
        seeds = self._seeds_for(ys)
        first = gradient(ys, xs, seeds)
        slopes = [op.ReduceSum(g * d.astype(self.dtype), keepdims=0) for g, d in zip(first, direction, strict=True)]
        return evaluate(gradient(op.Sum(*slopes), [*xs, *seeds]))

    def _seeds_for(self, ys: Sequence[Tensor]) -> list[Tensor]:
        return [tensor(s.astype(y.dtype)) for y, s in zip(ys, self.seeds, strict=True)]

    def _leaves(self, dtype: Any) -> tuple[list[Any], list[Tensor]]:
        inputs = [tensor(x.astype(dtype)) if x is not None and is_float_array(x) else x for x in self.case.inputs]
        return inputs, [x for x in inputs if isinstance(x, Tensor)]

    def traced(self, *, run_time: bool) -> tuple[Trace, dict[str, np.ndarray]]:
        """The same gradients in a static graph with symbolic dimensions, and what to feed it.

        Args:
            run_time: whether the inputs that are not differentiated (axes, shapes, indices) are known at run time only.
        """
        feeds = self.feeds(self.dtype)
        with Trace() as trace:
            inputs: list[Any] = []
            for i, x in enumerate(self.case.inputs):
                if x is not None and is_float_array(x):
                    shape = x.shape if i in self.case.static else [f"n{i}_{axis}" for axis in range(x.ndim)]
                    inputs.append(trace.input(f"x{i}", self.dtype, shape))
                elif x is not None and run_time and i not in self.case.static:
                    feeds[f"x{i}"] = x
                    inputs.append(trace.input(f"x{i}", x.dtype, x.shape))
                else:
                    inputs.append(x)
            ys = call(self.case, inputs)
            seeds = []
            for k, (y, s) in enumerate(zip(ys, self.seeds, strict=True)):
                feeds[f"seed{k}"] = s.astype(self.dtype)
                seeds.append(trace.input(f"seed{k}", self.dtype, dims(y.value) or [None] * s.ndim))
            xs = [x for x, given in zip(inputs, self.case.inputs, strict=True) if is_float_array(given)]
            for g in gradient(ys, xs, seeds):
                trace.add_output(g)
        return trace, feeds


def run_trace(trace: Trace, feeds: dict[str, np.ndarray]) -> Arrays:
    """The outputs of a finished trace, without what they do not need."""
    for node in reversed(trace.graph):
        if not any(v.uses() or v.is_graph_output() for v in node.outputs):
            trace.graph.remove(node, safe=True)
    model = ir.to_proto(ir.Model(trace.graph, ir_version=IR_VERSION))
    return runtime.run(runtime.create_session(model.SerializeToString(), threads=1), None, feeds)


def shifted(variables: Sequence[np.ndarray], direction: Sequence[np.ndarray], step: float) -> Arrays:
    """The variables moved along a direction; variables past its end stay."""
    moved = [np.asarray(v + step * d) for v, d in zip(variables, direction, strict=False)]
    return [*moved, *variables[len(moved) :]]


def directions(variables: Sequence[np.ndarray], count: int) -> list[Arrays]:
    """Random directions in the space of the variables."""
    rng = np.random.default_rng(11)
    return [[rng.uniform(-1, 1, v.shape) for v in variables] for _ in range(count)]


def unit_directions(variables: Sequence[np.ndarray]) -> list[Arrays]:
    """One direction for each element of each variable."""
    units = []
    for i, variable in enumerate(variables):
        for index in np.ndindex(variable.shape):
            direction = [np.zeros_like(v) for v in variables]
            direction[i][index] = 1.0
            units.append(direction)
    return units


def along(gradients: Sequence[np.ndarray], direction: Sequence[np.ndarray]) -> float:
    """The derivative along a direction that these gradients promise."""
    return sum(float(np.vdot(g.astype(np.float64), d)) for g, d in zip(gradients, direction, strict=True))
