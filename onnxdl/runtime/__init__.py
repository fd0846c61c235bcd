"""Runs an ir.Model on ONNX Runtime: sessions, device buffers, providers. The only importer of onnxruntime."""

from onnxdl.runtime.sessions import create_session, cuda_available, resolve_device, run

__all__ = ["create_session", "cuda_available", "resolve_device", "run"]
