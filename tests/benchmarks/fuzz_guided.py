"""Damaged files against every reader, guided by coverage: ``python -m tests.benchmarks.fuzz_guided [READER ...] [--seconds 120]``.

libFuzzer, by way of ``pip install atheris``, keeps each file that reaches new lines of onnxdl and damages it further, with its own
mutations and with those of ``mutations.py``. What ends badly, as ``fuzz.py`` judges it, is told and kept in the folder ``--keep``.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import multiprocessing
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

CONTEXT = multiprocessing.get_context("spawn")
STARTING = 120
"""Seconds after its time by which a reader's process must have ended."""
MORE_BYTES = 512
"""By how much a damaged file may be larger than the sound one."""


def explore(reader: str, seconds: int, keep: Path, folder: Path) -> None:
    """A process of its own: libFuzzer ends it when the time is over."""
    import atheris

    with atheris.instrument_imports(include=["onnxdl"]):  # what a reader imports late, too
        from tests.benchmarks import fuzz, fuzz_samples, mutations

        (folder / "sample").mkdir()
        sample = fuzz_samples.SAMPLES[reader](folder / "sample")
        assert fuzz.attempt(sample)[0] == "valid"
    originals = [file.read_bytes() for file in sample.files]
    (folder / "corpus").mkdir()
    for i, content in enumerate(originals):
        (folder / "corpus" / str(i)).write_bytes(bytes([i]) + content)
    told: set[str] = set()

    def one(data: bytes) -> None:
        """The first byte says which of the sample's files the rest takes the place of."""
        which = data[0] % len(originals) if data else 0
        file = sample.files[which]
        file.write_bytes(data[1:])
        outcome, what = fuzz.attempt(sample)
        file.write_bytes(originals[which])
        if outcome not in fuzz.FINE and what not in told:
            told.add(what)
            kept = keep / f"{reader}-{hashlib.sha256(data).hexdigest()[:8]}-{file.name}"
            kept.write_bytes(data[1:])
            print(f"{reader}: {outcome}: {what}  [{kept}]", flush=True)

    def mutated(data: bytes, size: int, seed: int) -> bytes:
        rng = np.random.default_rng(seed)
        if not data or rng.integers(2):
            return atheris.Mutate(data, size)  # type: ignore[no-any-return]
        try:
            content = mutations.mutate(data[1:], sample.files[data[0] % len(originals)].name, rng)
        except Exception:  # noqa: BLE001  (damaged before, it may have lost the structure that this damage needs)
            return atheris.Mutate(data, size)  # type: ignore[no-any-return]
        return data[:1] + content[: size - 1]

    size = max(map(len, originals)) + MORE_BYTES
    options = [f"-max_total_time={seconds}", f"-max_len={size}", "-timeout=0", "-rss_limit_mb=0", "-print_final_stats=1", "-verbosity=0"]
    atheris.Setup(["fuzz_guided", str(folder / "corpus"), f"-artifact_prefix={keep}/{reader}-", *options], one, custom_mutator=mutated)
    atheris.Fuzz()


def all_readers() -> list[str]:
    """Their names; asked for here, where nothing is instrumented."""
    from tests.benchmarks.fuzz_samples import SAMPLES

    return list(SAMPLES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", metavar="READER", help="all by default")
    parser.add_argument("--seconds", type=int, default=120, help="for each reader")
    parser.add_argument("--keep", type=Path, help="a folder for what ends badly; by default a temporary one")
    chosen = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        raise SystemExit("the guided fuzzer needs atheris: pip install atheris (Linux and macOS)")
    keep = chosen.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
    keep.mkdir(exist_ok=True)
    failed = 0
    for reader in chosen.readers or all_readers():
        with tempfile.TemporaryDirectory() as folder:
            process = CONTEXT.Process(target=explore, args=(reader, chosen.seconds, keep, Path(folder)))
            process.start()
            process.join(chosen.seconds + STARTING)
            if process.exitcode is None:
                process.kill()
                process.join()
                shutil.copytree(Path(folder) / "sample", keep / f"{reader}-hang")
        print(f"{reader}: ended with {process.exitcode}", flush=True)
        failed += process.exitcode != 0
    sys.exit(bool(failed or list(keep.iterdir())))


if __name__ == "__main__":
    main()
