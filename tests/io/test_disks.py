"""Disks that fill up, folders that may not be written to, writers that are killed: what was good is kept, nothing stays behind."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn, optim
from onnxdl.io.checkpoint import save_checkpoint
from onnxdl.train.resume import CHECKPOINT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the limits and locks of POSIX")
X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
Y = (X.sum(1) > 0).astype(np.int64)
EXPORTS = {"m.onnx": "onnx", "w.safetensors": "safetensors", "m.pt": "torch", "m.keras": "keras", "m.h5": "keras", "m.weights.h5": "keras"}
IS_ROOT = os.geteuid() == 0 if sys.platform != "win32" else False


def classifier(width: int = 8) -> ox.Model:
    ox.set_seed(5)
    model = ox.Sequential([ox.Input((4,)), nn.Dense(width, activation="relu"), nn.Dense(2, activation="softmax")])
    model.compile(optim.Adam(0.03), "sparse_categorical_crossentropy")
    return model


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


# ---- full disks ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writing beyond a size fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    if not IS_ROOT or shutil.which("mount") is None:
        pytest.skip("only the superuser mounts a disk")
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def fill(disk: Path, leave: int) -> None:
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "other").write_bytes(bytes(free - leave))


def test_a_disk_that_fills_up_keeps_the_last_checkpoint_and_the_run_goes_on_elsewhere(small_disk: Path) -> None:
    model = classifier(4096)
    model.fit(X, Y, 10, 2, verbose=0, checkpoint=small_disk)
    fill(small_disk, 100_000)
    kept = contents(small_disk)
    with pytest.raises(ox.FormatError, match=r"cannot write .*checkpoint\.safetensors: no space is left on the disk"):
        model.fit(X, Y, 10, 4, verbose=0, checkpoint=small_disk, resume=True)
    assert contents(small_disk) == kept
    (small_disk / "other").unlink()
    again, whole = classifier(4096), classifier(4096)
    again.fit(X, Y, 10, 4, verbose=0, checkpoint=small_disk, resume=True)
    whole.fit(X, Y, 10, 4, verbose=0)
    for name, array in whole.state.items():
        np.testing.assert_array_equal(array, again.state[name], err_msg=name)


def test_exports_onto_a_full_disk_keep_the_old_files(small_disk: Path) -> None:
    pytest.importorskip("h5py")
    small, large = classifier(), classifier(4096)
    for name, kind in EXPORTS.items():
        small.export(small_disk / name, format=kind)
    fill(small_disk, 20_000)
    kept = contents(small_disk)
    for name, kind in EXPORTS.items():
        with pytest.raises(ox.FormatError, match=f"cannot write .*{name}"):
            large.export(small_disk / name, format=kind)
    assert contents(small_disk) == kept


def test_an_export_that_passes_a_limit_on_files_keeps_the_old_file(tmp_path: Path) -> None:
    small, large = classifier(), classifier(64)
    for name in ("m.onnx", "w.safetensors", "m.pt"):
        small.export(tmp_path / name, format=EXPORTS[name])
    kept = contents(tmp_path)
    with files_of_at_most(600):
        for name in kept:
            with pytest.raises(ox.FormatError, match=name):
                large.export(tmp_path / name, format=EXPORTS[name])
    assert contents(tmp_path) == kept


# ---- what stays in the folder ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_leaves_one_file(name: str, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    classifier().export(tmp_path / name, format=EXPORTS[name])
    assert [p.name for p in tmp_path.iterdir()] == [name]


WRITER = """
import sys
from pathlib import Path
from onnxdl.io.atomic import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    print(temporary.name, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_writer_left_goes_with_the_next_write_but_nobody_else_s(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        half = writer.stdout.readline().strip()
        save_checkpoint(path, {"x": X})
        assert {p.name for p in tmp_path.iterdir()} == {path.name, half}  # it is still being written
        writer.kill()
    (tmp_path / ".other.safetensors.0123abcd.tmp").touch()
    save_checkpoint(path, {"x": X})
    assert {p.name for p in tmp_path.iterdir()} == {path.name, ".other.safetensors.0123abcd.tmp"}


# ---- permissions -----------------------------------------------------------------------------------------------------


def refusal_of_a_user(act: Callable[[], object]) -> str:
    """What is said to a user who is not the superuser, for whom nothing is forbidden; in a child where this process is his."""
    if not IS_ROOT:
        with pytest.raises(ox.FormatError) as caught:
            act()
        return str(caught.value)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def child() -> None:
        os.setgid(65534)
        os.setuid(65534)
        try:
            act()
            theirs.send("nothing was refused")
        except ox.FormatError as error:
            theirs.send(str(error))

    process = context.Process(target=child)
    process.start()
    said = ours.recv() if ours.poll(30) else "nothing was said"
    process.join()
    return str(said)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may look into, and nobody else write to; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_folder_that_may_not_be_written_to(open_folder: Path) -> None:
    model = classifier()
    model.fit(X, Y, 10, 1, verbose=0)  # so that all is imported: a child may not read what only the superuser may
    kept = contents(open_folder)
    said = refusal_of_a_user(lambda: model.fit(X, Y, 10, 1, verbose=0, checkpoint=open_folder))
    assert "cannot write" in said and "permission denied; choose a folder that you may write to" in said
    assert "cannot make the folder" in refusal_of_a_user(lambda: model.fit(X, Y, 10, 1, verbose=0, checkpoint=open_folder / "deep"))
    assert contents(open_folder) == kept


@pytest.mark.parametrize("where", ["missing/deep", "a_file/deep"])
def test_a_checkpoint_folder_that_cannot_be(where: str, tmp_path: Path) -> None:
    (tmp_path / "a_file").write_text("")
    if where.startswith("missing"):
        classifier().fit(X, Y, 10, 1, verbose=0, checkpoint=tmp_path / where)
        assert (tmp_path / where / CHECKPOINT).exists()
        return
    with pytest.raises(ox.FormatError, match="a_file"):
        classifier().fit(X, Y, 10, 1, verbose=0, checkpoint=tmp_path / where)
