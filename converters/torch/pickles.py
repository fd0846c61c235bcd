"""Torch's pickles without running anything: tensors, containers and plain data; every other class stays a name.

A pickle is a program that may call whatever it names. Here it may name only what makes tensors and containers; the rest
becomes an ``Opaque``, which remembers what it was called and does nothing.
"""

from __future__ import annotations

import collections
import pickle
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np

from onnxdl.converters.torch.archive import Archive, strided
from onnxdl.errors import ConversionError, FormatError
from onnxdl.graph.dtypes import to_numpy

_STORAGES: Mapping[str, Any] = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "BFloat16Storage": to_numpy("bfloat16"),
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
    "ComplexFloatStorage": np.complex64,
    "ComplexDoubleStorage": np.complex128,
    "UntypedStorage": np.uint8,
}
_DTYPES: Mapping[str, Any] = {
    **{n: np.dtype(n) for n in ("float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64")},
    "bfloat16": to_numpy("bfloat16"),
    "bool": np.dtype(np.bool_),
    "complex64": np.dtype(np.complex64),
    "complex128": np.dtype(np.complex128),
}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_MAX_OPCODES = 20_000_000


class Opaque:
    """Something of a class that is not run: what it is called, and what it was made of."""

    qualified = "?"

    def __new__(cls, *args: Any, **kwargs: Any) -> Opaque:
        made = super().__new__(cls)
        made.arguments, made.state, made.items = args, None, {}
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.arguments: tuple[Any, ...]
        self.state: Any
        self.items: dict[Any, Any]

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value

    def append(self, value: Any) -> None:
        """Keeps a member of what would be a list."""
        self.items[len(self.items)] = value

    def extend(self, values: Any) -> None:
        """Keeps members of what would be a list."""
        for value in values:
            self.append(value)

    def __repr__(self) -> str:
        return f"<{self.qualified}>"

    __hash__ = object.__hash__


class _Storage(NamedTuple):
    dtype: Any
    key: str


class _Kind(NamedTuple):
    """A class of storages, of which a pickle says only the name."""

    dtype: Any


def load_pickled(data: bytes, who: str) -> Any:
    """What ``torch.save`` has written, as NumPy arrays, containers, plain data and ``Opaque``.

    Raises:
        FormatError: the data is damaged, cut short or of another kind.
        ConversionError: it holds a kind of tensor that has no equal here.
    """
    return load_file(BytesIO(data), who)


def load_file(stream: BinaryIO, who: str) -> Any:
    """``load_pickled`` of an open file."""
    start = stream.read(4)
    stream.seek(0)
    try:
        if start == b"PK\x03\x04":
            return _load_zip(stream, who)
        return _load_legacy(stream, who)
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        OverflowError,
        MemoryError,
        RecursionError,
        UnicodeDecodeError,
        zipfile.BadZipFile,
    ) as error:
        raise FormatError(f"{who} holds no pickle of torch, or is damaged or cut short ({type(error).__name__}: {error})") from None


def _load_zip(stream: BinaryIO, who: str) -> Any:
    archive = Archive(stream, who)
    if "constants.pkl" in archive and "data.pkl" in archive and any(n.startswith("code/") for n in archive.names()):
        raise ConversionError(
            f"{who} is TorchScript, a program that only torch runs; save its weights: torch.save(torch.jit.load(path).state_dict(), ...)"
        )
    if any(n.startswith("models/") for n in archive.names()):
        raise FormatError(f"{who} is an exported program, not a pickle; give it the suffix .pt2")

    def read(key: str) -> bytes:
        return archive.read(f"data/{key}")

    return _Reader(BytesIO(_checked(BytesIO(archive.read("data.pkl")))), read, who).load()


def _load_legacy(stream: BinaryIO, who: str) -> Any:
    """The format before 1.6: four pickles (magic, version, system, object), the storages' keys, the storages."""

    def none(key: str) -> bytes:
        raise FormatError(f"{who} is damaged: a tensor stands before its storage")

    def following(read: Callable[[str], bytes] = none) -> Any:
        return _Reader(BytesIO(_checked(stream)), read, who).load()

    if following() != _LEGACY_MAGIC or following() != 1001:
        raise FormatError(f"{who} does not begin as a file of torch.save does")
    if not following().get("little_endian", True):
        raise FormatError(f"{who} has big-endian numbers; save it again on a little-endian machine")
    main = _checked(stream)
    keys = following()
    first = _Reader(BytesIO(main), lambda key: b"", who, sizes_only=True)
    first.load()
    storages: dict[str, bytes] = {}
    for key in keys:
        n = int(np.frombuffer(_exactly(stream, 8, who), np.int64)[0])
        if key not in first.seen:
            raise FormatError(f"{who} is damaged: the storage {key!r} belongs to no tensor")
        storages[key] = _exactly(stream, n * np.dtype(first.seen[key]).itemsize, who)
    return _Reader(BytesIO(main), lambda key: storages[key], who).load()


def _exactly(stream: BinaryIO, n: int, who: str) -> bytes:
    here = stream.tell()
    left = stream.seek(0, 2) - here
    stream.seek(here)
    if n < 0 or n > left:
        raise FormatError(f"{who} is cut short: {n} bytes of a storage are promised, {left} are left")
    return stream.read(n)


class _Bounded:
    """A stream of which no read asks for more than there is: a string may claim any length, and is allocated before it is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.readline, self.tell = stream, stream.readline, stream.tell
        here = stream.tell()
        self._size = stream.seek(0, 2)
        stream.seek(here)

    def read(self, n: int) -> bytes:
        return self._stream.read(min(n, self._size - self._stream.tell()))


def _checked(stream: BinaryIO) -> bytes:
    """The next pickle of a stream; its opcodes are looked at before any is run."""
    begin, bounded = stream.tell(), cast(BinaryIO, _Bounded(stream))
    for count, (opcode, argument, _) in enumerate(pickletools.genops(bounded), 1):
        if count > _MAX_OPCODES or opcode.name.startswith("EXT"):
            raise ValueError(f"the opcode {opcode.name} has no place in it")
        if opcode.name.endswith("PUT") and isinstance(argument, int) and argument > 2 * count + 256:
            raise ValueError("it numbers an object beyond all that it has")
    end = stream.tell()
    stream.seek(begin)
    return stream.read(end - begin)


class _Reader(pickle.Unpickler):
    """An unpickler that makes tensors of storages and keeps every unknown class as its name."""

    def __init__(self, stream: BinaryIO, read: Callable[[str], bytes], who: str, *, sizes_only: bool = False) -> None:
        super().__init__(stream, encoding="utf-8", errors="replace")
        self._read, self._who, self._sizes_only = read, who, sizes_only
        self._storages: dict[str, bytes] = {}
        self._opaque: dict[str, type] = {}
        self.seen: dict[str, Any] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return _Kind(_STORAGES[name])
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        known = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor"): self._tensor,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_tensor_v3"): self._typed_tensor,
            ("torch._utils", "_rebuild_parameter"): _parameter,
            ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
            ("torch._tensor", "_rebuild_from_type_v2"): _from_type,
            ("torch.nn.parameter", "Parameter"): _parameter,
            ("torch", "Size"): tuple,
            ("torch", "Tensor"): "torch.Tensor",
            ("builtins", "set"): set,
            ("__builtin__", "set"): set,
        }.get((module, name))
        if known is not None:
            return known
        qualified = f"{module}.{name}"
        if qualified not in self._opaque:
            self._opaque[qualified] = type("Opaque_", (Opaque,), {"qualified": qualified})
        return self._opaque[qualified]

    def persistent_load(self, pid: Any) -> Any:
        if not isinstance(pid, tuple) or not pid or pid[0] != "storage":
            kind = pid[0] if isinstance(pid, tuple) and pid else pid
            if kind == "module":
                raise ConversionError(f"{self._who} holds a whole module, whose code is not run; save its state_dict() instead")
            raise FormatError(f"{self._who} refers to something unknown: {kind!r}")
        kind, key = pid[1], str(pid[2])
        if not isinstance(kind, _Kind):
            raise ConversionError(f"{self._who} has a storage of {kind!r}, which has no equal here")
        if len(pid) > 5 and pid[5] is not None:
            raise ConversionError(f"{self._who} has views of storages, as torch before 0.2 wrote; save it again with a later one")
        self.seen[key] = kind.dtype
        return _Storage(kind.dtype, key)

    def _tensor(
        self, storage: Any, offset: int, size: Any, stride: Any, requires_grad: bool = False, hooks: Any = None, metadata: Any = None
    ) -> Any:
        return self._array(storage, storage.dtype, offset, size, stride)

    def _typed_tensor(
        self, storage: Any, offset: int, size: Any, stride: Any, requires_grad: bool, hooks: Any, dtype: Any, metadata: Any = None
    ) -> Any:
        return self._array(storage, dtype, offset, size, stride)

    def _array(self, storage: _Storage, dtype: Any, offset: int, size: Any, stride: Any) -> Any:
        if self._sizes_only:
            return None
        if storage.key not in self._storages:
            self._storages[storage.key] = self._read(storage.key)
        sizes, strides = [int(s) for s in size], [int(s) for s in stride]
        return strided(self._storages[storage.key], dtype, sizes, strides, int(offset), f"{self._who}: a tensor")


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _from_type(function: Any, kind: Any, arguments: tuple[Any, ...], state: Any) -> Any:
    return function(*arguments) if callable(function) else Opaque(kind)
