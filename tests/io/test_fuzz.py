"""Damaged files against every reader, a few dozen each; ``python -m tests.benchmarks.fuzz`` tries thousands."""

from __future__ import annotations

import collections
import sys
from pathlib import Path

import pytest

from tests.benchmarks.fuzz import FINE, inputs
from tests.benchmarks.fuzz_samples import SAMPLES

SLOW = {"keras2": 5, "h5-keras2": 5, "saved-model": 15}
FAILED_ONCE = {
    "h5": [310, 382, 581],
    "mxnet": [6556],
    "mxnet-lstm": [6902],
    "h5-keras2": [2791],
    "onnx": [2983, 6275],
    "pt2": [6848],
    "keras": [2205],
    "caffe2": [641, 985],
    "onnx-external": [6138, 6703],
    "mnist": [751],
    "images": [1233],
}
"""Inputs that ended badly before, of the thousands that the fuzzer has tried."""
NEEDS = {"pt2": "torch", "pth": "torch", "pt-legacy": "torch", "keras": "h5py", "keras2": "h5py", "h5": "h5py", "h5-keras2": "h5py"}
NEEDS |= {"weights.h5": "h5py", "images": "PIL"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limits are those of Linux")
@pytest.mark.parametrize("reader", SAMPLES)
def test_damaged_files_end_in_an_object_or_a_named_error(reader: str, tmp_path: Path) -> None:
    if reader in NEEDS:
        pytest.importorskip(NEEDS[reader])
    outcomes: dict[str, list[str]] = collections.defaultdict(list)
    for seed, outcome, what in inputs(reader, tmp_path, [*range(SLOW.get(reader, 40)), *FAILED_ONCE.get(reader, ())]):
        outcomes[outcome].append(f"{what} [seed {seed}]")
    assert set(outcomes) <= set(FINE), {k: v for k, v in outcomes.items() if k not in FINE}
    assert outcomes["refused"]
