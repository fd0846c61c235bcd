"""Our layers and models as Keras's configurations.

Whatever Keras cannot hold is refused by name. Layers of the user's own are written by their ``get_config`` under a registered
name, ``registered_name`` of their class or ``Custom>`` and the class's, which a Keras program has to register too.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxdl import nn
from onnxdl.converters.keras import expressions, other_layers
from onnxdl.converters.keras.layers import ENTRIES
from onnxdl.converters.keras.ordering import flat, graph_nodes, operation_of, ordered_operations
from onnxdl.errors import ConversionError
from onnxdl.graph.tensor import Tensor
from onnxdl.names import snake_case
from onnxdl.nn import activations, constraints, initializers, regularizers
from onnxdl.nn.imported import Imported
from onnxdl.nn.layer import Layer
from onnxdl.nn.symbolic import DOMAIN, Call
from onnxdl.train.matching import spec_of
from onnxdl.train.model import Model
from onnxdl.train.sequential import Sequential

_INPUT_OPTIONS = ("input_shape", "input_dim", "batch_input_shape")
_OURS = {"Embedding": ("sparse",), "ReversibleEmbedding": ("sparse",)}
"""Arguments of ours that change nothing that is computed, and that Keras does not have."""
_EXPORTED = {"GroupedQueryAttention": "GroupQueryAttention"}
"""Classes that Keras exports under another name than their own."""
_ELSEWHERE = {
    "LayerScale": "keras.src.applications.convnext",
    "StochasticDepth": "keras.src.applications.convnext",
    "CustomScaleLayer": "keras.src.applications.inception_resnet_v2",
}
_OBJECTS = {
    initializers.Initializer: ("initializers", initializers),
    regularizers.Regularizer: ("regularizers", regularizers),
    constraints.Constraint: ("constraints", constraints),
}


def model_config(model: Model) -> dict[str, Any]:
    """A model as Keras 3 writes it: ``module``, ``class_name``, ``config`` and ``registered_name``.

    Raises:
        ConversionError: it holds what Keras has no equal of; all such layers are named at once.
    """
    refused = list(dict.fromkeys(_refusals(model)))
    if refused:
        raise ConversionError(f"this model cannot be a Keras file: {'; '.join(refused)}")
    return layer_config(model)


def _refusals(model: Model) -> list[str]:
    found = []
    for layer in model.layers_below():
        name = f"{layer.name!r} ({type(layer).__name__})"
        if isinstance(layer, Imported):
            found.append(
                f"{name} is an ONNX graph, not layers: export it as onnx, or build its architecture of layers and load the weights"
            )
        elif isinstance(layer, nn.Lambda):
            found.append(f"{name} holds a Python function: make it a subclass of nn.Layer, and register one of that name in Keras")
        elif isinstance(layer, Model) and type(layer) in (Model, Sequential) and layer._inputs is None:
            found.append(f"{name} does not know its input: put an ox.Input first, or call it with data")
        elif type(layer) is nn.Wrapper:
            found.append(f"{name} computes nothing in Keras: put its inner layer in its place")
        entry = ENTRIES.get(type(layer).__name__)
        if entry is not None and type(layer) is entry.layer:
            for option, value in entry.given.items():
                if getattr(layer, option) != value:
                    found.append(f"{name} has {option}={getattr(layer, option)!r}, which Keras's has not: make it with {value!r}")
    return found


def layer_config(layer: Layer) -> dict[str, Any]:
    """A layer or model as Keras 3 writes it."""
    if isinstance(layer, Sequential):
        return _entry("keras", "Sequential", _sequential_config(layer))
    if isinstance(layer, Model) and layer._inputs is not None:
        return {**_entry("keras.src.models.functional", "Functional", _functional_config(layer)), "registered_name": "Functional"}
    if getattr(layer, "keras_operation", False):
        return expressions.operation_config(layer)
    if isinstance(layer, nn.InputLayer):  # within a graph, where it passes on what it is given
        return _entry("keras.layers", "Identity", {"name": named(layer)})
    if getattr(nn, type(layer).__name__, None) is type(layer):
        name, ours = type(layer).__name__, ENTRIES[type(layer).__name__]
        return _entry("keras.layers", _EXPORTED.get(name, name), _options(layer, {*_OURS.get(name, ()), *ours.given}, ours.absent))
    if isinstance(layer, other_layers.ThresholdedReLU):  # Keras 3 has it as a setting of ReLU
        return _entry("keras.layers", "ReLU", {"threshold": layer.theta, "name": named(layer)})
    if type(layer).__name__ in _ELSEWHERE and getattr(other_layers, type(layer).__name__) is type(layer):
        return _entry(_ELSEWHERE[type(layer).__name__], type(layer).__name__, _options(layer, set(), {}))
    own = _registered(layer, {k: plain(v, layer) for k, v in layer.get_config().items() if k not in _INPUT_OPTIONS})
    return {**own, "build_config": _built_for(layer)} if isinstance(layer, Model) else own


def _built_for(model: Model) -> dict[str, Any]:
    """What a subclass's model is built for before its weights are read."""
    shapes = [[d if isinstance(d, int) else None for d in spec.shape] for spec in model.input_specs]
    return {"input_shape": shapes[0] if len(shapes) == 1 else shapes}


def _entry(module: str, name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def _registered(value: Any, config: dict[str, Any]) -> dict[str, Any]:
    """An object of the user's own class, which Keras finds by its registered name."""
    name = type(value).__name__
    registered = getattr(type(value), "registered_name", f"Custom>{name}")
    return {"module": None, "class_name": name, "config": config, "registered_name": registered}


def _options(layer: Layer, left_out: set[str], explicit: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a layer was made with, and those defaults that are others in Keras."""
    own = inspect.signature(type(layer).__init__).parameters
    left_out = {*left_out, *(option for option in _INPUT_OPTIONS if option not in own)}
    given = {k: v for k, v in layer.constructor_arguments().items() if k not in left_out}
    for option in ("data_format", *explicit):
        if hasattr(layer, option) and option not in left_out and given.get(option) is None:
            given[option] = getattr(layer, option)
    if isinstance(layer, nn.RNN) and "cell" in given:
        given["cell"] = layer.cell
    if isinstance(layer, nn.Discretization | nn.IntegerLookup):  # what adapt found
        adapted = "bin_boundaries" if isinstance(layer, nn.Discretization) else "vocabulary"
        given[adapted] = getattr(layer, adapted)
    return {**{k: plain(v, layer) for k, v in given.items()}, "name": named(layer), **_frozen(layer)}


def _frozen(layer: Layer) -> dict[str, bool]:
    """``trainable`` where it is False and matters: some layers without weights do not take it."""
    return {"trainable": False} if not layer._trainable and layer.weights else {}


def named(layer: Layer) -> str:
    """A layer's name as Keras allows it: without slashes."""
    return (layer.name or snake_case(type(layer).__name__)).replace("/", "_")


def plain(value: Any, layer: Layer) -> Any:
    """An argument as Keras writes it: objects with their module, functions as names, arrays as lists."""
    if isinstance(value, Layer):
        return layer_config(value)
    for base, (module, ours) in _OBJECTS.items():
        if isinstance(value, base):
            name, config = type(value).__name__, {k: plain(v, layer) for k, v in value.get_config().items()}
            if getattr(ours, name, None) is type(value):
                return _entry(f"keras.{module}", name, config)
            return _registered(value, config)
    if isinstance(value, FunctionType):
        named_here: Any = getattr(activations, value.__name__, None)
        if named_here is value:
            return value.__name__
        raise ConversionError(
            f"{layer.name!r} ({type(layer).__name__}) holds the function {value.__name__!r}, which a Keras 3 file cannot hold: "
            "write the model as onnx, or in the format that it came from"
        )
    if isinstance(value, Mapping):
        return {k: plain(v, layer) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v, layer) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, np.dtype | ir.DataType):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConversionError(f"{layer.name!r} ({type(layer).__name__}) was made with {value!r}, which a Keras file cannot hold")


# ---- models -----------------------------------------------------------------------------------------------------------


def input_config(t: Tensor, i: int) -> dict[str, Any]:
    """An ``Input`` as Keras's InputLayer."""
    return _entry(
        "keras.layers", "InputLayer", {"batch_shape": _shape(t), "dtype": t.dtype.name, "sparse": False, "name": _input_name(t, i)}
    )


def _input_name(t: Tensor, i: int) -> str:
    return spec_of(t, i).name.replace("/", "_").replace(":", "_")


def _shape(t: Tensor) -> list[int | None]:
    return [d if isinstance(d, int) else None for d in t.shape]


def _sequential_config(model: Sequential) -> dict[str, Any]:
    first = flat(model.input)[0]
    name = {"name": named(model), "trainable": True}
    layers = [input_config(first, 0), *(layer_config(layer) for layer in model._layers)]
    return {**name, "layers": layers, "build_input_shape": _shape(first)}


def _functional_config(model: Model) -> dict[str, Any]:
    """The graph: each layer with its calls, whose tensors are named by the layer that gives them, its call, its output."""
    inputs = {t.value: _input_name(t, i) for i, t in enumerate(flat_in_order(model.input))}
    operations = ordered_operations(model)
    names = expressions.operation_names([o for o in operations if isinstance(o, ir.Node)], _taken(operations, inputs))
    history: dict[ir.Value, list[Any]] = {value: [name, 0, 0] for value, name in inputs.items()}
    calls: dict[Any, list[ir.Node]] = {}
    for node in graph_nodes(model):
        operation = operation_of(node)
        mine = calls.setdefault(id(operation), [])
        name = names[node] if isinstance(operation, ir.Node) else named(operation)
        for i, value in enumerate(node.outputs):
            history[value] = [name, len(mine), _place(operation, i)]
        mine.append(node)
    layers = []
    for operation in operations:
        if isinstance(operation, ir.Value):
            i = list(inputs).index(operation)
            config = input_config(flat_in_order(model.input)[i], i)
        elif isinstance(operation, ir.Node):
            config = expressions.node_config(operation, names[operation])
        else:
            config = layer_config(operation)
        made = [_call(node, history) for node in calls.get(id(operation), ())]
        name = inputs[operation] if isinstance(operation, ir.Value) else config["config"]["name"]
        layers.append({**config, "name": name, "inbound_nodes": made})
    nested = {named(o) for o in operations if isinstance(o, Model) and not isinstance(o, Sequential) and o._inputs is not None}
    ends = {"input_layers": _ends(model.input, history, nested), "output_layers": _ends(model.output, history, nested)}
    return {"name": named(model), "trainable": model._trainable, "layers": layers, **ends}


def flat_in_order(tree: Any) -> list[Tensor]:
    """The tensors of a model's inputs, in the order of our specs."""
    from onnxdl.nn.structure import tensors_in

    return tensors_in(tree)


def _taken(operations: Sequence[Any], inputs: Mapping[ir.Value, str]) -> set[str]:
    return {*inputs.values(), *(named(o) for o in operations if isinstance(o, Layer))}


def _place(operation: Any, i: int) -> int:
    """The place of an output in Keras's order, which goes by sorted keys where a model gives a dict."""
    if not isinstance(operation, Model) or operation._outputs is None:
        return i
    ours = [id(t) for t in flat_in_order(operation._outputs)]
    return [id(t) for t in flat(operation._outputs)].index(ours[i])


def _ends(tree: Any, history: Mapping[ir.Value, list[Any]], nested: set[str]) -> Any:
    if isinstance(tree, Tensor):
        name, call, output = history[tree.value]
        return [name, call + (name in nested), output]
    if isinstance(tree, dict):
        return {k: _ends(v, history, nested) for k, v in tree.items()}
    return [_ends(v, history, nested) for v in tree]


def _call(node: ir.Node, history: Mapping[ir.Value, list[Any]]) -> dict[str, Any]:
    def written(tree: Any) -> Any:
        if isinstance(tree, Tensor):
            if tree.value.const_value is not None:
                return expressions.plain_value(tree.value.const_value.numpy())
            return {
                "class_name": "__keras_tensor__",
                "config": {"shape": _shape(tree), "dtype": tree.dtype.name, "keras_history": list(history[tree.value])},
            }
        if isinstance(tree, Mapping):
            return {k: written(v) for k, v in tree.items()}
        if isinstance(tree, list | tuple):
            return [written(v) for v in tree]
        return expressions.plain_value(tree)

    if node.domain != DOMAIN:
        args, kwargs = expressions.arguments(node)
        return {"args": [written(a) for a in args], "kwargs": written(kwargs)}
    call: Call = node.meta["call"]
    kwargs = {**call.kwargs, **({"training": call.training} if call.training is not None else {})}
    return {"args": [written(a) for a in expressions.without_ellipsis(call.layer, call.args)], "kwargs": written(kwargs)}
