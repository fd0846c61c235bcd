"""RNN: a cell applied to each step of a sequence, as ONNX's Scan. Masked steps leave states and output as they were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from onnxdl.errors import GraphError
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor, as_tensor
from onnxdl.nn.cells import StackedRNNCells, output_size_of, sizes_of
from onnxdl.nn.layer import Layer
from onnxdl.nn.structure import map_tensors, tensors_in

Step = Callable[[Tensor, list[Any]], tuple[Tensor, list[Any]]]
Run = tuple[Tensor | None, Tensor, list[Any]]
"""Outputs (batch, time, ...) if they were asked for, the last output, and the last states."""


class Recurrence(Layer):
    """What recurrent layers share: a step applied over the time axis, and what is given back of it.

    Args:
        return_sequences: whether to give the outputs of all steps, (batch, time, ...).
        return_state: whether to give the last states too: ``(output, *states)``.
        go_backwards: whether to begin at the end; the outputs then come in that order.
        zero_output_for_mask: whether the output of a masked step is 0, or else that of the step before.
        unroll, use_cudnn: Keras's; the runtime decides how a sequence is computed.
    """

    supports_masking = True

    def __init__(
        self, return_sequences: bool = False, return_state: bool = False, go_backwards: bool = False,
        zero_output_for_mask: bool = False, stateful: bool = False, unroll: bool = False, use_cudnn: bool | str = "auto", **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        if stateful:
            raise GraphError(f"{type(self).__name__} keeps no states between batches: take return_state=True and pass initial_state")
        self.return_sequences, self.return_state, self.go_backwards = return_sequences, return_state, go_backwards
        self.zero_output_for_mask = zero_output_for_mask

    def call(
        self, sequences: Tensor, initial_state: Any = None, mask: Tensor | None = None, training: bool = False
    ) -> Tensor | tuple[Tensor, ...]:
        if self.go_backwards:
            sequences, mask = reversed_in_time(sequences), None if mask is None else reversed_in_time(mask)
        states = self.initial_states(sequences) if initial_state is None else initial_state
        outputs, last, states = self.run(sequences, [states] if isinstance(states, Tensor) else list(states), mask, training)
        output = outputs if self.return_sequences and outputs is not None else last
        return (output, *states) if self.return_state else output

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return mask if self.return_sequences else None

    def run(self, sequences: Tensor, states: list[Any], mask: Tensor | None, training: bool) -> Run:
        """The recurrence itself, forwards."""
        raise GraphError(f"{type(self).__name__} does not define run(self, sequences, states, mask, training)")

    def initial_states(self, sequences: Tensor) -> list[Any]:
        """The states to begin with."""
        raise GraphError(f"{type(self).__name__} does not define initial_states(self, sequences)")

    def zero_output(self, sequences: Tensor, states: list[Any]) -> Tensor:
        """The output of a masked step that has none before it."""
        return as_tensor(states[0]) * 0.0

    def loop(self, step: Step, sequences: Tensor, states: list[Any], mask: Tensor | None) -> Run:
        """``step`` over the time axis of ``sequences`` as one Scan."""
        carried, slices = tensors_in(states), [time_major(sequences)]
        if mask is not None:
            carried = [*carried, self.zero_output(sequences, states)]
            slices.append(op.Transpose(mask, perm=[1, 0]))

        def body(*args: Tensor) -> list[Tensor]:
            before, x = list(args[: len(carried)]), args[len(carried)]
            flat = iter(before)
            output, new = step(x, map_tensors(lambda _: next(flat), states))
            after = tensors_in(new if isinstance(new, list | tuple) else [new])
            if mask is None:
                return [*after, output]
            kept = [_where_step(args[-1], a, b) for a, b in zip([*after, output], before, strict=True)]
            return [*kept, _where_step(args[-1], output, output * 0.0) if self.zero_output_for_mask else kept[-1]]

        results = op.Scan(*carried, *slices, body=body, num_scan_inputs=len(slices))
        flat = iter(results)
        outputs = results[-1]
        return time_major(outputs), op.Gather(outputs, -1, axis=0), map_tensors(lambda _: next(flat), states)


class RNN(Recurrence):
    """A cell applied to each step: (batch, time, ...) -> the last output (batch, ...), or all.

    Args:
        cell: a Layer ``call(x, states) -> (output, states)`` with a ``state_size``; a list of cells is stacked.
        kwargs: Recurrence's ``return_sequences``, ``return_state``, ``go_backwards``, ``zero_output_for_mask``.
    """

    def __init__(self, cell: Any, return_sequences: bool = False, **kwargs: Any) -> None:
        super().__init__(return_sequences, **kwargs)
        self.cell = StackedRNNCells(cell) if isinstance(cell, list | tuple) else cell

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if not self.cell.built:
            self.cell.build((input_shape[0], *input_shape[2:]))
            self.cell.built = True

    def run(self, sequences: Tensor, states: list[Any], mask: Tensor | None, training: bool) -> Run:
        return self.loop(lambda x, s: self.cell(x, s), sequences, states, mask)

    def initial_states(self, sequences: Tensor) -> list[Any]:
        def zeros(sizes: Any) -> Any:
            return [zeros(s) for s in sizes] if isinstance(sizes, list | tuple) else zeros_for(sequences, [sizes])

        return zeros(sizes_of(self.cell))  # type: ignore[no-any-return]

    def zero_output(self, sequences: Tensor, states: list[Any]) -> Tensor:
        return zeros_for(sequences, [output_size_of(self.cell)])


def _where_step(counts: Tensor, new: Tensor, old: Tensor) -> Tensor:
    if new.ndim != old.ndim:
        raise GraphError(f"a cell turns {old.ndim} axes of state into {new.ndim}; states keep their shape")
    return op.Where(op.Unsqueeze(counts, list(range(1, new.ndim))), new, old)


def each_step(x: Tensor, function: Callable[[Tensor], Any]) -> Any:
    """``function`` of every step of (batch, time, ...); the steps join the batch meanwhile."""
    y = function(op.Reshape(x, [-1, *x.shape[2:]]))
    rest = y.shape[1:]
    if isinstance(x.shape[1], int):
        return op.Reshape(y, [-1, x.shape[1], *rest])
    return op.Reshape(y, op.Concat(op.Shape(x, start=0, end=2), list(rest), axis=0) if rest else op.Shape(x, start=0, end=2))


def time_major(x: Tensor) -> Tensor:
    """(batch, time, ...) as (time, batch, ...), or back."""
    return op.Transpose(x, perm=[1, 0, *range(2, x.ndim)])


def reversed_in_time(x: Tensor) -> Tensor:
    """(batch, time, ...) from its end to its start."""
    if x.dtype == bool:
        return op.Cast(reversed_in_time(op.Cast(x, to="int32")), to="bool")
    return x[:, ::-1]


def zeros_for(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Zeros of x's batch size and the sizes given."""
    zero = x.dtype.type(0)
    if isinstance(x.shape[0], int):
        return op.Expand(zero, [x.shape[0], *sizes])
    return op.Expand(zero, op.Concat(op.Shape(x, start=0, end=1), list(sizes), axis=0))
