"""Resize: linear in its input, and separable.

Along one axis it is a matrix E; applied to the identity, Resize itself says which. So every mode, transformation and
run-time size is right without a word about coordinates here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onnxdl.autodiff.registry import vjp
from onnxdl.autodiff.shapes import concat_dims, dim_of, static_shape
from onnxdl.graph import op
from onnxdl.graph.infer import dims
from onnxdl.graph.tensor import Tensor


@vjp("Resize")
def resize(
    g: Tensor,
    y: Tensor,
    x: Tensor,
    roi: Tensor | None = None,
    scales: Tensor | None = None,
    sizes: Tensor | None = None,
    *,
    axes: list[int] | None = None,
    keep_aspect_ratio_policy: str = "stretch",
    **attributes: Any,
) -> Any:
    n = x.ndim
    resized = [a % n for a in axes] if axes else list(range(n))
    if scales is not None and static_shape(scales) == (0,):
        scales = None
    crops = attributes["coordinate_transformation_mode"] == "tf_crop_and_resize"
    factors = _known_factors(x, y, scales, resized)
    policy = sizes is not None and keep_aspect_ratio_policy != "stretch"
    if factors is not None and not policy and _repeats(attributes):
        return _sum_neighbours(g, x, factors)
    attributes = {**attributes, "extrapolation_value": 0.0}
    for k, axis in enumerate(resized):
        if not crops and _unchanged(x, y, axis, scales, k):
            continue
        if policy:
            assert sizes is not None
            matrix = _matrix_by_policy(x, sizes, resized, k, keep_aspect_ratio_policy, attributes)
        else:
            window = None if roi is None or not crops else _window(roi, k, len(resized))
            matrix = _matrix(x, y, axis, _pick(scales, k), window, attributes)
        g = _apply(g, matrix, axis)
    return g


def _pick(vector: Tensor | None, k: int) -> Tensor | None:
    return None if vector is None else op.Slice(vector, [k], [k + 1])


def _window(roi: Tensor, k: int, n: int) -> Tensor:
    """The region of one axis, for the identity matrix [in, in]."""
    zero, one = np.zeros(1, roi.dtype), np.ones(1, roi.dtype)
    return op.Concat(zero, op.Slice(roi, [k], [k + 1]), one, op.Slice(roi, [n + k], [n + k + 1]), axis=0)


def _unchanged(x: Tensor, y: Tensor, axis: int, scales: Tensor | None, k: int) -> bool:
    before, after = dims(x.value), dims(y.value)
    if before is None or after is None or before[axis] is None or before[axis] != after[axis]:
        # a constant scale of one says so even where the size is not known
        return (factor := _constant(scales)) is not None and factor[k] == 1
    return scales is None or ((factor := _constant(scales)) is not None and factor[k] == 1)


def _constant(t: Tensor | None) -> np.ndarray | None:
    if t is None:
        return None
    if t.value.const_value is not None:
        return t.value.const_value.numpy()
    producer = t.value.producer()
    held = producer.attributes.get_tensor("value", None) if producer is not None and producer.op_type == "Constant" else None
    return None if held is None else held.numpy()


def _identity(x: Tensor, axis: int) -> tuple[Tensor | np.ndarray, Tensor | np.ndarray]:
    size = dim_of(x, axis)
    if not isinstance(size, Tensor):
        return np.eye(int(size[0]), dtype=x.dtype), size
    return op.EyeLike(op.Expand(np.zeros((1, 1), x.dtype), op.Concat(size, size, axis=0))), size


def _matrix(x: Tensor, y: Tensor, axis: int, scale: Tensor | None, window: Tensor | None, attributes: dict[str, Any]) -> Tensor:
    """How each input element (row) spreads over the outputs (columns) along one axis."""
    eye, size = _identity(x, axis)
    if scale is not None:
        return op.Resize(eye, window, op.Concat(np.ones(1, np.float32), scale, axis=0), **attributes)
    return op.Resize(eye, window, None, concat_dims(size, dim_of(y, axis)), **attributes)


def _matrix_by_policy(x: Tensor, sizes: Tensor, axes: list[int], k: int, policy: str, attributes: dict[str, Any]) -> Tensor:
    """The same, where one of the axes decides the scale of all: the others come along, constant."""
    eye, size = _identity(x, axes[k])
    n = len(axes)
    matrix = op.Reshape(eye, concat_dims(1, size, *(size if i == k else 1 for i in range(n))))
    whole = op.Expand(matrix, concat_dims(1, size, *(dim_of(x, axis) for axis in axes)))
    spread = op.Resize(whole, None, None, sizes, axes=list(range(2, n + 2)), keep_aspect_ratio_policy=policy, **attributes)
    others = [i + 2 for i in range(n) if i != k]
    return op.Squeeze(op.Slice(spread, [0] * len(others), [1] * len(others), others), [0, *others])


def _apply(g: Tensor, matrix: Tensor, axis: int) -> Tensor:
    """``g`` multiplied by the matrix along one axis, its outputs taken back to inputs."""
    n = g.ndim
    if axis == n - 2:
        return op.MatMul(matrix, g)
    if axis == n - 1:
        return op.MatMul(g, op.Transpose(matrix, perm=[1, 0]))
    perm = [*(i for i in range(n) if i != axis), axis]
    moved = op.MatMul(op.Transpose(g, perm=perm), op.Transpose(matrix, perm=[1, 0]))
    return op.Transpose(moved, perm=[perm.index(i) for i in range(n)])


# ---- whole repetitions, the commonest case -----------------------------------------------------------------------------


def _repeats(attributes: dict[str, Any]) -> bool:
    """Whether a whole factor repeats each element in place."""
    how = attributes["coordinate_transformation_mode"], attributes["nearest_mode"]
    return attributes["mode"] == "nearest" and how in (
        ("asymmetric", "floor"),
        ("half_pixel", "round_prefer_floor"),
        ("half_pixel", "round_prefer_ceil"),
    )


def _known_factors(x: Tensor, y: Tensor, scales: Tensor | None, axes: list[int]) -> list[int] | None:
    """By how much each axis grows, if by whole factors that are known; None otherwise."""
    before, after = dims(x.value), dims(y.value)
    given = _constant(scales)
    if before is None or after is None or (scales is not None and given is None):
        return None
    factors = [1] * len(before)
    for k, axis in enumerate(axes):
        a, b = before[axis], after[axis]
        if isinstance(a, int) and isinstance(b, int):
            if a == 0 or b % a or (given is not None and not math.isclose(float(given[k]), b / a)):
                return None
            factors[axis] = b // a
        elif not (given is not None and given[k] == 1) and (a is None or a != b or given is not None):
            return None
    return factors


def _sum_neighbours(g: Tensor, x: Tensor, factors: list[int]) -> Tensor:
    if set(factors) == {1}:
        return g
    parts: list[Any] = []
    summed = []
    for axis, factor in enumerate(factors):
        parts.append(dim_of(x, axis))
        if factor > 1:
            summed.append(len(parts))
            parts.append(factor)
    return op.ReduceSum(op.Reshape(g, concat_dims(*parts)), summed, keepdims=0)
