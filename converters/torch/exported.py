"""A live ``ExportedProgram`` as plain data, without a detour through a file."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onnxdl.converters.torch.aten import table
from onnxdl.converters.torch.program import DTYPES, Body, Node, Program, Ref
from onnxdl.errors import ConversionError
from onnxdl.graph.dtypes import to_numpy


def program_of(exported: Any, origin: str) -> Program:
    """The program, with its arrays.

    Raises:
        ConversionError: it takes or gives what has no equal here.
    """
    tensors = {**exported.constants, **exported.state_dict}
    program = Program(_body(exported.graph_module))
    placeholders = {n.name: n for n in exported.graph.nodes if n.op == "placeholder"}
    symbols: dict[str, str] = {}
    for spec in exported.graph_signature.input_specs:
        name, kind = spec.arg.name, spec.kind.name
        match kind:
            case "USER_INPUT":
                _user_input(program, name, spec.arg, placeholders[name].meta.get("val"), symbols, origin)
            case "PARAMETER":
                program.parameters[name] = spec.target
            case "BUFFER":
                program.buffers[name] = spec.target
                if not spec.persistent:
                    program.unsaved.add(spec.target)
            case "CONSTANT_TENSOR":
                program.constants[name] = spec.target
            case _:
                raise ConversionError(f"{origin}: an input of the kind {kind} has no equal here; export the module without it")
    for spec in exported.graph_signature.output_specs:
        match spec.kind.name:
            case "USER_OUTPUT" | "LOSS_OUTPUT":
                constant = type(spec.arg).__name__ == "ConstantArgument"
                program.outputs.append(spec.arg.value if constant else Ref(spec.arg.name))
            case "BUFFER_MUTATION":
                program.mutations[spec.target] = Ref(spec.arg.name)
            case "USER_INPUT_MUTATION":
                continue  # the caller's own tensor, which no graph can write to
            case kind:
                raise ConversionError(f"{origin}: an output of the kind {kind} has no equal here; export the module without it")
    for node in exported.graph.nodes:
        if node.op == "get_attr" and _is_tensor(value := _attribute(exported.graph_module, node.target)):
            program.constants[node.name] = node.target
            tensors[node.target] = value
    program.output_names = _output_names(exported.call_spec.out_spec)
    _take_arrays(program, tensors, origin)
    return program


def _user_input(program: Program, name: str, argument: Any, value: Any, symbols: dict[str, str], origin: str) -> None:
    if type(argument).__name__ == "ConstantArgument":
        program.fixed[name] = argument.value
        return
    if not _is_tensor(value):
        raise ConversionError(f"{origin}: the input {name!r} is no tensor; export the module with that number fixed")
    dims: list[int | str] = []
    for i, size in enumerate(value.shape):
        if isinstance(size, int):
            dims.append(size)
            continue
        proposed = "batch" if i == 0 and "batch" not in symbols.values() else f"{name}_dim_{i}"
        dims.append(symbols.setdefault(str(size.node.expr), proposed))
    program.inputs[name] = (_dtype(value.dtype, f"{origin}: the input {name!r}"), dims)


def _take_arrays(program: Program, tensors: Mapping[str, Any], origin: str) -> None:
    wanted = {**program.parameters, **program.buffers, **program.constants}
    parameters = set(program.parameters.values())
    places: dict[Any, str] = {}
    for state_name in dict.fromkeys([*(n for n in tensors if n in parameters), *wanted.values()]):
        tensor = tensors[state_name]
        if not _is_tensor(tensor):
            raise ConversionError(f"{origin}: the constant {state_name!r} is no tensor, and has no equal here")
        place = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        if state_name in parameters and tensor.numel():
            if place in places:
                program.aliases[state_name] = places[place]
            places.setdefault(place, state_name)
        program.arrays[state_name] = array_of(tensor, f"{origin}: the tensor {state_name!r}")
        if state_name in parameters and tensor.requires_grad:
            program.trainable.add(state_name)


def array_of(tensor: Any, who: str) -> np.ndarray:
    """A tensor as an array of its own."""
    import torch

    dtype = _dtype(tensor.dtype, who)
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        return np.array(tensor.view(torch.int16).numpy().view(to_numpy("bfloat16")))
    return np.array(tensor.numpy(), dtype)


def _dtype(dtype: Any, who: str) -> Any:
    name = str(dtype).removeprefix("torch.")
    found = next((d for d in DTYPES.values() if np.dtype(d).name == name), None)
    if found is None:
        raise ConversionError(f"{who} is {dtype}, which has no equal here")
    return found


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _attribute(module: Any, path: str) -> Any:
    for part in path.split("."):
        module = getattr(module, part)
    return module


def _body(module: Any) -> Body:
    inputs, nodes, outputs = [], [], []
    for node in module.graph.nodes:
        if node.op == "placeholder":
            inputs.append(node.name)
        elif node.op == "output":
            given = node.args[0]
            outputs = [_argument(a, module) for a in (given if isinstance(given, tuple | list) else [given])]
        elif node.op == "call_function" and node.target is not operator.getitem:
            nodes.append(_node(node, module))
    return Body(inputs, nodes, outputs)


def _node(node: Any, module: Any) -> Node:
    name = _name_of(node.target)
    arguments: dict[str, Any] = {}
    schema = getattr(node.target, "_schema", None)
    if schema is not None:
        names = [a.name for a in schema.arguments]
    elif name in table():
        names = sorted(table()[name].accepted, key=list(_signature(name)).index)
    else:
        names = []
    for i, argument in enumerate(node.args):
        arguments[names[i] if i < len(names) else f"_{i}"] = _argument(argument, module)
    arguments.update((k, _argument(v, module)) for k, v in node.kwargs.items())
    return Node(name, arguments, _results(node), _scope(node))


def _signature(name: str) -> Mapping[str, Any]:
    import inspect

    return inspect.signature(table()[name].write).parameters


def _name_of(target: Any) -> str:
    import torch

    if isinstance(target, torch._ops.OpOverload):
        return str(target)
    if isinstance(target, torch._ops.HigherOrderOperator):
        return f"higher_order.{target}"
    module = getattr(target, "__module__", "") or ""
    base = getattr(target, "__name__", str(target))
    return f"sym.{base}" if module.startswith("torch") else f"{module}.{base}"


def _results(node: Any) -> list[Any]:
    """The names of a node's results: those that are taken out of it, or its own."""
    taken = {u.args[1]: u.name for u in node.users if u.target is operator.getitem}
    value = node.meta.get("val")
    if taken or isinstance(value, tuple | list):
        names = [taken.get(i) for i in range(max([*taken, -1]) + 1)]
        return [names]
    return [node.name]


def _scope(node: Any) -> str:
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return ""
    path = str(list(stack.values())[-1][0]).split("@")[0]
    return re.sub(r"[^\w./@-]", "_", path).replace(".", "/")


def _argument(argument: Any, module: Any) -> Any:
    import torch

    if isinstance(argument, torch.fx.Node):
        if argument.op == "get_attr":
            held = _attribute(module, str(argument.target))
            if isinstance(held, torch.fx.GraphModule):
                return _body(held)
        return Ref(argument.name)
    if isinstance(argument, tuple | list):
        return [_argument(a, module) for a in argument]
    if isinstance(argument, torch.dtype):
        found = next((d for d in DTYPES.values() if np.dtype(d).name == str(argument).removeprefix("torch.")), None)
        return found or f"element type {argument}"
    if argument is None or isinstance(argument, bool | int | float | str):
        return argument
    return str(argument)  # a device, a layout, a memory format


def _output_names(spec: Any) -> list[str] | None:
    """The keys of a dict or named tuple of single tensors."""
    if spec is None or not all(child.is_leaf() for child in spec.children()):
        return None
    keys: Sequence[Any] | None = getattr(spec.context, "_fields", None) or (
        list(spec.context) if isinstance(spec.context, list | tuple) else None
    )
    children = list(spec.children())
    return [str(k) for k in keys] if keys and len(keys) == len(children) and all(isinstance(k, str) for k in keys) else None
