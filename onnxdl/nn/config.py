"""Configurations of layers and what belongs to them: those of ``onnxdl.config``."""

from onnxdl.config import Arguments, Configurable, as_text, class_named, deserialize, serialize

__all__ = ["Arguments", "Configurable", "as_text", "class_named", "deserialize", "serialize"]
