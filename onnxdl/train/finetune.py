"""Fine-tuning what exists: cut a model anywhere, choose what trains, put back what exporters fold away, adapt with low rank.

A model read from an .onnx file keeps its own names for all that was in it. A new head goes on as on any model:
``ox.Model(body.input, nn.Dense(10)(body.output))``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir

from onnxdl.errors import GraphError
from onnxdl.graph import surgery
from onnxdl.graph.infer import dims
from onnxdl.nn.core import Dense, InputLayer
from onnxdl.nn.imported import Imported
from onnxdl.nn.layer import Layer
from onnxdl.nn.lora import LowRank
from onnxdl.nn.parameter import Parameter
from onnxdl.nn.pooling import GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D
from onnxdl.train.load import model_of
from onnxdl.train.model import Model

__all__ = [
    "add_lora",
    "cut",
    "features",
    "insert_batch_normalization",
    "insert_dropout",
    "merge_lora",
    "tensors",
    "train_only",
    "with_head",
]

EPSILON = 1e-5
LINEAR = ("Conv", "Gemm", "MatMul")


def train_only(model: Layer, *patterns: str) -> list[str]:
    """Trains the weights that a pattern (``head.*``) names and freezes the others; takes effect at the next ``compile``.

    Batch normalisation whose scale and shift are frozen keeps its running statistics too. A weight that is not trained by nature,
    such as a factor in an imported graph, is trained if a pattern is its very name.

    Returns:
        The names of the weights that train.

    Raises:
        GraphError: a pattern names nothing.
    """
    model.trainable = True
    weights = dict(model.named_parameters())
    chosen = set(surgery.named(weights, patterns, "weight"))
    for name, parameter in weights.items():
        parameter.trainable = parameter.trainable or name in patterns
        parameter.frozen = name not in chosen
    trained = {id(p) for p in weights.values() if not p.frozen}
    for layer in model.layers_below():
        if layer.weights and not any(id(p) in trained for p in layer.weights):
            layer.trainable = False
    return [name for name, p in weights.items() if p.trainable and not p.frozen]


def add_lora(model: Layer, rank: int, *patterns: str, alpha: float | None = None) -> list[str]:
    """Adapts the matrices and filters that a pattern names by ``W + alpha / rank * A B`` and freezes all other weights.

    Args:
        model: any model, of layers or imported; it computes the same as before until it is trained.
        rank: the columns of A and rows of B.
        patterns: names of weights, ``*`` by default; those of less than two dimensions are passed over.
        alpha: how much the product counts, ``rank`` by default.

    Returns:
        The names of the adapted weights.

    Raises:
        GraphError: a pattern names nothing, or nothing that can be adapted.
    """
    weights = dict(model.named_parameters())
    names = surgery.named(weights, patterns or ("*",), "weight")
    adapted = [name for name in names if len(weights[name].shape) > 1 and weights[name].trainable and weights[name].adapter is None]
    if rank < 1 or not adapted:
        raise GraphError(
            f"nothing to adapt with rank {rank} by {', '.join(patterns)}: it takes weights of two dimensions or more, and a rank from 1"
        )
    for name in adapted:
        weights[name].adapter = LowRank(weights[name], rank, rank if alpha is None else alpha)
    _forget_programs(model)
    train_only(model, "*.lora_a", "*.lora_b")
    return adapted


def merge_lora(model: Layer) -> list[str]:
    """Adds each adapter's product to its weight and takes the adapter away: the model computes the same, under its first names.

    All its weights train again at the next ``compile``, which it needs before it is trained again.

    Returns:
        The names of the weights that were adapted.
    """
    weights: dict[str, Parameter] = {name: p for name, p in model.named_parameters() if p.adapter is not None}
    for parameter in weights.values():
        merged = (parameter + 0.0).numpy()
        parameter.adapter = None
        parameter.value = merged
    model.trainable = True
    _forget_programs(model)
    return list(weights)


def tensors(model: Model) -> list[str]:
    """The names at which a model from an .onnx file can be cut, in the order of computation."""
    return [v.name for node in _graph_of(model).present().graph for v in node.outputs if v.name and dims(v) is not None]


def cut(model: Model, *outputs: str, inputs: Sequence[str] = ()) -> Model:
    """The part of a model from an .onnx file that ends at the tensors of those names, with its present weights.

    Args:
        model: the model; models made of layers are cut by ``ox.Model(model.input, layer.output)``.
        outputs: where it ends.
        inputs: where it begins, by default at the model's own inputs.

    Raises:
        GraphError: there is no such tensor, or the part needs an input that was cut off.
    """
    return model_of(surgery.cut(_graph_of(model).present(), outputs, inputs))


class Features(NamedTuple):
    """A tensor's name, and whether its channels are the second dimension or the last."""

    name: str
    channels_first: bool


def features(model: Model) -> Features:
    """The tensor that the last linear operator of a model from an .onnx file works on: where a new head goes on.

    Raises:
        GraphError: no output comes from a linear operator with weights, or the file does not give that tensor's shape.
    """
    layer = _graph_of(model)
    graph = layer.present().graph
    seen, pending = set[ir.Value](), list(graph.outputs)
    while pending:
        value = pending.pop(0)
        node = value.producer()
        if node is None or value in seen:
            continue
        seen.add(value)
        if node.op_type in LINEAR and node.domain == "" and dims(node.inputs[0]) is not None:  # type: ignore[arg-type]
            return Features(node.inputs[0].name or "", node.op_type == "Conv")  # type: ignore[union-attr]
        pending.extend(v for v in node.inputs if v is not None)
    raise GraphError("the model has no Gemm, MatMul or Conv to put a new head in the place of; cut it at a tensor that you name")


def with_head(model: Model, units: int, activation: Any = None, *, at: str | None = None) -> Model:
    """A model from an .onnx file with a new last layer, called ``head``, of as many outputs.

    Args:
        model: the model; its weights up to there stay.
        units: the outputs.
        activation: of the head.
        at: the tensor that the head goes on, by default ``features(model)``. Maps are averaged over their places, sequences over
            time.
    """
    name, channels_first = features(model) if at is None else (at, None)
    body = cut(model, name)
    found = body.output
    if found.ndim > 2:
        channels_first = found.ndim > 3 if channels_first is None else channels_first
        pooling = {3: GlobalAveragePooling1D, 4: GlobalAveragePooling2D, 5: GlobalAveragePooling3D}[found.ndim]
        found = pooling(data_format="channels_first" if channels_first else "channels_last")(found)
    return Model(body.input, Dense(units, activation=activation, name="head")(found), name=model.name)


def insert_dropout(model: Model, rate: float, *patterns: str) -> Model:
    """A model from an .onnx file with Dropout after the tensors that a pattern names; exporters leave it out.

    Raises:
        GraphError: a pattern names nothing, or the rate is not from 0 to below 1.
    """
    if not 0 <= rate < 1:
        raise GraphError(f"a dropout rate is from 0 to below 1, not {rate}")
    present = _graph_of(model).present()
    values = {v.name: v for node in present.graph for v in node.outputs if v.name}
    for name in surgery.named(values, patterns, "tensor of the graph"):
        surgery.insert_after(present.graph, values[name], "Dropout", {"ratio": np.array(rate, np.float32)}, {})
    return model_of(present)


def insert_batch_normalization(model: Model, data: Any, *patterns: str, batch_size: int = 32) -> Model:
    """A model from an .onnx file with BatchNormalization after its convolutions, into which exporters fold it.

    Statistics and scale are those of the convolution's results on ``data``, so that the model computes the same as before.

    Args:
        model: the model.
        data: inputs, as ``predict`` takes them.
        patterns: names of convolutions' results, by default of all.
        batch_size: samples at a time.

    Raises:
        GraphError: a pattern names no convolution's result.
    """
    present = _graph_of(model).present()
    values = {v.name or "": v for node in present.graph if node.op_type == "Conv" and node.domain == "" for v in node.outputs}
    for name in surgery.named(values, patterns or ("*",), "result of a convolution"):
        results = cut(model, name).predict(data, batch_size, verbose=0)
        axes = tuple(i for i in range(results.ndim) if i != 1)
        mean, variance = results.mean(axes, dtype=np.float64), results.var(axes, dtype=np.float64)
        arrays = {"scale": np.sqrt(variance + EPSILON), "shift": mean, "mean": mean, "variance": variance}
        arrays = {key: array.astype(results.dtype) for key, array in arrays.items()}
        surgery.insert_after(present.graph, values[name], "BatchNormalization", arrays, {"epsilon": EPSILON})
    return model_of(present)


def _forget_programs(model: Layer) -> None:
    """Programs of other weights than the model has now, and what they were compiled to train."""
    for layer in model.layers_below():
        if isinstance(layer, Model):
            layer.programs.clear()
            layer.compiled = None


def _graph_of(model: Model) -> Imported:
    others = [layer for layer in model.layers if not isinstance(layer, InputLayer)]
    found = [layer for layer in others if isinstance(layer, Imported)]
    if len(found) != 1 or len(others) != 1:
        raise GraphError("this model is made of layers; it is changed as a script would: ox.Model(model.input, layer.output)")
    return found[0]
