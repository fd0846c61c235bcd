"""Nested and whole models from their configurations: Sequential, and the graphs of functional ones, of Keras 2 and 3.

A functional configuration lists, for each layer, its calls: of Keras 3 ``{"args", "kwargs"}`` with tensors among them, of Keras 2
``[["layer", call, output, keywords], ...]``. A tensor is named by the layer that gives it, which of its calls, and which output.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from onnxdl import nn
from onnxdl.converters.keras.config import WRONG, Reader, check_size
from onnxdl.errors import OnnxdlError
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.core import InputLayer
from onnxdl.nn.layer import Layer
from onnxdl.nn.structure import tensors_in
from onnxdl.nn.symbolic import Input
from onnxdl.train.composition import Composition
from onnxdl.train.model import Model
from onnxdl.train.sequential import Sequential


class _Waiting(Exception):  # not an error: the call's inputs are not there yet
    """A call needs a tensor that has not been made."""


def model_of(reader: Reader, config: dict[str, Any]) -> Model:
    """A Sequential or functional model."""
    inner = config["config"]
    if isinstance(inner, list):  # Keras 2.0 and 1: a Sequential's layers alone
        inner = {"name": None, "layers": inner}
    if not isinstance(inner, dict) or not isinstance(inner.get("layers"), list):
        raise reader.archive.damaged(f"the configuration of a {config['class_name']} lists no layers")
    user = reader.user_class(config)
    if "input_layers" not in inner:
        return _sequential(reader, inner, user or Sequential)
    return _Graph(reader, inner, "module" in config or _modern(inner)).model(user or Model)


def _modern(config: Mapping[str, Any]) -> bool:
    nodes = [n for each in config["layers"] if isinstance(each, dict) for n in each.get("inbound_nodes") or ()]
    return any(isinstance(n, dict) and "args" in n for n in nodes)


def _sequential(reader: Reader, config: dict[str, Any], cls: Callable[..., Model]) -> Model:
    layers: list[Any] = [_made(reader, each) for each in config["layers"]]
    shape = config.get("build_input_shape")
    first = layers[0] if layers else None
    if isinstance(shape, list) and first is not None and not isinstance(first, InputLayer) and first.batch_input_shape is None:
        layers.insert(0, Input(batch_shape=check_size(reader.archive, "the model's input", shape)))
    return reader.attempt(f"the model {config.get('name')!r}", lambda: cls(layers, name=config.get("name")))  # type: ignore[no-any-return]


def _made(reader: Reader, config: Any) -> Layer:
    """A layer, or the Input that an InputLayer stands for."""
    inner = config.get("config") if isinstance(config, dict) else None
    if isinstance(inner, dict):
        shape = inner.get("batch_shape") or inner.get("batch_input_shape")
        if config.get("class_name") == "InputLayer":
            return _input_layer(reader, inner, shape)
        if shape is not None:
            layer = reader.layer(config)
            layer.batch_input_shape = tuple(check_size(reader.archive, f"the input of {inner.get('name')!r}", shape))
            return layer
    return reader.layer(config)


def _input_layer(reader: Reader, config: dict[str, Any], shape: Any) -> InputLayer:
    where = f"the input {config.get('name')!r}"
    for option in ("sparse", "ragged", "optional"):
        if config.get(option):
            raise reader.archive.unsupported(f"{where} has {option}=True, which is not supported; save the model with a dense input")
    if config.get("dtype") == "string":
        raise reader.archive.unsupported(f"{where} takes strings, which no network here does; save the model behind its text preprocessing")
    sizes = check_size(reader.archive, where, shape)
    dtype = reader.dtype(config.get("dtype"), where)
    return reader.attempt(where, lambda: InputLayer(batch_shape=sizes, dtype=dtype, name=config.get("name")))  # type: ignore[no-any-return]


class _Graph:
    """A functional model being made, call by call."""

    def __init__(self, reader: Reader, config: dict[str, Any], modern: bool) -> None:
        self.reader, self.config, self.modern = reader, config, modern
        self.layers: dict[str, Layer] = {}
        self.results: dict[str, list[list[Tensor]]] = {}
        self.calls: dict[str, list[Any]] = {}
        self._moved = False  # whether any call was made since it was last asked

    def model(self, cls: Callable[..., Model]) -> Model:
        for each in self.config["layers"]:
            self._add(each)
        self._call_all()
        inputs = self._ends("input_layers")
        outputs = self._ends("output_layers")
        name = self.config.get("name")
        known = ("layers", "input_layers", "output_layers", "name", "trainable", "dtype")
        rest = {} if cls is Model else {k: self.reader.plain(v, f"the model {name!r}") for k, v in self.config.items() if k not in known}
        model: Model = self.reader.attempt(f"the model {name!r}", lambda: cls(inputs=inputs, outputs=outputs, name=name, **rest))
        self._in_order_of_file(model)
        return model

    def _add(self, config: Any) -> None:
        name = config.get("name") or (config.get("config") or {}).get("name") if isinstance(config, dict) else None
        nodes = config.get("inbound_nodes") if isinstance(config, dict) else None
        if not isinstance(name, str) or not isinstance(nodes, list) or name in self.layers:
            raise self.reader.archive.damaged("a layer of its graph has no name of its own, or no inbound_nodes")
        layer = _made(self.reader, config)
        layer.name = name
        self.layers[name], self.calls[name] = layer, nodes
        self.results[name] = [tensors_in(layer.output)] if isinstance(layer, InputLayer) else []

    def _call_all(self) -> None:
        """Makes the calls whose inputs are there, until all are made."""
        waiting = [name for name, layer in self.layers.items() if not isinstance(layer, InputLayer)]
        while waiting:
            self._moved = False
            left = [name for name in waiting if not self._call(name)]
            if left == waiting and not self._moved:
                raise self.reader.archive.damaged(f"its graph has a loop or a loose end at the layers {', '.join(left[:5])}")
            waiting = left

    def _call(self, name: str) -> bool:
        """Makes a layer's calls in order; False if one has to wait."""
        layer, nodes = self.layers[name], self.calls[name]
        for node in nodes[len(self.results[name]) :]:
            try:
                args, kwargs = self._arguments(node)
            except _Waiting:
                return False
            except OnnxdlError:
                raise
            except WRONG as e:
                raise self.reader.archive.damaged(f"a call of the layer {name!r} cannot be understood ({type(e).__name__}: {e})") from e
            self._moved = True
            where = f"the layer {name!r} ({type(layer).__name__})"
            result = self.reader.attempt(where, partial(self._result, layer, args, kwargs, where))
            self.results[name].append(_flat(result))
        return True

    def _result(self, layer: Layer, args: list[Any], kwargs: dict[str, Any], where: str) -> Any:
        """One call, with the keywords that our layer has."""
        takes = inspect.signature(layer.call).parameters
        if isinstance(layer, nn.RNN | nn.Bidirectional) and args and isinstance(args[0], list) and len(args[0]) > 1:
            args, kwargs = [args[0][0], *args[1:]], {**kwargs, "initial_state": args[0][1:]}  # Keras 2 puts the states beside the input
        training = kwargs.pop("training", None)
        training = None if self.modern else training  # Keras 3 notes what was so while the model was made, and passes over it
        open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in takes.values())
        for option in [k for k in kwargs if k not in takes and not open_ended]:
            value = kwargs.pop(option)
            if value is not None and option != "mask":
                raise self.reader.archive.unsupported(f"{where} is called with {option}={value!r}, which is not supported")
        kwargs = {k: v for k, v in kwargs.items() if v is not None}
        return layer(*args, training=training, **kwargs)

    # ---- tensors ------------------------------------------------------------------------------------------------

    def _arguments(self, node: Any) -> tuple[list[Any], dict[str, Any]]:
        if isinstance(node, dict) and "args" in node:
            return [self._modern_value(a) for a in node["args"]], {k: self._modern_value(v) for k, v in (node.get("kwargs") or {}).items()}
        if isinstance(node, dict):
            return [{k: self._old_value(v) for k, v in node.items()}], {}
        if not isinstance(node, list):
            raise self.reader.archive.damaged("a call of its graph is neither a list nor an object")
        if _is_reference(node):
            node = [node]
        kwargs: dict[str, Any] = {}
        inputs = []
        for each in node:
            if _is_reference(each) and len(each) == 4:
                kwargs.update({k: self._old_value(v) for k, v in (each[3] or {}).items()})
            inputs.append(self._old_value(each))
        return inputs if len(inputs) == 1 else [inputs], kwargs

    def _modern_value(self, value: Any) -> Any:
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            history = (value.get("config") or {}).get("keras_history")
            if not isinstance(history, list) or len(history) != 3:
                raise self.reader.archive.damaged("a tensor of its graph names no layer")
            return self._tensor(history, 0)
        if isinstance(value, list):
            return [self._modern_value(v) for v in value]
        if isinstance(value, dict) and "class_name" not in value:
            return {k: self._modern_value(v) for k, v in value.items()}
        return self.reader.plain(value, "a call")

    def _old_value(self, value: Any) -> Any:
        if _is_reference(value):
            if value[0] == "_CONSTANT_VALUE":
                return self.reader.plain(value[2], "a call")
            return self._tensor(value[:3], None)
        if isinstance(value, list):
            return [self._old_value(v) for v in value]
        if isinstance(value, dict) and "class_name" not in value:
            return {k: self._old_value(v) for k, v in value.items()}
        return self.reader.plain(value, "a call")

    def _tensor(self, history: list[Any], shift: int | None) -> Tensor:
        """The tensor of a reference; nested models have a call of their own before those of the graph, which ``shift`` passes over."""
        name, call, output = history
        if name not in self.layers:
            raise self.reader.archive.damaged(f"its graph needs the layer {name!r}, which it lacks")
        layer, made = self.layers[name], self.results[name]
        if shift is None:
            shift = _shift(layer)
        total = max(len(self.calls[name]), 1)
        call = call - shift if 0 <= call - shift < total else call
        if not 0 <= call < total:
            raise self.reader.archive.damaged(f"its graph needs call {history[1]} of the layer {name!r}, which has {total}")
        if call >= len(made):
            raise _Waiting
        if not 0 <= output < len(made[call]):
            raise self.reader.archive.damaged(f"its graph needs output {output} of the layer {name!r}, which has {len(made[call])}")
        found: Tensor = made[call][output]
        return found

    def _ends(self, which: str) -> Any:
        """The model's inputs or outputs, in the structure that the file gives them."""

        def end(tree: Any) -> Any:
            if _is_reference(tree):
                layer = self.layers.get(tree[0])
                return self._tensor(tree[:3], _shift(layer) if layer is not None else 0)
            if isinstance(tree, dict):
                return {k: end(v) for k, v in tree.items()}
            if isinstance(tree, list):
                return [end(v) for v in tree]
            raise self.reader.archive.damaged(f"its {which} are no tensors")

        try:
            found = end(self.config.get(which))
        except _Waiting as e:
            raise self.reader.archive.damaged(f"its {which} are never made") from e
        return found[0] if not self.modern and isinstance(found, list) and len(found) == 1 else found

    def _in_order_of_file(self, model: Model) -> None:
        """Layers in the order of the file, which counts for weights; those that no output needs are kept out."""
        known = {id(each) for each in model._layers or ()}
        model._layers = [each for each in self.layers.values() if id(each) in known]
        model.keras_ordered = True  # type: ignore[attr-defined]


def _shift(layer: Layer) -> int:
    return int(isinstance(layer, Composition) and layer._inputs is not None)


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and (isinstance(value[2], int) or value[0] == "_CONSTANT_VALUE")
        and (len(value) == 3 or value[3] is None or isinstance(value[3], dict))
    )


def _flat(result: Any) -> list[Tensor]:
    """All tensors of a result, those of a dict in the order of its sorted keys, as Keras counts them."""
    if isinstance(result, dict):
        return [t for k in sorted(result) for t in _flat(result[k])]
    if isinstance(result, list | tuple):
        return [t for each in result for t in _flat(each)]
    return tensors_in(result)
