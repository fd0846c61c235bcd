"""Arrays that are read a batch at a time: their samples come from the disk when they are asked for."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from onnxdl.errors import DataError

Index = slice | np.ndarray


class LazyArray:
    """Samples that are made when a slice of them, or those at given places, are asked for; ``numpy.asarray`` makes all.

    Subclasses set ``shape`` and ``dtype`` and define ``read``.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, places: np.ndarray) -> np.ndarray:
        """The samples at the given places."""
        raise DataError(f"{type(self).__name__} does not define read(self, places)")

    @property
    def ndim(self) -> int:
        """The number of axes, that of the samples included."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Index) -> np.ndarray:
        places = np.arange(len(self))[index]
        if places.ndim != 1:
            raise DataError(f"{type(self).__name__} gives samples for a slice or an array of places, not for {index!r}")
        return self.read(places)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


class Rows(LazyArray):
    """Some samples of an array, by their places; nothing is read before it is asked for."""

    def __init__(self, source: np.ndarray | LazyArray, places: np.ndarray) -> None:
        self.source, self.places = source, places
        self.shape, self.dtype = (len(places), *source.shape[1:]), source.dtype

    def read(self, places: np.ndarray) -> np.ndarray:
        return np.asarray(self.source[self.places[places]])


def on_disk(array: Any) -> bool:
    """Whether reading samples means reading a file."""
    if isinstance(array, LazyArray):
        return True
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def rows(array: np.ndarray | LazyArray, places: np.ndarray) -> np.ndarray:
    """The samples at the given places; of an array on disk, a LazyArray of them."""
    return cast(np.ndarray, Rows(array, places)) if on_disk(array) else np.asarray(array[places])


def window_of(array: Any, window: slice) -> np.ndarray:
    """The samples of a slice; of a LazyArray, a LazyArray of them."""
    return rows(array, np.arange(len(array))[window]) if isinstance(array, LazyArray) else np.asarray(array[window])


def as_samples(data: Any) -> np.ndarray:
    """An array of samples from whatever NumPy makes one of: tensors of other libraries too. What is on disk stays there."""
    return cast(np.ndarray, data) if isinstance(data, np.ndarray | LazyArray) else np.asarray(data)


def in_memory(array: Any) -> np.ndarray:
    """The samples of a LazyArray, all read; an array as it is."""
    return array if isinstance(array, np.ndarray) else np.asarray(array)
