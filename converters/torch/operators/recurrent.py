"""LSTM, GRU and RNN, whole sequences and single cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.converters.torch.aten import aten
from onnxdl.converters.torch.operators.linear_algebra import linear
from onnxdl.converters.torch.operators.randomness import dropped
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor

_ORDERS = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
"""Torch's gates in the order of ONNX: i f g o as i o f c, r z n as z r h."""


def _gates(w: Tensor, kind: str) -> Tensor:
    order = _ORDERS[kind]
    if len(order) == 1:
        return w
    pieces = op.Split(w, num_outputs=len(order), axis=0)
    return op.Concat(*[pieces[i] for i in order], axis=0)


def _sequence(
    kind: str,
    x: Tensor,
    states: Sequence[Tensor],
    params: Sequence[Tensor],
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
    run: Any,
    **attributes: Any,
) -> tuple[Tensor, ...]:
    alone = x.ndim == 2
    if alone:
        x = op.Unsqueeze(x, [1])
        states = [op.Unsqueeze(s, [1]) for s in states]
    elif batch_first:
        x = op.Transpose(x, perm=[1, 0, 2])
    directions = 1 + bidirectional
    each = len(params) // (num_layers * directions)
    hidden = int(params[1].shape[1])  # type: ignore[arg-type]  # a weight's size is known
    finals: list[list[Tensor]] = [[] for _ in states]
    for layer in range(num_layers):
        first = layer * directions
        weights = [params[(first + d) * each : (first + d + 1) * each] for d in range(directions)]
        begin = [_part(s, first, directions, num_layers) for s in states]
        if each in (3, 5):
            y, *last = _projected(x, weights, begin)
        else:
            y, *last = _by_operator(kind, x, weights, begin, hidden, attributes)
        for kept, state in zip(finals, last, strict=True):
            kept.append(state)
        x = op.Squeeze(y, [1]) if directions == 1 else op.Reshape(op.Transpose(y, perm=[0, 2, 1, 3]), [0, 0, directions * hidden])
        if dropout and train and run.training and layer + 1 < num_layers:
            x = dropped(x, dropout)
    ends = [kept[0] if len(kept) == 1 else op.Concat(*kept, axis=0) for kept in finals]
    if alone:
        return op.Squeeze(x, [1]), *[op.Squeeze(e, [1]) for e in ends]
    return op.Transpose(x, perm=[1, 0, 2]) if batch_first else x, *ends


def _by_operator(
    kind: str, x: Tensor, weights: Sequence[Sequence[Tensor]], begin: Sequence[Tensor], hidden: int, attributes: dict[str, Any]
) -> Sequence[Tensor]:
    inputs = [_stacked([_gates(w[i], kind) for w in weights]) for i in (0, 1)]
    bias = _stacked([op.Concat(_gates(w[2], kind), _gates(w[3], kind), axis=0) for w in weights]) if len(weights[0]) == 4 else None
    found: Sequence[Tensor] = getattr(op, kind)(
        x,
        *inputs,
        bias,
        None,
        *begin,
        hidden_size=hidden,
        direction="bidirectional" if len(weights) == 2 else "forward",
        outputs=1 + len(begin),
        **_per_direction(attributes, len(weights)),
    )
    return found


def _per_direction(attributes: dict[str, Any], directions: int) -> dict[str, Any]:
    return {k: v * directions if isinstance(v, list) else v for k, v in attributes.items()}


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    rows = [op.Unsqueeze(p, [0]) for p in parts]
    return rows[0] if len(rows) == 1 else op.Concat(*rows, axis=0)


def _part(state: Tensor, first: int, n: int, layers: int) -> Tensor:
    return state if layers == 1 else op.Slice(state, [first], [first + n], [0])


def _projected(x: Tensor, weights: Sequence[Sequence[Tensor]], begin: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """An LSTM layer whose output is projected (``proj_size``), which ONNX's operator is not; results as that has them."""
    found = []
    for d, (w_ih, w_hh, *biases, projection) in enumerate(weights):

        def step(h: Tensor, c: Tensor, gates: Tensor, w_hh: Tensor = w_hh, projection: Tensor = projection) -> list[Tensor]:
            y, c = _lstm_gates(gates + linear(h, w_hh), c)
            h = linear(y, projection)
            return [h, c, h]

        first = [op.Gather(s, np.array(d), axis=0) for s in begin]
        gates = linear(x, w_ih, biases[0] + biases[1] if biases else None)
        found.append(op.Scan(*first, gates, body=step, num_scan_inputs=1, scan_input_directions=[d], scan_output_directions=[d]))
    h, c, y = zip(*found, strict=True)
    return op.Concat(*[op.Unsqueeze(each, [1]) for each in y], axis=1), _stacked(h), _stacked(c)


def _lstm_gates(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The output and the next cell state."""
    i, f, g, o = _split(gates, 4)
    c = op.Sigmoid(f) * c + op.Sigmoid(i) * op.Tanh(g)
    return op.Sigmoid(o) * op.Tanh(c), c


@aten("lstm.input")
def lstm(
    input: Tensor,
    hx: Sequence[Tensor],
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
    *,
    run: Any,
) -> tuple[Tensor, ...]:
    return _sequence("LSTM", input, hx, params, num_layers, dropout, train, bidirectional, batch_first, run)


@aten("gru.input")
def gru(
    input: Tensor,
    hx: Tensor,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
    *,
    run: Any,
) -> tuple[Tensor, ...]:
    more = {"linear_before_reset": 1}
    return _sequence("GRU", input, [hx], params, num_layers, dropout, train, bidirectional, batch_first, run, **more)


@aten("rnn_tanh.input", "rnn_relu.input")
def rnn(
    input: Tensor,
    hx: Tensor,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
    *,
    run: Any,
) -> tuple[Tensor, ...]:
    more = {"activations": ["Relu" if "relu" in run.node.op else "Tanh"]}
    return _sequence("RNN", input, [hx], params, num_layers, dropout, train, bidirectional, batch_first, run, **more)


def _split(x: Tensor, n: int) -> Sequence[Tensor]:
    return list(op.Split(x, num_outputs=n, axis=x.ndim - 1))


@aten("lstm_cell")
def lstm_cell(
    input: Tensor, hx: Sequence[Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    return _lstm_gates(linear(input, w_ih, b_ih) + linear(hx[0], w_hh, b_hh), hx[1])


@aten("gru_cell")
def gru_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None) -> Tensor:
    (xr, xz, xn), (hr, hz, hn) = _split(linear(input, w_ih, b_ih), 3), _split(linear(hx, w_hh, b_hh), 3)
    z = op.Sigmoid(xz + hz)
    n = op.Tanh(xn + op.Sigmoid(xr + hr) * hn)
    return n + z * (hx - n)


@aten("rnn_tanh_cell", "rnn_relu_cell")
def rnn_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None, *, run: Any
) -> Tensor:
    total = linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh)
    return op.Relu(total) if "relu" in run.node.op else op.Tanh(total)
