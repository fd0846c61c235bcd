"""What ``Model.save`` has put into a file beside the graph."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import onnx_ir as ir

from onnxdl.errors import FormatError
from onnxdl.graph.dtypes import to_numpy
from onnxdl.graph.files import read_proto
from onnxdl.graph.imports import import_model
from onnxdl.io import training_info

Described = tuple[str, Any, tuple[int | str, ...]]
"""The name, the element type and the shape of an input."""


class Saved:
    """An .onnx file of any producer; what this library has not written into it is empty."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path, self._proto = os.fspath(path), read_proto(path)
        self.metadata = {p.key: p.value for p in self._proto.metadata_props}
        self.has_training = bool(self._proto.training_info)

    def graph(self) -> ir.Model:
        """The inference graph, ready to be traced."""
        return import_model(self._proto, self._path)

    def holds(self, model: ir.Model) -> bool:
        """Whether the file's graph is that of ``model``, node by node; weights may differ."""
        graphs = ir.to_proto(model).graph, self._proto.graph
        ours, theirs = ((list(g.node), [v.name for v in g.input], [v.name for v in g.output]) for g in graphs)
        return ours == theirs

    def weights(self) -> dict[str, np.ndarray]:
        """The initializers of the graph."""
        return {t.name: onnx.numpy_helper.to_array(t) for t in self._proto.graph.initializer}

    def state(self) -> dict[str, np.ndarray]:
        """The State of the training, parameters included."""
        return training_info.state_of(self._proto) if self.has_training else {}

    def step(self) -> ir.Model:
        """The train step."""
        return training_info.extract(self._proto)[0]

    def inputs(self) -> list[Described]:
        """The inputs of the graph."""
        return [_described(v) for v in self._proto.graph.input]

    def targets(self) -> list[Described]:
        """The targets of the train step.

        Raises:
            FormatError: the file names one that the step does not take.
        """
        algorithm = self._proto.training_info[0].algorithm
        names: list[str] = next((p.value.split("\n") for p in algorithm.metadata_props if p.key == "onnxdl.targets"), [])
        found = {training_info.plain(v.name): v for v in algorithm.input}
        if missing := [name for name in names if name not in found]:
            raise FormatError(f"{self._path} names a target {missing[0]!r} that its training does not take; it is damaged")
        return [(name, *_described(found[name])[1:]) for name in names]


def _described(value: onnx.ValueInfoProto) -> Described:
    kind = value.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else training_info.plain(d.dim_param) for d in kind.shape.dim)
    return value.name, to_numpy(ir.DataType(kind.elem_type)), shape
