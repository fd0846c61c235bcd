"""ConvLSTM1D, 2D and 3D: an LSTM whose products are convolutions. Kernels have ONNX's layout (4 * filters, channels, *kernel_size)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import activations
from onnxdl.nn.cells import forget_bias, lstm_step
from onnxdl.nn.convolution import channels_back, channels_first, in_keras_layout, known_channels, padding_attributes, per_axis, sizes_after
from onnxdl.nn.data_format import format_of
from onnxdl.nn.regularization import dropout
from onnxdl.nn.rnn import Recurrence, Run, each_step, zeros_for


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
        channels = known_channels(self, input_shape, self.rank, 2, self.data_format)
        width = 4 * self.filters
        of_input, of_state = (in_keras_layout(i, self.rank) for i in (self.kernel_initializer, self.recurrent_initializer))
        self.kernel = self.add_weight((width, channels, *self.kernel_size), of_input, name="kernel")
        self.recurrent_kernel = self.add_weight((width, self.filters, *self.kernel_size), of_state, name="recurrent_kernel")
        self.bias = self.add_weight(name="bias", shape=(width,), initializer=self.bias_initializer) if self.use_bias else None

    def run(self, sequences: Tensor, states: list[Any], mask: Tensor | None, training: bool) -> Run:
        """The input's convolution for all steps at once, then the recurrence."""
        if training and self.dropout:
            sequences = dropout(sequences, self.dropout, [None, 1, *[None] * (self.rank + 1)], self.seed)
        x = each_step(sequences, self._convolved)
        keeps_size = padding_attributes("same", self.kernel_size, x.shape[3:], [1] * self.rank, [1] * self.rank)

        def step(z: Tensor, before: list[Any]) -> tuple[Tensor, list[Any]]:
            h, c = before
            h = dropout(h, self.recurrent_dropout, None, self.seed) if training and self.recurrent_dropout else h
            return lstm_step(z + op.Conv(h, self.recurrent_kernel, **keeps_size), c, self.activation, self.recurrent_activation)

        outputs, last, states = self.loop(step, x, [channels_first(s, self.data_format) for s in states], mask)
        outputs = outputs if outputs is None else each_step(outputs, lambda y: channels_back(y, self.data_format))
        return outputs, channels_back(last, self.data_format), [channels_back(s, self.data_format) for s in states]

    def _convolved(self, x: Tensor) -> Tensor:
        """The gates' part of one image: (batch, channels, *space) -> (batch, 4 * filters, *new space)."""
        x = channels_first(x, self.data_format)
        pads = padding_attributes(self.padding, self.kernel_size, x.shape[2:], self.strides, self.dilation_rate)
        return op.Conv(x, self.kernel, self.bias, strides=self.strides, dilations=self.dilation_rate, **pads)

    def initial_states(self, sequences: Tensor) -> list[Any]:
        first = self.data_format == "channels_first"
        space = [n for n in (sequences.shape[3:] if first else sequences.shape[2:-1]) if isinstance(n, int)]
        if len(space) != self.rank:
            raise ShapeError(f"{type(self).__name__} needs known sizes of space, not {sequences.shape}")
        sizes = sizes_after(self.padding, self.kernel_size, space, self.strides, self.dilation_rate)
        return [zeros_for(sequences, [self.filters, *sizes] if first else [*sizes, self.filters])] * 2


class ConvLSTM1D(ConvLSTM):
    """(batch, time, channels, length) -> (batch, filters, new length)."""

    rank = 1


class ConvLSTM2D(ConvLSTM):
    """(batch, time, channels, height, width) -> (batch, filters, new height, new width)."""

    rank = 2


class ConvLSTM3D(ConvLSTM):
    """(batch, time, channels, depth, height, width) -> (batch, filters, ...)."""

    rank = 3
