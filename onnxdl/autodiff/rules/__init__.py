"""One file an operator family; importing this package registers every rule."""

from onnxdl.autodiff.rules import elementwise

__all__ = ["elementwise"]
