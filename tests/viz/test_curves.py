"""Training curves as files, and what importing viz loads."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onnxdl.errors import DataError, FormatError, OnnxdlError
from onnxdl.viz import save_curves

HISTORY = {"loss": [2.0, 1.0, 0.5], "accuracy": [0.3, 0.6, 0.8], "val_loss": [2.1, 1.2, 0.9], "val_accuracy": [0.2, 0.5, 0.7]}


def words(path: Path) -> str:
    """The text of a matplotlib SVG: each label stands in a comment beside its glyphs."""
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    root = ET.parse(path, parser).getroot()
    return " ".join(e.text or "" for e in root.iter() if e.tag is ET.Comment)


def panels(path: Path) -> int:
    return sum((g.get("id") or "").startswith("axes_") for g in ET.parse(path).getroot().iter("{http://www.w3.org/2000/svg}g"))


def test_one_panel_for_the_loss_and_one_for_each_metric(tmp_path: Path) -> None:
    save_curves(HISTORY, tmp_path / "curves.svg")
    text = words(tmp_path / "curves.svg")
    assert panels(tmp_path / "curves.svg") == 2
    assert text.index("loss") < text.index("accuracy")
    for label in ("epoch", "training", "validation"):
        assert text.count(label) == 2


def test_a_png_shows_something(tmp_path: Path) -> None:
    save_curves(HISTORY, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] > pixels.shape[0] > 400
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10


def test_one_epoch_has_one_tick(tmp_path: Path) -> None:
    save_curves({"loss": [1.25]}, tmp_path / "curves.svg")
    text = words(tmp_path / "curves.svg")
    assert panels(tmp_path / "curves.svg") == 1
    assert "validation" not in text
    assert text.split().count("1") == 1
    assert "0.5" not in text.split("epoch")[0]


def test_ticks_are_whole_epochs(tmp_path: Path) -> None:
    save_curves({"loss": [3.0, 2.0]}, tmp_path / "curves.svg")
    before_label = words(tmp_path / "curves.svg").split("epoch")[0].split()
    assert before_label == ["1", "2"]


def test_not_a_number_is_left_out(tmp_path: Path) -> None:
    save_curves({"loss": [1.0, float("nan"), 0.5]}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000


@pytest.mark.parametrize("history", [{}, {"loss": []}])
def test_an_empty_history_is_an_error(history: dict[str, list[float]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no epoch"):
        save_curves(history, tmp_path / "curves.png")


@pytest.mark.parametrize(
    ("name", "said"), [("curves.xyz", r"ends in \.png"), ("curves", r"ends in \.png"), ("missing/c.png", "No such file")]
)
def test_a_path_that_cannot_be_written_is_an_error(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=said):
        save_curves(HISTORY, tmp_path / name)


def test_without_matplotlib_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OnnxdlError, match=r"pip install onnxdl\[viz\]"):
        save_curves(HISTORY, tmp_path / "curves.png")


def test_viz_loads_matplotlib_late_and_never_pyplot(tmp_path: Path) -> None:
    program = f"""
import sys
import onnxdl.viz
assert all(callable(getattr(onnxdl.viz, name)) for name in onnxdl.viz.__all__)
early = [name for name in ("matplotlib", "onnxruntime") if name in sys.modules]
onnxdl.viz.save_curves({{"loss": [1.0]}}, {str(tmp_path / "c.png")!r})
print(early, "matplotlib" in sys.modules, "matplotlib.pyplot" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "[] True False"
