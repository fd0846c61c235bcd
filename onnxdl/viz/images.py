"""Images side by side in one picture: samples, filters, reconstructions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from onnxdl.errors import DataError, FormatError, OnnxdlError


def save_images(
    images: Sequence[np.ndarray] | np.ndarray,
    path: str | os.PathLike[str],
    columns: int | None = None,
    titles: Sequence[str] = (),
    scale: tuple[float, float] | None = None,
    size: float = 0.9,
    rows: Sequence[str] = (),
) -> None:
    """Writes images in rows and columns.

    Args:
        images: each (height, width), (1, height, width), or (3, height, width) for colour.
        path: the picture; its suffix (.png, .svg, .pdf) says the format.
        columns: how many stand in a row; by default a square of them.
        titles: a line above each of the first images; a row whose titles are all empty takes no room for them.
        scale: the values that are black and white; by default each image's own least and largest.
        size: the side of an image in inches.
        rows: a line beside each of the first rows.

    Raises:
        DataError: there are no images, or one has another shape.
        FormatError: the suffix names no format.
        OnnxdlError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ModuleNotFoundError as error:
        raise OnnxdlError("drawing images needs matplotlib: pip install onnxdl[viz]") from error

    if not len(images):
        raise DataError("there are no images to draw")
    columns = columns or int(np.ceil(np.sqrt(len(images))))
    height = -(-len(images) // columns)
    tight = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.0)
    titled = sum(any(titles[k : k + columns]) for k in range(0, len(images), columns))
    figure = Figure(figsize=(columns * size + bool(rows) * 0.2, height * size + titled * 0.2), layout=tight)
    canvas = FigureCanvasAgg(figure)
    if Path(path).suffix.lower().lstrip(".") not in canvas.get_supported_filetypes():
        raise FormatError(f"cannot write the images {os.fspath(path)}: use a name that ends in .png, .svg or .pdf")
    panels = figure.subplots(height, columns, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    for i, image in enumerate(images):
        pixels, (low, high) = _pixels(image), scale or (float(np.min(image)), float(np.max(image)))
        panels[i].imshow(np.clip((pixels - low) / ((high - low) or 1.0), 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        if i < len(titles) and titles[i]:
            panels[i].set_title(titles[i], fontsize=7, pad=2)
    for panel, label in zip(panels[::columns], rows, strict=False):
        panel.text(-0.05, 0.5, label, fontsize=7, rotation=90, ha="right", va="center", transform=panel.transAxes)
    figure.savefig(path, dpi=120)


def _pixels(image: np.ndarray) -> np.ndarray:
    """An image with its channels last, or none."""
    array = np.asarray(image, np.float64)
    if array.ndim == 3 and array.shape[0] in (1, 3):
        return array[0] if array.shape[0] == 1 else array.transpose(1, 2, 0)
    if array.ndim != 2:
        raise DataError(f"an image has the shape (height, width), (1, height, width) or (3, height, width), not {array.shape}")
    return array
