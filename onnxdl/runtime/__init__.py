"""Runs an ir.Model on ONNX Runtime: sessions, device buffers, providers. The only importer of onnxruntime."""

from onnxdl.runtime.cells import Cell, Results, StepSession
from onnxdl.runtime.sessions import create_session, cuda_available, resolve_device, run

__all__ = ["Cell", "Results", "StepSession", "create_session", "cuda_available", "resolve_device", "run"]
