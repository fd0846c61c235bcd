"""Back to PyTorch, without torch: a ``state_dict`` under its names (``.pth``, ``.safetensors``), or a checkpoint (``.ckpt``)."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from onnxdl import nn
from onnxdl.converters.torch import optimizers
from onnxdl.converters.torch.graph import graph_of
from onnxdl.converters.torch.layers import BUFFERS, Unit, units_of
from onnxdl.converters.torch.saving import StateDict, save
from onnxdl.errors import ConversionError
from onnxdl.io.atomic import replacing
from onnxdl.nn.parameter import Parameter
from onnxdl.train.model import Model

_SAFE = {
    "float32": "F32",
    "float64": "F64",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


def write(model: Model, path: Path) -> None:
    """Writes a model's weights; see the package.

    Raises:
        ConversionError: a layer made here has weights that no torch module has.
        FormatError: the file cannot be written.
    """
    if path.suffix.lower() == ".py":
        from onnxdl.converters.torch.source import write_source

        write_source(model, path)
        return
    if path.suffix.lower() == ".safetensors":
        write_safetensors(model, path)
        return
    model.ensure_built()
    graph = graph_of(model)
    held: Any = StateDict(state_of(model), graph.program.versions if graph is not None else {})
    if path.suffix.lower() == ".ckpt":
        if not model.is_compiled:
            raise ConversionError(f"{path.name} is to hold an optimizer's state, and the model has none: compile it, or write a .pth")
        held = {
            "state_dict": held,
            "optimizer_state_dict": optimizers.state_of(model, _order(model), lambda given: _laid_out(model, given)),
        }
    with replacing(path) as temporary, temporary.open("wb") as file:
        save(file, held)


def write_safetensors(model: Model, path: Path) -> None:
    """Writes a model's weights as safetensors, whatever the suffix."""
    model.ensure_built()
    with replacing(path) as temporary, temporary.open("wb") as file:
        _write_safetensors(file, state_of(model))


def state_of(model: Model) -> dict[str, np.ndarray]:
    """Torch's ``state_dict`` of a model, as arrays: the names that it came with, or the layers' own.

    Raises:
        ConversionError: a layer made here has weights that no torch module has.
    """
    graph = graph_of(model)
    if graph is not None:
        values = {id(p): p.value for p in graph.state_names.values()}
        return {name: values[id(p)] for name, p in graph.state_names.items()}
    state: dict[str, np.ndarray] = {}
    foreign: list[str] = []
    for found in units_of(model):
        if not isinstance(found, Unit):
            foreign.append(found)
            continue
        state.update(_named(found))
    if foreign:
        raise ConversionError(f"torch has no module for {', '.join(foreign)}")
    return state


def _named(unit: Unit) -> dict[str, np.ndarray]:
    """A layer's weights under torch's names."""
    state: dict[str, np.ndarray] = {}
    for key, array in unit.port.to_torch(unit.layer).items():
        name = key
        if key.startswith(("weight_ih", "weight_hh", "bias_ih", "bias_hh")):
            name = f"{key.removesuffix('_reverse')}_l0{'_reverse' if key.endswith('_reverse') else ''}"
        state[f"{unit.path}.{name}"] = np.asarray(array, order="C")  # np.ascontiguousarray would make a vector of a number
    return state


def _order(model: Model) -> list[str]:
    """The names of ``parameters()``, in its order: tied ones once."""
    graph = graph_of(model)
    if graph is None:
        return [n for n in state_of(model) if not n.endswith(BUFFERS)]
    first: dict[int, str] = {}
    for name in graph.program.parameters.values():
        first.setdefault(id(graph.state_names[name]), name)
    return list(first.values())


def _laid_out(model: Model, given: Mapping[Parameter, np.ndarray]) -> dict[str, np.ndarray]:
    """What is kept for our parameters, under torch's names and in its layout."""
    graph = graph_of(model)
    if graph is not None:
        return {n: given[p] for n in _order(model) if (p := graph.state_names[n]) in given}
    found: dict[str, np.ndarray] = {}
    for unit in units_of(model):
        if isinstance(unit, Unit) and any(p in given for p in unit.layer.weights):
            found.update(_in_layer(unit, given))
    return found


def _in_layer(unit: Unit, given: Mapping[Parameter, np.ndarray]) -> dict[str, np.ndarray]:
    """One layer's part: written into the layer for a moment, and read from there."""
    before = [(p, p.value) for p in unit.layer.weights]
    try:
        for p, value in before:
            p.value = given.get(p, np.zeros_like(value))
        found = _named(unit)
    finally:
        for p, value in before:
            p.value = value
    if any("bias_hh" in n for n in found) and not isinstance(unit.layer, nn.GRU):
        raise ConversionError(f"torch trains two biases where {unit.path} has their sum, so its optimizer cannot go on there")
    return {n: a for n, a in found.items() if not n.endswith(BUFFERS)}


# ---- safetensors ---------------------------------------------------------------------------------------------------------


def _write_safetensors(file: BinaryIO, state: Mapping[str, np.ndarray]) -> None:
    """Arrays as a safetensors file; tied ones are all written, so that a strict load finds every name."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for name, array in state.items():
        header[name] = {"dtype": _SAFE[array.dtype.name], "shape": list(array.shape), "data_offsets": [begin, begin + array.nbytes]}
        begin += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for array in state.values():
        file.write(np.ascontiguousarray(array).tobytes())
