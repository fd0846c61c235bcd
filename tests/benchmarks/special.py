"""Rows that are no classifier: word2vec, DCGAN, and an optimizer alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tests.benchmarks.contestants import Ready
from tests.benchmarks.rows import Row

Weights = Mapping[str, np.ndarray]
WORDS, WIDTH, NEGATIVES = 30_000, 100, 5
SHAPES = [(512, 512, 3, 3)] * 4 + [(256, 256, 3, 3)] * 2 + [(128, 128, 3, 3)] * 3 + [(64, 64, 3, 3)] * 4 + [(512,)] * 20


def words(batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre words, each with its context and its negatives, and which of these is the context."""
    rng = np.random.default_rng(0)
    chances = 1 / np.arange(1, WORDS + 1)
    chances /= chances.sum()
    targets = np.zeros((batch, NEGATIVES + 1), np.float32)
    targets[:, 0] = 1
    return rng.choice(WORDS, batch, p=chances), rng.choice(WORDS, (batch, NEGATIVES + 1), p=chances), targets


def word2vec_ours(row: Row, weights: Weights | None, threads: int) -> Ready:
    import onnxdl as ox
    from onnxdl import nn, op, optim
    from onnxdl.runtime import set_threads

    set_threads(threads)
    ox.set_seed(0)
    centre, others = ox.Input((), dtype="int64"), ox.Input((NEGATIVES + 1,), dtype="int64")
    first = nn.Embedding(WORDS, WIDTH, sparse=True, name="centre")(centre)
    second = nn.Embedding(WORDS, WIDTH, sparse=True, name="context")(others)
    scores = nn.Lambda(lambda t: op.Squeeze(op.MatMul(t[1], op.Unsqueeze(t[0], [2])), [2]))([first, second])
    model = ox.Model([centre, others], scores)
    model.compile(optim.SGD(row.optimizer[1]), nn.losses.BinaryCrossentropy(from_logits=True), device="cpu")
    a, b, y = words(row.batch)
    model.ensure_targets(y)
    state = dict(model.state)
    begun = time.perf_counter()
    step = model.train_step()
    batch = model.batch([a, b], y)
    facts = {"session": time.perf_counter() - begun, "weights": state}
    return Ready(lambda: step.run(batch), None, facts, lambda: step.session.profile(batch, 1))


def word2vec_torch(row: Row, weights: Weights | None, threads: int) -> Ready:
    import torch

    torch.set_num_threads(threads)
    assert weights is not None
    first, second = (
        torch.nn.Embedding.from_pretrained(torch.tensor(weights[f"{name}.embeddings"]), freeze=False, sparse=True)
        for name in ("centre", "context")
    )
    optimizer = torch.optim.SGD([first.weight, second.weight], row.optimizer[1])
    a, b, y = (torch.tensor(t) for t in words(row.batch))

    def train() -> Any:
        scores = torch.bmm(second(b), first(a)[:, :, None])[:, :, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss}

    return Ready(train, None, {})


def word2vec_gensim(row: Row, weights: Weights | None, threads: int) -> Ready:
    """Skip-gram on a text whose windows give about as many pairs a call as the others' batch."""
    from gensim.models import Word2Vec

    rng = np.random.default_rng(0)
    chances = 1 / np.arange(1, WORDS + 1)
    vocabulary = [[str(w) for w in range(WORDS)]]
    text = [[str(w) for w in rng.choice(WORDS, row.batch // 2, p=chances / chances.sum())]]
    model = Word2Vec(vector_size=WIDTH, window=1, min_count=0, sg=1, negative=NEGATIVES, workers=1, sample=0)
    model.build_vocab(vocabulary)
    return Ready(lambda: model.train(text, total_examples=1, epochs=1), None, {})


def adam_ours(row: Row, weights: Weights | None, threads: int) -> Ready:
    import onnx_ir as ir

    from onnxdl import optim
    from onnxdl.graph.target import Target
    from onnxdl.graph.trace import Trace
    from onnxdl.optim import Weight
    from onnxdl.runtime import StepSession, leave_unshaped, set_threads
    from onnxdl.runtime.cells import Cell

    set_threads(threads)
    rng = np.random.default_rng(0)
    arrays = {f"w{i}": rng.normal(size=shape).astype(np.float32) for i, shape in enumerate(SHAPES)}
    optimizer = optim.Adam(row.optimizer[1], epsilon=1e-8)
    state = {**arrays, **optimizer.start(arrays), "step": np.zeros((), np.int64)}
    begun = time.perf_counter()
    with Trace("adam", training=True, target=Target("cpu")) as trace:
        inputs = {name: trace.input(name, a.dtype, a.shape) for name, a in state.items()}
        gradients = {name: trace.input(f"grad/{name}", a.dtype, a.shape) for name, a in arrays.items()}
        update = optimizer.apply([Weight(name, inputs[name], gradients[name]) for name in arrays], inputs, inputs["step"])
        outputs = {**update.weights, **{n: t for n, t in update.state.items() if n != "learning_rate"}, "step": inputs["step"] + 1}
        model = trace.model({f"next/{name}": t for name, t in outputs.items()})
    leave_unshaped(model)
    cells = {name: Cell(a) for name, a in {**state, **{f"grad/{n}": a for n, a in arrays.items()}}.items()}
    session = StepSession(ir.to_proto(model).SerializeToString(), cells)
    return Ready(lambda: session({}), None, {"session": time.perf_counter() - begun}, lambda: session.profile({}, 1))


def adam_torch(row: Row, weights: Weights | None, threads: int) -> Ready:
    import torch

    torch.set_num_threads(threads)
    parameters = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    for p in parameters:
        p.grad = torch.randn_like(p)
    optimizer = torch.optim.Adam(parameters, row.optimizer[1], fused=True)
    return Ready(optimizer.step, None, {})


NOISE = 100


def dcgan_ours(row: Row, weights: Weights | None, threads: int) -> Ready:
    import onnxdl as ox
    from onnxdl import nn, optim
    from onnxdl.runtime import set_threads

    set_threads(threads)
    ox.set_seed(0)
    rate = row.optimizer[1]
    loss = nn.losses.BinaryCrossentropy(from_logits=True)
    up = [
        *[nn.Dense(128 * 7 * 7, use_bias=False), nn.Reshape((128, 7, 7)), nn.BatchNormalization(axis=1), nn.Activation("relu")],
        *[nn.Conv2DTranspose(64, 4, strides=2, padding="same", use_bias=False), nn.BatchNormalization(axis=1), nn.Activation("relu")],
        nn.Conv2DTranspose(1, 4, strides=2, padding="same", activation="tanh"),
    ]
    down = [
        *[nn.Conv2D(64, 4, strides=2, padding="same"), nn.LeakyReLU(0.2)],
        *[nn.Conv2D(128, 4, strides=2, padding="same"), nn.LeakyReLU(0.2), nn.Flatten(), nn.Dense(1)],
    ]
    generator = ox.Sequential([ox.Input((NOISE,)), *up], name="generator")
    discriminator = ox.Sequential([ox.Input((1, 28, 28)), *down], name="discriminator")
    discriminator.compile(optim.Adam(rate, beta_1=0.5), loss, device="cpu")
    discriminator.trainable = False
    both = ox.Sequential([ox.Input((NOISE,)), generator, discriminator])
    both.compile(optim.Adam(rate, beta_1=0.5), loss, device="cpu")
    real = np.random.default_rng(0).normal(size=(row.batch, 1, 28, 28)).astype(np.float32)
    noise = np.random.default_rng(1).normal(size=(row.batch, NOISE)).astype(np.float32)
    labels = np.concatenate([np.ones((row.batch, 1), np.float32), np.zeros((row.batch, 1), np.float32)])
    ones = labels[: row.batch]
    begun = time.perf_counter()
    discriminator.ensure_targets(labels)
    both.ensure_targets(ones)
    judge, play, make = discriminator.train_step(), both.train_step(), generator.prediction().session
    built = time.perf_counter() - begun

    def train() -> Any:
        (fake,) = make({generator.input_specs[0].name: noise}).values()
        judge(np.concatenate([real, fake]), labels)
        return play(noise, ones)

    def profile() -> Any:
        batches = discriminator.batch(np.concatenate([real, real]), labels), both.batch(noise, ones)
        return [node for step, batch in zip((judge, play), batches, strict=True) for node in step.session.profile(batch, 1)]

    return Ready(train, None, {"session": built}, profile)


def dcgan_torch(row: Row, weights: Weights | None, threads: int) -> Ready:
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    generator = nn.Sequential(
        *[nn.Linear(NOISE, 128 * 7 * 7, bias=False), nn.Unflatten(1, (128, 7, 7)), nn.BatchNorm2d(128), nn.ReLU()],
        *[nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.ConvTranspose2d(64, 1, 4, 2, 1), nn.Tanh()],
    )
    discriminator = nn.Sequential(
        *[nn.Conv2d(1, 64, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(64, 128, 4, 2, 1), nn.LeakyReLU(0.2)],
        *[nn.Flatten(), nn.Linear(128 * 7 * 7, 1)],
    )
    rate = row.optimizer[1]
    first, second = (torch.optim.Adam(net.parameters(), rate, (0.5, 0.999), fused=True) for net in (generator, discriminator))
    real, noise = torch.randn(row.batch, 1, 28, 28), torch.randn(row.batch, NOISE)
    labels = torch.cat([torch.ones(row.batch, 1), torch.zeros(row.batch, 1)])
    cross = nn.functional.binary_cross_entropy_with_logits

    def train() -> Any:
        with torch.no_grad():
            fake = generator(noise)
        second.zero_grad()
        cross(discriminator(torch.cat([real, fake])), labels).backward()
        second.step()
        for p in discriminator.parameters():
            p.requires_grad_(False)
        first.zero_grad()
        loss = cross(discriminator(generator(noise)), labels[: row.batch])
        loss.backward()
        first.step()
        for p in discriminator.parameters():
            p.requires_grad_(True)
        return {"loss": loss}

    return Ready(train, None, {})


CONTESTANTS: dict[str, dict[str, Callable[[Row, Weights | None, int], Ready]]] = {
    "word2vec": {"ours": word2vec_ours, "torch": word2vec_torch, "gensim": word2vec_gensim},
    "adam": {"ours": adam_ours, "torch": adam_torch},
    "dcgan": {"ours": dcgan_ours, "torch": dcgan_torch},
}
