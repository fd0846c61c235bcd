"""Convolution in image processing: hand-made filters on a photograph, then the same filters learned from examples.

One-dimensional filters smooth and differentiate a row of the photograph; two-dimensional ones smooth, sharpen and find edges.
Then a convolution layer, which knows nothing but photographs before and after a filter, learns each of the kernels.

Data: the photograph "camera" of scikit-image (512x512, by Lav Varshney, CC0).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

import onnxdl as ox
from onnxdl import nn, op, optim

FILTERS_1D: dict[str, npt.ArrayLike] = {
    "smoothing": [1 / 9, 2 / 9, 3 / 9, 2 / 9, 1 / 9],
    "derivative": [0, -0.5, 0, 0.5, 0],
    "second derivative": [0, 1, -2, 1, 0],
}
FILTERS_2D: dict[str, npt.ArrayLike] = {
    "smoothing (Gauss)": np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256,
    "sharpening": [[0, 0, 0, 0, 0], [0, 0, -1, 0, 0], [0, -1, 5, -1, 0], [0, 0, -1, 0, 0], [0, 0, 0, 0, 0]],
    "vertical edges (Sobel)": np.pad(np.outer([1, 2, 1], [-1, 0, 1]) / 4, 1),
    "horizontal edges (Sobel)": np.pad(np.outer([-1, 0, 1], [1, 2, 1]) / 4, 1),
    "edges (Laplace)": [[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, -4, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]],
}
EPOCHS = 100
BATCH_SIZE = 4


def photograph() -> np.ndarray:
    """(512, 512) in [0, 1]."""
    image: np.ndarray = ox.data.require("skimage.data", extra="examples").camera()
    return image.astype(np.float32) / 255


def kernels(filters: Mapping[str, npt.ArrayLike]) -> np.ndarray:
    """Filters as the kernels of one convolution, (filters, 1, *size)."""
    return np.array(list(filters.values()), np.float32)[:, None]


def convolve(x: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """(n, 1, *space) -> (n, filters, *space), the border padded with zeros."""
    return op.Conv(x, filters, pads=[2] * 2 * (x.ndim - 2)).numpy()


def tiles(image: np.ndarray, size: int = 64) -> np.ndarray:
    """The image cut into squares, (n, 1, size, size)."""
    rows, columns = image.shape[0] // size, image.shape[1] // size
    return image.reshape(rows, size, columns, size).swapaxes(1, 2).reshape(-1, 1, size, size)


def learn(x: np.ndarray, wanted: np.ndarray, epochs: int) -> tuple[np.ndarray, ox.Model]:
    """The kernels of a convolution that is trained to turn x into what the wanted kernels make of it."""
    layer = (nn.Conv1D, nn.Conv2D)[x.ndim - 3](len(wanted), 5, padding="same", use_bias=False)
    model = ox.Sequential([ox.Input(x.shape[1:], name="image"), layer])
    model.compile(optim.Adam(0.01, beta_2=0.99), loss="mse")
    x = x - x.mean()  # brightness alone says next to nothing about a kernel, and hides the rest
    model.fit(x, convolve(x, wanted), BATCH_SIZE, epochs, verbose=0)
    return layer.kernel.value, model


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cosine of the angle between each kernel of a and its partner in b."""
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    products: np.ndarray = (a * b).sum(1)
    products /= np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return products


def draw_row(row: np.ndarray, filters: np.ndarray, path: Path) -> None:
    """A row of pixels, and what one-dimensional filters make of it."""
    figure = ox.data.require("matplotlib.figure", extra="examples").Figure(figsize=(8, 5), layout="constrained")
    signals = {"a row of the photograph": row, **dict(zip(FILTERS_1D, convolve(row[None, None], filters)[0], strict=True))}
    for panel, (name, y) in zip(figure.subplots(4, 1, sharex=True), signals.items(), strict=True):
        panel.plot(y, linewidth=1)
        panel.set_title(name, fontsize=9)
    panel.set_xlabel("pixel")
    figure.supylabel("brightness", fontsize=9)
    figure.savefig(path, dpi=80)


def draw_image(image: np.ndarray, filters: np.ndarray, path: Path) -> None:
    """The photograph, and what two-dimensional filters make of it."""
    filtered = convolve(image[None, None], filters)[0]
    shown = [image, *(np.clip(y, *black_and_white(y)) for y in filtered)]
    ox.viz.save_images(shown, path, 3, ["photograph", *FILTERS_2D], size=1.5)


def black_and_white(y: np.ndarray) -> tuple[float, float]:
    """The values drawn black and white: zero is grey where about half of the values are negative."""
    largest = float(np.quantile(np.abs(y), 0.99))
    return (-largest, largest) if np.median(y) < 0.05 else (0.0, 1.0)


def main(folder: Path, epochs: int) -> dict[str, float]:
    """Filters, learns, and draws filters_1d.png, filters_2d.png and filters_learned.png; returns the smallest cosines."""
    image = photograph()
    one, two = kernels(FILTERS_1D), kernels(FILTERS_2D)
    learned_one, _ = learn(image[:, None], one, epochs)
    learned_two, model = learn(tiles(image), two, epochs)
    model.save(folder / "model.onnx")
    draw_row(image[256], one, folder / "filters_1d.png")
    draw_image(image, two, folder / "filters_2d.png")
    rows = ["made by hand", "learned"]
    ox.viz.save_images([*two, *learned_two], folder / "filters_learned.png", len(two), list(FILTERS_2D), size=1.4, rows=rows)
    return {"cosine 1-D": float(cosines(one, learned_one).min()), "cosine 2-D": float(cosines(two, learned_two).min())}


if __name__ == "__main__":
    print(main(Path(), EPOCHS))
