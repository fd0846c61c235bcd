"""Element types: between NumPy's, ONNX's and the spellings people use."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from onnxdl.errors import GraphError

DTypeLike = Any  # a NumPy dtype, a Python type, a string such as "float32", or an ir.DataType

_FLOATS = {ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16}


def to_ir(dtype: DTypeLike) -> ir.DataType:
    """The ONNX element type of anything that names one: ``np.float32``, ``"float16"``, ``bool``, an ``ir.DataType``."""
    if isinstance(dtype, ir.DataType):
        return dtype
    if isinstance(dtype, str) and dtype.upper() in ir.DataType.__members__:
        return ir.DataType[dtype.upper()]
    try:
        return ir.DataType.from_numpy(np.dtype(dtype))
    except TypeError:
        raise GraphError(f"{dtype!r} names no ONNX element type; write one as NumPy does, such as 'float32'") from None


def to_numpy(dtype: DTypeLike) -> np.dtype[Any]:
    """The NumPy dtype of anything that names an element type."""
    kind = to_ir(dtype)
    try:
        return np.dtype(kind.numpy())
    except TypeError:
        raise GraphError(f"the ONNX element type {kind.name} has no equal in NumPy; use one of numbers or bool") from None


def is_float(dtype: ir.DataType | None) -> bool:
    """Whether values of this type carry gradients."""
    return dtype in _FLOATS
