"""Where the time of a session goes: ONNX Runtime's own profiler, read node by node."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from onnxdl.runtime.sessions import create_session


class NodeTime(NamedTuple):
    """A node as it ran: its name, which is that of the graph unless the runtime fused or added it, and its seconds a run."""

    name: str
    op_type: str
    seconds: float


_KERNEL = "_kernel_time"
WARM_UP = 2


def node_times(model: bytes | str, run: Callable[[Any], object], runs: int, *, device: str = "cpu", threads: int = 0) -> list[NodeTime]:
    """The time of every node of a model, the median of ``runs`` runs after two to warm up.

    Args:
        model: the serialized model, or a path.
        run: runs a session once.
        runs: how often.
        device, threads: as for ``create_session``.
    """
    with tempfile.TemporaryDirectory() as folder:
        session = create_session(model, device=device, threads=threads, profile=str(Path(folder) / "profile"))
        for _ in range(WARM_UP + runs):
            run(session)
        events = json.loads(Path(session.end_profiling()).read_text())
    durations: dict[str, list[float]] = {}
    kinds: dict[str, str] = {}
    for event in sorted((e for e in events if e.get("cat") == "Node" and e["name"].endswith(_KERNEL)), key=lambda e: e["ts"]):
        durations.setdefault(event["name"], []).append(event["dur"] / 1e6)
        kinds[event["name"]] = event["args"]["op_name"]
    found = [NodeTime(n.removesuffix(_KERNEL), kinds[n], _of_one_run(d, WARM_UP + runs)) for n, d in durations.items()]
    return sorted(found, key=lambda node: -node.seconds)


def _of_one_run(durations: Sequence[float], runs: int) -> float:
    """The median over the runs but the first; within a loop a node runs many times a run."""
    sums = [sum(part) for part in np.array_split(np.array(durations), min(runs, len(durations)))]
    return float(statistics.median(sums[WARM_UP:] or sums))
