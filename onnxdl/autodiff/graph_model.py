"""``gradient_model``: the gradient of a finished ONNX model, as another ONNX model.

Files come in through ``graph.imports``, below this layer: ``io`` is a neighbour, and neighbours do not import each other.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Container, Iterable, Mapping, Sequence

import onnx
import onnx_ir as ir

from onnxdl.autodiff.gradient import Rules, gradient
from onnxdl.errors import GradientError
from onnxdl.graph.dtypes import is_float
from onnxdl.graph.imports import import_model, read_model
from onnxdl.graph.infer import describe, dims, schema_of
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import DEFAULT_OPSET, Trace
from onnxdl.graph.walk import copy_nodes

AnyModel = str | os.PathLike[str] | onnx.ModelProto | ir.Model


def gradient_model(model: AnyModel, wrt: Sequence[str], of: Sequence[str] | None = None, *, rules: Rules | None = None) -> onnx.ModelProto:
    r"""A model that gives the outputs of ``model`` and the gradients :math:`\sum_k \mathrm{seed}_k \cdot \partial y_k / \partial x`.

    Its outputs are the original ones, then ``grad/<name>`` for every name in ``wrt``. Each differentiated output that is not
    a scalar brings an input ``seed/<output>`` of its type and shape; a scalar's seed is 1. Where a name is taken, as in a model
    that is a gradient already, the prefix stands twice: ``grad/grad/x`` is the second derivative.

    Args:
        model: an .onnx file of any producer, or a model in memory, which stays as it is.
        wrt: inputs or initializers, of a float type; any other value of the graph will do too.
        of: the outputs to differentiate, by default all of a float type.
        rules: rules that stand in for the registered ones or that the library lacks, as ``gradient`` takes them.

    Raises:
        GradientError: a name is not there or not of a float type, or an operator in between has no gradient.
        FormatError: the file cannot be read.
    """
    source = _imported(model)
    graph = source.graph
    opset = graph.opset_imports.get("", DEFAULT_OPSET)
    with Trace(graph.name or "main", opset=opset) as trace:
        known = _copied(source, trace)
        outputs = {v.name or f"output_{i}": _there(known, v) for i, v in enumerate(graph.outputs)}
        by_name = {v.name: t for v, t in known.items() if v.name and t is not None}
        differentiated = _chosen(outputs, of)
        ys = [_float(outputs, name, "output") for name in differentiated]
        xs = [_float(by_name, name, "input or initializer") for name in dict.fromkeys(wrt)]
        taken = {v.name or "" for v in graph.inputs}
        seeds = [_seed(trace, _free("seed/", name, taken), y) for name, y in zip(differentiated, ys, strict=True)]
        gradients = gradient(ys, xs, seeds, rules=rules)
        found = {_free("grad/", name, outputs): g for name, g in zip(dict.fromkeys(wrt), gradients, strict=True)}
        finished = trace.model({**outputs, **found}, source.metadata_props)
    return ir.to_proto(finished)


def _imported(model: AnyModel) -> ir.Model:
    if isinstance(model, ir.Model):
        return import_model(ir.to_proto(model))
    return import_model(model) if isinstance(model, onnx.ModelProto) else read_model(model)


def _copied(source: ir.Model, trace: Trace) -> dict[ir.Value, Tensor | None]:
    """The graph written into the trace under its own names."""
    graph = source.graph
    known: dict[ir.Value, Tensor | None] = {}
    for value in graph.inputs:
        known[value] = _input(value, trace)
    for name, value in graph.initializers.items():
        if value.const_value is not None:
            known[value] = trace.initializer(name, value.const_value)
    trace.domains.update({d: v for d, v in graph.opset_imports.items() if d})
    for node in graph.all_nodes():
        if node.domain:
            node.version = graph.opset_imports.get(node.domain)
        elif (schema := schema_of(node.op_type, trace.opset)) is not None:
            node.version = schema.since_version
    copy_nodes(graph, known, trace, keep_names=True)
    return known


def _input(value: ir.Value, trace: Trace) -> Tensor:
    if isinstance(value.type, ir.TensorType):
        return trace.input(value.name or "x", value.type.dtype, dims(value))
    copy = ir.Value(name=trace.unique(value.name or "x"), type=value.type, shape=value.shape)
    trace.graph.inputs.append(copy)
    return Tensor(copy, trace)


def _seed(trace: Trace, name: str, y: Tensor) -> Tensor | None:
    return None if dims(y.value) == () else trace.input(name, y.dtype, dims(y.value))


def _free(prefix: str, name: str, taken: Container[str]) -> str:
    name = prefix + name
    while name in taken:
        name = prefix + name
    return name


def _there(known: Mapping[ir.Value, Tensor | None], value: ir.Value) -> Tensor:
    found = known[value]
    assert found is not None
    return found


def _chosen(outputs: Mapping[str, Tensor], of: Sequence[str] | None) -> list[str]:
    if of is not None:
        return list(dict.fromkeys(of))
    return [name for name, t in outputs.items() if isinstance(t.value.type, ir.TensorType) and is_float(t.value.dtype)]


def _float(tensors: Mapping[str, Tensor], name: str, kind: str) -> Tensor:
    if name not in tensors:
        raise GradientError(f"the model has no {kind} called {name!r}; {_nearest(name, tensors)}")
    if not isinstance(tensors[name].value.type, ir.TensorType) or not is_float(tensors[name].value.dtype):
        raise GradientError(f"{name!r} is {describe(tensors[name].value)}; only float tensors have gradients")
    return tensors[name]


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 3)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else f"it has {', '.join(list(known)[:10])}"
