"""ConvLSTM1D, 2D and 3D: an LSTM whose products are convolutions. Kernels have ONNX's layout (4 * filters, channels, *kernel_size)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import activations
from onnxdl.nn.cells import forget_bias, lstm_step
from onnxdl.nn.convolution import channels_back, channels_first, in_keras_layout, padding_attributes, per_axis
from onnxdl.nn.data_format import format_of
from onnxdl.nn.regularization import dropout
from onnxdl.nn.rnn import Recurrence, Run, zeros_for


class ConvLSTM(Recurrence):
    """An LSTM over images: (batch, time, channels, *space) -> (batch, filters, *space), or all steps (Shi et al. 2015).

    Args:
        filters: the number of output channels; ``kernel``'s and ``recurrent_kernel``'s gates i, f, c, o are side by side.
        kernel_size, strides, dilation_rate: of the input's convolution; the state's has stride 1 and keeps the size.
        padding: ``valid`` or ``same``.
        data_format: ``channels_first`` or ``channels_last``, of input, output and states.
        kwargs: Recurrence's ``return_sequences``, ``return_state``, ``go_backwards``.
    """

    weight_options = ("kernel", "recurrent", "bias")
    rank = 0

    def __init__(
        self, filters: int, kernel_size: int | Sequence[int], strides: int | Sequence[int] = 1, padding: str = "valid",
        data_format: str | None = None, dilation_rate: int | Sequence[int] = 1, activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid", use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros", unit_forget_bias: bool = True,
        dropout: float = 0.0, recurrent_dropout: float = 0.0, seed: int | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        if padding not in ("valid", "same"):
            raise GraphError(f"padding is 'valid' or 'same', not {padding!r}")
        self.filters, self.padding, self.data_format = filters, padding, format_of(data_format)
        self.kernel_size = per_axis(kernel_size, self.rank, "kernel_size")
        self.strides = per_axis(strides, self.rank, "strides")
        self.dilation_rate = per_axis(dilation_rate, self.rank, "dilation_rate")
        self.activation, self.recurrent_activation = activations.get(activation), activations.get(recurrent_activation)
        self.use_bias, self.dropout, self.recurrent_dropout, self.seed = use_bias, dropout, recurrent_dropout, seed
        self.kernel_initializer, self.recurrent_initializer = kernel_initializer, recurrent_initializer
        self.bias_initializer = forget_bias(bias_initializer) if unit_forget_bias else bias_initializer

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = input_shape[2 if self.data_format == "channels_first" else -1]
        if channels is None or len(input_shape) != self.rank + 3:
            raise ShapeError(f"{type(self).__name__} takes {self.rank + 3} axes and a known number of channels, not {input_shape}")
        width = 4 * self.filters
        self.kernel = self.add_weight(
            name="kernel", shape=(width, channels, *self.kernel_size), initializer=in_keras_layout(self.kernel_initializer, self.rank)
        )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(width, self.filters, *self.kernel_size),
            initializer=in_keras_layout(self.recurrent_initializer, self.rank),
        )
        self.bias = self.add_weight(name="bias", shape=(width,), initializer=self.bias_initializer) if self.use_bias else None

    def run(self, sequences: Tensor, states: list[Any], mask: Tensor | None, training: bool) -> Run:
        """The input's convolution for all steps at once, then the recurrence."""
        x = self._convolved(sequences, training)
        keeps_size = padding_attributes("same", self.kernel_size, x.shape[3:], [1] * self.rank, [1] * self.rank)

        def step(z: Tensor, before: list[Any]) -> tuple[Tensor, list[Any]]:
            h = dropout(before[0], self.recurrent_dropout, None, self.seed) if training and self.recurrent_dropout else before[0]
            return lstm_step(z + op.Conv(h, self.recurrent_kernel, **keeps_size), before[1], self.activation, self.recurrent_activation)

        outputs, last, states = self.loop(step, x, [channels_first(s, self.data_format) for s in states], mask)
        if outputs is not None and self.data_format == "channels_last":
            outputs = op.Transpose(outputs, perm=[0, 1, *range(3, outputs.ndim), 2])
        return outputs, channels_back(last, self.data_format), [channels_back(s, self.data_format) for s in states]

    def _convolved(self, sequences: Tensor, training: bool) -> Tensor:
        """(batch, time, channels, *space) -> (batch, time, 4 * filters, *new space)."""
        x = sequences
        if self.data_format == "channels_last":
            x = op.Transpose(x, perm=[0, 1, x.ndim - 1, *range(2, x.ndim - 1)])
        if training and self.dropout:
            x = dropout(x, self.dropout, [None, 1, *[None] * (x.ndim - 2)], self.seed)
        pads = padding_attributes(self.padding, self.kernel_size, x.shape[3:], self.strides, self.dilation_rate)
        y = op.Conv(op.Reshape(x, [-1, *x.shape[2:]]), self.kernel, self.bias, strides=self.strides, dilations=self.dilation_rate, **pads)
        return op.Reshape(y, op.Concat(op.Shape(x, start=0, end=2), list(y.shape[1:]), axis=0))

    def initial_states(self, sequences: Tensor) -> list[Any]:
        first = self.data_format == "channels_first"
        space = [n for n in (sequences.shape[3:] if first else sequences.shape[2:-1]) if isinstance(n, int)]
        if len(space) != self.rank:
            raise ShapeError(f"{type(self).__name__} needs known sizes of space, not {sequences.shape}")
        reach = [0 if self.padding == "same" else (k - 1) * d for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        sizes = [-(-(n - r) // s) for n, r, s in zip(space, reach, self.strides, strict=True)]
        zeros = zeros_for(sequences, [self.filters, *sizes] if first else [*sizes, self.filters])
        return [zeros, zeros]


class ConvLSTM1D(ConvLSTM):
    """(batch, time, channels, length) -> (batch, filters, new length)."""

    rank = 1


class ConvLSTM2D(ConvLSTM):
    """(batch, time, channels, height, width) -> (batch, filters, new height, new width)."""

    rank = 2


class ConvLSTM3D(ConvLSTM):
    """(batch, time, channels, depth, height, width) -> (batch, filters, ...)."""

    rank = 3
