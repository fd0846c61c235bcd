"""One contestant in a process of its own: ``python -m tests.benchmarks.process ROW CONTESTANT THREADS STARTED WEIGHTS``.

It makes itself ready, runs one step, says so in a line of JSON, and then waits for orders: ``train N`` or ``predict N`` runs
that many and answers with their wall and CPU times; an empty line ends it.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import ort_training
from tests.benchmarks.contestants import contestant
from tests.benchmarks.rows import ROWS


def timed(call: Callable[[], Any], n: int) -> dict[str, float]:
    """The median seconds a call of the wall clock, and the mean of the CPU's."""
    wall, cpu = [], time.process_time()
    for _ in range(n):
        begun = time.perf_counter()
        call()
        wall.append(time.perf_counter() - begun)
    return {"wall": statistics.median(wall), "cpu": (time.process_time() - cpu) / n}


def main() -> None:
    key, name, threads, started, file = sys.argv[1:]
    path = Path(file)
    weights = dict(np.load(path)) if path.exists() else None
    make = partial(ort_training.ready, path.with_suffix(".onnx")) if name == ort_training.NAME else contestant(name, key)
    ready = make(ROWS[key], weights, int(threads))
    if "weights" in ready.facts:
        np.savez(path, **ready.facts.pop("weights"))
    del weights  # what only the comparison needs is not a contestant's memory
    result = ready.train()
    loss = float(result["loss"]) if isinstance(result, Mapping) and "loss" in result else None
    facts: dict[str, Any] = {**ready.facts, "first_step": time.time() - float(started), "loss": loss, "predicts": ready.predict is not None}
    print(json.dumps(facts), flush=True)
    for order in sys.stdin:
        if not order.strip():
            break
        what, n = order.split()
        call = ready.train if what == "train" else ready.predict
        assert call is not None
        print(json.dumps(timed(call, int(n))), flush=True)
    end: dict[str, Any] = {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    if ready.profile is not None:  # last, for it makes a session of its own
        nodes = ready.profile()
        end |= {"nodes": len(nodes), "bytes": sum(node.bytes for node in nodes)}
    print(json.dumps(end), flush=True)


if __name__ == "__main__":
    main()
