"""The gallery: one runnable file a system, written with the public names only. Imports as onnxdl.models."""

if __name__ != "onnxdl.models":
    raise ImportError(f"this package is onnxdl.models, not {__name__}; run from anywhere after `pip install -e .`")
