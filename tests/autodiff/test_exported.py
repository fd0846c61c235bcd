"""Networks exported by torch.onnx with a symbolic batch: the gradients of their files against PyTorch's own, in float64."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import onnx
import pytest

from onnxdl import runtime
from onnxdl.autodiff.graph_model import gradient_model

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript", reason="torch.onnx exports with onnxscript")
nn = torch.nn


class Residual(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, out, 3, 2, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.short = nn.Sequential(nn.Conv2d(channels, out, 1, 2, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Any) -> Any:
        return torch.relu(self.main(x) + self.short(x))


class Tagger(nn.Module):
    """A bidirectional LSTM over sequences."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 5, bidirectional=True, batch_first=True)
        self.head = nn.Linear(10, 3)

    def forward(self, x: Any) -> Any:
        return torch.log_softmax(self.head(self.lstm(x)[0]), -1)


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Any) -> Any:
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.qkv(self.before(x)).chunk(3, -1))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.mlp(self.after(x))


class Transformer(nn.Module):
    """A small GPT from its embedded tokens on."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(6, 16) / 4)
        self.blocks = nn.Sequential(Block(16, 2), Block(16, 2))
        self.head = nn.Linear(16, 11)

    def forward(self, x: Any) -> Any:
        return self.head(self.blocks(x + self.position))


def _lenet() -> Any:
    first = [nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, nn.Conv2d(6, 16, 5), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 10))


def _resnet() -> Any:
    return nn.Sequential(Residual(3, 8), Residual(8, 12), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5))


def _depthwise() -> Any:
    return nn.Sequential(
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        nn.Conv2d(6, 8, 1),
        nn.ReLU6(),
        nn.Conv2d(8, 16, 3, 2, 1, groups=8),
        nn.SiLU(),
        nn.Conv2d(16, 5, 1),
    )


def _generator() -> Any:
    return nn.Sequential(
        nn.ConvTranspose2d(10, 8, 4, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 6, 4, 2, 1, bias=False),
        nn.BatchNorm2d(6),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(6, 3, 3, 2, 1, output_padding=1),
        nn.Tanh(),
    )


NETWORKS = {
    "lenet": (_lenet, (3, 1, 12, 12)),
    "resnet": (_resnet, (4, 3, 12, 12)),
    "depthwise": (_depthwise, (3, 6, 7, 8)),
    "generator": (_generator, (3, 10, 1, 1)),
    "bidirectional LSTM": (Tagger, (3, 6, 4)),
    "GPT": (Transformer, (3, 6, 16)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_an_exported_network(name: str) -> None:
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    network = make()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean)
            nn.init.normal_(module.bias)
    network.eval()
    x = torch.randn(shape)
    weights = dict(network.named_parameters())
    model = _exported(network, x)
    (output,) = (v.name for v in model.graph.output)
    initializers = {t.name for t in model.graph.initializer}
    assert weights.keys() <= initializers
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    differentiated = gradient_model(model, ["x", *weights])
    seed = torch.randn(network(x).shape)
    session = runtime.create_session(differentiated.SerializeToString(), threads=1)
    names = ["x", *weights]
    found = runtime.run(session, [f"grad/{k}" for k in names], {"x": x.numpy(), f"seed/{output}": seed.numpy()})
    exact = network.double()
    point = x.double().requires_grad_()
    exact(point).backward(seed.double())
    expected = [point.grad, *(p.grad for p in exact.parameters())]
    for key, ours, theirs in zip(names, found, expected, strict=True):
        largest = float(theirs.abs().max())
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-5, atol=1e-5 * largest, err_msg=key)


def _exported(network: Any, x: Any) -> onnx.ModelProto:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        stream = io.BytesIO()
        batch = torch.export.Dim("batch", min=1, max=64)
        program = torch.onnx.export(network, (x,), input_names=["x"], dynamic_shapes=({0: batch},), optimize=False, verbose=False)
        program.save(stream)
    return onnx.load_from_string(stream.getvalue())
