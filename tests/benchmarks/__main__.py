"""How fast training is here, beside what a user would pick instead: ``python -m tests.benchmarks [--quick] [--readme]``.

Every contestant trains the same net from the same weights on the same batch with as many threads, in a process of its own;
the processes take turns, since two thread pools at once slow each other. Each turn gives one time and so one ratio; printed
are the medians. ``cpu`` is processor time, which a busy machine disturbs least, exact at ``--threads 1``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks import ort_training
from tests.benchmarks.contestants import contestants_of
from tests.benchmarks.report import picture, table, write_readme
from tests.benchmarks.rows import ROWS

RESULTS = Path(__file__).with_name("speed.json")


class Process:
    """A contestant's process, from its start to its end."""

    def __init__(self, key: str, name: str, threads: int, weights: Path, python: str) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "KERAS_BACKEND": "jax"}
        if threads == 1:
            environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        command = [python, "-m", "tests.benchmarks.process", key, name, str(threads), str(time.time()), str(weights)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.facts: dict[str, Any] = self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)  # type: ignore[no-any-return]
        assert self.process.stderr is not None
        raise ChildProcessError(self.process.stderr.read().strip().splitlines()[-1])

    def order(self, what: str, n: int) -> dict[str, float]:
        """Has it run something n times."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what} {n}\n")
        self.process.stdin.flush()
        return self._read()

    def end(self) -> dict[str, float]:
        """Ends it; its peak memory in bytes, and where it can tell the nodes of a step and the bytes that these read and write."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        facts = self._read()
        self.process.wait()
        return facts


def measure(key: str, names: list[str], threads: int, rounds: int, seconds: float, ort_python: str) -> dict[str, Any]:
    """All that is known of a row: for each contestant its facts, and for each round its times."""
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.npz"
        if ort_training.NAME in names:
            subprocess.run([sys.executable, "-m", ort_training.__name__, key, weights.with_suffix(".onnx")], check=True)
        running: dict[str, Process] = {}
        for name in names:
            try:
                running[name] = Process(key, name, threads, weights, ort_python if name == ort_training.NAME else sys.executable)
            except ChildProcessError as error:
                result[name] = {"failed": str(error)}
        for name, process in running.items():
            result[name] = {**process.facts, "train": [], "predict": []}
        for what in ("train", "predict"):
            able = {name: p for name, p in running.items() if what == "train" or p.facts["predicts"]}
            counts = {}
            for name, process in able.items():
                process.order(what, 2)
                counts[name] = max(2, min(400, round(seconds / max(process.order(what, 2)["wall"], 1e-6))))
            for _ in range(rounds):
                for name, process in able.items():
                    result[name][what].append(process.order(what, counts[name]))
        for name, process in running.items():
            result[name].update(process.end())
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"rows to run, by default all: {', '.join(ROWS)}")
    parser.add_argument("--quick", action="store_true", help="two minutes: fewer rounds, no torch.compile, Keras or gensim")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--contestants", help="names with commas between them, ours first")
    parser.add_argument("--ort-training", metavar="PYTHON", help="the Python of an environment with onnxruntime-training-cpu 1.19.2")
    parser.add_argument("--json", type=Path, help=f"where the numbers go, by default {RESULTS.name} beside this file for a whole run")
    parser.add_argument("--readme", action="store_true", help="write table and picture of the last whole run into README.md, run nothing")
    options = parser.parse_args()
    if options.readme:
        write_readme(json.loads(RESULTS.read_text()))
        return
    if options.contestants and options.contestants.split(",")[0] != "ours":
        parser.error("--contestants begins with ours, as in --contestants ours,torch")
    rounds, seconds = (5, 0.35) if options.quick else (9, 1.0)
    found: dict[str, Any] = {"threads": options.threads, "machine": f"{platform.machine()}, {os.cpu_count()} cores", "rows": {}}
    file = options.json or (RESULTS if not options.rows and not options.quick else None)
    for key in options.rows or ROWS:
        names = options.contestants.split(",") if options.contestants else contestants_of(key, ROWS[key], options.quick)
        if options.ort_training and ROWS[key].net:
            names.append(ort_training.NAME)
        found["rows"][key] = measure(key, names, options.threads, rounds, seconds, options.ort_training or sys.executable)
        print(table({**found, "rows": {key: found["rows"][key]}}, header=len(found["rows"]) == 1), flush=True)
        if file is not None:
            file.write_text(json.dumps(found, indent=1))
    totals = [statistics.median(t["wall"] for t in r["ours"]["train"]) for r in found["rows"].values() if "train" in r["ours"]]
    print(f"sum of our steps: {1e3 * sum(totals):.1f} ms")
    if file is not None:
        picture(found, file.with_suffix(".svg"))


if __name__ == "__main__":
    main()
