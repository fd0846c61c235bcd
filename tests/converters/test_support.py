"""The support tables say what the registries say."""

from __future__ import annotations

from onnxdl import nn
from onnxdl.converters import support
from onnxdl.converters.keras.layers import ENTRIES
from onnxdl.converters.registry import CONVERTERS


def test_the_readme_is_what_the_registries_say() -> None:
    assert support.README.read_text(encoding="utf-8") == support.readme(), "run: python -m onnxdl.converters.support"


def test_every_converter_has_its_files_in_the_table() -> None:
    assert {file.converter for file in support.FILES} == {c.name for c in CONVERTERS}


def test_what_is_written_stands_in_the_table() -> None:
    ways = {c.name: {way for f in support.FILES if f.converter == c.name for way in f.ways.split(", ")} for c in CONVERTERS}
    assert {c.name for c in CONVERTERS if c.write is not None} == {name for name, found in ways.items() if "out" in found}
    assert all("in" in found for found in ways.values())


def test_every_layer_of_ours_is_one_of_keras() -> None:
    public = {c for n in nn.__all__ if isinstance(c := getattr(nn, n), type) and issubclass(c, nn.Layer)} - {nn.Layer}
    assert public <= {entry.layer for entry in ENTRIES.values()}
