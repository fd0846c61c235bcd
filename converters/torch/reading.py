"""What ``ox.load`` does with something of PyTorch's: a module, an exported program, a file of weights."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import onnx_ir as ir

from onnxdl.converters.torch.archive import is_zip
from onnxdl.converters.torch.graph import TorchGraph
from onnxdl.converters.torch.program import Program
from onnxdl.errors import ConversionError, FormatError
from onnxdl.graph.dtypes import to_ir
from onnxdl.graph.tensor import Tensor
from onnxdl.train.model import Model


def read(
    source: Any, model: Model | None = None, *, example_inputs: Any = None, dynamic_shapes: Any = None, exporter: str | None = None
) -> Model:
    """A module, a ``.pt2`` file, or weights into ``model``; see the package.

    Raises:
        FormatError: the file is damaged or of another kind.
        ConversionError: it holds what has no equal here, or weights that do not fit.
    """
    if not isinstance(source, str | os.PathLike):
        if model is not None:
            raise ConversionError("a module holds a whole model, not weights alone: leave the model argument out")
        return _read_module(source, example_inputs, dynamic_shapes, exporter)
    path = Path(source)
    if example_inputs is not None or dynamic_shapes is not None or exporter is not None:
        raise ConversionError(f"{path} is a file: example_inputs, dynamic_shapes and exporter are for an nn.Module")
    if _is_program(path):
        from onnxdl.converters.torch.pt2 import read_program

        if model is not None:
            raise ConversionError(f"{path} holds a whole model, not weights alone: leave the model argument out")
        return model_of(read_program(path, str(path)), str(path), None)
    from onnxdl.converters.torch import weights

    return weights.load_into(path, model)


def _read_module(module: Any, example_inputs: Any, dynamic_shapes: Any, exporter: str | None) -> Model:
    origin = type(module).__name__
    import torch

    if isinstance(module, torch.export.ExportedProgram):
        from onnxdl.converters.torch.exported import program_of

        return model_of(program_of(module, "the ExportedProgram"), "the ExportedProgram", None)
    if example_inputs is None:
        raise ConversionError(f"{origin} says nothing of its inputs: pass example_inputs=(tensor, ...), or a dict by name")
    if exporter is not None:
        if exporter != "onnx":
            raise ConversionError(
                f"unknown exporter {exporter!r}; 'onnx' is torch's own, without training's batch normalization and dropout"
            )
        return _by_onnx(module, example_inputs, dynamic_shapes, origin)
    from onnxdl.converters.torch.live import programs

    training, inference = programs(module, example_inputs, dynamic_shapes, origin)
    return model_of(training, origin, inference)


def _by_onnx(module: Any, example_inputs: Any, dynamic_shapes: Any, origin: str) -> Model:
    """The module through torch's own exporter, unoptimized: its normalization and dropout are those of inference."""
    import tempfile

    import torch

    from onnxdl.converters.torch.live import arguments
    from onnxdl.train.load import load_onnx

    args, kwargs = arguments(example_inputs)
    mode = module.training
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "module.onnx"
            exported = torch.onnx.export(
                module.eval(), args, kwargs=kwargs or None, dynamo=True, optimize=False, dynamic_shapes=dynamic_shapes, verbose=False
            )
            assert exported is not None  # dynamo=True gives a program
            exported.save(path)
            return load_onnx(path)
    except (torch.onnx.OnnxExporterError, ImportError) as error:
        raise ConversionError(f"torch.onnx.export cannot export {origin}: {str(error).strip().splitlines()[0]}") from error
    finally:
        module.train(mode)


def model_of(program: Program, origin: str, inference: Program | None) -> Model:
    """A Model that computes a program, its inputs and outputs under torch's names."""
    layer = TorchGraph(program, origin, inference=inference)
    inputs = [_placeholder(name, to_ir(dtype), dims) for name, dtype, dims in layer.input_specs]
    if not inputs:
        raise ConversionError(f"{origin} takes no tensor, and a model here has inputs")
    outputs = layer(*inputs)
    model = Model(inputs, outputs, name=None)
    names = [n for n, a in zip(program.output_names or [], program.outputs, strict=False) if a is not None]
    if program.output_names and len(names) == len(model.output_names) and len(set(names)) == len(names):
        model.output_names = [f"output_{n}" if n in program.inputs else n for n in names]
    return model


def _placeholder(name: str, dtype: ir.DataType, dims: tuple[int | str, ...]) -> Tensor:
    value = ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(dims))
    value.meta["symbolic"] = True
    return Tensor(value)


def is_torch_file(path: Path) -> bool:
    """Whether a file's content is torch's, by its first bytes and its members' names; never an error."""
    if not path.is_file():
        return False
    if path.suffix.lower() == ".safetensors":
        return True
    if is_zip(path):
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            return False
        ends = ("/data.pkl", "/models/model.json", "serialized_exported_program.json", "/archive_format", "constants.pkl")
        return any(n.endswith(ends) or n == "data.pkl" for n in names)
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError:
        return False
    return start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04" and b"\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19" in start


def _is_program(path: Path) -> bool:
    if path.suffix.lower() == ".pt2":
        return True
    if not is_zip(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/models/" in n or n.endswith("serialized_exported_program.json") for n in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise FormatError(f"{path} is no archive of torch, or is damaged or cut short ({error})") from None
