"""Train steps on CUDA as CUDA graphs, where that can be."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from onnxdl.errors import GraphError, RuntimeFailure
from onnxdl.graph.passes.sizes import with_shapes
from onnxdl.graph.walk import bodies
from onnxdl.runtime import CapturedSession, StepSession
from onnxdl.runtime.cells import Cell, Results


class Replay:
    """Runs a train step: batches of the first one's shapes replay a CUDA graph, all others run on the ordinary session.

    A step with a loop or a branch has the ordinary session alone, and so has one that ONNX Runtime refuses to record, which is told.
    """

    def __init__(self, program: ir.Model, ordinary: StepSession, cells: Mapping[str, Cell]) -> None:
        self._program, self._ordinary, self._cells = program, ordinary, cells
        self._captured: CapturedSession | None = None
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._is_new = not any(bodies(node) for node in program.graph)

    def __call__(self, batch: Mapping[str, np.ndarray]) -> Results:
        """Runs one step."""
        shapes = {name: array.shape for name, array in batch.items()}
        if self._is_new:
            self._is_new, self._shapes = False, shapes
            try:
                step = ir.to_proto(with_shapes(self._program, shapes)).SerializeToString()
                self._captured = CapturedSession(step, self._cells, device=self._ordinary.device)
                return self._captured(batch)
            except (GraphError, RuntimeFailure) as error:
                self._captured = None
                warnings.warn(f"the train step runs without a CUDA graph: {error}", stacklevel=2)
        session = self._captured if self._captured is not None and shapes == self._shapes else self._ordinary
        return session(batch)
