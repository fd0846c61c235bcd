"""What operations are given, as tensors: numbers and arrays, axes from the end, everything at once where no axis is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, as_tensor

Axis = int | Sequence[int] | None


def tensor_of(x: Any) -> Tensor:
    """Whatever an operation is given as a tensor: real numbers as float32, whole ones as int32."""
    if isinstance(x, Tensor):
        return x
    array = np.asarray(x)
    return as_tensor(array.astype({"f": np.float32, "i": np.int32}.get(array.dtype.kind, array.dtype)))


def axes_of(x: Tensor, axis: Axis) -> list[int] | None:
    """Axes counted from the start; None for all."""
    if axis is None:
        return None
    return [a % x.ndim for a in ([axis] if isinstance(axis, int) else axis)]


def in_a_row(x: Tensor, axis: int | None) -> tuple[Tensor, int]:
    """A tensor and an axis: of all elements in a row where it is None."""
    return (op.Reshape(x, [-1]), 0) if axis is None else (x, axis % x.ndim)


def float_of(x: Any) -> Tensor:
    """As real numbers."""
    x = tensor_of(x)
    return x if x.dtype.kind == "f" else op.Cast(x, to="float32")


def bool_of(x: Any) -> Tensor:
    """As truth values."""
    x = tensor_of(x)
    return x if x.dtype == bool else op.Cast(x, to="bool")
