"""How a converter is found, by suffix and by content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn
from onnxdl.converters.contract import reader_of, writer_of
from onnxdl.converters.registry import CONVERTERS


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ox.FormatError, match=r"there is no file .*absent\.onnx"):
        ox.load(tmp_path / "absent.onnx")


def test_an_unknown_file_lists_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "model.xyz").write_bytes(b"nothing that anybody knows")
    with pytest.raises(ox.FormatError, match=r"cannot tell the format of .*model\.xyz .*onnx \(\.onnx\)"):
        ox.load(tmp_path / "model.xyz")


def test_an_unknown_object_is_named() -> None:
    with pytest.raises(ox.ConversionError, match=r"no converter takes a builtins\.int"):
        ox.load(3)


def test_a_suffix_that_nothing_writes_is_refused() -> None:
    with pytest.raises(ox.FormatError, match=r"no format with the suffix '\.xyz' is written"):
        writer_of(Path("model.xyz"), CONVERTERS)


def test_each_name_and_each_written_suffix_belongs_to_one_converter() -> None:
    names = [c.name for c in CONVERTERS]
    written = [s for c in CONVERTERS for s in c.writes]
    assert len(set(names)) == len(names)
    assert len(set(written)) == len(written)


def test_convert_writes_what_it_read(tmp_path: Path) -> None:
    model = ox.Sequential([ox.Input((3,)), nn.Dense(2)])
    model.save(tmp_path / "a.onnx")
    assert reader_of(tmp_path / "a.onnx", CONVERTERS).name == "onnx"
    ox.convert(tmp_path / "a.onnx", tmp_path / "b.onnx")
    x = np.ones((4, 3), np.float32)
    np.testing.assert_array_equal(ox.load(tmp_path / "b.onnx").predict(x, verbose=0), model.predict(x, verbose=0))
