"""MXNet's recurrent layers, whose weights stand in one vector."""

from __future__ import annotations

from typing import Any

from onnxdl.converters.mxnet.operators import operator
from onnxdl.converters.net import Use
from onnxdl.errors import ConversionError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


@operator("_rnn_param_concat")
def rnn_parameters(use: Use, *xs: Tensor, dim: int = 0) -> Tensor:
    """All weights of a recurrent layer in one vector."""
    return op.Concat(*xs, axis=dim)


GATES = {"lstm": [0, 3, 1, 2], "gru": [1, 0, 2], "rnn_tanh": [0], "rnn_relu": [0]}
"""For each of ONNX's gates, its place among MXNet's."""


@operator("RNN")
def rnn(
    use: Use,
    x: Tensor,
    parameters: Tensor,
    h0: Tensor | None = None,
    c0: Tensor | None = None,
    *,
    mode: str,
    state_size: int,
    num_layers: int,
    bidirectional: bool = False,
    p: float = 0.0,
    state_outputs: bool = False,
    projection_size: int | None = None,
    lstm_state_clip_min: float | None = None,
    lstm_state_clip_max: float | None = None,
    lstm_state_clip_nan: bool = False,
    use_sequence_length: bool = False,
) -> tuple[Tensor, ...]:
    """Layers of a recurrent net over (time, batch, channels); the vector holds all weights, then all biases."""
    if projection_size or use_sequence_length or lstm_state_clip_min is not None or lstm_state_clip_max is not None:
        raise ConversionError("projections, state clipping and sequence lengths of RNN are not read")
    held = parameters.shape[0]
    if isinstance(held, int) and num_layers > held:
        raise ConversionError(f"an RNN of {num_layers} layers needs more than its {held} weights")
    gates, directions = GATES[mode], 2 if bidirectional else 1
    wide = len(gates) * state_size
    sizes, width = [], int(x.shape[-1])  # type: ignore[arg-type]
    for layer in range(num_layers):
        inner = width if layer == 0 else directions * state_size
        sizes += [wide * inner, wide * state_size] * directions
    sizes += [wide] * (2 * directions * num_layers)
    parts = list(op.Split(parameters, sizes, outputs=len(sizes)))
    weights, biases = parts[: 2 * directions * num_layers], parts[2 * directions * num_layers :]
    hs, cs, y = [], [], x
    for layer in range(num_layers):
        inner, first = width if layer == 0 else directions * state_size, 2 * directions * layer
        w, r, b = [], [], []
        for d in range(directions):
            at = first + 2 * d
            w.append(op.Unsqueeze(_reordered(op.Reshape(weights[at], [wide, inner]), gates, state_size), [0]))
            r.append(op.Unsqueeze(_reordered(op.Reshape(weights[at + 1], [wide, state_size]), gates, state_size), [0]))
            both = [_reordered(half, gates, state_size) for half in biases[at : at + 2]]
            b.append(op.Unsqueeze(op.Concat(*both, axis=0), [0]))
        hidden, cell = [None if s is None else op.Slice(s, [layer * directions], [(layer + 1) * directions], [0]) for s in (h0, c0)]
        settings: dict[str, Any] = {"hidden_size": state_size, "direction": "bidirectional" if bidirectional else "forward"}
        if layer and p:
            y = use.dropout(y, p)
        inward, across, bias = [t[0] if len(t) == 1 else op.Concat(*t, axis=0) for t in (w, r, b)]
        if mode == "lstm":
            out, h, c = op.LSTM(y, inward, across, bias, None, hidden, cell, outputs=3, **settings)
            cs.append(c)
        elif mode == "gru":
            out, h = op.GRU(y, inward, across, bias, None, hidden, outputs=2, linear_before_reset=1, **settings)
        else:
            kinds = [mode.removeprefix("rnn_").capitalize()] * directions
            out, h = op.RNN(y, inward, across, bias, None, hidden, outputs=2, activations=kinds, **settings)
        hs.append(h)
        y = op.Reshape(op.Transpose(out, perm=[0, 2, 1, 3]), [0, 0, directions * state_size])
    ends = [op.Concat(*states, axis=0) if len(states) > 1 else states[0] for states in (hs, cs) if states]
    return (y, *ends) if state_outputs else (y,)


def _reordered(x: Tensor, gates: list[int], size: int) -> Tensor:
    if gates == sorted(gates):
        return x
    parts = op.Split(x, [size] * len(gates), axis=0, outputs=len(gates))
    return op.Concat(*(parts[g] for g in gates), axis=0)
