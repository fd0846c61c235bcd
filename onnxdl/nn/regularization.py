"""Noise while training: Dropout and its kin; and ActivityRegularization."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from onnxdl.errors import GraphError
from onnxdl.graph import op, random
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.data_format import format_of
from onnxdl.nn.layer import Layer
from onnxdl.nn.regularizers import L1L2


class RandomRate(Layer):
    """What the kinds of dropout share: a ``rate`` in [0, 1), and nothing done outside training."""

    supports_masking = True

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise GraphError(f"the rate of {type(self).__name__} lies in [0, 1), but is {rate}")
        self.rate, self.seed = rate, seed

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        return self.disturb(x) if training and self.rate > 0 else x

    def disturb(self, x: Tensor) -> Tensor:
        """What training sees."""
        raise GraphError(f"{type(self).__name__} does not define disturb(self, x)")


class Dropout(RandomRate):
    """Sets a fraction ``rate`` of the input to 0 while training and scales the rest by 1 / (1 - rate).

    ``noise_shape`` draws one number for each axis of size 1. ``seed`` tells layers at one place apart. Source: Srivastava
    et al. 2014.
    """

    def __init__(self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed, **kwargs)
        self.noise_shape = noise_shape

    def disturb(self, x: Tensor) -> Tensor:
        return dropout(x, self.rate, self.noise_shape, self.seed)


def dropout(x: Tensor, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None) -> Tensor:
    """``x`` with a fraction ``rate`` of its elements set to 0, the rest scaled by 1 / (1 - rate)."""
    return x * (op.Cast(random.bernoulli(shape_of_noise(x, noise_shape), 1 - rate, key=key_of(seed)), to=x.dtype) * (1 / (1 - rate)))


def key_of(seed: int | None) -> Tensor | None:
    """The key of this place in the program, changed by a layer's own seed."""
    return None if seed is None else random.fold(random.place_key(), seed)


def shape_of_noise(x: Tensor, noise_shape: Sequence[int | None] | None) -> Any:
    """``x``'s shape where ``noise_shape`` is None or has None: numbers if all are known, else computed at run time."""
    dims = list(x.shape)
    wanted = [d if n is None else n for d, n in zip(dims, noise_shape, strict=True)] if noise_shape is not None else dims
    if all(isinstance(d, int) for d in wanted):
        return wanted
    if noise_shape is None:
        return op.Shape(x)
    return op.Concat(*[[w] if isinstance(w, int) else op.Shape(x, start=i, end=i + 1) for i, w in enumerate(wanted)], axis=0)


class SpatialDropout(RandomRate):
    """Dropout of whole channels: (batch, channels, *space), one number a channel. Source: Tompson et al. 2014."""

    rank = 0

    def __init__(self, rate: float, data_format: str | None = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed, **kwargs)
        self.data_format = format_of(data_format)

    def disturb(self, x: Tensor) -> Tensor:
        space = [1] * self.rank
        return dropout(x, self.rate, [None, None, *space] if self.data_format == "channels_first" else [None, *space, None], self.seed)


class SpatialDropout1D(SpatialDropout):
    """Dropout of whole channels of (batch, channels, length)."""

    rank = 1


class SpatialDropout2D(SpatialDropout):
    """Dropout of whole channels of (batch, channels, height, width)."""

    rank = 2


class SpatialDropout3D(SpatialDropout):
    """Dropout of whole channels of (batch, channels, depth, height, width)."""

    rank = 3


class AlphaDropout(RandomRate):
    """Dropout that keeps mean and variance of SELU activations (Klambauer et al. 2017)."""

    def __init__(self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed, **kwargs)
        self.noise_shape = noise_shape

    def disturb(self, x: Tensor) -> Tensor:
        dropped = -1.6732632423543772 * 1.0507009873554805  # what SELU tends to at minus infinity
        keep = random.bernoulli(shape_of_noise(x, self.noise_shape), 1 - self.rate, key=key_of(self.seed))
        a = 1 / math.sqrt((1 - self.rate) * (1 + self.rate * dropped**2))
        return op.Where(keep, x, dropped) * a - a * dropped * self.rate


class GaussianDropout(RandomRate):
    """x times normal noise of mean 1 and standard deviation sqrt(rate / (1 - rate)) (Srivastava et al. 2014)."""

    def disturb(self, x: Tensor) -> Tensor:
        noise = random.normal(shape_of_noise(x, None), 1.0, math.sqrt(self.rate / (1 - self.rate)), key=key_of(self.seed))
        return x * noise.astype(x.dtype)


class GaussianNoise(Layer):
    """x plus normal noise of standard deviation ``stddev`` while training."""

    supports_masking = True

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev, self.seed = stddev, seed

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training or self.stddev == 0:
            return x
        return x + random.normal(shape_of_noise(x, None), 0.0, self.stddev, key=key_of(self.seed)).astype(x.dtype)


class ActivityRegularization(Layer):
    """x as it is; (l1 * sum(|x|) + l2 * sum(x^2)) / batch size is added to the loss."""

    supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=L1L2(l1, l2), **kwargs)
        self.l1, self.l2 = l1, l2

    def call(self, x: Tensor) -> Tensor:
        return x
