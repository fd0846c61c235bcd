"""Dense, Activation, Flatten, Reshape, Dropout and Embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import op, random
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import activations
from onnxdl.nn.layer import Layer


class Dense(Layer):
    """activation(x @ kernel + bias) over the last axis: (..., n) -> (..., units)."""

    weight_options = ("kernel", "bias")

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units, self.activation, self.use_bias = units, activations.get(activation), use_bias
        self.kernel_initializer, self.bias_initializer = kernel_initializer, bias_initializer

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if input_shape[-1] is None:
            raise ShapeError(f"Dense needs a last axis of known size, but its input has the shape {input_shape}")
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], self.units), initializer=self.kernel_initializer)
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer=self.bias_initializer) if self.use_bias else None

    def call(self, x: Tensor) -> Tensor:
        if x.ndim == 2 and self.bias is not None:
            return self.activation(op.Gemm(x, self.kernel, self.bias))
        y = x @ self.kernel
        return self.activation(y + self.bias if self.bias is not None else y)


class Activation(Layer):
    """An activation function as a layer."""

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, x: Tensor) -> Tensor:
        return self.activation(x)


class Flatten(Layer):
    """(batch, a, b, ...) -> (batch, a * b * ...)."""

    def call(self, x: Tensor) -> Tensor:
        return op.Flatten(x) if x.ndim != 1 else op.Unsqueeze(x, [1])


class Reshape(Layer):
    """(batch, ...) -> (batch, *target_shape); one size may be -1."""

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)

    def call(self, x: Tensor) -> Tensor:
        if -1 not in self.target_shape:
            return op.Reshape(x, [-1, *self.target_shape])
        return op.Reshape(x, op.Concat(op.Shape(x, start=0, end=1), np.array(self.target_shape, np.int64), axis=0))


class Dropout(Layer):
    """Sets a fraction ``rate`` of the input to 0 while training and scales the rest by 1 / (1 - rate).

    ``noise_shape`` draws one number for each axis of size 1. Source: Srivastava et al. 2014.
    """

    def __init__(self, rate: float, noise_shape: Sequence[int | None] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise GraphError(f"the rate of Dropout lies in [0, 1), but is {rate}")
        self.rate, self.noise_shape = rate, noise_shape

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return x
        keep = random.bernoulli(_noise_shape(x, self.noise_shape), 1 - self.rate)
        return x * (op.Cast(keep, to=x.dtype) * (1 / (1 - self.rate)))


def _noise_shape(x: Tensor, noise_shape: Sequence[int | None] | None) -> Any:
    dims = list(x.shape)
    wanted = [d if n is None else n for d, n in zip(dims, noise_shape, strict=True)] if noise_shape is not None else dims
    if all(isinstance(d, int) for d in wanted):
        return wanted
    if noise_shape is None:
        return op.Shape(x)
    return op.Concat(*[[w] if isinstance(w, int) else op.Shape(x, start=i, end=i + 1) for i, w in enumerate(wanted)], axis=0)


class Embedding(Layer):
    """Rows of a table by number: int (...) -> (..., output_dim)."""

    def __init__(self, input_dim: int, output_dim: int, embeddings_initializer: Any = "uniform", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.input_dim, self.output_dim, self.embeddings_initializer = input_dim, output_dim, embeddings_initializer

    def build(self, input_shape: Any) -> None:
        self.embeddings = self.add_weight(
            name="embeddings", shape=(self.input_dim, self.output_dim), initializer=self.embeddings_initializer
        )

    def call(self, x: Tensor) -> Tensor:
        return op.Gather(self.embeddings, x if x.dtype.kind == "i" else op.Cast(x, to="int64"))
