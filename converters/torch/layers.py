"""Our layers' weights as torch's modules name and lay them out, both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from onnxdl import nn
from onnxdl.nn.layer import Layer
from onnxdl.nn.parameter import Parameter

State = dict[str, np.ndarray]
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


class Port(NamedTuple):
    """How one of our layers keeps what a torch module keeps."""

    module: str
    to_torch: Callable[[Any], State]
    from_torch: Callable[[Any, State], None]


class Unit(NamedTuple):
    """A layer with weights, its path among the layers, and its way to torch."""

    path: str
    layer: Layer
    port: Port


def _by_name(**names: str) -> tuple[Callable[[Any], State], Callable[[Any, State], None]]:
    """Weights of one layout on both sides: torch's names, and ours."""

    def to_torch(layer: Any) -> State:
        return {theirs: getattr(layer, own).value for theirs, own in names.items() if getattr(layer, own, None) is not None}

    def from_torch(layer: Any, state: State) -> None:
        for theirs, array in state.items():
            getattr(layer, names[theirs]).value = array

    return to_torch, from_torch


def _dense_out(layer: Any) -> State:
    return {"weight": layer.kernel.value.T, **_bias(layer)}


def _dense_in(layer: Any, state: State) -> None:
    layer.kernel.value = state["weight"].T
    if "bias" in state:
        layer.bias.value = state["bias"]


def _bias(layer: Any) -> State:
    return {"bias": layer.bias.value} if layer.bias is not None else {}


def _batch_norm_out(layer: Any) -> State:
    state = _by_name(weight="gamma", bias="beta", running_mean="moving_mean", running_var="moving_variance")[0](layer)
    return {**state, "num_batches_tracked": np.zeros((), np.int64)}


def _batch_norm_in(layer: Any, state: State) -> None:
    kept = {k: v for k, v in state.items() if k != "num_batches_tracked"}
    _by_name(weight="gamma", bias="beta", running_mean="moving_mean", running_var="moving_variance")[1](layer, kept)


def _gates(array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """The rows of a torch weight, gate by gate, in another order."""
    return np.concatenate([np.split(array, len(order))[i] for i in order]) if len(order) > 1 else array


def _recurrent_out(layer: Any) -> State:
    cell, order = layer.cell, _ORDERS[type(layer)]
    state = {"weight_ih": _gates(cell.kernel.value.T, order), "weight_hh": _gates(cell.recurrent_kernel.value.T, order)}
    if cell.bias is not None:
        bias = cell.bias.value
        rows = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
        state["bias_ih"], state["bias_hh"] = (_gates(row, order) for row in rows)
    return state


def _recurrent_in(layer: Any, state: State) -> None:
    cell, order = layer.cell, _ORDERS[type(layer)]
    cell.kernel.value, cell.recurrent_kernel.value = (_gates(state[k], order).T for k in ("weight_ih", "weight_hh"))
    if cell.bias is not None and "bias_ih" in state:
        rows = [_gates(state[k], order) for k in ("bias_ih", "bias_hh")]
        cell.bias.value = np.stack(rows) if cell.bias.value.ndim == 2 else rows[0] + rows[1]


_ORDERS: Mapping[type[Layer], tuple[int, ...]] = {nn.LSTM: (0, 1, 2, 3), nn.GRU: (1, 0, 2), nn.SimpleRNN: (0,)}
"""Torch's i f g o are our i f c o; its r z n our z r h, which is its own inverse."""


def _bidirectional_out(layer: Any) -> State:
    backward = {f"{k}_reverse": v for k, v in _recurrent_out(layer.backward_layer).items()}
    return {**_recurrent_out(layer.forward_layer), **backward}


def _bidirectional_in(layer: Any, state: State) -> None:
    _recurrent_in(layer.forward_layer, {k: v for k, v in state.items() if not k.endswith("_reverse")})
    _recurrent_in(layer.backward_layer, {k.removesuffix("_reverse"): v for k, v in state.items() if k.endswith("_reverse")})


def _attention_out(layer: Any) -> State:
    parts = [layer.query_dense, layer.key_dense, layer.value_dense]
    weights = [p.kernel.value.reshape(p.kernel.shape[0], -1).T for p in parts]
    output = layer.output_dense.kernel.value
    own = {"in_proj_weight": np.concatenate(weights)}
    inner = {"out_proj.weight": output.reshape(-1, output.shape[-1]).T}
    if layer.use_bias:
        own["in_proj_bias"] = np.concatenate([p.bias.value.reshape(-1) for p in parts])
        inner["out_proj.bias"] = layer.output_dense.bias.value
    return {**own, **inner}


def _attention_in(layer: Any, state: State) -> None:
    parts = [layer.query_dense, layer.key_dense, layer.value_dense]
    for part, weight in zip(parts, np.split(state["in_proj_weight"], 3), strict=True):
        part.kernel.value = weight.T.reshape(part.kernel.shape)
    layer.output_dense.kernel.value = state["out_proj.weight"].T.reshape(layer.output_dense.kernel.shape)
    if layer.use_bias:
        for part, bias in zip(parts, np.split(state["in_proj_bias"], 3), strict=True):
            part.bias.value = bias.reshape(part.bias.shape)
        layer.output_dense.bias.value = state["out_proj.bias"]


def _depthwise_out(layer: Any) -> State:
    return {"weight": _kernel_of(layer).value, **_bias(layer)}


def _depthwise_in(layer: Any, state: State) -> None:
    _kernel_of(layer).value = state["weight"]
    if "bias" in state:
        layer.bias.value = state["bias"]


def _kernel_of(layer: Any) -> Parameter:
    kernel: Parameter = layer.depthwise_kernel if hasattr(layer, "depthwise_kernel") else layer.kernel
    return kernel


_SAME = _by_name(weight="kernel", bias="bias")
_NORM = _by_name(weight="gamma", bias="beta")

PORTS: Mapping[type[Layer], Port] = {
    nn.Dense: Port("Linear", _dense_out, _dense_in),
    nn.Conv1D: Port("Conv1d", *_SAME),
    nn.Conv2D: Port("Conv2d", *_SAME),
    nn.Conv3D: Port("Conv3d", *_SAME),
    nn.Conv1DTranspose: Port("ConvTranspose1d", *_SAME),
    nn.Conv2DTranspose: Port("ConvTranspose2d", *_SAME),
    nn.Conv3DTranspose: Port("ConvTranspose3d", *_SAME),
    nn.DepthwiseConv1D: Port("Conv1d", _depthwise_out, _depthwise_in),
    nn.DepthwiseConv2D: Port("Conv2d", _depthwise_out, _depthwise_in),
    nn.BatchNormalization: Port("BatchNorm", _batch_norm_out, _batch_norm_in),
    nn.LayerNormalization: Port("LayerNorm", *_NORM),
    nn.GroupNormalization: Port("GroupNorm", *_NORM),
    nn.RMSNormalization: Port("RMSNorm", *_by_name(weight="scale")),
    nn.Embedding: Port("Embedding", *_by_name(weight="embeddings")),
    nn.LSTM: Port("LSTM", _recurrent_out, _recurrent_in),
    nn.GRU: Port("GRU", _recurrent_out, _recurrent_in),
    nn.SimpleRNN: Port("RNN", _recurrent_out, _recurrent_in),
    nn.Bidirectional: Port("bidirectional recurrent layer", _bidirectional_out, _bidirectional_in),
    nn.MultiHeadAttention: Port("MultiheadAttention", _attention_out, _attention_in),
}
"""Our layers that a torch module has the weights of."""


def units_of(model: Layer) -> Iterator[Unit | str]:
    """The layers with weights in their order, each once; for one that torch has no module for, its path and class."""
    seen: set[int] = set()
    yield from _units(model, "", seen)


def _units(layer: Layer, path: str, seen: set[int]) -> Iterator[Unit | str]:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    port = PORTS.get(type(layer))
    if port is not None:
        yield Unit(path, layer, port)
        return
    if layer._own():
        yield f"{path or type(layer).__name__} ({type(layer).__name__})"
        return
    for name, child in layer.children():
        own = child.name or name
        yield from _units(child, f"{path}.{own}" if path else own, seen)
