"""One file an operator family; importing this package registers every rule."""

from onnxdl.autodiff.rules import (
    activations,
    control,
    conv,
    dropout,
    elementwise,
    indexing,
    linalg,
    norm,
    pool,
    recurrent,
    reductions,
    shape,
    softmax,
    zero,
)

__all__ = [
    "activations",
    "control",
    "conv",
    "dropout",
    "elementwise",
    "indexing",
    "linalg",
    "norm",
    "pool",
    "recurrent",
    "reductions",
    "shape",
    "softmax",
    "zero",
]
