"""Training curves: the loss and each metric over the epochs, as a picture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from onnxdl.errors import DataError, FormatError, OnnxdlError

_STYLES = {"training": "-", "validation": "--"}  # told apart in black-and-white print too


def save_curves(history: Mapping[str, Sequence[float]], path: str | os.PathLike[str]) -> None:
    """Writes one panel for the loss and one for each metric; ``val_<name>`` is drawn beside ``<name>``.

    Args:
        history: one number an epoch by name, as ``fit`` returns it.
        path: the picture; its suffix (.png, .svg, .pdf) says the format.

    Raises:
        DataError: the history is empty.
        FormatError: the suffix names no format, or the file cannot be written.
        OnnxdlError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ModuleNotFoundError as error:
        raise OnnxdlError("drawing curves needs matplotlib: pip install onnxdl[viz]") from error

    names = list(dict.fromkeys(name.removeprefix("val_") for name, numbers in history.items() if len(numbers)))
    if not names:
        raise DataError("the history holds no epoch; there are no curves to draw")
    names.sort(key=lambda name: name != "loss")
    figure = Figure(figsize=(1.0 + 4.2 * len(names), 3.6), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    suffix = Path(path).suffix.lower().lstrip(".")
    if suffix not in canvas.get_supported_filetypes():
        raise FormatError(f"cannot write the curves {os.fspath(path)}: use a name that ends in .png, .svg or .pdf")
    for panel, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for label, key in (("training", name), ("validation", f"val_{name}")):
            numbers = history.get(key, ())
            if len(numbers):
                epochs = range(1, len(numbers) + 1)
                panel.plot(epochs, numbers, _STYLES[label], label=label, marker="o" if len(numbers) <= 30 else None, markersize=3.5)
        longest = max(len(history.get(key, ())) for key in (name, f"val_{name}"))
        if longest == 1:
            panel.set_xlim(0.5, 1.5)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        panel.set_xlabel("epoch")
        panel.set_ylabel(name.replace("_", " "))
        panel.grid(alpha=0.3)
        panel.legend()
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise FormatError(f"cannot write the curves {os.fspath(path)}: {error.strerror}") from error
