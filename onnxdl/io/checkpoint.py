"""Checkpoints: a State and some text in one safetensors file, which any tool of the field can read."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from onnxdl.errors import FormatError
from onnxdl.io.atomic import replacing


def save_checkpoint(path: str | os.PathLike[str], state: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> None:
    """Writes a State to a .safetensors file, whole or not at all.

    Raises:
        FormatError: an entry's element type has no place in the format, or the file cannot be written.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in state.items()}
    for name, array in arrays.items():
        if array.dtype.kind in "OUSMm":
            raise FormatError(f"cannot write {path}: the entry {name!r} holds {array.dtype}, and a checkpoint holds numbers only")
    with replacing(path) as temporary:
        try:
            save_file(arrays, temporary, dict(metadata) if metadata else None)
        except SafetensorError as error:
            raise _as_os_error(error) from error


def _as_os_error(error: SafetensorError) -> OSError:
    """The system's error that safetensors passes on as text only."""
    code = re.search(r"(?:os error|code:) (\d+)", str(error))
    number = int(code.group(1)) if code else errno.EIO
    return OSError(number, os.strerror(number) if code else str(error))


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The State and the text in a .safetensors file.

    Raises:
        FormatError: the file is missing, damaged, cut short or of another kind.
    """
    file = Path(path)
    if not file.exists():
        raise FormatError(f"cannot read {file}: there is no such file; check the path")
    if not file.is_file():
        raise FormatError(f"cannot read {file}: it is no file; name the .safetensors file inside it")
    try:
        with safe_open(file, framework="np") as stored:
            state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  (no mapping)
            return state, dict(stored.metadata() or {})
    except SafetensorError as error:
        raise FormatError(f"{file} is no checkpoint, or is damaged or cut short ({error}); use an older one") from None
    except OSError as error:
        raise FormatError(f"cannot read {file}: {error.strerror or error}") from None
