"""Generative adversarial nets (Goodfellow et al. 2014): two networks that play against each other, each with a train step.

    min over G, max over D:  E log D(x) + E log(1 - D(G(z)))

D learns to tell real numbers from made ones, G to make numbers that D takes for real (its loss is -log D(G(z)), as the paper
advises). The real numbers come from a mixture of three normal distributions. What is measured: does G find all three, and how far
is its distribution from theirs?
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

import onnxdl as ox
from onnxdl import nn, optim

EPOCHS = 20
STEPS_PER_EPOCH = 200
BATCH_SIZE = 128
NOISE = 8
MODES = np.array([-4.0, 0.0, 4.0])
WIDTH = 0.5


def game(generator: ox.Model, discriminator: ox.Model, learning_rate: float) -> ox.Model:
    """G before D, in which G is trained. D is frozen there, but keeps the training that it was compiled for."""
    loss = nn.losses.BinaryCrossentropy(from_logits=True)
    discriminator.compile(optim.Adam(learning_rate, beta_1=0.5), loss)
    discriminator.trainable = False
    z = ox.Input((NOISE,), name="noise")
    both = ox.Model(z, discriminator(generator(z)), name="game")
    both.compile(optim.Adam(learning_rate, beta_1=0.5), loss)
    return both


def play(generator: ox.Model, discriminator: ox.Model, both: ox.Model, real: np.ndarray, epochs: int, batch_size: int) -> Iterator[int]:
    """The two steps in turn; gives way after each epoch."""
    rng = np.random.default_rng(0)
    is_real = np.repeat(np.array([1, 0], np.float32), batch_size)[:, None]
    for epoch in range(epochs):
        for _ in range(STEPS_PER_EPOCH):
            x, made = rng.choice(real, batch_size), generator.predict(noise(rng, batch_size), batch_size)
            discriminator.train_on_batch(np.concatenate([x, made]), is_real)
            both.train_on_batch(noise(rng, batch_size), np.ones((batch_size, 1), np.float32))
        yield epoch


def noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n, NOISE) of N(0, 1)."""
    return rng.normal(size=(n, NOISE)).astype(np.float32)


def mixture(n: int) -> np.ndarray:
    """(n, 1): numbers of the mixture."""
    rng = np.random.default_rng(1)
    return rng.normal(rng.choice(MODES, n), WIDTH)[:, None].astype(np.float32)


def network(inputs: int, activation: str, name: str) -> ox.Model:
    """Both networks: two hidden layers, one number out."""
    hidden = [nn.Dense(64, activation=activation) for _ in range(2)]
    return ox.Sequential([ox.Input((inputs,)), *hidden, nn.Dense(1)], name=name)


def build() -> ox.Model:
    """The generator, untrained."""
    return network(NOISE, "relu", "generator")


def measure(made: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """Of all modes, how many have half their share of the numbers and more; the smallest share; and Wasserstein's distance."""
    shares = (np.abs(made - MODES) < 3 * WIDTH).mean(0)
    distance = np.abs(np.sort(made[:, 0]) - np.sort(real[: len(made), 0])).mean()
    found = (shares > 0.5 / len(MODES)).sum()
    return {"modes found": float(found), "smallest share": float(shares.min()), "distance": float(distance)}


def main(folder: Path, epochs: int) -> dict[str, float]:
    """Plays, and draws both distributions over time into gan.png."""
    real, generator, discriminator = mixture(100_000), build(), network(1, "leaky_relu", "discriminator")
    both = game(generator, discriminator, learning_rate=5e-4)
    seen = noise(np.random.default_rng(2), 10_000)
    history = [generator.predict(seen, 1000)]
    for epoch in play(generator, discriminator, both, real, epochs, BATCH_SIZE):
        history.append(generator.predict(seen, 1000))
        print(f"epoch {epoch + 1}/{epochs}", *(f"{name} {value:.3f}" for name, value in measure(history[-1], real).items()), sep="  ")
    generator.save(folder / "model.onnx")

    figure = ox.data.require("matplotlib.figure", extra="examples").Figure(figsize=(8, 4.4), layout="constrained")
    times = [0, *(max(1, round(epochs * part)) for part in (0.1, 0.25, 0.5, 1))]
    for panel, time in zip(figure.subplots(len(times), 1, sharex=True), times, strict=True):
        panel.hist(real[:10_000, 0], 100, (-7, 7), color="0.8", label="real")
        panel.hist(history[time][:, 0], 100, (-7, 7), histtype="step", color="C0", label="made")
        panel.set_ylabel(f"epoch {time}", fontsize=8)
        panel.set_yticks([])
    panel.set_xlabel("the number")
    panel.legend(loc="upper right", fontsize=8)
    figure.savefig(folder / "gan.png", dpi=80)
    return measure(history[-1], real)


if __name__ == "__main__":
    print(main(Path(), EPOCHS))
