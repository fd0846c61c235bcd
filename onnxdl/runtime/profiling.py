"""Where the time of a session goes: ONNX Runtime's own profiler, read node by node."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from onnxdl.runtime.sessions import create_session


class NodeTime(NamedTuple):
    """A node as it ran: its name, which is that of the graph unless the runtime fused or added it, and its seconds a run.

    The seconds of a loop or branch are those that its body's nodes did not take. ``bytes`` is the size of its inputs and outputs.
    """

    name: str
    op_type: str
    seconds: float
    bytes: int = 0


_KERNEL = "_kernel_time"
_AROUND = {"Scan", "Loop", "If"}
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
    ran = sorted((e for e in events if e.get("cat") == "Node" and e["name"].endswith(_KERNEL)), key=lambda e: (e["ts"], -e["dur"]))
    durations: dict[str, list[float]] = {}
    for event, own in zip(ran, _own_times(ran), strict=True):
        durations.setdefault(event["name"], []).append(own / 1e6)
    last = {event["name"]: event["args"] for event in ran}
    found = [
        NodeTime(n.removesuffix(_KERNEL), last[n]["op_name"], _of_one_run(d, WARM_UP + runs), _bytes(last[n]) * len(d) // (WARM_UP + runs))
        for n, d in durations.items()
    ]
    return sorted(found, key=lambda node: -node.seconds)


def _own_times(events: Sequence[Mapping[str, Any]]) -> list[float]:
    """The microseconds of each event less those of the events within it, of events in order of their beginning."""
    own, open_ = [float(event["dur"]) for event in events], list[int]()
    for i, event in enumerate(events):
        while open_ and events[open_[-1]]["ts"] + events[open_[-1]]["dur"] <= event["ts"]:
            open_.pop()
        if open_:
            own[open_[-1]] -= event["dur"]
        if event["args"]["op_name"] in _AROUND:
            open_.append(i)
    return own


def _bytes(event: Mapping[str, Any]) -> int:
    """What a node reads and writes; of a loop or branch nothing, since its body does."""
    sizes = ("activation_size", "parameter_size", "output_size")
    return 0 if event["op_name"] in _AROUND else sum(int(event.get(size, 0)) for size in sizes)


def _of_one_run(durations: Sequence[float], runs: int) -> float:
    """The median over the runs but the first; within a loop a node runs many times a run."""
    sums = [sum(part) for part in np.array_split(np.array(durations), min(runs, len(durations)))]
    return float(statistics.median(sums[WARM_UP:] or sums))
