"""Sequences and optionals of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxdl.autodiff.registry import vjp
from onnxdl.autodiff.sequences import is_sequence, map_sequence, zero_sequence
from onnxdl.autodiff.shapes import zeros_like
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor


@vjp("SequenceConstruct")
def sequence_construct(g: Tensor, y: Tensor, *elements: Tensor) -> Any:
    return tuple(op.SequenceAt(g, np.array(i, np.int64)) for i in range(len(elements)))


@vjp("SequenceAt")
def sequence_at(g: Tensor, y: Tensor, sequence: Tensor, position: Tensor) -> Any:
    at = _from_front(position, sequence)
    return op.SequenceInsert(op.SequenceErase(zero_sequence(sequence), at), g, at)


@vjp("SequenceInsert")
def sequence_insert(g: Tensor, y: Tensor, sequence: Tensor, element: Tensor, position: Tensor | None = None) -> Any:
    at = op.SequenceLength(sequence) if position is None else _from_front(position, sequence)
    return op.SequenceErase(g, at), op.SequenceAt(g, at)


@vjp("SequenceErase")
def sequence_erase(g: Tensor, y: Tensor, sequence: Tensor, position: Tensor | None = None) -> Any:
    at = op.SequenceLength(sequence) - 1 if position is None else _from_front(position, sequence)
    return op.SequenceInsert(g, zeros_like(op.SequenceAt(sequence, at)), at)


def _from_front(position: Tensor, sequence: Tensor) -> Tensor:
    """A position counted from the first element, also where it was given from the end."""
    at = op.Cast(position, to=np.int64)
    return op.Where(op.Less(at, 0), at + op.SequenceLength(sequence), at)


@vjp("SplitToSequence")
def split_to_sequence(g: Tensor, y: Tensor, x: Tensor, split: Tensor | None = None, *, axis: int, keepdims: int) -> Any:
    return op.ConcatFromSequence(g, axis=axis, new_axis=int(split is None and not keepdims))


@vjp("ConcatFromSequence")
def concat_from_sequence(g: Tensor, y: Tensor, sequence: Tensor, *, axis: int, new_axis: int) -> Any:
    if new_axis:
        return op.SplitToSequence(g, axis=axis, keepdims=0)
    sizes = map_sequence(lambda x: op.Gather(op.Shape(x), np.array([axis], np.int64)), sequence)
    return op.SplitToSequence(g, op.ConcatFromSequence(sizes, axis=0), axis=axis)


@vjp("Optional")
def optional(g: Tensor, y: Tensor, x: Tensor | None = None, **_: Any) -> Any:
    return op.OptionalGetElement(g)


@vjp("OptionalGetElement")
def optional_get_element(g: Tensor, y: Tensor, x: Tensor) -> Any:
    same = is_sequence(x) == is_sequence(y) and type(x.value.type) is type(y.value.type)
    return g if same else op.Optional(g)
