"""If, Loop and Scan: states, captured weights, run-time trip counts, nesting, every axis and direction of Scan."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from tests.autodiff.cases import Case, rand


def _branches(flag: bool) -> Any:
    def call(x: Tensor, w: Tensor) -> Any:
        condition = op.Greater(op.ReduceMax(op.Abs(x), keepdims=0), 0.0 if flag else 9.0)
        y = x * w
        return op.If(condition, then_branch=lambda: op.Sin(y) * x, else_branch=lambda: (y + w) * w)

    return call


def _two_outputs(x: Tensor, w: Tensor) -> Any:
    condition = op.Less(op.ReduceSum(x * x, keepdims=0), 1e4)
    return op.If(condition, then_branch=lambda: (x * w, op.Exp(w)), else_branch=lambda: (x, w))


def _recurrence(x: Tensor, w: Tensor, h: Tensor) -> Any:
    def body(h: Tensor, x: Tensor) -> Any:
        h = op.Tanh(x + op.MatMul(h, w))
        return h, h

    return op.Scan(h, x, body=body, num_scan_inputs=1)


def _two_states(x: Tensor, w: Tensor, h: Tensor) -> Any:
    def body(h: Tensor, c: Tensor, x: Tensor) -> Any:
        c = c * h + x
        h = op.Tanh(c) * w
        return h, c, h * c, c

    return op.Scan(h, h * 2, x, body=body, num_scan_inputs=1)


def _directions(x: Tensor, z: Tensor) -> Any:
    def body(s: Tensor, x: Tensor, z: Tensor) -> Any:
        s = s * x + z
        return s, s * s, x * z

    axes = {"scan_input_axes": [0, 1], "scan_input_directions": [1, 0], "scan_output_axes": [1, 0], "scan_output_directions": [0, 1]}
    return op.Scan(op.ReduceMean(x, [0], keepdims=0), x, op.Transpose(z), body=_scan_graph(body, x.dtype), num_scan_inputs=2, **axes)


def _scan_graph(body: Any, dtype: Any) -> Any:
    """The body with the shapes of its slices spelled out: they do not lie along the first axis."""
    from onnxdl.graph.trace import Trace, current_trace

    outer = current_trace()
    inner = Trace("body", parent=outer, over_dynamic=outer is None)
    with inner:
        for t in body(*(inner.input(name, dtype, [3]) for name in ("s", "x", "z"))):
            inner.add_output(t)
    return inner.graph


def _map(x: Tensor, w: Tensor) -> Any:
    return op.Scan(x, body=lambda x: op.Sin(x * w), num_scan_inputs=1)


def _power(x: Tensor, w: Tensor, n: Any) -> Any:
    def body(i: Tensor, going: Tensor, s: Tensor) -> Any:
        s = s * w + op.CastLike(i, w)
        return going, s, s * s

    return op.Loop(n, None, x, body=body)


def _until(x: Tensor, w: Tensor) -> Any:
    """Doubles until a limit that the data decide."""

    def body(i: Tensor, going: Tensor, s: Tensor, total: Tensor) -> Any:
        s = s * (1.5 + w * w)
        return op.Less(op.ReduceMax(op.Abs(s), keepdims=0), 4.0), s, total + op.Sin(s)

    return op.Loop(None, op.Less(op.ReduceMax(op.Abs(x), keepdims=0), 4.0), x, x, body=body)


def _map_by_loop(x: Tensor, w: Tensor) -> Any:
    def body(i: Tensor, going: Tensor) -> Any:
        return going, op.Gather(x, i) * w

    return op.Loop(3, None, body=body)


def _nested(x: Tensor, w: Tensor) -> Any:
    def outer(i: Tensor, going: Tensor, s: Tensor) -> Any:
        def inner(h: Tensor, x: Tensor) -> Any:
            h = op.Tanh(h * w + x + s)
            h = op.If(op.Less(op.ReduceSum(h, keepdims=0), 0.0), then_branch=lambda: h * w, else_branch=lambda: h + s * x)
            return h, h

        last, all_states = op.Scan(s, x, body=inner, num_scan_inputs=1)
        return going, last + op.ReduceSum(all_states, [0], keepdims=0)

    return op.Loop(2, None, w, body=outer)


CASES = [
    Case("If", [rand(2, 3), rand(3)], call=_branches(True), reason="then"),
    Case("If", [rand(2, 3), rand(2, 3, seed=1)], call=_branches(False), reason="else"),
    Case("If", [rand(2, 3), rand(3)], call=_two_outputs, reason="two outputs"),
    Case("Scan", [rand(4, 2, 3), rand(3, 3, seed=1), rand(2, 3, seed=2)], call=_recurrence, reason="recurrence"),
    Case("Scan", [rand(4, 3), rand(3, seed=1), rand(3, seed=2)], call=_two_states, reason="two states"),
    Case("Scan", [rand(4, 3), rand(4, 3, seed=1)], call=_directions, reason="axes and directions", static=(0, 1)),
    Case("Scan", [rand(4, 3), rand(3, seed=1)], call=_map, reason="no state"),
    Case("Loop", [rand(3), rand(3, seed=1), np.array(4)], call=_power, reason="trip count"),
    Case("Loop", [rand(3), rand(3, seed=1), np.array(0)], call=_power, reason="no turn"),
    Case("Loop", [rand(3), rand(3, seed=1)], call=_until, reason="condition"),
    Case("Loop", [rand(3, 2), rand(2, seed=1)], call=_map_by_loop, reason="no state"),
    Case("Loop", [rand(4, 3), rand(3, seed=1)], call=_nested, reason="nested"),
]
