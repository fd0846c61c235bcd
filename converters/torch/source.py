"""A model made here as PyTorch source that a person would write, with its weights beside it: ``net.py`` and ``net.pth``."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import onnx_ir as ir

from onnxdl import nn
from onnxdl.converters.torch.layers import PORTS
from onnxdl.errors import ConversionError
from onnxdl.graph.infer import dims
from onnxdl.io.atomic import replacing
from onnxdl.nn.convolution import padding_attributes
from onnxdl.nn.layer import Layer, watching
from onnxdl.nn.structure import tensors_in
from onnxdl.nn.symbolic import DOMAIN, scratch_trace, way
from onnxdl.train.model import Model
from onnxdl.train.sequential import Sequential


class Call(NamedTuple):
    """One layer called once: the names that it takes, the shape of the first of them, and the name that it gives."""

    layer: Layer
    arguments: list[str]
    shape: tuple[Any, ...]
    result: str


class Written(NamedTuple):
    """A layer in torch: what its module is made with (None where it needs none), and the expression of its call."""

    module: str | None
    expression: str


def write_source(model: Model, path: Path) -> None:
    """Writes ``path`` (``.py``) with a class ``Net``, and its weights as ``.pth`` beside it.

    Raises:
        ConversionError: the model has layers or options that torch has no equal of; all are listed.
    """
    from onnxdl.converters.torch.writing import write

    model.ensure_built()
    text = source_of(model)
    write(model, path.with_suffix(".pth"))
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def source_of(model: Model) -> str:
    """The source of a module that computes what a model does."""
    calls, inputs, outputs = _calls(model)
    modules: dict[str, str] = {}
    steps: list[str] = []
    refused: list[str] = []
    for call in calls:
        name = call.layer.name or type(call.layer).__name__
        write = _WRITERS.get(type(call.layer))
        if write is None or not name.isidentifier() or keyword.iskeyword(name):
            refused.append(f"{name} ({type(call.layer).__name__})")
            continue
        try:
            written = write(call.layer, f"self.{name}", call)
        except ConversionError as error:
            refused.append(f"{name} ({error})")
            continue
        if written.module is not None:
            modules[name] = written.module
        steps.append(f"{call.result} = {_activated(call.layer, written.expression)}")
    if refused:
        raise ConversionError(f"PyTorch source has no equal of {', '.join(refused)}")
    made = "\n".join(f"        self.{name} = {module}" for name, module in modules.items())
    forward = "\n".join(f"        {step}" for step in steps)
    takes = ", ".join(f"{name}: Tensor" for name in inputs)
    gives = "Tensor" if len(outputs) == 1 else f"tuple[{', '.join(['Tensor'] * len(outputs))}]"
    return _TEMPLATE.format(made=made, forward=forward, takes=takes, gives=gives, outputs=", ".join(outputs))


_TEMPLATE = '''"""A model as PyTorch source; its weights: ``net.load_state_dict(torch.load("....pth"))``."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
{made}

    def forward(self, {takes}) -> {gives}:
{forward}
        return {outputs}
'''


# ---- the calls of a model ------------------------------------------------------------------------------------------------


def _calls(model: Model) -> tuple[list[Call], list[str], list[str]]:
    if isinstance(model, Sequential):
        return _of_sequential(model)
    if model._inputs is None:
        raise ConversionError(
            f"{type(model).__name__} computes by code of its own; only Sequential and functional models are written as source"
        )
    inputs, outputs = tensors_in(model._inputs), tensors_in(model._outputs)
    names: dict[ir.Value, str] = {t.value: spec.name for t, spec in zip(inputs, model.input_specs, strict=True)}
    calls: list[Call] = []
    for node in way(inputs, outputs)[0]:
        if node.domain != DOMAIN:
            raise ConversionError(f"arithmetic between layers ({node.op_type}) is not written as source; use a layer such as nn.Add")
        call = node.meta["call"]
        given = [t.value for t in tensors_in((call.args, call.kwargs))]
        if len(node.outputs) != 1 or any(v not in names for v in given):
            raise ConversionError(f"{call.layer!r} gives or takes several tensors in a way that is not written as source")
        names[node.outputs[0]] = f"x{len(calls)}"
        calls.append(Call(call.layer, [names[v] for v in given], dims(given[0]) or (), f"x{len(calls)}"))
    return calls, [s.name for s in model.input_specs], [names[t.value] for t in outputs]


def _of_sequential(model: Sequential) -> tuple[list[Call], list[str], list[str]]:
    shapes: dict[int, tuple[Any, ...]] = {}
    spec = model.input_specs[0]
    with scratch_trace() as trace, watching(lambda layer, result: shapes.update({id(layer): tensors_in(result)[0].shape})):
        model.at_top(trace.input(spec.name, spec.dtype, spec.shape))
    calls, shape = [], spec.shape
    for layer in (x for x in model.layers if not isinstance(x, nn.InputLayer)):
        calls.append(Call(layer, ["x"], shape, "x"))
        shape = shapes[id(layer)]
    return calls, ["x"], ["x"]


# ---- layers --------------------------------------------------------------------------------------------------------------

_ACTIVATIONS: Mapping[str, str] = {
    "linear": "{}",
    "relu": "F.relu({})",
    "relu6": "F.relu6({})",
    "leaky_relu": "F.leaky_relu({}, 0.2)",
    "elu": "F.elu({})",
    "selu": "F.selu({})",
    "celu": "F.celu({})",
    "sigmoid": "torch.sigmoid({})",
    "log_sigmoid": "F.logsigmoid({})",
    "hard_sigmoid": "F.hardsigmoid({})",
    "tanh": "torch.tanh({})",
    "softmax": "F.softmax({}, dim=-1)",
    "log_softmax": "F.log_softmax({}, dim=-1)",
    "softplus": "F.softplus({})",
    "softsign": "F.softsign({})",
    "exponential": "torch.exp({})",
    "silu": "F.silu({})",
    "hard_silu": "F.hardswish({})",
    "gelu": "F.gelu({})",
    "mish": "F.mish({})",
}


def _activated(layer: Any, expression: str) -> str:
    activation = getattr(layer, "activation", None)
    return expression if activation is None else _ACTIVATIONS[activation.__name__].format(expression)


def _checked(layer: Any) -> None:
    activation = getattr(layer, "activation", None)
    if activation is not None and getattr(activation, "__name__", "?") not in _ACTIVATIONS:
        raise ConversionError(f"activation {getattr(activation, '__name__', activation)!r}")
    if getattr(layer, "data_format", None) not in (None, "channels_first"):
        raise ConversionError("data_format='channels_last'")


def _parameters(**options: Any) -> str:
    return ", ".join(f"{k}={v!r}" for k, v in options.items() if v is not None)


def _dense(layer: Any, name: str, call: Call) -> Written:
    _checked(layer)
    more = "" if layer.use_bias else ", bias=False"
    return Written(f"nn.Linear({layer.kernel.shape[0]}, {layer.kernel.shape[1]}{more})", f"{name}({call.arguments[0]})")


def _margins(
    padding: str, window: Sequence[int], call: Call, strides: Sequence[int], dilation: Sequence[int]
) -> tuple[list[int], list[int]]:
    attributes = padding_attributes(padding, list(window), list(call.shape[2:]), list(strides), list(dilation))
    if "auto_pad" in attributes:
        raise ConversionError("padding='same' of an input whose size is not known")
    n = len(window)
    pads: list[int] = list(attributes.get("pads", [0] * (2 * n)))
    return pads[:n], pads[n:]


def _padded(x: str, low: Sequence[int], high: Sequence[int], value: str = "") -> str:
    sides = [n for a, b in zip(reversed(low), reversed(high), strict=True) for n in (a, b)]
    return f"F.pad({x}, {tuple(sides)}{value})"


def _conv(layer: Any, name: str, call: Call) -> Written:
    _checked(layer)
    kernel = (layer.depthwise_kernel if hasattr(layer, "depthwise_kernel") else layer.kernel).shape
    channels = call.shape[1]
    low, high = _margins(layer.padding, layer.kernel_size, call, layer.strides, layer.dilation_rate)
    x = call.arguments[0] if low == high else _padded(call.arguments[0], low, high)
    options = {
        "stride": tuple(layer.strides) if max(layer.strides) > 1 else None,
        "padding": tuple(low) if low == high and max(low) else None,
        "dilation": tuple(layer.dilation_rate) if max(layer.dilation_rate) > 1 else None,
        "groups": channels // kernel[1] if channels != kernel[1] else None,
        "bias": None if layer.use_bias else False,
    }
    told = _parameters(**options)
    module = f"nn.{PORTS[type(layer)].module}({channels}, {kernel[0]}, {tuple(layer.kernel_size)}{', ' + told if told else ''})"
    return Written(module, f"{name}({x})")


def _batch_norm(layer: Any, name: str, call: Call) -> Written:
    if layer.axis not in (1, 1 - len(call.shape)) or not (layer.center and layer.scale):
        raise ConversionError("an axis other than 1, or without center and scale")
    rank = max(len(call.shape) - 2, 1)
    options = _parameters(eps=layer.epsilon, momentum=round(1 - layer.momentum, 12))
    return Written(f"nn.BatchNorm{rank}d({layer.gamma.shape[0]}, {options})", f"{name}({call.arguments[0]})")


def _layer_norm(layer: Any, name: str, call: Call) -> Written:
    if layer.gamma is None or layer.beta is None:
        raise ConversionError("without center and scale")
    return Written(f"nn.LayerNorm({tuple(layer.gamma.shape)}, eps={layer.epsilon!r})", f"{name}({call.arguments[0]})")


def _embedding(layer: Any, name: str, call: Call) -> Written:
    rows, width = layer.embeddings.shape
    if layer.mask_zero:
        raise ConversionError("mask_zero=True")
    return Written(f"nn.Embedding({rows}, {width})", f"{name}({call.arguments[0]})")


def _recurrent(layer: Any, name: str, call: Call) -> Written:
    if not layer.fits_operator() or layer.go_backwards or layer.return_state or layer.cell.dropout or layer.cell.recurrent_dropout:
        raise ConversionError("activations, dropout, return_state or go_backwards that torch's has not")
    bias = "" if layer.cell.bias is not None else ", bias=False"
    last = "" if layer.return_sequences else "[:, -1]"
    module = f"nn.{PORTS[type(layer)].module}({layer.cell.kernel.shape[0]}, {layer.cell.units}, batch_first=True{bias})"
    return Written(module, f"{name}({call.arguments[0]})[0]{last}")


def _pool(layer: Any, name: str, call: Call) -> Written:
    _checked(layer)
    average = layer.operator == "AveragePool"
    low, high = _margins(layer.padding, layer.pool_size, call, layer.strides, [1] * layer.rank)
    x = call.arguments[0]
    if low != high:
        if average:
            raise ConversionError("padding='same' that differs between both ends")
        x, low = _padded(x, low, high, ', value=float("-inf")'), [0] * layer.rank
    options = _parameters(
        stride=tuple(layer.strides), padding=tuple(low) if max(low) else None, count_include_pad=False if average else None
    )
    function = f"F.{'avg' if average else 'max'}_pool{layer.rank}d"
    return Written(None, f"{function}({x}, {tuple(layer.pool_size)}, {options})")


def _global_pool(layer: Any, name: str, call: Call) -> Written:
    _checked(layer)
    axes, keep = tuple(range(2, len(call.shape))), ", keepdim=True" if layer.keepdims else ""
    return Written(None, f"{call.arguments[0]}.{'mean' if 'Average' in type(layer).__name__ else 'amax'}({axes}{keep})")


def _joined(sign: str) -> Callable[[Any, str, Call], Written]:
    return lambda layer, name, call: Written(None, sign.join(call.arguments))


def _expression(write: Callable[[Any, str], str]) -> Callable[[Any, str, Call], Written]:
    def written(layer: Any, name: str, call: Call) -> Written:
        _checked(layer)
        return Written(None, write(layer, call.arguments[0]))

    return written


def _dropout(layer: Any, name: str, call: Call) -> Written:
    if layer.noise_shape is not None:
        raise ConversionError("noise_shape")
    return Written(f"nn.Dropout({layer.rate})", f"{name}({call.arguments[0]})")


def _relu(layer: Any, x: str) -> str:
    if layer.threshold or (layer.max_value is not None and layer.negative_slope):
        raise ConversionError("threshold, or max_value with negative_slope")
    if layer.max_value is not None:
        return f"torch.clamp({x}, 0.0, {layer.max_value})"
    return f"F.leaky_relu({x}, {layer.negative_slope})" if layer.negative_slope else f"F.relu({x})"


def _zero_padding(layer: Any, x: str) -> str:
    return _padded(x, [low for low, _ in layer.padding], [high for _, high in layer.padding])


def _reshape(layer: Any, x: str) -> str:
    return f"{x}.reshape({x}.shape[0], {', '.join(map(str, layer.target_shape))})"


_WRITERS: Mapping[type[Layer], Callable[[Any, str, Call], Written]] = {
    nn.Dense: _dense,
    **dict.fromkeys((nn.Conv1D, nn.Conv2D, nn.Conv3D, nn.DepthwiseConv1D, nn.DepthwiseConv2D), _conv),
    nn.BatchNormalization: _batch_norm,
    nn.LayerNormalization: _layer_norm,
    nn.Embedding: _embedding,
    **dict.fromkeys((nn.LSTM, nn.GRU, nn.SimpleRNN), _recurrent),
    **dict.fromkeys((nn.MaxPooling1D, nn.MaxPooling2D, nn.MaxPooling3D), _pool),
    **dict.fromkeys((nn.AveragePooling1D, nn.AveragePooling2D, nn.AveragePooling3D), _pool),
    **dict.fromkeys((nn.GlobalAveragePooling1D, nn.GlobalAveragePooling2D, nn.GlobalMaxPooling1D, nn.GlobalMaxPooling2D), _global_pool),
    nn.Add: _joined(" + "),
    nn.Subtract: _joined(" - "),
    nn.Multiply: _joined(" * "),
    nn.Concatenate: lambda layer, name, call: Written(None, f"torch.cat([{', '.join(call.arguments)}], dim={layer.axis})"),
    nn.Dropout: _dropout,
    nn.Activation: _expression(lambda layer, x: x),
    nn.Identity: _expression(lambda layer, x: x),
    nn.ReLU: _expression(_relu),
    nn.LeakyReLU: _expression(lambda layer, x: f"F.leaky_relu({x}, {layer.negative_slope})"),
    nn.ELU: _expression(lambda layer, x: f"F.elu({x}, {layer.alpha})"),
    nn.Softmax: _expression(lambda layer, x: f"F.softmax({x}, dim={layer.axis})"),
    nn.Flatten: _expression(lambda layer, x: f"torch.flatten({x}, 1)"),
    nn.Reshape: _expression(_reshape),
    nn.Permute: _expression(lambda layer, x: f"{x}.permute({(0, *layer.dims)})"),
    nn.RepeatVector: _expression(lambda layer, x: f"{x}[:, None].expand(-1, {layer.n}, -1)"),
    **dict.fromkeys((nn.ZeroPadding1D, nn.ZeroPadding2D, nn.ZeroPadding3D), _expression(_zero_padding)),
}
"""How each layer is written."""
