"""Symbolic calls: layers called on an ``Input`` are written down, and played again in every trace of their Model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import onnx_ir as ir

from onnxdl.errors import GraphError
from onnxdl.graph.dtypes import DTypeLike, to_ir
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import Trace, current_trace
from onnxdl.graph.walk import ancestry, copy_nodes
from onnxdl.nn import precision
from onnxdl.nn.structure import map_tensors, tensors_in

if TYPE_CHECKING:
    from onnxdl.nn.layer import Layer

DOMAIN = "onnxdl.layer"


class Call(NamedTuple):
    """One layer called once: what it was given, and how its result is built from its output values."""

    layer: Layer
    args: Any
    kwargs: dict[str, Any]
    training: bool | None


def Input(
    shape: Sequence[int | str | None] | None = None,
    batch_size: int | None = None,
    dtype: DTypeLike | None = None,
    name: str | None = None,
    *,
    batch_shape: Sequence[int | str | None] | None = None,
) -> Tensor:
    """A tensor without data: where a Model begins.

    Args:
        shape: the shape without the batch dimension; None or a name for a size not known yet.
        batch_size: the size of the batch, any by default.
        dtype: the element type, float32 by default.
        name: the input's name in the model.
        batch_shape: the shape with the batch dimension, in place of ``shape`` and ``batch_size``.
    """
    if batch_shape is not None:
        batch_size, shape = batch_shape[0], batch_shape[1:]  # type: ignore[assignment]  # a name for the batch serves as well
    if shape is None or isinstance(shape, int | str):
        raise GraphError(f"an Input needs a shape such as (28, 28), without the batch, not {shape!r}")
    dims = [
        batch_size if batch_size is not None else "batch",
        *(f"{name or 'input'}_dim_{i}" if d is None else d for i, d in enumerate(shape, 1)),
    ]
    value = ir.Value(name=name, type=ir.TensorType(to_ir(dtype or "float32")), shape=ir.Shape(dims))
    value.meta["symbolic"] = True
    return Tensor(value)


def record(layer: Layer, args: Any, kwargs: dict[str, Any], training: bool | None) -> Any:
    """Writes down a call; the layer is built and its output shapes are inferred in a trace of their own."""
    tensors = tensors_in((args, kwargs))
    with scratch_trace() as trace:
        copies = {id(t): trace.input(f"x{i}", t.value.dtype, t.value.shape) for i, t in enumerate(tensors)}  # type: ignore[arg-type]
        traced_args, traced_kwargs = map_tensors(lambda t: copies[id(t)], (args, kwargs))
        result = layer(*traced_args, training=training, **traced_kwargs)
    outputs = tensors_in(result)
    node = ir.Node(DOMAIN, type(layer).__name__, [t.value for t in tensors], num_outputs=len(outputs))
    node.meta["call"] = Call(layer, args, kwargs, training)
    handles: dict[int, Tensor] = {}
    for value, inferred in zip(node.outputs, outputs, strict=True):
        value.type, value.shape = inferred.value.type, inferred.value.shape
        value.meta["symbolic"] = True
        handles[id(inferred)] = Tensor(value)
    outcome = map_tensors(lambda t: handles[id(t)], result)
    layer.note_call(args, outcome)
    return outcome


def output_shape(layer: Layer, input_shape: Any) -> Any:
    """The shapes of a layer's outputs for those of its input, which is a tensor or a list or dict of them."""
    count = itertools.count()
    with scratch_trace() as trace:

        def of_shapes(tree: Any) -> Any:
            if isinstance(tree, dict):
                return {k: of_shapes(v) for k, v in tree.items()}
            if any(isinstance(d, list | tuple) for d in tree):
                return [of_shapes(v) for v in tree]
            return trace.input(f"x{next(count)}", "float32", [f"size_{i}" if d is None else d for i, d in enumerate(tree)])

        outputs = layer(of_shapes(input_shape))
        return map_tensors(lambda t: tuple(d if isinstance(d, int) else None for d in t.shape), outputs)


def scratch_trace(*, training: bool = False) -> Trace:
    """A trace for shapes only: its parameters are inputs, and nobody keeps its model."""
    trace = Trace("shapes", training=training)
    trace.declare = lambda parameter: trace.input(trace.unique("parameter:") + str(len(trace.variables)), parameter.dtype, parameter.shape)
    return trace


def layers_between(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[Layer]:
    """The layers that were called on the way from inputs to outputs, in order, each once."""
    layers = [node.meta["call"].layer for node in way(inputs, outputs)[0] if node.domain == DOMAIN]
    return list({id(layer): layer for layer in layers}.values())


def replay(inputs: Sequence[Tensor], outputs: Any, values: Sequence[Tensor]) -> Any:
    """``outputs`` computed from ``values`` standing for ``inputs``, in the current trace or dynamically."""
    known: dict[ir.Value, Tensor | None] = {t.value: v for t, v in zip(inputs, values, strict=True)}
    trace = current_trace()
    nodes, leaves = way(inputs, tensors_in(outputs))
    known.update((leaf, Tensor(leaf)) for leaf in leaves if leaf not in known)
    for node in nodes:
        if node.domain == DOMAIN:
            call: Call = node.meta["call"]
            args, kwargs = map_tensors(lambda t: known[t.value], (call.args, call.kwargs))
            results = tensors_in(call.layer(*args, training=call.training, **kwargs))
            known.update(zip(node.outputs, results, strict=True))
        else:
            known.update((v, precision.single(known[v])) for v in node.inputs if v is not None)
            copy_nodes([node], known, trace)
    return map_tensors(lambda t: known[t.value], outputs)


def way(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> tuple[list[ir.Node], list[ir.Value]]:
    """The nodes between inputs and outputs, in order, and the values that they begin with."""
    starts = {t.value for t in inputs}
    nodes, leaves = ancestry([t.value for t in outputs], lambda value: value in starts or value.const_value is not None)
    for leaf in leaves:
        if leaf not in starts and leaf.const_value is None:
            raise GraphError(f"the outputs need the Input {leaf.name or ''!r}, which is not among the Model's inputs")
    return nodes, leaves
