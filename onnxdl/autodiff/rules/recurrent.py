"""LSTM, GRU and RNN: back-propagation through time as one reverse Scan.

The states h are the operator's own output, so the gates of all steps are recomputed at once, outside any loop. The
slopes that do not depend on the incoming gradient are computed for all steps too; what is left for the Scan is a few
element-wise operators and one product a step. The gradients of weights and inputs are one product over all steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onnxdl.autodiff.registry import vjp
from onnxdl.autodiff.rules.gates import gates
from onnxdl.autodiff.rules.lstm import leaving_gates, lstm_back, may_be_rewritten, replace_outputs
from onnxdl.autodiff.rules.recurrence import (
    Back,
    Kept,
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
    return _recurrent(lstm_back, ("Sigmoid", "Tanh", "Tanh"), g, y, x, w, r, b, lengths, h0, c0, p, attributes)


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
    return _recurrent(_gru_back, ("Sigmoid", "Tanh"), g, y, x, w, r, b, lengths, h0, None, None, attributes)


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
    return _recurrent(_rnn_back, ("Tanh",), g, y, x, w, r, b, lengths, h0, None, None, attributes)


def _recurrent(
    cell: Callable[[Run], Back],
    default_gates: tuple[str, ...],
    g: Sequence[Tensor | None],
    y: Sequence[Tensor],
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None,
    lengths: Tensor | None,
    h0: Tensor | None,
    c0: Tensor | None,
    p: Tensor | None,
    attributes: dict[str, Any],
) -> Any:
    """Takes the directions apart, runs each, and puts the gradients together."""
    batch_first = bool(attributes.get("layout"))
    gy, gh, gc = (*g, None, None)[:3]
    states, direction = y[0], attributes.get("direction") or "forward"
    if batch_first:
        x, states = op.Transpose(x, perm=[1, 0, 2]), op.Transpose(states, perm=[1, 2, 0, 3])
        gy = None if gy is None else op.Transpose(gy, perm=[1, 2, 0, 3])
        gh, gc, h0, c0 = (None if t is None else op.Transpose(t, perm=[1, 0, 2]) for t in (gh, gc, h0, c0))
    reverses = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    names = attributes.get("activations") or default_gates * len(reverses)
    n_gates = len(default_gates)
    # what is clipped is the argument of a gate; the third function of LSTM takes the cell state
    clips = [attributes.get("clip") if i % n_gates < 2 else None for i in range(len(names))]
    functions = gates(names, clips, attributes.get("activation_alpha") or (), attributes.get("activation_beta") or ())
    dxs, dws, backs = [], [], []
    rewrite, forward = cell is lstm_back and may_be_rewritten(x, r, lengths, p, names, attributes), list[Kept]()
    for d, reverse in enumerate(reverses):
        flip = reversal(x, lengths) if reverse else lambda t: t
        xd = flip(x)
        hd = flip(op.Gather(states, np.array(d), axis=1))
        first = zero_state(x, r) if h0 is None else part(h0, d)
        biases = [None, None] if b is None else op.Split(part(b, d), axis=0, num_outputs=2)
        wd = part(w, d)
        rd, kept = part(r, d), None
        if rewrite:
            kept = leaving_gates(xd, wd, rd, biases, first, zero_state(x, r) if c0 is None else part(c0, d))
            forward.append(kept)
            hd = kept.h
        run = Run(
            x=xd,
            w=wd,
            r=rd,
            wb=biases[0],
            rb=biases[1],
            kept=kept,
            peepholes=None if p is None else list(op.Split(part(p, d), axis=0, num_outputs=3)),
            before=states_before(first, hd),
            initial_c=None if c0 is None else part(c0, d),
            gates=functions[d * n_gates : (d + 1) * n_gates],
            gy=None if gy is None else flip(op.Gather(gy, np.array(d), axis=1)),
            gh=None if gh is None else part(gh, d),
            gc=None if gc is None else part(gc, d),
            valid=None if lengths is None else valid_steps(x, lengths),
            attributes=attributes,
        )
        back = cell(run)
        dxs.append(flip(op.MatMul(back.dx_gates, wd)))
        dws.append(weight_product(back.dx_gates, xd))
        backs.append(back)
    if forward:
        replace_outputs(y, forward, reverses, batch_first)
    dx = dxs[0] if len(dxs) == 1 else op.Add(*dxs)
    dh0 = None if h0 is None else stack([k.dh for k in backs])
    dc0 = None if c0 is None else stack([k.dc for k in backs if k.dc is not None])
    if batch_first:
        dx = op.Transpose(dx, perm=[1, 0, 2])
        dh0, dc0 = (None if t is None else op.Transpose(t, perm=[1, 0, 2]) for t in (dh0, dc0))
    db = None if b is None else stack([op.Concat(op.ReduceSum(k.dx_gates, [0, 1], keepdims=0), k.drb, axis=0) for k in backs])
    dp = None if p is None else stack([k.dp for k in backs if k.dp is not None])
    return dx, stack(dws), stack([k.dr for k in backs]), db, None, dh0, dc0, dp


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
