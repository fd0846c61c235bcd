"""The rows of the benchmark: nets as data, which ``nets`` builds for every contestant, and a few rows with code of their own."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Layer = tuple[Any, ...]


class Row(NamedTuple):
    """One line of the table.

    ``net`` is a list of layers, each a kind and its numbers; empty where ``special`` has the row's code. ``input`` is the
    shape of one sample, or (length, vocabulary) of integers. ``steps`` says that there is a target at each step of time.
    """

    title: str
    net: list[Layer]
    input: tuple[int, ...]
    classes: int
    batch: int
    optimizer: tuple[Any, ...]
    words: bool = False
    steps: bool = False
    at_least: float = 1.0


def conv(filters: int, size: int = 3, stride: int = 1) -> list[Layer]:
    return [("conv", filters, size, stride, False), ("bn",), ("relu",)]


def basic(filters: int, stride: int, project: bool) -> Layer:
    """The residual block of two 3x3 convolutions."""
    body = [*conv(filters, 3, stride), ("conv", filters, 3, 1, False), ("bn",)]
    return ("residual", body, [("conv", filters, 1, stride, False), ("bn",)] if project else [])


def residual_net(stem: int, stages: list[tuple[int, int]]) -> list[Layer]:
    net: list[Layer] = conv(stem)
    before = stem
    for stage, (filters, blocks) in enumerate(stages):
        for k in range(blocks):
            net += [basic(filters, 2 if stage and not k else 1, before != filters), ("relu",)]
            before = filters
    return [*net, ("mean",), ("dense", 10)]


def vgg(config: list[int | str]) -> list[Layer]:
    net: list[Layer] = []
    for item in config:
        net += [("pool", 2)] if item == "pool" else [("conv", item, 3, 1, True), ("relu",)]
    return [*net, ("flatten",), ("dense", 512), ("relu",), ("dense", 10)]


def separable(filters: int, stride: int = 1) -> list[Layer]:
    return [("depthwise", 3, stride), ("bn",), ("relu",), *conv(filters, 1)]


MLP: list[Layer] = [("dense", 512), ("relu",), ("dense", 512), ("relu",), ("dense", 10)]
LENET: list[Layer] = [
    *[("conv", 32, 5, 1, True), ("relu",), ("pool", 2), ("conv", 64, 5, 1, True), ("relu",), ("pool", 2)],
    *[("flatten",), ("dense", 512), ("relu",), ("dense", 10)],
]
RESNET20 = residual_net(16, [(16, 3), (32, 3), (64, 3)])
RESNET18 = residual_net(64, [(64, 2), (128, 2), (256, 2), (512, 2)])
VGG16: list[int | str] = [64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512, "pool"]
MOBILE: list[Layer] = [
    *[*conv(32), *separable(64), *separable(128, 2), *separable(128), *separable(256, 2), *separable(256)],
    *[("mean",), ("dense", 10)],
]
GPT: list[Layer] = [("embedding", 128), ("positions",), *[("transformer", 4)] * 4, ("norm",), ("dense", 96)]

ROWS: dict[str, Row] = {
    "mlp-adam": Row("MLP 784-512-512-10, Adam", MLP, (784,), 10, 128, ("adam", 1e-3), at_least=1.0),
    "mlp-sgd": Row("MLP 784-512-512-10, SGD", MLP, (784,), 10, 128, ("sgd", 0.1), at_least=1.15),
    "lenet": Row("LeNet (5x5, 32 and 64 filters), Adam", LENET, (1, 28, 28), 10, 64, ("adam", 1e-3), at_least=1.0),
    "resnet20": Row("ResNet-20, 32x32", RESNET20, (3, 32, 32), 10, 32, ("momentum", 0.1), at_least=0.9),
    "resnet18": Row("ResNet-18, 32x32", RESNET18, (3, 32, 32), 10, 16, ("momentum", 0.1), at_least=1.1),
    "vgg16": Row("VGG16, 32x32", vgg(VGG16), (3, 32, 32), 10, 16, ("momentum", 0.01), at_least=1.1),
    "depthwise": Row("depthwise-separable, 32x32", MOBILE, (3, 32, 32), 10, 32, ("momentum", 0.1), at_least=0.95),
    "lstm-lecture": Row(
        "LSTM classifier of the lecture", [("embedding", 10), ("lstm", 5), ("dense", 500), ("relu",), ("dense", 2)],
        (100, 5000), 2, 32, ("adam", 1e-3), words=True, at_least=0.9,
    ),
    "lstm-128": Row("LSTM, 128 units, 100 steps", [("lstm", 128), ("dense", 10)], (100, 64), 10, 64, ("adam", 1e-3), at_least=1.0),
    "gpt": Row("GPT, 4 layers of 128, 64 steps", GPT, (64, 96), 96, 16, ("adam", 1e-3), words=True, steps=True, at_least=0.9),
    "adam": Row("Adam on 11.2 million parameters", [], (), 0, 1, ("adam", 1e-3), at_least=0.3),
    "word2vec": Row("word2vec, 30,000 words of 100, 5 negatives", [], (), 0, 512, ("sgd", 0.1), at_least=2.0),
    "dcgan": Row("DCGAN, generator and discriminator", [], (), 0, 64, ("adam", 2e-4), at_least=0.9),
}  # fmt: skip


def batch_of(row: Row) -> tuple[np.ndarray, np.ndarray]:
    """A batch of random samples; words are distributed as in text."""
    rng = np.random.default_rng(0)
    if row.words:
        length, vocabulary = row.input
        chances = 1 / np.arange(1, vocabulary + 1)
        x = rng.choice(vocabulary, (row.batch, length), p=chances / chances.sum())
    else:
        x = rng.normal(size=(row.batch, *row.input)).astype(np.float32)
    return x, rng.integers(0, row.classes, (row.batch, row.input[0]) if row.steps else row.batch)
