"""Samples held out for testing."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np

from onnxdl.data.lazy import rows
from onnxdl.errors import DataError

Arrays = tuple[np.ndarray, np.ndarray]
Split = tuple[Arrays, Arrays]


def hold_out(x: Any, y: np.ndarray | None, fraction: float = 0.2, seed: int = 0) -> Split:
    """Training and test samples, ``(x, y), (x_test, y_test)``: a random part is held out, the same for the same seed.

    ``y`` may come as ``read_data`` gives it; DataError if there is none.
    Samples on disk (a memory-mapped array, a LazyArray) stay there until they are used.
    """
    if not 0 < fraction < 1:
        raise DataError(f"the fraction held out lies between 0 and 1, not {fraction}")
    if y is None:
        raise DataError("the data holds no targets y to learn from")
    if len(x) != len(y):
        raise DataError(f"there are {len(x)} samples but {len(y)} targets")
    order = np.random.default_rng(seed).permutation(len(x))
    test, train = np.split(order, [round(len(x) * fraction)])
    return (rows(x, train), y[train]), (rows(x, test), y[test])


def require(module: str, extra: str) -> ModuleType:
    """A module that an extra brings; raises DataError that names the extra where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise DataError(f"this needs {package}, which is not installed: pip install 'onnxdl[{extra}]'") from error
