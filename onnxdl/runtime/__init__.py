"""Runs an ir.Model on ONNX Runtime: sessions, device buffers, providers. The only importer of onnxruntime."""

from onnxdl.runtime.captured import CapturedSession
from onnxdl.runtime.cells import Cell, Results, StepSession
from onnxdl.runtime.in_place import leave_unshaped, written_in_place
from onnxdl.runtime.profiling import NodeTime, node_times
from onnxdl.runtime.sessions import create_session, cuda_available, resolve_device, run, set_threads
from onnxdl.runtime.threads import threads_for

__all__ = [
    "CapturedSession",
    "Cell",
    "NodeTime",
    "Results",
    "StepSession",
    "create_session",
    "cuda_available",
    "leave_unshaped",
    "node_times",
    "resolve_device",
    "run",
    "set_threads",
    "threads_for",
    "written_in_place",
]
