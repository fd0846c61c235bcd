"""Reads Caffe2's pair of nets: init_net fills the weights, predict_net computes; binary (.pb) or text (.pbtxt, .prototxt)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format
from google.protobuf.message import DecodeError

from onnxdl.converters.caffe2.operators import TABLE
from onnxdl.converters.caffe2.proto import net_def
from onnxdl.converters.net import Net, Node, model_of
from onnxdl.errors import ConversionError, FormatError
from onnxdl.graph.files import check_text
from onnxdl.train.model import Model

SUFFIXES = (".pb", ".pbtxt", ".prototxt")
LARGEST = 2**31  # elements of one weight: a file may claim any number
LARGEST_FILLED = 2**26  # of one that a single number in the file stands for

_FILLS = {
    "GivenTensorFill": np.float32,
    "GivenTensorDoubleFill": np.float64,
    "GivenTensorIntFill": np.int32,
    "GivenTensorInt64Fill": np.int64,
    "GivenTensorBoolFill": np.bool_,
}
_DRAWN = ("GaussianFill", "MSRAFill", "UniformFill", "XavierFill")


def read_nets(source: Path, input_shapes: Mapping[str, Sequence[int | None]] | None = None) -> Model:
    """The Model of a folder that holds the two nets, or of either file."""
    predict_path, init_path = _pair(source)
    predict, init = read_net(predict_path), read_net(init_path)
    arrays = filled(init, str(init_path))
    origin = str(predict_path)
    nodes = [_node(operator, i, origin) for i, operator in enumerate(predict.op)]
    if any(a.name == "order" and a.s == b"NHWC" for o in predict.op for a in o.arg):
        raise ConversionError(f"{origin} is a net in the order NHWC, and only NCHW is read")
    produced = {o for n in nodes for o in n.outputs}
    for operator in predict.op:
        if not operator.output:
            raise FormatError(f"{origin} holds a {operator.type} without an output; it is damaged")
    for name in {predict.op[0].input[0], *(input_shapes or {})} if predict.op[0].input else ():
        arrays.pop(name, None)  # exporters fill the input too, with a number that stands for it
    first_uses = [name for n in nodes for name in n.inputs if name not in arrays]
    inputs = [n for n in dict.fromkeys(first_uses) if n not in produced or _used_before(nodes, n)]
    outputs = list(predict.external_output) or [nodes[-1].outputs[0]]
    net = Net(TABLE, nodes, inputs, outputs, arrays, origin)
    shapes = _input_shapes(source, inputs, nodes, arrays, input_shapes or {})
    return model_of(net, shapes, {}, predict.name or "caffe2")


def read_net(path: Path) -> Any:
    """A NetDef from a binary or a text file.

    Raises:
        FormatError: it is neither.
    """
    data = path.read_bytes()
    if data.startswith(b"version https://git-lfs"):
        raise FormatError(f"{path} is a Git LFS pointer, not the net itself; fetch the file with git lfs pull")
    net = net_def()()
    try:
        if path.suffix == ".pb":
            net.ParseFromString(data)
        else:
            text_format.Parse(data.decode("utf-8"), net, allow_unknown_field=True)
        check_text(net)
    except (DecodeError, text_format.ParseError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is no Caffe2 net: {' '.join(str(error).split())}") from None
    if not net.op:
        raise FormatError(f"{path} is no Caffe2 net: it holds no operators")
    return net


def filled(init: Any, origin: str) -> dict[str, np.ndarray]:
    """What an init_net makes."""
    arrays: dict[str, np.ndarray] = {}
    for operator in init.op:
        if not operator.output:
            raise FormatError(f"{origin} holds a {operator.type} without an output; it is damaged")
        arguments = {a.name: a for a in operator.arg}
        shape = [int(d) for d in arguments["shape"].ints] if "shape" in arguments else []
        if math.prod(shape) > LARGEST or any(d < 0 for d in shape):
            raise FormatError(f"{origin}: {operator.output[0]} claims the shape {shape}; the file is damaged")
        if operator.type in _FILLS and "values" in arguments:
            values = arguments["values"].floats or arguments["values"].ints
            array: np.ndarray = np.array(values, _FILLS[operator.type])
            if array.size != math.prod(shape):
                raise FormatError(f"{origin}: {operator.output[0]} has {array.size} values for the shape {shape}; the file is damaged")
            arrays[operator.output[0]] = array.reshape(shape)
        elif operator.type == "ConstantFill":
            if math.prod(shape) > LARGEST_FILLED:
                raise FormatError(f"{origin}: {operator.output[0]} claims the shape {shape}, and no number of it is in the file")
            value = arguments.get("value")
            whole = "dtype" in arguments and arguments["dtype"].i in (2, 10)  # TensorProto.INT32 and INT64
            fill = 0 if value is None else value.i if value.HasField("i") else value.f
            arrays[operator.output[0]] = np.full(shape, fill, np.int64 if whole else np.float32)
        elif operator.type in _DRAWN:
            raise ConversionError(
                f"{origin} draws {operator.output[0]} at random ({operator.type}): it is the net before training; "
                "save its weights with mobile_exporter"
            )
        else:
            raise ConversionError(f"{origin} fills {', '.join(operator.output)} by {operator.type}, which has no equal here")
    return arrays


def _node(operator: Any, i: int, origin: str) -> Node:
    name = operator.name or (operator.output[0] if operator.output else f"{operator.type}_{i}")
    attributes = {a.name: _argument(a, origin) for a in operator.arg}
    if operator.type != "Concat" and attributes.get("order") in ("NCHW", ""):
        attributes.pop("order", None)
    return Node(operator.type, name, tuple(operator.input), tuple(operator.output), attributes)


def _argument(a: Any, origin: str) -> Any:
    for field in ("f", "i", "s"):
        if a.HasField(field):
            value = getattr(a, field)
            return value.decode("utf-8", "replace") if field == "s" else value
    for field in ("floats", "ints", "strings"):
        if len(getattr(a, field)):
            return list(getattr(a, field))
    if a.nets or a.HasField("n"):
        raise ConversionError(f"{origin} holds a net within a net (argument {a.name!r}), which is not read")
    return []


def _used_before(nodes: Sequence[Node], name: str) -> bool:
    """Whether a name is read before anything writes it: operators may work in place."""
    for node in nodes:
        if name in node.inputs:
            return True
        if name in node.outputs:
            return False
    return False


def _pair(source: Path) -> tuple[Path, Path]:
    """predict_net and init_net; the exporters' usual names."""
    if source.is_dir():
        return _beside(source, "predict", ["predict_net"]), _beside(source, "init", ["init_net"])
    if "init" in source.name:
        return _beside(source, "predict", [source.stem.replace("init", "predict"), "predict_net"]), source
    return source, _beside(source, "init", [source.stem.replace("predict", "init"), f"{source.stem}_init", "init_net"])


def _beside(source: Path, kind: str, stems: Sequence[str]) -> Path:
    folder = source if source.is_dir() else source.parent
    for file in (folder / f"{stem}{suffix}" for stem in stems for suffix in SUFFIXES):
        if file.exists() and file != source:
            return file
    raise FormatError(f"{source}: there is no {kind}_net.pb or {kind}_net.pbtxt beside it; a Caffe2 model is a pair of nets")


def _input_shapes(
    source: Path, inputs: Sequence[str], nodes: Sequence[Node], arrays: Mapping[str, np.ndarray], given: Mapping[str, Sequence[int | None]]
) -> dict[str, list[int | str | None]]:
    """Each input's shape: as given, as value_info.json has it, or as far as the first operator tells; the batch is free."""
    file = (source if source.is_dir() else source.parent) / "value_info.json"
    stored: dict[str, Any] = {}
    if file.exists():
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            raise FormatError(f"{file} is no JSON") from None
    shapes: dict[str, list[int | str | None]] = {}
    for name in inputs:
        if name in given:
            shapes[name] = ["batch", *given[name]]
        elif name in stored:
            shapes[name] = ["batch", *(int(d) for d in stored[name][1][1:])]
        else:
            node = next((n for n in nodes if name in n.inputs), nodes[0])
            kernel = arrays.get(node.inputs[1]) if len(node.inputs) > 1 else None
            if node.kind == "Conv" and kernel is not None and kernel.ndim > 1:
                shapes[name] = ["batch", kernel.shape[1] * int(node.attributes.get("group", 1)), *([None] * (kernel.ndim - 2))]
            elif node.kind == "FC" and kernel is not None and kernel.ndim > 1:
                shapes[name] = ["batch", kernel.shape[1]]
            else:
                raise ConversionError(
                    f"{source} does not say the shape of its input {name!r}: give input_shapes={{{name!r}: (3, 224, 224)}}"
                )
    return shapes
