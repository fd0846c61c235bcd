"""LSTM, GRU and RNN, whole sequences and single cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxdl.converters.torch.aten import aten
from onnxdl.converters.torch.operators.linear_algebra import linear
from onnxdl.converters.torch.operators.randomness import dropped
from onnxdl.errors import ConversionError
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
    has_biases: bool,
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
    directions, each = 1 + bidirectional, 4 if has_biases else 2
    if len(params) != num_layers * directions * each:
        raise ConversionError(f"it has {len(params)} weights; a projection (proj_size) has no equal here")
    hidden = int(params[1].shape[1])  # type: ignore[arg-type]  # a weight's size is known
    finals: list[list[Tensor]] = [[] for _ in states]
    for layer in range(num_layers):
        first = layer * directions
        weights = [params[(first + d) * each : (first + d + 1) * each] for d in range(directions)]
        inputs = [_stacked([_gates(w[i], kind) for w in weights]) for i in (0, 1)]
        bias = _stacked([op.Concat(_gates(w[2], kind), _gates(w[3], kind), axis=0) for w in weights]) if has_biases else None
        begin = [_part(s, first, directions, num_layers) for s in states]
        y, *last = getattr(op, kind)(
            x,
            *inputs,
            bias,
            None,
            *begin,
            hidden_size=hidden,
            direction="bidirectional" if bidirectional else "forward",
            outputs=1 + len(states),
            **_per_direction(attributes, directions),
        )
        for kept, state in zip(finals, last, strict=True):
            kept.append(state)
        x = op.Squeeze(y, [1]) if directions == 1 else op.Reshape(op.Transpose(y, perm=[0, 2, 1, 3]), [0, 0, directions * hidden])
        if dropout and train and run.training and layer + 1 < num_layers:
            x = dropped(x, dropout)
    ends = [kept[0] if len(kept) == 1 else op.Concat(*kept, axis=0) for kept in finals]
    if alone:
        return op.Squeeze(x, [1]), *[op.Squeeze(e, [1]) for e in ends]
    return op.Transpose(x, perm=[1, 0, 2]) if batch_first else x, *ends


def _per_direction(attributes: dict[str, Any], directions: int) -> dict[str, Any]:
    return {k: v * directions if isinstance(v, list) else v for k, v in attributes.items()}


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    rows = [op.Unsqueeze(p, [0]) for p in parts]
    return rows[0] if len(rows) == 1 else op.Concat(*rows, axis=0)


def _part(state: Tensor, first: int, n: int, layers: int) -> Tensor:
    return state if layers == 1 else op.Slice(state, [first], [first + n], [0])


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
    return _sequence("LSTM", input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first, run)


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
    return _sequence("GRU", input, [hx], params, has_biases, num_layers, dropout, train, bidirectional, batch_first, run, **more)


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
    return _sequence("RNN", input, [hx], params, has_biases, num_layers, dropout, train, bidirectional, batch_first, run, **more)


def _split(x: Tensor, n: int) -> Sequence[Tensor]:
    return list(op.Split(x, num_outputs=n, axis=x.ndim - 1))


@aten("lstm_cell")
def lstm_cell(
    input: Tensor, hx: Sequence[Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    i, f, g, o = _split(linear(input, w_ih, b_ih) + linear(hx[0], w_hh, b_hh), 4)
    c = op.Sigmoid(f) * hx[1] + op.Sigmoid(i) * op.Tanh(g)
    return op.Sigmoid(o) * op.Tanh(c), c


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
