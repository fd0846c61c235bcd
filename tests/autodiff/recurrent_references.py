"""LSTM, GRU and RNN in NumPy, one step at a time, straight from their definitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray
Step = Callable[..., tuple[Array, Array | None]]


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


_FUNCTIONS: dict[str, Callable[[Array, float, float], Array]] = {
    "Sigmoid": lambda z, a, b: _sigmoid(z),
    "Tanh": lambda z, a, b: np.tanh(z),
    "Relu": lambda z, a, b: np.maximum(z, 0),
    "LeakyRelu": lambda z, a, b: np.where(z > 0, z, a * z),
    "ThresholdedRelu": lambda z, a, b: np.where(z > a, z, 0),
    "ScaledTanh": lambda z, a, b: a * np.tanh(b * z),
    "HardSigmoid": lambda z, a, b: np.clip(a * z + b, 0, 1),
    "Elu": lambda z, a, b: np.where(z > 0, z, a * (np.exp(z) - 1)),
    "Softsign": lambda z, a, b: z / (1 + np.abs(z)),
    "Softplus": lambda z, a, b: np.log1p(np.exp(z)),
    "Affine": lambda z, a, b: a * z + b,
}
_WITH_ALPHA = {"LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu", "Affine"}
_WITH_BETA = {"ScaledTanh", "HardSigmoid", "Affine"}


def _functions(
    names: Sequence[str], alphas: Sequence[float], betas: Sequence[float], clip: float, size: int
) -> list[Callable[[Array], Array]]:
    a, b = iter(alphas), iter(betas)
    made = []
    for i, name in enumerate(names):
        limit = clip if i % size < 2 else np.inf  # the third function of LSTM takes the cell state, which is not clipped
        alpha, beta = next(a) if name in _WITH_ALPHA else 0.0, next(b) if name in _WITH_BETA else 0.0
        made.append(lambda z, f=_FUNCTIONS[name], alpha=alpha, beta=beta, limit=limit: f(np.clip(z, -limit, limit), alpha, beta))
    return made


def _lstm_step(
    f: Any, zx: Array, h: Array, c: Array, r: Array, rb: Array, p: Array | None, attributes: dict[str, Any]
) -> tuple[Array, Array]:
    i, o, g, k = np.split(zx + h @ r.T + rb, 4, axis=-1)
    pi, po, pf = (0, 0, 0) if p is None else np.split(p, 3)
    i = f[0](i + pi * c)
    g = 1 - i if attributes.get("input_forget") else f[0](g + pf * c)
    c = g * c + i * f[1](k)
    return f[0](o + po * c) * f[2](c), c


def _gru_step(f: Any, zx: Array, h: Array, c: None, r: Array, rb: Array, p: None, attributes: dict[str, Any]) -> tuple[Array, None]:
    xz, xr, xh = np.split(zx, 3, axis=-1)
    (rz, rr, rh), (bz, br, bh) = np.split(r, 3), np.split(rb, 3)
    z, reset = f[0](xz + h @ rz.T + bz), f[0](xr + h @ rr.T + br)
    inner = reset * (h @ rh.T + bh) if attributes.get("linear_before_reset") else (reset * h) @ rh.T + bh
    return (1 - z) * f[1](xh + inner) + z * h, None


def _rnn_step(f: Any, zx: Array, h: Array, c: None, r: Array, rb: Array, p: None, attributes: dict[str, Any]) -> tuple[Array, None]:
    return f[0](zx + h @ r.T + rb), None


def _run(step: Step, defaults: Sequence[str], inputs: Sequence[Array | None], attributes: dict[str, Any]) -> tuple[Array, ...]:
    x, w, r, b, lengths, h0, c0, p = (*inputs, *[None] * 8)[:8]
    assert x is not None
    assert w is not None
    assert r is not None
    if attributes.get("layout"):
        x = x.swapaxes(0, 1)
        h0, c0 = (None if s is None else s.swapaxes(0, 1) for s in (h0, c0))
    steps, batch, _ = x.shape
    n, width, hidden = w.shape[0], w.shape[1], r.shape[2]
    names = attributes.get("activations") or list(defaults) * n
    f = _functions(
        names, attributes.get("activation_alpha", ()), attributes.get("activation_beta", ()), attributes.get("clip", np.inf), len(defaults)
    )
    y, last_h, last_c = np.zeros((steps, n, batch, hidden)), np.zeros((n, batch, hidden)), np.zeros((n, batch, hidden))
    for d in range(n):
        mine = f[d * len(defaults) : (d + 1) * len(defaults)]
        bias = np.zeros(2 * width) if b is None else b[d]
        backwards = attributes.get("direction", "forward") == "reverse" or d == 1
        for k in range(batch):
            length = steps if lengths is None else int(lengths[k])
            h = np.zeros(hidden) if h0 is None else h0[d, k]
            c = np.zeros(hidden) if c0 is None else c0[d, k]
            for t in reversed(range(length)) if backwards else range(length):
                zx = w[d] @ x[t, k] + bias[:width]
                h, c = step(mine, zx, h, c, r[d], bias[width:], None if p is None else p[d], attributes)
                y[t, d, k] = h
            last_h[d, k] = h
            if c is not None:
                last_c[d, k] = c
    if attributes.get("layout"):
        return y.transpose(2, 0, 1, 3), last_h.swapaxes(0, 1), last_c.swapaxes(0, 1)
    return y, last_h, last_c


def lstm(*inputs: Array | None, **attributes: Any) -> tuple[Array, ...]:
    """Y, Y_h, Y_c."""
    return _run(_lstm_step, ("Sigmoid", "Tanh", "Tanh"), inputs, attributes)


def gru(*inputs: Array | None, **attributes: Any) -> tuple[Array, ...]:
    """Y, Y_h."""
    return _run(_gru_step, ("Sigmoid", "Tanh"), inputs, attributes)[:2]


def rnn(*inputs: Array | None, **attributes: Any) -> tuple[Array, ...]:
    """Y, Y_h."""
    return _run(_rnn_step, ("Tanh",), inputs, attributes)[:2]
