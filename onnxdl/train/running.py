"""What a pass over the data has seen so far: its mean loss, and its metrics."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from onnxdl.runtime.cells import Results


class Mean:
    """The mean loss over the samples so far."""

    def __init__(self, total: float = 0.0, samples: int = 0) -> None:
        self.total, self.samples = total, samples

    def add(self, results: Results, samples: int) -> None:
        """Counts a step."""
        self.total += results["loss"] * samples
        self.samples += samples

    @property
    def value(self) -> float:
        """The mean."""
        return self.total / max(self.samples, 1)


def samples_of(batch: Mapping[str, np.ndarray]) -> int:
    """The number of samples of a batch."""
    return len(next(iter(batch.values())))


def logs_of(mean: Mean, results: Results | None) -> dict[str, float]:
    """The mean loss, and the metrics as the last step left them."""
    return {"loss": mean.value, **({} if results is None else metrics_of(results))}


def metrics_of(results: Results) -> dict[str, float]:
    """What a step gave beside the loss."""
    return {name: results[name] for name in results if name != "loss"}
