"""Steps that are recorded as CUDA graphs: what is bound when, and under which number. The CPU records nothing; the rest is the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from onnxdl.errors import RuntimeFailure
from onnxdl.runtime import Cell, StepSession
from onnxdl.runtime.captured import CapturedSession

STEP = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["": 21]> g (float[2] x, float[2] w) => (float loss, float[2] "next/w")'
    " <float rate = {0.5}> { e = Sub(w, x) s = Mul(e, e) loss = ReduceSum<keepdims = 0>(s) u = Mul(e, rate) "
    '"next/w" = Sub(w, u) }'
).SerializeToString()
BATCHES = [np.array([k, -k], np.float32) for k in range(6)]


class Recorder:
    """A session that notes the number of the recording, and how often each is asked for."""

    def __init__(self, session: Any) -> None:
        self.session, self.numbers = session, list[str]()

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        self.numbers.append(options.get_run_config_entry("gpu_graph_id"))
        self.session.run_with_iobinding(binding, options)
        self.session.run_with_iobinding(binding, options)  # as ONNX Runtime does to record

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)


def test_two_recordings_take_turns_and_results_stay() -> None:
    cells, plain = {"w": Cell(np.ones(2, np.float32))}, {"w": Cell(np.ones(2, np.float32))}
    captured, ordinary = CapturedSession(STEP, cells, device="cpu"), StepSession(STEP, plain)
    captured.session = recorder = Recorder(captured.session)
    kept = []
    for batch in BATCHES:
        given = batch.copy()
        kept.append((captured({"x": given}), ordinary({"x": batch})))
        given[:] = np.nan  # the caller's array is the caller's
    assert recorder.numbers == ["1", "2"] * 3
    assert [a["loss"] for a, _ in kept] == [b["loss"] for _, b in kept]
    np.testing.assert_array_equal(cells["w"].numpy(), plain["w"].numpy())


def test_cells_that_others_move_get_a_recording_of_their_own() -> None:
    cells = {"w": Cell(np.ones(2, np.float32))}
    captured, ordinary = CapturedSession(STEP, cells, device="cpu"), StepSession(STEP, cells)
    captured.session = recorder = Recorder(captured.session)
    for session in (captured, ordinary, captured, captured):
        session({"x": BATCHES[1]})
    assert recorder.numbers == ["1", "1", "2"]


def test_a_result_of_unknown_size_cannot_be_recorded() -> None:
    step = onnx.parser.parse_model('<ir_version: 10, opset_import: ["": 21]> g (float[2] x) => (int64[1, n] y) { y = NonZero(x) }')
    with pytest.raises(RuntimeFailure, match="the size of the result 'y' is not known"):
        CapturedSession(step.SerializeToString(), {}, device="cpu")
