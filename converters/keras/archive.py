"""Keras files opened safely: a .keras zip, or HDF5. Nothing is unpacked, nothing executed, and nothing is allocated on a claim.

A file may come from a stranger. So the members of a zip must stay inside, expand to a limited size and fit their checksums; an
HDF5 file must keep its data to itself, without links to other files; and an array is read only if its bytes are there.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from onnxdl.converters.keras.heaps import HDF5_MARK, trouble_in
from onnxdl.errors import ConversionError, FormatError

SMALL = 1 << 24
"""Bytes that may be claimed without being there: less than does harm."""
EXPANSION = 100
"""How many times its stored size a larger member or array may have; real weights do not compress as much."""
_CONFIG_LIMIT = 1 << 28
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, SystemError)
"""What h5py raises on damaged files."""


class Archive:
    """An open Keras file.

    Args:
        path: the file.
        config: the model's configuration; None in a file of weights alone.
        training: what ``compile`` was told; None if the model was not compiled.
        version: the version of Keras, as the file says it; empty if it does not.
        root: the HDF5 group that holds the weights; None if there are none.
        by_layer: whether weights stand under layers' names (.h5 models), or else under paths (Keras 3's weights).
        backend: what Keras ran on, as the file says it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config: dict[str, Any] | None = None
        self.training: dict[str, Any] | None = None
        self.version = self.backend = ""
        self.root: Any = None
        self.by_layer = False
        self.optimizer: Any = None

    @property
    def old(self) -> bool:
        """Whether Keras 1 or 2 wrote it."""
        if self.version:
            return self.version.split(".")[0] in ("1", "2")
        return self.config is not None and "module" not in self.config

    # ---- HDF5 -------------------------------------------------------------------------------------------------------

    def group(self, parent: Any, path: str) -> Any:
        """The group or array at a path below another; None where there is none."""
        import h5py

        found = parent
        for part in [p for p in path.split("/") if p]:
            if not isinstance(found, h5py.Group):
                return None
            try:
                link = found.get(part, getlink=True)
                if link is None:
                    return None
                if not isinstance(link, h5py.HardLink):
                    raise self.damaged(f"{found.name}/{part} is a link to another place; Keras writes none")
                found = found[part]
            except _DAMAGE as e:
                raise self.damaged(f"{part!r} cannot be opened: {e}") from e
        return found

    def children(self, group: Any) -> list[str]:
        """The names in a group."""
        import h5py

        try:
            return list(group) if isinstance(group, h5py.Group) else []
        except _DAMAGE as e:
            raise self.damaged(str(e)) from e

    def array(self, dataset: Any) -> np.ndarray:
        """What an HDF5 array holds, if its bytes are in the file."""
        import h5py

        if not isinstance(dataset, h5py.Dataset):
            raise self.damaged("a weight is missing, or is no array")
        try:
            name, kind, claimed = dataset.name, dataset.dtype.kind, dataset.size * dataset.dtype.itemsize
            if dataset.external or dataset.is_virtual:
                raise self.damaged(f"{name} keeps its data in another file; Keras never does")
            if kind not in "fiub" or dataset.shape is None:
                raise self.damaged(f"{name} holds {dataset.dtype}, not numbers")
            if claimed > SMALL and claimed > EXPANSION * dataset.id.get_storage_size():
                raise self.damaged(f"{name} claims {claimed} bytes, which the file does not hold")
            return np.asarray(dataset[()])
        except _DAMAGE as e:
            raise self.damaged(f"an array cannot be read: {e}") from e

    def attribute(self, group: Any, name: str) -> Any:
        """An attribute, text as str; None where there is none."""
        try:
            value = group.attrs.get(name)
        except _DAMAGE as e:
            raise self.damaged(f"the attribute {name!r} cannot be read: {e}") from e
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def names(self, group: Any, name: str) -> list[str]:
        """An attribute that lists names; long ones are split into ``name0``, ``name1``, ..."""
        whole = self.attribute(group, name)
        parts = [whole] if whole is not None else []
        while not parts or whole is None:
            more = self.attribute(group, f"{name}{len(parts)}")
            if more is None:
                break
            parts.append(more)
        try:
            return [n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for part in parts for n in part]
        except TypeError as e:
            raise self.damaged(f"the attribute {name!r} is no list of names") from e

    # ---- what is wrong ----------------------------------------------------------------------------------------------

    def damaged(self, what: str) -> FormatError:
        """The error for a broken file."""
        return FormatError(f"{self.path} is damaged or no Keras file: {what}")

    def unsupported(self, what: str) -> ConversionError:
        """The error for what has no equal here."""
        return ConversionError(f"{self.path}: {what}")

    def json(self, text: Any, what: str) -> dict[str, Any]:
        """Text as the JSON object that it must be."""
        try:
            found = json.loads(text)
        except (ValueError, TypeError, RecursionError) as e:
            raise self.damaged(f"its {what} is no JSON: {e}") from e
        if not isinstance(found, dict):
            raise self.damaged(f"its {what} is no JSON object")
        return found


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """A Keras file, open for reading.

    Raises:
        FormatError: it is damaged, or none.
    """
    archive = Archive(path)
    try:
        with path.open("rb") as file:
            mark = file.read(len(HDF5_MARK))
            if mark == HDF5_MARK:
                with _hdf5(archive, file, path) as h5:
                    _read_h5(archive, h5)
                    yield archive
            elif mark[:4] == b"PK\x03\x04":
                with _zip(archive, file) as members:
                    _read_zip_config(archive, members)
                    with _weights_of(archive, members, file) as h5:
                        archive.root, archive.optimizer = h5, archive.group(h5, "optimizer") if h5 is not None else None
                        yield archive
            else:
                raise archive.damaged("it is neither a zip nor HDF5")
    except OSError as e:
        raise archive.damaged(str(e)) from e


# ---- zip ------------------------------------------------------------------------------------------------------------


@contextmanager
def _zip(archive: Archive, file: IO[bytes]) -> Iterator[zipfile.ZipFile]:
    try:
        members = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as e:
        raise archive.damaged(str(e)) from e
    with members:
        for name in members.namelist():
            if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name.split("/")[0]:
                raise archive.damaged(f"its member {name!r} leads out of the archive")
        yield members


def _member(archive: Archive, members: zipfile.ZipFile, name: str) -> bytes:
    """A member in memory, of limited size."""
    info = members.getinfo(name)
    assert members.fp is not None  # it is open
    if info.compress_size > members.fp.seek(0, 2):
        raise archive.damaged(f"its member {name!r} claims {info.compress_size} bytes, more than the file")
    if info.file_size > max(SMALL, EXPANSION * info.compress_size) or (name.endswith(".json") and info.file_size > _CONFIG_LIMIT):
        raise archive.damaged(f"its member {name!r} would expand to {info.file_size} bytes")
    try:
        with members.open(info) as stream:
            return stream.read(info.file_size)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError, struct.error) as e:
        raise archive.damaged(f"its member {name!r} cannot be read: {e}") from e


def _read_zip_config(archive: Archive, members: zipfile.ZipFile) -> None:
    if "config.json" not in members.namelist():
        raise archive.damaged("it holds no config.json")
    archive.config = archive.json(_member(archive, members, "config.json"), "config.json")
    archive.training = archive.config.get("compile_config")
    if not isinstance(archive.training, dict | None):
        raise archive.damaged("its compile_config is no JSON object")
    if "metadata.json" in members.namelist():
        archive.version = str(archive.json(_member(archive, members, "metadata.json"), "metadata.json").get("keras_version", ""))


@contextmanager
def _weights_of(archive: Archive, members: zipfile.ZipFile, file: IO[bytes]) -> Iterator[Any]:
    name = "model.weights.h5"
    if name not in members.namelist():
        if "model.weights.npz" in members.namelist():
            raise archive.unsupported("its weights are in model.weights.npz; save it again where h5py is installed")
        raise archive.damaged(f"it holds no {name}")
    info = members.getinfo(name)
    if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1:
        window = _Window(archive, file, info)
        window.check(info.CRC)
        with _hdf5(archive, window, window) as h5:
            yield h5
    else:
        content = io.BytesIO(_member(archive, members, name))
        with _hdf5(archive, content, content) as h5:
            yield h5


class _Window(io.RawIOBase):
    """A stored member of a zip as a file of its own, read where it lies."""

    def __init__(self, archive: Archive, file: IO[bytes], info: zipfile.ZipInfo) -> None:
        file.seek(info.header_offset)
        header = file.read(30)
        if len(header) != 30 or header[:4] != b"PK\x03\x04":
            raise archive.damaged("a member's header is missing")
        names, extra = struct.unpack("<HH", header[26:30])
        self._archive, self._file, self._size, self._at = archive, file, info.file_size, 0
        self._start = info.header_offset + 30 + names + extra

    def check(self, checksum: int) -> None:
        """Compares the content with its checksum."""
        self._file.seek(self._start)
        found, left = 0, self._size
        while left > 0:
            block = self._file.read(min(left, 1 << 20))
            if not block:
                raise self._archive.damaged("its weights end too early")
            found, left = zlib.crc32(block, found), left - len(block)
        if found != checksum:
            raise self._archive.damaged("the checksum of its weights does not fit")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(offset + (0, self._at, self._size)[whence], 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        n = max(min(len(view), self._size - self._at), 0)
        self._file.seek(self._start + self._at)
        got: int = self._file.readinto(view[:n])  # type: ignore[attr-defined]
        self._at += got
        return got


# ---- HDF5 -----------------------------------------------------------------------------------------------------------


@contextmanager
def _hdf5(archive: Archive, stream: Any, source: Any) -> Iterator[Any]:
    """HDF5 open for reading from a source, whose bytes a stream gives."""
    if trouble := trouble_in(stream):
        raise archive.damaged(trouble)
    try:
        import h5py
    except ImportError as e:
        raise ConversionError(f"{archive.path} needs h5py: pip install onnxdl[keras]") from e
    try:
        h5 = h5py.File(source, "r")
    except _DAMAGE as e:
        raise archive.damaged(str(e)) from e
    with h5:
        yield h5


def _read_h5(archive: Archive, h5: Any) -> None:
    text = archive.attribute(h5, "model_config")
    archive.version = str(archive.attribute(h5, "keras_version") or "")
    archive.backend = str(archive.attribute(h5, "backend") or "")
    if text is None:
        archive.root = h5
        archive.by_layer = any(archive.attribute(h5, name) is not None for name in ("layer_names", "layer_names0"))
        archive.optimizer = archive.group(h5, "optimizer")
        return
    archive.config = archive.json(text, "model_config")
    archive.root, archive.by_layer = archive.group(h5, "model_weights"), True
    archive.optimizer = archive.group(h5, "optimizer_weights")
    training = archive.attribute(h5, "training_config")
    if training is not None:
        archive.training = archive.json(training, "training_config")
    if archive.root is not None:
        archive.version = archive.version or str(archive.attribute(archive.root, "keras_version") or "")
        archive.backend = archive.backend or str(archive.attribute(archive.root, "backend") or "")
