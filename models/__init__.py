"""The gallery: one runnable file a system, written with the public names only. Imports as onnxdl.models."""

from __future__ import annotations

from pathlib import Path

if __name__ != "onnxdl.models":
    raise ImportError(f"this package is onnxdl.models, not {__name__}; run from anywhere after `pip install -e .`")

WEIGHTS = Path(__file__).parent / ".weights"
"""Where the trained weights lie that ``ox.load(NAME)`` loads."""
