"""Batches: what training, evaluation and prediction walk through, an epoch at a time.

The order of an epoch depends on the seed and the epoch's number alone, so a run that was cut anywhere goes on with the
batches that it would have seen.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from onnxdl.data.lazy import on_disk
from onnxdl.data.prefetch import prefetched
from onnxdl.errors import DataError

Arrays = dict[str, np.ndarray]
_LARGE_BATCH = 1 << 20  # bytes: gathering less than this takes no longer than handing it from thread to thread


class Batches(Protocol):
    """Anything that gives the batches of an epoch, from one of them on."""

    @property
    def steps(self) -> int | None:
        """The number of batches of an epoch, None where it is not known before its end."""

    @property
    def slow(self) -> bool:
        """Whether making a batch takes long enough to be done beside the step, on a thread."""

    def epoch(self, number: int, start: int = 0) -> Iterator[Arrays]:
        """The batches of an epoch from the batch ``start`` on."""


class ArrayBatches:
    """Batches of arrays in memory, of memory-mapped ones, or of LazyArrays.

    Args:
        arrays: arrays by input name; the first axis of each counts the samples.
        batch_size: samples a batch; the last may be smaller.
        shuffle: whether each epoch has an order of its own.
        seed: decides the orders.
        dtypes: the element types of the batches by name, where they differ from the arrays'.
        steps: the number of batches of an epoch, where it is not all of them; the next epoch goes on from there.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        batch_size: int = 32,
        *,
        shuffle: bool = False,
        seed: int = 0,
        dtypes: Mapping[str, Any] | None = None,
        steps: int | None = None,
    ) -> None:
        lengths = {name: len(a) for name, a in arrays.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"the arrays have different numbers of samples: {lengths}")
        if batch_size < 1:
            raise DataError(f"a batch needs at least one sample, not {batch_size}")
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.samples = next(iter(lengths.values()), 0)
        if not self.samples:
            raise DataError("there is no data: the arrays hold no samples")
        self._every = -(-self.samples // batch_size)
        self.steps = self._every if steps is None else steps
        self._arrays = {name: (a, np.dtype((dtypes or {}).get(name, a.dtype))) for name, a in arrays.items()}
        size = sum(int(np.prod(a.shape[1:])) * dtype.itemsize for a, dtype in self._arrays.values())
        self.slow = any(on_disk(a) for a, _ in self._arrays.values()) or size * batch_size > _LARGE_BATCH

    def epoch(self, number: int, start: int = 0) -> Iterator[Arrays]:
        order, ordered = None, -1
        for step in range(number * self.steps + start, (number + 1) * self.steps):
            round_, i = divmod(step, self._every)
            if self.shuffle and ordered != round_:
                order, ordered = np.random.default_rng([self.seed, round_]).permutation(self.samples), round_
            window = slice(i * self.batch_size, (i + 1) * self.batch_size)
            chosen = window if order is None else order[window]
            yield {name: np.ascontiguousarray(a[chosen], dtype) for name, (a, dtype) in self._arrays.items()}


def walk(batches: Batches, number: int = 0, start: int = 0) -> Generator[Arrays, None, None]:
    """The batches of an epoch, each checked to be finite, prefetched where making them takes long."""
    checked = _finite(batches.epoch(number, start), number, start)
    return prefetched(checked) if batches.slow else checked


def _finite(batches: Iterator[Arrays], number: int, start: int) -> Generator[Arrays, None, None]:
    for i, batch in enumerate(batches, start):
        check_finite(batch, f"batch {i}, epoch {number + 1}")
        yield batch


def check_finite(arrays: Mapping[str, np.ndarray], where: str) -> None:
    """Raises DataError where a float array holds NaN or infinity."""
    for name, a in arrays.items():
        # the sum is finite in nearly every batch, and one pass over it is cheap
        if a.dtype.kind == "f" and not _has_finite_sum(a) and not np.isfinite(a).all():
            first = np.argwhere(~np.isfinite(a))[0].tolist()
            raise DataError(f"{name!r} holds {a[tuple(first)]} at {first} of {where}; clean the data, e.g. with numpy.nan_to_num")


def _has_finite_sum(a: np.ndarray) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):  # large numbers, and infinities of both signs
        return bool(np.isfinite(a.sum()))
