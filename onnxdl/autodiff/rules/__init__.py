"""One file an operator family; importing this package registers every rule."""

from onnxdl.autodiff.rules import (
    activations,
    conv,
    dropout,
    elementwise,
    indexing,
    linalg,
    norm,
    pool,
    reductions,
    shape,
    softmax,
    zero,
)

__all__ = [
    "activations",
    "conv",
    "dropout",
    "elementwise",
    "indexing",
    "linalg",
    "norm",
    "pool",
    "reductions",
    "shape",
    "softmax",
    "zero",
]
