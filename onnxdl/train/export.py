"""Models as files: one .onnx that holds everything, or the folder of programs that any ONNX Runtime trains with."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from onnxdl.config import as_text
from onnxdl.errors import FormatError, GraphError, TrainingError
from onnxdl.graph.contents import dims
from onnxdl.graph.passes.sizes import with_shapes
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
    for name, parameter in model.named_parameters():
        if name not in predict.graph.initializers:  # of use in training only, but part of the model
            predict.graph.register_initializer(ir.Value(name=name, const_value=ir.tensor(parameter.value, name=name)))
    with suppress(GraphError):  # a model with code of the user's in it is its graph alone
        predict.metadata_props[MODEL] = as_text(model)
    if not (model.is_compiled and model.target_specs):
        onnx_file.write(predict, path)
        return
    predict.metadata_props[settings.KEY] = settings.settings_of(model)
    program = model.train_step().program.clone()
    onnx_file.write(training_info.embed(predict, program, initialization(model, program), model.state), path)


def export_file(path: Path_, target: Path_, format: str, batch_size: int | None = None) -> None:
    """Writes what a model.onnx holds in another form: its inference graph, or the programs of its ``training_info``."""
    from onnxdl.graph.files import read_proto

    if batch_size is not None:
        _refuse_batch_size(format)
    proto = read_proto(path)
    if format == "train-step":
        step, init = training_info.extract(proto)
        evaluate = _evaluation_in(path) if any(p.key == settings.KEY for p in proto.metadata_props) else None
        _write_programs(Path(target), of_batches(step, batch_size), init, ir.from_proto(training_info.without_training(proto)), evaluate)
        return
    if format != "onnx":
        raise FormatError(f"a file is exported as onnx or train-step, not {format!r}")
    onnx_file.write(training_info.without_training(proto), target)


def _evaluation_in(path: Path_) -> ir.Model | None:
    """The evaluation step of a saved model; None where only the user's own code could make its loss again."""
    from onnxdl.train.load import load_onnx

    model = load_onnx(path)
    return steps.evaluation_step(model.recipe) if model.is_compiled else None


def export_model(model: Model, path: Path_, format: str, batch_size: int | None = None) -> None:
    """Writes a model in one of the formats of ``FORMATS``."""
    if format not in FORMATS:
        raise FormatError(f"unknown format {format!r}; known are {', '.join(sorted(FORMATS))}")
    model.ensure_built()
    if batch_size is None:
        FORMATS[format](model, path)
    else:
        _refuse_batch_size(format)
        _export_train_step(model, path, batch_size)


def _refuse_batch_size(format: str) -> None:
    if format != "train-step":
        raise FormatError(f"a batch size is fixed in a train-step, not in {format}")


def _export_onnx(model: Model, path: Path_) -> None:
    onnx_file.write(inference_of(model), path)


def _export_train_step(model: Model, path: Path_, batch_size: int | None = None) -> None:
    if not model.target_specs:
        raise TrainingError("the model does not know its targets yet: call fit first, or train_on_batch with data")
    step = model.stored_step.clone() if model.stored_step is not None else steps.train_step(model.recipe)
    init = initialization(model, step)
    _write_programs(Path(path), of_batches(step, batch_size), init, inference_of(model), steps.evaluation_step(model.recipe))


def of_batches(step: ir.Model, batch_size: int | None) -> ir.Model:
    """A train step for batches of one size, which may leave other sizes open; as it is for None."""
    if batch_size is None:
        return step
    shapes = {value.name or "": dims(value) for value in step.graph.inputs}
    return with_shapes(step, {name: (batch_size, *shape[1:]) for name, shape in shapes.items() if shape and isinstance(shape[0], str)})


def _write_programs(folder: Path, step: ir.Model, init: ir.Model, predict: ir.Model, evaluate: ir.Model | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    onnx_file.write(step, folder / "train_step.onnx")
    onnx_file.write(init, folder / "init.onnx")
    onnx_file.write(predict, folder / "predict.onnx")
    if evaluate is not None:
        onnx_file.write(evaluate, folder / "evaluate.onnx")
    else:
        (folder / "evaluate.onnx").unlink(missing_ok=True)  # of an earlier export into this folder


def initialization(model: Model, step: ir.Model) -> ir.Model:
    """The program that makes the first State of a train step."""
    recipe = model.recipe
    inputs = {v.name for v in step.graph.inputs}
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
