"""Bare operations in functional models as Keras's: those read from a file, and operators of ours written on symbolic tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxdl.converters.keras.operations import Operation, TensorFlowOperation
from onnxdl.errors import ConversionError
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.layer import Layer

_MODULES = {
    "nn": (
        "Celu Conv ConvTranspose DepthwiseConv DotProductAttention Elu Gelu Glu HardSigmoid HardSilu HardSwish HardTanh LayerNorm "
        "HardShrink LeakyRelu LogSigmoid LogSoftmax MaxPool AveragePool Moments MultiHot Normalize OneHot Relu Relu6 RMSNorm Selu "
        "SeparableConv Sigmoid Silu Softmax SoftShrink Softplus Softsign SparsePlus Sparsemax SparseSigmoid Squareplus TanhShrink Threshold"
    ),
    "core": "Cast Saturate StopGradient Shape Scatter ScatterUpdate Slice SliceUpdate ConvertToTensor Unstack",
    "math": "Erf Erfinv Logsumexp Rsqrt InTopK TopK SegmentSum SegmentMax Logdet FFT FFT2 RFFT IRFFT STFT ISTFT",
    "linalg": "Norm Det Inv Cholesky Solve SVD Lstsq Eigh",
    "image": "Resize RGBToGrayscale RGBToHSV HSVToRGB AffineTransform PadImages CropImages MapCoordinates GaussianBlur",
}
"""The modules of Keras's operations; those not named are in ``numpy``."""
_MODULE_OF = {name: f"keras.src.ops.{module}" for module, names in _MODULES.items() for name in names.split()}

Written = tuple[str, list[Any], dict[str, Any]]
"""The name of Keras's class, what it is called with, and what it is made with."""


def operation_config(layer: Layer) -> dict[str, Any]:
    """The configuration of an operation that was read from a file.

    Raises:
        ConversionError: it is one of TensorFlow's, which only the file that it came from can hold.
    """
    if not isinstance(layer, Operation) or isinstance(layer, TensorFlowOperation):
        function = getattr(layer, "tensorflow_function", type(layer).__name__)
        raise ConversionError(f"{layer.name!r} is TensorFlow's {function}, which Keras 3 does not read: write the model as onnx")
    return _config(layer.operation, {"name": layer.name, **{k: plain_value(v) for k, v in layer.settings.items()}})


def plain_value(value: Any) -> Any:
    """What an operation is called or made with, as Keras writes it: numbers, arrays, slices, in lists and dicts."""
    if isinstance(value, Mapping):
        return {k: plain_value(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(v) for v in value]
    if isinstance(value, slice):
        return _cut(value.start, value.stop, value.step)
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(value, np.ndarray) and value.ndim:
        return {"class_name": "__numpy__", "config": {"value": value.tolist(), "dtype": value.dtype.name}}
    if isinstance(value, np.ndarray | np.generic):
        return value.item()
    return value


def without_ellipsis(layer: Layer, args: Sequence[Any]) -> list[Any]:
    """The arguments of a call; an ellipsis among indices as the slices that it stands for: Keras cannot read one from .h5 files."""
    if getattr(layer, "operation", None) != "GetItem" or len(args) != 2 or not isinstance(args[1], list | tuple):
        return list(args)
    x, key = args
    at = next((i for i, part in enumerate(key) if part is Ellipsis), None)
    if at is None:
        return list(args)
    missing = x.ndim - sum(part is not None for part in key) + 1
    return [x, [*key[:at], *[slice(None)] * missing, *key[at + 1 :]]]


def _config(name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": _MODULE_OF.get(name, "keras.src.ops.numpy"), "class_name": name, "config": config, "registered_name": name}


def operation_names(nodes: Sequence[ir.Node], taken: set[str]) -> dict[ir.Node, str]:
    """A name for each operator, as Keras would number them."""
    used, names = set(taken), {}
    for node in nodes:
        base = functions_name(written(node)[0])
        name, k = base, 0
        while name in used:
            k += 1
            name = f"{base}_{k}"
        used.add(name)
        names[node] = name
    return names


def functions_name(name: str) -> str:
    """``TrueDivide`` as ``true_divide``."""
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


def node_config(node: ir.Node, name: str) -> dict[str, Any]:
    """The configuration of one of our operators."""
    operation, _, config = written(node)
    return _config(operation, {"name": name, **config})


def arguments(node: ir.Node) -> tuple[list[Any], dict[str, Any]]:
    """What Keras's operation is called with: tensors, constants as arrays."""
    return written(node)[1], {}


def written(node: ir.Node) -> Written:
    """One of our operators in Keras's words.

    Raises:
        ConversionError: Keras has no such operation, or the operator needs constants and has computed values.
    """
    write = OPERATORS.get(node.op_type) if node.domain == "" else None
    if write is None or len(node.outputs) != 1:
        known = ", ".join(sorted(OPERATORS))
        raise ConversionError(
            f"the operator {node.op_type} stands between the layers; Keras takes {known} there: put it into a layer of your own"
        )
    return write(node)


def _inputs(node: ir.Node) -> list[Any]:
    return [Tensor(v) if (c := v.const_value) is None else _number(c.numpy()) for v in node.inputs if v is not None]


def _number(array: np.ndarray) -> Any:
    return array.item() if not array.ndim else array


def _constant(node: ir.Node, place: int) -> np.ndarray | None:
    value = node.inputs[place] if place < len(node.inputs) else None
    if value is None:
        return None
    if value.const_value is None:
        raise ConversionError(
            f"{node.op_type} between the layers takes a computed value where Keras wants a number: put it into a layer of your own"
        )
    return value.const_value.numpy()


def _plainly(name: str) -> Callable[[ir.Node], Written]:
    return lambda node: (name, _inputs(node), {})


def _with(name: str, **options: Callable[[ir.Node], Any]) -> Callable[[ir.Node], Written]:
    """An operation of the first input, and options that are found in the node."""
    return lambda node: (name, _inputs(node)[:1], {option: find(node) for option, find in options.items()})


def _axis(default: int) -> Callable[[ir.Node], int]:
    return lambda node: node.attributes.get_int("axis", default)


def _axes(node: ir.Node) -> Any:
    found = _constant(node, 1)
    return None if found is None or not found.size else int(found.ravel()[0]) if found.size == 1 else [int(a) for a in found]


def _keepdims(node: ir.Node) -> bool:
    return bool(node.attributes.get_int("keepdims", 1))


def _dtype(node: ir.Node) -> str:
    return ir.DataType(node.attributes.get_int("to", 1)).numpy().name


def _listed(place: int) -> Callable[[ir.Node], Any]:
    def find(node: ir.Node) -> Any:
        found = _constant(node, place)
        return None if found is None else found.tolist()

    return find


def _slice(node: ir.Node) -> Written:
    x, starts, ends = Tensor(node.inputs[0]), _constant(node, 1), _constant(node, 2)  # type: ignore[arg-type]
    axes, steps = _constant(node, 3), _constant(node, 4)
    assert starts is not None and ends is not None  # Slice always has them
    places = range(len(starts)) if axes is None else [int(a) % x.ndim for a in axes]
    key: list[Any] = [_cut(None, None, None)] * x.ndim
    for i, (axis, start, end) in enumerate(zip(places, starts, ends, strict=True)):
        step = 1 if steps is None else int(steps[i])
        key[axis] = _cut(int(start), None if abs(int(end)) >= 1 << 31 else int(end), step)
    return "GetItem", [x, key], {}


def _cut(start: int | None, stop: int | None, step: int | None) -> dict[str, Any]:
    return {"class_name": "__slice__", "config": {"start": start, "stop": stop, "step": step}}


def _gelu(node: ir.Node) -> Written:
    return "Gelu", _inputs(node), {"approximate": node.attributes.get_string("approximate", "none") == "tanh"}


def _several(name: str) -> Callable[[ir.Node], Written]:
    def write(node: ir.Node) -> Written:
        given = _inputs(node)
        if len(given) != 2:
            raise ConversionError(f"{node.op_type} of {len(given)} tensors stands between the layers: use a layer such as nn.{name}")
        return name, given, {}

    return write


OPERATORS: Mapping[str, Callable[[ir.Node], Written]] = {
    **{
        ours: _plainly(theirs)
        for ours, theirs in {
            "Abs": "Absolute", "Acos": "Arccos", "Add": "Add", "And": "LogicalAnd", "Asin": "Arcsin", "Atan": "Arctan", "Ceil": "Ceil",
            "Cos": "Cos", "Cosh": "Cosh", "Div": "TrueDivide", "Equal": "Equal", "Erf": "Erf", "Exp": "Exp", "Floor": "Floor",
            "Greater": "Greater", "GreaterOrEqual": "GreaterEqual", "HardSwish": "HardSilu", "Less": "Less", "LessOrEqual": "LessEqual",
            "Log": "Log", "MatMul": "Matmul", "Mod": "Mod", "Mul": "Multiply", "Neg": "Negative", "Not": "LogicalNot", "Or": "LogicalOr",
            "Pow": "Power", "Reciprocal": "Reciprocal", "Relu": "Relu", "Round": "Round", "Sigmoid": "Sigmoid", "Sign": "Sign",
            "Sin": "Sin", "Sinh": "Sinh", "Softplus": "Softplus", "Softsign": "Softsign", "Sqrt": "Sqrt", "Sub": "Subtract", "Tan": "Tan",
            "Tanh": "Tanh", "Where": "Where",
        }.items()
    },
    "Cast": _with("Cast", dtype=_dtype),
    "Concat": lambda node: ("Concatenate", [_inputs(node)], {"axis": _axis(0)(node)}),
    "Elu": _with("Elu", alpha=lambda node: node.attributes.get_float("alpha", 1.0)),
    "Gelu": _gelu,
    "LeakyRelu": _with("LeakyRelu", negative_slope=lambda node: node.attributes.get_float("alpha", 0.01)),
    "LogSoftmax": _with("LogSoftmax", axis=_axis(-1)),
    "Max": _several("Maximum"),
    "Min": _several("Minimum"),
    "ReduceLogSumExp": _with("Logsumexp", axis=_axes, keepdims=_keepdims),
    "ReduceMax": _with("Max", axis=_axes, keepdims=_keepdims),
    "ReduceMean": _with("Mean", axis=_axes, keepdims=_keepdims),
    "ReduceMin": _with("Min", axis=_axes, keepdims=_keepdims),
    "ReduceProd": _with("Prod", axis=_axes, keepdims=_keepdims),
    "ReduceSum": _with("Sum", axis=_axes, keepdims=_keepdims),
    "Reshape": _with("Reshape", newshape=_listed(1)),
    "Slice": _slice,
    "Softmax": _with("Softmax", axis=_axis(-1)),
    "Squeeze": _with("Squeeze", axis=_axes),
    "Transpose": _with("Transpose", axes=lambda node: list(node.attributes.get_ints("perm", ())) or None),
    "Unsqueeze": _with("ExpandDims", axis=_axes),
}  # fmt: skip
