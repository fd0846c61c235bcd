"""An nn.Module as an exported program: ``torch.export`` in training and in inference."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Mapping
from typing import Any

from onnxdl.converters.torch.exported import program_of
from onnxdl.converters.torch.graph import missing
from onnxdl.converters.torch.program import Program
from onnxdl.converters.torch.views import followable
from onnxdl.errors import ConversionError

_REFUSALS = (RuntimeError, ValueError, TypeError, AssertionError, LookupError, AttributeError, NotImplementedError)
"""What torch.export raises where it cannot follow a module: its own errors are kinds of these."""


def programs(module: Any, example_inputs: Any, dynamic_shapes: Any, origin: str) -> tuple[Program, Program | None]:
    """The program of a module in training, and the one in inference where it has the same inputs and outputs.

    Raises:
        ConversionError: torch.export cannot follow the module, or it uses what has no equal here.
    """
    modes = {m: m.training for m in module.modules()}
    args, kwargs = arguments(example_inputs)
    if any(type(a).__name__ == "PackedSequence" for a in (*args, *kwargs.values())):
        raise ConversionError(f"{origin} is given a PackedSequence, which has no equal here: give padded sequences")
    config: Any = getattr(module, "config", None)
    caches = getattr(config, "use_cache", None) is True
    if caches:
        config.use_cache = False  # a language model's cache of keys is no tensor, and only serves generation
    try:
        training = _exported(module.train(), args, kwargs, dynamic_shapes, origin)
        inference = _exported(module.eval(), args, kwargs, dynamic_shapes, origin)
    finally:
        if caches:
            config.use_cache = True
        for m, mode in modes.items():
            m.training = mode
    alike = list(training.inputs.values()) == list(inference.inputs.values()) and len(training.outputs) == len(inference.outputs)
    known = getattr(module.state_dict(), "_metadata", {})
    training.versions = {path: held["version"] for path, held in known.items() if "version" in held}
    _say_what_is_fixed(training, dynamic_shapes, origin)
    return training, inference if alike else None


def arguments(example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Example inputs as positional and named arguments: a tensor, a tuple, a list, or a dict by name."""
    if isinstance(example_inputs, Mapping):
        return (), dict(example_inputs)
    return (tuple(example_inputs) if type(example_inputs) in (tuple, list) else (example_inputs,)), {}


def _exported(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], dynamic_shapes: Any, origin: str) -> Program:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about its future
        try:
            if dynamic_shapes is None:
                exported = _any_batch(module, args, kwargs)
            else:
                exported = torch.export.export(module, args, kwargs, dynamic_shapes=dynamic_shapes)
        except _REFUSALS as error:
            recurrent = any(isinstance(m, torch.nn.RNNBase) for m in module.modules())
            hint = "; if it packs sequences, leave them padded: a PackedSequence has no equal here" if recurrent else ""
            raise ConversionError(f"torch.export cannot follow {origin}: {_first_line(error)}{hint}") from error
        program = program_of(exported, origin)
        lacking = {name.split(" ")[0] for name in missing(program)}
        if lacking or not followable(program.body):
            known = torch.export.default_decompositions() if lacking else {}
            chosen = {operator: how for operator, how in known.items() if str(operator) in lacking}
            program = program_of(exported.run_decompositions(chosen), origin)
        return program


def _any_batch(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The module exported with the first axis of every input of any size, or as the examples are where it has no such program."""
    import torch

    doubled_args, doubled_kwargs = _at_least_two(args), _at_least_two(kwargs)
    names = list(inspect.signature(module.forward).parameters)[: len(args)]
    for first in (torch.export.Dim("batch"), torch.export.Dim.AUTO):
        shapes: Any = tuple(_first_axis(a, first) for a in args)
        if kwargs:
            shapes = {**dict(zip(names, shapes, strict=True)), **{k: _first_axis(v, first) for k, v in kwargs.items()}}
        with contextlib.suppress(*_REFUSALS):
            return torch.export.export(module, doubled_args, doubled_kwargs, dynamic_shapes=shapes)
    return torch.export.export(module, args, kwargs)  # what is fixed then is told below


def _at_least_two(tree: Any) -> Any:
    """Inputs with two samples where they have one: torch takes a size of one for a constant."""
    import torch

    if isinstance(tree, torch.Tensor):
        return torch.cat([tree, tree]) if tree.ndim and tree.shape[0] == 1 else tree
    if isinstance(tree, dict):
        return {k: _at_least_two(v) for k, v in tree.items()}
    return type(tree)(_at_least_two(v) for v in tree) if type(tree) in (list, tuple) else tree


def _first_axis(value: Any, first: Any) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return {0: first} if value.ndim else {}
    if isinstance(value, dict):
        return {k: _first_axis(v, first) for k, v in value.items()}
    return type(value)(_first_axis(v, first) for v in value) if type(value) in (list, tuple) else None


def _say_what_is_fixed(program: Program, dynamic_shapes: Any, origin: str) -> None:
    fixed = [name for name, (_, dims) in program.inputs.items() if dims and isinstance(dims[0], int)]
    if dynamic_shapes is None and fixed:
        sizes = ", ".join(f"{name} {program.inputs[name][1]}" for name in fixed)
        warnings.warn(
            f"{origin} has a program only for the first size of {sizes}; pass dynamic_shapes= to see why torch.export fixed it",
            stacklevel=2,
        )


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
