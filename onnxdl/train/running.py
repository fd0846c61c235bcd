"""What a pass over the data has seen so far: its mean loss, and its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from onnxdl.graph.dtypes import is_float, to_ir
from onnxdl.runtime.cells import Results

if TYPE_CHECKING:
    from onnxdl.train.model import Model

_SETTLE_EVERY = 64


class Mean:
    """The mean loss over the samples so far; values are read from the device only when it is asked for."""

    def __init__(self, total: float = 0.0, samples: int = 0) -> None:
        self._total, self._samples = total, samples
        self._pending: list[tuple[Results, int]] = []

    def add(self, results: Results, samples: int) -> None:
        """Counts a step."""
        self._pending.append((results, samples))
        if len(self._pending) >= _SETTLE_EVERY:
            self.settle()

    def settle(self) -> tuple[float, int]:
        """The sum over samples, and their number."""
        for results, samples in self._pending:
            self._total += results["loss"] * samples
            self._samples += samples
        self._pending.clear()
        return self._total, self._samples

    @property
    def value(self) -> float:
        """The mean."""
        total, samples = self.settle()
        return total / max(samples, 1)


def bad_numbers(model: Model) -> str:
    """Where numbers went bad: the step, and the first weight, or else the first of the optimizer's entries, that is not finite."""
    state = model.state
    entries = [*(name for name, _ in model.named_parameters()), *(name for name in state if name.startswith("optimizer."))]
    bad = (n for n in entries if n in state and is_float(to_ir(state[n].dtype)) and not np.isfinite(state[n].astype(np.float32)).all())
    first = next(bad, None)
    found = f"the first weight that is not finite is {first}" if first else "its weights are all finite"
    return f"(step {int(state['step'])}): {found}"


def samples_of(batch: Mapping[str, np.ndarray]) -> int:
    """The number of samples of a batch."""
    return len(next(iter(batch.values())))


def logs_of(mean: Mean, results: Results | None) -> dict[str, float]:
    """The mean loss, and the metrics as the last step left them."""
    return {"loss": mean.value, **({} if results is None else metrics_of(results))}


def metrics_of(results: Results) -> dict[str, float]:
    """What a step gave beside the loss."""
    return {name: results[name] for name in results if name != "loss"}
