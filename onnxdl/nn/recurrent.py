"""SimpleRNN, GRU and LSTM: by ONNX's own operators where the options allow it, else step by step as RNN.

The weights keep Keras's layout and are brought into the operators' in the graph, so that files and State hold one layout.
Where steps are masked, those that count are moved to the front of each sequence, whose length the operator is given.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.nn import activations
from onnxdl.nn.cells import GatedCell, GRUCell, LSTMCell, SimpleRNNCell
from onnxdl.nn.rnn import RNN, Run, time_major


class Recurrent(RNN):
    """What the three share: their cell, whose arguments they take, and the way to ONNX's operator."""

    cell: GatedCell

    def _init(self, cell: type[GatedCell], units: int, arguments: dict[str, Any], kwargs: dict[str, Any]) -> None:
        """Sends each argument where it belongs: to the cell, or to RNN."""
        cell_options = {k: kwargs.pop(k) for k in list(kwargs) if k.rpartition("_")[0] in cell.weight_options}
        cell_options.update((k, kwargs.pop(k)) for k in ("dropout", "recurrent_dropout", "seed") if k in kwargs)
        RNN.__init__(self, cell(units, **arguments, **cell_options, dtype=kwargs.get("dtype", "float32")), **kwargs)

    def run(self, sequences: Tensor, states: list[Any], mask: Tensor | None, training: bool) -> Run:
        cell = self.cell
        if (training and cell.recurrent_dropout) or not self.fits_operator():
            return super().run(sequences, states, mask, training)
        x = cell.drop_input(sequences, training)
        order = count = lengths = None
        if mask is not None:
            order, count, lengths = _packing(mask)
            x = _along_time(x, order)
        y, *last = self.operator(time_major(x), lengths, [op.Unsqueeze(s, [0]) for s in states])
        finals = [op.Squeeze(s, [0]) for s in last]
        if not self.return_sequences:
            return None, finals[0], finals
        outputs = op.Transpose(op.Squeeze(y, [1]), perm=[1, 0, 2])
        if mask is not None and count is not None:
            begun = mask if self.zero_output_for_mask else count > 0
            outputs = op.Where(op.Unsqueeze(begun, [2]), _along_time(outputs, op.Max(count - 1, 0)), 0.0)
        return outputs, finals[0], finals

    def fits_operator(self) -> bool:
        """Whether the activations are those that every provider's operator has."""
        gates = getattr(self.cell, "recurrent_activation", activations.sigmoid)
        return self.cell.activation is activations.tanh and gates is activations.sigmoid

    def operator(self, x: Tensor, lengths: Tensor | None, states: list[Tensor]) -> tuple[Tensor, ...]:
        """ONNX's operator on (time, batch, features): all outputs, the last, and the other last states."""
        raise GraphError(f"{type(self).__name__} does not define operator(self, x, lengths, states)")


class SimpleRNN(Recurrent):
    """h = activation(x @ kernel + h @ recurrent_kernel + bias) at each step: (batch, time, n) -> (batch, units).

    Args:
        units: the size of the output and the state.
        kwargs: RNN's ``return_sequences``, ``return_state``, ``go_backwards``; the cell's ``dropout``, ``recurrent_dropout``.
    """

    def __init__(
        self, units: int, activation: Any = "tanh", use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros", **kwargs: Any,
    ) -> None:  # fmt: skip
        arguments = {
            "activation": activation, "use_bias": use_bias, "kernel_initializer": kernel_initializer,
            "recurrent_initializer": recurrent_initializer, "bias_initializer": bias_initializer,
        }  # fmt: skip
        self._init(SimpleRNNCell, units, arguments, kwargs)

    def fits_operator(self) -> bool:
        return self.cell.activation in (activations.tanh, activations.relu)

    def operator(self, x: Tensor, lengths: Tensor | None, states: list[Tensor]) -> tuple[Tensor, ...]:
        cell = self.cell
        name = "Tanh" if cell.activation is activations.tanh else "Relu"
        bias = None if cell.bias is None else _bias_rows(cell.bias, cell)
        y, h = op.RNN(
            x,
            _rows(cell.kernel),
            _rows(cell.recurrent_kernel),
            bias,
            lengths,
            *states,
            hidden_size=cell.units,
            activations=[name],
            outputs=2,
        )
        return y, h


class GRU(Recurrent):
    """Gated recurrent unit at each step: (batch, time, n) -> (batch, units); see GRUCell.

    Args:
        units: the size of the output and the state.
        reset_after: whether the reset gate works after the matrix product.
        kwargs: RNN's ``return_sequences``, ``return_state``, ``go_backwards``; the cell's ``dropout``, ``recurrent_dropout``.
    """

    cell: GRUCell

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
        reset_after: bool = True, **kwargs: Any,
    ) -> None:  # fmt: skip
        arguments = {
            "activation": activation, "recurrent_activation": recurrent_activation, "use_bias": use_bias,
            "kernel_initializer": kernel_initializer, "recurrent_initializer": recurrent_initializer,
            "bias_initializer": bias_initializer, "reset_after": reset_after,
        }  # fmt: skip
        self._init(GRUCell, units, arguments, kwargs)

    def operator(self, x: Tensor, lengths: Tensor | None, states: list[Tensor]) -> tuple[Tensor, ...]:
        cell = self.cell
        bias = None
        if cell.bias is not None:
            bias = op.Reshape(cell.bias, [1, -1]) if cell.reset_after else _bias_rows(cell.bias, cell)
        y, h = op.GRU(
            x, _rows(cell.kernel), _rows(cell.recurrent_kernel), bias, lengths, *states,
            hidden_size=cell.units, linear_before_reset=int(cell.reset_after), outputs=2,
        )  # fmt: skip
        return y, h


class LSTM(Recurrent):
    """Long short-term memory at each step: (batch, time, n) -> (batch, units); see LSTMCell.

    Args:
        units: the size of the output and the states.
        unit_forget_bias: whether the bias of the forget gate starts at 1.
        kwargs: RNN's ``return_sequences``, ``return_state``, ``go_backwards``; the cell's ``dropout``, ``recurrent_dropout``.
    """

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True, **kwargs: Any,
    ) -> None:  # fmt: skip
        arguments = {
            "activation": activation, "recurrent_activation": recurrent_activation, "use_bias": use_bias,
            "kernel_initializer": kernel_initializer, "recurrent_initializer": recurrent_initializer,
            "bias_initializer": bias_initializer, "unit_forget_bias": unit_forget_bias,
        }  # fmt: skip
        self._init(LSTMCell, units, arguments, kwargs)

    def operator(self, x: Tensor, lengths: Tensor | None, states: list[Tensor]) -> tuple[Tensor, ...]:
        cell = self.cell
        bias = None if cell.bias is None else _bias_rows(_to_iofc(cell.bias), cell)
        return op.LSTM(
            x, _rows(_to_iofc(cell.kernel)), _rows(_to_iofc(cell.recurrent_kernel)), bias, lengths, *states,
            hidden_size=cell.units, outputs=3,
        )  # fmt: skip


def _to_iofc(weight: Any) -> Tensor:
    """The gates i, f, c, o along the last axis in ONNX's order i, o, f, c."""
    i, f, c, o = op.Split(weight, num_outputs=4, axis=-1)
    return op.Concat(i, o, f, c, axis=-1)


def _rows(kernel: Any) -> Tensor:
    """(features, gates * units) as ONNX's (1, gates * units, features)."""
    return op.Unsqueeze(op.Transpose(kernel, perm=[1, 0]), [0])


def _bias_rows(bias: Any, cell: GatedCell) -> Tensor:
    """A bias of the input as ONNX's (1, 2 * gates * units), whose second half, of the state, is 0."""
    return op.Unsqueeze(op.Pad(bias, [0, cell.gates * cell.units]), [0])


def _packing(mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each place the step to move there so that those that count come first, in order; how many have come; how many are."""
    count = op.CumSum(op.Cast(mask, to="int64"), np.int64(1))
    steps = op.Cast(op.Range(0, op.Squeeze(op.Shape(mask, start=1, end=2), [0]), 1), to="float32")
    _, order = op.TopK(op.Where(mask, 0.0, -1e6) - steps, op.Shape(mask, start=1, end=2), axis=1)
    return order, count, op.Cast(op.Gather(count, -1, axis=1), to="int32")


def _along_time(x: Tensor, steps: Tensor) -> Tensor:
    """(batch, time, features) with the steps given for each place."""
    return op.GatherElements(x, op.Expand(op.Unsqueeze(steps, [2]), op.Shape(x)), axis=1)
