"""Files that are there whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

from onnxdl.errors import FormatError

if sys.platform != "win32":
    import fcntl


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place, flushed to the disk, when the block ends without an error.

    What killed writers of ``path`` left behind is removed.

    Raises:
        FormatError: the folder is missing, the disk is full or writing is not permitted.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with _swept(target):
            temporary.touch()
            mode = temporary.stat().st_mode
            yield temporary
            temporary.chmod(mode)  # those of any new file, whoever wrote it
            _flush(temporary, os.O_RDWR)
            os.replace(temporary, target)
        if os.name != "nt":  # Windows cannot open a folder, and journals its renames by itself
            _flush(target.parent, os.O_RDONLY)
    except OSError as error:
        raise FormatError(f"cannot write {path}: {_reason(error)}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _swept(target: Path) -> Iterator[None]:
    """Removes a file's leftovers, and keeps other processes from taking what is written inside for one.

    Whoever writes has a shared lock on the folder, which the system takes back when the process dies. Where nobody has one, all
    temporary files are leftovers. Windows has no such lock, nor have some network disks: there they stay.
    """
    if sys.platform == "win32":
        yield
        return
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for leftover in target.parent.glob(f".{glob.escape(target.name)}.????????.tmp"):
                leftover.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_SH)
        yield
    finally:
        os.close(folder)


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, where they are not there yet.

    Raises:
        FormatError: a file is in the way, the disk is full or writing is not permitted.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(f"cannot make the folder {folder}: {_reason(error)}") from None


def _flush(path: Path, mode: int) -> None:
    descriptor = os.open(path, mode)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return "the folder does not exist; create it first"
        case errno.ENOSPC | errno.EDQUOT:
            return "no space is left on the disk; free some or write elsewhere"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "permission denied; choose a folder that you may write to"
        case errno.EISDIR | errno.ENOTDIR | errno.ENOTEMPTY | errno.EEXIST:
            return "a folder of that name is in the way, or a file stands where a folder should be; choose another name"
        case _:
            return error.strerror or str(error)
