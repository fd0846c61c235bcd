"""Sessions: made on the device that was asked for, silent, and failing in one line that says why."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnxdl.errors import RuntimeFailure
from onnxdl.runtime import create_session, cuda_available, resolve_device, run


def model(body: str, inputs: str = "float[N, 2] x", outputs: str = "float[N, 2] y") -> bytes:
    text = f'<ir_version: 10, opset_import: ["": 21]> g ({inputs}) => ({outputs}) {{ {body} }}'
    return onnx.parser.parse_model(text).SerializeToString()


RELU = model("y = Relu(x)")
X = np.array([[-1, 2], [3, -4], [0, 1]], np.float32)


def failure_of(call: Callable[[], object]) -> str:
    with pytest.raises(RuntimeFailure) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert "ONNXRuntimeError" not in message
    assert "/onnxruntime" not in message
    return message


def test_a_session_from_bytes_and_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "relu.onnx"
    path.write_bytes(RELU)
    for source in (RELU, path, str(path)):
        (y,) = run(create_session(source), None, {"x": X})
        np.testing.assert_array_equal(y, np.maximum(X, 0))


def test_the_number_of_threads_is_kept() -> None:
    assert create_session(RELU, threads=1).get_session_options().intra_op_num_threads == 1


def test_a_session_on_the_cpu_is_silent(tmp_path: Path) -> None:
    path = tmp_path / "relu.onnx"
    path.write_bytes(RELU)
    program = f"""
import numpy as np
from onnxdl.runtime import create_session, resolve_device, run
session = create_session({str(path)!r}, device=resolve_device("cpu"))
print(session.get_providers(), run(session, None, {{"x": np.ones((1, 2), np.float32)}})[0].sum())
"""
    ran = subprocess.run([sys.executable, "-W", "default", "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "['CPUExecutionProvider'] 2.0\n"
    assert ran.stderr == ""


@pytest.mark.skipif(cuda_available(), reason="this machine has a CUDA device")
def test_without_a_gpu_auto_is_the_cpu_and_cuda_is_refused_silently() -> None:
    program = f"""
from onnxdl.errors import RuntimeFailure
from onnxdl.runtime import create_session, resolve_device
print(resolve_device(None), resolve_device("auto"))
for refused in (lambda: resolve_device("cuda"), lambda: create_session({RELU!r}, device="cuda")):
    try:
        refused()
    except RuntimeFailure as error:
        print(error)
"""
    ran = subprocess.run([sys.executable, "-W", "default", "-c", program], capture_output=True, text=True, check=True)
    line = "CUDA was asked for but does not start here; see `onnxdl info`, or use device='cpu'\n"
    assert ran.stdout == "cpu cpu\n" + 2 * line
    assert ran.stderr == ""


@pytest.mark.cuda
def test_with_a_gpu_auto_is_cuda() -> None:
    assert resolve_device(None) == resolve_device("auto") == resolve_device("cuda") == "cuda"
    session = create_session(RELU, device="cuda")
    assert session.get_providers()[0] == "CUDAExecutionProvider"
    np.testing.assert_array_equal(run(session, None, {"x": X})[0], np.maximum(X, 0))


def test_an_unknown_device_is_refused() -> None:
    assert failure_of(lambda: resolve_device("tpu")) == "unknown device 'tpu'; use 'cpu', 'cuda' or 'auto'"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"junk", "protobuf parsing failed"),
        (b"", "No graph was found"),
        ("no/such/file.onnx", "File doesn't exist"),
        (model("y = Nonsense(x)"), "No Op registered for Nonsense"),
        (model("y = MatMul(x, x)", "bfloat16[2, 2] x", "bfloat16[2, 2] y"), "Could not find an implementation for MatMul"),
    ],
    ids=["junk", "empty", "missing", "unknown-operator", "no-kernel"],
)
def test_a_model_that_cannot_be_loaded(source: bytes | str, words: str) -> None:
    message = failure_of(lambda: create_session(source))
    assert message.startswith("ONNX Runtime cannot load the model: ")
    assert words in message


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ({"x": np.ones((3, 3), np.float32)}, "Got: 3 Expected: 2"),
        ({"x": np.ones((3, 2))}, "Actual: (tensor(double)) , expected: (tensor(float))"),
        ({}, "(['x']) are missing"),
    ],
    ids=["shape", "type", "missing"],
)
def test_wrong_feeds(feeds: dict[str, np.ndarray], words: str) -> None:
    message = failure_of(lambda: run(create_session(RELU), None, feeds))
    assert message.startswith("ONNX Runtime cannot run the model: ")
    assert words in message


def test_a_kernel_that_fails_names_its_node_and_logs_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    proto = onnx.load_from_string(model("y = Reshape(x, s)", "float[N] x, int64[M] s", "float[K, L] y"))
    proto.graph.node[0].name = "head/Reshape"
    session = create_session(proto.SerializeToString())
    message = failure_of(lambda: run(session, None, {"x": np.ones(3, np.float32), "s": np.array([2, 2])}))
    assert "Input shape:{3}, requested shape:{2,2} (in the Reshape node 'head/Reshape')" in message
    assert capfd.readouterr() == ("", "")
