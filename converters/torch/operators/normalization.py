"""Normalization: batch, instance, layer, group, RMS and weight normalization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.converters.torch.aten import Size, aten, axis_of, expanded, reshaped, sizes_of
from onnxdl.converters.torch.operators.reductions import count
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, as_tensor
from onnxdl.nn.normalization import by_batch_statistics, moved, unbiased

_Statistics = tuple[Tensor, Tensor | None, Tensor | None, Tensor, Tensor]


def _per_channel(t: Tensor, x: Tensor) -> Tensor:
    return op.Reshape(t, [-1 if i == 1 else 1 for i in range(x.ndim)])


def _batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    run: Any,
) -> _Statistics:
    """The result, the next running statistics, and the mean and 1 / deviation used; the running variance is the unbiased one."""
    if running_mean is not None and running_var is not None and not (training and run.moving):
        n = running_mean.shape
        gamma = weight if weight is not None else op.Expand(np.ones(1, running_mean.dtype), np.array(n, np.int64))
        beta = bias if bias is not None else op.Expand(np.zeros(1, running_mean.dtype), np.array(n, np.int64))
        y = op.BatchNormalization(x, gamma, beta, running_mean, running_var, epsilon=eps)
        return y, running_mean, running_var, running_mean, 1.0 / op.Sqrt(running_var + eps)
    y, mean, variance = by_batch_statistics(x, weight, bias, eps)
    used = mean, 1.0 / op.Sqrt(variance + eps)
    if running_mean is None or running_var is None:
        return y, None, None, *used
    moved_mean = moved(running_mean, mean.astype(running_mean.dtype), 1 - momentum)
    return y, moved_mean, moved(running_var, unbiased(variance, x).astype(running_var.dtype), 1 - momentum), *used


@aten("batch_norm")
def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
    *,
    run: Any,
) -> Tensor:
    y, mean, variance, *_ = _batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, run)
    if training and mean is not None and variance is not None:
        run.write("running_mean", mean)
        run.write("running_var", variance)
    return y


@aten("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit.no_stats")
def native_batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    run: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    y, mean, variance, used, scale = _batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, run)
    if training and mean is not None and variance is not None:
        run.write("running_mean", mean)
        run.write("running_var", variance)
    return y, used, scale


@aten("_native_batch_norm_legit_functional")
def batch_norm_functional(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    training: bool,
    momentum: float,
    eps: float,
    *,
    run: Any,
) -> tuple[Any, ...]:
    y, mean, variance, used, scale = _batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, run)
    return y, used, scale, mean, variance


@aten("_native_batch_norm_legit_no_training")
def batch_norm_no_training(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
    *,
    run: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    y, _, _, used, scale = _batch_norm(input, weight, bias, running_mean, running_var, False, momentum, eps, run)
    return y, used, scale


@aten("instance_norm")
def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
    *,
    run: Any,
) -> Tensor:
    x = input
    if running_mean is not None and running_var is not None and not (use_input_stats and run.moving):
        return _batch_norm(x, weight, bias, running_mean, running_var, False, momentum, eps, run)[0]
    space = list(range(2, x.ndim))
    centre = op.ReduceMean(x, space)
    centred = x - centre
    variance = op.ReduceMean(centred * centred, space)
    y = centred / op.Sqrt(variance + eps)
    y = y if weight is None else y * _per_channel(weight, x)
    if running_mean is not None and running_var is not None:
        n = count(x, space)
        for name, old, new in (("running_mean", running_mean, centre), ("running_var", running_var, variance * (n / (n - 1.0)))):
            run.write(name, old * (1 - momentum) + op.Reshape(op.ReduceMean(new, [0]), [-1]) * momentum)
    return y if bias is None else y + _per_channel(bias, x)


@aten("layer_norm")
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
    cudnn_enable: bool = True,
) -> Tensor:
    axis = input.ndim - len(normalized_shape)
    scale = weight if weight is not None else as_tensor(np.ones([int(n) for n in normalized_shape], input.dtype))
    return op.LayerNormalization(input, scale, bias, axis=axis, epsilon=eps)


@aten("native_layer_norm")
def native_layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    axes = list(range(input.ndim - len(normalized_shape), input.ndim))
    centre = op.ReduceMean(input, axes)
    scale = 1.0 / op.Sqrt(op.ReduceMean((input - centre) * (input - centre), axes) + eps)
    return layer_norm(input, normalized_shape, weight, bias, eps), centre, scale


def _grouped(x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    sizes = sizes_of(x)
    parts = reshaped(x, [sizes[0], groups, -1])
    centre = op.ReduceMean(parts, [2])
    centred = parts - centre
    scale = 1.0 / op.Sqrt(op.ReduceMean(centred * centred, [2]) + eps)
    y = reshaped(centred * scale, sizes)
    y = y if weight is None else y * _per_channel(weight, x)
    y = y if bias is None else y + _per_channel(bias, x)
    return y, op.Squeeze(centre, [2]), op.Squeeze(scale, [2])


@aten("group_norm")
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-05, cudnn_enabled: bool = True
) -> Tensor:
    return _grouped(input, num_groups, weight, bias, eps)[0]


@aten("native_group_norm")
def native_group_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, N: Size, C: Size, HxW: Size, group: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    return _grouped(input, group, weight, bias, eps)


@aten("rms_norm")
def rms_norm(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    axes = list(range(input.ndim - len(normalized_shape), input.ndim))
    small = float(np.finfo(input.dtype).eps) if eps is None else eps
    y = input / op.Sqrt(op.ReduceMean(input * input, axes) + small)
    return y if weight is None else y * weight


@aten("_fused_rms_norm")
def fused_rms_norm(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, eps: float | None) -> tuple[Tensor, Tensor]:
    axes = list(range(input.ndim - len(normalized_shape), input.ndim))
    small = float(np.finfo(input.dtype).eps) if eps is None else eps
    return rms_norm(input, normalized_shape, weight, eps), 1.0 / op.Sqrt(op.ReduceMean(input * input, axes) + small)


@aten("_weight_norm", "_weight_norm_interface")
def weight_norm(v: Tensor, g: Tensor, dim: int = 0, *, run: Any) -> Any:
    axes = [i for i in range(v.ndim) if dim == -1 or i != axis_of(dim, v)]
    norm = op.ReduceL2(v, axes, keepdims=1)
    w = v * (g / norm)
    return (w, norm) if "interface" in run.node.op else w


@aten("renorm")
def renorm(x: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    from onnxdl.converters.torch.operators.reductions import vector_norm

    axes = [i for i in range(x.ndim) if i != axis_of(dim, x)]
    norm = vector_norm(x, p, axes, keepdim=True)
    return x * expanded(op.Where(norm > maxnorm, maxnorm / (norm + 1e-7), 1.0), sizes_of(norm))
