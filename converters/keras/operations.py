"""Nodes of bare operations in functional models: Keras 3's ``keras.src.ops``, and Keras 2's ``tf.math.add`` and their like.

Each becomes an Operation, a layer without weights that applies one function of the table.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxdl.converters.keras.functions import FUNCTIONS
from onnxdl.errors import GraphError
from onnxdl.nn.layer import Layer

if TYPE_CHECKING:
    from onnxdl.converters.keras.config import Reader

_OF_KERAS_2 = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "TensorFlowOp")

# what TensorFlow's functions are called here, and the arguments that have other names
_TENSORFLOW: dict[str, str] = {
    "abs": "Absolute", "add": "Add", "addv2": "Add", "argmax": "Argmax", "argmin": "Argmin", "cast": "Cast", "ceil": "Ceil",
    "clip_by_value": "Clip", "concat": "Concatenate", "concatv2": "Concatenate", "cos": "Cos", "cumsum": "Cumsum", "divide": "Divide",
    "divide_no_nan": "DivideNoNan", "einsum": "Einsum", "elu": "Elu", "equal": "Equal", "erf": "Erf", "exp": "Exp",
    "expand_dims": "ExpandDims",
    "expm1": "Expm1", "expanddims": "ExpandDims", "floor": "Floor", "floordiv": "FloorDivide", "floormod": "Mod", "gather": "Take",
    "gelu": "Gelu", "greater": "Greater", "greater_equal": "GreaterEqual", "greaterequal": "GreaterEqual", "leaky_relu": "LeakyRelu",
    "less": "Less", "less_equal": "LessEqual", "lessequal": "LessEqual", "log": "Log", "log1p": "Log1p", "log_softmax": "LogSoftmax",
    "logical_and": "LogicalAnd", "logical_not": "LogicalNot", "logical_or": "LogicalOr", "matmul": "Matmul", "batchmatmulv2": "Matmul",
    "maximum": "Maximum", "minimum": "Minimum", "mod": "Mod", "mul": "Multiply", "multiply": "Multiply", "negative": "Negative",
    "neg": "Negative",
    "not_equal": "NotEqual", "notequal": "NotEqual", "one_hot": "OneHot", "ones_like": "OnesLike", "pad": "Pad", "pow": "Power",
    "realdiv": "Divide", "reciprocal": "Reciprocal", "reduce_all": "All", "reduce_any": "Any", "reduce_logsumexp": "Logsumexp",
    "reduce_max": "Max", "reduce_mean": "Mean", "reduce_min": "Min", "reduce_prod": "Prod", "reduce_std": "Std", "reduce_sum": "Sum",
    "reduce_variance": "Var", "mean": "Mean", "sum": "Sum", "max": "Max", "min": "Min", "relu": "Relu", "relu6": "Relu6",
    "repeat": "Repeat",
    "reshape": "Reshape", "reverse": "Flip", "roll": "Roll", "round": "Round", "rsqrt": "Rsqrt", "selu": "Selu", "sigmoid": "Sigmoid",
    "sign": "Sign", "silu": "Silu", "swish": "Silu", "sin": "Sin", "softmax": "Softmax", "softplus": "Softplus", "softsign": "Softsign",
    "split": "Split", "sqrt": "Sqrt", "square": "Square", "squared_difference": "SquaredDifference",
    "squareddifference": "SquaredDifference",
    "squeeze": "Squeeze", "stack": "Stack", "sub": "Subtract", "subtract": "Subtract", "tan": "Tan", "tanh": "Tanh",
    "tensordot": "Tensordot",
    "tile": "Tile", "top_k": "TopK", "transpose": "Transpose", "truediv": "Divide", "unstack": "Unstack", "where": "Where",
    "zeros_like": "ZerosLike", "l2_normalize": "Normalize", "moments": "Moments", "resize": "Resize", "identity": "Copy",
    "getitem": "GetItem",
    "norm": "Norm", "broadcast_to": "BroadcastTo", "acos": "Arccos", "asin": "Arcsin", "atan": "Arctan", "sinh": "Sinh", "cosh": "Cosh",
}  # fmt: skip
_ARGUMENTS = {
    "input": "x", "input_tensor": "x", "tensor": "x", "features": "x", "logits": "x", "a": "x1", "b": "x2", "x": "x1", "y": "x2", "t": "x",
    "params": "x", "value": "x", "values": "xs", "perm": "axes", "shape": "newshape", "clip_value_min": "x_min", "clip_value_max": "x_max",
    "multiples": "repeats", "paddings": "pad_width", "num_or_size_splits": "indices_or_sections", "depth": "num_classes",
    "alpha": "negative_slope",
    "slice_spec": "key", "dims": "axis", "equation": "subscripts", "inputs": "operands", "condition": "condition", "images": "images",
    "size": "size",
}  # fmt: skip
_IGNORED = frozenset({"name", "trainable", "dtype", "validate_indices", "fast"})


class Operation(Layer):
    """One function of ``keras.ops`` as a layer.

    Args:
        operation: the name of Keras's class, such as ``Add`` or ``Mean``.
        settings: keywords that every call gets.
    """

    keras_operation = True

    def __init__(self, operation: str, settings: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if operation not in FUNCTIONS:
            raise GraphError(f"no operation is called {operation!r}; known are {', '.join(sorted(FUNCTIONS))}")
        self.operation, self.settings = operation, dict(settings or {})

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return FUNCTIONS[self.operation](*args, **{**self.settings, **kwargs})


class TensorFlowOperation(Operation):
    """One of TensorFlow's functions as a layer: the same table, after its words for arguments.

    Args:
        operation: the name of Keras's class that does the same.
        function: TensorFlow's name, such as ``math.add``.
        constants: for a node of a graph, what it is given beside tensors, by place; None for a function of Python.
        settings: keywords that every call gets.
    """

    def __init__(
        self, operation: str, function: str, constants: dict[str, Any] | None = None, settings: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(operation, settings, **kwargs)
        self.tensorflow_function, self.constants = function, constants

    def call(self, *args: Any, **kwargs: Any) -> Any:
        given = list(args)
        if self.constants is not None:  # a node of TensorFlow's graph: all that it is given stands in a row
            given = list(given[0]) if len(given) == 1 and isinstance(given[0], list) else given
            for place in sorted(self.constants, key=int):
                given.insert(int(place), self.constants[place])
            if self.operation in ("Concatenate", "Stack"):
                axis = given.pop() if self.operation == "Concatenate" else self.settings.get("axis", 0)
                return FUNCTIONS[self.operation](given, int(axis))
        return _called(self.operation, self.tensorflow_function, given, {**self.settings, **kwargs})


def _called(operation: str, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The function of an operation, on TensorFlow's arguments."""
    function = FUNCTIONS[operation]
    takes = inspect.signature(function).parameters
    options: dict[str, Any] = {}
    for option, value in kwargs.items():
        argument = option if option in takes and option not in ("x", "y") else _ARGUMENTS.get(option, option)
        argument = argument if argument in takes else {"x1": "x", "x": "x1"}.get(argument, argument)
        if option == "key" or option == "slice_spec":
            value = _slices(value)
        if argument in takes:
            options[argument] = value
        elif option in ("keepdims", "keep_dims") and value in (False, None):
            continue
        elif option == "transpose_b" and value:
            args[1] = FUNCTIONS["Swapaxes"](args[1], -1, -2)
        elif option == "transpose_a" and value:
            args[0] = FUNCTIONS["Swapaxes"](args[0], -1, -2)
        elif option == "dtype" and operation == "Cast":
            options["dtype"] = value
        elif value not in (None, False, 0) and option not in _IGNORED:
            raise GraphError(f"{name} has {option}={value!r}, which is not supported")
    if operation == "Cast" and "dtype" not in options and len(args) > 1:
        options["dtype"] = args.pop(1)
    if operation == "Mean" and "axis" in options:
        options["axis"] = _plain(options["axis"])
    return function(*args, **{k: _plain(v) for k, v in options.items()})


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _slices(spec: Any) -> Any:
    """``slice_spec``: slices as dicts, places as numbers, beside ``...`` and new axes."""
    parts = spec if isinstance(spec, list | tuple) else [spec]
    found: list[Any] = []
    for part in parts:
        if isinstance(part, dict) and {"start", "stop", "step"} <= part.keys():
            found.append(slice(part["start"], part["stop"], part["step"]))
        elif (isinstance(part, dict) and part.get("type") == "ellipsis") or part == "...":
            found.append(Ellipsis)
        else:
            found.append(part)
    return tuple(found)


# ---- from configurations ------------------------------------------------------------------------------------------------


def is_operation(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is that of a bare operation."""
    module = str(config.get("module") or "")
    if config.get("class_name") in _OF_KERAS_2 or module.startswith(("keras.src.ops", "keras.ops")):
        return True
    inner, nodes = config.get("config"), config.get("inbound_nodes")
    # in an .h5 file only a layer says whether it is trainable
    bare = isinstance(inner, dict) and "trainable" not in inner and not module and isinstance(nodes, list) and bool(nodes)
    return bare and isinstance(nodes[0], dict) and "args" in nodes[0] and config.get("class_name") in FUNCTIONS  # type: ignore[index]


def known(config: Mapping[str, Any]) -> bool:
    """Whether its function is in the table."""
    return _operation(config) in FUNCTIONS


def described(config: Mapping[str, Any]) -> str:
    """What an error calls it."""
    return f"the operation {_function(config) or config.get('class_name')}"


def _operation(config: Mapping[str, Any]) -> str:
    if config.get("class_name") in _OF_KERAS_2:
        if config["class_name"] == "SlicingOpLambda":
            return "GetItem"
        return _TENSORFLOW.get(_function(config).rpartition(".")[2].lower().lstrip("_"), "")
    return str(config.get("class_name"))


def _function(config: Mapping[str, Any]) -> str:
    inner = config.get("config")
    if not isinstance(inner, dict):
        return ""
    node = inner.get("node_def")
    return str(inner.get("function") or (node.get("op") if isinstance(node, dict) else None) or "")


def made(reader: Reader, config: dict[str, Any]) -> Layer:
    """The layer of an operation's configuration."""
    inner, name = config["config"], config["class_name"]
    where = f"the operation {inner.get('name')!r} ({described(config)})"
    operation = _operation(config)
    if operation not in FUNCTIONS:
        raise reader.archive.unsupported(f"{where} is not supported; give custom_objects={{{name!r}: a class of yours}}")
    if name in _OF_KERAS_2:
        held = {str(k): reader.plain(v, where) for k, v in (inner.get("constants") or {}).items()}
        constants = held if inner.get("node_def") is not None else None
        settings = _attributes(inner.get("node_def"))
        return reader.attempt(  # type: ignore[no-any-return]
            where, lambda: TensorFlowOperation(operation, _function(config), constants, settings, name=inner.get("name"))
        )
    settings = {k: reader.plain(v, where) for k, v in inner.items() if k != "name" and not (k == "dtype" and operation != "Cast")}
    return reader.attempt(where, lambda: Operation(operation, settings, name=inner.get("name")))  # type: ignore[no-any-return]


def _attributes(node: Any) -> dict[str, Any]:
    """The attributes of a TensorFlow node that change what it computes."""
    if not isinstance(node, dict):
        return {}
    attributes = node.get("attr") or {}
    found: dict[str, Any] = {}
    for name in ("keep_dims", "keepdims", "transpose_a", "transpose_b", "adj_x", "adj_y", "alpha", "axis"):
        value = attributes.get(name)
        if isinstance(value, dict) and value:
            found[{"keep_dims": "keepdims", "adj_x": "transpose_a", "adj_y": "transpose_b"}.get(name, name)] = next(iter(value.values()))
    return found
