"""CUDA graphs without a GPU: ONNX Runtime's own CUDA provider records a train step and replays it, on libraries that only say yes.

No arithmetic runs; what is seen is which recording is launched when, and that each call is one that the provider accepts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.anywhere.placement import make_stand_ins, provider

STEPS = """
import sys
import numpy as np
import onnxdl as ox
from onnxdl import nn, op
from onnxdl.runtime import sessions

sessions.cuda_available = lambda: True
hidden = {"plain": nn.Dropout(0.2), "refused": nn.Lambda(op.Tan)}[sys.argv[1]]
x, y = np.ones((16, 4), np.float32), np.zeros(16, np.int64)
model = ox.Sequential([ox.Input((4,)), nn.Dense(8), hidden, nn.Dense(3, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy", device="cuda")
model.ensure_targets(y)
for size in (16, 16, 16, 5, 16):
    print("STEP", size, file=sys.stderr, flush=True)
    model.train_step()(x[:size], y[:size])
"""


def seen(kind: str, folder: Path) -> list[str]:
    """The steps, the launches of recordings, and warnings, in their order."""
    make_stand_ins(provider(), folder)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", STEPS, kind], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith(("STEP", "LAUNCH")) or "UserWarning" in line]


@pytest.mark.slow
def test_two_recordings_are_replayed_in_turn(tmp_path: Path) -> None:
    """A smaller batch runs by itself; the State has moved on then, so the other recording is next."""
    assert seen("plain", tmp_path) == [
        *("STEP 16", "LAUNCH 1"),
        *("STEP 16", "LAUNCH 2"),
        *("STEP 16", "LAUNCH 1"),
        "STEP 5",
        *("STEP 16", "LAUNCH 1"),
    ]


@pytest.mark.slow
def test_what_cannot_be_recorded_runs_kernel_by_kernel(tmp_path: Path) -> None:
    """CUDA has no kernel for Tan."""
    warning, *steps = sorted(seen("refused", tmp_path), key=lambda line: "UserWarning" not in line)
    assert "the train step runs without a CUDA graph" in warning and "graph capture feature" in warning
    assert steps == [f"STEP {size}" for size in (16, 16, 16, 5, 16)]
