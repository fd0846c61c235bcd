"""Layers around a layer: TimeDistributed, Bidirectional, SpectralNormalization."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, as_tensor
from onnxdl.nn.initializers import TruncatedNormal
from onnxdl.nn.layer import Layer
from onnxdl.nn.parameter import Parameter
from onnxdl.nn.rnn import each_step, reversed_in_time


class Wrapper(Layer):
    """A layer around ``layer``; the base of the others."""

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Any) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self.layer(*args, **kwargs)


class TimeDistributed(Wrapper):
    """A layer applied to each step: (batch, time, ...) -> (batch, time, ...). The steps join the batch meanwhile.

    A BatchNormalization inside therefore normalizes over all steps together.
    """

    supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build((None, *input_shape[2:]))

    def call(self, x: Tensor) -> Any:
        if any(not isinstance(d, int) for d in x.shape[2:]):
            raise ShapeError(f"TimeDistributed needs known sizes after batch and time, not {x.shape}")
        return each_step(x, self.layer)


class Bidirectional(Layer):
    """A recurrent layer run over a sequence from both sides (Schuster and Paliwal 1997); masked steps give 0.

    Args:
        layer: an RNN, LSTM, GRU or SimpleRNN, or another layer with ``go_backwards`` and ``return_sequences``.
        merge_mode: how both outputs are joined: ``concat``, ``sum``, ``mul``, ``ave``, or None for a list.
        backward_layer: the layer that starts from the end; by default one made like ``layer``.
    """

    supports_masking = True

    def __init__(self, layer: Any, merge_mode: str | None = "concat", backward_layer: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if merge_mode not in ("concat", "sum", "mul", "ave", None):
            raise GraphError(f"merge_mode is 'concat', 'sum', 'mul', 'ave' or None, not {merge_mode!r}")
        self.forward_layer, self.merge_mode = layer, merge_mode
        if backward_layer is None:
            arguments = {k: v for k, v in layer.constructor_arguments().items() if k != "name"}
            backward_layer = type(layer)(**{**arguments, "go_backwards": not layer.go_backwards})
        self.backward_layer = backward_layer
        if layer.go_backwards == backward_layer.go_backwards:
            raise GraphError("the backward layer of Bidirectional needs the other value of go_backwards")
        for each in (layer, backward_layer):
            if hasattr(each, "zero_output_for_mask"):
                each.zero_output_for_mask = each.return_sequences

    def call(self, x: Tensor, initial_state: Any = None, mask: Tensor | None = None) -> Any:
        half = len(initial_state) // 2 if initial_state is not None else 0
        first, second = (None, None) if initial_state is None else (initial_state[:half], initial_state[half:])
        ahead, *states = _as_list(self.forward_layer(x, initial_state=first, mask=mask))
        back, *more = _as_list(self.backward_layer(x, initial_state=second, mask=mask))
        if self.forward_layer.return_sequences:
            back = reversed_in_time(back)
        output = self._merged(ahead, back)
        if not self.forward_layer.return_state:
            return output
        return (*(output if isinstance(output, list) else [output]), *states, *more)

    def _merged(self, a: Tensor, b: Tensor) -> Any:
        match self.merge_mode:
            case "concat":
                return op.Concat(a, b, axis=-1)
            case "sum":
                return a + b
            case "mul":
                return a * b
            case "ave":
                return (a + b) * 0.5
            case _:
                return [a, b]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if not self.forward_layer.return_sequences:
            return None
        return [mask, mask] if self.merge_mode is None else mask


def _as_list(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


class SpectralNormalization(Wrapper):
    """A layer whose kernel is divided by its largest singular value before each training step (Miyato et al. 2018).

    The value is found by power iteration on ``vector_u``, which is kept from step to step. As in Keras the kernel itself is
    set to the quotient, so inference needs nothing more.

    Args:
        layer: a layer with a ``kernel`` or ``embeddings``.
        power_iterations: the number of iterations a step.
    """

    def __init__(self, layer: Layer, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.power_iterations = power_iterations

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        kernel = self._kernel()
        width = kernel.shape[0 if len(kernel.shape) > 2 else -1]
        self.vector_u = self.add_weight(name="vector_u", shape=(1, width), initializer=TruncatedNormal(stddev=0.02), trainable=False)

    def _kernel(self) -> Parameter:
        for name in ("kernel", "embeddings"):
            if isinstance(found := getattr(self.layer, name, None), Parameter):
                return found
        raise GraphError(f"{self.layer!r} has neither a kernel nor embeddings to normalize")

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            kernel = as_tensor(self._kernel())
            sigma, u = self._largest_singular_value(kernel)
            self.vector_u.assign(u)
            self._kernel().replace(kernel / sigma)
        return self.layer(x)

    def _largest_singular_value(self, kernel: Tensor) -> tuple[Tensor, Tensor]:
        # ONNX's layout has the outputs of a convolution first, a matrix has them last
        w, u = op.Flatten(kernel).T if kernel.ndim > 2 else kernel, as_tensor(self.vector_u)
        for _ in range(self.power_iterations):
            v = _unit(u @ w.T)
            u = _unit(v @ w)
        sigma = op.Reshape(v @ w @ u.T, np.zeros(0, np.int64))
        return op.Where(op.Equal(sigma, 0.0), 1.0, sigma), u


def _unit(x: Tensor) -> Tensor:
    return x / op.Sqrt(op.Max(op.ReduceSum(x * x), 1e-12))
