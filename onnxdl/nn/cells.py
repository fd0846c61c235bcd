"""The cells of recurrent networks: what one step of a sequence does.

``call(x, states)`` maps (batch, features) and a list of states to an output and the next states; ``state_size`` holds the
states' sizes. Kernels have Keras's layout, gates side by side: (features, gates * units).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxdl.errors import ShapeError
from onnxdl.graph import op
from onnxdl.graph.dtypes import DTypeLike
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import activations, initializers
from onnxdl.nn.layer import Layer
from onnxdl.nn.regularization import dropout


class GatedCell(Layer):
    """What the cells share: a kernel for the input, one for the state, a bias, and dropout, the same in every step.

    Args:
        units: the size of the output and of each state.
        activation: of the output; ``recurrent_activation``, where a cell has it, is that of the gates.
        dropout, recurrent_dropout: the fractions of the input and of the state that training drops.
    """

    weight_options = ("kernel", "recurrent", "bias")
    gates = 1
    states = 1

    def __init__(
        self, units: int, activation: Any = "tanh", use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros", dropout: float = 0.0,
        recurrent_dropout: float = 0.0, seed: int | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.units, self.activation, self.use_bias = units, activations.get(activation), use_bias
        self.kernel_initializer, self.recurrent_initializer = kernel_initializer, recurrent_initializer
        self.bias_initializer = bias_initializer
        self.dropout, self.recurrent_dropout, self.seed = dropout, recurrent_dropout, seed

    @property
    def state_size(self) -> list[int]:
        """The sizes of the states."""
        return [self.units] * self.states

    @property
    def output_size(self) -> int:
        """The size of the output."""
        return self.units

    def bias_shape(self) -> tuple[int, ...]:
        """The shape of the bias."""
        return (self.gates * self.units,)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if input_shape[-1] is None:
            raise ShapeError(f"{type(self).__name__} needs a last axis of known size; its input has the shape {input_shape}")
        width = self.gates * self.units
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], width), initializer=self.kernel_initializer)
        self.recurrent_kernel = self.add_weight(name="recurrent_kernel", shape=(self.units, width), initializer=self.recurrent_initializer)
        self.bias = self.add_weight(name="bias", shape=self.bias_shape(), initializer=self.bias_initializer) if self.use_bias else None

    def drop_input(self, x: Tensor, training: bool) -> Tensor:
        """The input with what ``dropout`` drops; the last axis but features is time or none, and shares its mask."""
        if not training or not self.dropout:
            return x
        return dropout(x, self.dropout, None if x.ndim == 2 else [None, 1, None], self.seed)

    def drop_state(self, h: Tensor, training: bool) -> Tensor:
        """The state with what ``recurrent_dropout`` drops."""
        return dropout(h, self.recurrent_dropout, None, self.seed) if training and self.recurrent_dropout else h


class SimpleRNNCell(GatedCell):
    """h = activation(x @ kernel + h @ recurrent_kernel + bias) (Elman 1990)."""

    def call(self, x: Tensor, states: Sequence[Tensor], training: bool = False) -> tuple[Tensor, list[Tensor]]:
        z = self.drop_input(x, training) @ self.kernel + self.drop_state(states[0], training) @ self.recurrent_kernel
        h = self.activation(z + self.bias if self.bias is not None else z)
        return h, [h]


class LSTMCell(GatedCell):
    """Long short-term memory; gates i, f, c, o lie side by side (Hochreiter and Schmidhuber 1997).

    c = f * c + i * activation(z_c),  h = o * activation(c),  and a gate is recurrent_activation of its part of
    z = x @ kernel + h @ recurrent_kernel + bias. ``unit_forget_bias`` starts the bias of f at 1 (Jozefowicz et al. 2015).
    """

    gates, states = 4, 2

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True, **kwargs: Any,
    ) -> None:  # fmt: skip
        bias_initializer = forget_bias(bias_initializer) if unit_forget_bias else bias_initializer
        super().__init__(units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer, **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)

    def call(self, x: Tensor, states: Sequence[Tensor], training: bool = False) -> tuple[Tensor, list[Tensor]]:
        z = self.drop_input(x, training) @ self.kernel + self.drop_state(states[0], training) @ self.recurrent_kernel
        return lstm_step(z + self.bias if self.bias is not None else z, states[1], self.activation, self.recurrent_activation)


def lstm_step(
    z: Tensor, c: Tensor, activation: activations.Activation, recurrent_activation: activations.Activation
) -> tuple[Tensor, list[Tensor]]:
    """The output and the states of an LSTM whose gates i, f, c, o, before their activations, lie along axis 1 of ``z``."""
    i, f, candidate, o = op.Split(z, num_outputs=4, axis=1)
    c = recurrent_activation(f) * c + recurrent_activation(i) * activation(candidate)
    h = recurrent_activation(o) * activation(c)
    return h, [h, c]


def forget_bias(initializer: Any) -> Any:
    """An initializer for the bias of i, f, c, o that is 1 for f."""
    inner = initializers.get(initializer)

    def initialize(shape: tuple[int, ...], dtype: DTypeLike, key: Tensor) -> Tensor:
        units = shape[0] // 4
        i, _, rest = op.Split(inner(shape, dtype, key), [units, units, 2 * units], outputs=3)
        return op.Concat(i, initializers.Ones()((units,), dtype, key), rest, axis=0)

    return initialize


class GRUCell(GatedCell):
    """Gated recurrent unit; gates z, r, h lie side by side (Cho et al. 2014).

    h = z * h + (1 - z) * activation(x_h + r * (h @ recurrent_kernel_h + b)) with ``reset_after``, whose bias has a row for
    the input and one for the state; without it, (r * h) @ recurrent_kernel_h, and one bias.
    """

    gates = 3

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
        reset_after: bool = True, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer, **kwargs)
        self.recurrent_activation, self.reset_after = activations.get(recurrent_activation), reset_after

    def bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def call(self, x: Tensor, states: Sequence[Tensor], training: bool = False) -> tuple[Tensor, list[Tensor]]:
        units = self.units
        dropped = self.drop_state(states[0], training)
        z = self.drop_input(x, training) @ self.kernel
        if self.bias is not None:
            z = z + (self.bias[0] if self.reset_after else self.bias)
        if self.reset_after:
            inner = dropped @ self.recurrent_kernel
            inner = inner + self.bias[1] if self.bias is not None else inner
            inner_gates, inner_h = op.Split(inner, [2 * units, units], axis=1, outputs=2)
        else:
            kernel_gates, kernel_h = op.Split(self.recurrent_kernel, [2 * units, units], axis=1, outputs=2)
            inner_gates = dropped @ kernel_gates
        gates, candidate = op.Split(z, [2 * units, units], axis=1, outputs=2)
        update, reset = op.Split(self.recurrent_activation(gates + inner_gates), num_outputs=2, axis=1)
        candidate = self.activation(candidate + (reset * inner_h if self.reset_after else (reset * dropped) @ kernel_h))
        h = update * states[0] + (1.0 - update) * candidate
        return h, [h]


class StackedRNNCells(Layer):
    """Cells on top of each other as one; its states are a list of each cell's."""

    def __init__(self, cells: Sequence[Layer], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """The sizes of the states, a list for each cell."""
        return [sizes_of(cell) for cell in self.cells]

    @property
    def output_size(self) -> int:
        """The size of the last cell's output."""
        return output_size_of(self.cells[-1])

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        for cell in self.cells:
            if not cell.built:
                cell.build(input_shape)
                cell.built = True
            input_shape = (input_shape[0], output_size_of(cell))

    def call(self, x: Tensor, states: Sequence[Any]) -> tuple[Tensor, list[Any]]:
        following = []
        for cell, state in zip(self.cells, states, strict=True):
            x, new = cell(x, state)
            following.append(new if isinstance(new, list | tuple) else [new])
        return x, following


def sizes_of(cell: Any) -> list[Any]:
    """The sizes of a cell's states, as a list."""
    return list(cell.state_size) if isinstance(cell.state_size, list | tuple) else [cell.state_size]


def output_size_of(cell: Any) -> int:
    """The size of a cell's output: that of its first state, unless it says otherwise."""
    return int(getattr(cell, "output_size", None) or sizes_of(cell)[0])
