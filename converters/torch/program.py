"""An exported program of PyTorch as plain data: what ``torch.export`` gives, read from its JSON without torch."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from onnxdl.errors import ConversionError, FormatError
from onnxdl.graph.dtypes import to_numpy

DTYPES: Mapping[int, Any] = {
    1: np.uint8,
    2: np.int8,
    3: np.int16,
    4: np.int32,
    5: np.int64,
    6: np.float16,
    7: np.float32,
    8: np.float64,
    12: np.bool_,
    13: to_numpy("bfloat16"),
    28: np.uint16,
    29: to_numpy("float8e4m3fn"),
    30: to_numpy("float8e5m2"),
    34: np.uint32,
    35: np.uint64,
}
"""Torch's numbers of element types as the file writes them; complex ones are left out."""


class Ref(NamedTuple):
    """An argument that is a value of the graph, by its name."""

    name: str


class Node(NamedTuple):
    """One operator called: its arguments by torch's names, and the names of its results (None where nobody uses one)."""

    op: str
    arguments: dict[str, Any]
    outputs: list[Any]
    scope: str


@dataclass
class Body:
    """A graph: its inputs by name, its nodes, and what it returns."""

    inputs: list[str]
    nodes: list[Node]
    outputs: list[Any]


@dataclass
class Program:
    """An exported program.

    ``parameters``, ``buffers`` and ``constants`` give the state's name of each graph input that stands for one;
    ``mutations`` the value that a buffer has afterwards, by the state's name. ``sizes`` holds each user input's element
    type and dimensions. ``arrays`` has the values, ``aliases`` the names that share one with another, ``unsaved`` those that
    ``state_dict`` leaves out, ``versions`` what it says of each module's version.
    """

    body: Body
    parameters: dict[str, str] = field(default_factory=dict)
    buffers: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, tuple[Any, list[int | str]]] = field(default_factory=dict)
    mutations: dict[str, Any] = field(default_factory=dict)
    outputs: list[Any] = field(default_factory=list)
    output_names: list[str] | None = None
    trainable: set[str] = field(default_factory=set)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    unsaved: set[str] = field(default_factory=set)
    versions: dict[str, int] = field(default_factory=dict)


def parse(data: bytes, origin: str) -> Program:
    """The program that a ``model.json`` holds, without its arrays.

    Raises:
        FormatError: it is no exported program, or one of a version that nobody here knows.
    """
    try:
        document = json.loads(data)
        major = int(document["schema_version"]["major"])
        if major not in (7, 8):
            raise FormatError(f"{origin} has the schema {major} of torch.export; 7 and 8 are read: save it with torch 2.3 or later")
        return _program(document["graph_module"], origin)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, StopIteration) as error:
        raise FormatError(f"{origin} holds no exported program, or is damaged ({type(error).__name__}: {error})") from None


def _program(module: Mapping[str, Any], origin: str) -> Program:
    graph, signature = module["graph"], module["signature"]
    program = Program(_body(graph))
    symbols: dict[str, str] = {}
    for spec in signature["input_specs"]:
        kind, held = next(iter(spec.items()))
        match kind:
            case "user_input":
                _user_input(program, held["arg"], graph, symbols, origin)
            case "parameter":
                program.parameters[held["arg"]["name"]] = held["parameter_name"]
            case "buffer":
                program.buffers[held["arg"]["name"]] = held["buffer_name"]
                if not held["persistent"]:
                    program.unsaved.add(held["buffer_name"])
            case "tensor_constant":
                program.constants[held["arg"]["name"]] = held["tensor_constant_name"]
            case "constant_input":
                program.fixed[held["name"]] = next(iter(held["value"].values()))
            case _:
                raise ConversionError(f"{origin}: an input of the kind {kind} has no equal here; export the module without it")
    held_names = (*program.parameters.values(), *program.buffers.values(), *program.constants.values())
    if not all(isinstance(name, str) for name in held_names):
        raise TypeError("the name of a tensor is no text")
    for spec in signature["output_specs"]:
        kind, held = next(iter(spec.items()))
        match kind:
            case "user_output":
                program.outputs.append(_argument(held["arg"]))
            case "loss_output":
                program.outputs.append(Ref(held["arg"]["name"]))
            case "buffer_mutation":
                program.mutations[held["buffer_name"]] = Ref(held["arg"]["name"])
            case "user_input_mutation":
                continue  # the caller's own tensor, which no graph can write to
            case _:
                raise ConversionError(f"{origin}: an output of the kind {kind} has no equal here; export the module without it")
    program.output_names = _output_names(module)
    return program


def _user_input(program: Program, arg: Mapping[str, Any], graph: Mapping[str, Any], symbols: dict[str, str], origin: str) -> None:
    argument = _argument(arg)
    if not isinstance(argument, Ref):
        return  # a number that was fixed when the program was exported
    name = argument.name
    meta = graph["tensor_values"].get(name)
    if meta is None:
        raise ConversionError(f"{origin}: the input {name!r} is no tensor; export the module with that number fixed")
    dims: list[int | str] = []
    for i, size in enumerate(meta["sizes"]):
        if "as_int" in size:
            dims.append(int(size["as_int"]))
            if not 0 <= int(size["as_int"]) < 2**40:
                raise FormatError(f"{origin}: the input {name!r} claims an axis of {size['as_int']}; the file is damaged")
            continue
        expression = str(size["as_expr"]["expr_str"])
        proposed = "batch" if i == 0 and "batch" not in symbols.values() else f"{name}_dim_{i}"
        dims.append(symbols.setdefault(expression, proposed))
    program.inputs[name] = (dtype_of(meta["dtype"], f"{origin}: the input {name!r}"), dims)


def dtype_of(code: int, who: str) -> Any:
    """NumPy's element type of torch's number for one."""
    if code not in DTYPES:
        raise ConversionError(f"{who} has an element type (number {code}) that has no equal here; complex numbers have none")
    return DTYPES[code]


def _body(graph: Mapping[str, Any]) -> Body:
    nodes = [_node(n) for n in graph["nodes"]]
    inputs = [_argument(a) for a in graph["inputs"]]
    return Body([a.name if isinstance(a, Ref) else "" for a in inputs], nodes, [_argument(a) for a in graph["outputs"]])


def _node(node: Mapping[str, Any]) -> Node:
    target = str(node["target"])
    name = target.removeprefix("torch.ops.").replace("::", ".").removeprefix("torch._higher_order_ops.")
    name = re.sub(r"^torch\.(sym_\w+)$", r"sym.\1", name)
    arguments = {str(a["name"]) or f"_{i}": _argument(a["arg"]) for i, a in enumerate(node["inputs"])}
    return Node(name, arguments, [_output(o) for o in node["outputs"]], _scope(node.get("metadata", {}).get("nn_module_stack", "")))


def _output(output: Mapping[str, Any]) -> Any:
    """The name of a result, or a list of names where an operator gives a list."""
    argument = _argument(output)
    if isinstance(argument, list):
        return [a.name if isinstance(a, Ref) else None for a in argument]
    return argument.name if isinstance(argument, Ref) else None


def _scope(stack: str) -> str:
    """The innermost module's path: ``layer1/0/conv1``."""
    paths = [part.split(",") for part in stack.split(";")]
    last = paths[-1][1] if len(paths[-1]) == 3 else ""
    return re.sub(r"[^\w./@-]", "_", last.split("@")[0]).replace(".", "/") if not last.startswith("_empty") else ""


_OPAQUE = ("as_scalar_type", "as_memory_format", "as_layout", "as_device", "as_string", "as_strings", "as_operator")


def _argument(arg: Mapping[str, Any]) -> Any:
    kind, held = next(iter(arg.items()))
    match kind:
        case "as_none":
            return None
        case "as_tensor":
            return Ref(held["name"])
        case "as_tensors":
            return [Ref(t["name"]) for t in held]
        case "as_optional_tensor":
            return _argument(held)
        case "as_optional_tensors":
            return [_argument(t) for t in held]
        case "as_nested_tensors":
            return [[Ref(t["name"]) for t in ts] for ts in held]
        case "as_sym_int" | "as_sym_bool" | "as_sym_float":
            return _symbolic(held)
        case "as_sym_ints" | "as_sym_bools" | "as_sym_floats":
            return [_symbolic(s) for s in held]
        case "as_float":
            return _float(held)
        case "as_floats":
            return [_float(f) for f in held]
        case "as_graph":
            return _body(held["graph"])
        case "as_scalar_type":
            return DTYPES.get(int(held), f"element type {held}")
        case "as_int" | "as_ints" | "as_bool" | "as_bools" | "as_int_lists" | "as_float_lists":
            return held
        case _ if kind in _OPAQUE:
            return held
        case _:
            raise FormatError(f"an argument of the kind {kind} is unknown")


def _symbolic(held: Mapping[str, Any]) -> Any:
    kind, value = next(iter(held.items()))
    return Ref(value) if kind == "as_name" else value


def _float(held: Any) -> float:
    """A float, which the file writes as text where JSON has no number for it."""
    return float({"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}.get(held, held) if isinstance(held, str) else held)


def _output_names(module: Mapping[str, Any]) -> list[str] | None:
    """The keys of the dict or named tuple that the module returns, where it returns one of single tensors."""
    calls = module.get("module_call_graph") or []
    signature = calls[0].get("signature") if calls else None
    if not signature:
        return None
    try:
        spec = json.loads(signature["out_spec"])[1]
        keys = json.loads(spec["context"]) if isinstance(spec["context"], str) else None
    except ValueError:
        return None
    children = spec["children_spec"]
    single = all(not c["children_spec"] and c["type"] is None for c in children)
    if single and isinstance(keys, list) and len(keys) == len(children) and all(isinstance(k, str) for k in keys):
        return keys
    return None
