"""The share of training time that is spent outside ONNX Runtime: ``python tests/benchmarks/outside_step.py``.

Fits the digits ConvNet on arrays in memory and prints, for each batch size, the median time of a step, the part of it that
``run_with_iobinding`` takes, and the rest: gathering the batch, checking and binding it, counting the loss, the loop itself.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from typing import Any

import onnxdl as ox
from onnxdl.models import digits


class Timed:
    """An ONNX Runtime session that notes when each run began and ended."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.runs: list[tuple[float, float]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def run_with_iobinding(self, binding: Any) -> None:
        begun = time.perf_counter()
        self.session.run_with_iobinding(binding)
        self.runs.append((begun, time.perf_counter()))

    def steps(self) -> Iterator[tuple[float, float]]:
        """For each step but the first, from the end of the run before to the end of its own: seconds outside, and inside."""
        for (_, before), (begun, ended) in zip(self.runs, self.runs[1:], strict=False):
            yield begun - before, ended - begun


def measure(batch_size: int, epochs: int, device: str | None) -> tuple[float, float, float]:
    """Median seconds of a step outside ONNX Runtime and inside, and the share of the whole fit outside, epochs' ends included."""
    (x, y), _ = digits.data()
    ox.set_seed(0)
    model = digits.build()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], device=device)
    model.fit(x, y, batch_size, 1, verbose=0)
    step = model.train_step().session
    step.session = timed = Timed(step.session)
    begun = time.perf_counter()
    model.fit(x, y, batch_size, epochs, verbose=0)
    whole = time.perf_counter() - begun
    outside, inside = (statistics.median(part) for part in zip(*timed.steps(), strict=True))
    return outside, inside, 1 - sum(ended - start for start, ended in timed.runs) / whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--device", default=None)
    options = parser.parse_args()
    for batch_size in (32, 128, 512):
        outside, inside, share = measure(batch_size, options.epochs, options.device)
        print(
            f"batch {batch_size}: step {1e3 * (outside + inside):.2f} ms, outside ONNX Runtime {1e3 * outside:.3f} ms"
            f" = {100 * outside / (outside + inside):.1f}%, of the whole fit {100 * share:.1f}%"
        )


if __name__ == "__main__":
    main()
