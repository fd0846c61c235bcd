"""Files of weights as arrays by name: ``.safetensors``, and ``torch.save``'s zip and older formats."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from onnxdl.converters.torch.pickles import Opaque, load_file
from onnxdl.errors import ConversionError, FormatError
from onnxdl.graph.dtypes import to_numpy

_HEADER_LIMIT = 100_000_000
_SAFE_DTYPES: Mapping[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": to_numpy("bfloat16"),
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_STATES = ("state_dict", "model_state_dict", "model", "net", "network", "module", "params", "weights", "model_state", "params_ema")
_OPTIMIZERS = ("optimizer", "optimizer_state_dict", "optim", "optimizer_state", "optimizer_states")


class Weights(NamedTuple):
    """Arrays by name, and what ``torch.optim``'s ``state_dict`` beside them held, if there was one."""

    arrays: dict[str, np.ndarray]
    optimizer: Mapping[str, Any] | None = None


def read_weights(path: Path) -> Weights:
    """The weights in a file, and the optimizer's state beside them.

    Raises:
        FormatError: the file is missing, damaged, cut short or of another kind.
        ConversionError: it holds a whole module, or nothing that is weights by name.
    """
    try:
        with path.open("rb") as file:
            if path.suffix.lower() == ".safetensors":
                return Weights(_read_safetensors(file.read(), str(path)))
            held = load_file(file, str(path))
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from None
    return _weights_in(held, str(path))


def _weights_in(held: Any, who: str) -> Weights:
    if isinstance(held, Opaque):
        raise ConversionError(f"{who} holds a whole {held.qualified}, whose code is not run; save its state_dict() instead")
    if isinstance(held, Mapping):
        if (arrays := _as_state(held)) is not None:
            return Weights(arrays)
        optimizer = next((held[k] for k in _OPTIMIZERS if k in held), None)
        optimizer = optimizer[0] if isinstance(optimizer, list) and len(optimizer) == 1 else optimizer
        for key in (*_STATES, *(k for k in held if k not in _OPTIMIZERS)):
            if isinstance(held.get(key), Mapping) and (arrays := _as_state(held[key])) is not None:
                return Weights(arrays, optimizer if isinstance(optimizer, Mapping) and "param_groups" in optimizer else None)
            if key in _STATES and isinstance(held.get(key), Opaque):
                raise ConversionError(f"{who} holds a whole {held[key].qualified} as {key!r}, whose code is not run; save its state_dict()")
    raise ConversionError(f"{who} holds no weights by name, but {_kind(held)}; save the module's state_dict()")


def _as_state(held: Mapping[Any, Any]) -> dict[str, np.ndarray] | None:
    """A mapping of names to tensors; entries that a module keeps beside them, such as versions, are left out."""
    arrays = {str(k): v for k, v in held.items() if isinstance(v, np.ndarray)}
    others = [k for k, v in held.items() if not isinstance(v, np.ndarray) and not str(k).endswith(("_extra_state", "_metadata"))]
    return arrays if arrays and not others else None


def _kind(held: Any) -> str:
    return f"a {type(held).__name__} of {', '.join(map(repr, list(held)[:5]))}" if isinstance(held, Mapping) else f"a {type(held).__name__}"


def _read_safetensors(data: bytes, who: str) -> dict[str, np.ndarray]:
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(len(data) - 8, _HEADER_LIMIT):
        raise FormatError(f"{who} is no safetensors file, or is cut short: its header claims {size} bytes")
    body = memoryview(data)[8 + size :]
    arrays: dict[str, np.ndarray] = {}
    try:
        header = json.loads(data[8 : 8 + size])
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            if entry["dtype"] not in _SAFE_DTYPES:
                raise ConversionError(f"{who}: the tensor {name!r} is {entry['dtype']}, which has no equal here")
            dtype, shape = np.dtype(_SAFE_DTYPES[entry["dtype"]]), [int(n) for n in entry["shape"]]
            begin, end = (int(n) for n in entry["data_offsets"])
            count = 1
            for n in shape:
                count *= n
            if not 0 <= begin <= end <= len(body) or min(shape, default=0) < 0 or end - begin != count * dtype.itemsize:
                raise FormatError(f"{who}: the tensor {name!r} lies outside the file, which is damaged or cut short")
            arrays[name] = np.frombuffer(body[begin:end], dtype).reshape(shape)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise FormatError(f"{who} is no safetensors file, or is damaged ({type(error).__name__}: {error})") from None
    return arrays
