"""``onnxdl profile``: where a step's time goes, for a file of one's own, with data and without, trained or only run."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from onnxdl.cli.main import main

SPEC = """
import numpy as np
import onnxdl as ox
from onnxdl import nn

def build():
    model = ox.Sequential([ox.Input((1, 6, 6)), nn.Conv2D(4, 3, name="conv"), nn.Flatten(), nn.Dense(3, activation="softmax", name="head")])
    model.compile("adam", "sparse_categorical_crossentropy", device="cpu")
    return model
"""
DATA = """
def data(path=None):
    rng = np.random.default_rng(0)
    return (rng.normal(size=(20, 1, 6, 6)).astype("float32"), rng.integers(0, 3, 20)), None
"""


@pytest.mark.parametrize("data", ["", DATA], ids=["random", "data"])
def test_a_training_step(tmp_path: Path, data: str) -> None:
    spec = tmp_path / "net.py"
    spec.write_text(SPEC + data)
    result = CliRunner().invoke(main, ["profile", str(spec), "--runs", "2", "--batch-size", "8", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    for words in ("for 8 samples", "conv", "head", "backward", "update", "five costliest"):
        assert words in result.output


def test_inference(tmp_path: Path) -> None:
    spec = tmp_path / "net.py"
    spec.write_text(SPEC)
    result = CliRunner().invoke(main, ["profile", str(spec), "--runs", "1", "--inference", "--quiet"])
    assert result.exit_code == 0, result.output
    assert "for 32 samples" in result.output
    assert "head" in result.output
