"""What the recurrent operators share: one direction's run, and the reverse Scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxdl.autodiff.rules.gates import Gate
from onnxdl.autodiff.shapes import concat_dims, dim_of
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


@dataclass
class Run:
    """One direction of one recurrent operator, time running forwards: [T, B, ...] throughout."""

    x: Tensor
    w: Tensor  # [gates * H, I]
    r: Tensor  # [gates * H, H]
    wb: Tensor | None
    rb: Tensor | None
    peepholes: list[Tensor] | None
    first: Tensor  # the state to begin with, [B, H]
    before: Tensor  # the state before each step, [T, B, H]
    initial_c: Tensor | None  # [B, H]
    gates: list[Gate]
    gy: Tensor | None
    gh: Tensor | None  # [B, H]
    gc: Tensor | None
    valid: Tensor | None  # [T, B, 1]: one while the sequence lasts, zero after
    flip: Callable[[Tensor], Tensor]  # turns sequences as they are given into those of this run, and back
    attributes: dict[str, Any]
    kept: Kept | None = None


@dataclass
class Kept:
    """What the forward pass of an LSTM left, time running forwards: [T, B, ...]."""

    h: Tensor
    c: Tensor
    gates: Tensor  # input, output and forget gate, [T, B, 3 * H]
    candidate: Tensor
    squashed: Tensor  # tanh(c)
    last_h: Tensor  # [B, H]
    last_c: Tensor


@dataclass
class Back:
    """What comes out of one direction."""

    dx_gates: Tensor  # the gradient of W x + Wb, [T, B, gates * H]
    dr: Tensor
    drb: Tensor
    dh: Tensor
    dc: Tensor | None = None
    dp: Tensor | None = None


def reverse_scan(
    run: Run,
    step: Callable[..., tuple[list[Tensor], list[Tensor]]],
    rest: list[Tensor],
    factors: list[Tensor],
    *,
    kept: bool = False,
    outputs: int = 1,
) -> tuple[list[Tensor], list[Tensor]]:
    """Runs ``step`` from the last time step to the first; dh starts as the last state's gradient and meets that of Y.

    ``kept`` says that the factors already carry dh past the end of a sequence.
    """
    gh = run.gh if run.gh is not None else zero_state(run.x, run.r)
    outside = [] if run.valid is None or kept else [1 - run.valid]
    incoming = [] if run.gy is None else [run.gy if run.valid is None else run.gy * run.valid]
    states, n_factors = [gh, *rest], len(factors)

    def body(*args: Tensor) -> list[Tensor]:
        carried, k = list(args[: len(states)]), list(args[len(states) :])
        dh = carried[0] + k[n_factors] if incoming else carried[0]
        next_states, results = step(dh, carried[1:], k[:n_factors])
        if outside:
            next_states[0] = next_states[0] + dh * k[-1]
        return [*next_states, *results]

    scanned = [*factors, *incoming, *outside]
    results = op.Scan(
        *states,
        *scanned,
        body=body,
        num_scan_inputs=len(scanned),
        scan_input_directions=[1] * len(scanned),
        scan_output_directions=[1] * outputs,
    )
    return list(results[: len(states)]), list(results[len(states) :])


def preactivations(run: Run) -> Tensor:
    """``x W^T + h R^T + Wb + Rb`` of all steps, [T, B, gates * H]; each product adds to the one before, no sum is a pass of its own."""
    bias = None if run.wb is None or run.rb is None else run.wb + run.rb
    inputs = op.Gemm(rows(run.x), run.w, bias, transB=1)
    both = op.Gemm(rows(run.before), run.r, inputs, transB=1)
    return op.Reshape(both, concat_dims(dim_of(run.x, 0), dim_of(run.x, 1), dim_of(run.w, 0)))


def inputs_of(run: Run) -> Tensor:
    product = op.MatMul(run.x, op.Transpose(run.w, perm=[1, 0]))
    return product if run.wb is None else product + run.wb


def recurrences(run: Run, h: Tensor, r: Tensor, bias: Tensor | None) -> Tensor:
    product = op.MatMul(h, op.Transpose(r, perm=[1, 0]))
    return product if bias is None else product + bias


def weight_product(g: Tensor, x: Tensor) -> Tensor:
    """The gradient of a weight, [M, K], summed over all steps and the batch."""
    return op.Gemm(rows(g), rows(x), transA=1)


def rows(t: Tensor) -> Tensor:
    return op.Reshape(t, concat_dims(-1, dim_of(t, 2)))


def masked(run: Run, factor: Tensor) -> Tensor:
    return factor if run.valid is None else factor * run.valid


def part(t: Tensor, d: int) -> Tensor:
    return op.Gather(t, np.array(d), axis=0)


def stack(parts: Sequence[Tensor]) -> Tensor:
    wide = [op.Unsqueeze(p, [0]) for p in parts]
    return wide[0] if len(wide) == 1 else op.Concat(*wide, axis=0)


def states_before(first: Tensor, states: Tensor) -> Tensor:
    """The states moved one step on: the first one, and all but the last."""
    return op.Concat(op.Unsqueeze(first, [0]), op.Slice(states, [0], [-1], [0]), axis=0)


def zero_state(x: Tensor, r: Tensor) -> Tensor:
    return op.Expand(np.zeros(1, x.dtype), concat_dims(dim_of(x, 1), dim_of(r, r.ndim - 1)))


def valid_steps(x: Tensor, lengths: Tensor) -> Tensor:
    """[T, B, 1]: whether the step lies within its sequence."""
    size: Any = dim_of(x, 0)
    steps = op.Range(0, op.Squeeze(size, [0]), 1) if isinstance(size, Tensor) else np.arange(int(size[0]))
    inside = op.Less(op.Unsqueeze(steps, [1]), op.Unsqueeze(op.Cast(lengths, to=np.int64), [0]))
    return op.Unsqueeze(op.CastLike(inside, x), [2])


def reversal(x: Tensor, lengths: Tensor | None) -> Callable[[Tensor], Tensor]:
    """Time reversed, each sequence within its own length."""
    if lengths is not None:
        whole = op.Cast(lengths, to=np.int64)
        return lambda t: op.ReverseSequence(t, whole, time_axis=0, batch_axis=1)
    return lambda t: op.Slice(t, [-1], [-(2**31)], [0], [-1])
