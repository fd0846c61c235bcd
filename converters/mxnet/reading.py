"""Reads MXNet's pair of files: PREFIX-symbol.json is the graph, PREFIX-0000.params its weights; of Module and of Gluon."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onnxdl.converters.mxnet import arithmetic, recurrent  # noqa: F401  (they register their operators)
from onnxdl.converters.mxnet.arrays import read_params
from onnxdl.converters.mxnet.operators import TABLE
from onnxdl.converters.net import Net, Node, model_of
from onnxdl.errors import ConversionError, FormatError
from onnxdl.train.model import Model

SYMBOL = "-symbol.json"
LABELLED = {"SoftmaxOutput", "Softmax", "LinearRegressionOutput", "LogisticRegressionOutput", "MAERegressionOutput", "SVMOutput"}
_NORMALIZATIONS = {"BatchNorm", "BatchNorm_v1"}

Shapes = Mapping[str, Sequence[int | None]]


def read_files(source: Path, input_shapes: Shapes | None = None) -> Model:
    """The Model of a symbol and its weights; ``source`` is either file."""
    symbol_path, params_path = _pair(source)
    arrays = {name.removeprefix("arg:").removeprefix("aux:"): array for name, array in read_params(params_path).items()}
    nodes, heads, hints = read_symbol(symbol_path)
    free = [name for node in nodes for name in node.inputs if name and name not in arrays]
    inputs = [name for name in dict.fromkeys(free) if not any(name in n.outputs for n in nodes)]
    fixed = {n.inputs[1] for n in nodes if n.kind in _NORMALIZATIONS and len(n.inputs) > 1 and n.attributes.get("fix_gamma", True)}
    net = Net(TABLE, nodes, inputs, heads, arrays, str(symbol_path), fixed)
    shapes = {name: _input_shape(name, nodes, arrays, hints, input_shapes or {}, symbol_path) for name in inputs}
    dtypes = {name: np.int64 for name in inputs if any(n.kind == "Embedding" and n.inputs[0] == name for n in nodes)}
    return model_of(net, shapes, dtypes, symbol_path.name.removesuffix(SYMBOL).removesuffix(".json"))


def read_symbol(path: Path) -> tuple[list[Node], list[str], dict[str, Any]]:
    """The operators in order, the names of the outputs, and the shapes that variables were declared with.

    Raises:
        FormatError: the file is no symbol, or is damaged.
    """
    try:
        graph = json.loads(path.read_text(encoding="utf-8"))
        entries, heads = graph["nodes"], graph["heads"]
        names = [str(e["name"]) for e in entries]
        nodes, hints = [], {}
        for i, entry in enumerate(entries):
            attributes = _attributes(entry)
            if not isinstance(entry["op"], str):
                raise TypeError(f"the operator {entry['op']!r} is no name")
            if entry["op"] == "null":
                hints[names[i]] = attributes.get("__shape__")
                continue
            inputs = [_name(names, j, k) for j, k, *_ in entry["inputs"] if j < i]
            nodes.append(_node(entry["op"], names[i], inputs, attributes))
        return nodes, [_name(names, j, k) for j, k, *_ in heads], hints
    except (UnicodeDecodeError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise FormatError(f"{path} is no MXNet symbol, or is damaged: {type(error).__name__}: {error}") from None


def _node(kind: str, name: str, inputs: list[str], attributes: dict[str, Any]) -> Node:
    if kind in LABELLED:
        inputs = inputs[:1]
    if kind in _NORMALIZATIONS and len(inputs) == 3:  # before 0.9 running statistics were not listed
        inputs = [*inputs, f"{name}_moving_mean", f"{name}_moving_var"]
    count = int(attributes.get("num_outputs", 3 if kind == "RNN" else 1))
    outputs = tuple(name if i == 0 else f"{name}_{i}" for i in range(count))
    return Node(kind, name, tuple(inputs), outputs, {k: v for k, v in attributes.items() if not k.startswith("__")})


def _name(names: Sequence[str], node: int, output: int) -> str:
    if not 0 <= node < len(names) or output < 0:
        raise IndexError(f"there is no node {node}")
    return names[node] if output == 0 else f"{names[node]}_{output}"


def _attributes(entry: Mapping[str, Any]) -> dict[str, Any]:
    """0.8 calls them param, later versions attr or attrs; all values are text."""
    found: dict[str, Any] = {}
    for key in ("attr", "attrs", "param"):
        found.update({k: _value(v) for k, v in (entry.get(key) or {}).items()})
    return found


def _value(text: Any) -> Any:
    if not isinstance(text, str) or len(text) > 1000:
        return text
    plain = re.sub(r"(?<=\d)L\b", "", text)  # long numbers of Python 2
    try:
        return ast.literal_eval({"true": "True", "false": "False"}.get(plain, plain))
    except (ValueError, SyntaxError):
        return text


def _pair(source: Path) -> tuple[Path, Path]:
    """The symbol and the weights of the latest epoch, given either file."""
    if source.suffix == ".params":
        prefix = re.sub(r"-\d{4}$", "", source.name.removesuffix(".params"))
        symbol = source.with_name(prefix + SYMBOL)
        if not symbol.exists():
            raise FormatError(f"{source} holds weights alone, and there is no {symbol.name} beside it: give the model that they go into")
        return symbol, source
    prefix = source.name.removesuffix(".json").removesuffix("-symbol")
    found = sorted(source.parent.glob(f"{_escaped(prefix)}-[0-9][0-9][0-9][0-9].params"))
    found = found or [p for p in (source.with_name(f"{prefix}.params"),) if p.exists()]
    if not found:
        raise FormatError(f"{source}: there is no {prefix}-0000.params beside it; an MXNet model is a pair of files")
    return source, found[-1]


def _escaped(text: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", text)


def _input_shape(
    name: str, nodes: Sequence[Node], arrays: Mapping[str, np.ndarray], hints: Mapping[str, Any], given: Shapes, path: Path
) -> list[int | str | None]:
    """As given, as declared, or as far as the first operator tells; the batch is free."""
    if name in given:
        return ["batch", *given[name]]
    declared = hints.get(name)
    if isinstance(declared, tuple | list) and declared and all(isinstance(d, int) for d in declared):
        return ["batch", *(d or None for d in declared[1:])]
    for node in nodes:
        if name not in node.inputs:
            continue
        weight = arrays.get(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[0] == name else None
        if weight is not None and weight.ndim > 1 and node.kind.startswith("Convolution"):
            return ["batch", weight.shape[1] * int(node.attributes.get("num_group", 1)), *([None] * (weight.ndim - 2))]
        if weight is not None and weight.ndim > 1 and node.kind == "FullyConnected":
            return ["batch", weight.shape[1]]
        if weight is not None and node.kind == "Embedding":
            return ["batch", "time"]
        if weight is not None and weight.ndim == 1 and node.kind.startswith("BatchNorm"):
            following = next((n for n in nodes if node.outputs[0] in n.inputs and n.kind == "Convolution"), None)
            kernel = arrays.get(following.inputs[1]) if following is not None and len(following.inputs) > 1 else None
            if kernel is not None:
                return ["batch", weight.shape[0], *([None] * (kernel.ndim - 2))]
    example = f"input_shapes={{{name!r}: (3, 224, 224)}}"
    raise ConversionError(f"{path} does not say the shape of its input {name!r}: give {example}, without the batch")
