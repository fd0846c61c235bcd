"""Weights from PyTorch into a given architecture: by name where it came from torch, else layer by layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onnxdl import nn
from onnxdl.converters.torch import optimizers
from onnxdl.converters.torch.files import Weights, read_weights
from onnxdl.converters.torch.graph import graph_of
from onnxdl.converters.torch.layers import BUFFERS, Unit, units_of
from onnxdl.errors import ConversionError
from onnxdl.nn.parameter import Parameter
from onnxdl.train.model import Model

_SHOWN = 6


def load_into(path: Path, model: Model | None) -> Model:
    """``model`` with the weights of a file, and the optimizer's state where both have one.

    Raises:
        FormatError: the file is damaged or of another kind.
        ConversionError: names or shapes do not fit; nothing is changed then.
    """
    weights = read_weights(path)
    if model is None:
        raise ConversionError(
            f"{path} holds weights alone ({len(weights.arrays)} of them): pass the architecture that they go into, ox.load(path, model)"
        )
    model.ensure_built()
    graph = graph_of(model)
    if graph is not None:
        order, place = _into_states(weights, graph.state_names, list(graph.program.parameters.values()), path)
    else:
        order, place = _into_layers(weights, model, path)
    model.programs.clear()
    if weights.optimizer is not None and model.is_compiled:
        optimizers.restore(model, weights.optimizer, order, place, str(path))
    return model


Place = Callable[[Mapping[str, np.ndarray]], dict[Parameter, np.ndarray]]
"""What arrays by torch's names are for our parameters, in their layout."""


def _into_states(weights: Weights, states: Mapping[str, Parameter], parameter_names: Sequence[str], path: Path) -> tuple[list[str], Place]:
    """By torch's names; returns those of ``parameters()`` in its order, and where what belongs to them goes."""
    arrays = _renamed(weights.arrays, states)
    set_by: dict[int, str] = {id(states[n]): n for n in arrays if n in states}
    missing = [n for n, p in states.items() if n not in arrays and id(p) not in set_by and not n.endswith("num_batches_tracked")]
    unexpected = [n for n in arrays if n not in states]
    misfits = [
        f"{n} {list(a.shape)} for {list(states[n].shape)}" for n, a in arrays.items() if n in states and tuple(a.shape) != states[n].shape
    ]
    _refuse(path, missing, unexpected, misfits)
    for name, array in arrays.items():
        states[name].value = array
    order: dict[int, str] = {}
    for name in parameter_names:
        order.setdefault(id(states[name]), name)
    return list(order.values()), lambda given: {states[n]: a for n, a in given.items()}


def _renamed(arrays: dict[str, np.ndarray], states: Mapping[str, Parameter]) -> dict[str, np.ndarray]:
    """Without the prefix of a module around the module, and with LayerNorm's names of today."""
    for prefix in ("module.", "_orig_mod.", "model."):
        if all(n.startswith(prefix) for n in arrays) and not all(n.startswith(prefix) for n in states):
            arrays = {n.removeprefix(prefix): a for n, a in arrays.items()}
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        arrays = {
            n.removesuffix(old) + new if n.endswith(old) and n not in states and n.removesuffix(old) + new in states else n: a
            for n, a in arrays.items()
        }
    return arrays


def _refuse(path: Path, missing: Sequence[str], unexpected: Sequence[str], misfits: Sequence[str]) -> None:
    parts = [
        f"{len(found)} {what}: {', '.join(found[:_SHOWN])}{', ...' if len(found) > _SHOWN else ''}"
        for what, found in (("missing", missing), ("unexpected", unexpected), ("of another shape", misfits))
        if found
    ]
    if parts:
        raise ConversionError(f"the weights of {path} do not fit the model: {'; '.join(parts)}")


# ---- onto layers made here -----------------------------------------------------------------------------------------------


def _into_layers(weights: Weights, model: Model, path: Path) -> tuple[list[str], Place]:
    """Layer by layer, each with the next module of the file; by path where every layer is called as a module is."""
    units: list[Unit] = []
    foreign: list[str] = []
    for found in units_of(model):
        if isinstance(found, Unit):
            units.append(found)
        else:
            foreign.append(found)
    if foreign:
        raise ConversionError(f"{path}: torch has no module for {', '.join(foreign)}; set those weights by hand")
    modules = grouped(weights.arrays)
    if {u.path for u in units} == set(modules):
        pairs = [(u, u.path) for u in units]
    else:
        if len(units) != len(modules):
            raise ConversionError(
                f"{path} has {len(modules)} modules with weights ({', '.join(list(modules)[:_SHOWN])}, ...), but the model has "
                f"{len(units)} such layers ({', '.join(u.path for u in units[:_SHOWN])}, ...)"
            )
        pairs = list(zip(units, modules, strict=True))
    misfits = [m for unit, name in pairs if (m := _misfit(unit, name, modules[name]))]
    _refuse(path, [], [], misfits)
    for unit, name in pairs:
        unit.port.from_torch(unit.layer, modules[name])

    def place(given: Mapping[str, np.ndarray]) -> dict[Parameter, np.ndarray]:
        found: dict[Parameter, np.ndarray] = {}
        slots = grouped(given)
        for unit, name in pairs:
            found.update(_laid_out(unit, slots[name], str(path)))
        return found

    return [n for n in weights.arrays if not n.endswith(BUFFERS)], place


def _laid_out(unit: Unit, slots: dict[str, np.ndarray], who: str) -> dict[Parameter, np.ndarray]:
    """What is kept for a module's parameters, in our layout: written into the layer for a moment, and read from there."""
    if "bias_hh" in slots and not isinstance(unit.layer, nn.GRU):
        raise ConversionError(f"{who}: torch trains two biases where {unit.path} has their sum, so its optimizer cannot go on here")
    before = [(p, p.value) for p in unit.layer.weights]
    try:
        unit.port.from_torch(unit.layer, slots)
        return {p: p.value for p in unit.layer.weights if p.trainable}
    finally:
        for p, value in before:
            p.value = value


def _misfit(unit: Unit, name: str, state: Mapping[str, np.ndarray]) -> str | None:
    wanted = unit.port.to_torch(unit.layer)
    optional = {"num_batches_tracked"}
    lacking = set(wanted) - set(state) - optional
    beyond = set(state) - set(wanted) - optional
    if lacking or beyond:
        have, want = ", ".join(sorted(state)), ", ".join(sorted(set(wanted) - optional))
        return f"{name} ({have}) for the {type(unit.layer).__name__} {unit.path} ({want})"
    for key, array in wanted.items():
        if key in state and state[key].shape != array.shape:
            return f"{name}.{key} {list(state[key].shape)} for {list(array.shape)} of the {type(unit.layer).__name__} {unit.path}"
    return None


_RECURRENT = re.compile(r"^(weight_ih|weight_hh|bias_ih|bias_hh)_l(\d+)(_reverse)?$")


def grouped(arrays: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Weights by module: a recurrent module has one for each of its layers, an attention also holds its output projection."""
    modules: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        module, _, key = name.rpartition(".")
        parent, _, last = module.rpartition(".")
        if last == "out_proj" and "in_proj_weight" in modules.get(parent, {}):
            modules[parent][f"out_proj.{key}"] = array
        elif (found := _RECURRENT.match(key)) is not None:
            layer = module if found[2] == "0" else f"{module}:{found[2]}"
            modules.setdefault(layer, {})[found[1] + (found[3] or "")] = array
        else:
            modules.setdefault(module, {})[key] = array
    return modules
