"""Sequential: a stack of layers, each fed by the one before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxdl.graph.tensor import Tensor
from onnxdl.nn.layer import Layer
from onnxdl.train.matching import spec_of
from onnxdl.train.model import Model
from onnxdl.train.network import name_layers


class Sequential(Model):
    """Layers in a row. An ``Input`` may stand first; without one, the shape comes with the first data.

    Args:
        layers: the layers, more of which ``add`` appends.
        name: the model's name.
    """

    def __init__(self, layers: Sequence[Layer | Tensor] = (), name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.layers: list[Layer] = []
        self._input: Tensor | None = None
        for layer in layers:
            self._append(layer)
        self._respecify()

    def add(self, layer: Layer | Tensor) -> None:
        """Appends a layer."""
        self._append(layer)
        self._respecify()

    def _append(self, layer: Layer | Tensor) -> None:
        if isinstance(layer, Tensor):
            self._input = layer
            return
        self.layers.append(layer)
        name_layers(self.layers)

    def _respecify(self) -> None:
        self.programs.clear()
        specs = self.input_specs or ([spec_of(self._input, 0)] if self._input is not None else [])
        if specs and self.layers:
            self._specify(specs)

    def call(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x
