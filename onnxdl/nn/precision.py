"""Mixed precision: layers compute in float16, while their weights, and so the State, stay float32.

A train step that asks for it traces its model under a policy. Each layer then gets its float32 inputs and weights cast to
float16; one with ``full_precision`` gets float32 inputs. Gradients reach the float32 weights through the same casts
(Micikevicius et al., Mixed Precision Training, 2018).

Normalizations are layers of full precision, and so is what picks a maximum: its gradient compares values, and ONNX
Runtime's CPU provider, which computes float16 operators in float32, may round one side of a comparison and not the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import onnx_ir as ir

from onnxdl.graph import op
from onnxdl.graph.operator import write
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.structure import map_tensors

HALF, SINGLE = ir.DataType.FLOAT16, ir.DataType.FLOAT

_mixed: ContextVar[bool] = ContextVar("onnxdl_mixed_precision", default=False)
_weights_in_half: ContextVar[bool] = ContextVar("onnxdl_weights_in_half", default=False)


@contextmanager
def mixed_precision(on: bool = True) -> Iterator[None]:
    """Layers called inside compute in float16, if ``on``."""
    token = _mixed.set(on)
    try:
        yield
    finally:
        _mixed.reset(token)


def called(function: Callable[..., Any], full_precision: bool, args: Any, kwargs: Any) -> Any:
    """A layer's ``call`` under the policy."""
    if not _mixed.get():
        return function(*args, **kwargs)
    token = _weights_in_half.set(not full_precision)
    try:
        convert = single if full_precision else _half
        return function(*convert(args), **convert(kwargs))
    finally:
        _weights_in_half.reset(token)


def weight(t: Tensor) -> Tensor:
    """A weight as the layer that reads it computes: its cast is written once, outside of any loop body."""
    if not _weights_in_half.get() or t.value.dtype != SINGLE or t.trace is None:
        return t
    if "half" not in t.value.meta:
        (t.value.meta["half"],) = write("Cast", [t], {"to": ir.AttrInt64("to", HALF.value)}, 1, trace=t.trace.root)
    found: Tensor = t.value.meta["half"]
    return found


def single(tree: Any) -> Any:
    """The float16 tensors of a structure as float32, where the policy holds."""
    return map_tensors(lambda t: _cast(t, HALF, SINGLE), tree) if _mixed.get() else tree


def _half(tree: Any) -> Any:
    return map_tensors(lambda t: _cast(t, SINGLE, HALF), tree)


def _cast(t: Tensor, given: ir.DataType, wanted: ir.DataType) -> Tensor:
    if t.value.dtype != given:
        return t
    result: Tensor = op.Cast(t, to=wanted.value)
    result.mask = t.mask
    return result
