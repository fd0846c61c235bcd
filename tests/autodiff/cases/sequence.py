"""Sequences and optionals: built, taken apart, changed, at positions from either end."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxdl.autodiff.sequences import map_sequence
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from tests.autodiff.cases import Case, rand


def _built(x: Tensor, y: Tensor, at: Any) -> Any:
    sequence = op.SequenceConstruct(x, y, x * y)
    return op.SequenceAt(sequence, at) * op.SequenceAt(sequence, np.array(2)) + op.SequenceAt(sequence, np.array(-3))


def _inserted(x: Tensor, y: Tensor, at: Any) -> Any:
    sequence = op.SequenceInsert(op.SequenceConstruct(op.Sin(x), x), y, at)
    return op.SequenceAt(sequence, np.array(1)) * op.SequenceAt(op.SequenceInsert(sequence, x * y), np.array(-1))


def _erased(x: Tensor, y: Tensor, at: Any) -> Any:
    sequence = op.SequenceErase(op.SequenceConstruct(op.Sin(x), x * y, y), at)
    return op.SequenceAt(sequence, np.array(0)) * op.SequenceAt(op.SequenceErase(sequence), np.array(0))


def _concatenated(x: Tensor, y: Tensor) -> Any:
    return op.Sin(op.ConcatFromSequence(op.SequenceConstruct(x, y, x), axis=1))


def _stacked(x: Tensor, y: Tensor) -> Any:
    return op.Sin(op.ConcatFromSequence(op.SequenceConstruct(x, y), axis=-1, new_axis=1))


def _mapped(x: Tensor, y: Tensor) -> Any:
    """What a body captures, takes as a whole, and takes element by element."""
    sequence = op.SequenceConstruct(x, op.Sin(x))
    mapped = map_sequence(lambda element: op.Tanh(element * y) + x, sequence)
    return op.SequenceAt(mapped, np.array(0)) * op.SequenceAt(mapped, np.array(1))


def _optional(x: Tensor) -> Any:
    return op.OptionalGetElement(op.Optional(op.Sin(x))) * x


CASES = [
    Case("SequenceConstruct", [rand(2, 3), rand(2, 3, seed=1), np.array(1)], call=_built),
    Case("SequenceAt", [rand(2, 3), rand(2, 3, seed=1), np.array(-1)], call=_built),
    Case("SequenceInsert", [rand(2, 3), rand(2, 3, seed=1), np.array(1)], call=_inserted),
    Case("SequenceInsert", [rand(2, 3), rand(2, 3, seed=1), np.array(-2)], call=_inserted),
    Case("SequenceErase", [rand(2, 3), rand(2, 3, seed=1), np.array(0)], call=_erased),
    Case("SequenceErase", [rand(2, 3), rand(2, 3, seed=1), np.array(-2)], call=_erased),
    Case("ConcatFromSequence", [rand(2, 3), rand(2, 1, seed=1)], call=_concatenated),
    Case("ConcatFromSequence", [rand(2, 3), rand(2, 3, seed=1)], call=_stacked),
    Case("SplitToSequence", [rand(2, 6)], call=lambda x: op.SequenceAt(op.SplitToSequence(x, np.array([1, 3, 2]), axis=1), np.array(1))),
    Case("SplitToSequence", [rand(3, 2)], call=lambda x: op.Sin(op.SequenceAt(op.SplitToSequence(x, keepdims=0), np.array(1)))),
    Case("SequenceMap", [rand(2, 3), rand(2, 3, seed=1)], call=_mapped),
    Case("Optional", [rand(2, 3)], call=_optional),
    Case("OptionalGetElement", [rand(2, 3)], call=_optional),
    Case("OptionalGetElement", [rand(2, 3)], call=lambda x: op.OptionalGetElement(op.Sin(x))),
]
