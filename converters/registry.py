"""All converters, and what one does with them: ``load`` and ``convert``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from onnxdl import errors
from onnxdl.converters import caffe2, keras, mxnet, onnx, sklearn, tensorflow, torch
from onnxdl.converters.contract import Converter, Write, reader_of, writer_of
from onnxdl.train.export import FORMATS
from onnxdl.train.model import Model

CONVERTERS: tuple[Converter, ...] = (
    onnx.CONVERTER,
    keras.CONVERTER,
    torch.CONVERTER,
    mxnet.CONVERTER,
    tensorflow.CONVERTER,
    caffe2.CONVERTER,
    sklearn.CONVERTER,
)
"""In the order in which they are asked."""

PRETRAINED = Path(errors.__file__).parent / "models" / ".weights"


def load(source: Any, model: Model | None = None, **options: Any) -> Model:
    """A file of any known framework as a Model: it predicts at once, and trains after ``compile``.

    Args:
        source: a path, a framework's own model object, or the name of a gallery system that is shipped trained, as ``digits``.
        model: the architecture that a file of weights alone goes into.
        options: the framework's own, such as ``custom_objects`` (Keras) or ``example_inputs`` (a PyTorch module).

    Raises:
        FormatError: the file is missing, damaged or of an unknown kind.
        ConversionError: it holds something that has no equal here.
    """
    chosen = _pretrained(source) or source
    reader = reader_of(chosen, CONVERTERS)
    if not isinstance(chosen, str | os.PathLike):
        return reader.read(chosen, model, **options)
    try:
        return reader.read(chosen, model, **options)
    except (MemoryError, RecursionError) as error:
        what = type(error).__name__
        raise errors.FormatError(f"{chosen} asks for more memory or depth than there is ({what}); is it damaged?") from error
    except errors.OnnxdlError as error:
        if Path(chosen).name in str(error):
            raise
        raise type(error)(f"{chosen}: {error}") from error


def _pretrained(source: Any) -> Path | None:
    """The file of a gallery system's trained weights, if ``source`` is its name and no file of the user's."""
    if not isinstance(source, str) or not source.isidentifier() or Path(source).exists():
        return None
    file = PRETRAINED / f"{source}.onnx"
    if not file.is_file():
        shipped = ", ".join(sorted(f.stem for f in PRETRAINED.glob("*.onnx")))
        raise errors.FormatError(f"there is no file {source}, and no trained gallery system of that name; trained are {shipped}")
    return file


def convert(source: Any, target: str | os.PathLike[str], model: Model | None = None, **options: Any) -> Model:
    """Reads a file of one framework and writes it as one of another, told by the suffix; returns the model between.

    Raises:
        FormatError: the source cannot be read, or no format with the target's suffix is written.
        ConversionError: either side holds something that the other has no equal of.
    """
    path = Path(target)
    write = writer_of(path, CONVERTERS).write
    assert write is not None
    found = load(source, model, **options)
    write(found, path)
    return found


def _export(write: Write) -> Callable[[Model, str | os.PathLike[str]], None]:
    return lambda model, path: write(model, Path(path))


FORMATS.update({c.name: _export(c.write) for c in CONVERTERS if c.write is not None and c.name not in FORMATS})
FORMATS.setdefault("safetensors", _export(torch.write_safetensors))
