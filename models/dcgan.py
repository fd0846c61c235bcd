"""Deep convolutional generative adversarial nets (Radford et al. 2015): handwritten digits made from noise.

The generator leads noise through transposed convolutions with batch normalization to an image; the discriminator is a ConvNet
with leaky rectifiers and strides instead of pooling. The game is that of gan.py. Whether the images are digits is judged by the
gallery's digits classifier, trained on real ones: how sure it is of them, and how evenly they spread over the ten digits.

Data: the 1,797 handwritten digits that scikit-learn ships.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import onnxdl as ox
from onnxdl import nn
from onnxdl.models import digits
from onnxdl.models.gan import NOISE, game, noise, play

EPOCHS = 8
BATCH_SIZE = 64


def build() -> ox.Model:
    """The generator, untrained: noise -> (1, 8, 8) in [-1, 1]."""
    return ox.Sequential(
        [
            ox.Input((NOISE,), name="noise"),
            nn.Dense(64 * 2 * 2, use_bias=False),
            nn.Reshape((64, 2, 2)),
            nn.BatchNormalization(momentum=0.9),
            nn.Activation("relu"),
            nn.Conv2DTranspose(32, 4, strides=2, padding="same", use_bias=False),
            nn.BatchNormalization(momentum=0.9),
            nn.Activation("relu"),
            nn.Conv2DTranspose(1, 4, strides=2, padding="same", activation="tanh"),
        ],
        name="generator",
    )


def build_discriminator() -> ox.Model:
    """Image -> how real it looks, as a logit."""
    return ox.Sequential(
        [
            ox.Input((1, 8, 8), name="image"),
            nn.Conv2D(32, 4, strides=2, padding="same", activation="leaky_relu"),
            nn.Dropout(0.3),
            nn.Conv2D(64, 4, strides=2, padding="same", activation="leaky_relu"),
            nn.Dropout(0.3),
            nn.Flatten(),
            nn.Dense(1),
        ],
        name="discriminator",
    )


def judge(classifier: ox.Model, made: np.ndarray) -> dict[str, float]:
    """How sure the classifier is, on average, and the entropy of the digits it sees as a part of that of all ten alike."""
    p = classifier.predict((made + 1) / 2, 256)
    shares = np.bincount(p.argmax(1), minlength=10) / len(p)
    entropy = -(shares[shares > 0] * np.log(shares[shares > 0])).sum() / np.log(10)
    return {"recognised with": float(p.max(1).mean()), "digits": float((shares > 0.02).sum()), "evenness": float(entropy)}


def main(folder: Path, epochs: int) -> dict[str, float]:
    """Trains the judge, plays, and draws a sheet of samples over time, one row an epoch shown, into dcgan.png."""
    (x, y), test = digits.data()
    classifier = digits.build()
    classifier.fit(x, y, 64, 10, verbose=0)
    generator, discriminator = build(), build_discriminator()
    both = game(generator, discriminator, learning_rate=1e-3)
    seen = noise(np.random.default_rng(1), 1000)
    sheet = [generator.predict(seen[:12])]
    for epoch in play(generator, discriminator, both, x * 2 - 1, epochs, BATCH_SIZE):
        made = generator.predict(seen, 250)
        sheet.append(made[:12])
        results = judge(classifier, made)
        print(f"epoch {epoch + 1}/{epochs}", *(f"{name} {value:.3f}" for name, value in results.items()), sep="  ")
    generator.save(folder / "model.onnx")
    shown = [0, *(max(1, round(epochs * part)) for part in (0.1, 0.25, 0.5, 1))]
    images = np.concatenate([*(sheet[k] for k in shown), test[0][:12] * 2 - 1])
    rows = [*(f"epoch {k}" for k in shown), "real"]
    ox.viz.save_images(images, folder / "dcgan.png", 12, scale=(-1, 1), size=0.6, rows=rows)
    return results


if __name__ == "__main__":
    print(main(Path(), EPOCHS))
