"""Models as files: one .onnx that holds everything, or the folder of programs that any ONNX Runtime trains with."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from onnxdl.config import as_text
from onnxdl.errors import FormatError, GraphError
from onnxdl.io import onnx_file, training_info
from onnxdl.nn.imported import Imported
from onnxdl.train import settings
from onnxdl.train import step as steps

if TYPE_CHECKING:
    from onnxdl.train.model import Model

MODEL = "onnxdl.model"
Path_ = str | os.PathLike[str]


def save_model(model: Model, path: Path_) -> None:
    """Inference graph and weights, with ``training_info`` where the model can be trained."""
    model.ensure_built()
    predict = inference_of(model)
    with suppress(GraphError):  # a model with code of the user's in it is its graph alone
        predict.metadata_props[MODEL] = as_text(model)
    if not (model.is_compiled and model.target_specs):
        onnx_file.write(predict, path)
        return
    predict.metadata_props[settings.KEY] = settings.settings_of(model)
    program = model.train_step().program.clone()
    onnx_file.write(training_info.embed(predict, program, initialization(model), model.state), path)


def export_file(path: Path_, target: Path_, format: str) -> None:
    """Writes what a model.onnx holds in another form: its inference graph, or the programs of its ``training_info``."""
    from onnxdl.graph.files import read_proto

    proto = read_proto(path)
    if format == "train-step":
        step, init = training_info.extract(proto)
        predict = ir.from_proto(proto)
        _write_programs(Path(target), step, init, predict)
        return
    if format != "onnx":
        raise FormatError(f"a file is exported as onnx or train-step, not {format!r}")
    del proto.training_info[:]
    onnx_file.write(proto, target)


def export_model(model: Model, path: Path_, format: str) -> None:
    """Writes a model in one of the formats of ``FORMATS``."""
    if format not in FORMATS:
        raise FormatError(f"unknown format {format!r}; known are {', '.join(sorted(FORMATS))}")
    model.ensure_built()
    FORMATS[format](model, path)


def _export_onnx(model: Model, path: Path_) -> None:
    onnx_file.write(inference_of(model), path)


def _export_train_step(model: Model, path: Path_) -> None:
    _write_programs(Path(path), model.train_step().program.clone(), initialization(model), inference_of(model))


def _write_programs(folder: Path, step: ir.Model, init: ir.Model, predict: ir.Model) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    onnx_file.write(step, folder / "train_step.onnx")
    onnx_file.write(init, folder / "init.onnx")
    onnx_file.write(predict, folder / "predict.onnx")


def initialization(model: Model) -> ir.Model:
    """The program that makes the first State of the model's train step."""
    recipe = model.recipe
    inputs = {v.name for v in model.train_step().program.graph.inputs}
    others = {n: a for n, a in steps.extra_state(recipe).items() if n in inputs}
    parameters = {n: p for n, p in model.named_parameters() if n in inputs}
    return steps.initialization(parameters, others)


def inference_of(model: Model) -> ir.Model:
    """The inference graph, with the weights as they stand inside."""
    predict = steps.inference(model, model.input_specs, model.output_names, weights_inside=True)
    for layer in model.layers_below():
        if isinstance(layer, Imported):
            predict.metadata_props.update((k, v) for k, v in layer.metadata.items() if not k.startswith("onnxdl."))
    return predict


FORMATS: dict[str, Callable[[Model, Path_], None]] = {"onnx": _export_onnx, "train-step": _export_train_step}
