"""Damaged files against every reader: ``python -m tests.benchmarks.fuzz [READER ...] [-n 10000] [--seed 0]``.

Each input is a small real file with some damage that its number decides. It must end in a valid object or in an OnnxdlError
that names the file, within ten seconds and one GiB of memory. A process of its own reads them, so that a crash or a hang is told
with its number too; ``--seed N -n 1`` repeats one.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import multiprocessing
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from onnxdl.errors import OnnxdlError
from tests.benchmarks.fuzz_samples import SAMPLES, Sample
from tests.benchmarks.mutations import damage

SECONDS = 10
MEMORY = 1 << 30
FINE = ("valid", "refused")


class TooSlow(BaseException):
    """An input took longer than is allowed."""


@contextlib.contextmanager
def limited(seconds: float = SECONDS) -> Iterator[None]:
    """Holds what runs inside to the time, and to the memory beyond what the process has now; the main thread of a POSIX system only."""
    assert threading.current_thread() is threading.main_thread()

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    old_handler = signal.signal(signal.SIGALRM, stop)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, hard))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGALRM, old_handler)


def attempt(sample: Sample) -> tuple[str, str]:
    """Reads a sample's files as they are: the outcome, and what there is to say of it."""
    try:
        with limited(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sample.read(sample.path)
    except OnnxdlError as error:
        names = {sample.path.name, *(f.name for f in sample.files)}
        message = str(error)
        if "\n" in message:
            return "many lines", place(error)
        if caused_by(error, MemoryError):
            return "memory", place(error)
        return ("refused", message) if any(n in message for n in names) else ("unnamed", place(error))
    except TooSlow as error:
        return "too slow", place(error)
    except Exception as error:  # noqa: BLE001  (what the fuzzer is for)
        return "other error", place(error)
    return "valid", ""


def caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error of a kind lies behind another: one GiB was not enough, though the reader says so in good words."""
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, kind):
            return True
        behind = behind.__cause__ or behind.__context__
    return False


def place(error: BaseException) -> str:
    """The error, and the last of our lines on its way."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "onnxdl" in f.filename or "converters" in f.filename]
    ours = [f for f in frames if "/tests/" not in f.filename]
    where = " < ".join(f"{Path(f.filename).parent.name}/{Path(f.filename).name}:{f.lineno}" for f in ours[::-1][:3])
    return f"{type(error).__name__} at {where}: {str(error)[:160]}"


def inputs(reader: str, folder: Path, seeds: Iterable[int]) -> Iterator[tuple[int, str, str]]:
    """The number, outcome and details of every input."""
    sample = SAMPLES[reader](folder)
    originals = {f: f.read_bytes() for f in sample.files}
    outcome, what = attempt(sample)
    assert outcome == "valid", f"the sound {reader} file is not read: {what}"
    for seed in seeds:
        damaged = damage(sample.files, originals, seed)
        outcome, what = attempt(sample)
        damaged.write_bytes(originals[damaged])
        yield seed, outcome, what


def work(reader: str, seeds: range, connection: Connection) -> None:
    """The child process."""
    with tempfile.TemporaryDirectory() as folder:
        for result in inputs(reader, Path(folder), seeds):
            connection.send(result)
    connection.send(None)


def fuzz(reader: str, n: int, first: int) -> tuple[collections.Counter[str], dict[str, list[int]]]:
    """Counts of the outcomes, and the numbers of the inputs that ended badly, by what happened."""
    counts: collections.Counter[str] = collections.Counter()
    bad: dict[str, list[int]] = collections.defaultdict(list)
    context, seed = multiprocessing.get_context("spawn"), first
    while seed < first + n:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(reader, range(seed, first + n), theirs))
        process.start()
        theirs.close()
        try:
            while ours.poll(12 * SECONDS):  # a start takes some of them
                result = ours.recv()
                if result is None:
                    break
                number, outcome, what = result
                counts[outcome] += 1
                seed = number + 1
                if outcome not in FINE:
                    bad[f"{outcome}: {what}"].append(number)
            else:
                counts["hang"] += 1
                bad["hang"].append(seed)
                seed += 1
        except EOFError:
            process.join()
            if process.exitcode == 1:  # an exception, and those of readers are caught
                raise SystemExit(f"{reader}: the fuzzer itself failed at input {seed}; see above") from None
            counts["crash"] += 1
            bad[f"crash with exit code {process.exitcode}"].append(seed)
            seed += 1
        finally:
            process.kill()
            process.join()
    return counts, bad


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"all by default: {', '.join(SAMPLES)}")
    parser.add_argument("-n", type=int, default=10000, help="inputs a reader")
    parser.add_argument("--seed", type=int, default=0, help="the first input's number")
    chosen = parser.parse_args()
    failed = 0
    for reader in chosen.readers or SAMPLES:
        begun = time.perf_counter()
        counts, bad = fuzz(reader, chosen.n, chosen.seed)
        told = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
        print(f"{reader:14} {counts.total():6} inputs: {told} ({time.perf_counter() - begun:.0f} s)", flush=True)
        for what, numbers in sorted(bad.items(), key=lambda item: -len(item[1])):
            print(f"    {len(numbers)} x {what}  [--seed {numbers[0]} -n 1]", flush=True)
        failed += sum(map(len, bad.values()))
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
