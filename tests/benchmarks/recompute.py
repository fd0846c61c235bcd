"""Peak memory and time of a training step with ``ox.remat`` and without: ``python tests/benchmarks/recompute.py``.

Each measurement is a process of its own, and the two kinds alternate. Memory is the resident set's peak beyond what the process
held before the first step; time is the processor's, of the fastest of some steps, which other work on the machine disturbs least.
With as many segments as layers each ends with its convolution, whose value no gradient needs: only the cheap part is computed
again. Fewer segments keep less and compute the convolutions again too.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import onnxdl as ox
from onnxdl import nn, optim


def convolutions(depth: int, segments: int, mark: Callable[[Any], Any]) -> ox.Model:
    """``depth`` times batch normalization, ReLU and convolution, 32 channels wide."""

    def unit() -> list[nn.Layer]:
        return [nn.BatchNormalization(), nn.ReLU(), nn.Conv2D(32, 3, padding="same", use_bias=False)]

    blocks = [mark(ox.Sequential([layer for _ in range(depth // segments) for layer in unit()])) for _ in range(segments)]
    return ox.Sequential([ox.Input((3, 32, 32)), nn.Conv2D(32, 3, padding="same"), *blocks, *_head()])


class Residual(nn.Layer):
    """x + f(x), f twice ReLU and convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = [nn.ReLU(), nn.Conv2D(width, 3, padding="same"), nn.ReLU(), nn.Conv2D(width, 3, padding="same")]

    def call(self, x: Any) -> Any:
        y = x
        for layer in self.body:
            y = layer(y)
        return x + y


def residual(depth: int, segments: int, mark: Callable[[Any], Any]) -> ox.Model:
    """Residual blocks of two convolutions each, 32 channels wide."""
    blocks = [mark(ox.Sequential([Residual(32) for _ in range(depth // 2 // segments)])) for _ in range(segments)]
    return ox.Sequential([ox.Input((3, 32, 32)), nn.Conv2D(32, 3, padding="same"), *blocks, *_head()])


def _head() -> list[nn.Layer]:
    return [nn.AveragePooling2D(8), nn.Flatten(), nn.Dense(10, activation="softmax")]


NETS = {"convolutions": convolutions, "residual": residual}


def measure(net: str, depth: int, segments: int, batch: int, steps: int, *, remat: bool) -> dict[str, float]:
    """Megabytes and seconds of a step."""
    ox.set_seed(0)
    model = NETS[net](depth, segments, ox.remat if remat else lambda layer: layer)
    model.compile(optim.SGD(1e-2, momentum=0.9), "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(batch, 3, 32, 32)).astype(np.float32), rng.integers(0, 10, batch)
    model.train_on_batch(x[:1], y[:1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = []
    for _ in range(steps):
        begun = time.process_time()
        model.train_on_batch(x, y)
        times.append(time.process_time() - begun)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"megabytes": peak, "seconds": min(times)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", choices=NETS, default="convolutions")
    parser.add_argument("--depth", type=int, default=32)
    parser.add_argument("--segments", type=int, default=32)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", choices=["kept", "remat"], help="measure one kind, in this process")
    o = parser.parse_args()
    if o.one:
        print(json.dumps(measure(o.net, o.depth, o.segments, o.batch, o.steps, remat=o.one == "remat")))
        return
    found: dict[str, list[dict[str, float]]] = {"kept": [], "remat": []}
    for _ in range(o.rounds):
        for kind, results in found.items():
            command = [sys.executable, __file__, *sys.argv[1:], "--one", kind]
            results.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    print(f"{o.net}, depth {o.depth} in {o.segments} segments, batch {o.batch}:")
    for kind, results in found.items():
        memory, seconds = statistics.median(r["megabytes"] for r in results), min(r["seconds"] for r in results)
        print(f"  {kind:6} {memory:7.0f} MB {seconds:7.3f} s")


if __name__ == "__main__":
    main()
