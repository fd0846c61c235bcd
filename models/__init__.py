"""The gallery: one runnable file a system, written with the public names only. Imports as onnxdl.models."""

from __future__ import annotations

from pathlib import Path

if __name__ != "onnxdl.models":
    raise ImportError(f"this package is onnxdl.models, not {__name__}; run from anywhere after `pip install -e .`")

WEIGHTS = Path(__file__).parent / ".weights"


def pretrained(name: str) -> Path:
    """The file of a system's trained weights, which ``ox.load(name)`` loads.

    Raises:
        FormatError: none are shipped for that name.
    """
    file = WEIGHTS / f"{name}.onnx"
    if not file.exists():
        from onnxdl import FormatError

        shipped = ", ".join(sorted(f.stem for f in WEIGHTS.glob("*.onnx")))
        raise FormatError(f"there are no trained weights called {name!r}: the gallery has {shipped}")
    return file
