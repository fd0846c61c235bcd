"""An auto-encoder and a variational one: digits through a narrow place and back.

The auto-encoder is compared with principal components of the same number, the best that linear maps can do. The variational
one (Kingma and Welling 2013) draws its code from N(mean, variance) inside the graph, with the library's counter-based generator,
so the trained file holds the dice too; the loss adds how far that distribution lies from N(0, 1).

Data: the 1,797 handwritten digits that scikit-learn ships.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import onnxdl as ox
from onnxdl import nn, op, optim
from onnxdl.models import mlp

EPOCHS = 60
BATCH_SIZE = 32
CODE = 8


def coder(*units: int, activation: str | None, name: str) -> ox.Model:
    """Dense layers; the last one has the given activation."""
    hidden = [nn.Dense(n, activation="relu") for n in units[1:-1]]
    return ox.Sequential([ox.Input((units[0],)), *hidden, nn.Dense(units[-1], activation=activation)], name=name)


def build() -> ox.Model:
    """The auto-encoder."""
    pixels = ox.Input((64,), name="pixels")
    code = coder(64, 128, 64, CODE, activation=None, name="encoder")(pixels)
    model = ox.Model(pixels, coder(CODE, 64, 128, 64, activation="sigmoid", name="decoder")(code), name="autoencoder")
    model.compile(optim.Adam(2e-3), loss="mse")
    return model


class Sampling(nn.Layer):
    """z = mean + exp(log_variance / 2) * noise; adds the divergence of N(mean, variance) from N(0, 1) to the loss.

    The divergence is counted as the reconstruction is, as a mean over the 64 pixels. Outside training, z = mean.
    """

    def call(self, mean: ox.Tensor, log_variance: ox.Tensor, training: bool = False) -> ox.Tensor:
        divergence = 0.5 * (mean * mean + op.Exp(log_variance) - log_variance - 1)
        self.add_loss(op.ReduceMean(op.ReduceSum(divergence, [1]), keepdims=0) / 64)
        return mean + op.Exp(log_variance / 2) * ox.random.normal(op.Shape(mean)) if training else mean


def build_variational() -> tuple[ox.Model, ox.Model]:
    """The variational auto-encoder with a code of two numbers, and its decoder alone."""
    pixels = ox.Input((64,), name="pixels")
    hidden = coder(64, 128, 64, activation="relu", name="encoder")(pixels)
    z = Sampling()(nn.Dense(2, name="mean")(hidden), nn.Dense(2, name="log_variance")(hidden))
    decoder = coder(2, 64, 128, 64, activation="sigmoid", name="decoder")
    model = ox.Model(pixels, decoder(z), name="variational_autoencoder")
    model.compile(optim.Adam(2e-3), loss="binary_crossentropy")
    return model, decoder


def principal_components(x: np.ndarray, x_test: np.ndarray, n: int) -> np.ndarray:
    """The held-out digits rebuilt from their first n principal components."""
    mean = x.mean(0)
    axes = np.linalg.svd(x - mean, full_matrices=False)[2][:n]
    rebuilt: np.ndarray = (x_test - mean) @ axes.T @ axes + mean
    return rebuilt


def main(folder: Path, epochs: int) -> dict[str, float]:
    """Trains both; draws reconstructions.png and, decoded from a grid of codes, manifold.png."""
    (x, _), (x_test, _) = mlp.data()
    model = build()
    model.fit(x, x, BATCH_SIZE, epochs, verbose=0)
    variational, decoder = build_variational()
    history = variational.fit(x, x, BATCH_SIZE, epochs, validation_data=(x_test, x_test), verbose=0).history
    model.save(folder / "model.onnx")
    variational.save(folder / "variational.onnx")

    rows = [x_test, model.predict(x_test), principal_components(x, x_test, CODE), variational.predict(x_test)]
    titles = ["held out", f"{CODE} numbers", f"{CODE} components", "2 numbers"]
    sheet = np.concatenate([row[i : i + 1] for i in range(12) for row in rows]).reshape(-1, 8, 8)
    ox.viz.save_images(sheet, folder / "reconstructions.png", 12, titles * 3, scale=(0, 1), size=0.75)
    normal = np.array([-1.6, -1.1, -0.75, -0.45, -0.15, 0.15, 0.45, 0.75, 1.1, 1.6], np.float32)
    grid = np.stack(np.meshgrid(normal, normal), axis=-1).reshape(-1, 2)
    ox.viz.save_images(decoder.predict(grid).reshape(-1, 8, 8), folder / "manifold.png", scale=(0, 1), size=0.5)
    squared = {name: float(((row - x_test) ** 2).mean()) for name, row in zip(titles, rows, strict=True)}
    return {
        "mean squared error": squared[titles[1]],
        "of principal components": squared[titles[2]],
        "variational loss": history["val_loss"][-1],
    }


if __name__ == "__main__":
    print(main(Path(), EPOCHS))
