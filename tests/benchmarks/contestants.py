"""Those who compete: each makes a row's training step and its inference ready to be called.

The first positional argument of a contestant is the row, the second the weights by name that ours starts from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks.nets import keras_like, torch_net
from tests.benchmarks.rows import Row, batch_of

Weights = Mapping[str, np.ndarray]


class Ready(NamedTuple):
    """A contestant at the start: its step, its inference (None where the row has none), what can be said of it, its step's nodes."""

    train: Callable[[], Any]
    predict: Callable[[], Any] | None
    facts: dict[str, Any]
    profile: Callable[[], Sequence[Any]] | None = None


def model_of(row: Row) -> Any:
    """Our model of a row, not compiled."""
    import onnxdl as ox
    from onnxdl import nn

    class PositionEmbedding(nn.Layer):
        def __init__(self, length: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.length = length

        def build(self, input_shape: Any) -> None:
            self.embeddings = self.add_weight(name="embeddings", shape=(self.length, input_shape[-1]), initializer="uniform")

        def call(self, x: Any) -> Any:
            return x + self.embeddings

    kit = SimpleNamespace(**{**vars(nn), "Input": ox.Input, "Model": ox.Model, "PositionEmbedding": PositionEmbedding})
    ox.set_seed(0)
    return keras_like(row, kit)


def ours(row: Row, weights: Weights | None, threads: int) -> Ready:
    from onnxdl import nn, optim
    from onnxdl.runtime import set_threads

    set_threads(threads)
    model = model_of(row)
    kind, rate = row.optimizer
    optimizer = optim.Adam(rate, epsilon=1e-8) if kind == "adam" else optim.SGD(rate, momentum=0.9 if kind == "momentum" else 0.0)
    model.compile(optimizer, nn.losses.SparseCategoricalCrossentropy(from_logits=True), device="cpu")
    x, y = batch_of(row)
    model.ensure_targets(y)
    state = dict(model.state)
    begun = time.perf_counter()
    step = model.train_step()
    built = time.perf_counter() - begun
    batch = model.batch(x, y)
    inputs = model.batch(x)
    predict = model.prediction().session
    facts = {"session": built, "weights": state}
    return Ready(lambda: step.run(batch), lambda: predict(inputs), facts, lambda: step.session.profile(batch, 1))


def torch_eager(row: Row, weights: Weights | None, threads: int, *, channels_last: bool = False, compiled: bool = False) -> Ready:
    import torch

    torch.set_num_threads(threads)
    net = torch_net(row, weights or {})
    kind, rate = row.optimizer
    fused = {"fused": True}
    optimizer: Any = (
        torch.optim.Adam(net.parameters(), rate, eps=1e-8, **fused)
        if kind == "adam"
        else torch.optim.SGD(net.parameters(), rate, momentum=0.9 if kind == "momentum" else 0.0, **fused)
    )
    x, y = (torch.tensor(a) for a in batch_of(row))
    if channels_last:
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    forward: Any = torch.compile(net) if compiled else net

    def train() -> Any:
        optimizer.zero_grad()
        scores = forward(x)
        loss = torch.nn.functional.cross_entropy(scores.flatten(0, -2), y.flatten())
        loss.backward()
        optimizer.step()
        return {"loss": loss}

    def predict() -> Any:
        net.eval()
        with torch.inference_mode():
            scores = net(x)
        net.train()
        return scores

    return Ready(train, predict, {})


def torch_channels_last(row: Row, weights: Weights | None, threads: int) -> Ready:
    return torch_eager(row, weights, threads, channels_last=True)


def torch_compiled(row: Row, weights: Weights | None, threads: int) -> Ready:
    return torch_eager(row, weights, threads, compiled=True)


def keras_jax(row: Row, weights: Weights | None, threads: int) -> Ready:
    import keras
    from keras import layers

    keras.config.set_image_data_format("channels_first")

    class PositionEmbedding(layers.Layer):  # type: ignore[misc]
        def __init__(self, length: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.length = length

        def build(self, input_shape: Any) -> None:
            self.embeddings = self.add_weight(name="embeddings", shape=(self.length, input_shape[-1]), initializer="uniform")

        def call(self, x: Any) -> Any:
            return x + self.embeddings

    kit = SimpleNamespace(**{**vars(layers), "Input": keras.Input, "Model": keras.Model, "PositionEmbedding": PositionEmbedding})
    model = keras_like(row, kit)
    kind, rate = row.optimizer
    optimizers = keras.optimizers
    optimizer = optimizers.Adam(rate, epsilon=1e-8) if kind == "adam" else optimizers.SGD(rate, momentum=0.9 if kind == "momentum" else 0.0)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = batch_of(row)
    return Ready(lambda: {"loss": model.train_on_batch(x, y)}, lambda: model.predict_on_batch(x), {})


def contestant(name: str, key: str) -> Callable[[Row, Weights | None, int], Ready]:
    """A contestant by name, for a row by its key."""
    from tests.benchmarks import special

    own = special.CONTESTANTS.get(key)
    if own is not None:
        return own[name]
    return {
        "ours": ours,
        "torch": torch_eager,
        "channels_last": torch_channels_last,
        "compile": torch_compiled,
        "keras": keras_jax,
    }[name]


def contestants_of(key: str, row: Row, quick: bool) -> list[str]:
    """Who competes in a row, ours and PyTorch first."""
    from tests.benchmarks import special

    if key in special.CONTESTANTS:
        return list(special.CONTESTANTS[key])[: 2 if quick else None]
    layered = any(layer[0] in ("conv", "depthwise") for layer in row.net)
    return ["ours", "torch", *(["channels_last"] if layered else []), *([] if quick else ["compile", "keras"])]
