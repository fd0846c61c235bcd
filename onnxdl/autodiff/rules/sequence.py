"""Sequences and optionals of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxdl.autodiff.gradient import Reverse
from onnxdl.autodiff.registry import vjp, vjp_node
from onnxdl.autodiff.rules.bodies import body_gradients, inline, live_floats
from onnxdl.autodiff.sequences import is_sequence, map_sequence, zero_sequence
from onnxdl.autodiff.shapes import zeros_like
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.walk import captured


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


@vjp_node("SequenceMap")
def sequence_map(node: ir.Node, g: Sequence[Tensor | None], reverse: Reverse) -> Any:
    """Element by element; what the body takes from around it, or as a whole, gets the sum over the elements."""
    body = node.attributes["body"].as_graph()
    inputs = [Tensor(v, reverse.trace) for v in node.inputs if v is not None]
    mapped = [k for k, t in enumerate(inputs) if is_sequence(t)]
    wanted = [k for k, t in enumerate(inputs) if t.value in reverse.live]
    around = [Tensor(v, reverse.trace) for v in live_floats(captured(body), reverse)]
    incoming = [t for t in g if t is not None]
    reached: list[bool] = []

    def backward(*elements: Tensor) -> list[Tensor]:
        given, arrived = dict(zip(mapped, elements, strict=False)), iter(elements[len(mapped) :])
        arguments = [given.get(k, t) for k, t in enumerate(inputs)]
        seeds = [None if t is None else next(arrived) for t in g]
        wrt = [*(arguments[k] for k in wanted), *around]
        found = body_gradients(inline(body, arguments, reverse.trace), seeds, wrt, reverse)
        reached[:] = [d is not None for d in found]
        return [zeros_like(x) if d is None else d for d, x in zip(found, wrt, strict=True)]

    n = len(wanted) + len(around)
    results = map_sequence(backward, *(inputs[k] for k in mapped), *incoming, outputs=n)
    found = [r if there else None for r, there in zip(results if n > 1 else [results], reached, strict=True)]
    for k, t in enumerate([*(inputs[k] for k in wanted), *around]):
        d = found[k]
        yield t.value, d if d is None or is_sequence(t) else op.ReduceSum(op.ConcatFromSequence(d, axis=0, new_axis=1), [0], keepdims=0)


@vjp("Optional")
def optional(g: Tensor, y: Tensor, x: Tensor | None = None, **_: Any) -> Any:
    return op.OptionalGetElement(g)


@vjp("OptionalGetElement")
def optional_get_element(g: Tensor, y: Tensor, x: Tensor) -> Any:
    same = is_sequence(x) == is_sequence(y) and type(x.value.type) is type(y.value.type)
    return g if same else op.Optional(g)
