"""PyTorch: modules, exported programs and files of weights, read and written; torch itself only where a module is the input."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxdl.converters.contract import Converter

if TYPE_CHECKING:
    from onnxdl.train.model import Model


def read(source: Any, model: Model | None = None, **options: Any) -> Model:
    """A module, a ``.pt2`` file, or a file of weights into ``model``.

    Args:
        source: an ``nn.Module``, or a path.
        model: the architecture that a file of weights goes into.
        options: for a module, ``example_inputs`` (a tensor, a tuple, or a dict by name) and ``dynamic_shapes``, as
            ``torch.export`` takes them; by default the first axis of every input may have any size.
    """
    from onnxdl.converters.torch import reading

    return reading.read(source, model, **options)


def write(model: Model, path: Path) -> None:
    """The model's weights under torch's names: ``.pth`` and ``.pt`` as ``torch.load`` reads them, or ``.safetensors``.

    ``.ckpt`` gets ``state_dict`` and ``optimizer_state_dict``, with which a torch optimizer of the same kind goes on.
    A path that ends in ``.py`` gets a model made here as PyTorch source, and its weights as ``.pth`` beside it.
    """
    from onnxdl.converters.torch import writing

    writing.write(model, path)


def write_safetensors(model: Model, path: Path) -> None:
    """The model's weights under torch's names, as safetensors."""
    from onnxdl.converters.torch import writing

    writing.write_safetensors(model, path)


def recognises(source: Any) -> bool:
    """Whether it is an ``nn.Module``, or a path of torch's."""
    if isinstance(source, str | os.PathLike):
        from onnxdl.converters.torch.reading import is_torch_file

        return is_torch_file(Path(source))
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, (torch.nn.Module, torch.export.ExportedProgram))


def activations(source: Any, inputs: Any, **options: Any) -> Any:
    """What every submodule of an ``nn.Module`` computes at inference, by its name."""
    from onnxdl.converters.torch import hooks

    return hooks.activations(source, inputs, **options)


SUFFIXES = (".pt2", ".pth", ".pt", ".safetensors", ".bin", ".ckpt")
WRITES = (".pth", ".pt", ".ckpt", ".safetensors", ".py")

CONVERTER = Converter("torch", SUFFIXES, recognises, read, write, writes=WRITES, activations=activations)
