"""Other frameworks' files, read and written: one package a framework, one contract for all. Imports as onnxdl.converters."""

if __name__ != "onnxdl.converters":
    raise ImportError(f"this package is onnxdl.converters, not {__name__}; run from anywhere after `pip install -e .`")

from onnxdl.converters.registry import CONVERTERS, convert, load

__all__ = ["CONVERTERS", "convert", "load"]
