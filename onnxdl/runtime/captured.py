"""A step of one shape on CUDA, its kernels recorded once and replayed together as a CUDA graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxdl.errors import RuntimeFailure
from onnxdl.runtime.cells import Cell, StepSession
from onnxdl.runtime.sessions import load_onnxruntime

if TYPE_CHECKING:
    import onnxruntime as ort


class CapturedSession(StepSession):
    """A StepSession that ONNX Runtime records and replays; every size in the step is known, and it has no loops.

    A recording holds addresses. So each batch is copied into buffers that stay, and results out of such; and each way the cells lie
    has a recording of its own, in plain training two that take turns. ONNX Runtime runs a step twice to record it, which does no
    harm: the step does not write what it reads.

    Args:
        model: the serialized step, for batches of one shape.
        cells: the State by the step's names.
        device: ``cuda``; on ``cpu`` the same runs without a recording.

    Raises:
        RuntimeFailure: a part of the step would not run on CUDA, or the size of a result is not known.
    """

    def __init__(self, model: bytes, cells: Mapping[str, Cell], *, device: str = "cuda") -> None:
        super().__init__(model, cells, device=device, capture=True)
        self._batch: dict[str, ort.OrtValue] = {}
        self._results: dict[str, ort.OrtValue] = {}
        self._options: list[Any] = []
        ort = load_onnxruntime()
        for name, fixed in self._returned.items():
            if fixed is None:
                raise RuntimeFailure(f"the size of the result {name!r} is not known before the step runs")
            self._results[name] = ort.OrtValue.ortvalue_from_shape_and_type(*fixed, device, 0)

    def _step(self, binding: Any, batch: Mapping[str, np.ndarray]) -> dict[str, ort.OrtValue]:
        ort = load_onnxruntime()
        for name in self.inputs:
            if name in self._batch:
                self._batch[name].update_inplace(batch[name])
            else:
                self._batch[name] = ort.OrtValue.ortvalue_from_numpy(np.array(batch[name]), self.device, 0)
        number = list(self._bindings.values()).index(binding)
        if number == len(self._options):
            self._bind(binding, number)
        self._run(binding, self._options[number])
        return {name: ort.OrtValue.ortvalue_from_numpy(np.array(value.numpy())) for name, value in self._results.items()}

    def _bind(self, binding: Any, number: int) -> None:
        """Ties the batch and the results to a new binding, and gives it a recording."""
        for name, value in self._batch.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in self._results.items():
            binding.bind_ortvalue_output(name, value)
        self._options.append(load_onnxruntime().RunOptions())
        self._options[number].add_run_config_entry("gpu_graph_id", str(number + 1))
