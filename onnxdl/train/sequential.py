"""Sequential: a stack of layers, each fed by the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from onnxdl.config import deserialize, serialize
from onnxdl.errors import TrainingError
from onnxdl.graph.tensor import Tensor
from onnxdl.nn.core import InputLayer
from onnxdl.nn.layer import Layer
from onnxdl.nn.symbolic import Input
from onnxdl.train.architecture import describe_input
from onnxdl.train.composition import Composition, name_layers, placeholder
from onnxdl.train.matching import spec_of
from onnxdl.train.model import Model
from onnxdl.train.step import Spec


class Sequential(Model):
    """Layers in a row. An ``Input`` or ``InputLayer`` may stand first; without one, the shape comes with the first data.

    Args:
        layers: the layers, more of which ``add`` appends.
        name: the model's name.
    """

    def __init__(self, layers: Sequence[Layer | Tensor] | None = None, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self._layers: list[Layer] = []
        self._results: list[Any] = []
        for layer in layers or ():
            self._append(layer)
        self._respecify()

    def add(self, layer: Layer | Tensor) -> None:
        """Appends a layer."""
        self._append(layer)
        self._respecify()

    def pop(self) -> Layer:
        """Takes the last layer off, and returns it."""
        if not self._layers:
            raise TrainingError("there is no layer to take off")
        layer = self._layers.pop()
        self._results = self._results[: len(self._layers)]
        self._respecify()
        return layer

    def _append(self, layer: Layer | Tensor) -> None:
        if isinstance(layer, Tensor | InputLayer):
            if self._layers or self._inputs is not None:
                raise TrainingError("an Input stands first in a Sequential, and there is one only")
            self._inputs = layer.output if isinstance(layer, InputLayer) else layer
            return
        if not isinstance(layer, Layer):
            raise TrainingError(f"a Sequential is made of layers, not of {layer!r}; nn.Lambda makes a function one")
        if not self._layers and self._inputs is None:
            self._inputs = _input_of(layer)
        self._layers.append(layer)
        name_layers(self._layers)

    def _respecify(self) -> None:
        self.programs.clear()
        specs = self.input_specs or ([spec_of(self._inputs, 0)] if self._inputs is not None else [])
        if specs and self._layers:
            self._specify(specs)

    def _specify(self, specs: Sequence[Spec]) -> None:
        """Calls the layers that are new on symbolic tensors too, so that each knows its input and output."""
        if len(specs) == 1:
            if self._inputs is None:
                self._inputs = placeholder(*specs[0])
            for layer in self._layers[len(self._results) :]:
                self._results.append(layer(self._results[-1] if self._results else self._inputs))
            self._outputs = self._results[-1]
        super()._specify(specs)

    def get_config(self) -> dict[str, Any]:
        """The layers and the input, as plain data."""
        first = describe_input(self._inputs) if self._inputs is not None else None
        return {"name": self.name, "input": first, "layers": [serialize(layer) for layer in self._layers]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The model of a configuration, with weights of its own."""
        first = [placeholder(**config["input"])] if config.get("input") else []
        return cls([*first, *(deserialize(layer) for layer in config["layers"])], name=config["name"])

    @property
    def layers(self) -> list[Layer]:
        """Its layers, without the one that stands for its input."""
        return list(self._layers)

    def call(self, x: Any) -> Any:
        for layer in self._layers:
            x = layer(x)
        return x


def _input_of(first: Layer) -> Tensor | None:
    """The input that a first layer says it has."""
    if first.batch_input_shape is not None:
        return Input(batch_shape=first.batch_input_shape)
    if isinstance(first, Composition) and isinstance(first._inputs, Tensor):
        t = first._inputs
        return Input(batch_shape=t.shape, dtype=t.dtype, name=t.name)
    return None
