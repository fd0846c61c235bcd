"""Composition: a Layer made of layers; what it begins with, what it ends with, and what lies between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from onnxdl.errors import ShapeError, TrainingError
from onnxdl.graph.dtypes import DTypeLike, to_ir
from onnxdl.graph.tensor import Tensor
from onnxdl.names import snake_case
from onnxdl.nn.core import InputLayer
from onnxdl.nn.layer import Layer
from onnxdl.nn.structure import map_tensors, tensors_in
from onnxdl.nn.symbolic import layers_between, replay
from onnxdl.train.matching import spec_of


class Composition(Layer):
    """Layers between inputs and outputs, which are known from symbolic calls, or from ``call`` of a subclass.

    Args:
        inputs: one ``Input``, or several as a list or a dict by name.
        outputs: what is computed from them.
        name: its name.
    """

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._inputs, self._outputs = inputs, outputs
        self._layers: list[Layer] | None = None
        self._starts: list[Layer] = []
        if inputs is not None:
            if outputs is None:
                raise TrainingError("a Model of inputs needs its outputs too: Model(inputs, outputs)")
            self._layers = layers_between(tensors_in(inputs), tensors_in(outputs))
            name_layers(self._layers)
            for i, t in enumerate(tensors_in(inputs)):
                self._starts.append(InputLayer(input_tensor=t, name=spec_of(t, i).name))

    def call(self, inputs: Any) -> Any:
        """The outputs for given inputs: in their order, or by name where they are a dict."""
        if self._inputs is None:
            raise TrainingError(f"{type(self).__name__} has neither inputs and outputs nor a call(self, x) of its own")
        wanted = tensors_in(self._inputs)
        if isinstance(inputs, dict) and isinstance(self._inputs, dict) and set(inputs) >= set(self._inputs):
            inputs = [inputs[name] for name in self._inputs]
        elif isinstance(inputs, dict) and len(inputs) == len(wanted) and {t.name for t in wanted} == set(inputs):
            inputs = [inputs[t.name] for t in wanted]
        values = tensors_in(inputs)
        if len(values) != len(wanted):
            raise ShapeError(f"the model takes {len(wanted)} inputs, not {len(values)}")
        return replay(wanted, self._outputs, values)

    def build(self, input_shape: Any) -> None:
        """Does nothing: the layers build themselves when they are called."""

    # ---- what it is made of -----------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """Its layers, in the order in which they were called; those that stand for its inputs come first."""
        if self._layers is not None:
            return [*self._starts, *self._layers]
        return [child for _, child in self.children()]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """One of its layers, by name or by its place."""
        layers = self.layers
        if (name is None) == (index is None):
            raise TrainingError("get_layer takes a name or an index")
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise TrainingError(f"there is no layer {index}: the model has {len(layers)}")
            return layers[index]
        found = [layer for layer in layers if layer.name == name]
        if not found:
            raise TrainingError(f"no layer is called {name!r}; the model has {', '.join(str(layer.name) for layer in layers)}")
        return found[0]

    @property
    def input(self) -> Any:
        """The symbolic inputs, as they were given."""
        return self._known(self._inputs, "inputs")

    @property
    def output(self) -> Any:
        """The symbolic outputs, as they were given."""
        return self._known(self._outputs, "outputs")

    def _known(self, tensors: Any, what: str) -> Any:
        if tensors is None:
            raise TrainingError(f"the {what} of {self!r} are not known: put an Input first, or make it with Model(inputs, outputs)")
        return tensors

    @property
    def inputs(self) -> list[Tensor]:
        """The symbolic inputs as a list."""
        return tensors_in(self.input)

    @property
    def outputs(self) -> list[Tensor]:
        """The symbolic outputs as a list."""
        return tensors_in(self.output)

    @property
    def input_shape(self) -> Any:
        """The shape of the input, or shapes in the structure of the inputs; None for a size that is not known."""
        return map_tensors(_shape, self.input)

    @property
    def output_shape(self) -> Any:
        """The shape of the output, or shapes in the structure of the outputs; None for a size that is not known."""
        return map_tensors(_shape, self.output)


def placeholder(name: str, dtype: ir.DataType | DTypeLike, shape: Sequence[int | str | None]) -> Tensor:
    """What ``Input`` makes, but with every dimension as given."""
    dims = [f"{name}_dim_{i}" if d is None else d for i, d in enumerate(shape)]
    kind = dtype if isinstance(dtype, ir.DataType) else to_ir(dtype)
    value = ir.Value(name=name, type=ir.TensorType(kind), shape=ir.Shape(dims))
    value.meta["symbolic"] = True
    return Tensor(value)


def _shape(t: Tensor) -> tuple[int | None, ...]:
    return tuple(d if isinstance(d, int) else None for d in t.shape)


def output_names(outputs: Any, taken: Sequence[str] = ()) -> list[str]:
    """Names for outputs: a dict's keys; several have those of the layers that give them; ``output`` for one alone."""
    tensors = tensors_in(outputs)
    if isinstance(outputs, dict) and len(tensors) == len(outputs):
        names = [str(key) for key in outputs]
    elif len(tensors) == 1:
        names = ["output"]
    else:
        names = [_layer_name(t) or f"output_{i}" for i, t in enumerate(tensors)]
    seen: set[str] = set()
    for i, name in enumerate(names):
        free, k = name, 0
        while free in seen or free in taken:
            k += 1
            free = f"{name}_{k}"
        seen.add(free)
        names[i] = free
    return names


def _layer_name(t: Tensor) -> str | None:
    node = t.value.producer()
    call = node.meta.get("call") if node is not None else None
    return call.layer.name if call is not None else None


def name_layers(layers: Sequence[Layer]) -> None:
    """Gives layers without a name one by their class, numbered where several share it: conv2d, conv2d_1, ..."""
    taken = {layer.name for layer in layers if layer.name is not None}
    for layer in layers:
        if layer.name is None:
            base = snake_case(type(layer).__name__)
            name, k = base, 0
            while name in taken:
                k += 1
                name = f"{base}_{k}"
            layer.name = name
            taken.add(name)
