"""Whole networks with a symbolic batch against PyTorch: gradients of parameters and inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from onnxdl import runtime
from onnxdl.autodiff.gradient import gradient
from onnxdl.graph import op
from onnxdl.graph.tensor import Tensor
from onnxdl.graph.trace import IR_VERSION, Trace

torch = pytest.importorskip("torch")
F = torch.nn.functional

Weights = dict[str, np.ndarray]


def _weights(**shapes: tuple[int, ...]) -> Weights:
    rng = np.random.default_rng(0)
    return {name: (rng.normal(size=s) / max(1.0, np.sqrt(np.prod(s[1:])))).astype(np.float32) for name, s in shapes.items()}


def _check(x: np.ndarray, weights: Weights, ours: Callable[..., Tensor], theirs: Callable[..., Any]) -> None:
    with Trace() as trace:
        image = trace.input("x", np.float32, ("N", *x.shape[1:]))
        parameters = {k: trace.input(k, np.float32, v.shape) for k, v in weights.items()}
        y = ours(image, **parameters)
        loss = op.ReduceSum(op.Sin(y), keepdims=0)
        for g in gradient(loss, [image, *parameters.values()]):
            trace.add_output(g)
    model = ir.to_proto(ir.Model(trace.graph, ir_version=IR_VERSION))
    found = runtime.run(runtime.create_session(model.SerializeToString(), threads=1), None, {"x": x, **weights})
    leaves = [torch.tensor(v.astype(np.float64), requires_grad=True) for v in (x, *weights.values())]
    torch.sin(theirs(leaves[0], **dict(zip(weights, leaves[1:], strict=True)))).sum().backward()
    for name, ours_, leaf in zip(["x", *weights], found, leaves, strict=True):
        expected = leaf.grad.numpy()
        np.testing.assert_allclose(ours_, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max(), err_msg=name)


def test_lenet() -> None:
    def ours(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, w3: Tensor) -> Tensor:
        h = op.MaxPool(op.Tanh(op.Conv(x, w1, b1, pads=[2, 2, 2, 2])), kernel_shape=[2, 2], strides=[2, 2])
        h = op.AveragePool(op.Relu(op.Conv(h, w2)), kernel_shape=[2, 2], strides=[2, 2])
        return op.Flatten(h) @ w3

    def theirs(x: Any, w1: Any, b1: Any, w2: Any, w3: Any) -> Any:
        h = F.max_pool2d(torch.tanh(F.conv2d(x, w1, b1, padding=2)), 2)
        return F.avg_pool2d(F.relu(F.conv2d(h, w2)), 2).flatten(1) @ w3

    weights = _weights(w1=(6, 1, 5, 5), b1=(6,), w2=(8, 6, 5, 5), w3=(8, 10))
    _check(np.random.default_rng(1).normal(size=(3, 1, 12, 12)).astype(np.float32), weights, ours, theirs)


def _batch_norm(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    mean = op.ReduceMean(x, [0, 2, 3])
    deviation = x - mean
    variance = op.ReduceMean(deviation * deviation, [0, 2, 3])
    return deviation / op.Sqrt(variance + 1e-5) * op.Reshape(scale, [1, -1, 1, 1]) + op.Reshape(bias, [1, -1, 1, 1])


def test_residual_block_with_batch_normalisation() -> None:
    def ours(x: Tensor, w1: Tensor, s1: Tensor, b1: Tensor, w2: Tensor, s2: Tensor, b2: Tensor, ws: Tensor) -> Tensor:
        h = op.Relu(_batch_norm(op.Conv(x, w1, strides=[2, 2], pads=[1, 1, 1, 1]), s1, b1))
        h = _batch_norm(op.Conv(h, w2, pads=[1, 1, 1, 1]), s2, b2)
        return op.GlobalAveragePool(op.Relu(h + op.Conv(x, ws, strides=[2, 2])))

    def theirs(x: Any, w1: Any, s1: Any, b1: Any, w2: Any, s2: Any, b2: Any, ws: Any) -> Any:
        h = F.relu(F.batch_norm(F.conv2d(x, w1, stride=2, padding=1), None, None, s1, b1, training=True))
        h = F.batch_norm(F.conv2d(h, w2, padding=1), None, None, s2, b2, training=True)
        return F.adaptive_avg_pool2d(F.relu(h + F.conv2d(x, ws, stride=2)), 1)

    weights = _weights(w1=(16, 9, 3, 3), s1=(16,), b1=(16,), w2=(16, 16, 3, 3), s2=(16,), b2=(16,), ws=(16, 9, 1, 1))
    _check(np.random.default_rng(2).normal(size=(4, 9, 8, 8)).astype(np.float32), weights, ours, theirs)


def test_depthwise_separable_blocks() -> None:
    def ours(x: Tensor, d1: Tensor, p1: Tensor, d2: Tensor, p2: Tensor) -> Tensor:
        h = op.Relu(op.Conv(op.Conv(x, d1, group=6, pads=[1, 1, 1, 1]), p1))
        return op.Conv(op.Conv(h, d2, group=8, strides=[2, 2], pads=[1, 1, 1, 1]), p2)

    def theirs(x: Any, d1: Any, p1: Any, d2: Any, p2: Any) -> Any:
        h = F.relu(F.conv2d(F.conv2d(x, d1, groups=6, padding=1), p1))
        return F.conv2d(F.conv2d(h, d2, groups=8, stride=2, padding=1), p2)

    weights = _weights(d1=(6, 1, 3, 3), p1=(8, 6, 1, 1), d2=(8, 1, 3, 3), p2=(5, 8, 1, 1))
    _check(np.random.default_rng(3).normal(size=(3, 6, 7, 8)).astype(np.float32), weights, ours, theirs)


def test_transposed_convolutions_of_a_generator() -> None:
    def ours(z: Tensor, w1: Tensor, w2: Tensor, w3: Tensor) -> Tensor:
        h = op.Relu(op.ConvTranspose(z, w1))
        h = op.LeakyRelu(op.ConvTranspose(h, w2, strides=[2, 2], pads=[1, 1, 1, 1]), alpha=0.2)
        return op.Tanh(op.ConvTranspose(h, w3, strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]))

    def theirs(z: Any, w1: Any, w2: Any, w3: Any) -> Any:
        h = F.relu(F.conv_transpose2d(z, w1))
        h = F.leaky_relu(F.conv_transpose2d(h, w2, stride=2, padding=1), 0.2)
        return torch.tanh(F.conv_transpose2d(h, w3, stride=2, padding=1, output_padding=1))

    weights = _weights(w1=(10, 8, 4, 4), w2=(8, 6, 4, 4), w3=(6, 3, 3, 3))
    _check(np.random.default_rng(4).normal(size=(3, 10, 1, 1)).astype(np.float32), weights, ours, theirs)


def test_bidirectional_lstm_with_lengths() -> None:
    steps, batch, inputs, hidden = 6, 3, 4, 5
    lengths = np.array([6, 4, 1])

    def ours(x: Tensor, w: Tensor, r: Tensor, b: Tensor) -> Tensor:
        by_time = op.Transpose(x, perm=[1, 0, 2])
        y, _, _ = op.LSTM(by_time, w, r, b, lengths.astype(np.int32), hidden_size=hidden, direction="bidirectional", outputs=3)
        return y

    def theirs(x: Any, w: Any, r: Any, b: Any) -> Any:
        order = torch.cat([torch.arange(k * hidden, (k + 1) * hidden) for k in (0, 2, 3, 1)])  # PyTorch: i, f, g, o
        network = torch.nn.LSTM(inputs, hidden, bidirectional=True).double()
        names, values = [], []
        for d, suffix in enumerate(["", "_reverse"]):
            names += [f"{n}_l0{suffix}" for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            values += [w[d][order], r[d][order], b[d][: 4 * hidden][order], b[d][4 * hidden :][order]]
        packed = torch.nn.utils.rnn.pack_padded_sequence(x.transpose(0, 1), torch.tensor(lengths))
        y, _ = torch.func.functional_call(network, dict(zip(names, values, strict=True)), (packed,))
        padded, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=steps)
        return padded.reshape(steps, batch, 2, hidden)

    weights = _weights(w=(2, 4 * hidden, inputs), r=(2, 4 * hidden, hidden), b=(2, 8 * hidden))
    _check(np.random.default_rng(5).normal(size=(batch, steps, inputs)).astype(np.float32), weights, ours, theirs)
