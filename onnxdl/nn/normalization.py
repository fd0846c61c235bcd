"""Normalization: Batch-, Layer-, Group-, RMS- and UnitNormalization."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.errors import ShapeError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, TensorLike, as_tensor
from onnxdl.nn.data_format import channel_axis
from onnxdl.nn.layer import Layer
from onnxdl.nn.parameter import Parameter


class BatchNormalization(Layer):
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, with the batch's statistics in training, the running ones else.

    Running statistics move by ``r = momentum * r + (1 - momentum) * batch``; the variance is the biased one, as Keras's
    and the operator's. A frozen layer uses the running statistics in training too. Source: Ioffe and Szegedy 2015.

    Args:
        axis: the channel axis; by default 1 as in ``channels_first``, or the last where that is set. Rank-2 inputs have it last as well.
        synchronized: Keras's; a step sees the whole batch here.

    Where the input has a mask, statistics are those of the steps that count.
    """

    weight_options = ("beta", "gamma")
    supports_masking = True
    full_precision = True

    def __init__(
        self, axis: int | None = None, momentum: float = 0.99, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
        beta_initializer: Any = "zeros", gamma_initializer: Any = "ones", moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones", synchronized: bool = False, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.axis, self.momentum, self.epsilon, self.center, self.scale = channel_axis(axis), momentum, epsilon, center, scale
        self.beta_initializer, self.gamma_initializer = beta_initializer, gamma_initializer
        self.moving_mean_initializer, self.moving_variance_initializer = moving_mean_initializer, moving_variance_initializer

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        n = _known_sizes(self, input_shape, [self.axis])[0]
        self.gamma = self.add_weight(name="gamma", shape=(n,), initializer=self.gamma_initializer) if self.scale else None
        self.beta = self.add_weight(name="beta", shape=(n,), initializer=self.beta_initializer) if self.center else None
        self.moving_mean = self.add_weight(name="moving_mean", shape=(n,), initializer=self.moving_mean_initializer, trainable=False)
        self.moving_variance = self.add_weight(
            name="moving_variance", shape=(n,), initializer=self.moving_variance_initializer, trainable=False
        )

    def call(self, x: Tensor, training: bool = False, mask: Tensor | None = None) -> Tensor:
        axis = self.axis % x.ndim
        if not (training and self.trainable):
            return _by_running_statistics(x, self, axis)
        counts = None if mask is None else op.Expand(op.Unsqueeze(op.Cast(mask, to=x.dtype), list(range(mask.ndim, x.ndim))), op.Shape(x))
        y, mean, variance = by_batch_statistics(x, self.gamma, self.beta, self.epsilon, axis, counts)
        self.moving_mean.assign(moved(self.moving_mean, mean, self.momentum))
        self.moving_variance.assign(moved(self.moving_variance, variance, self.momentum))
        return y


def by_batch_statistics(
    x: Tensor, gamma: TensorLike | None, beta: TensorLike | None, epsilon: float, axis: int = 1, counts: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta by the batch's own statistics, over all axes but ``axis``.

    Args:
        x, gamma, beta, epsilon, axis: of the formula; gamma and beta (channels,) may be absent.
        counts: 1 for the elements of x whose statistics count and 0 for others, in x's shape.

    Returns:
        The result, the mean (channels,) and the biased variance (channels,).
    """
    others = [i for i in range(x.ndim) if i != axis]
    per_channel = [-1 if i == axis else 1 for i in range(x.ndim)]
    mean = _mean(x, others, counts)
    centred = x - mean
    variance = _mean(centred * centred, others, counts)
    factor = 1.0 / op.Sqrt(variance + epsilon)
    y = centred * (factor if gamma is None else factor * op.Reshape(gamma, per_channel))
    return y if beta is None else y + op.Reshape(beta, per_channel), op.Reshape(mean, [-1]), op.Reshape(variance, [-1])


def moved(running: TensorLike, batch: Tensor, momentum: float) -> Tensor:
    """momentum * running + (1 - momentum) * batch: a running statistic after one more batch."""
    return as_tensor(running) * momentum + batch * (1 - momentum)


def unbiased(variance: Tensor, x: Tensor, axis: int = 1) -> Tensor:
    """The biased variance of the elements of x, over all axes but ``axis``, times n / (n - 1)."""
    sizes = [x.shape[i] for i in range(x.ndim) if i != axis]
    if all(isinstance(d, int) for d in sizes):
        n = math.prod(d for d in sizes if isinstance(d, int))
        return variance * (n / max(n - 1, 1))
    count = op.Div(op.Size(x), op.Shape(x, start=axis, end=axis + 1)).astype(x.dtype)
    return variance * (count / op.Max(count - 1.0, 1.0))


def _by_running_statistics(x: Tensor, layer: BatchNormalization, axis: int) -> Tensor:
    mean, variance = layer.moving_mean, layer.moving_variance
    n = mean.shape[0]
    gamma = layer.gamma if layer.gamma is not None else np.ones(n, x.dtype)
    beta = layer.beta if layer.beta is not None else np.zeros(n, x.dtype)
    if axis == 1:
        return op.BatchNormalization(x, gamma, beta, mean, variance, epsilon=layer.epsilon)
    order = [0, axis, *(i for i in range(1, x.ndim) if i != axis)] if axis else [1, 0, *range(2, x.ndim)]
    y = op.BatchNormalization(op.Transpose(x, perm=order), gamma, beta, mean, variance, epsilon=layer.epsilon)
    return op.Transpose(y, perm=[order.index(i) for i in range(x.ndim)])


def _mean(x: Tensor, axes: list[int], counts: Tensor | None) -> Tensor:
    return op.ReduceMean(x, axes) if counts is None else op.ReduceSum(x * counts, axes) / op.ReduceSum(counts, axes)


class LayerNormalization(Layer):
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta over the axes ``axis`` of each sample (Ba et al. 2016)."""

    weight_options = ("beta", "gamma")
    supports_masking = True
    full_precision = True

    def __init__(
        self, axis: int | Sequence[int] = -1, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
        beta_initializer: Any = "zeros", gamma_initializer: Any = "ones", **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.axis, self.epsilon, self.center, self.scale = axis, epsilon, center, scale
        self.beta_initializer, self.gamma_initializer = beta_initializer, gamma_initializer

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = _known_sizes(self, input_shape, axes_of(self.axis, len(input_shape)))
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer=self.gamma_initializer) if self.scale else None
        self.beta = self.add_weight(name="beta", shape=shape, initializer=self.beta_initializer) if self.center else None

    def call(self, x: Tensor) -> Tensor:
        axes = axes_of(self.axis, x.ndim)
        if axes == list(range(axes[0], x.ndim)) and self.gamma is not None:
            return op.LayerNormalization(x, self.gamma, self.beta, axis=axes[0], epsilon=self.epsilon)
        centred = x - op.ReduceMean(x, axes)
        y = centred / op.Sqrt(op.ReduceMean(centred * centred, axes) + self.epsilon)
        return _scaled(y, self.gamma, self.beta, axes)


class GroupNormalization(Layer):
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, over each group of channels of a sample (Wu and He 2018).

    Args:
        groups: how many groups the channels are split into; -1 for one each, which is instance normalization.
        axis: the channel axis; by default 1 as in ``channels_first``, or the last where that is set.
    """

    weight_options = ("beta", "gamma")
    supports_masking = True
    full_precision = True

    def __init__(
        self, groups: int = 32, axis: int | None = None, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
        beta_initializer: Any = "zeros", gamma_initializer: Any = "ones", **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.groups, self.axis, self.epsilon, self.center, self.scale = groups, channel_axis(axis), epsilon, center, scale
        self.beta_initializer, self.gamma_initializer = beta_initializer, gamma_initializer

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = _known_sizes(self, input_shape, [self.axis])
        if self.groups != -1 and shape[0] % self.groups:
            raise ShapeError(f"GroupNormalization cannot split {shape[0]} channels into {self.groups} groups")
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer=self.gamma_initializer) if self.scale else None
        self.beta = self.add_weight(name="beta", shape=shape, initializer=self.beta_initializer) if self.center else None

    def call(self, x: Tensor) -> Tensor:
        axis = self.axis % x.ndim
        order = [0, axis, *(i for i in range(1, x.ndim) if i != axis)]
        x = x if axis == 1 else op.Transpose(x, perm=order)
        grouped = op.Reshape(x, [0, x.shape[1] if self.groups == -1 else self.groups, -1])
        centred = grouped - op.ReduceMean(grouped, [2])
        normal = centred / op.Sqrt(op.ReduceMean(centred * centred, [2]) + self.epsilon)
        y = op.Reshape(normal, [-1, *x.shape[1:]] if all(isinstance(d, int) for d in x.shape[1:]) else op.Shape(x))
        y = _scaled(y, self.gamma, self.beta, [1])
        return y if axis == 1 else op.Transpose(y, perm=[order.index(i) for i in range(x.ndim)])


class RMSNormalization(Layer):
    """scale * x / sqrt(mean(x^2) + epsilon) over the axes ``axis`` of each sample (Zhang and Sennrich 2019)."""

    full_precision = True

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis, self.epsilon = axis, epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = _known_sizes(self, input_shape, axes_of(self.axis, len(input_shape)))
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones")

    def call(self, x: Tensor) -> Tensor:
        axes = axes_of(self.axis, x.ndim)
        return _scaled(x / op.Sqrt(op.ReduceMean(x * x, axes) + self.epsilon), self.scale, None, axes)


class UnitNormalization(Layer):
    """x / |x|, the norm taken over the axes ``axis``."""

    supports_masking = True
    full_precision = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, x: Tensor) -> Tensor:
        return x / op.Sqrt(op.Max(op.ReduceSum(x * x, axes_of(self.axis, x.ndim)), 1e-24))


def axes_of(axis: int | Sequence[int], rank: int) -> list[int]:
    """One axis or several as sorted numbers from 0 on."""
    return sorted(a % rank for a in ([axis] if isinstance(axis, int) else axis))


def _known_sizes(layer: Layer, input_shape: tuple[int | None, ...], axes: Sequence[int]) -> list[int]:
    sizes = [d for a in axes if (d := input_shape[a]) is not None]
    if len(sizes) != len(axes):
        raise ShapeError(f"{type(layer).__name__} needs known sizes on axes {list(axes)} of {input_shape}")
    return sizes


def _scaled(x: Tensor, gamma: Parameter | None, beta: Parameter | None, axes: Sequence[int]) -> Tensor:
    """gamma * x + beta, the weights lying along ``axes``."""
    shape = [x.shape[i] if i in axes else 1 for i in range(x.ndim)]
    if gamma is not None:
        x = x * op.Reshape(gamma, shape)
    return x + op.Reshape(beta, shape) if beta is not None else x
