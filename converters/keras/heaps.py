"""A look at an HDF5 file before HDF5 reads it: on a heap of texts whose objects do not add up it never comes back (as of 2.0)."""

from __future__ import annotations

import struct
from typing import IO

HDF5_MARK = b"\x89HDF\r\n\x1a\n"
_HEAP_MARK = b"GCOL\x01"
_HEAD = 16
"""Bytes at the beginning of a heap, its size the last eight; and of an object in it: its number, its uses and its size."""
_BLOCK = 1 << 20


def trouble_in(file: IO[bytes]) -> str | None:
    """What is wrong with a file's beginning or with a heap in it; None where HDF5 may read it.

    Source: HDF5 File Format Specification 3.0, sections II.A, Superblock, and III.E, Global Heap.
    """
    file.seek(0)
    head = file.read(16)
    if head[:8] != HDF5_MARK or len(head) < 16:
        return "it does not begin as HDF5 does"
    if head[14 if head[8] < 2 else 10] != 8:
        return "its sizes are not of eight bytes"
    end = file.seek(0, 2)
    at, before = 0, b""
    while at < end:
        file.seek(at)
        block = before + file.read(_BLOCK)
        begin, found = at - len(before), block.find(_HEAP_MARK)
        while found >= 0:
            if not _adds_up(file, begin + found, end):
                return f"the heap at byte {begin + found} is damaged"
            found = block.find(_HEAP_MARK, found + 1)
        at, before = at + _BLOCK, block[-len(_HEAP_MARK) + 1 :]
    return None


def _adds_up(file: IO[bytes], begin: int, end: int) -> bool:
    """Whether a heap's objects follow one another to its end."""
    file.seek(begin)
    size = int.from_bytes(file.read(_HEAD)[8:], "little")
    if size > end - begin:
        return True  # HDF5 refuses it, or the mark stands among numbers and begins no heap
    file.seek(begin)
    heap, at = file.read(size), _HEAD
    while at + _HEAD <= size:
        number, length = struct.unpack_from("<H6xQ", heap, at)
        step = _HEAD + -(-length // 8) * 8 if number else length  # number 0 is the free space, its head counted in
        if not _HEAD <= step <= size - at:
            return False
        at += step
    return True
