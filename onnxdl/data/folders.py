"""Folders with one sub-folder a class: the files of each, and which class they belong to."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np

from onnxdl.errors import FormatError


def class_files(folder: str | os.PathLike[str], suffixes: Collection[str]) -> tuple[list[Path], np.ndarray, list[str]]:
    """All files with one of the suffixes, sorted; the number of each one's class; the classes' names, sorted.

    Raises:
        FormatError: there is no such folder, or no such file in its sub-folders.
    """
    place = Path(folder)
    if not place.is_dir():
        raise FormatError(f"{place}: no such folder")
    files: list[Path] = []
    labels: list[int] = []
    classes: list[str] = []
    for sub in sorted(d for d in place.iterdir() if d.is_dir()):
        found = sorted(f for f in sub.rglob("*") if f.suffix.lower() in suffixes)
        if found:
            labels += [len(classes)] * len(found)
            classes.append(sub.name)
            files += found
    if not files:
        raise FormatError(f"{place} has no sub-folder with {', '.join(sorted(suffixes))} files; one sub-folder a class is expected")
    return files, np.array(labels, np.int64), classes
