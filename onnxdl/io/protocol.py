"""The programs of a train-step folder, or one file of them, held against the protocol that hosts in other languages rely on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from onnxdl.errors import FormatError
from onnxdl.graph.files import read_proto
from onnxdl.io.flatten import NEXT, check_protocol, flat_protos, training_of
from onnxdl.io.names import all_nodes
from onnxdl.io.validation import check, check_next_values, check_operators, check_standard, spelled

STEP, INIT, EVALUATE, PREDICT = "train_step.onnx", "init.onnx", "evaluate.onnx", "predict.onnx"
NEWEST_OPSET = 26
"""The newest opset that the runtimes for JavaScript take; opset 21 is what all providers have kernels for."""
_RANDOM = ("RandomUniform", "RandomUniformLike", "RandomNormal", "RandomNormalLike", "Bernoulli", "Multinomial")

Types = dict[str, onnx.TypeProto.Tensor]


@dataclass
class Report:
    """What was found in files that keep the protocol, and what may trouble some hosts."""

    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_path(path: str | os.PathLike[str]) -> Report:
    """Checks a train-step folder, a program of one, or a model with training information.

    Raises:
        FormatError: a file is missing, broken or not after the protocol, or a tool has dropped its training information.
    """
    where, report = Path(path), Report()
    if where.is_dir():
        _check_folder(where, report)
        return report
    model = read_proto(where)
    metadata = _metadata(model)
    kind = metadata.get("onnxdl.kind")
    if kind in ("train-step", "evaluation-step"):
        _check_step(where.name, model, report)
    elif model.training_info or ("onnxdl.protocol" in metadata and kind != "init"):
        _check_embedded(where.name, model, report)
    else:
        check_standard(where.name, model)
        _describe(where.name, model, report, "no training information")
    return report


def _check_embedded(name: str, model: onnx.ModelProto, report: Report) -> None:
    training_of(model)
    check_standard(name, model)
    check(model)
    step, init = flat_protos(model)
    _describe(name, model, report, "with training information")
    _check_step("train step inside", step, report)
    _check_init("init inside", init, step, report)


def _check_folder(folder: Path, report: Report) -> None:
    if not (folder / STEP).exists():
        there = ", ".join(sorted(p.name for p in folder.glob("*.onnx"))) or "no .onnx file"
        raise FormatError(f"{folder} holds no {STEP} (there is {there}); `onnxdl export ... --format train-step` writes such a folder")
    step = read_proto(folder / STEP)
    _check_step(STEP, step, report)
    for name in (INIT, PREDICT):
        if not (folder / name).exists():
            raise FormatError(f"{folder} holds no {name}, which hosts read beside {STEP}; export it again")
    _check_init(INIT, read_proto(folder / INIT), step, report)
    _check_predict(read_proto(folder / PREDICT), step, report)
    if (folder / EVALUATE).exists():
        evaluate = read_proto(folder / EVALUATE)
        _check_step(EVALUATE, evaluate, report)
        _agree(EVALUATE, _types(evaluate.graph.input), _types(step.graph.input), "input of the train step")


def _check_step(name: str, step: onnx.ModelProto, report: Report) -> None:
    """A train step, or the evaluation step, which changes the metrics' entries only."""
    metadata = _metadata(step)
    check_protocol(name, metadata)
    check_operators(name, step)
    check_standard(name, step)
    inputs, outputs = ([v.name for v in values] for values in (step.graph.input, step.graph.output))
    entries = [n.removeprefix(NEXT) for n in outputs if n.startswith(NEXT)]
    for entry in entries:
        if entry not in inputs:
            raise FormatError(f"{name}: it gives {NEXT + entry!r} but has no input {entry!r}")
    for entry in _lines(metadata, "onnxdl.state"):
        if entry not in entries:
            raise FormatError(f"{name}: the State entry {entry!r} is listed in the metadata, but there is no output {NEXT + entry!r}")
    if "onnxdl.state" in metadata and (unlisted := set(entries) - set(_lines(metadata, "onnxdl.state"))):
        raise FormatError(f"{name}: the State entry {min(unlisted)!r} is not listed in the metadata")
    for key in ("onnxdl.inputs", "onnxdl.targets"):
        for entry in _lines(metadata, key):
            if entry not in inputs:
                raise FormatError(f"{name}: {entry!r} is listed as one of the {key.removeprefix('onnxdl.')}, but it is no input")
    if "loss" not in outputs and metadata.get("onnxdl.kind"):
        raise FormatError(f"{name}: there is no output 'loss'; the outputs are {', '.join(n for n in outputs if not n.startswith(NEXT))}")
    if metadata.get("onnxdl.kind") != "evaluation-step" and not entries:
        raise FormatError(f"{name}: it is no train step, for it gives no {NEXT}X for a State entry X")
    check_next_values(step)
    results = ", ".join(n for n in outputs if not n.startswith(NEXT))
    _describe(name, step, report, f"{len(entries)} State entries; gives {results}")
    _warn_of_operators(name, step, report)


def _check_init(name: str, init: onnx.ModelProto, step: onnx.ModelProto, report: Report) -> None:
    check_protocol(name, _metadata(init))
    check_operators(name, init)
    check_standard(name, init)
    for value in init.graph.input:
        if value.name != "seed":
            raise FormatError(f"{name}: it has the input {value.name!r}; a seed is all that it may take")
    state = {n: t for n, t in _types(step.graph.input).items() if NEXT + n in {v.name for v in step.graph.output}}
    made = _types(init.graph.output)
    if missing := sorted(set(state) - set(made)):
        raise FormatError(f"{name}: it makes no value for the State entry {missing[0]!r}")
    _agree(name, made, state, "State entry")
    _describe(name, init, report, f"makes {len(made)} State entries")


def _check_predict(predict: onnx.ModelProto, step: onnx.ModelProto, report: Report) -> None:
    check_standard(PREDICT, predict)
    known = _types(step.graph.input)
    listed = _lines(_metadata(step), "onnxdl.inputs")
    for value in predict.graph.input:
        if listed and value.name not in listed:
            raise FormatError(f"{PREDICT}: its input {value.name!r} is none of the train step's: {', '.join(listed)}")
    held = {t.name: onnx.helper.make_tensor_type_proto(t.data_type, list(t.dims)).tensor_type for t in predict.graph.initializer}
    _agree(PREDICT, {n: t for n, t in held.items() if n in known}, known, "State entry")
    _describe(PREDICT, predict, report, f"gives {', '.join(v.name for v in predict.graph.output)}")


def _agree(name: str, found: Types, known: Types, what: str) -> None:
    for entry, kind in found.items():
        if entry not in known:
            raise FormatError(f"{name}: {entry!r} is no {what}")
        if not _alike(kind, known[entry]):
            raise FormatError(f"{name}: {entry!r} is {spelled(kind)}, but the train step has {spelled(known[entry])}")


def _alike(a: onnx.TypeProto.Tensor, b: onnx.TypeProto.Tensor) -> bool:
    pairs = zip(a.shape.dim, b.shape.dim, strict=False)
    fixed = all(x.dim_value == y.dim_value for x, y in pairs if x.HasField("dim_value") and y.HasField("dim_value"))
    return a.elem_type == b.elem_type and len(a.shape.dim) == len(b.shape.dim) and fixed


def _warn_of_operators(name: str, model: onnx.ModelProto, report: Report) -> None:
    """Standard operators that some runtime has no kernel for in training, or whose result depends on the session that runs it."""
    opset = _opset(model)
    if opset > NEWEST_OPSET:
        report.warnings.append(f"{name}: opset {opset}; onnxruntime-node and onnxruntime-web take {NEWEST_OPSET} at most")
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer if t.data_type == onnx.TensorProto.BOOL}
    for node in all_nodes(model.graph):
        mode = constants.get(node.input[2]) if node.op_type == "Dropout" and len(node.input) > 2 else None
        if node.op_type in _RANDOM or (mode is not None and mode.any()):
            report.warnings.append(
                f"{name}: {node.op_type} (node {node.name!r}) draws from the session, so that no run can be resumed exactly"
            )
        if node.op_type == "BatchNormalization" and any(a.name == "training_mode" and a.i for a in node.attribute):
            report.warnings.append(f"{name}: BatchNormalization in training mode (node {node.name!r}) does not run on CUDA or WebGPU")


def _describe(name: str, model: onnx.ModelProto, report: Report, what: str) -> None:
    nodes = sum(1 for _ in all_nodes(model.graph))
    inputs = [v for v in model.graph.input if f"{NEXT}{v.name}" not in {o.name for o in model.graph.output}]
    taken = ", ".join(f"{v.name} {spelled(v.type.tensor_type)}" for v in inputs[:4]) + (", ..." if len(inputs) > 4 else "")
    report.lines.append(f"{name}: {nodes} nodes, opset {_opset(model)}; takes {taken or 'nothing'}; {what}")


def _opset(model: onnx.ModelProto) -> int:
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)


def _types(values: Iterable[onnx.ValueInfoProto]) -> Types:
    return {v.name: v.type.tensor_type for v in values}


def _metadata(model: onnx.ModelProto) -> dict[str, str]:
    return {p.key: p.value for p in model.metadata_props}


def _lines(metadata: Mapping[str, str], key: str) -> list[str]:
    return [line for line in metadata.get(key, "").split("\n") if line]
