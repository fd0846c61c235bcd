"""Sessions: an ONNX model made runnable, on the device that was asked for."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxdl.errors import RuntimeFailure

if TYPE_CHECKING:
    import onnxruntime as ort

_threads = 0
_FATAL = 4  # what ONNX Runtime would log as an error, it also raises
_NO_CUDA = "CUDA was asked for but does not start here; see `onnxdl info`, or use device='cpu'"
_FAILED_NODE = re.compile(r"while running (\w+) node\. Name:'([^']*)'")
_NOISE = re.compile(r"^\d+ : [A-Z_]+ : |/\S+\.(?:h|cc):\d+ [^()]*\([^()]*\)(?: const)? |\S+ [=!<>]+ \S+ was false\. ")


@cache
def load_onnxruntime() -> Any:
    """The onnxruntime module, imported on first use: it is slow to load."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import onnxruntime
    onnxruntime.set_default_logger_severity(_FATAL)
    return onnxruntime


@cache
def cuda_available() -> bool:
    """Whether the CUDA provider is built in and its libraries and a device are really there."""
    ort = load_onnxruntime()
    has_driver = os.name == "nt" or os.path.exists("/proc/driver/nvidia/version")
    if "CUDAExecutionProvider" not in ort.get_available_providers() or not has_driver:
        return False
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    return "CUDAExecutionProvider" in _probe(ort)


def _probe(ort: Any) -> Sequence[str]:
    import onnx_ir as ir

    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([1]))
    node = ir.Node("", "Neg", [x], name="probe")
    node.outputs[0].name, node.outputs[0].type, node.outputs[0].shape = "y", x.type, x.shape
    model = ir.Model(ir.Graph([x], node.outputs, nodes=[node], opset_imports={"": 21}, name="probe"), ir_version=10)
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, providers=providers)
    return session.get_providers()  # type: ignore[no-any-return]


def resolve_device(device: str | None) -> str:
    """``cpu`` or ``cuda``; None or ``auto`` takes CUDA where it works. Asked for by name, CUDA must work."""
    if device in (None, "auto"):
        return "cuda" if cuda_available() else "cpu"
    if device == "cuda" and not cuda_available():
        raise RuntimeFailure(_NO_CUDA)
    if device not in ("cpu", "cuda"):
        raise RuntimeFailure(f"unknown device {device!r}; use 'cpu', 'cuda' or 'auto'")
    return device


def set_threads(threads: int) -> None:
    """How many intra-op threads a session has that is created without a number of its own; 0, the default, is one a core."""
    global _threads
    _threads = threads


def create_session(
    model: bytes | str | os.PathLike[str], *, device: str = "cpu", threads: int = 0, profile: str | None = None, capture: bool = False
) -> ort.InferenceSession:
    """An ONNX Runtime session; raises RuntimeFailure in one line where the model cannot be loaded.

    Args:
        model: the serialized model, or the path of a file (needed past 2 GB, for external data).
        device: ``cpu`` or ``cuda``.
        threads: intra-op threads, 0 for what ``set_threads`` said.
        profile: what the name of the file begins with that gets the time of every node.
        capture: whether a session on CUDA records its kernels as CUDA graphs, which it refuses where one cannot be recorded.
    """
    ort = load_onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = threads or _threads
    options.enable_mem_pattern = threads == 1  # small operators gain 5 %; for large ones the plan would be a second arena
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, profile
    providers: list[Any] = ["CPUExecutionProvider"]
    if device == "cuda":
        providers.insert(0, ("CUDAExecutionProvider", {"enable_cuda_graph": "1"}) if capture else "CUDAExecutionProvider")
    source = model if isinstance(model, bytes) else os.fspath(model)
    try:
        session = ort.InferenceSession(source, options, providers=providers)
    except Exception as error:  # its exceptions share no base class of their own
        raise RuntimeFailure(f"ONNX Runtime cannot load the model: {one_line(error)}") from error
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():  # it falls back to the CPU on its own
        raise RuntimeFailure(_NO_CUDA)
    return session


def run(session: ort.InferenceSession, outputs: Sequence[str] | None, feeds: Mapping[str, np.ndarray]) -> list[Any]:
    """Runs a session once: an array an output, a list where it is a sequence. Raises RuntimeFailure in one line where a kernel fails."""
    try:
        return session.run(outputs, feeds)  # type: ignore[no-any-return]
    except Exception as error:  # its exceptions share no base class of their own
        raise RuntimeFailure(f"ONNX Runtime cannot run the model: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """ONNX Runtime's message without its error code, its own source's lines and line breaks; the node that failed is named."""
    text = " ".join(str(error).split())
    failed = _FAILED_NODE.search(text)
    for marker in ("[ONNXRuntimeError]", "Status Message:"):
        text = text.split(marker)[-1]
    text = _NOISE.sub("", text.strip(" :")).strip(" :")
    return f"{text} (in the {failed[1]} node {failed[2]!r})" if failed else text
