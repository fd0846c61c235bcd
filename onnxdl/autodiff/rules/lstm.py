"""The LSTM's way back through time.

In a training step for the CPU a plain LSTM is written anew as a Scan that also leaves its gates, which saves recomputing them:
64 samples, 100 steps, 64 inputs and 128 units then take 0.75 of the time, single-threaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from onnx_ir import convenience

from onnxdl.autodiff.rules.recurrence import (
    Back,
    Kept,
    Run,
    masked,
    preactivations,
    reversal,
    reverse_scan,
    rows,
    stack,
    states_before,
    weight_product,
    zero_state,
)
from onnxdl.autodiff.shapes import concat_dims, dim_of
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


def lstm_back(run: Run) -> Back:
    if run.kept is not None:
        return _lstm_back_from_gates(run, run.kept)
    sigma, squash, outer = run.gates
    coupled = bool(run.attributes.get("input_forget"))
    zi, zo, zf, zc = op.Split(preactivations(run), axis=-1, num_outputs=4)
    a, a_slope = squash(zc)
    first = run.initial_c if run.initial_c is not None else zero_state(run.x, run.r)
    c = _cell_states(run, first, zi, zf, a, coupled)
    c_before = states_before(first, c)
    pi, po, pf = run.peepholes or (None, None, None)
    i, i_slope = sigma(zi if pi is None else zi + pi * c_before)
    o, o_slope = sigma(zo if po is None else zo + po * c)
    u, u_slope = outer(c)
    ko, kc = u * o_slope, o * u_slope
    kc = kc if po is None else kc + ko * po
    if coupled:
        ki, kf, forget = (a - c_before) * i_slope, None, 1 - i
        keep = forget if pi is None else forget + ki * pi
    else:
        f, f_slope = sigma(zf if pf is None else zf + pf * c_before)
        ki, kf = a * i_slope, c_before * f_slope
        keep = f if pi is None or pf is None else f + ki * pi + kf * pf
    factor = masked(run, op.Concat(ki, ko, ki * 0 if kf is None else kf, i * a_slope, axis=-1))
    if run.valid is not None:
        keep = keep * run.valid + (1 - run.valid)

    def step(dh: Tensor, rest: list[Tensor], k: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        factor_t, kc_t, keep_t = k
        dc = rest[0] + dh * kc_t
        dz = op.Concat(dc, dh, dc, dc, axis=-1) * factor_t
        return [op.MatMul(dz, run.r), dc * keep_t], [dz]

    gc = run.gc if run.gc is not None else zero_state(run.x, run.r)
    (dh, dc), (dz,) = reverse_scan(run, step, [gc], [factor, masked(run, kc), keep])
    dp = None
    if run.peepholes is not None:
        di, do, df, _ = op.Split(dz, axis=-1, num_outputs=4)
        dp = op.ReduceSum(op.Concat(di * c_before, do * c, df * c_before, axis=-1), [0, 1], keepdims=0)
    return Back(dz, weight_product(dz, run.before), op.ReduceSum(dz, [0, 1], keepdims=0), dh, dc, dp)


def _lstm_back_from_gates(run: Run, kept: Kept) -> Back:
    i, o, keep = op.Split(kept.gates, axis=-1, num_outputs=3)
    first = run.initial_c if run.initial_c is not None else zero_state(run.x, run.r)
    slopes = kept.gates - kept.gates * kept.gates
    of_gates = op.Concat(kept.candidate, kept.squashed, states_before(first, kept.c), axis=-1) * slopes
    factor = op.Concat(of_gates, i - i * kept.candidate * kept.candidate, axis=-1)

    def step(dh: Tensor, rest: list[Tensor], k: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        factor_t, kc_t, keep_t = k
        dc = rest[0] + dh * kc_t
        dz = op.Concat(dc, dh, dc, dc, axis=-1) * factor_t
        return [op.MatMul(dz, run.r), dc * keep_t], [dz]

    gc = run.gc if run.gc is not None else zero_state(run.x, run.r)
    (dh, dc), (dz,) = reverse_scan(run, step, [gc], [factor, o - o * kept.squashed * kept.squashed, keep])
    return Back(dz, weight_product(dz, run.before), op.ReduceSum(dz, [0, 1], keepdims=0), dh, dc)


def may_be_rewritten(
    x: Tensor, r: Tensor, lengths: Tensor | None, p: Tensor | None, names: Sequence[str], attributes: dict[str, Any]
) -> bool:
    """Whether an LSTM is plain, and stands at the top of a float32 graph for the CPU."""
    trace = x.trace
    if (
        trace is None
        or trace.parent is not None
        or trace.target.device != "cpu"
        or x.dtype != np.float32
        or not isinstance(r.shape[-1], int)
    ):
        return False
    plain = [name.lower() for name in names] == ["sigmoid", "tanh", "tanh"] * (len(names) // 3)
    return plain and lengths is None and p is None and not attributes.get("clip") and not attributes.get("input_forget")


def leaving_gates(run: Run) -> Run:
    """A direction of an LSTM with its forward pass written anew: a Scan that also leaves its gates."""
    units = int(dim_of(run.r, 1)[0])  # known, as checked
    bias = None if run.wb is None or run.rb is None else run.wb + run.rb
    x, initial_c = run.x, zero_state(run.x, run.r) if run.initial_c is None else run.initial_c
    inputs = op.Reshape(op.Gemm(rows(x), run.w, bias, transB=1), concat_dims(dim_of(x, 0), dim_of(x, 1), dim_of(run.w, 0)))

    def step(h: Tensor, c: Tensor, inputs_t: Tensor) -> list[Tensor]:
        z = op.Gemm(h, run.r, inputs_t, transB=1)
        zg, zc = op.Split(z, np.array([3 * units, units], np.int64), axis=-1, outputs=2)
        gates_t, candidate = op.Sigmoid(zg), op.Tanh(zc)
        i, o, f = op.Split(gates_t, axis=-1, num_outputs=3)
        c = f * c + i * candidate
        squashed = op.Tanh(c)
        h = o * squashed
        return [h, c, h, c, gates_t, candidate, squashed]

    last_h, last_c, h, c, gates, candidate, squashed = op.Scan(run.first, initial_c, inputs, body=step, num_scan_inputs=1)
    return replace(run, before=states_before(run.first, h), kept=Kept(h, c, gates, candidate, squashed, last_h, last_c))


def replace_outputs(y: Sequence[Tensor], forward: Sequence[Kept], reverses: Sequence[bool], batch_first: bool) -> None:
    """Lets all that read the outputs of an LSTM read those of its new forward pass; the operator is then no longer needed."""
    sequences = [reversal(k.h, None)(k.h) if reverse else k.h for k, reverse in zip(forward, reverses, strict=True)]
    new = [
        op.Concat(*(op.Unsqueeze(s, [1]) for s in sequences), axis=1),
        stack([k.last_h for k in forward]),
        stack([k.last_c for k in forward]),
    ]
    if batch_first:
        new = [op.Transpose(t, perm=perm) for t, perm in zip(new, ([2, 0, 1, 3], [1, 0, 2], [1, 0, 2]), strict=True)]
    for old, t in zip(y, new, strict=False):
        convenience.replace_all_uses_with(old.value, t.value)


def _cell_states(run: Run, first: Tensor, zi: Tensor, zf: Tensor, a: Tensor, coupled: bool) -> Tensor:
    """The cell state after each step; element-wise, so a cheap forward Scan."""
    sigma = run.gates[0]
    if run.peepholes is None:
        i = sigma(zi)[0]
        f = 1 - i if coupled else sigma(zf)[0]

        def plain(c: Tensor, f_t: Tensor, ia_t: Tensor) -> tuple[Tensor, Tensor]:
            c = f_t * c + ia_t
            return c, c

        states: Tensor = op.Scan(first, f, i * a, body=plain, num_scan_inputs=2)[1]
        return states
    pi, _, pf = run.peepholes

    def peeping(c: Tensor, zi_t: Tensor, zf_t: Tensor, a_t: Tensor) -> tuple[Tensor, Tensor]:
        i = sigma(zi_t + pi * c)[0]
        c = (1 - i if coupled else sigma(zf_t + pf * c)[0]) * c + i * a_t
        return c, c

    peeped: Tensor = op.Scan(first, zi, zf, a, body=peeping, num_scan_inputs=3)[1]
    return peeped
