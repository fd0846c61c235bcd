"""Gradients held against central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onnxdl.autodiff.gradient import gradient
from onnxdl.errors import GradientError
from onnxdl.graph.dtypes import DTypeLike, to_numpy
from onnxdl.graph.evaluate import evaluate
from onnxdl.graph.tensor import Tensor, tensor


def check_gradient(
    f: Callable[..., Any],
    *arrays: Any,
    dtype: DTypeLike = "float64",
    eps: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
) -> float:
    r"""Compares the gradient of ``f`` with :math:`(f(x + \epsilon) - f(x - \epsilon)) / 2\epsilon`, element by element.

    Args:
        f: a function of tensors that returns a tensor, or several; where they are not scalars, a fixed random weighting
            of their elements is differentiated.
        arrays: the point. Float arrays are varied; others are passed as they are.
        dtype: float64, or float32 for operators that ONNX Runtime does not compute in float64, convolutions above all.
        eps: half the distance of the two points; by default 1e-6, or 1e-2 in float32.
        rtol: how far the two may lie apart, relative to the larger of them; by default 1e-5, or 1e-2 in float32.
        atol: what may lie between them besides; by default 1e-7, or 1e-3 in float32.

    Returns:
        The largest relative error found, differences below ``atol`` aside.

    Raises:
        GradientError: an element disagrees; the message names the one that does most.
    """
    points = [np.asarray(a) for a in arrays]
    precision = to_numpy(dtype)
    defaults = (1e-6, 1e-5, 1e-7) if precision == np.float64 else (1e-2, 1e-2, 1e-3)
    eps, rtol, atol = (d if given is None else given for given, d in zip((eps, rtol, atol), defaults, strict=True))
    points = [p.astype(precision) if p.dtype.kind == "f" else p for p in points]
    leaves = [tensor(p) for p in points]
    varied = [i for i, p in enumerate(points) if p.dtype.kind == "f"]
    ys = _tensors(f(*leaves))
    rng = np.random.default_rng(0)
    weights = [rng.uniform(0.5, 1.5, y.shape).astype(y.dtype) for y in evaluate(ys)]
    ours = evaluate(gradient(ys, [leaves[i] for i in varied], [tensor(w) for w in weights]))

    def value(i: int, shifted: np.ndarray) -> float:
        moved = [tensor(shifted if j == i else p) for j, p in enumerate(points)]
        return sum(float(np.vdot(w.astype(np.float64), y)) for w, y in zip(weights, evaluate(_tensors(f(*moved))), strict=True))

    worst, largest = None, 0.0
    for i, g in zip(varied, ours, strict=True):
        for index in np.ndindex(points[i].shape):
            ahead, behind = points[i].copy(), points[i].copy()
            ahead[index] += eps
            behind[index] -= eps
            expected = (value(i, ahead) - value(i, behind)) / (2 * eps)
            error = _relative_error(float(g[index]), expected, atol)
            if not error <= largest:
                worst, largest = (i, index, float(g[index]), expected), error
    if worst is not None and not largest <= rtol:
        i, index, got, expected = worst
        at = f" at [{', '.join(map(str, index))}]" if index else ""
        raise GradientError(f"argument {i}{at}: the gradient is {got:.9g}, central differences give {expected:.9g}")
    return largest


def _relative_error(a: float, b: float, atol: float) -> float:
    if not np.isfinite(a) or not np.isfinite(b):
        return float("inf")
    return max(abs(a - b) - atol, 0.0) / max(abs(a), abs(b), atol)


def _tensors(y: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return [y] if isinstance(y, Tensor) else list(y)
