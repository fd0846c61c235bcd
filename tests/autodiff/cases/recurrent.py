"""LSTM, GRU and RNN: directions, lengths, peepholes, clipping, every activation, states in and out."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.autodiff.cases import Case, rand
from tests.autodiff.recurrent_references import gru, lstm, rnn

_T, _B, _I, _H = 4, 3, 2, 2
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_FORWARD = {"LSTM": lstm, "GRU": gru, "RNN": rnn}


def _case(
    op: str,
    *,
    bias: bool = True,
    lengths: bool = False,
    states: bool = False,
    peepholes: bool = False,
    second_order: bool = True,
    **attributes: Any,
) -> Case:
    n, gates = 2 if attributes.get("direction") == "bidirectional" else 1, _GATES[op]
    inputs: list[np.ndarray | None] = [rand(_T, _B, _I, seed=1), rand(n, gates * _H, _I, seed=2), rand(n, gates * _H, _H, seed=3)]
    inputs.append(rand(n, 2 * gates * _H, seed=4) if bias else None)
    inputs.append(np.array([2, 4, 1], np.int32) if lengths else None)
    inputs.append(rand(n, _B, _H, seed=5) if states else None)
    if op == "LSTM":
        inputs.append(rand(n, _B, _H, seed=6) if states else None)
        inputs.append(rand(n, 3 * _H, seed=7) if peepholes else None)
    while inputs[-1] is None:
        inputs.pop()
    outputs = 3 if op == "LSTM" else 2
    reason = "bias" * bias + "-lengths" * lengths + "-states" * states + "-peepholes" * peepholes
    return Case(
        op,
        inputs,
        {"hidden_size": _H, **attributes},
        outputs,
        reason=reason,
        static=(1, 2, 3, 7),
        second_order=second_order,
        forward=_FORWARD[op],
    )


_SEVERAL = {"activation_alpha": [0.3, 0.7], "activation_beta": [0.4]}

CASES = [
    *(_case(op, bias=False) for op in _GATES),
    *(_case(op, states=True) for op in _GATES),
    *(_case(op, direction="reverse") for op in _GATES),
    *(_case(op, direction="bidirectional", states=True) for op in _GATES),
    *(_case(op, direction="bidirectional", lengths=True, states=True, second_order=op == "RNN") for op in _GATES),
    *(_case(op, lengths=True) for op in _GATES),
    *(_case(op, clip=0.5, states=True, second_order=False) for op in _GATES),
    _case("LSTM", peepholes=True),
    _case("LSTM", peepholes=True, direction="bidirectional", lengths=True, states=True, second_order=False),
    _case("LSTM", input_forget=1),
    _case("LSTM", input_forget=1, peepholes=True, clip=1.0, second_order=False),
    _case("LSTM", activations=["HardSigmoid", "Softsign", "LeakyRelu"], **_SEVERAL, second_order=False),
    _case("LSTM", activations=["Sigmoid", "Elu", "ScaledTanh"], **_SEVERAL, second_order=False),
    _case("GRU", linear_before_reset=1),
    _case("GRU", linear_before_reset=1, states=True, lengths=True, direction="bidirectional", second_order=False),
    _case("GRU", linear_before_reset=1, clip=0.5, second_order=False),
    _case("GRU", activations=["HardSigmoid", "Softplus"], activation_alpha=[0.3], activation_beta=[0.4], second_order=False),
    _case("RNN", activations=["Relu"], second_order=False),
    _case("RNN", activations=["Affine"], activation_alpha=[0.5], activation_beta=[0.1]),
    _case("RNN", activations=["ThresholdedRelu", "Tanh"], activation_alpha=[0.2], direction="bidirectional", second_order=False),
]
