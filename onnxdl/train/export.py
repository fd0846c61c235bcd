"""Models as files: one .onnx that holds everything, or the folder of programs that any ONNX Runtime trains with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from onnxdl import optim
from onnxdl.errors import FormatError
from onnxdl.io import onnx_file, training_info
from onnxdl.nn import losses, metrics
from onnxdl.train import step as steps

if TYPE_CHECKING:
    from onnxdl.train.model import Model

Path_ = str | os.PathLike[str]


def save_model(model: Model, path: Path_) -> None:
    """Inference graph and weights, with ``training_info`` where the model can be trained."""
    model.ensure_built()
    predict = _inference(model)
    if not (model.is_compiled and model.target_specs):
        onnx_file.write(predict, path)
        return
    predict.metadata_props.update(_settings(model))
    program = model.train_step().program.clone()
    onnx_file.write(training_info.embed(predict, program, initialization(model), model.state), path)


def _settings(model: Model) -> dict[str, str]:
    """How the model was compiled, by names, so that ``load`` can compile it again; objects without a name are left out."""
    recipe = model.recipe
    settings = {"optimizer": next((n for n, kind in optim.NAMES.items() if type(recipe.optimizer) is kind), None)}
    settings["loss"] = _joined([losses.name_of(loss) for loss in recipe.losses])
    if len(recipe.metrics) == 1:
        settings["metrics"] = _joined([metrics.name_of(metric) for metric in recipe.metrics[0]])
    return {f"onnxdl.compile.{key}": value for key, value in settings.items() if value}


def _joined(names: Sequence[str | None]) -> str | None:
    known = [name for name in names if name is not None]
    return "\n".join(known) if len(known) == len(names) else None


def compile_as_saved(model: Model, metadata: Mapping[str, str]) -> None:
    """Compiles a loaded model as the saved one was, where its file says how."""
    chosen = {key: metadata[name] for key in ("optimizer", "loss", "metrics") if (name := f"onnxdl.compile.{key}") in metadata}
    if "loss" in chosen:
        named = chosen["loss"].split("\n")
        found = chosen["metrics"].split("\n") if "metrics" in chosen else None
        model.compile(chosen.get("optimizer", "adam"), named if len(named) > 1 else named[0], found)


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
    onnx_file.write(_inference(model), path)


def _export_train_step(model: Model, path: Path_) -> None:
    _write_programs(Path(path), model.train_step().program.clone(), initialization(model), _inference(model))


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


def _inference(model: Model) -> ir.Model:
    return steps.inference(model, model.input_specs, model.output_names, weights_inside=True)


FORMATS: dict[str, Callable[[Model, Path_], None]] = {"onnx": _export_onnx, "train-step": _export_train_step}
