"""Damage to files: bytes anywhere, members of zips under right checksums, values in JSON and in protobuf messages."""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ODD_NUMBERS = (0, 1, -1, 2, 3, 7, 127, 255, 256, -128, 2**31 - 1, 2**31, -(2**31), 2**32, 2**40, 2**60, 2**63 - 1, -(2**63), 2**64 - 1)
ODD_VALUES = (None, True, False, "", "x", "../../x", [], {}, [[]], [None], 1e308, -1e308, 0.5, float("nan"), float("inf"), *ODD_NUMBERS)


def mutate(content: bytes, name: str, rng: np.random.Generator) -> bytes:
    """The content of a file, damaged once or a few times in a manner that its kind knows or in any bytes."""
    ways: list[Callable[[bytes, np.random.Generator], bytes]] = [_bytes]
    if content[:4] == b"PK\x03\x04":
        ways += [_zip] * 3
    elif content[:8] == b"\x89HDF\r\n\x1a\n":
        ways += [_hdf5] * 2
    elif content[:1] == b"{":
        ways += [_json] * 3
    elif name.endswith((".onnx", ".pb")):
        ways += [functools.partial(_protobuf, name=name)] * 2
    elif name.endswith(".safetensors"):
        ways += [_safetensors] * 2
    return ways[rng.integers(len(ways))](content, rng)


def _bytes(content: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        if not data:
            break
        at, size = int(rng.integers(len(data))), int(rng.integers(1, 17))
        match int(rng.integers(8)):
            case 0 | 1:
                data[at] = int(rng.integers(256))
            case 2:
                data[at] ^= 1 << int(rng.integers(8))
            case 3:
                width = int(rng.choice([1, 2, 4, 8]))
                number = ODD_NUMBERS[rng.integers(len(ODD_NUMBERS))] % 2 ** (8 * width)
                data[at : at + width] = number.to_bytes(width, "little" if rng.integers(2) else "big")
            case 4:
                del data[at : at + size]
            case 5:
                data[at:at] = data[at : at + size]
            case 6:
                source = int(rng.integers(len(data)))
                data[at : at + size] = data[source : source + size]
            case _:
                if rng.integers(4) == 0:
                    del data[at:]
    return bytes(data)


def _zip(content: bytes, rng: np.random.Generator) -> bytes:
    """One member damaged, in an archive that is sound."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(written, "w") as new:
        members = old.infolist()
        chosen = int(rng.integers(len(members)))
        for i, member in enumerate(members):
            data = old.read(member)
            if i == chosen and data:
                if rng.integers(20) == 0:
                    continue
                data = mutate(data, member.filename, rng)
            new.writestr(zipfile.ZipInfo(member.filename), data)
    return written.getvalue()


def _json(content: bytes, rng: np.random.Generator) -> bytes:
    """One value of a document replaced, removed or doubled."""
    try:
        document = json.loads(content)
    except ValueError:
        return _bytes(content, rng)
    places = list(_places(document))
    if not places:
        return _bytes(content, rng)
    for _ in range(int(rng.integers(1, 3))):
        holder, key = places[rng.integers(len(places))]
        if key not in (holder if isinstance(holder, dict) else range(len(holder))):
            continue
        match int(rng.integers(5)):
            case 0:
                del holder[key]
            case 1:
                other, its = places[rng.integers(len(places))]
                if its in (other if isinstance(other, dict) else range(len(other))):
                    holder[key] = json.loads(json.dumps(other[its]))
            case 2 if isinstance(holder, list):
                holder.append(holder[key])
            case 3 if isinstance(holder, dict):
                holder[key + "_"] = holder.pop(key)
            case _:
                holder[key] = ODD_VALUES[rng.integers(len(ODD_VALUES))]
    return json.dumps(document).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _hdf5(content: bytes, rng: np.random.Generator) -> bytes:
    """An attribute damaged, or an array of another shape or type, in a file that is sound."""
    import h5py

    stream = io.BytesIO(content)
    with h5py.File(stream, "r+") as file:
        found: list[Any] = [file]
        file.visititems(lambda _, item: found.append(item))
        item = found[0 if rng.integers(2) else rng.integers(len(found))]
        names = list(item.attrs)
        if names and rng.integers(3):
            name = names[rng.integers(len(names))]
            value = item.attrs[name]
            text = value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else None
            if text is not None and len(text) < 60000:
                item.attrs[name] = np.bytes_(_json(text, rng) if text[:1] == b"{" else _bytes(text, rng))
            elif rng.integers(2):
                del item.attrs[name]
            else:
                item.attrs[name] = [3, 1, 4]
        elif item.name != "/":
            parent, name, old = item.parent, item.name, item
            sizes = [(), (0,), (3,), (1, 2), (2, 2, 2, 2), getattr(old, "shape", (1,))[::-1]]
            del parent[name]
            match int(rng.integers(4)):
                case 0:
                    parent.create_dataset(name, sizes[rng.integers(len(sizes))], rng.choice(["f2", "f4", "f8", "i1", "u8", "S3"]))
                case 1:
                    parent.create_group(name)
                case 2:
                    parent.create_dataset(name, (2**40, 2**20), "f4", chunks=(1, 1024))
                case _:
                    pass
    return stream.getvalue()


def _protobuf(content: bytes, rng: np.random.Generator, name: str = ".onnx") -> bytes:
    """One field of one message, anywhere inside, in a file that is sound."""
    import onnx
    from google.protobuf.message import DecodeError

    from onnxdl.converters.caffe2.proto import net_def

    message = onnx.ModelProto() if name.endswith(".onnx") else net_def()()
    try:
        message.ParseFromString(content)
    except DecodeError:
        return _bytes(content, rng)
    messages: list[Any] = []
    pending = [message]
    while pending:
        current = pending.pop()
        messages.append(current)
        for field, value in current.ListFields():
            if field.type == field.TYPE_MESSAGE:
                pending.extend(value if hasattr(value, "extend") else [value])
    chosen = messages[rng.integers(len(messages))]
    fields = chosen.ListFields()
    if not fields:
        return _bytes(content, rng)
    field, value = fields[rng.integers(len(fields))]
    many = hasattr(value, "extend")
    if rng.integers(4) == 0:
        chosen.ClearField(field.name)
        return message.SerializeToString()
    if field.type == field.TYPE_MESSAGE:
        if many:
            members = list(value)
            at, other = rng.integers(len(members), size=2)
            if rng.integers(2):
                del value[int(at)]
            else:
                value[int(at)].CopyFrom(members[int(other)])
        return message.SerializeToString()
    new = _odd(field, value[0] if many else value, rng)
    if many:
        value[int(rng.integers(len(value)))] = new
    else:
        setattr(chosen, field.name, new)
    return message.SerializeToString()


def _odd(field: Any, old: Any, rng: np.random.Generator) -> Any:
    if field.type == field.TYPE_ENUM:
        return int(rng.choice([v.number for v in field.enum_type.values]))
    if field.type == field.TYPE_STRING:
        return _bytes(old if isinstance(old, bytes) else old.encode(), rng).decode("utf-8", "replace")
    if isinstance(old, bytes):
        return _bytes(old, rng)
    if isinstance(old, float):
        return float(rng.choice([0, -1, 1e30, np.nan, np.inf]))
    bits = 32 if field.type in (field.TYPE_INT32, field.TYPE_UINT32) else 64
    number = ODD_NUMBERS[rng.integers(len(ODD_NUMBERS))] % 2**bits
    signed = field.type in (field.TYPE_INT32, field.TYPE_INT64)
    return number - 2**bits if signed and number >= 2 ** (bits - 1) else number


def _safetensors(content: bytes, rng: np.random.Generator) -> bytes:
    size = int.from_bytes(content[:8], "little")
    header = _json(content[8 : 8 + size], rng)
    return len(header).to_bytes(8, "little") + header + content[8 + size :]


def damage(files: list[Path], originals: dict[Path, bytes], seed: int) -> Path:
    """Writes one of the files damaged and says which; the others are as they were."""
    rng = np.random.default_rng(seed)
    file = files[rng.integers(len(files))]
    content = originals[file]
    for _ in range(5):
        content = mutate(originals[file], file.name, rng)
        if content != originals[file]:
            break
    file.write_bytes(content)
    return file
