"""Activation functions that have arguments or weights, as layers: ReLU, LeakyReLU, PReLU, ELU, Softmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxdl.errors import ShapeError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.layer import Layer


class ReLU(Layer):
    """x above ``threshold``, up to ``max_value``; negative_slope * (x - threshold) below."""

    supports_masking = True

    def __init__(self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold

    def call(self, x: Tensor) -> Tensor:
        if self.threshold:
            y = op.Where(x > self.threshold, x, (x - self.threshold) * self.negative_slope)
        else:
            y = op.LeakyRelu(x, alpha=self.negative_slope) if self.negative_slope else op.Relu(x)
        return op.Min(y, self.max_value) if self.max_value is not None else y


class LeakyReLU(Layer):
    """x where positive, negative_slope * x elsewhere."""

    supports_masking = True

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.negative_slope = negative_slope

    def call(self, x: Tensor) -> Tensor:
        return op.LeakyRelu(x, alpha=self.negative_slope)


class PReLU(Layer):
    """x where positive, alpha * x elsewhere; alpha is learned for each feature (He et al. 2015).

    Args:
        shared_axes: the axes along which alpha is one, such as [2, 3] for one a channel of (batch, channels, height, width).
    """

    weight_options = ("alpha",)
    supports_masking = True

    def __init__(self, alpha_initializer: Any = "zeros", shared_axes: int | Sequence[int] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = alpha_initializer
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else list(shared_axes or ())

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = [1 if i in self.shared_axes else d for i, d in enumerate(input_shape)][1:]
        if None in shape:
            raise ShapeError(f"PReLU needs known sizes on the axes that share no alpha; its input has the shape {input_shape}")
        self.alpha = self.add_weight(name="alpha", shape=shape, initializer=self.alpha_initializer)  # type: ignore[arg-type]

    def call(self, x: Tensor) -> Tensor:
        return op.PRelu(x, self.alpha)


class ELU(Layer):
    """x where positive, alpha * (exp(x) - 1) elsewhere (Clevert et al. 2015)."""

    supports_masking = True

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, x: Tensor) -> Tensor:
        return op.Elu(x, alpha=self.alpha)


class Softmax(Layer):
    """exp(x) / sum(exp(x)) over an axis, or over several together; 0 where a ``mask`` of x's rank is False."""

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is x.mask:
            mask = None  # which steps of a sequence count is no matter of the classes of a step
        return masked_softmax(x, mask, self.axis)


def masked_softmax(x: Tensor, mask: Tensor | None, axis: int | Sequence[int] = -1) -> Tensor:
    """The softmax over an axis, or several together, of the elements where ``mask`` is True; 0 elsewhere."""
    if mask is not None:
        lowest = -3e4 if x.dtype == "float16" else -1e9
        return op.Where(mask, _softmax(op.Where(mask, x, lowest), axis), 0.0)
    return _softmax(x, axis)


def _softmax(x: Tensor, axis: int | Sequence[int]) -> Tensor:
    axes = [axis] if isinstance(axis, int) else list(axis)
    if len(axes) == 1:
        return op.Softmax(x, axis=axes[0])
    return op.Exp(x - op.ReduceLogSumExp(x, axes))
