"""The nets of the rows, built for each contestant: layers of ours or of Keras, which share their names, or PyTorch modules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.benchmarks.rows import Layer, Row

EPSILON = 1e-5


def keras_like(row: Row, kit: Any) -> Any:
    """The net as a functional model; ``kit`` has Keras's layers, ``Input`` and ``Model``, channels first."""
    x = inputs = kit.Input((row.input[0],), dtype="int64") if row.words else kit.Input(row.input)
    return kit.Model(inputs, _stack(x, row.net, row, kit, "l"))


def _stack(x: Any, net: list[Layer], row: Row, kit: Any, prefix: str) -> Any:
    for i, layer in enumerate(net):
        x = _layer(x, layer, row, kit, f"{prefix}{i}")
    return x


def _layer(x: Any, layer: Layer, row: Row, kit: Any, name: str) -> Any:
    match layer:
        case ("conv", filters, size, stride, bias):
            x = kit.ZeroPadding2D(size // 2)(x) if stride > 1 and size > 1 else x
            padding = "valid" if stride > 1 else "same"
            return kit.Conv2D(filters, size, strides=stride, padding=padding, use_bias=bias, name=name)(x)
        case ("depthwise", size, stride):
            x = kit.ZeroPadding2D(size // 2)(x) if stride > 1 else x
            padding = "valid" if stride > 1 else "same"
            return kit.DepthwiseConv2D(size, strides=stride, padding=padding, use_bias=False, name=name)(x)
        case ("bn",):
            return kit.BatchNormalization(axis=1, momentum=0.9, epsilon=EPSILON, name=name)(x)
        case ("relu",):
            return kit.Activation("relu")(x)
        case ("pool", size):
            return kit.MaxPooling2D(size)(x)
        case ("mean",):
            return kit.GlobalAveragePooling2D()(x)
        case ("flatten",):
            return kit.Flatten()(x)
        case ("dense", units):
            return kit.Dense(units, name=name)(x)
        case ("embedding", width):
            return kit.Embedding(row.input[1], width, name=name)(x)
        case ("positions",):
            return kit.PositionEmbedding(row.input[0], name=name)(x)
        case ("lstm", units):
            return kit.LSTM(units, name=name)(x)
        case ("norm",):
            return kit.LayerNormalization(epsilon=EPSILON, name=name)(x)
        case ("residual", body, shortcut):
            return kit.Add()([_stack(x, body, row, kit, f"{name}b"), _stack(x, shortcut, row, kit, f"{name}s")])
        case ("transformer", heads):
            width = x.shape[-1]
            y = kit.LayerNormalization(epsilon=EPSILON, name=f"{name}n")(x)
            x = kit.Add()([x, kit.MultiHeadAttention(heads, width // heads, name=f"{name}a")(y, y, use_causal_mask=True)])
            y = kit.LayerNormalization(epsilon=EPSILON, name=f"{name}m")(x)
            y = kit.Activation("gelu")(kit.Dense(4 * width, name=f"{name}u")(y))
            return kit.Add()([x, kit.Dense(width, name=f"{name}d")(y)])
    raise ValueError(f"unknown layer {layer}")


def torch_net(row: Row, weights: Mapping[str, np.ndarray]) -> Any:
    """The net as a PyTorch module with the given weights, by the names that ours has for them."""
    import torch
    from torch import nn

    class Residual(nn.Module):
        def __init__(self, body: Any, shortcut: Any) -> None:
            super().__init__()
            self.body, self.shortcut = body, shortcut

        def forward(self, x: Any) -> Any:
            return self.body(x) + self.shortcut(x)

    class Mean(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.mean((2, 3))

    class Positions(nn.Module):
        def __init__(self, table: Any) -> None:
            super().__init__()
            self.table = nn.Parameter(table)

        def forward(self, x: Any) -> Any:
            return x + self.table[: x.shape[1]]

    class Last(nn.Module):
        def __init__(self, lstm: Any) -> None:
            super().__init__()
            self.lstm = lstm

        def forward(self, x: Any) -> Any:
            return self.lstm(x)[0][:, -1]

    class Transformer(nn.Module):
        def __init__(self, name: str, heads: int) -> None:
            super().__init__()
            width = weights[f"{name}n.gamma"].shape[0]
            self.heads = heads
            self.n, self.m = norm(f"{name}n"), norm(f"{name}m")
            self.q, self.k, self.v = (linear(f"{name}a.{part}", width) for part in ("query", "key", "value"))
            self.o = linear(f"{name}a.attention_output", width, from_heads=True)
            self.u, self.d = linear(f"{name}u", width), linear(f"{name}d", 4 * width)

        def forward(self, x: Any) -> Any:
            y = self.n(x)
            b, t, c = y.shape
            q, k, v = (p(y).view(b, t, self.heads, c // self.heads).transpose(1, 2) for p in (self.q, self.k, self.v))
            a = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.o(a.transpose(1, 2).reshape(b, t, c))
            return x + self.d(nn.functional.gelu(self.u(self.m(x))))

    def get(name: str) -> Any:
        return torch.tensor(weights[name])

    def linear(name: str, inputs: int, from_heads: bool = False) -> Any:
        kernel, bias = get(f"{name}.kernel"), get(f"{name}.bias")
        kernel = kernel.reshape(-1, kernel.shape[-1]) if from_heads else kernel.reshape(inputs, -1)
        layer = nn.Linear(*kernel.shape)
        layer.weight.data, layer.bias.data = kernel.T.contiguous(), bias.reshape(-1)
        return layer

    def norm(name: str) -> Any:
        layer = nn.LayerNorm(weights[f"{name}.gamma"].shape[0], eps=EPSILON)
        layer.weight.data, layer.bias.data = get(f"{name}.gamma"), get(f"{name}.beta")
        return layer

    def convolution(name: str, size: int, stride: int, bias: bool, depthwise: bool) -> Any:
        kernel = get(f"{name}.kernel")
        kernel = kernel.reshape(-1, 1, size, size) if depthwise else kernel
        groups = kernel.shape[0] if depthwise else 1
        layer = nn.Conv2d(kernel.shape[1] * groups, kernel.shape[0], size, stride, size // 2, groups=groups, bias=bias)
        layer.weight.data = kernel
        if bias:
            layer.bias.data = get(f"{name}.bias")
        return layer

    def make(layer: Layer, name: str) -> Any:
        match layer:
            case ("conv", _, size, stride, bias):
                return convolution(name, size, stride, bias, depthwise=False)
            case ("depthwise", size, stride):
                return convolution(name, size, stride, bias=False, depthwise=True)
            case ("bn",):
                return nn.BatchNorm2d(weights[f"{name}.gamma"].shape[0], eps=EPSILON)
            case ("relu",):
                return nn.ReLU()
            case ("pool", size):
                return nn.MaxPool2d(size)
            case ("mean",):
                return Mean()
            case ("flatten",):
                return nn.Flatten()
            case ("dense", _):
                return linear(name, weights[f"{name}.kernel"].shape[0])
            case ("embedding", _):
                return nn.Embedding.from_pretrained(get(f"{name}.embeddings"), freeze=False)
            case ("positions",):
                return Positions(get(f"{name}.embeddings"))
            case ("norm",):
                return norm(name)
            case ("lstm", units):
                kernel, recurrent, bias = (weights[f"{name}.{part}"] for part in ("cell.kernel", "cell.recurrent_kernel", "cell.bias"))
                lstm = nn.LSTM(kernel.shape[0], units, batch_first=True)
                lstm.weight_ih_l0.data, lstm.weight_hh_l0.data = torch.tensor(kernel.T.copy()), torch.tensor(recurrent.T.copy())
                lstm.bias_ih_l0.data, lstm.bias_hh_l0.data = torch.tensor(bias), torch.zeros(4 * units)
                return Last(lstm)
            case ("residual", body, shortcut):
                return Residual(stack(body, f"{name}b"), stack(shortcut, f"{name}s"))
            case ("transformer", heads):
                return Transformer(name, heads)
        raise ValueError(f"unknown layer {layer}")

    def stack(net: list[Layer], prefix: str) -> Any:
        return nn.Sequential(*(make(layer, f"{prefix}{i}") for i, layer in enumerate(net)))

    return stack(row.net, "l")


def size_of(weights: Mapping[str, np.ndarray]) -> int:
    """The number of elements of all weights."""
    return sum(math.prod(w.shape) for w in weights.values())
