"""Normalization layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.errors import ShapeError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.layer import Layer


class BatchNormalization(Layer):
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, with the batch's statistics in training, the running ones else.

    Running statistics move by ``r = momentum * r + (1 - momentum) * batch``; the variance is the biased one, as Keras's
    and the operator's. A frozen layer uses the running statistics in training too. Source: Ioffe and Szegedy 2015.

    Args:
        axis: the channel axis; 1 by default, as in ``channels_first``. Rank-2 inputs have it last as well.
    """

    def __init__(
        self,
        axis: int = 1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis, self.momentum, self.epsilon, self.center, self.scale = axis, momentum, epsilon, center, scale
        self.beta_initializer, self.gamma_initializer = beta_initializer, gamma_initializer
        self.moving_mean_initializer, self.moving_variance_initializer = moving_mean_initializer, moving_variance_initializer

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        n = input_shape[self.axis]
        if n is None:
            raise ShapeError(f"BatchNormalization needs a known size on axis {self.axis} of {input_shape}")
        self.gamma = self.add_weight(name="gamma", shape=(n,), initializer=self.gamma_initializer) if self.scale else None
        self.beta = self.add_weight(name="beta", shape=(n,), initializer=self.beta_initializer) if self.center else None
        self.moving_mean = self.add_weight(name="moving_mean", shape=(n,), initializer=self.moving_mean_initializer, trainable=False)
        self.moving_variance = self.add_weight(
            name="moving_variance", shape=(n,), initializer=self.moving_variance_initializer, trainable=False
        )

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        axis = self.axis % x.ndim
        if not (training and self.trainable):
            return self._with_running_statistics(x, axis)
        others = [i for i in range(x.ndim) if i != axis]
        mean = op.ReduceMean(x, others)
        centred = x - mean
        variance = op.ReduceMean(centred * centred, others)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        shape = [-1 if i == axis else 1 for i in range(x.ndim)]
        factor = 1.0 / op.Sqrt(variance + self.epsilon)
        if self.gamma is not None:
            factor = factor * op.Reshape(self.gamma, shape)
        y = centred * factor
        return y + op.Reshape(self.beta, shape) if self.beta is not None else y

    def _with_running_statistics(self, x: Tensor, axis: int) -> Tensor:
        n = self.moving_mean.shape[0]
        gamma = self.gamma if self.gamma is not None else np.ones(n, x.dtype)
        beta = self.beta if self.beta is not None else np.zeros(n, x.dtype)
        if axis == 1:
            return op.BatchNormalization(x, gamma, beta, self.moving_mean, self.moving_variance, epsilon=self.epsilon)
        order = [0, axis, *(i for i in range(1, x.ndim) if i != axis)] if axis else [1, 0, *range(2, x.ndim)]
        y = op.BatchNormalization(
            op.Transpose(x, perm=order), gamma, beta, self.moving_mean, self.moving_variance, epsilon=self.epsilon
        )
        return op.Transpose(y, perm=[order.index(i) for i in range(x.ndim)])

    def _move(self, statistic: Any, batch: Tensor) -> None:
        statistic.assign(statistic * self.momentum + op.Reshape(batch, [-1]) * (1 - self.momentum))


class LayerNormalization(Layer):
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta over the axes from ``axis`` on (Ba et al. 2016)."""

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis, self.epsilon, self.center, self.scale = axis, epsilon, center, scale
        self.beta_initializer, self.gamma_initializer = beta_initializer, gamma_initializer

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        axes = self._axes(len(input_shape))
        shape = [input_shape[i] for i in axes]
        if any(d is None for d in shape):
            raise ShapeError(f"LayerNormalization needs known sizes on axes {axes} of {input_shape}")
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer=self.gamma_initializer) if self.scale else None  # type: ignore[arg-type]
        self.beta = self.add_weight(name="beta", shape=shape, initializer=self.beta_initializer) if self.center else None  # type: ignore[arg-type]

    def _axes(self, rank: int) -> list[int]:
        return sorted(a % rank for a in ([self.axis] if isinstance(self.axis, int) else self.axis))

    def call(self, x: Tensor) -> Tensor:
        axes = self._axes(x.ndim)
        if axes == list(range(axes[0], x.ndim)) and self.gamma is not None:
            return op.LayerNormalization(x, self.gamma, self.beta, axis=axes[0], epsilon=self.epsilon)
        centred = x - op.ReduceMean(x, axes)
        y = centred / op.Sqrt(op.ReduceMean(centred * centred, axes) + self.epsilon)
        shape = [x.shape[i] if i in axes else 1 for i in range(x.ndim)]
        if self.gamma is not None:
            y = y * op.Reshape(self.gamma, shape)
        return y + op.Reshape(self.beta, shape) if self.beta is not None else y
