"""The contract of all converters, and how the right one is found: by suffix, then by content."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxdl.errors import ConversionError, FormatError
from onnxdl.train.model import Model

Read = Callable[..., Model]
"""``(source, model=None, **options)``: the Model of a file, or of a framework's own model object.

``model`` is the architecture that a file of weights alone goes into; other options are the framework's own.
"""

Write = Callable[[Model, Path], None]
"""Writes a Model as a file of the framework's."""

Activations = Callable[..., Mapping[str, np.ndarray]]
"""``(source, inputs by name, **options)``: what the framework itself computes at inference, by the names of our layers."""


@dataclass(frozen=True)
class Converter:
    """What one framework's package offers.

    Args:
        name: the framework's name, and the ``format`` of ``Model.export``.
        suffixes: those of its files, dot and all, in lower case; a folder's is "".
        recognises: whether a path's content (or an object) is this framework's: cheap, and never an error.
        read: makes a Model.
        write: writes one, where the format allows.
        writes: the suffixes that ``write`` can write.
        activations: runs the framework itself, for the parity report.
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[Any], bool]
    read: Read
    write: Write | None = None
    writes: tuple[str, ...] = ()
    activations: Activations | None = None


def reader_of(source: Any, converters: Sequence[Converter]) -> Converter:
    """The converter that reads a path or an object.

    Raises:
        FormatError: there is no such path, or no converter knows its content.
    """
    if not isinstance(source, str | os.PathLike):
        found = next((c for c in converters if c.recognises(source)), None)
        if found is None:
            raise ConversionError(
                f"no converter takes a {type(source).__module__}.{type(source).__qualname__}; give a path, {_known(converters)}"
            )
        return found
    path = Path(source)
    if not path.exists():
        raise FormatError(f"there is no file {path}; check the path")
    named = [c for c in converters if path.name.lower().endswith(tuple(filter(None, c.suffixes)))] if path.is_file() else []
    found = next((c for c in [*named, *converters] if c.recognises(path)), None)
    if found is None and named:
        found = named[0]  # its reader says what is wrong with the file
    if found is None:
        raise FormatError(f"cannot tell the format of {path} by its suffix or its content; {_known(converters)}")
    return found


def writer_of(path: Path, converters: Sequence[Converter]) -> Converter:
    """The converter that writes files of a path's suffix.

    Raises:
        FormatError: none does.
    """
    found = next((c for c in converters if c.write is not None and path.name.lower().endswith(c.writes)), None)
    if found is None:
        writable = ", ".join(s for c in converters for s in c.writes)
        raise FormatError(f"cannot write {path}: no format with the suffix {path.suffix!r} is written; choose one of {writable}")
    return found


def _known(converters: Sequence[Converter]) -> str:
    return "known are " + "; ".join(f"{c.name} ({', '.join(s or 'a folder' for s in c.suffixes)})" for c in converters)
