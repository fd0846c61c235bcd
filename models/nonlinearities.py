"""Every activation function and its derivative, the derivative made by the library's own reverse pass.

The picture shows the function as a line and its derivative dashed, over [-4, 4]. ``glu``, which splits its input, is left out;
``softmax``, ``log_softmax`` and ``sparsemax`` are drawn along the first of two inputs, the other held at 0.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

import onnxdl as ox
from onnxdl import nn, op

X = np.linspace(-4, 4, 401, dtype=np.float32)
OF_SEVERAL = ("softmax", "log_softmax", "sparsemax")
ALIASES_AND_HALVES = ("swish", "hard_swish", "glu")
NAMES = [name for name in nn.activations.NAMES if name not in ALIASES_AND_HALVES]


def function(name: str) -> Callable[[ox.Tensor], ox.Tensor]:
    """An activation as a function of one number."""
    activation = nn.activations.get(name)
    if name in OF_SEVERAL:
        return lambda x: activation(op.Concat(op.Unsqueeze(x, [1]), np.zeros((len(X), 1), np.float32), axis=1))[:, 0]
    return activation


def curve(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The values on X, and the derivatives: the gradient of all values together, since each depends on its own x alone."""
    x = ox.tensor(X)
    y = function(name)(x)
    (dy,) = ox.gradient(y, [x])
    return y.numpy(), dy.numpy()


def largest_error() -> float:
    """How far the derivatives lie from central differences, relatively; the points keep away from kinks and jumps."""
    points = X[:-1:10] + 0.05
    smooth = [nn.activations.get(name) for name in NAMES if name not in OF_SEVERAL]
    return max(ox.check_gradient(f, points, dtype="float32", atol=1e-4) for f in smooth)


def main(folder: Path) -> dict[str, float]:
    """Draws all of them into nonlinearities.png."""
    figure = ox.data.require("matplotlib.figure", extra="examples").Figure(figsize=(10, 9), layout="constrained")
    for panel, name in zip(figure.subplots(-(-len(NAMES) // 6), 6).flat, NAMES, strict=False):
        y, dy = curve(name)
        panel.axhline(0, color="0.8", linewidth=0.8)
        panel.axvline(0, color="0.8", linewidth=0.8)
        panel.plot(X, y, color="C0")
        panel.plot(X, dy, "--", color="C1")
        panel.set_title(name, fontsize=9)
        panel.set_ylim(max(y.min(), -3) - 0.3, min(max(y.max(), dy.max()), 4) + 0.3)
        panel.set_xticks(range(-4, 5, 2))
        panel.tick_params(labelsize=7)
    for panel in figure.axes[len(NAMES) :]:
        panel.remove()
    figure.legend(figure.axes[0].lines[2:], ["f(x)", "f'(x)"], loc="lower right", fontsize=11)
    figure.savefig(folder / "nonlinearities.png", dpi=80)
    return {"activations": len(NAMES), "largest relative error": largest_error()}


if __name__ == "__main__":
    print(main(Path()))
