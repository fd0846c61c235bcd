"""What is done to a graph between tracing and saving: one file a pass."""

from onnxdl.graph.passes.finish import finish

__all__ = ["finish"]
