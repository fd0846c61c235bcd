"""Batches: what training, evaluation and prediction walk through, an epoch at a time.

The order of an epoch depends on the seed and the epoch's number alone, so a run that was cut anywhere goes on with the
batches that it would have seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from onnxdl.errors import DataError

Arrays = dict[str, np.ndarray]


class Batches(Protocol):
    """Anything that gives the batches of an epoch, from one of them on."""

    @property
    def steps(self) -> int | None:
        """The number of batches of an epoch, None where it is not known before its end."""

    def epoch(self, number: int, start: int = 0) -> Iterator[Arrays]:
        """The batches of an epoch from the batch ``start`` on."""


class ArrayBatches:
    """Batches of arrays in memory, or mapped into it.

    Args:
        arrays: arrays by input name; the first axis of each counts the samples.
        batch_size: samples a batch; the last may be smaller.
        shuffle: whether each epoch has an order of its own.
        seed: decides the orders.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], batch_size: int = 32, *, shuffle: bool = False, seed: int = 0) -> None:
        lengths = {name: len(a) for name, a in arrays.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"the arrays have different numbers of samples: {lengths}")
        if batch_size < 1:
            raise DataError(f"a batch needs at least one sample, not {batch_size}")
        self.arrays, self.batch_size, self.shuffle, self.seed = dict(arrays), batch_size, shuffle, seed
        self.samples = next(iter(lengths.values()), 0)
        if not self.samples:
            raise DataError("there is no data: the arrays hold no samples")

    @property
    def steps(self) -> int:
        return -(-self.samples // self.batch_size)

    def epoch(self, number: int, start: int = 0) -> Iterator[Arrays]:
        order = np.random.default_rng([self.seed, number]).permutation(self.samples) if self.shuffle else None
        for i in range(start, self.steps):
            window = slice(i * self.batch_size, (i + 1) * self.batch_size)
            yield {name: np.ascontiguousarray(a[window] if order is None else a[order[window]]) for name, a in self.arrays.items()}


class IterableBatches:
    """Batches from any iterable of ``x``, ``(x, y)`` or dicts, such as a DataLoader; a generator serves one epoch.

    Args:
        source: the iterable, walked through anew in each epoch, or a function that returns one.
        to_arrays: turns what it gives into arrays by input name.
    """

    def __init__(self, source: Iterable[Any] | Callable[[], Iterable[Any]], to_arrays: Callable[[Any], Arrays]) -> None:
        self.source, self.to_arrays = source, to_arrays

    @property
    def steps(self) -> int | None:
        length = getattr(self.source, "__len__", None)
        return int(length()) if length is not None else None

    def epoch(self, number: int, start: int = 0) -> Iterator[Arrays]:
        source = self.source() if callable(self.source) else self.source
        if number and source is self.source and iter(source) is source:
            raise DataError("the generator of batches is used up after one epoch; pass a function that makes one, or a list")
        for item in itertools.islice(source, start, None):
            yield self.to_arrays(item)


def check_finite(arrays: Mapping[str, np.ndarray], where: str) -> None:
    """Raises DataError where a float array holds NaN or infinity."""
    for name, a in arrays.items():
        # the sum is finite in nearly every batch, and one pass over it is cheap
        if a.dtype.kind == "f" and not np.isfinite(a.sum()) and not np.isfinite(a).all():
            first = np.argwhere(~np.isfinite(a))[0].tolist()
            raise DataError(f"{name!r} holds {a[tuple(first)]} at {first} of {where}; clean the data, e.g. with numpy.nan_to_num")
