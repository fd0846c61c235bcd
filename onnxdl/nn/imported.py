"""Imported: an ONNX graph, from any producer, as a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from onnxdl.errors import GraphError, ShapeError
from onnxdl.graph import op, random
from onnxdl.graph.dtypes import DTypeLike, to_numpy
from onnxdl.graph.infer import Dim, describe, dims, schema_of
from onnxdl.graph.tensor import Tensor, as_tensor
from onnxdl.graph.trace import DEFAULT_OPSET, IR_VERSION, Trace, current_trace, scope
from onnxdl.graph.walk import copy_nodes
from onnxdl.nn.found_weights import constant_array, find_weights
from onnxdl.nn.layer import Layer
from onnxdl.nn.normalization import by_batch_statistics, moved
from onnxdl.nn.parameter import Parameter
from onnxdl.nn.regularization import shape_of_noise
from onnxdl.nn.structure import tensors_in


class Pretrained:
    """The initializer that gives a parameter the value that a file holds for it."""

    def __init__(self, name: str, array: np.ndarray) -> None:
        self.name, self.array = name, array

    def __call__(self, shape: tuple[int, ...], dtype: DTypeLike, key: Tensor) -> Tensor:
        trace = current_trace()
        value = self.array.astype(to_numpy(dtype), copy=False)
        return as_tensor(value) if trace is None else trace.initializer(f"pretrained/{self.name}", value)


class Imported(Layer):
    """The graph of an ONNX model, copied into the trace at each call under its own names.

    Its float initializers are Parameters whose names in the State are the file's own; whole numbers and settings stay
    constants. While training, Dropout drops by the seed and the step, and BatchNormalization uses the batch's
    statistics and moves the running ones, as the operator defines it, unless the layer is frozen. Inside branch and
    loop bodies both stay as they are. Takes the graph's inputs one by one, as a list, or as a dict by name; returns
    its output, or a list of several.

    Args:
        model: the model, of opset 21 or later, as ``onnx_file.read`` gives it.
    """

    scoped = False
    full_precision = True

    def __init__(self, model: ir.Model, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        model = model.clone()
        if model.functions:
            InlinePass()(model)
        self.metadata = dict(model.metadata_props)
        self._graph = model.graph
        self._domains = {d: v for d, v in self._graph.opset_imports.items() if d not in ("", "ai.onnx")}
        opset = self._graph.opset_imports.get("", DEFAULT_OPSET)
        if opset < DEFAULT_OPSET:
            raise GraphError(f"the graph {self._graph.name!r} is of opset {opset}; load its file, which upgrades it to {DEFAULT_OPSET}")
        _note_versions(self._graph, opset)
        self._weights: dict[ir.Value, Parameter] = {}
        for value, array, trainable in find_weights(self._graph):
            weight_name = value.name or f"weight_{len(self._weights)}"
            parameter = self.add_weight(array.shape, Pretrained(weight_name, array), array.dtype, trainable, name=weight_name)
            parameter.value = array
            self._weights[value] = parameter

    @property
    def input_specs(self) -> list[tuple[str, np.dtype[Any], tuple[Dim, ...]]]:
        """Name, element type and shape of each input; a dimension is None where the file says nothing of it."""
        return [(v.name or "", to_numpy(_tensor_type(v)), _known_rank(v)) for v in self._graph.inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs."""
        return [v.name or "" for v in self._graph.outputs]

    def present(self) -> ir.Model:
        """The graph with the weights' present values, as a model of its own."""
        graph = self._graph.clone()
        values = ir.convenience.create_value_mapping(graph, include_subgraphs=False)
        for held, parameter in self._weights.items():
            value = values[held.name or ""]
            node, stored = value.producer(), ir.tensor(parameter.value, name=held.name)
            if node is None:
                value.const_value = stored
            else:
                constant = ir.node("Constant", [], {"value": stored}, name=node.name)
                ir.convenience.replace_nodes_and_values(graph, node, [node], [constant], [value], constant.outputs)
        return ir.Model(graph, ir_version=IR_VERSION, metadata_props=dict(self.metadata))

    def call(self, *inputs: Any, training: bool = False) -> Any:
        trace = current_trace()
        known: dict[ir.Value, Tensor | None] = dict(zip(self._graph.inputs, self._given(inputs), strict=True))
        known.update((value, as_tensor(parameter)) for value, parameter in self._weights.items())
        known.update((v, self._constant(v, trace)) for v in self._graph.initializers.values() if v not in known)
        if trace is not None:
            trace.root.domains.update(self._domains)
        for node in self._graph:
            if any(v in self._weights for v in node.outputs):
                continue
            results = self._rewritten(node, known, training)
            if results is None:
                copy_nodes([node], known, trace, keep_names=True)
            else:
                known.update(zip(node.outputs, results, strict=True))
        outputs = [known[v] for v in self._graph.outputs]
        return outputs[0] if len(outputs) == 1 else outputs

    def _given(self, inputs: tuple[Any, ...]) -> list[Tensor]:
        wanted = self._graph.inputs
        names = [v.name or "" for v in wanted]
        if len(inputs) == 1 and isinstance(inputs[0], dict):
            if set(inputs[0]) != set(names):
                raise ShapeError(f"the graph takes the inputs {', '.join(names)}, not {', '.join(map(str, inputs[0]))}")
            values = [inputs[0][n] for n in names]
        else:
            values = tensors_in(list(inputs))
        if len(values) != len(wanted):
            raise ShapeError(f"the graph takes {len(wanted)} inputs ({', '.join(names)}), not {len(values)}")
        for value, tensor in zip(wanted, values, strict=True):
            if value.dtype != tensor.value.dtype:
                raise ShapeError(f"the input {value.name!r} is {describe(value)}, not {describe(tensor.value)}; convert it with .astype")
        return values

    def _constant(self, value: ir.Value, trace: Trace | None) -> Tensor:
        """An initializer that is no weight; in a trace it is one there too, written once however often the layer is called."""
        stored = value.const_value
        if stored is None:
            raise GraphError(f"the initializer {value.name!r} holds no data")
        if trace is None:
            return as_tensor(stored.numpy())
        held = trace.root.variables
        if (self, value) not in held:
            held[self, value] = trace.root.initializer(value.name or "constant", stored)
        return held[self, value]

    # ---- operators that behave differently in training ------------------------------------------------------------

    def _rewritten(self, node: ir.Node, known: dict[ir.Value, Tensor | None], training: bool) -> Sequence[Tensor | None] | None:
        if node.domain != "" or node.op_type not in ("Dropout", "BatchNormalization"):
            return None
        inputs = [None if v is None else known[v] for v in node.inputs]
        with scope((node.name or node.op_type).strip("/")):
            if node.op_type == "Dropout":
                return self._dropout(node, inputs, training)
            return self._batch_normalization(node, inputs, training)

    def _dropout(self, node: ir.Node, inputs: list[Tensor | None], training: bool) -> Sequence[Tensor | None] | None:
        x = inputs[0]
        assert x is not None
        rate = constant_array(node.inputs[1]) if len(inputs) > 1 and inputs[1] is not None else np.array(0.5)
        if not training:
            if len(inputs) < 3 or inputs[2] is None:
                return None
            keep = op.Expand(True, op.Shape(x))
            return [op.Identity(x), keep][: len(node.outputs)]
        if rate is None:
            raise GraphError(f"the ratio of Dropout {node.name!r} is computed at run time; only a fixed one can be trained with")
        keep = random.bernoulli(shape_of_noise(x, None), 1 - float(rate))
        y = x * (op.Cast(keep, to=x.dtype) * (1 / (1 - float(rate)))) if rate < 1 else x * 0.0
        return [y, keep][: len(node.outputs)]

    def _batch_normalization(self, node: ir.Node, inputs: list[Tensor | None], training: bool) -> Sequence[Tensor | None] | None:
        x, gamma, beta, mean, variance = inputs
        assert x is not None
        epsilon = node.attributes.get_float("epsilon", 1e-5)
        statistics = [self._weights.get(v) for v in node.inputs[3:] if v is not None]
        affine = [self._weights[v] for v in node.inputs[1:3] if v is not None and v in self._weights]
        frozen = not self.trainable or (bool(affine) and all(p.frozen for p in affine))
        if not training or frozen or any(s is None for s in statistics):
            if not node.attributes.get_int("training_mode", 0):
                return None
            return [op.BatchNormalization(x, gamma, beta, mean, variance, epsilon=epsilon), mean, variance][: len(node.outputs)]
        y, *batch = by_batch_statistics(x, gamma, beta, epsilon)
        momentum = node.attributes.get_float("momentum", 0.9)
        following = [moved(old, new, momentum) for old, new in zip(statistics, batch, strict=True) if old is not None]
        for statistic, new in zip(statistics, following, strict=True):
            if statistic is not None:
                statistic.assign(new)
        return [y, *following][: len(node.outputs)]


def _note_versions(graph: ir.Graph, opset: int) -> None:
    """Writes down the version of each node that a trace of the default opset would not give it."""
    for node in graph.all_nodes():
        if node.domain == "" and opset > DEFAULT_OPSET:
            schema = schema_of(node.op_type, opset)
            node.version = schema.since_version if schema is not None and schema.since_version > DEFAULT_OPSET else None
        elif node.domain != "":
            node.version = graph.opset_imports.get(node.domain)


def _tensor_type(value: ir.Value) -> ir.DataType:
    if value.dtype is None or not isinstance(value.type, ir.TensorType):
        raise GraphError(f"the input {value.name!r} is no tensor, and a layer takes tensors only")
    if value.dtype == ir.DataType.UNDEFINED:
        raise GraphError(f"the input {value.name!r} has no element type; the file is damaged")
    return value.dtype


def _known_rank(value: ir.Value) -> tuple[Dim, ...]:
    known = dims(value)
    if known is None:
        raise GraphError(f"the file does not say how many dimensions the input {value.name!r} has; give it a shape and save it again")
    return known
