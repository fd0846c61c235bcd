"""LSTM, GRU and RNN: back-propagation through time as one reverse Scan.

The states h are the operator's own output, so the gates of all steps are recomputed at once, outside any loop. The
slopes that do not depend on the incoming gradient are computed for all steps too; what is left for the Scan is a few
element-wise operators and one product a step. The gradients of weights and inputs are one product over all steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from onnxdl.autodiff.registry import vjp
from onnxdl.autodiff.rules.gates import Gate, gates
from onnxdl.autodiff.rules.lstm import leaving_gates, lstm_back, may_be_rewritten, replace_outputs
from onnxdl.autodiff.rules.recurrence import (
    Back,
    Run,
    inputs_of,
    masked,
    part,
    preactivations,
    recurrences,
    reversal,
    reverse_scan,
    stack,
    states_before,
    valid_steps,
    weight_product,
    zero_state,
)
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor

_Inputs = tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None, Tensor | None]
"""x, w, r, b, lengths, h0, c0 and p, as LSTM has them."""


@vjp("LSTM", multiple=True)
def lstm(
    g: Sequence[Tensor | None],
    y: Sequence[Tensor],
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    lengths: Tensor | None = None,
    h0: Tensor | None = None,
    c0: Tensor | None = None,
    p: Tensor | None = None,
    **attributes: Any,
) -> Any:
    return _recurrent(lstm_back, ("Sigmoid", "Tanh", "Tanh"), g, y, (x, w, r, b, lengths, h0, c0, p), attributes)


@vjp("GRU", multiple=True)
def gru(
    g: Sequence[Tensor | None],
    y: Sequence[Tensor],
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    lengths: Tensor | None = None,
    h0: Tensor | None = None,
    **attributes: Any,
) -> Any:
    return _recurrent(_gru_back, ("Sigmoid", "Tanh"), g, y, (x, w, r, b, lengths, h0, None, None), attributes)


@vjp("RNN", multiple=True)
def rnn(
    g: Sequence[Tensor | None],
    y: Sequence[Tensor],
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    lengths: Tensor | None = None,
    h0: Tensor | None = None,
    **attributes: Any,
) -> Any:
    return _recurrent(_rnn_back, ("Tanh",), g, y, (x, w, r, b, lengths, h0, None, None), attributes)


def _recurrent(
    cell: Callable[[Run], Back],
    default_gates: tuple[str, ...],
    g: Sequence[Tensor | None],
    y: Sequence[Tensor],
    inputs: _Inputs,
    attributes: dict[str, Any],
) -> Any:
    """Takes the directions apart, runs each, and puts the gradients together."""
    x, w, r, b, lengths, h0, c0, p = inputs
    gy, gh, gc = (*g, None, None)[:3]
    states, batch_first = y[0], bool(attributes.get("layout"))
    if batch_first:
        x, gh, gc, h0, c0 = (_transposed(t, [1, 0, 2]) for t in (x, gh, gc, h0, c0))
        states, gy = (_transposed(t, [1, 2, 0, 3]) for t in (states, gy))
    reverses = _REVERSES[attributes.get("direction") or "forward"]
    names, n_gates = attributes.get("activations") or default_gates * len(reverses), len(default_gates)
    # what is clipped is the argument of a gate; the third function of LSTM takes the cell state
    clips = [attributes.get("clip") if i % n_gates < 2 else None for i in range(len(names))]
    functions = gates(names, clips, attributes.get("activation_alpha") or (), attributes.get("activation_beta") or ())
    rewrite = cell is lstm_back and may_be_rewritten(x, r, lengths, p, names, attributes)
    runs = [
        _run(d, reverse, (x, w, r, b, lengths, h0, c0, p), states, (gy, gh, gc), functions[d * n_gates : (d + 1) * n_gates], attributes)
        for d, reverse in enumerate(reverses)
    ]
    if rewrite:
        runs = [leaving_gates(run) for run in runs]
        replace_outputs(y, [run.kept for run in runs if run.kept is not None], reverses, batch_first)
    backs = [cell(run) for run in runs]
    dx = reduce(op.Add, [run.flip(op.MatMul(back.dx_gates, run.w)) for run, back in zip(runs, backs, strict=True)])
    dw = stack([weight_product(back.dx_gates, run.x) for run, back in zip(runs, backs, strict=True)])
    dr, dh0 = stack([back.dr for back in backs]), stack([back.dh for back in backs])
    dc0 = None if c0 is None else stack([back.dc for back in backs if back.dc is not None])
    if batch_first:
        dx, dh0, dc0 = (_transposed(t, [1, 0, 2]) for t in (dx, dh0, dc0))
    db = None if b is None else stack([op.Concat(op.ReduceSum(k.dx_gates, [0, 1], keepdims=0), k.drb, axis=0) for k in backs])
    dp = None if p is None else stack([back.dp for back in backs if back.dp is not None])
    return dx, dw, dr, db, None, None if h0 is None else dh0, dc0, dp


_REVERSES = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}


def _run(
    d: int,
    reverse: bool,
    inputs: _Inputs,
    states: Tensor,
    g: tuple[Tensor | None, Tensor | None, Tensor | None],
    functions: list[Gate],
    attributes: dict[str, Any],
) -> Run:
    """One direction of an operator whose inputs, states and gradients of outputs have the time first."""
    x, w, r, b, lengths, h0, c0, p = inputs
    flip = reversal(x, lengths) if reverse else lambda t: t
    wb, rb = (None, None) if b is None else op.Split(part(b, d), axis=0, num_outputs=2)
    first = zero_state(x, r) if h0 is None else part(h0, d)
    return Run(
        x=flip(x),
        w=part(w, d),
        r=part(r, d),
        wb=wb,
        rb=rb,
        peepholes=None if p is None else list(op.Split(part(p, d), axis=0, num_outputs=3)),
        first=first,
        before=states_before(first, flip(op.Gather(states, np.array(d), axis=1))),
        initial_c=None if c0 is None else part(c0, d),
        gates=functions,
        gy=None if g[0] is None else flip(op.Gather(g[0], np.array(d), axis=1)),
        gh=None if g[1] is None else part(g[1], d),
        gc=None if g[2] is None else part(g[2], d),
        valid=None if lengths is None else valid_steps(x, lengths),
        flip=flip,
        attributes=attributes,
    )


def _transposed(t: Any, perm: list[int]) -> Any:
    return None if t is None else op.Transpose(t, perm=perm)


# ---- the cells ---------------------------------------------------------------------------------------------------------


def _rnn_back(run: Run) -> Back:
    _, slope = run.gates[0](preactivations(run))
    (dh,), (dz,) = reverse_scan(run, lambda dh, rest, k: ([op.MatMul(k[0] * dh, run.r)], [k[0] * dh]), [], [masked(run, slope)])
    return Back(dz, weight_product(dz, run.before), op.ReduceSum(dz, [0, 1], keepdims=0), dh)


def _gru_back(run: Run) -> Back:
    update, reset_and_candidate = run.gates
    h = run.before
    xz, xr, xh = op.Split(inputs_of(run), axis=-1, num_outputs=3)
    rz, rr, rh = op.Split(run.r, axis=0, num_outputs=3)
    bz, br, bh = (None, None, None) if run.rb is None else op.Split(run.rb, axis=0, num_outputs=3)
    z, z_slope = update(xz + recurrences(run, h, rz, bz))
    r, r_slope = update(xr + recurrences(run, h, rr, br))
    reset_after = bool(run.attributes.get("linear_before_reset"))
    inner = recurrences(run, h, rh, bh) if reset_after else h
    product = r * inner if reset_after else recurrences(run, r * h, rh, bh)
    candidate, slope = reset_and_candidate(xh + product)
    kz, kh = masked(run, (h - candidate) * z_slope), masked(run, (1 - z) * slope)
    keep = z if run.valid is None else z * run.valid + (1 - run.valid)
    kr, two = inner * r_slope, op.Concat(rz, rr, axis=0)

    def after(dh: Tensor, rest: list[Tensor], k: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        factor_x, factor_h, keep_t = k
        wide = op.Concat(dh, dh, dh, axis=-1)
        return [dh * keep_t + op.MatMul(wide * factor_h, run.r)], [wide * factor_x, wide * factor_h]

    def before(dh: Tensor, rest: list[Tensor], k: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        kz_t, kh_t, kr_t, r_t, keep_t = k
        dcandidate = dh * kh_t
        dproduct = op.MatMul(dcandidate, rh)
        dz_r = op.Concat(dh * kz_t, dproduct * kr_t, axis=-1)
        return [dh * keep_t + dproduct * r_t + op.MatMul(dz_r, two)], [dz_r, dcandidate]

    if reset_after:
        factor_x = op.Concat(kz, kh * kr, kh, axis=-1)
        factor_h = op.Concat(kz, kh * kr, kh * r, axis=-1)
        (dh,), (dx, dg) = reverse_scan(run, after, [], [factor_x, factor_h, keep], kept=True, outputs=2)
        return Back(dx, weight_product(dg, h), op.ReduceSum(dg, [0, 1], keepdims=0), dh)
    (dh,), (dz_r, dlast) = reverse_scan(run, before, [], [kz, kh, kr, r, keep], kept=True, outputs=2)
    dr = op.Concat(weight_product(dz_r, h), weight_product(dlast, r * h), axis=0)
    dx = op.Concat(dz_r, dlast, axis=-1)
    return Back(dx, dr, op.ReduceSum(dx, [0, 1], keepdims=0), dh)
