"""Sheets of images: room for titles and for what stands beside a row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import onnxdl as ox


def size_of(path: Path, titles: list[str], rows: list[str]) -> tuple[int, ...]:
    from matplotlib.image import imread

    ox.viz.save_images(np.random.default_rng(0).random((6, 8, 8)), path, 3, titles, size=0.5, rows=rows)
    return imread(path).shape[:2]  # type: ignore[no-any-return]


def test_room_for_titles_and_rows(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "sheet.png"
    assert size_of(path, [], []) == (120, 180)
    assert size_of(path, ["a", "b"], []) == (144, 180)
    assert size_of(path, ["a", "", "", "b"], []) == (168, 180)
    assert size_of(path, ["", "", "", "b"], []) == (144, 180)
    assert size_of(path, [], ["before", "after"]) == (120, 204)
