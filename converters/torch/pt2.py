"""``.pt2`` files, read without torch: the graph as JSON, the weights as raw storages."""

from __future__ import annotations

import json
import os
from typing import Any, BinaryIO

from onnxdl.converters.torch.archive import Archive, strided
from onnxdl.converters.torch.pickles import load_pickled
from onnxdl.converters.torch.program import Program, dtype_of, parse
from onnxdl.errors import FormatError

_OLD_PROGRAM = "serialized_exported_program.json"


def read_program(source: str | os.PathLike[str] | BinaryIO, origin: str) -> Program:
    """The exported program in a ``.pt2`` archive, with its arrays.

    Raises:
        FormatError: the file is damaged, cut short or of another kind.
        ConversionError: it holds something that has no equal here.
    """
    archive = Archive(source, origin)
    if _OLD_PROGRAM in archive:
        return _read_old(archive)
    found = [n for n in archive.names() if n.startswith("models/") and n.endswith(".json") and n.count("/") == 1]
    if not found:
        raise FormatError(f"{origin} holds no exported program; save one with torch.export.save(torch.export.export(module, inputs), path)")
    name = found[0].removeprefix("models/").removesuffix(".json")
    program = parse(archive.read(found[0]), origin)
    storages: dict[str, bytes] = {}
    places: dict[Any, str] = {}
    for folder, kind in (("data/weights", "weights"), ("data/constants", "constants")):
        config = f"{folder}/{name}_{kind}_config.json"
        if config not in archive:
            continue
        try:
            entries = json.loads(archive.read(config))["config"]
            for state_name, held in entries.items():
                _read_tensor(archive, program, folder, state_name, held, storages, places)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(f"{origin}: {config!r} is damaged ({type(error).__name__}: {error})") from None
    _complete(program, origin)
    return program


def _read_tensor(
    archive: Archive, program: Program, folder: str, state_name: str, held: Any, storages: dict[str, bytes], places: dict[Any, str]
) -> None:
    path, meta = f"{folder}/{held['path_name']}", held["tensor_meta"]
    who = f"{archive.origin}: the tensor {state_name!r}"
    if path not in storages:
        storages[path] = archive.read(path)
    if held["use_pickle"]:
        array = load_pickled(storages[path], who)
    else:
        sizes, strides = ([int(d["as_int"]) for d in meta[key]] for key in ("sizes", "strides"))
        dtype, offset = dtype_of(int(meta["dtype"]), who), int(meta["storage_offset"]["as_int"])
        place = (path, tuple(sizes), tuple(strides), offset, dtype)
        if place in places and held["is_param"]:
            program.aliases[state_name] = places[place]
        places.setdefault(place, state_name)
        array = strided(storages[path], dtype, sizes, strides, offset, who)
    program.arrays[state_name] = array
    if held["is_param"] and meta["requires_grad"]:
        program.trainable.add(state_name)


def _read_old(archive: Archive) -> Program:
    """What torch before 2.8 wrote: the weights as pickles of their own."""
    program = parse(archive.read(_OLD_PROGRAM), archive.origin)
    for member in ("serialized_state_dict.pt", "serialized_constants.pt"):
        if member in archive and archive.size(member):
            tensors = load_pickled(archive.read(member), f"{archive.origin}: {member!r}")
            if not isinstance(tensors, dict):
                raise FormatError(f"{archive.origin}: {member!r} holds no tensors by name")
            program.arrays.update(tensors)
    program.trainable.update(n for n in program.parameters.values() if n in program.arrays and program.arrays[n].dtype.kind not in "biu")
    _complete(program, archive.origin)
    return program


def _complete(program: Program, origin: str) -> None:
    wanted = [*program.parameters.values(), *program.buffers.values(), *program.constants.values()]
    lacking = [n for n in wanted if n not in program.arrays]
    if lacking:
        raise FormatError(f"{origin} lacks {len(lacking)} tensors of its program, first {lacking[0]!r}; it is cut short")
