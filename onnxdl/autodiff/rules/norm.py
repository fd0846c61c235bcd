r"""Normalisation: batch, instance, layer, group, root mean square, local response.

All share one formula. With :math:`\hat x = (x - \mu) r`, :math:`r = 1/\sqrt{\sigma^2 + \epsilon}` and the gradient
:math:`h` of :math:`\hat x`: :math:`dx = r (h - \overline{h} - \hat x \overline{h \hat x})`, the bars being means over the
normalised axes (Ioffe and Szegedy, Batch Normalization, 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.autodiff.registry import vjp
from onnxdl.autodiff.shapes import concat_dims, dim_of, reshape_like
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


def _along_channels(p: Tensor, x: Tensor) -> Tensor:
    """A vector of one number a channel, broadcastable to ``x`` [N, C, ...]."""
    return op.Reshape(p, np.array([-1, *[1] * (x.ndim - 2)], np.int64)) if x.ndim > 2 else p


def _sum_but_channels(t: Tensor) -> Tensor:
    return op.ReduceSum(t, [0, *range(2, t.ndim)], keepdims=0)


def _normalised(x: Tensor, axes: list[int], epsilon: float) -> tuple[Tensor, Tensor]:
    """The deviation from the mean, and one over the standard deviation."""
    deviation = x - op.ReduceMean(x, axes)
    return deviation, 1 / op.Sqrt(op.ReduceMean(deviation * deviation, axes) + epsilon)


def _back(h: Tensor, normal: Tensor, inverse: Tensor, axes: list[int], *, centred: bool = True) -> Tensor:
    """The gradient of the input, given that of its normalised value."""
    inner = normal * op.ReduceMean(h * normal, axes)
    return inverse * ((h - op.ReduceMean(h, axes) - inner) if centred else (h - inner))


@vjp("BatchNormalization", multiple=True)
def batch_normalization(
    g: Sequence[Tensor | None],
    y: Sequence[Tensor],
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    *,
    epsilon: float,
    momentum: float,
    training_mode: int,
    **_: Any,
) -> Any:
    if training_mode:
        return _trained(g, x, scale, mean, var, epsilon, momentum)
    dy = g[0]
    assert dy is not None  # the only output of inference
    inverse = 1 / op.Sqrt(var + epsilon)
    deviation = x - _along_channels(mean, x)
    dbias = _sum_but_channels(dy)
    dscale = _sum_but_channels(dy * deviation) * inverse
    factor = scale * inverse
    dx = dy * _along_channels(factor, x)
    return dx, dscale, dbias, -factor * dbias, -0.5 * factor * inverse * dscale


def _trained(g: Sequence[Tensor | None], x: Tensor, scale: Tensor, mean: Tensor, var: Tensor, epsilon: float, momentum: float) -> Any:
    """Training mode: the statistics of the batch are used, and carried on into the running ones."""
    dy, drunning_mean, drunning_var = (*g, None, None)[:3]
    axes = [0, *range(2, x.ndim)]
    deviation, inverse = _normalised(x, axes, epsilon)
    normal = deviation * inverse
    parts: list[Tensor] = []
    dscale = dbias = dmean = dvar = None
    if dy is not None:
        parts.append(_back(dy * _along_channels(scale, x), normal, inverse, axes))
        dscale, dbias = _sum_but_channels(dy * normal), _sum_but_channels(dy)
    share = op.ReduceMean(deviation * 0 + 1 / _count(x, axes), axes) if drunning_mean is not None or drunning_var is not None else None
    if drunning_mean is not None and share is not None:
        dmean = momentum * drunning_mean
        parts.append((1 - momentum) * share * _along_channels(drunning_mean, x))
    if drunning_var is not None and share is not None:
        dvar = momentum * drunning_var
        parts.append(2 * (1 - momentum) * share * deviation * _along_channels(drunning_var, x))
    dx = parts[0] if len(parts) == 1 else op.Sum(*parts)
    return dx, dscale, dbias, dmean, dvar


def _count(x: Tensor, axes: list[int]) -> Tensor | np.ndarray:
    """How many elements lie along these axes, as a number of the type of ``x``."""
    known = [x.shape[a] for a in axes]
    if all(isinstance(d, int) for d in known):
        return np.array(np.prod([d for d in known if isinstance(d, int)]), x.dtype)
    return op.Cast(op.ReduceProd(op.Gather(op.Shape(x), np.array(axes, np.int64)), keepdims=0), to=x.dtype)


@vjp("InstanceNormalization")
def instance_normalization(g: Tensor, y: Tensor, x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float) -> Any:
    axes = list(range(2, x.ndim))
    deviation, inverse = _normalised(x, axes, epsilon)
    normal = deviation * inverse
    return _back(g * _along_channels(scale, x), normal, inverse, axes), _sum_but_channels(g * normal), _sum_but_channels(g)


@vjp("LayerNormalization", multiple=True)
def layer_normalization(
    g: Sequence[Tensor | None],
    y: Sequence[Tensor],
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int,
    epsilon: float,
    stash_type: int,
) -> Any:
    dy, dmean, dinverse = (*g, None, None)[:3]
    axes = list(range(axis % x.ndim, x.ndim))
    wide = op.Cast(x, to=stash_type) if x.value.dtype.value != stash_type and x.dtype.itemsize < 4 else x  # type: ignore[union-attr]
    deviation, inverse = _normalised(wide, axes, epsilon)
    normal = deviation * inverse
    parts: list[Tensor] = []
    dscale = dbias = None
    if dy is not None:
        dy = dy.astype(normal.dtype)
        parts.append(_back(dy * scale.astype(normal.dtype), normal, inverse, axes))
        dscale, dbias = dy * normal, dy
    if dmean is not None:
        parts.append(dmean / _count(x, axes))
    if dinverse is not None:
        parts.append(-dinverse * inverse * inverse * normal / _count(x, axes))
    dx = parts[0] if len(parts) == 1 else op.Add(*parts) if len(parts) == 2 else op.Sum(*parts)
    return dx + op.Mul(deviation, 0) if dy is None and dinverse is None else dx, dscale, None if bias is None else dbias


@vjp("RMSNormalization")
def rms_normalization(g: Tensor, y: Tensor, x: Tensor, scale: Tensor, *, axis: int, epsilon: float, stash_type: int) -> Any:
    axes = list(range(axis % x.ndim, x.ndim))
    wide = op.Cast(x, to=stash_type) if x.dtype.itemsize < 4 else x
    inverse = 1 / op.Sqrt(op.ReduceMean(wide * wide, axes) + epsilon)
    normal = wide * inverse
    dy = g.astype(normal.dtype)
    return _back(dy * scale.astype(normal.dtype), normal, inverse, axes, centred=False), dy * normal


@vjp("GroupNormalization")
def group_normalization(g: Tensor, y: Tensor, x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float, **_: Any) -> Any:
    grouped = concat_dims(dim_of(x, 0), num_groups, -1)
    deviation, inverse = _normalised(op.Reshape(x, grouped), [2], epsilon)
    normal = deviation * inverse
    per_group = scale.shape[0] == num_groups and x.shape[1] != num_groups  # opset 18 had one number a group
    spatial_normal = reshape_like(normal, x)
    if per_group:
        dnormal = op.Reshape(g, grouped) * op.Unsqueeze(scale, [1])
        by_group = op.Reshape(g, grouped)
        dscale, dbias = op.ReduceSum(by_group * normal, [0, 2], keepdims=0), op.ReduceSum(by_group, [0, 2], keepdims=0)
    else:
        dnormal = op.Reshape(g * _along_channels(scale, x), grouped)
        dscale, dbias = _sum_but_channels(g * spatial_normal), _sum_but_channels(g)
    return reshape_like(_back(dnormal, normal, inverse, [2]), x), dscale, dbias


@vjp("LRN")
def lrn(g: Tensor, y: Tensor, x: Tensor, *, alpha: float, beta: float, bias: float, size: int) -> Any:
    before, after = (size - 1) // 2, size // 2
    sums = _across_channels(x * x, size, before, after) * (alpha / size) + bias
    spread = _across_channels(g * x * op.Pow(sums, -beta - 1), size, after, before)
    return g * op.Pow(sums, -beta) - (2 * alpha * beta / size) * x * spread


def _across_channels(x: Tensor, size: int, before: int, after: int) -> Tensor:
    """Sums over a window of neighbouring channels."""
    images = op.Reshape(x, concat_dims(dim_of(x, 0), 1, dim_of(x, 1), -1))
    sums = op.Conv(images, np.ones((1, 1, size, 1), x.dtype), pads=[before, 0, after, 0])
    return reshape_like(sums, x)
