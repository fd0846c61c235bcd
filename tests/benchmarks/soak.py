"""Long runs: ``python -m tests.benchmarks.soak [steps cycles models threads processes kills] [--scale 1.0]``.

At scale 1: 100,000 steps; 1,000 cycles of training, evaluation and prediction; 500 models made and dropped; two trainings in two
threads, and in two processes; SIGKILL at 200 random moments of a run that writes checkpoints and models. Each prints what it
measured and fails where memory grows by more than its limit after a tenth of the run, a file stays open, or a number differs.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import onnxdl as ox
from onnxdl import callbacks, nn, optim
from onnxdl.train.resume import CHECKPOINT

X = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
Y = (X.sum(1) > 0).astype(np.int64)
GROWTH = 1.0
"""Per cent of the resident memory that may come on after a tenth of a long run."""
GROWTH_OF_MODELS = 0.05
"""MiB that a model may leave behind: caches of the allocator, no more."""


WIDTHS = (12, 20)
"""Of two nets that are trained at the same time."""


def model(width: int = 16) -> ox.Model:
    """A small net with everything that has state."""
    ox.set_seed(5)
    hidden = [nn.Dense(width, activation="relu"), nn.BatchNormalization(), nn.Dropout(0.3)]
    made = ox.Sequential([ox.Input((8,)), *hidden, nn.Dense(2, activation="softmax")])
    made.compile(optim.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def resident() -> float:
    """MiB."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def handles() -> int:
    return len(os.listdir("/proc/self/fd"))


def digest(trained: ox.Model) -> str:
    found = hashlib.sha256()
    for name, array in sorted(trained.state.items()):
        found.update(name.encode() + array.tobytes())
    return found.hexdigest()


def watched(n: int, one: Callable[[int], object], what: str) -> tuple[float, float]:
    """Runs something n times; the memory after a tenth and at the end. A file that stays open is an error."""
    begun, early, opened = time.perf_counter(), 0.0, 0
    for i in range(n):
        if i == n // 10:
            early, opened = resident(), handles()
        one(i)
    late, left = resident(), handles() - opened
    growth = 100 * (late - early) / early
    took = time.perf_counter() - begun
    print(
        f"{n} {what}: {early:.1f} MiB after a tenth, {late:.1f} at the end ({growth:+.2f} %), {left} files left open, {took:.0f} s",
        flush=True,
    )
    assert left <= 0, f"{left} files stay open"
    return early, late


def steps(scale: float) -> None:
    trained = model()
    early, late = watched(max(int(100_000 * scale), 100), lambda _: trained.train_on_batch(X, Y), "steps")
    assert late < early * (1 + GROWTH / 100), "memory grows"


def cycles(scale: float) -> None:
    trained = model()

    def cycle(_: int) -> None:
        trained.fit(X, Y, 32, 1, verbose=0)
        trained.evaluate(X, Y, verbose=0)
        trained.predict(X, verbose=0)

    early, late = watched(max(int(1000 * scale), 20), cycle, "cycles of fit, evaluate and predict")
    assert late < early * (1 + GROWTH / 100), "memory grows"


def models(scale: float) -> None:
    n = max(int(500 * scale), 20)

    def one(i: int) -> None:
        made = model(4 + i % 50)
        made.train_on_batch(X, Y)
        made.predict(X, verbose=0)

    early, late = watched(n, one, "models made, trained and dropped")
    assert late - early < max(n * GROWTH_OF_MODELS, 20), "memory grows"  # the allocator's own ups and downs are within 20


def training(width: int, epochs: int) -> str:
    """What a training ends with."""
    trained = model(width)
    trained.fit(X, Y, 16, epochs, verbose=0)
    return digest(trained)


def threads(scale: float) -> None:
    epochs = max(int(500 * scale), 5)
    made = [model(width) for width in WIDTHS]
    alone = [training(width, epochs) for width in WIDTHS]
    running = [threading.Thread(target=m.fit, args=(X, Y, 16, epochs), kwargs={"verbose": 0}) for m in made]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert [digest(m) for m in made] == alone, "two threads disturb each other"
    print(f"two trainings of {epochs} epochs in two threads: each ends with the very bits that it ends with alone", flush=True)


def processes(scale: float) -> None:
    epochs = max(int(500 * scale), 5)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        together = pool.starmap(training, [(width, epochs) for width in WIDTHS])
    assert together == [training(width, epochs) for width in WIDTHS], "two processes disturb each other"
    print(f"two trainings of {epochs} epochs in two processes: each ends with the very bits that it ends with alone", flush=True)


# ---- kills -----------------------------------------------------------------------------------------------------------

ENDLESS = 1_000_000


def long_run(folder: Path, epochs: int) -> ox.Model:
    """A training that resumes, writing a checkpoint every two steps and a model every epoch."""
    trained = model()
    saver = callbacks.ModelCheckpoint(folder / "model.onnx", "loss")
    trained.fit(X, Y, 10, epochs, verbose=0, checkpoint=folder, checkpoint_every=2, resume=True, callbacks=[saver])
    return trained


def killed(folder: Path, wait: float) -> None:
    """A run in a process of its own, killed so long after its start."""
    child = os.fork()
    if child == 0:
        try:
            long_run(folder, ENDLESS)
        finally:
            os._exit(1)
    time.sleep(wait)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the run ended by itself"


def kills(scale: float) -> None:
    """In a process that has run nothing yet: what is forked must not have the threads of a session."""
    process = multiprocessing.get_context("spawn").Process(target=_kills, args=(max(int(200 * scale), 3),))
    process.start()
    process.join()
    assert process.exitcode == 0, "see above"


def _kills(n: int) -> None:
    moments, begun, seen, models_seen = np.random.default_rng(0), time.perf_counter(), [0], 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        span, done = 3.0, 0
        while done < n:
            killed(folder, moments.uniform(0.3, 1.0) * span)
            if not (folder / CHECKPOINT).exists():
                span *= 1.3  # it had not begun yet
                continue
            done += 1
            state, metadata = ox.load_checkpoint(folder / CHECKPOINT)
            place = json.loads(metadata["onnxdl.run"])["place"]
            assert int(state["step"]) == 7 * place["epoch"] + place["batch"], "the checkpoint does not fit together"
            span = span * 1.1 if int(state["step"]) == seen[-1] else span
            seen.append(int(state["step"]))
            if (folder / "model.onnx").exists():
                _read_in_a_child(folder / "model.onnx")
                models_seen += 1
            if done % 25 == 0:
                print(f"{done} SIGKILLs, up to step {seen[-1]}", flush=True)
        assert seen == sorted(seen), "a run went back"
        epochs = seen[-1] // 7 + 2
        resumed = digest(long_run(folder, epochs))
        left = sorted(p.name for p in folder.iterdir())
    assert left == [CHECKPOINT, "model.onnx"], f"the killed writers' files stay: {left}"
    whole = model()
    whole.fit(X, Y, 10, epochs, verbose=0)
    assert digest(whole) == resumed, "the resumed run ended with other numbers"
    took, moved = time.perf_counter() - begun, len(set(seen)) - 1
    print(
        f"{n} SIGKILLs, {moved} of them after new steps, up to step {seen[-1]}: all checkpoints and {models_seen} models whole, "
        f"the last run ends bit-equal to an uninterrupted one, and nothing else is in the folder, {took:.0f} s",
        flush=True,
    )


def _read_in_a_child(path: Path) -> None:
    """Whether a model is whole; in a child, so that this process stays without sessions."""
    child = os.fork()
    if child == 0:
        fine = 1
        try:
            fine = 0 if ox.load(path).predict(X, verbose=0).shape == (64, 2) else 1
        finally:
            os._exit(fine)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, f"{path} is torn"


RUNS = {run.__name__: run for run in (steps, cycles, models, threads, processes, kills)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"all by default: {', '.join(RUNS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of it")
    chosen = parser.parse_args()
    for name in chosen.runs or RUNS:
        RUNS[name](chosen.scale)


if __name__ == "__main__":
    sys.exit(main())
