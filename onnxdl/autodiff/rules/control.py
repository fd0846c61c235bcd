"""If, Loop and Scan: the body is differentiated inside a body of its own.

What a turn computed is computed again from the states it began with, which a second forward pass saves; where a scan
output is the state itself, it is taken from there. Gradients of what the body takes from around it (weights) accumulate
in the state of the reverse loop, so they take the memory of the weights once, however many turns there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxdl.autodiff.gradient import Reverse, depending
from onnxdl.autodiff.registry import vjp_node
from onnxdl.autodiff.rules.bodies import body_gradients, inline, live_floats
from onnxdl.autodiff.shapes import zeros_like
from onnxdl.errors import GradientError
from onnxdl.graph import op
from onnxdl.graph.dtypes import is_float
from onnxdl.graph.infer import content, describe
from onnxdl.graph.tensor import Tensor, as_tensor
from onnxdl.graph.trace import Trace
from onnxdl.graph.walk import captured

Pairs = Iterable[tuple[ir.Value | None, Tensor | None]]


@vjp_node("If")
def if_(node: ir.Node, g: Sequence[Tensor | None], reverse: Reverse) -> Pairs:
    branches = [node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]
    around = live_floats(dict.fromkeys(v for branch in branches for v in captured(branch)), reverse)
    if not around:
        return []
    condition = node.inputs[0]
    assert condition is not None
    xs = [Tensor(v, reverse.trace) for v in around]

    def backward(branch: ir.Graph) -> Any:
        def body() -> list[Tensor]:
            ys = inline(branch, [], reverse.trace)
            found = body_gradients(ys, g, xs, reverse)
            return [zeros_like(x) if d is None else d for d, x in zip(found, xs, strict=True)]

        return body

    results = op.If(Tensor(condition, reverse.trace), then_branch=backward(branches[0]), else_branch=backward(branches[1]))
    return zip(around, _as_list(results), strict=True)


@vjp_node("Scan")
def scan(node: ir.Node, g: Sequence[Tensor | None], reverse: Reverse) -> Pairs:
    body = node.attributes["body"].as_graph()
    n_scanned = node.attributes["num_scan_inputs"].as_int()
    inputs = [Tensor(v, reverse.trace) for v in node.inputs if v is not None]
    states, scanned = inputs[: len(inputs) - n_scanned], inputs[len(inputs) - n_scanned :]
    n = len(states)
    n_outputs = len(body.outputs) - n
    in_axes, in_ways = _ints(node, "scan_input_axes", n_scanned), _ints(node, "scan_input_directions", n_scanned)
    out_axes, out_ways = _ints(node, "scan_output_axes", n_outputs), _ints(node, "scan_output_directions", n_outputs)
    slices = [_to_front(x, axis) for x, axis in zip(scanned, in_axes, strict=True)]
    incoming = [None if t is None else _to_front(t, axis) for t, axis in zip(g[n:], out_axes, strict=True)]
    emitted = [
        _to_front(Tensor(v, reverse.trace), axis) if axis == way == 0 else None
        for v, axis, way in zip(node.outputs[n:], out_axes, out_ways, strict=True)
    ]
    saved = _states_before(body, body.inputs[:n], body.outputs[:n], states, emitted, body.outputs[n:])
    missing = [i for i, s in enumerate(saved) if s is None]
    if missing:

        def again(*args: Tensor) -> list[Tensor]:
            return [*inline(body, args, reverse.trace)[:n], *(args[i] for i in missing)]

        results = op.Scan(*states, *slices, body=again, num_scan_inputs=n_scanned, scan_input_directions=in_ways)
        for i, s in zip(missing, results[n:], strict=True):
            saved[i] = s
    turns = Turns(
        body=body,
        before=[s for s in saved if s is not None],
        slices=list(zip(slices, in_ways, strict=True)),
        is_loop=False,
        final=list(g[:n]),
        incoming=list(zip(incoming, out_ways, strict=True)),
        outputs=[Tensor(v, reverse.trace) for v in node.outputs[:n]],
    )
    found = _backwards(turns, node.inputs, reverse)
    for k, axis in enumerate(in_axes):
        value = scanned[k].value
        at = len(found) - n_scanned + k
        found[at] = (value, None if (d := found[at][1]) is None else _from_front(d, axis))
    return found


@vjp_node("Loop")
def loop(node: ir.Node, g: Sequence[Tensor | None], reverse: Reverse) -> Pairs:
    body = node.attributes["body"].as_graph()
    n = len(node.inputs) - 2
    limit, condition, *states = [None if v is None else Tensor(v, reverse.trace) for v in node.inputs]
    initial = [s for s in states if s is not None]
    for state, before, after in zip(initial, body.inputs[2:], body.outputs[1 : n + 1], strict=True):
        if not isinstance(after.type, ir.TensorType):
            raise GradientError(f"the gradient of a Loop that carries a sequence is not known; carry tensors (node {node.name})")
        if before.shape is not None and after.shape is not None and len(before.shape) != len(after.shape):
            raise GradientError(
                f"the gradient of a Loop needs states that keep their shape, not {describe(state.value)} (node {node.name})"
            )

    emitted = [Tensor(v, reverse.trace) for v in node.outputs[n:]]
    saved = _states_before(body, body.inputs[2:], body.outputs[1 : n + 1], initial, emitted, body.outputs[n + 1 :])
    missing = [i for i, s in enumerate(saved) if s is None]

    def again(i: Tensor, going: Tensor, *args: Tensor) -> list[Tensor]:
        return [*inline(body, (i, going, *args), reverse.trace)[: n + 1], i, *(args[k] for k in missing)]

    if missing or not emitted:
        results = op.Loop(limit, condition, *initial, body=again)
        turn, *again_saved = results[n:]
        for k, s in zip(missing, again_saved, strict=True):
            saved[k] = s
    else:
        turn = op.Range(0, op.Squeeze(op.Shape(emitted[0], start=0, end=1), [0]), 1)
    turns = Turns(
        body=body,
        before=[s for s in saved if s is not None],
        slices=[(turn, 0)],
        is_loop=True,
        final=list(g[:n]),
        incoming=[(t, 0) for t in g[n:]],
        outputs=[Tensor(v, reverse.trace) for v in node.outputs[:n]],
        any=None if _turns_for_certain(node) else op.Greater(op.Squeeze(op.Shape(turn), [0]), np.array(0, np.int64)),
    )
    return _backwards(turns, node.inputs[2:], reverse)


def _turns_for_certain(node: ir.Node) -> bool:
    limit, condition = node.inputs[:2]
    counted = content(limit)
    producer = condition.producer() if condition is not None else None
    constant = producer.attributes.get_tensor("value", None) if producer is not None and producer.op_type == "Constant" else None
    if condition is not None and condition.const_value is not None:
        constant = condition.const_value
    begins = condition is None or (constant is not None and bool(constant.numpy().all()))
    return begins and counted is not None and isinstance(counted[0], int) and counted[0] > 0


def _as_list(results: Any) -> list[Tensor]:
    return list(results) if isinstance(results, tuple | list) else [results]


@dataclass(frozen=True)
class Turns:
    """The turns of a loop, as its reverse needs them: what each began with, and what comes in at each."""

    body: ir.Graph
    is_loop: bool
    before: list[Tensor]  # the states at the beginning of each turn, stacked
    slices: list[tuple[Tensor, int]]  # what is read turn by turn (a Loop: its turn number), and from which end
    final: list[Tensor | None]  # the gradients of the last states
    incoming: list[tuple[Tensor | None, int]]  # those of the scan outputs, and at which end they were added
    outputs: list[Tensor]  # the last states
    any: Tensor | None = None  # whether there is any turn: ONNX Runtime's Scan refuses none; None where that is certain

    def results(self, states: Sequence[Tensor], slices: Sequence[Tensor], outside: Trace | None) -> list[Tensor]:
        """One turn, computed again: the states after it, and its scan outputs."""
        if not self.is_loop:
            return inline(self.body, [*states, *slices], outside)
        return inline(self.body, [slices[0], as_tensor(np.array(True)), *states], outside)[1:]


def _backwards(turns: Turns, inputs: Sequence[ir.Value | None], reverse: Reverse) -> list[tuple[ir.Value | None, Tensor | None]]:
    """One Scan over the turns, the last one first."""
    n = len(turns.before)
    first_in, first_out = (2, 1) if turns.is_loop else (0, 0)
    around = live_floats(captured(turns.body), reverse)
    scanned = [] if turns.is_loop else inputs[n:]
    live_slices = [k for k, v in enumerate(scanned) if v in reverse.live and v is not None and is_float(v.dtype)]
    sources = [*around, *(turns.body.inputs[n + k] for k in live_slices)]
    live_states = _live_states(turns.body, [v in reverse.live for v in inputs[:n]], sources, first_in, first_out)
    weights = [Tensor(v, reverse.trace) for v in around]
    last = [t if (t := turns.final[i]) is not None else zeros_like(turns.outputs[i]) for i in live_states]
    read = [*((s, 0) for s in turns.before), *turns.slices, *((t, way) for t, way in turns.incoming if t is not None)]
    carried = [*last, *(zeros_like(w) for w in weights)]
    if not carried and not live_slices:
        return []

    def body(*args: Tensor) -> list[Tensor]:
        dstates, rest = args[: len(live_states)], args[len(live_states) :]
        sums, rest = rest[: len(weights)], rest[len(weights) :]
        states, rest = rest[:n], rest[n:]
        slices, arrived = rest[: len(turns.slices)], iter(rest[len(turns.slices) :])
        ys = turns.results(states, slices, reverse.trace)
        seeds: list[Tensor | None] = [None] * n
        for i, d in zip(live_states, dstates, strict=True):
            seeds[i] = d
        seeds += [None if t is None else next(arrived) for t, _ in turns.incoming]
        wrt = [*(states[i] for i in live_states), *weights, *(slices[k] for k in live_slices)]
        found = body_gradients(ys, seeds, wrt, reverse)
        parts = iter(found)
        before = [next(parts) for _ in live_states]
        added = [next(parts) for _ in weights]
        return [
            *(zeros_like(states[i]) if d is None else d for i, d in zip(live_states, before, strict=True)),
            *(s if d is None else s + d for s, d in zip(sums, added, strict=True)),
            *(zeros_like(slices[k]) if d is None else d for k, d in zip(live_slices, parts, strict=True)),
        ]

    def run() -> list[Tensor]:
        return _as_list(
            op.Scan(
                *carried,
                *(t for t, _ in read),
                body=body,
                num_scan_inputs=len(read),
                scan_input_directions=[1 - way for _, way in read],
                scan_output_directions=[1 - turns.slices[k][1] for k in live_slices] or None,
            )
        )

    found = iter(_as_list(op.If(turns.any, then_branch=run, else_branch=lambda: carried)) if turns.any is not None else run())
    dstates = {i: next(found) for i in live_states}
    pairs: list[tuple[ir.Value | None, Tensor | None]] = [(v, next(found)) for v in around]
    pairs += [(inputs[i], d) for i, d in dstates.items()]
    dslices = {k: next(found) for k in live_slices}
    return pairs + [(v, dslices.get(k)) for k, v in enumerate(scanned)]


def _live_states(body: ir.Graph, initial: Sequence[bool], sources: Sequence[ir.Value], first_in: int, first_out: int) -> list[int]:
    """The states that change with what is differentiated, in any turn."""
    floats = [i for i in range(len(initial)) if is_float(body.inputs[first_in + i].dtype)]
    live = [i for i in floats if initial[i]]
    while True:
        changing = depending(body, [*sources, *(body.inputs[first_in + i] for i in live)])
        grown = [i for i in floats if i in live or body.outputs[first_out + i] in changing]
        if grown == live:
            return live
        live = grown


def _states_before(
    body: ir.Graph,
    before: Sequence[ir.Value],
    after: Sequence[ir.Value],
    initial: Sequence[Tensor],
    emitted: Sequence[Tensor | None],
    emits: Sequence[ir.Value],
) -> list[Tensor | None]:
    """The states that each turn begins with, where a scan output is the state; None where they have to be computed again."""
    outputs = {_origin(v): t for v, t in zip(emits, emitted, strict=True) if t is not None}
    saved: list[Tensor | None] = []
    for state, start in zip(after, initial, strict=True):
        stacked = outputs.get(_origin(state))
        saved.append(None if stacked is None else _moved_on(start, stacked))
    return saved


def _moved_on(start: Tensor, stacked: Tensor) -> Tensor:
    """The first state and all but the last of those that followed, cut to as many as there are turns."""
    whole = op.Concat(op.Unsqueeze(start, [0]), stacked, axis=0)
    return op.Slice(whole, [0], [-1], [0])


def _origin(value: ir.Value) -> ir.Value:
    while (producer := value.producer()) is not None and producer.op_type == "Identity" and producer.inputs[0] is not None:
        value = producer.inputs[0]
    return value


def _ints(node: ir.Node, name: str, count: int) -> list[int]:
    return list(node.attributes.get_ints(name, []) or [0] * count)


def _to_front(x: Tensor, axis: int) -> Tensor:
    axis %= x.ndim
    return op.Transpose(x, perm=[axis, *(i for i in range(x.ndim) if i != axis)]) if axis else x


def _from_front(x: Tensor, axis: int) -> Tensor:
    axis %= x.ndim
    return op.Transpose(x, perm=[*range(1, axis + 1), 0, *range(axis + 1, x.ndim)]) if axis else x
