"""Checkpoints: every element type comes back to the bit, and bad files end in one clear line."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from onnxdl.errors import FormatError
from onnxdl.io.checkpoint import load_checkpoint, save_checkpoint

DTYPES = ["float16", "float32", "float64", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def state() -> dict[str, np.ndarray]:
    return {"dense.kernel": np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32), "step": np.array(7, np.int64)}


@pytest.mark.parametrize("dtype", [*DTYPES, ml_dtypes.bfloat16])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 4)])
def test_every_element_type_comes_back(tmp_path: Path, dtype: object, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)  # type: ignore[call-overload]
    save_checkpoint(tmp_path / "c.safetensors", {"x": array})
    loaded, _ = load_checkpoint(tmp_path / "c.safetensors")
    assert loaded["x"].dtype == array.dtype
    assert loaded["x"].shape == shape
    assert loaded["x"].tobytes() == array.tobytes()
    loaded["x"][...] = 0  # an array of one's own


def test_nan_and_infinities_come_back_to_the_bit(tmp_path: Path) -> None:
    array = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45], np.float32)
    save_checkpoint(tmp_path / "c.safetensors", {"x": array})
    assert load_checkpoint(tmp_path / "c.safetensors")[0]["x"].tobytes() == array.tobytes()


def test_arrays_in_any_memory_order_are_written_right(tmp_path: Path) -> None:
    array = np.arange(24.0).reshape(2, 3, 4)
    views = {"transposed": array.T, "strided": array[:, ::2], "reversed": array[::-1], "big endian": array.astype(">f8")}
    save_checkpoint(tmp_path / "c.safetensors", views)
    loaded, _ = load_checkpoint(tmp_path / "c.safetensors")
    for name, view in views.items():
        np.testing.assert_array_equal(loaded[name], view)


def test_metadata_comes_back(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.safetensors", state(), {"epoch": "3", "name": "Zürich"})
    assert load_checkpoint(tmp_path / "c.safetensors")[1] == {"epoch": "3", "name": "Zürich"}
    save_checkpoint(tmp_path / "c.safetensors", {})
    assert load_checkpoint(tmp_path / "c.safetensors") == ({}, {})


def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="'words' holds"):
        save_checkpoint(tmp_path / "c.safetensors", {"words": np.array(["a", "b"])})
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"absent\.safetensors: there is no such file"):
        load_checkpoint(tmp_path / "absent.safetensors")
    with pytest.raises(FormatError, match="no file"):
        load_checkpoint(tmp_path)


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, state())
    whole = path.read_bytes()
    for length in [*range(0, 300, 11), len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError, match="damaged or cut short"):
            load_checkpoint(path)


def header(entries: object, data: bytes = b"") -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x02}q\x00.",  # a pickle
        b"PK\x03\x04" + b"\0" * 60,
        struct.pack("<Q", 2**62) + b"{}",
        header([1, 2]),
        header({"x": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}, b"\0" * 4),
        header({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 80]}}, b"\0" * 8),
        header({"x": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"\0" * 4),
        header({"x": {"dtype": "OBJECT", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.safetensors").write_bytes(content)
    with pytest.raises(FormatError) as caught:
        load_checkpoint(tmp_path / "c.safetensors")
    assert "c.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="folder does not exist; create it"):
        save_checkpoint(tmp_path / "absent" / "c.safetensors", state())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_write_that_fails_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, state())
    before = path.read_bytes()

    def failing(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(FormatError, match="cannot write"):
        save_checkpoint(path, {"x": np.zeros(3)})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def test_a_limit_on_file_sizes_is_an_error_of_one_line(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(FormatError, match=r"cannot write .*c\.safetensors"):
            save_checkpoint(tmp_path / "c.safetensors", {"x": np.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())
