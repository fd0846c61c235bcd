"""The command that trains all of the gallery: every system has its row, and a row takes new results."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn
from onnxdl.cli.spec import gallery
from onnxdl.models import WEIGHTS, __main__


def test_every_system_has_its_row_and_its_sentence() -> None:
    table = __main__.TABLE.read_text("utf-8")
    assert sorted(__main__.REACHED) == gallery()
    for name in gallery():
        assert f"| `{name}` | {name} reached it | 12 s |" not in table
        assert f"| {name} reached it | 12 s |" in __main__.enter(table, name, f"{name} reached it", 12.3)
    with pytest.raises(ox.FormatError, match="no row for nobody"):
        __main__.enter(table, "nobody", "", 1)
    assert {file.stem for file in WEIGHTS.glob("*.onnx")} == set(__main__.SHIPPED)


def test_a_run_fills_the_row_the_picture_and_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], check: bool) -> None:
        folder = Path(command[-1])
        assert command[3:5] == ["train", "digits"] and check
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"seconds": 7.6}))
        (folder / "history.json").write_text(json.dumps({"val_accuracy": [0.5, 0.987]}))
        (folder / "digits.png").write_bytes(b"new")
        model = ox.Sequential([ox.Input((3,)), nn.Dense(2)])
        model.compile("adam", "mse")
        model.train_on_batch(np.ones((2, 3), np.float32), np.ones((2, 2), np.float32))
        model.save(folder / "model.onnx")

    places: dict[str, Any] = {"TABLE": tmp_path / "README.md", "PICTURES": tmp_path, "WEIGHTS": tmp_path / "w"}
    for name, place in places.items():
        monkeypatch.setattr(__main__, name, place)
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(__main__, "processor_seconds", iter([1.0, 8.6, 9.0]).__next__)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("| `digits` | a net | old | 1 s | |\n![x](../.assets/digits.png)\n")
    __main__.main(["digits"])
    assert (tmp_path / "README.md").read_text().startswith("| `digits` | a net | 98.7 % of digits | 8 s | |\n")
    assert (tmp_path / "digits.png").read_bytes() == b"new"
    shipped, trained = ox.load(tmp_path / "w" / "digits.onnx"), ox.load(tmp_path / "runs" / "digits" / "model.onnx")
    x = np.eye(3, dtype=np.float32)
    np.testing.assert_array_equal(shipped.predict(x), trained.predict(x))
    files = tmp_path / "w" / "digits.onnx", tmp_path / "runs" / "digits" / "model.onnx"
    sizes = [file.stat().st_size for file in files]
    assert sizes[0] < sizes[1] / 2  # without the optimizer's State and the training algorithm
    with pytest.raises(SystemExit, match="unknown systems: nobody"):
        __main__.main(["nobody"])
